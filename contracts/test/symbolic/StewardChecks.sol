// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {GRACE, HELD, Ramp, Ramps, SLOPE} from "../../src/keeper/Ramp.sol";
import {StewardRules, Terms} from "../../src/keeper/StewardRules.sol";
import {Test} from "../Vm.sol";

/// @title A write of the steward keeps to bounds and step, and tightens nothing for MM within its grace.
/// A ramp is any that writes can leave behind: `from` not tighter than `to`, a start no later than a grace from now, or
/// held.
contract StewardChecks is Test {
    struct Step {
        uint104 from;
        uint104 to;
        uint40 start;
        uint104 low;
        uint104 high;
        uint104 step;
        uint40 delay;
        uint40 writtenAt;
        uint104 expected;
        uint104 number;
        bool up;
        uint40 time;
    }

    function check_write_stays_within_bounds_and_step(Step memory s) public pure {
        _bounded(s, StewardRules.next);
    }

    function broken_write_stays_within_bounds_and_step_if_the_step_is_one_sided(Step memory s) public pure {
        _bounded(s, _oneSided);
    }

    function broken_write_stays_within_bounds_and_step_if_the_delay_is_forgotten(Step memory s) public pure {
        _bounded(s, _withoutDelay);
    }

    function _bounded(
        Step memory s,
        function(Terms memory, Ramp memory, uint256, uint256, uint104, bool, uint256)
            internal
            pure returns (Ramp memory) next
    ) private pure {
        // At the two ends of a ramp, where its number is from or to; between them it is neither's business.
        vm.assume(s.time < HELD - GRACE && (s.time <= s.start || s.time >= s.start + SLOPE));
        Ramp memory r = next(
            Terms(s.low, s.high, s.step, s.delay),
            Ramp(s.from, s.to, s.start),
            s.writtenAt,
            s.expected,
            s.number,
            s.up,
            s.time
        );
        assert(r.to == s.number && s.low <= r.to && r.to <= s.high);
        assert(s.expected == s.to);
        assert(r.to <= uint256(s.to) + s.step && s.to <= uint256(r.to) + s.step);
        assert(s.time >= uint256(s.writtenAt) + s.delay);
    }

    function _oneSided(
        Terms memory terms,
        Ramp memory ramp,
        uint256 writtenAt,
        uint256 expected,
        uint104 number,
        bool up,
        uint256 time
    ) private pure returns (Ramp memory) {
        if (number > expected) {
            return StewardRules.next(terms, ramp, writtenAt, expected, number, up, time);
        }
        StewardRules.requireWithin(terms, number);
        vm.assume(ramp.to == expected && time >= writtenAt + terms.delay);
        return Ramps.written(ramp, number, up, time);
    }

    function _withoutDelay(
        Terms memory terms,
        Ramp memory ramp,
        uint256,
        uint256 expected,
        uint104 number,
        bool up,
        uint256 time
    ) private pure returns (Ramp memory) {
        terms.delay = 0;
        return StewardRules.next(terms, ramp, 0, expected, number, up, time);
    }

    /// Times from 0 to 2¹⁸ seconds, three days, around a start; numbers of 16 bits, as the shares of the venue.
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

    function broken_write_tightens_nothing_within_its_grace_if_the_running_one_is_kept(Moment memory m) public pure {
        _graced(m, _keepingTheStart);
    }

    function broken_write_tightens_nothing_within_its_grace_if_directions_are_mixed_up(Moment memory m) public pure {
        _graced(m, _mixedUp);
    }

    function _graced(
        Moment memory m,
        function(Ramp memory, uint104, bool, uint256) internal pure returns (Ramp memory) written
    ) private pure {
        vm.assume(!Ramps.tighter(m.from, m.to, m.up));
        vm.assume(m.start <= m.time + GRACE && m.later >= m.time && m.later <= m.time + GRACE);
        Ramp memory before = Ramp(m.from, m.to, m.start);
        uint256 found = Ramps.at(before, m.time);
        Ramp memory r = written(before, m.number, m.up, m.time);
        assert(!Ramps.tighter(Ramps.at(r, m.later), found, m.up));
        assert(!Ramps.tighter(r.from, r.to, m.up)); // what the next write may assume
    }

    function _keepingTheStart(Ramp memory r, uint104 number, bool up, uint256 time)
        private
        pure
        returns (Ramp memory changed)
    {
        changed = Ramps.written(r, number, up, time);
        if (time < r.start && changed.from != number) changed.start = r.start;
    }

    function _mixedUp(Ramp memory r, uint104 number, bool up, uint256 time) private pure returns (Ramp memory) {
        return Ramps.written(r, number, !up, time);
    }
}
