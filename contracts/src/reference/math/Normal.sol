// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {WAD} from "../Types.sol";

/// Standard normal distribution, docs/risk-arrays.md "Normal distribution": Hart (1968) as in West, "Better
/// approximations to cumulative normal functions" (2005), to about 10⁻¹⁵.
library Normal {
    uint256 private constant SQRT_TWO_PI = 2506628274631000502;
    uint256 private constant FAR = 9e18; // beyond it the tail is under half a wad
    uint256 private constant SPLIT = 7071067811865475244; // 10 / √2

    /// Cumulative probability and density at `x`, wad. Total: never reverts.
    function normal(int256 x) internal pure returns (uint256, uint256 density) {
        unchecked {
            uint256 z = x < 0 ? uint256(-x) : uint256(x);
            if (z <= FAR) density = _exponential(z) * WAD / SQRT_TWO_PI;
        }
        return (cumulative(x), density);
    }

    /// Cumulative probability at `x`, wad: one exponential, and a density only where the tail needs it.
    function cumulative(int256 x) internal pure returns (uint256 n) {
        // Unchecked: z ≤ 9e18, so squares stay under 2¹²⁸ and the polynomials under 2¹⁰⁰; −x wraps only at the
        // lowest integer, which as unsigned is its own magnitude.
        unchecked {
            uint256 z = x < 0 ? uint256(-x) : uint256(x);
            if (z > FAR) return x > 0 ? WAD : 0;
            uint256 e = _exponential(z);
            n = z < SPLIT ? _hart(e, z) : e * WAD / SQRT_TWO_PI * WAD / _fraction(z);
            if (x > 0) n = WAD - n;
        }
    }

    function _exponential(uint256 z) private pure returns (uint256) {
        unchecked {
            return uint256(FixedPointMathLib.expWad(-int256(z * z / (2 * WAD))));
        }
    }

    /// e · P(z) ÷ Q(z), both by Horner. In assembly because two of these are a third of what an option costs.
    function _hart(uint256 e, uint256 z) private pure returns (uint256 tail) {
        assembly ("memory-safe") {
            let p := add(div(mul(z, 35262496599891100), 1000000000000000000), 700383064443688000)
            p := add(div(mul(p, z), 1000000000000000000), 6373962203531650000)
            p := add(div(mul(p, z), 1000000000000000000), 33912866078383000000)
            p := add(div(mul(p, z), 1000000000000000000), 112079291497871000000)
            p := add(div(mul(p, z), 1000000000000000000), 221213596169931000000)
            p := add(div(mul(p, z), 1000000000000000000), 220206867912376000000)
            let q := add(div(mul(z, 88388347648318400), 1000000000000000000), 1755667163182640000)
            q := add(div(mul(q, z), 1000000000000000000), 16064177579207000000)
            q := add(div(mul(q, z), 1000000000000000000), 86780732202946100000)
            q := add(div(mul(q, z), 1000000000000000000), 296564248779674000000)
            q := add(div(mul(q, z), 1000000000000000000), 637333633378831000000)
            q := add(div(mul(q, z), 1000000000000000000), 793826512519948000000)
            q := add(div(mul(q, z), 1000000000000000000), 440413735824752000000)
            tail := div(mul(e, p), q)
        }
    }

    /// Continued fraction of density ÷ tail, z > 7.
    function _fraction(uint256 z) private pure returns (uint256 c) {
        unchecked {
            c = z + 650000000000000000;
            c = z + 4 * WAD * WAD / c;
            c = z + 3 * WAD * WAD / c;
            c = z + 2 * WAD * WAD / c;
            c = z + WAD * WAD / c;
        }
    }
}
