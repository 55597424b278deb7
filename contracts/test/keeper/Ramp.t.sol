// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {GRACE, HELD, Ramp, Ramps, SLOPE} from "../../src/keeper/Ramp.sol";
import {Test} from "../Vm.sol";

contract RampTest is Test {
    using Ramps for Ramp;

    uint256 private constant T0 = 1_583_971_200; // 12 March 2020
    uint256 private constant DAY = 24 hours;

    /// A listing and three writes, up to three days apart, so that each finds grace, slope and end.
    struct Writes {
        bool up;
        uint104[4] numbers;
        uint24[3] gaps;
        uint24 later;
    }

    // ---- by hand ----

    function test_a_rise_waits_a_day_and_takes_a_day() public pure {
        Ramp memory r = Ramps.settled(100, T0).written(200, true, T0);
        assertEq(r.at(T0), 100);
        assertEq(r.at(T0 + DAY), 100);
        assertEq(r.at(T0 + DAY + DAY / 4), 125);
        assertEq(r.at(T0 + DAY + DAY / 2), 150);
        assertEq(r.at(T0 + 2 * DAY - 1), 199);
        assertEq(r.at(T0 + 2 * DAY), 200);
        assertEq(r.at(T0 + 365 * DAY), 200);
    }

    function test_a_cap_tightens_downward() public pure {
        Ramp memory r = Ramps.settled(200, T0).written(100, false, T0);
        assertEq(r.at(T0 + DAY), 200);
        assertEq(r.at(T0 + DAY + DAY / 4), 175);
        assertEq(r.at(T0 + 2 * DAY - 1), 101);
        assertEq(r.at(T0 + 2 * DAY), 100);
    }

    function test_a_reduction_counts_at_once() public pure {
        assertEq(Ramps.settled(200, T0).written(150, true, T0).at(T0), 150);
        assertEq(Ramps.settled(100, T0).written(150, false, T0).at(T0), 150);
    }

    /// 100 → 200, and at half of it → 300: it stays at 150 for a day, then goes to 300.
    function test_a_second_rise_starts_from_the_number_in_force() public pure {
        uint256 half = T0 + DAY + DAY / 2;
        Ramp memory r = Ramps.settled(100, T0).written(200, true, T0).written(300, true, half);
        assertEq(r.at(half), 150);
        assertEq(r.at(half + DAY), 150);
        assertEq(r.at(half + DAY + DAY / 2), 225);
        assertEq(r.at(half + 2 * DAY), 300);
    }

    /// 100 → 200, taken back to 180 within the grace: still a rise for MM, and its grace begins again.
    function test_half_a_step_back_does_not_shorten_the_grace() public pure {
        Ramp memory r = Ramps.settled(100, T0).written(200, true, T0).written(180, true, T0 + DAY / 2);
        assertEq(r.at(T0 + DAY + DAY / 2), 100);
        assertEq(r.at(T0 + 2 * DAY), 140);
        assertEq(r.at(T0 + 2 * DAY + DAY / 2), 180);
    }

    /// 100 → 200, at half of it → 120: MM stood at 150 and falls at once.
    function test_a_reduction_below_the_number_in_force_ends_the_ramp() public pure {
        uint256 half = T0 + DAY + DAY / 2;
        Ramp memory r = Ramps.settled(100, T0).written(200, true, T0).written(120, true, half);
        assertEq(r.at(half), 120);
        assertEq(r.at(half + 3 * DAY), 120);
    }

    function test_held_stays_until_the_next_write() public pure {
        uint256 half = T0 + DAY + DAY / 2;
        Ramp memory r = Ramps.settled(100, T0).written(200, true, T0).held(half);
        assertEq(r.at(half + 1000 * DAY), 150);
        assertEq(r.to, 200);
        r = r.written(200, true, half + 10 * DAY);
        assertEq(r.at(half + 11 * DAY), 150);
        assertEq(r.at(half + 12 * DAY), 200);
    }

    /// A report may be older than the write: then what was in force at the write.
    function test_a_time_before_the_write_reads_what_the_write_found() public pure {
        Ramp memory r = Ramps.settled(100, T0).written(200, true, T0);
        assertEq(r.at(T0 - 60), 100);
    }

    // ---- for any writes ----

    function testFuzz_no_write_tightens_within_a_grace(Writes memory w) public pure {
        (Ramp memory before, uint256 time) = _before(w);
        Ramp memory r = before.written(w.numbers[3], w.up, time);
        uint256 probe = time + bound(w.later, 0, GRACE);
        _notTighter(r.at(probe), before.at(time), w.up);
        _notTighter(r.at(probe), before.at(probe), w.up);
        _notTighter(r.at(probe), w.numbers[3], w.up); // never beyond the number either
    }

    /// The number in force is the same on both sides of a write, or the new one where that is not tighter.
    function testFuzz_a_write_starts_from_the_number_in_force(Writes memory w) public pure {
        (Ramp memory before, uint256 time) = _before(w);
        uint256 inForce = before.at(time);
        uint256 expected = Ramps.tighter(w.numbers[3], inForce, w.up) ? inForce : w.numbers[3];
        assertEq(before.written(w.numbers[3], w.up, time).at(time), expected);
    }

    function testFuzz_all_counts_after_grace_and_slope(Writes memory w) public pure {
        (Ramp memory before, uint256 time) = _before(w);
        Ramp memory r = before.written(w.numbers[3], w.up, time);
        assertEq(r.at(time + GRACE + SLOPE), w.numbers[3]);
        assertEq(r.at(time + GRACE + SLOPE + w.later), w.numbers[3]);
    }

    function testFuzz_a_ramp_only_tightens_and_at_an_even_pace(Writes memory w) public pure {
        (Ramp memory r, uint256 time) = _before(w);
        uint256 probe = time + bound(w.later, 0, 4 * DAY);
        uint256 found = r.at(probe);
        uint256 hour = r.at(probe + 1 hours);
        _notTighter(found, hour, w.up);
        uint256 whole = r.to > r.from ? r.to - r.from : r.from - r.to;
        assertLe(hour > found ? hour - found : found - hour, whole * 1 hours / SLOPE + 1);
    }

    /// Taking a number back, by however little, leaves MM at no moment tighter than it would have been.
    function testFuzz_a_reduction_never_tightens_at_any_time(Writes memory w) public pure {
        (Ramp memory before, uint256 time) = _before(w);
        uint104 number = w.up
            ? uint104(bound(w.numbers[3], 0, before.to))
            : uint104(bound(w.numbers[3], before.to, type(uint104).max));
        uint256 probe = time + bound(w.later, 0, 4 * DAY);
        _notTighter(before.written(number, w.up, time).at(probe), before.at(probe), w.up);
    }

    /// One second before would do, but rounding hides seconds of small rises: so the start itself.
    function testFuzz_a_running_grace_is_never_shortened(Writes memory w) public pure {
        (Ramp memory before, uint256 time) = _before(w);
        Ramp memory r = before.written(w.numbers[3], w.up, time);
        if (Ramps.tighter(r.to, r.from, w.up)) {
            assertLe(before.start, uint256(r.start));
            assertEq(r.start, time + GRACE);
        }
    }

    function testFuzz_holding_changes_nothing_now_and_everything_later(Writes memory w) public pure {
        (Ramp memory before, uint256 time) = _before(w);
        Ramp memory r = before.held(time);
        assertEq(r.at(time), before.at(time));
        assertEq(r.at(time + w.later), before.at(time));
        assertEq(r.at(HELD), before.at(time));
        assertEq(r.to, before.to);
    }

    function _before(Writes memory w) private pure returns (Ramp memory r, uint256 time) {
        time = T0;
        r = Ramps.settled(w.numbers[0], time);
        for (uint256 i = 1; i < 3; ++i) {
            time += bound(w.gaps[i - 1], 0, 3 * DAY);
            r = r.written(w.numbers[i], w.up, time);
        }
        time += bound(w.gaps[2], 0, 3 * DAY);
    }

    function _notTighter(uint256 found, uint256 than, bool up) private pure {
        if (up) assertLe(found, than);
        else assertLe(than, found);
    }
}
