// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {AVERAGING, Slice, WAD, YEAR} from "../Types.sol";

/// Standard deviation of one strike, docs/risk-arrays.md "Time" and "Volatility". Raw SVI as in Gatheral and Jacquier,
/// "Arbitrage-free SVI volatility surfaces" (2014), on variance per year.
library Svi {
    int256 private constant ONE = int256(WAD);
    int256 private constant LEAST_VARIANCE = 1e14; // 1 % of volatility
    int256 private constant MOST_VARIANCE = 100e18; // 1000 %

    /// Variance time of an option settled on an average, in thirds of a second; `tau` seconds to expiry.
    function thirds(uint256 tau) internal pure returns (uint256) {
        return tau > AVERAGING ? 3 * tau - 2 * AVERAGING : tau;
    }

    error SliceTooWild(int256 root);

    /// Variance per year at `strike` (wad, > 0), wad, clamped. Reverts where the product with b could overflow: no slice
    /// that is kept comes near it.
    function variance(Slice memory slice, uint256 strike) internal pure returns (uint256) {
        int256 inner;
        // Unchecked: strike < 2¹⁰⁰ and |ln| < 2⁶⁸, so |y| < 2¹²⁷ + 2⁶⁸, its square and that of s (int128) fit one word
        // together, and so does rho · y.
        unchecked {
            int256 y = FixedPointMathLib.lnWad(int256(strike * WAD / slice.forward)) - slice.m;
            int256 s = slice.s;
            inner = slice.rho * y / ONE + int256(FixedPointMathLib.sqrt(uint256(y * y + s * s)));
        }
        if (inner != int128(inner)) revert SliceTooWild(inner);
        int256 v;
        unchecked {
            v = slice.a + slice.b * inner / ONE;
        }
        if (v < LEAST_VARIANCE) return uint256(LEAST_VARIANCE);
        return uint256(v > MOST_VARIANCE ? MOST_VARIANCE : v);
    }

    /// Total standard deviation at `strike` over `thirds_` of a second (< 2⁴³), wad.
    function deviation(Slice memory slice, uint256 strike, uint256 thirds_) internal pure returns (uint256) {
        unchecked {
            return FixedPointMathLib.sqrt(variance(slice, strike) * thirds_ * WAD / (3 * YEAR));
        }
    }
}
