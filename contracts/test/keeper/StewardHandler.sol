// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {GRACE, Ramps} from "../../src/keeper/Ramp.sol";
import {RiskSteward} from "../../src/keeper/RiskSteward.sol";
import {StewardRules, Terms} from "../../src/keeper/StewardRules.sol";
import {IRiskSteward} from "../../src/keeper/interfaces/IRiskSteward.sol";
import {Test} from "../Vm.sol";

/// Owner, controller and guardian of one steward, doing everything they may and trying more. What it remembers comes from
/// what it did, not from the steward.
contract StewardHandler is Test {
    /// What was seen of one parameter, for the next to be held against.
    struct Seen {
        uint256 number;
        uint256 writtenAt;
        uint256 mmAtWrite; // just before
        Terms terms;
    }

    uint256 public constant PARAMETERS = 5;
    RiskSteward public immutable steward;
    uint256 public refused;
    uint256 public accepted;
    uint256 public held;
    Seen[PARAMETERS] private _seen;

    constructor() {
        steward = new RiskSteward(address(this), address(this), address(this));
        _list(0, true, IRiskSteward.Counts.Both, Terms(500, 4_000, 200, 1 hours), 1_000);
        _list(1, false, IRiskSteward.Counts.Both, Terms(1e18, 1e24, 1e23, 12 hours), 5e23);
        _list(2, false, IRiskSteward.Counts.Opening, Terms(0, type(uint104).max, 1e30, 1 hours), 1e31);
        _list(3, true, IRiskSteward.Counts.Ramped, Terms(0.05e18, 0.4e18, 0.05e18, 1 days), 0.15e18);
        _list(4, true, IRiskSteward.Counts.Opening, Terms(10_000, 30_000, 2_500, 1 minutes), 12_000);
    }

    // ---- what they do ----

    function write(uint256 which, uint256 seed) external {
        which = bound(which, 0, PARAMETERS - 1);
        Seen memory seen = _seen[which];
        _until(seen.writtenAt + seen.terms.delay);
        uint256 low =
            seen.number > uint256(seen.terms.low) + seen.terms.step ? seen.number - seen.terms.step : seen.terms.low;
        uint256 high = seen.number + seen.terms.step;
        uint104 number = uint104(bound(seed, low, high < seen.terms.high ? high : seen.terms.high));
        if (number == seen.number) return;
        assertTrue(_write(which, uint104(seen.number), number), "a write within the terms");
    }

    /// Anything at all: what is accepted must have been allowed.
    function attempt(uint256 which, uint104 expected, uint104 number, bool known) external {
        which = bound(which, 0, PARAMETERS - 1);
        if (known) {
            Terms memory terms = _seen[which].terms;
            expected = uint104(_seen[which].number);
            // Around the bounds and steps, a little beyond included.
            uint256 low = expected > 2 * uint256(terms.step) ? expected - 2 * terms.step : 0;
            uint256 high = uint256(expected) + 2 * uint256(terms.step);
            number = uint104(bound(number, low, high > type(uint104).max ? type(uint104).max : high));
        }
        if (_write(which, expected, number)) ++accepted;
        else ++refused;
    }

    function tighten(uint256 which, uint256 seed) external {
        which = bound(which, 0, PARAMETERS - 1);
        IRiskSteward.Parameter memory p = steward.parameter(_key(which));
        if (p.counts == IRiskSteward.Counts.Ramped) return;
        (uint256 im,) = steward.inForce(_key(which));
        if (im == (p.up ? p.terms.high : p.terms.low)) return;
        uint256 number = p.up ? bound(seed, im + 1, p.terms.high) : bound(seed, p.terms.low, im - 1);
        uint256[PARAMETERS] memory before = _mms();
        steward.tighten(_key(which), uint104(number));
        (uint256 found,) = steward.inForce(_key(which));
        assertEq(found, number);
        _same(before, _mms());
    }

    function hold(uint256 which) external {
        which = bound(which, 0, PARAMETERS - 1);
        (, uint256 mm) = steward.inForce(_key(which));
        uint256[PARAMETERS] memory before = _mms();
        try steward.hold(_key(which)) {
            ++held;
        } catch (bytes memory reason) {
            assertEq(reason, abi.encodeWithSelector(IRiskSteward.NothingRunning.selector, _key(which)));
        }
        assertEq(before[which], mm);
        _same(before, _mms());
    }

    function lift(uint256 which) external {
        which = bound(which, 0, PARAMETERS - 1);
        uint256[PARAMETERS] memory before = _mms();
        steward.lift(_key(which));
        _same(before, _mms());
    }

    function stopAndTry(uint256 which, uint104 number) external {
        which = bound(which, 0, PARAMETERS - 1);
        steward.stop();
        assertTrue(!_write(which, uint104(_seen[which].number), number), "no write while stopped");
        steward.resume();
    }

    /// Bounds closer or wider; refused by the steward where a number in force would be outside.
    function setTerms(uint256 which, uint104 low, uint104 high, uint104 step, uint40 delay) external {
        which = bound(which, 0, PARAMETERS - 1);
        Terms memory terms = _seen[which].terms;
        terms.low = uint104(bound(low, terms.low / 2, _seen[which].number));
        uint256 wider = 2 * uint256(terms.high) + 1;
        wider = wider > type(uint104).max ? type(uint104).max : wider;
        terms.high = uint104(bound(high, _seen[which].number, wider));
        terms.step = uint104(bound(step, 1, wider / 8 + 1));
        terms.delay = uint40(bound(delay, 1 minutes, 2 days));
        try steward.setTerms(_key(which), terms) {
            _seen[which].terms = terms;
        } catch (bytes memory reason) {
            assertTrue(bytes4(reason) == StewardRules.OutOfBounds.selector, "a number in force outside");
        }
    }

    function wait_(uint256 time) external {
        vm.warp(block.timestamp + bound(time, 0, 3 days));
    }

    // ---- what holds ----

    function checkBounds() external view {
        for (uint256 i; i < PARAMETERS; ++i) {
            Terms memory terms = _seen[i].terms;
            (uint256 im, uint256 mm) = steward.inForce(_key(i));
            assertLe(terms.low, im);
            assertLe(im, uint256(terms.high));
            assertLe(terms.low, mm);
            assertLe(mm, uint256(terms.high));
        }
    }

    function checkOrder() external view {
        for (uint256 i; i < PARAMETERS; ++i) {
            (uint256 im, uint256 mm) = steward.inForce(_key(i));
            assertTrue(!Ramps.tighter(mm, im, steward.parameter(_key(i)).up), "MM tighter than IM");
        }
    }

    function checkNumbers() external view {
        for (uint256 i; i < PARAMETERS; ++i) {
            assertEq(steward.parameter(_key(i)).ramp.to, _seen[i].number);
        }
    }

    /// Until the grace of the last write has passed, nothing tightens MM beyond what that write found.
    function checkGrace() external view {
        for (uint256 i; i < PARAMETERS; ++i) {
            IRiskSteward.Parameter memory p = steward.parameter(_key(i));
            if (p.counts == IRiskSteward.Counts.Opening || block.timestamp > _seen[i].writtenAt + GRACE) continue;
            (, uint256 mm) = steward.inForce(_key(i));
            assertTrue(!Ramps.tighter(mm, _seen[i].mmAtWrite, p.up), "tighter within the grace");
        }
    }

    function _write(uint256 which, uint104 expected, uint104 number) private returns (bool done) {
        IRiskSteward.Change[] memory one = new IRiskSteward.Change[](1);
        one[0] = IRiskSteward.Change(_key(which), expected, number);
        (, uint256 mm) = steward.inForce(_key(which));
        (done,) = address(steward).call(abi.encodeCall(IRiskSteward.write, (one)));
        if (!done) return false;
        Seen storage seen = _seen[which];
        assertEq(expected, seen.number);
        assertLe(number > expected ? number - expected : expected - number, uint256(seen.terms.step));
        assertLe(seen.writtenAt + seen.terms.delay, block.timestamp);
        (seen.number, seen.writtenAt, seen.mmAtWrite) = (number, block.timestamp, mm);
    }

    function _list(uint256 which, bool up, IRiskSteward.Counts counts, Terms memory terms, uint104 number) private {
        steward.list(_key(which), up, counts, terms, number);
        _seen[which] = Seen(number, block.timestamp, number, terms);
    }

    function _mms() private view returns (uint256[PARAMETERS] memory mms) {
        for (uint256 i; i < PARAMETERS; ++i) {
            (, mms[i]) = steward.inForce(_key(i));
        }
    }

    function _same(uint256[PARAMETERS] memory left, uint256[PARAMETERS] memory right) private pure {
        for (uint256 i; i < PARAMETERS; ++i) {
            assertEq(left[i], right[i]);
        }
    }

    function _until(uint256 time) private {
        if (block.timestamp < time) vm.warp(time);
    }

    function _key(uint256 which) private pure returns (bytes32) {
        return bytes32(which + 1);
    }
}
