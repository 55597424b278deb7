// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {OptionBase} from "./OptionBase.t.sol";
import {Option} from "../../src/reference/math/Option.sol";
import {Words} from "../../src/reference/math/Words.sol";
import {Instruments, NO_SCENARIO, Report, ScanParameters, Slice} from "../../src/reference/Types.sol";

/// One option's words against prices computed elsewhere to fifty digits, and against each other.
contract OptionTest is OptionBase {
    int256 private constant UNIT = 1e12;

    function test_mark_delta_bend_gap_by_hand() public pure {
        int256[22] memory call = Option.words(_flat(), id(100_000, true));
        assertEq(call[Words.MARK], int256(1426_704122)); // 1426.704122257
        assertEq(call[Words.DELTA], int256(20337_613289)); // 90000 × 0.2259734809…
        assertEq(call[Words.BEND], int256(16_706154)); // at +1.25 %: 16.70615309, rounded up; at −1.25 %: 16.047
        // Tangents at +10 % and +16.4375 % of the lower volatility meet 347.001289176 under their chord.
        assertEq(call[Words.GAP], int256(347_001290));
        int256[22] memory put = Option.words(_flat(), id(100_000, false));
        assertEq(put[Words.MARK], int256(11426_704122)); // + strike − forward
        assertEq(put[Words.DELTA], int256(-69662_386711)); // −69662.38671087: toward −∞
        assertEq(put[Words.BEND], call[Words.BEND]);
        assertEq(put[Words.GAP], call[Words.GAP]);
    }

    /// Worth at each row, volatility half up and three tenths down, without any term scaling.
    function test_rows_by_hand() public pure {
        int256[22] memory w = Option.words(_flat(), id(100_000, true));
        int256[18] memory worth = [
            int256(3377_535458),
            514_078982,
            5063_125101,
            1417_384793,
            2109_279111,
            140_164209,
            7179_929489,
            3105_677764,
            1217_834793,
            26_954297,
            10518_952627,
            6569_190541,
            550_957447,
            2_053838,
            32212_335174,
            22,
            173375_000000,
            0
        ];
        for (uint256 row; row < 18; ++row) {
            assertEq(w[Words.MARK] + w[Words.FIRST_ROW + row], worth[row]);
        }
    }

    /// The forward of the slice moves with the price: a report 1 % higher prices the forward 1 % higher.
    function test_forward_moves_with_the_price() public pure {
        (Report memory r, Slice memory s) = (aReport(), aSlice());
        s.forward = 92_700e18; // 3 % over spot
        assertEq(Option.prepare(r, s).forward, uint256(92_700e18));
        r.price = 90_900e18;
        assertEq(Option.prepare(r, s).forward, uint256(93_627e18));
    }

    /// A last-minute option at the money is a kink: half the move limit, 0.5 × 1,125, above its tangent on both sides.
    function test_bend_of_a_kink() public pure {
        (Report memory r, Slice memory s) = (aReport(), aSlice());
        s.expiry = NOW + 1;
        s.a = 0;
        Option.Expiry memory e = Option.prepare(r, s, theParameters());
        int256[22] memory w = Option.words(e, Instruments.pack(0, s.expiry, 90_000e8, true, 0));
        assertLe(w[Words.BEND], int256(562_500000));
        assertLe(int256(562_460000), w[Words.BEND]); // 0.04 of time worth at the kink itself
        // Struck beyond the move limit's end the option never leaves its tangent, on either side.
        assertEq(Option.words(e, Instruments.pack(0, s.expiry, 91_200e8, true, 0))[Words.BEND], int256(0));
        assertEq(Option.words(e, Instruments.pack(0, s.expiry, 88_800e8, true, 0))[Words.BEND], int256(0));
        // In between: 91,125 − 90,500 on the way up, and as much for the put.
        assertEq(Option.words(e, Instruments.pack(0, s.expiry, 90_500e8, true, 0))[Words.BEND], int256(625e6));
        assertEq(Option.words(e, Instruments.pack(0, s.expiry, 90_500e8, false, 0))[Words.BEND], int256(625e6));
    }

    /// The published delta of a far put is the least negative unit, not zero: toward −∞.
    function test_words_round_down() public pure {
        int256[22] memory w = Option.words(_flat(), id(45_000, false));
        assertTrue(w[Words.MARK] >= 0, "a put is worth something or nothing");
        assertTrue(w[Words.DELTA] < 0, "a put loses when the price rises");
        assertEq(Option.words(_flat(), id(9_000, false))[Words.DELTA], int256(0)); // −0 exactly: N(d1) = 1
    }

    function test_an_expired_slice_is_refused() public {
        Slice memory s = aSlice();
        s.expiry = NOW + 1;
        this.prepare(aReport(), s);
        s.expiry = NOW;
        vm.expectRevert(abi.encodeWithSelector(Option.Expired.selector, NOW, NOW));
        this.prepare(aReport(), s);
    }

    function test_a_forward_beyond_the_bounds_of_the_arithmetic_is_refused() public {
        (Report memory r, Slice memory s) = (aReport(), aSlice());
        (r.price, s.forward, s.spot) = (type(uint128).max, 2, 1);
        vm.expectRevert(abi.encodeWithSelector(Option.ForwardOutOfRange.selector, 2 * uint256(type(uint128).max)));
        this.prepare(r, s);
        s.forward = 1;
        this.prepare(r, s);
    }

    /// The bounds the specification states, tails of +1000 %; the first word beyond int48 is a mark of 140.7 million.
    function test_the_bounds_of_the_specification() public {
        (Report memory r, Slice memory s) = (aReport(), aSlice());
        r.price = s.spot = s.forward = 1e25;
        this.array(r, s, Instruments.pack(0, EXPIRY, 1, true, 0));
        this.array(r, s, Instruments.pack(0, EXPIRY, 1e16, false, 0));
        r.price = s.spot = s.forward = 1e18;
        uint128 put = Instruments.pack(0, EXPIRY, 1.5e16, false, 0);
        vm.expectRevert(abi.encodeWithSelector(Words.WordOutOfRange.selector, Words.MARK, int256(149_999_999e6)));
        this.array(r, s, put);
    }

    function test_rows_beyond_the_array_are_refused() public {
        this.leg(theParameters(), id(100_000, true), 17);
        vm.expectRevert();
        this.leg(theParameters(), id(100_000, true), 18);
    }

    /// What a proof computes is what the array says: mark, delta, and mark + row word.
    /// forge-config: default.fuzz.runs = 10000
    function testFuzz_a_leg_is_its_array(uint256 seed, uint256 row) public pure {
        (Option.Expiry memory e, uint128 instrument) = anyOption(seed);
        row = bound(row, 0, 17);
        int256[22] memory w = Option.words(e, instrument);
        (int256 mark, int256 delta, int256 atRow) = Option.leg(e, instrument, row);
        assertEq(mark, w[Words.MARK]);
        assertEq(delta, w[Words.DELTA]);
        assertEq(atRow, mark + w[Words.FIRST_ROW + row]);
        (mark, delta, atRow) = Option.leg(e, instrument, NO_SCENARIO);
        assertEq(atRow, w[Words.MARK]);
        assertEq(int256(Option.mark(e, instrument)) / UNIT, w[Words.MARK]);
        bytes memory published = Option.array(e, instrument);
        for (uint256 i; i < 22; ++i) {
            assertEq(Words.at(published, i), w[i]);
        }
    }

    /// Call − put = F(g) − k in every row, to the unit each is floored to; deltas differ by the forward.
    /// forge-config: default.fuzz.runs = 10000
    function testFuzz_put_call_parity(uint256 seed) public pure {
        (Option.Expiry memory e, uint128 call) = anyOption(seed);
        call |= 1 << 15;
        int256[22] memory c = Option.words(e, call);
        int256[22] memory p = Option.words(e, call & ~uint128(1 << 15));
        int256 strike = Option.terms(e, call).strike;
        _within(c[Words.MARK] - p[Words.MARK], int256(e.forward) - strike);
        _within(c[Words.DELTA] - p[Words.DELTA], int256(e.forward));
        assertEq(c[Words.BEND], p[Words.BEND]);
        assertEq(c[Words.GAP], p[Words.GAP]);
        for (uint256 row; row < 18; ++row) {
            int256 spread = c[Words.FIRST_ROW + row] + c[Words.MARK] - p[Words.FIRST_ROW + row] - p[Words.MARK];
            _within(spread, int256(e.forwards[row]) - strike);
        }
    }

    /// Calls rise and puts fall along the grid; up volatility is never worth less than down; nothing is negative.
    /// forge-config: default.fuzz.runs = 10000
    function testFuzz_rows_are_ordered(uint256 seed) public pure {
        (Option.Expiry memory e, uint128 instrument) = anyOption(seed);
        int256[22] memory w = Option.words(e, instrument);
        uint8[7] memory ascending = [12, 8, 4, 0, 2, 6, 10];
        for (uint256 i; i < 7; ++i) {
            uint256 at = Words.FIRST_ROW + ascending[i];
            assertLe(w[at + 1], w[at] + 1);
            assertLe(-w[Words.MARK], w[at + 1]);
            if (i == 6) break;
            uint256 next = Words.FIRST_ROW + ascending[i + 1];
            bool call = Instruments.isCall(instrument);
            assertLe(w[call ? at : next], w[call ? next : at] + 1);
            assertLe(w[call ? at + 1 : next + 1], w[call ? next + 1 : at + 1] + 1);
        }
        assertLe(w[Words.FIRST_ROW + 1], int256(0));
        assertLe(int256(0), w[Words.FIRST_ROW]);
    }

    /// After any move inside the limit an option is worth between its tangent at the mark and tangent + bend × share
    /// of the limit moved: marks of a second report, at the same time.
    /// forge-config: default.fuzz.runs = 10000
    function testFuzz_tangent_and_bend_enclose_the_moved_mark(uint256 seed, uint256 move) public pure {
        (Report memory r, Slice memory s, uint128 instrument) = anyInputs(seed);
        int256[22] memory w = Option.words(Option.prepare(r, s, theParameters()), instrument);
        // x in wad, and what it takes away from the price.
        int256 x = int256(bound(move, 0, 0.025e18)) - 0.0125e18;
        uint128 before = r.price;
        r.price = uint128(uint256(int256(uint256(before)) * (1e18 + x) / 1e18));
        x = (int256(uint256(r.price)) - int256(uint256(before))) * 1e18 / int256(uint256(before));
        int256 moved = int256(Option.mark(Option.prepare(r, s), instrument));
        int256 tangent = w[Words.MARK] * UNIT + w[Words.DELTA] * x / 1e6;
        int256 reach = w[Words.BEND] * (x < 0 ? -x : x) * UNIT / 0.0125e18;
        // A unit for the mark's floor, a tenth of one for the price's and the delta's.
        assertLe(tangent - UNIT / 10, moved);
        assertLe(moved, tangent + reach + UNIT * 11 / 10);
    }

    function prepare(Report memory r, Slice memory s) external pure {
        Option.prepare(r, s);
    }

    function array(Report memory r, Slice memory s, uint128 instrument) external pure returns (bytes memory) {
        ScanParameters memory p = theParameters();
        p.deepUp = 10e18;
        return Option.array(Option.prepare(r, s, p), instrument);
    }

    function leg(ScanParameters memory p, uint128 instrument, uint256 row) external pure {
        Option.leg(Option.prepare(aReport(), aSlice(), p), instrument, row);
    }

    function _flat() private pure returns (Option.Expiry memory) {
        ScanParameters memory p = theParameters();
        p.shortPower = p.longPower = 0;
        return Option.prepare(aReport(), aSlice(), p);
    }

    /// Units within one of an amount in wad.
    function _within(int256 units, int256 wad) private pure {
        assertLe(units * UNIT, wad + UNIT + 1);
        assertLe(wad, units * UNIT + UNIT + 1);
    }
}
