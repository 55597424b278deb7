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

    /// Price in each row as a multiple of the price now (the specification's g). Reverts for a fall beyond 1.
    function prices(ScanParameters memory p) internal pure returns (uint256[ROWS] memory g) {
        uint256 move = moveLimit(p);
        // Unchecked: a scan beyond 1 reverts in row 12.
        unchecked {
            uint256 third = p.scan / 3;
            uint256 thirds2 = 2 * uint256(p.scan) / 3;
            g[0] = g[1] = WAD;
            g[2] = g[3] = WAD + third;
            g[4] = g[5] = WAD - third;
            g[6] = g[7] = WAD + thirds2;
            g[8] = g[9] = WAD - thirds2;
        }
        g[10] = g[11] = _above(p.scan, move);
        g[12] = g[13] = _below(p.scan, move);
        g[14] = _above(p.extreme, move);
        g[15] = _below(p.extreme, move);
        g[16] = _above(p.deepUp, move);
        g[17] = _below(p.deepDown, move);
    }

    /// Prices in the three rows that can be the worst of something linear, and the first of them: rows 10, 14 and 16
    /// if it loses by a rise, 12, 15 and 17 by a fall. Rows of the grid between are nearer the price now.
    function ends(ScanParameters memory p, bool rise) internal pure returns (uint256[3] memory g) {
        uint256 move = moveLimit(p);
        if (rise) return [_above(p.scan, move), _above(p.extreme, move), _above(p.deepUp, move)];
        return [_below(p.scan, move), _below(p.extreme, move), _below(p.deepDown, move)];
    }

    /// Share of a row's loss that counts, BPS.
    function cover(ScanParameters memory p, uint256 row) internal pure returns (uint256) {
        if (row < GRID_ROWS) return BPS;
        if (row < 16) return p.extremeCover;
        return row == 16 ? p.deepUpCover : p.deepDownCover;
    }

    /// Share of the deepest rows' loss that covers the extreme rows too, BPS: an option's worth is convex in the price, so
    /// the way to the nearer row loses at most its part of the way to the farther one.
    function deepCovers(ScanParameters memory p) internal pure returns (uint256 up, uint256 down) {
        (uint256[3] memory rises, uint256[3] memory falls) = (ends(p, true), ends(p, false));
        up = Rounding.cdiv(p.extremeCover * (rises[1] - WAD), rises[2] - WAD);
        down = Rounding.cdiv(p.extremeCover * (WAD - falls[1]), WAD - falls[2]);
        if (up < p.deepUpCover) up = p.deepUpCover;
        if (down < p.deepDownCover) down = p.deepDownCover;
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
    function _above(uint256 share, uint256 move) private pure returns (uint256) {
        // Unchecked: both are uint64.
        unchecked {
            return Rounding.cdiv((WAD + share) * (WAD + move), WAD);
        }
    }

    function _below(uint256 share, uint256 move) private pure returns (uint256) {
        return (WAD - share) * (WAD - move) / WAD;
    }
}
