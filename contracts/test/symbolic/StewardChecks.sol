// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IRiskSteward} from "../../src/keeper/interfaces/IRiskSteward.sol";
import {StewardRules} from "../../src/keeper/StewardRules.sol";
import {GRACE, Ramps} from "../../src/reference/math/Ramps.sol";
import {Test} from "../Vm.sol";

/// @title A write of the steward keeps to bounds and step, and tightens nothing for MM within its grace.
contract StewardChecks is Test {
    struct Step {
        uint128 found;
        uint128 low;
        uint128 high;
        uint128 step;
        uint40 delay;
        uint40 writtenAt;
        uint128 expected;
        uint128 number;
        uint40 time;
    }

    function check_write_stays_within_bounds_and_step(Step memory s) public pure {
        _bounded(s, StewardRules.check);
    }

    function broken_write_stays_within_bounds_and_step_if_the_step_is_one_sided(Step memory s) public pure {
        _bounded(s, _oneSided);
    }

    function broken_write_stays_within_bounds_and_step_if_the_delay_is_forgotten(Step memory s) public pure {
        _bounded(s, _withoutDelay);
    }

    function broken_write_stays_within_bounds_and_step_if_the_number_in_place_is_not_compared(Step memory s)
        public
        pure
    {
        _bounded(s, _withoutCompare);
    }

    function _bounded(
        Step memory s,
        function(IRiskSteward.Terms memory, uint256, uint256, uint256, uint256, uint256) internal pure check
    ) private pure {
        check(_terms(s), s.writtenAt, s.found, s.expected, s.number, s.time);
        assert(s.expected == s.found);
        assert(s.low <= s.number && s.number <= s.high);
        assert(s.number <= uint256(s.found) + s.step && s.found <= uint256(s.number) + s.step);
        assert(s.time >= uint256(s.writtenAt) + s.delay);
    }

    function _terms(Step memory s) private pure returns (IRiskSteward.Terms memory) {
        return IRiskSteward.Terms(s.low, s.high, s.step, s.delay);
    }

    function _oneSided(
        IRiskSteward.Terms memory terms,
        uint256 writtenAt,
        uint256 found,
        uint256 expected,
        uint256 number,
        uint256 time
    ) private pure {
        if (number < expected) terms.step = type(uint128).max;
        StewardRules.check(terms, writtenAt, found, expected, number, time);
    }

    function _withoutDelay(
        IRiskSteward.Terms memory terms,
        uint256,
        uint256 found,
        uint256 expected,
        uint256 number,
        uint256 time
    ) private pure {
        terms.delay = 0;
        StewardRules.check(terms, 0, found, expected, number, time);
    }

    function _withoutCompare(
        IRiskSteward.Terms memory terms,
        uint256 writtenAt,
        uint256,
        uint256 expected,
        uint256 number,
        uint256 time
    ) private pure {
        StewardRules.check(terms, writtenAt, expected, expected, number, time);
    }

    /// Times from 0 to 2²⁴ seconds, half a year; numbers of 16 bits, as the shares of the venue. A way is any that writes
    /// can leave behind: `from` not tighter than `to`, a start no later than a grace from now.
    struct Moment {
        uint16 from;
        uint16 to;
        uint16 number;
        bool up;
        uint24 start;
        uint24 time;
        uint24 later;
    }

    function check_write_tightens_nothing_within_its_grace(Moment memory m) public pure {
        _graced(m, Ramps.written);
    }

    function broken_write_tightens_nothing_within_its_grace_if_it_counts_at_once(Moment memory m) public pure {
        _graced(m, _atOnce);
    }

    function _graced(
        Moment memory m,
        function(uint256, uint256, uint256, uint256, uint256, bool) internal pure returns (uint256, uint256) written
    ) private pure {
        vm.assume(!Ramps.tighter(m.from, m.to, m.up));
        vm.assume(m.start <= m.time + GRACE && m.later >= m.time && m.later <= m.time + GRACE);
        vm.assume(Ramps.tighter(m.number, m.to, m.up));
        (uint256 from, uint256 start) = written(m.from, m.to, m.start, m.number, m.time, m.up);
        uint256 found = Ramps.at(m.from, m.to, Ramps.done(m.start, m.time), m.up);
        assert(!Ramps.tighter(Ramps.at(from, m.number, Ramps.done(start, m.later), m.up), found, m.up));
        assert(!Ramps.tighter(from, m.number, m.up)); // what the next write may assume
    }

    function _atOnce(uint256, uint256, uint256, uint256 number, uint256 time, bool)
        private
        pure
        returns (uint256, uint256)
    {
        return (number, time + GRACE);
    }
}
