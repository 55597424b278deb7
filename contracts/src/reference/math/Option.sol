// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {
    BPS,
    GRID_ROWS,
    Instruments,
    NO_SCENARIO,
    ROWS,
    Report,
    ScanParameters,
    Slice,
    UNIT,
    WAD,
    WORDS
} from "../Types.sol";
import {Black76} from "./Black76.sol";
import {Rounding} from "./Rounding.sol";
import {Scan} from "./Scan.sol";
import {Svi} from "./Svi.sol";
import {Words} from "./Words.sol";

/// Everything about one option, from a report, a slice and scan parameters: docs/risk-arrays.md, "Forward, strike and
/// the fixed part" to "Words of one option". Prepare an expiry once, then ask for any of its options.
library Option {
    error Expired(uint40 expiry, uint40 timestamp);
    error ForwardOutOfRange(uint256 forward);

    /// What all options of one expiry share.
    struct Expiry {
        Slice slice;
        uint256 thirds; // variance time
        uint256 unfixed; // q, wad
        uint256 fixedPart; // w·A, USD, wad
        uint256 forward; // F(1), USD, wad
        // Zero where prepared without scan parameters:
        uint256[ROWS] forwards; // F(g) of each row
        uint256 up; // vol multiples, wad
        uint256 down;
        uint256 above; // F(1 + move limit), USD, wad
        uint256 below; // F(1 − move limit)
    }

    /// What is an option's own: strike less the fixed part (may be <= 0), standard deviation, kind.
    struct Terms {
        int256 strike;
        uint256 sd;
        bool call;
    }

    /// For marks only. The slice must be of the report's underlying. Reverts Expired where expiry <= the report's time.
    function prepare(Report memory report, Slice memory slice) internal pure returns (Expiry memory e) {
        _setTerms(e, report, slice);
    }

    /// For marks, deltas, rows and whole arrays.
    function prepare(Report memory report, Slice memory slice, ScanParameters memory p)
        internal
        pure
        returns (Expiry memory)
    {
        return prepare(report, slice, p, Scan.prices(p));
    }

    /// The same, where the prices of the rows are known.
    function prepare(Report memory report, Slice memory slice, ScanParameters memory p, uint256[ROWS] memory factors)
        internal
        pure
        returns (Expiry memory e)
    {
        uint256 unscaled = _setTerms(e, report, slice);
        (e.up, e.down) = Scan.vols(p, slice.expiry - report.timestamp);
        e.above = unscaled * (WAD + Scan.moveLimit(p)) / WAD * e.unfixed / WAD;
        e.below = unscaled * (WAD - Scan.moveLimit(p)) / WAD * e.unfixed / WAD;
        uint256[ROWS] memory f = e.forwards;
        uint256 unfixed = e.unfixed;
        // Unchecked: unscaled < 2¹²⁸, g < 2⁶⁷ for any parameters, unfixed <= 1.
        unchecked {
            for (uint256 row; row < ROWS; ++row) {
                f[row] = unscaled * factors[row] / WAD * unfixed / WAD;
            }
        }
    }

    /// Returns the forward before any share of it is fixed.
    function _setTerms(Expiry memory e, Report memory report, Slice memory slice)
        private
        pure
        returns (uint256 unscaled)
    {
        if (slice.expiry <= report.timestamp) revert Expired(slice.expiry, report.timestamp);
        e.slice = slice;
        e.thirds = Svi.thirds(slice.expiry - report.timestamp);
        e.unfixed = WAD;
        if (report.fixingExpiry == slice.expiry) {
            e.unfixed = WAD - report.fixedShare;
            e.fixedPart = uint256(report.fixedShare) * report.fixedAverage / WAD;
        }
        unscaled = _unscaled(report, slice);
        e.forward = unscaled * e.unfixed / WAD;
    }

    /// The forward before any share of it is fixed. The unchecked arithmetic of Black76 rests on its bound.
    function _unscaled(Report memory report, Slice memory slice) private pure returns (uint256 forward) {
        forward = uint256(report.price) * slice.forward / slice.spot;
        if (forward > type(uint128).max) revert ForwardOutOfRange(forward);
    }

    function terms(Expiry memory e, uint128 instrument) internal pure returns (Terms memory t) {
        uint256 strike = Instruments.strikeOf(instrument);
        // Unchecked here and below: strikes are under 2⁹⁸, forwards and the fixed part under 2¹³⁶, n1 is at most 1, and
        // the deviation times any multiple under 2²²⁶.
        unchecked {
            t.strike = int256(strike) - int256(e.fixedPart);
        }
        t.sd = Svi.deviation(e.slice, strike, e.thirds);
        t.call = Instruments.isCall(instrument);
    }

    /// Mark, USD, wad, not floored to units.
    function mark(Expiry memory e, uint128 instrument) internal pure returns (uint256 worth) {
        Terms memory t = terms(e, instrument);
        (uint256 call,) = _call(e.forward, t.strike, t.sd);
        worth = _worth(t, call, e.forward);
    }

    /// The words of a one-scenario proof, in units: mark, delta, and the option's whole worth at `row` (mark word +
    /// row word of the array). `row` = NO_SCENARIO: the worth at the mark again.
    function leg(Expiry memory e, uint128 instrument, uint256 row)
        internal
        pure
        returns (int256 mark_, int256 delta, int256 atRow)
    {
        Terms memory t = terms(e, instrument);
        (mark_, delta) = _markAndDelta(e, t);
        if (row == NO_SCENARIO) return (mark_, delta, mark_);
        atRow = _atRow(e, t, row);
    }

    /// Mark, delta, and what one contract can lose with nothing beside it, units × BPS: a long option its whole mark; a
    /// short one, whose worth rises with the price (a put's falls) and with volatility, the larger of two rows by their
    /// covers. `deepCover` is that of the deepest row, Scan.deepCovers; two units more there bound the floors of the row
    /// it stands for.
    function alone(Expiry memory e, uint128 instrument, bool short, uint256 deepCover)
        internal
        pure
        returns (int256 mark_, int256 delta, uint256 loss)
    {
        Terms memory t = terms(e, instrument);
        (mark_, delta) = _markAndDelta(e, t);
        if (!short) return (mark_, delta, uint256(mark_) * BPS);
        unchecked {
            int256 lost = _atRow(e, t, t.call ? 10 : 12) - mark_;
            int256 deep = _atRow(e, t, t.call ? 16 : 17) - mark_;
            if (lost > 0) loss = uint256(lost) * BPS;
            if (deep > 0) loss = FixedPointMathLib.max(loss, uint256(deep + 2) * deepCover);
        }
    }

    function _markAndDelta(Expiry memory e, Terms memory t) private pure returns (int256 mark_, int256 delta) {
        uint256 forward = e.forward;
        (uint256 call, uint256 n1) = _call(forward, t.strike, t.sd);
        return (_units(_worth(t, call, forward)), _delta(t, n1, forward));
    }

    function _atRow(Expiry memory e, Terms memory t, uint256 row) private pure returns (int256) {
        uint256 forward = e.forwards[row];
        (uint256 call,) = _call(forward, t.strike, _shocked(e, t.sd, row));
        return _units(_worth(t, call, forward));
    }

    /// All 22 words.
    function words(Expiry memory e, uint128 instrument) internal pure returns (int256[WORDS] memory w) {
        Terms memory t = terms(e, instrument);
        _now(e, t, w);
        uint256[ROWS] memory calls;
        uint256[ROWS] memory n1s;
        for (uint256 row; row < ROWS; ++row) {
            (calls[row], n1s[row]) = _call(e.forwards[row], t.strike, _shocked(e, t.sd, row));
            w[Words.FIRST_ROW + row] = _units(_worth(t, calls[row], e.forwards[row])) - w[Words.MARK];
        }
        if (t.strike > 0) w[Words.GAP] = int256(Rounding.cdiv(_widestGap(e.forwards, calls, n1s), UNIT));
    }

    /// The array as published, 132 bytes. Reverts Words.WordOutOfRange.
    function array(Expiry memory e, uint128 instrument) internal pure returns (bytes memory) {
        return Words.encode(words(e, instrument));
    }

    function _now(Expiry memory e, Terms memory t, int256[WORDS] memory w) private pure {
        (uint256 call, uint256 n1) = _call(e.forward, t.strike, t.sd);
        w[Words.MARK] = _units(_worth(t, call, e.forward));
        w[Words.DELTA] = _delta(t, n1, e.forward);
        if (t.strike <= 0) return;
        uint256 up = _aboveTangent(e, t, call, n1, e.above);
        uint256 down = _aboveTangent(e, t, call, n1, e.below);
        w[Words.BEND] = int256(Rounding.cdiv(up > down ? up : down, WAD * UNIT));
    }

    /// How far the call at `moved` lies above its tangent at the mark; 0 where rounding puts it below. USD, 10⁻³⁶.
    function _aboveTangent(Expiry memory e, Terms memory t, uint256 call, uint256 n1, uint256 moved)
        private
        pure
        returns (uint256)
    {
        (uint256 there,) = _call(moved, t.strike, t.sd);
        int256 rise = (int256(there) - int256(call)) * int256(WAD);
        int256 tangent = (int256(moved) - int256(e.forward)) * int256(n1);
        return rise > tangent ? uint256(rise - tangent) : 0;
    }

    /// The call on the unfixed part, and N(d1); linear where the strike is used up.
    function _call(uint256 forward, int256 strike, uint256 sd) private pure returns (uint256, uint256) {
        if (strike > 0) return Black76.black(forward, uint256(strike), sd);
        unchecked {
            return (uint256(int256(forward) - strike), WAD);
        }
    }

    /// Call, or put by parity: never negative, Black76 keeps the call at or above its intrinsic.
    function _worth(Terms memory t, uint256 call, uint256 forward) private pure returns (uint256) {
        unchecked {
            return t.call ? call : uint256(int256(call) + t.strike - int256(forward));
        }
    }

    function _delta(Terms memory t, uint256 n1, uint256 forward) private pure returns (int256 dollars) {
        unchecked {
            dollars = int256(forward * n1 / WAD);
            if (!t.call) dollars -= int256(forward);
        }
        dollars = Rounding.fdiv(dollars, int256(UNIT));
    }

    function _shocked(Expiry memory e, uint256 sd, uint256 row) private pure returns (uint256) {
        if (row >= GRID_ROWS) return sd;
        unchecked {
            return sd * (row & 1 == 0 ? e.up : e.down) / WAD;
        }
    }

    function _units(uint256 wad) private pure returns (int256) {
        return int256(wad / UNIT);
    }

    // Grid prices in ascending order, as rows of the upper volatility.
    bytes7 private constant ASCENDING = 0x0c08040002060a;

    /// The largest gap of the six cells at both volatilities, USD, wad, rounded up.
    function _widestGap(uint256[ROWS] memory forwards, uint256[ROWS] memory calls, uint256[ROWS] memory n1s)
        private
        pure
        returns (uint256 widest)
    {
        for (uint256 vol; vol < 2; ++vol) {
            uint256 a = uint8(ASCENDING[0]) + vol;
            for (uint256 i = 1; i < 7; ++i) {
                uint256 b = uint8(ASCENDING[i]) + vol;
                uint256 gap = cellGap(forwards[b] - forwards[a], int256(calls[b]) - int256(calls[a]), n1s[a], n1s[b]);
                if (gap > widest) widest = gap;
                a = b;
            }
        }
    }

    /// How far a convex curve that rises by `rise` over `width`, with slopes n1a and n1b (wad, each known to 10⁻¹⁴) at
    /// the ends, can lie under its chord: where the two tangents meet. USD, wad, rounded up.
    function cellGap(uint256 width, int256 rise, uint256 n1a, uint256 n1b) internal pure returns (uint256) {
        // Unchecked: width and rise are under 2¹³⁶, slopes under 2⁶⁰, so no product passes 2²⁵⁶.
        unchecked {
            uint256 p = n1a > 1e4 ? n1a - 1e4 : 0;
            uint256 n = n1b + 1e4 < WAD ? n1b + 1e4 : WAD;
            if (n <= p) return 0;
            int256 low = rise * int256(WAD) - int256(p * width);
            int256 high = int256(n * width) - rise * int256(WAD);
            if (low <= 0 || high <= 0) return 0;
            return FixedPointMathLib.fullMulDivUp(uint256(low), uint256(high), (n - p) * width * WAD);
        }
    }
}
