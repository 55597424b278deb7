// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {WAD} from "../Types.sol";
import {Normal} from "./Normal.sol";

/// Undiscounted call on a forward, docs/risk-arrays.md "Black-76".
library Black76 {
    uint256 private constant LEAST_SD = 1e8; // below it the option is its intrinsic

    /// Price of the call (USD, wad) and N(d1), wad. `sd` is the total standard deviation, wad.
    /// Needs forward < 2¹³⁶, 0 < strike < 2¹³⁶, sd < 2²²⁴ (Option keeps them so).
    function black(uint256 forward, uint256 strike, uint256 sd) internal pure returns (uint256 worth, uint256 n1) {
        if (forward == 0) return (0, 0);
        uint256 intrinsic;
        uint256 moneyness;
        assembly ("memory-safe") {
            intrinsic := mul(gt(forward, strike), sub(forward, strike))
            moneyness := div(mul(forward, WAD), strike)
        }
        if (sd < LEAST_SD) return (intrinsic, intrinsic > 0 ? WAD : 0);
        if (moneyness == 0) return (0, 0);
        int256 d1 = FixedPointMathLib.lnWad(int256(moneyness));
        // In assembly, which checks nothing: with the bounds above no product passes 2¹⁹⁶, and |ln| < 10²⁰.
        assembly ("memory-safe") {
            d1 := add(sdiv(mul(d1, WAD), sd), shr(1, sd))
        }
        n1 = Normal.cumulative(d1);
        assembly ("memory-safe") {
            d1 := sub(d1, sd)
        }
        uint256 n2 = Normal.cumulative(d1);
        assembly ("memory-safe") {
            let gets := mul(forward, n1)
            let pays := mul(strike, n2)
            worth := mul(gt(gets, pays), div(sub(gets, pays), WAD))
            if lt(worth, intrinsic) { worth := intrinsic }
            if gt(worth, forward) { worth := forward }
        }
    }
}
