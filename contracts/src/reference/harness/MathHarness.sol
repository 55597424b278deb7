// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {Report, ROWS, ScanParameters, Slice} from "../Types.sol";
import {Black76} from "../math/Black76.sol";
import {Normal} from "../math/Normal.sol";
import {Option} from "../math/Option.sol";
import {Scan} from "../math/Scan.sol";
import {Svi} from "../math/Svi.sol";

/// @title The venue's mathematics in batches, for comparing it with the integer twin. Never deployed with a venue.
contract MathHarness {
    /// One option and all it is priced from.
    struct Priced {
        Report report;
        Slice slice;
        ScanParameters scan;
        uint256 instrument;
        uint256 row; // for legs
    }

    function logarithms(int256[] calldata x) external pure returns (int256[] memory y) {
        y = new int256[](x.length);
        for (uint256 i; i < x.length; ++i) {
            y[i] = FixedPointMathLib.lnWad(x[i]);
        }
    }

    function exponentials(int256[] calldata x) external pure returns (int256[] memory y) {
        y = new int256[](x.length);
        for (uint256 i; i < x.length; ++i) {
            y[i] = FixedPointMathLib.expWad(x[i]);
        }
    }

    function roots(uint256[] calldata x) external pure returns (uint256[] memory y) {
        y = new uint256[](x.length);
        for (uint256 i; i < x.length; ++i) {
            y[i] = FixedPointMathLib.sqrt(x[i]);
        }
    }

    function normals(int256[] calldata x) external pure returns (uint256[2][] memory y) {
        y = new uint256[2][](x.length);
        for (uint256 i; i < x.length; ++i) {
            (y[i][0], y[i][1]) = Normal.normal(x[i]);
        }
    }

    /// @param x Forward, strike and standard deviation.
    /// @return y Call and N(d1).
    function calls(uint256[3][] calldata x) external pure returns (uint256[2][] memory y) {
        y = new uint256[2][](x.length);
        for (uint256 i; i < x.length; ++i) {
            (y[i][0], y[i][1]) = Black76.black(x[i][0], x[i][1], x[i][2]);
        }
    }

    /// @return y Variance a year and standard deviation of every option at its strike.
    function deviations(Priced[] calldata x) external pure returns (uint256[2][] memory y) {
        y = new uint256[2][](x.length);
        for (uint256 i; i < x.length; ++i) {
            uint256 strike = uint256(uint64(x[i].instrument >> 16)) * 1e10;
            y[i][0] = Svi.variance(x[i].slice, strike);
            y[i][1] = Svi.deviation(x[i].slice, strike, Svi.thirds(x[i].slice.expiry - x[i].report.timestamp));
        }
    }

    /// @return g Price of every row.
    /// @return up Volatility multiple of even rows.
    /// @return down Of odd rows.
    function rows(Priced[] calldata x)
        external
        pure
        returns (uint256[ROWS][] memory g, uint256[] memory up, uint256[] memory down)
    {
        g = new uint256[ROWS][](x.length);
        (up, down) = (new uint256[](x.length), new uint256[](x.length));
        for (uint256 i; i < x.length; ++i) {
            g[i] = Scan.prices(x[i].scan);
            (up[i], down[i]) = Scan.vols(x[i].scan, x[i].slice.expiry - x[i].report.timestamp);
        }
    }

    /// @return y Whole arrays, 132 bytes each, one after the other.
    function arrays(Priced[] calldata x) external pure returns (bytes memory y) {
        y = new bytes(132 * x.length);
        for (uint256 i; i < x.length; ++i) {
            bytes memory one = Option.array(_prepared(x[i]), uint128(x[i].instrument));
            assembly ("memory-safe") {
                mcopy(add(add(y, 32), mul(i, 132)), add(one, 32), 132)
            }
        }
    }

    /// @return y Mark, delta and worth at the row in units, and the mark in wad.
    function legs(Priced[] calldata x) external pure returns (int256[4][] memory y) {
        y = new int256[4][](x.length);
        for (uint256 i; i < x.length; ++i) {
            Option.Expiry memory e = _prepared(x[i]);
            (y[i][0], y[i][1], y[i][2]) = Option.leg(e, uint128(x[i].instrument), x[i].row);
            y[i][3] = int256(Option.mark(e, uint128(x[i].instrument)));
        }
    }

    function _prepared(Priced calldata x) private pure returns (Option.Expiry memory) {
        return Option.prepare(x.report, x.slice, x.scan);
    }
}
