// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {OptionBase} from "./OptionBase.t.sol";
import {Option} from "../../src/reference/math/Option.sol";
import {Words} from "../../src/reference/math/Words.sol";
import {Instruments, NO_SCENARIO, Report, ScanParameters, Slice} from "../../src/reference/Types.sol";

/// One option's words against prices computed elsewhere to fifty digits, and against each other.
contract OptionTest is OptionBase {
    int256 private constant UNIT = 1e12;

    function test_mark_delta_gamma_by_hand() public pure {
        int256[22] memory call = Option.words(_flat(), id(100_000, true));
        assertEq(call[Words.MARK], int256(1426_704122)); // 1426.704122257
        assertEq(call[Words.DELTA], int256(20337_613289)); // 90000 × 0.2259734809…
        assertEq(call[Words.GAMMA], int256(209735_376723)); // 90000² × 2.589325639e-5
        int256[22] memory put = Option.words(_flat(), id(100_000, false));
        assertEq(put[Words.MARK], int256(11426_704122)); // + strike − forward
        assertEq(put[Words.DELTA], int256(-69662_386711)); // −69662.38671087: toward −∞
        assertEq(put[Words.GAMMA], call[Words.GAMMA]);
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

    /// A last-hour option at the money: gamma beyond 2·S ÷ move counts as that, 2 × 90000 × 80.
    function test_gamma_is_capped() public pure {
        (Report memory r, Slice memory s) = (aReport(), aSlice());
        s.expiry = NOW + 60;
        uint128 atTheMoney = Instruments.pack(0, s.expiry, 90_000e8, true, 0);
        Option.Expiry memory e = Option.prepare(r, s, theParameters());
        assertEq(Option.words(e, atTheMoney)[Words.GAMMA], int256(14_400_000e6));
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

    /// 160 × 879,610 USD of gamma is the first word int48 cannot hold.
    function test_the_price_bound_of_the_specification() public {
        (Report memory r, Slice memory s) = (aReport(), aSlice());
        s.expiry = NOW + 60;
        r.price = s.spot = s.forward = 879_600e18;
        this.array(r, s, Instruments.pack(0, s.expiry, 879_600e8, true, 0));
        r.price = s.spot = s.forward = 879_610e18;
        vm.expectRevert(abi.encodeWithSelector(Words.WordOutOfRange.selector, Words.GAMMA, int256(140_737_600e6)));
        this.array(r, s, Instruments.pack(0, s.expiry, 879_610e8, true, 0));
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
        assertEq(c[Words.GAMMA], p[Words.GAMMA]);
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

    function prepare(Report memory r, Slice memory s) external pure {
        Option.prepare(r, s);
    }

    function array(Report memory r, Slice memory s, uint128 instrument) external pure returns (bytes memory) {
        return Option.array(Option.prepare(r, s, theParameters()), instrument);
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
