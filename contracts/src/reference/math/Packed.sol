// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {MarginParameters, ScanParameters} from "../Types.sol";
import {GRACE, Ramps, SLOPE} from "./Ramps.sol";

/// Parameter records as their storage words, fields in order from the low end, and what they are between two ends.
library Packed {
    uint256 internal constant RATES = type(uint224).max; // above it the start of MM's way
    uint256 internal constant START_SHIFT = 224;
    uint256 internal constant COVERS = type(uint48).max; // of a scan's third word; above it those of `from`, the start
    uint256 internal constant FROM_SHIFT = 48;
    uint256 internal constant SCAN_START_SHIFT = 96;
    uint256 private constant EVEN = type(uint64).max | uint256(type(uint64).max) << 128;
    uint256 private constant IM_ALONE = type(uint16).max | uint256(type(uint16).max) << 32; // imScalar, shortImRate
    uint256 private constant FIELDS = 7; // of rates
    uint256 private constant CONCENTRATION_FROM = 6; // the one where less is tighter

    function scan(ScanParameters memory p) internal pure returns (uint256[3] memory words) {
        words[0] = uint256(p.scan) | uint256(p.volUp) << 64 | uint256(p.volDown) << 128 | uint256(p.shortPower) << 192;
        words[1] =
            uint256(p.longPower) | uint256(p.extreme) << 64 | uint256(p.deepUp) << 128 | uint256(p.deepDown) << 192;
        words[2] = uint256(p.extremeCover) | uint256(p.deepUpCover) << 16 | uint256(p.deepDownCover) << 32;
    }

    /// @dev Field by field: a literal would be a second record beside the one to be returned.
    function scan(uint256 a, uint256 b, uint256 c) internal pure returns (ScanParameters memory p) {
        (p.scan, p.volUp, p.volDown, p.shortPower) = (uint64(a), uint64(a >> 64), uint64(a >> 128), uint64(a >> 192));
        (p.longPower, p.extreme, p.deepUp, p.deepDown) =
        (uint64(b), uint64(b >> 64), uint64(b >> 128), uint64(b >> 192));
        (p.extremeCover, p.deepUpCover, p.deepDownCover) = (uint16(c), uint16(c >> 16), uint16(c >> 32));
    }

    function rates(MarginParameters memory p) internal pure returns (uint256) {
        return uint256(p.imScalar) | uint256(p.mmScalar) << 16 | uint256(p.shortImRate) << 32 | uint256(p.shortMmRate)
            << 48 | uint256(p.concentrationRate) << 64 | uint256(p.confidenceFactor) << 80
            | uint256(p.concentrationFrom) << 96;
    }

    function rates(uint256 word) internal pure returns (MarginParameters memory p) {
        (p.imScalar, p.mmScalar) = (uint16(word), uint16(word >> 16));
        (p.shortImRate, p.shortMmRate) = (uint16(word >> 32), uint16(word >> 48));
        (p.concentrationRate, p.confidenceFactor) = (uint16(word >> 64), uint16(word >> 80));
        p.concentrationFrom = uint128(word >> 96);
    }

    /// Four fields of 64 bits, every one `done` seconds on its way, rounded down: as Ramps.at.
    function wide(uint256 from, uint256 to, uint256 done) internal pure returns (uint256 word) {
        // Unchecked: with times of 17 bits two products share a word, 128 bits each.
        unchecked {
            uint256 left = SLOPE - done;
            uint256 even = (from & EVEN) * left + (to & EVEN) * done;
            uint256 odd = (from >> 64 & EVEN) * left + (to >> 64 & EVEN) * done;
            word = uint128(even) / SLOPE | uint128(odd) / SLOPE << 64 | (even >> 128) / SLOPE << 128
                | (odd >> 128) / SLOPE << 192;
        }
    }

    /// The same of fields of 16 bits from bit `at` to `end`.
    function narrow(uint256 from, uint256 to, uint256 at, uint256 end, uint256 done)
        internal
        pure
        returns (uint256 word)
    {
        unchecked {
            uint256 left = SLOPE - done;
            for (; at < end; at += 16) {
                word |= (uint16(from >> at) * left + uint16(to >> at) * done) / SLOPE << at;
            }
        }
    }

    /// MM's rates `done` seconds on their way; imScalar and shortImRate as written.
    function ratesAt(uint256 from, uint256 to, uint256 done) internal pure returns (uint256) {
        unchecked {
            uint256 sum = uint128(from >> 96) * (SLOPE - done) + uint128(to >> 96) * done;
            return to & IM_ALONE | narrow(from, to, 16, 32, done) | narrow(from, to, 48, 96, done)
                | (sum + SLOPE - 1) / SLOPE << 96;
        }
    }

    /// Where MM's rates begin after `number` is written over `to`, and when they leave.
    function written(uint256 from, uint256 to, uint256 start, uint256 number, uint256 time)
        internal
        pure
        returns (uint256 begin, uint256)
    {
        bool anew = _tightens(number, to);
        uint256 done = Ramps.done(start, time);
        for (uint256 i; i < FIELDS; ++i) {
            (uint256 f, uint256 t, uint256 n) = (_field(from, i), _field(to, i), _field(number, i));
            begin |= Ramps.origin(f, t, done, n, anew, i != CONCENTRATION_FROM) << 16 * i;
        }
        return (begin, anew ? time + GRACE : start);
    }

    /// Any field of MM.
    function _tightens(uint256 number, uint256 to) private pure returns (bool) {
        (number, to) = (number & ~IM_ALONE, to & ~IM_ALONE);
        for (uint256 i; i < FIELDS; ++i) {
            if (Ramps.tighter(_field(number, i), _field(to, i), i != CONCENTRATION_FROM)) return true;
        }
        return false;
    }

    function _field(uint256 word, uint256 i) private pure returns (uint256) {
        return i < CONCENTRATION_FROM ? uint16(word >> 16 * i) : uint128(word >> 96);
    }
}
