// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {BPS, GRID_ROWS, ROWS, ScanParameters, WAD} from "../Types.sol";
import {Rounding} from "./Rounding.sol";

/// The rows of a risk array, docs/risk-arrays.md "Scenarios" and "Volatility". All shares and multiples in wad.
library Scan {
    int256 private constant ONE = int256(WAD);
    uint256 private constant MONTH = 30 days;

    /// How far the price may move before arrays are stale: a quarter of a grid step.
    function moveLimit(ScanParameters memory p) internal pure returns (uint256) {
        return p.scan / 12;
    }

    /// Price in each row as a multiple of the price now (the specification's g).
    function prices(ScanParameters memory p) internal pure returns (uint256[ROWS] memory g) {
        for (uint256 row; row < ROWS; ++row) {
            g[row] = price(p, row);
        }
    }

    /// Price in one row as a multiple of the price now.
    function price(ScanParameters memory p, uint256 row) internal pure returns (uint256) {
        if (row < 2) return WAD;
        if (row < 4) return WAD + p.scan / 3;
        if (row < 6) return WAD - p.scan / 3;
        if (row < 8) return WAD + 2 * uint256(p.scan) / 3;
        if (row < 10) return WAD - 2 * uint256(p.scan) / 3;
        if (row < 12) return _above(p.scan, p);
        if (row < GRID_ROWS) return _below(p.scan, p);
        if (row == 14) return _above(p.extreme, p);
        if (row == 15) return _below(p.extreme, p);
        return row == 16 ? _above(p.deepUp, p) : _below(p.deepDown, p);
    }

    /// Share of a row's loss that counts, BPS.
    function cover(ScanParameters memory p, uint256 row) internal pure returns (uint256) {
        if (row < GRID_ROWS) return BPS;
        if (row < 16) return p.extremeCover;
        return row == 16 ? p.deepUpCover : p.deepDownCover;
    }

    /// What multiplies an option's standard deviation in even (up) and odd (down) grid rows, `tau` seconds to expiry.
    function vols(ScanParameters memory p, uint256 tau) internal pure returns (uint256 up, uint256 down) {
        uint256 d = tau > 1 days ? tau : 1 days;
        int256 power = int256(uint256(d <= MONTH ? p.shortPower : p.longPower));
        uint256 scale =
            uint256(FixedPointMathLib.expWad(power * FixedPointMathLib.lnWad(int256(MONTH * WAD / d)) / ONE));
        up = WAD + p.volUp * scale / WAD;
        uint256 fall = p.volDown * scale / WAD;
        down = fall + WAD / 100 < WAD ? WAD - fall : WAD / 100;
    }

    // Wider by the move limit, so that the row encloses its price seen from any allowed one.
    function _above(uint256 share, ScanParameters memory p) private pure returns (uint256) {
        return Rounding.cdiv((WAD + share) * (WAD + moveLimit(p)), WAD);
    }

    function _below(uint256 share, ScanParameters memory p) private pure returns (uint256) {
        return (WAD - share) * (WAD - moveLimit(p)) / WAD;
    }
}
