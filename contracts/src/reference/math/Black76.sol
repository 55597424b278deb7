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
    function black(uint256 forward, uint256 strike, uint256 sd) internal pure returns (uint256 call, uint256 n1) {
        // Unchecked: with the bounds above no product passes 2¹⁹⁶, and |ln| < 10²⁰.
        unchecked {
            uint256 intrinsic = forward > strike ? forward - strike : 0;
            if (forward == 0) return (0, 0);
            if (sd < LEAST_SD) return (intrinsic, forward > strike ? WAD : 0);
            uint256 moneyness = forward * WAD / strike;
            if (moneyness == 0) return (0, 0);
            int256 d1 = FixedPointMathLib.lnWad(int256(moneyness)) * int256(WAD) / int256(sd) + int256(sd / 2);
            n1 = Normal.cumulative(d1);
            uint256 gets = forward * n1;
            uint256 pays = strike * Normal.cumulative(d1 - int256(sd));
            call = gets > pays ? (gets - pays) / WAD : 0;
            if (call < intrinsic) call = intrinsic;
            else if (call > forward) call = forward;
        }
    }
}
