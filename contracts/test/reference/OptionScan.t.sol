// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Test} from "../Vm.sol";
import {Scan} from "../../src/reference/math/Scan.sol";
import {Svi} from "../../src/reference/math/Svi.sol";
import {ScanParameters, Slice} from "../../src/reference/Types.sol";

contract OptionScanTest is Test {
    /// R = 15 %: thirds of it, and 1.15 × 1.0125 and 0.85 × 0.9875 at the ends.
    function test_row_prices_by_hand() public pure {
        ScanParameters memory p = _parameters();
        assertEq(Scan.moveLimit(p), uint256(0.0125e18));
        uint256[18] memory g = Scan.prices(p);
        uint64[9] memory expected =
            [1e18, 1.05e18, 0.95e18, 1.1e18, 0.9e18, 1.164375e18, 0.839375e18, 1.468125e18, 0.543125e18];
        for (uint256 i; i < 7; ++i) {
            assertEq(g[2 * i], uint256(expected[i]));
            assertEq(g[2 * i + 1], uint256(expected[i]));
        }
        assertEq(g[14], uint256(expected[7]));
        assertEq(g[15], uint256(expected[8]));
        assertEq(g[16], uint256(3.0375e18));
        assertEq(g[17], uint256(0.33575e18));
        uint256[3] memory up = Scan.ends(p, true);
        uint256[3] memory down = Scan.ends(p, false);
        for (uint256 i; i < 3; ++i) {
            assertEq(up[i], g[[10, 14, 16][i]]);
            assertEq(down[i], g[[12, 15, 17][i]]);
        }
    }

    /// Rows at 1.468125 and 3.0375 (up), 0.543125 and 0.33575 (down): 0.468125 ÷ 2.0375 and 0.456875 ÷ 0.66425 of 35 %
    /// are 8.0414… % and 24.073… %.
    function test_deep_rows_cover_the_extreme_ones() public pure {
        ScanParameters memory p = _parameters();
        (p.extremeCover, p.deepUpCover, p.deepDownCover) = (3_500, 804, 2_407);
        (uint256 up, uint256 down) = Scan.deepCovers(p);
        assertEq(up, 805);
        assertEq(down, 2_408);
        (p.deepUpCover, p.deepDownCover) = (806, 2_409);
        (up, down) = Scan.deepCovers(p);
        assertEq(up, 806);
        assertEq(down, 2_409);
    }

    /// Odd digits: thirds are rounded down, the ends outwards.
    function test_row_prices_round_outwards() public pure {
        ScanParameters memory p;
        p.scan = 0.100000000000000001e18; // a third 0.033…, two thirds 0.066…67, move 0.00833…
        p.extreme = p.deepUp = p.deepDown = p.scan;
        uint256[18] memory g = Scan.prices(p);
        assertEq(g[2], uint256(1.033333333333333333e18));
        assertEq(g[4], uint256(0.966666666666666667e18));
        assertEq(g[6], uint256(1.066666666666666667e18));
        assertEq(g[8], uint256(0.933333333333333333e18));
        // 1.100000000000000001 × 1.008333333333333333 = 1.10916666666666666764…, 0.899… × 0.991… = 0.89249999999999999930…
        assertEq(g[10], uint256(1.109166666666666668e18));
        assertEq(g[12], uint256(0.892499999999999999e18));
        assertEq(g[14], g[10]);
        assertEq(g[15], g[12]);
        assertEq(g[16], g[10]);
        assertEq(g[17], g[12]);
    }

    function test_covers() public pure {
        ScanParameters memory p = _parameters();
        for (uint256 row; row < 14; ++row) {
            assertEq(Scan.cover(p, row), uint256(10_000));
        }
        assertEq(Scan.cover(p, 14), uint256(3500));
        assertEq(Scan.cover(p, 15), uint256(3500));
        assertEq(Scan.cover(p, 16), uint256(700));
        assertEq(Scan.cover(p, 17), uint256(3300));
    }

    /// 30^0.3 = 2.7741911…, (30 ÷ 7)^0.3 = 1.5474156…, 1.5^0.3 = 1.1293469…, 4^−0.13 = 0.8350879…
    function test_vol_multiples_by_hand() public pure {
        ScanParameters memory p = _parameters();
        _vols(p, 30 days, 1.5e18, 0.7e18);
        _vols(p, 1 days, 2.387095557336090543e18, 0.167742665598345674e18);
        _vols(p, 1, 2.387095557336090543e18, 0.167742665598345674e18); // a day is the least
        _vols(p, 7 days, 1.773707788605406592e18, 0.535775326836756045e18);
        _vols(p, 20 days, 1.564673467728428e18, 0.661195919362943e18);
        _vols(p, 120 days, 1.417543959714184678e18, 0.749473624171489193e18);
    }

    function test_vol_never_falls_below_a_hundredth() public pure {
        ScanParameters memory p = _parameters();
        p.volDown = 0.99e18;
        (, uint256 down) = Scan.vols(p, 30 days);
        assertEq(down, uint256(0.01e18));
        (, down) = Scan.vols(p, 1 days); // 1 − 0.99 × 2.77 < 0
        assertEq(down, uint256(0.01e18));
        p.volDown = 0.995e18;
        (, down) = Scan.vols(p, 30 days);
        assertEq(down, uint256(0.01e18));
        p.volDown = 0.98e18;
        (, down) = Scan.vols(p, 30 days);
        assertEq(down, uint256(0.02e18));
    }

    /// T − 2Δ/3 before the window, τ/3 inside, the same where they meet.
    function test_variance_time() public pure {
        assertEq(Svi.thirds(30 days + 1200), uint256(3 * 30 days));
        assertEq(Svi.thirds(1801), uint256(1803));
        assertEq(Svi.thirds(1800), uint256(1800));
        assertEq(Svi.thirds(1), uint256(1));
    }

    /// The slice of Axel Vogt, with the minimum known from the literature: 0.0174262526 at the forward.
    function test_variance_of_a_known_slice() public pure {
        Slice memory s = _vogt();
        _close(Svi.variance(s, 90_000e18), 17426252555159122, 5);
        _close(Svi.variance(s, 100_000e18), 13428400028676771, 5);
        _close(Svi.variance(s, 60_000e18), 43629464241770833, 5);
        _close(Svi.variance(s, 200_000e18), 57438790349695478, 5);
    }

    function test_variance_is_clamped() public pure {
        Slice memory s = _vogt();
        s.b = 0;
        s.a = -1e18;
        assertEq(Svi.variance(s, 90_000e18), uint256(1e14));
        s.a = 1e14 - 1;
        assertEq(Svi.variance(s, 90_000e18), uint256(1e14));
        s.a = 1e14 + 1;
        assertEq(Svi.variance(s, 90_000e18), uint256(1e14 + 1));
        s.a = 101e18;
        assertEq(Svi.variance(s, 90_000e18), uint256(100e18));
    }

    /// 45 % for 30 days of 365: 0.45 × √(30 ÷ 365).
    function test_deviation() public pure {
        Slice memory s = _vogt();
        s.b = 0;
        s.a = 0.2025e18;
        assertEq(Svi.deviation(s, 90_000e18, 3 * 30 days), uint256(129010990293224073));
    }

    function test_absurd_slices_revert() public {
        Slice memory s = _vogt();
        s.b = type(int128).max;
        s.m = type(int128).min;
        s.rho = type(int128).max;
        vm.expectRevert();
        this.variance(s, 90_000e18);
        s = _vogt();
        s.forward = type(uint128).max; // the strike is nothing beside it: no logarithm
        vm.expectRevert();
        this.variance(s, 1e8);
    }

    function variance(Slice memory s, uint256 strike) external pure returns (uint256) {
        return Svi.variance(s, strike);
    }

    function _parameters() private pure returns (ScanParameters memory p) {
        (p.scan, p.extreme, p.deepUp, p.deepDown) = (0.15e18, 0.45e18, 2e18, 0.66e18);
        (p.volUp, p.volDown, p.shortPower, p.longPower) = (0.5e18, 0.3e18, 0.3e18, 0.13e18);
        (p.extremeCover, p.deepUpCover, p.deepDownCover) = (3500, 700, 3300);
    }

    function _vogt() private pure returns (Slice memory s) {
        (s.a, s.b, s.m, s.rho, s.s) = (-0.041e18, 0.1331e18, 0.3586e18, 0.306e18, 0.4153e18);
        (s.forward, s.spot) = (90_000e18, 90_000e18);
    }

    function _vols(ScanParameters memory p, uint256 tau, uint256 up, uint256 down) private pure {
        (uint256 u, uint256 d) = Scan.vols(p, tau);
        _close(u, up, 1000);
        _close(d, down, 1000);
    }

    function _close(uint256 a, uint256 b, uint256 slack) private pure {
        assertLe(a, b + slack);
        assertLe(b, a + slack);
    }
}
