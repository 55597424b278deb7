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

    /// Variance per year at `strike` (wad, > 0), wad, clamped. Checked: a slice too wild for it reverts.
    function variance(Slice memory slice, uint256 strike) internal pure returns (uint256) {
        int256 y = FixedPointMathLib.lnWad(int256(strike * WAD / slice.forward)) - slice.m;
        int256 s = slice.s;
        int256 root = int256(FixedPointMathLib.sqrt(uint256(y * y + s * s)));
        int256 v = slice.a + slice.b * (slice.rho * y / ONE + root) / ONE;
        if (v < LEAST_VARIANCE) return uint256(LEAST_VARIANCE);
        return uint256(v > MOST_VARIANCE ? MOST_VARIANCE : v);
    }

    /// Total standard deviation at `strike` over `thirds_` of a second, wad.
    function deviation(Slice memory slice, uint256 strike, uint256 thirds_) internal pure returns (uint256) {
        return FixedPointMathLib.sqrt(variance(slice, strike) * thirds_ * WAD / (3 * YEAR));
    }
}
