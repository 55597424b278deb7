// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {OptionBase} from "./OptionBase.t.sol";
import {Black76} from "../../src/reference/math/Black76.sol";
import {Option} from "../../src/reference/math/Option.sol";
import {Words} from "../../src/reference/math/Words.sol";
import {Instruments, Slice} from "../../src/reference/Types.sol";

/// The gap word: how far a long option can be worth less than the straight line between two grid prices.
contract OptionGapTest is OptionBase {
    uint256 private constant WAD = 1e18;

    /// A kink in the middle of a cell: the chord passes half the width times half over it.
    function test_a_kink_by_hand() public pure {
        assertEq(Option.cellGap(6000e18, 3000e18, 0, WAD), uint256(1500e18));
        // At a third: 2000 wide at slope 0, then 4000 at slope 1; chord there 4000 × 2000 ÷ 6000.
        assertEq(Option.cellGap(6000e18, 4000e18, 0, WAD), uint256(1333333333333333333334));
    }

    /// A parabola from slope 0.2 to 0.6 over 1000: rise 400, tangents meet in the middle, 100 under the chord (plus
    /// what the slopes' own uncertainty adds: 10⁻¹⁴ a side, a quarter of it times the width each).
    function test_a_parabola_by_hand() public pure {
        uint256 gap = Option.cellGap(1000e18, 400e18, 0.2e18, 0.6e18);
        assertLe(100e18, gap);
        assertLe(gap, 100e18 + 2 * 1e4 * 1000 / 4 + 1);
    }

    function test_a_straight_line_has_only_the_slopes_uncertainty() public pure {
        // 2·10⁻¹⁴ of slope, 1000 wide, a quarter.
        assertEq(Option.cellGap(1000e18, 500e18, 0.5e18, 0.5e18), uint256(5000 * 1000));
        assertEq(Option.cellGap(1000e18, 0, 0, 0), uint256(0));
        assertEq(Option.cellGap(1000e18, 1000e18, WAD, WAD), uint256(0));
        assertEq(Option.cellGap(0, 0, 0.5e18, 0.5e18), uint256(0));
    }

    function test_slopes_that_contradict_convexity_give_none() public pure {
        assertEq(Option.cellGap(1000e18, 500e18, 0.9e18, 0.1e18), uint256(0));
        assertEq(Option.cellGap(1000e18, 100e18, 0.2e18, 0.9e18), uint256(0)); // rises less than its least slope
        assertEq(Option.cellGap(1000e18, 950e18, 0.2e18, 0.9e18), uint256(0));
        assertEq(Option.cellGap(1000e18, -1, 0, 0.5e18), uint256(0));
    }

    function test_the_widest_numbers_do_not_overflow() public pure {
        // The largest forward the arithmetic admits times the widest row.
        assertEq(Option.cellGap(2 ** 134, 2 ** 133, 0, WAD), uint256(2 ** 132));
    }

    /// No volatility to speak of and the strike in the middle of a cell: a quarter of 2·R/3… of the forward, for call
    /// and put alike. The cell 0 … +5 % of 90,000 is 4,500 wide; the kink gives 1,125.
    function test_an_expiring_straddle_strike() public pure {
        Option.Expiry memory e = Option.prepare(aReport(), _calm(), theParameters());
        int256 gap = Option.words(e, Instruments.pack(0, NOW + 2, 92_250e8, true, 0))[Words.GAP];
        assertLe(gap, int256(1125e6));
        assertLe(int256(1124e6), gap);
        assertEq(Option.words(e, Instruments.pack(0, NOW + 2, 92_250e8, false, 0))[Words.GAP], gap);
        // Struck on a grid price there is nothing under the chord.
        assertLe(Option.words(e, Instruments.pack(0, NOW + 2, 94_500e8, true, 0))[Words.GAP], int256(2e6));
    }

    /// At any price inside any cell, at either volatility, the option is worth at least the chord less the gap word.
    /// forge-config: default.fuzz.runs = 10000
    function testFuzz_no_price_inside_a_cell_is_further_under_the_chord(
        uint256 seed,
        uint256 cell,
        uint256 vol,
        uint256 place
    ) public pure {
        (Option.Expiry memory e, uint128 instrument) = anyOption(seed);
        uint8[7] memory rows = [12, 8, 4, 0, 2, 6, 10];
        cell = bound(cell, 0, 5);
        vol = bound(vol, 0, 1);
        uint256 gap = uint256(Option.words(e, instrument)[Words.GAP]) * 1e12;
        _under(e, instrument, [rows[cell] + vol, rows[cell + 1] + vol], place, gap);
    }

    function _under(Option.Expiry memory e, uint128 instrument, uint256[2] memory rows, uint256 place, uint256 gap)
        private
        pure
    {
        Option.Terms memory t = Option.terms(e, instrument);
        if (t.strike <= 0) return;
        uint256 strike = uint256(t.strike);
        (uint256 fa, uint256 fb) = (e.forwards[rows[0]], e.forwards[rows[1]]);
        uint256 sd = t.sd * (rows[0] % 2 == 0 ? e.up : e.down) / WAD;
        // Every other run at the strike, where the curve bends most.
        uint256 forward = place % 2 == 0 && fa < strike && strike < fb ? strike : bound(place, fa, fb);
        (uint256 ca,) = Black76.black(fa, strike, sd);
        (uint256 cb,) = Black76.black(fb, strike, sd);
        (uint256 here,) = Black76.black(forward, strike, sd);
        // Chord × width, exactly.
        uint256 chord = ca * (fb - forward) + cb * (forward - fa);
        assertLe(chord, (here + gap) * (fb - fa));
    }

    /// One second before expiry at a hundredth of a unit of volatility.
    function _calm() private pure returns (Slice memory s) {
        s = aSlice();
        s.expiry = NOW + 2;
        s.a = 0;
    }
}
