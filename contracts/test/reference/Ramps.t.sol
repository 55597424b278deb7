// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Packed} from "../../src/reference/math/Packed.sol";
import {GRACE, HELD, Ramps, SLOPE} from "../../src/reference/math/Ramps.sol";
import {ParameterRules} from "../../src/reference/ParameterRules.sol";
import {MarginParameters, ScanParameters} from "../../src/reference/Types.sol";
import {Test} from "../Vm.sol";

/// One number on its way, and whole records.
contract RampsTest is Test {
    uint256 private constant T0 = 1_583_971_200; // 12 March 2020
    uint256 private constant DAY = 24 hours;

    struct Ramp {
        uint256 from;
        uint256 to;
        uint256 start;
    }

    /// A listing and three writes, up to three days apart, so that each finds grace, slope and end.
    struct Writes {
        bool up;
        uint128[4] numbers;
        uint24[3] gaps;
        uint24 later;
    }

    // ---- by hand ----

    function test_a_rise_waits_a_day_and_takes_a_day() public pure {
        Ramp memory r = _written(_settled(100), 200, T0, true);
        assertEq(_at(r, T0, true), 100);
        assertEq(_at(r, T0 + DAY, true), 100);
        assertEq(_at(r, T0 + DAY + DAY / 4, true), 125);
        assertEq(_at(r, T0 + DAY + DAY / 2, true), 150);
        assertEq(_at(r, T0 + 2 * DAY - 1, true), 199);
        assertEq(_at(r, T0 + 2 * DAY, true), 200);
        assertEq(_at(r, T0 + 365 * DAY, true), 200);
    }

    function test_a_number_that_tightens_downward_rounds_up() public pure {
        Ramp memory r = _written(_settled(200), 100, T0, false);
        assertEq(_at(r, T0 + DAY, false), 200);
        assertEq(_at(r, T0 + DAY + DAY / 4, false), 175);
        assertEq(_at(r, T0 + 2 * DAY - 1, false), 101);
        assertEq(_at(r, T0 + 2 * DAY, false), 100);
    }

    function test_a_reduction_counts_at_once() public pure {
        assertEq(_at(_written(_settled(200), 150, T0, true), T0, true), 150);
        assertEq(_at(_written(_settled(100), 150, T0, false), T0, false), 150);
    }

    /// 100 → 200, and at half of it → 300: it stays at 150 for a day, then goes to 300.
    function test_a_second_rise_starts_from_the_number_in_force() public pure {
        uint256 half = T0 + DAY + DAY / 2;
        Ramp memory r = _written(_written(_settled(100), 200, T0, true), 300, half, true);
        assertEq(_at(r, half, true), 150);
        assertEq(_at(r, half + DAY, true), 150);
        assertEq(_at(r, half + DAY + DAY / 2, true), 225);
        assertEq(_at(r, half + 2 * DAY, true), 300);
    }

    /// 100 → 200, at half of it → 180: the way it is on gets shorter, not later.
    function test_half_a_step_back_leaves_the_start() public pure {
        uint256 half = T0 + DAY + DAY / 2;
        Ramp memory r = _written(_written(_settled(100), 200, T0, true), 180, half, true);
        assertEq(r.start, T0 + DAY);
        assertEq(_at(r, half, true), 140);
        assertEq(_at(r, T0 + 2 * DAY, true), 180);
    }

    function test_a_reduction_below_where_it_began_ends_the_way() public pure {
        Ramp memory r = _written(_written(_settled(100), 200, T0, true), 80, T0 + DAY / 2, true);
        assertEq(_at(r, T0 + DAY / 2, true), 80);
        assertEq(_at(r, T0 + 9 * DAY, true), 80);
    }

    /// A report may be older than the write: then what the write found.
    function test_a_time_before_the_write_reads_what_the_write_found() public pure {
        assertEq(_at(_written(_settled(100), 200, T0, true), T0 - 60, true), 100);
    }

    // ---- for any writes ----

    /// Nothing tightens MM within a grace beyond what it would have done without the write, and a tightening beyond nothing.
    function testFuzz_no_write_tightens_within_a_grace(Writes memory w) public pure {
        (Ramp memory before, uint256 time) = _before(w);
        Ramp memory r = _written(before, w.numbers[3], time, w.up);
        uint256 probe = time + bound(w.later, 0, GRACE);
        _notTighter(_at(r, probe, w.up), _at(before, probe, w.up), w.up);
        if (Ramps.tighter(w.numbers[3], before.to, w.up)) {
            _notTighter(_at(r, probe, w.up), _at(before, time, w.up), w.up);
        }
        _notTighter(_at(r, probe, w.up), w.numbers[3], w.up); // never beyond the number either
    }

    /// A tightening leaves the number in force where it is; nothing leaves it tighter.
    function testFuzz_a_write_starts_from_the_number_in_force(Writes memory w) public pure {
        (Ramp memory before, uint256 time) = _before(w);
        uint256 inForce = _at(before, time, w.up);
        uint256 found = _at(_written(before, w.numbers[3], time, w.up), time, w.up);
        _notTighter(found, inForce, w.up);
        if (Ramps.tighter(w.numbers[3], before.to, w.up)) assertEq(found, inForce);
    }

    function testFuzz_all_counts_after_grace_and_slope(Writes memory w) public pure {
        (Ramp memory before, uint256 time) = _before(w);
        Ramp memory r = _written(before, w.numbers[3], time, w.up);
        if (r.start == HELD) return; // until it is tightened
        assertEq(_at(r, time + GRACE + SLOPE + w.later, w.up), w.numbers[3]);
    }

    function testFuzz_it_only_tightens_and_at_an_even_pace(Writes memory w) public pure {
        (Ramp memory r, uint256 time) = _before(w);
        uint256 probe = time + bound(w.later, 0, 4 * DAY);
        (uint256 found, uint256 hour) = (_at(r, probe, w.up), _at(r, probe + 1 hours, w.up));
        _notTighter(found, hour, w.up);
        uint256 whole = r.to > r.from ? r.to - r.from : r.from - r.to;
        assertLe(hour > found ? hour - found : found - hour, whole * 1 hours / SLOPE + 1);
    }

    function testFuzz_a_running_grace_is_never_shortened(Writes memory w) public pure {
        (Ramp memory before, uint256 time) = _before(w);
        Ramp memory r = _written(before, w.numbers[3], time, w.up);
        if (before.start != HELD) assertLe(before.start, r.start);
        if (Ramps.tighter(w.numbers[3], before.to, w.up)) assertEq(r.start, time + GRACE);
    }

    function testFuzz_it_is_exact_at_its_ends_and_between_them(uint128 from, uint128 to, uint256 done, bool up)
        public
        pure
    {
        done = bound(done, 0, SLOPE);
        assertEq(Ramps.at(from, to, 0, up), from);
        assertEq(Ramps.at(from, to, SLOPE, up), to);
        uint256 found = Ramps.at(from, to, done, up);
        assertLe(from < to ? from : to, found);
        assertLe(found, uint256(from < to ? to : from));
        uint256 sum = from * (SLOPE - done) + to * done; // the specification's words
        assertEq(found, up ? sum / SLOPE : (sum + SLOPE - 1) / SLOPE);
    }

    // ---- records ----

    /// Every field of a record goes its own number's way; one of MM's tightened takes all of them from where they are.
    function testFuzz_a_record_is_its_fields(MarginParameters[3] memory records, uint256 start, uint256 time)
        public
        pure
    {
        start = bound(start, T0, T0 + 2 * DAY);
        time = bound(time, T0 + DAY, T0 + 4 * DAY);
        uint256[7][3] memory fields = abi.decode(abi.encode(records), (uint256[7][3]));
        bool anew;
        for (uint256 i; i < 7; ++i) {
            if (i != 0 && i != 2 && Ramps.tighter(fields[2][i], fields[1][i], i < 6)) anew = true;
        }
        (uint256 begin, uint256 leaves) =
            Packed.written(Packed.rates(records[0]), Packed.rates(records[1]), start, Packed.rates(records[2]), time);
        assertEq(leaves, anew ? time + GRACE : start);
        uint256[7] memory found = abi.decode(abi.encode(Packed.rates(begin)), (uint256[7]));
        uint256 done = Ramps.done(start, time);
        for (uint256 i; i < 7; ++i) {
            assertEq(found[i], Ramps.origin(fields[0][i], fields[1][i], done, fields[2][i], anew, i < 6));
        }
    }

    function testFuzz_mm_of_a_record_is_mm_of_its_fields(MarginParameters[2] memory records, uint256 done) public pure {
        done = bound(done, 0, SLOPE);
        uint256[7][2] memory fields = abi.decode(abi.encode(records), (uint256[7][2]));
        uint256 word = Packed.ratesAt(Packed.rates(records[0]), Packed.rates(records[1]), done);
        uint256[7] memory found = abi.decode(abi.encode(Packed.rates(word)), (uint256[7]));
        for (uint256 i; i < 7; ++i) {
            bool imAlone = i == 0 || i == 2;
            assertEq(found[i], imAlone ? fields[1][i] : Ramps.at(fields[0][i], fields[1][i], done, i < 6));
        }
    }

    function testFuzz_records_come_out_as_they_went_in(ScanParameters memory p, MarginParameters memory m) public pure {
        uint256[3] memory words = Packed.scan(p);
        assertEq(abi.encode(Packed.scan(words[0], words[1], words[2])), abi.encode(p));
        assertEq(abi.encode(Packed.rates(Packed.rates(m))), abi.encode(m));
    }

    /// Two scans that keep the rules keep them at every second between: rows ordered, covers and powers within bounds.
    function testFuzz_between_two_good_scans_every_scan_is_good(
        ScanParameters memory from,
        ScanParameters memory to,
        uint256 done
    ) public pure {
        _shape(from);
        _shape(to);
        done = bound(done, 0, SLOPE);
        (uint256[3] memory f, uint256[3] memory t) = (Packed.scan(from), Packed.scan(to));
        uint256 covers = Packed.narrow(f[2], t[2], 0, 48, done);
        ScanParameters memory p = Packed.scan(Packed.wide(f[0], t[0], done), Packed.wide(f[1], t[1], done), covers);
        ParameterRules.check(p);
        uint256[11] memory found = abi.decode(abi.encode(p), (uint256[11]));
        uint256[11] memory left = abi.decode(abi.encode(from), (uint256[11]));
        uint256[11] memory right = abi.decode(abi.encode(to), (uint256[11]));
        for (uint256 i; i < 11; ++i) {
            assertEq(found[i], Ramps.at(left[i], right[i], done, true));
        }
    }

    /// Good by the rules, and a third of them with rows as near to one another as may be.
    function _shape(ScanParameters memory p) private pure {
        bool near = p.longPower % 3 == 0;
        p.scan = uint64(bound(p.scan, 12, 0.5e18 - 1));
        p.extreme = uint64(bound(p.extreme, p.scan + 1, near ? p.scan + 2 : 1e18 - 3));
        p.deepUp = uint64(bound(p.deepUp, p.extreme + 1, near ? p.extreme + 2 : 10e18));
        p.deepDown = uint64(bound(p.deepDown, p.extreme + 1, 1e18 - 2));
        (p.volUp, p.volDown) = (uint64(bound(p.volUp, 0, 10e18)), uint64(bound(p.volDown, 0, 1e18 - 1)));
        (p.shortPower, p.longPower) = (uint64(bound(p.shortPower, 0, 1e18)), uint64(bound(p.longPower, 0, 1e18)));
        p.extremeCover = uint16(bound(p.extremeCover, 0, 1e4));
        p.deepUpCover = uint16(bound(p.deepUpCover, 0, 1e4));
        p.deepDownCover = uint16(bound(p.deepDownCover, 0, 1e4));
    }

    // ---- helpers ----

    function _settled(uint256 number) private pure returns (Ramp memory) {
        return Ramp(number, number, 0);
    }

    function _at(Ramp memory r, uint256 time, bool up) private pure returns (uint256) {
        return Ramps.at(r.from, r.to, Ramps.done(r.start, time), up);
    }

    function _written(Ramp memory r, uint256 number, uint256 time, bool up) private pure returns (Ramp memory after_) {
        after_.to = number;
        (after_.from, after_.start) = Ramps.written(r.from, r.to, r.start, number, time, up);
    }

    function _before(Writes memory w) private pure returns (Ramp memory r, uint256 time) {
        time = T0;
        r = _settled(w.numbers[0]);
        for (uint256 i = 1; i < 3; ++i) {
            time += bound(w.gaps[i - 1], 0, 3 * DAY);
            r = _written(r, w.numbers[i], time, w.up);
        }
        time += bound(w.gaps[2], 0, 3 * DAY);
        if (w.later % 8 == 0) (r.from, r.start) = (_at(r, time, w.up), HELD);
    }

    function _notTighter(uint256 found, uint256 than, bool up) private pure {
        if (up) assertLe(found, than);
        else assertLe(than, found);
    }
}
