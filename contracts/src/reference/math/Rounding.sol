// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {WAD} from "../Types.sol";

/// Division with the direction in its name; `/` on signed numbers is the specification's `sdiv`.
library Rounding {
    /// a / b toward −∞.
    function fdiv(int256 a, int256 b) internal pure returns (int256 q) {
        q = a / b;
        // Unchecked: |q·b| <= |a|, and a q at either end of the range leaves no remainder.
        unchecked {
            if ((a < 0) != (b < 0) && q * b != a) --q;
        }
    }

    /// The wad below an exact amount of 10⁻³⁶ USD: fdiv by 10¹⁸, in less code.
    function wadBelow(int256 fine) internal pure returns (int256 wad) {
        wad = fine / int256(WAD);
        if (fine % int256(WAD) < 0) --wad;
    }

    /// a / b toward +∞.
    function cdiv(uint256 a, uint256 b) internal pure returns (uint256 q) {
        unchecked {
            q = a / b;
            if (q * b != a) ++q;
        }
    }
}
