// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IProducts} from "./interfaces/IProducts.sol";
import {BPS, CollateralType, MarginParameters, ScanParameters, WAD} from "./Types.sol";

/// What any record may hold, whoever writes it.
library ParameterRules {
    /// Strictly ordered price rows, all above zero after widening by the move limit (spec, Scenarios).
    function check(ScanParameters memory scan) internal pure {
        within("scan", scan.scan, 12, WAD / 2 - 1);
        within("extreme", scan.extreme, scan.scan + 1, WAD - 1);
        within("deepUp", scan.deepUp, scan.extreme + 1, 10 * WAD);
        within("deepDown", scan.deepDown, scan.extreme + 1, WAD - 2); // −2: (W − deepDown)(W − move) / W >= 1
        within("volUp", scan.volUp, 0, 10 * WAD);
        within("volDown", scan.volDown, 0, WAD - 1);
        within("shortPower", scan.shortPower, 0, WAD);
        within("longPower", scan.longPower, 0, WAD);
        within("extremeCover", scan.extremeCover, 0, BPS);
        within("deepUpCover", scan.deepUpCover, 0, BPS);
        within("deepDownCover", scan.deepDownCover, 0, BPS);
    }

    function check(MarginParameters memory margin) internal pure {
        within("imScalar", margin.imScalar, BPS, type(uint16).max);
        within("mmScalar", margin.mmScalar, 1, BPS);
        within("shortImRate", margin.shortImRate, 0, BPS);
        within("shortMmRate", margin.shortMmRate, 0, margin.shortImRate);
        within("concentrationRate", margin.concentrationRate, 0, BPS);
    }

    /// A liquidator paid the largest discount still leaves more than the collateral counted for.
    function check(CollateralType memory accepted, uint256 mostIncentive, uint256 decimals) internal pure {
        within("haircut", accepted.haircut, 0, BPS - 1);
        within("incentive", (BPS + mostIncentive) * (BPS - accepted.haircut), 0, BPS * BPS - 1);
        within("decimals", accepted.decimals, decimals, decimals);
        within("decimals", decimals, 6, 18);
    }

    function within(bytes32 field, uint256 found, uint256 low, uint256 high) internal pure {
        if (found < low || found > high) revert IProducts.ParameterOutOfRange(field, found, low, high);
    }
}
