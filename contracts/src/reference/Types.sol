// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

// Scales, record types and packed identifiers shared by every contract of the reference venue.
// The numbers' meaning and rounding are specified once, in docs/risk-arrays.md.

uint256 constant WAD = 1e18;
uint256 constant BPS = 1e4;
uint256 constant UNIT = 1e12; // one array word: 10⁻⁶ USD, in wad
uint256 constant YEAR = 365 days;
uint256 constant AVERAGING = 30 minutes; // settlement window, Δ
uint256 constant ROWS = 18; // 14 grid points, 2 extremes, 2 deep tails
uint256 constant GRID_ROWS = 14;
uint256 constant WORDS = 22; // mark, delta, bend, gap, then the rows
uint256 constant WORD_BYTES = 6; // int48, two's complement, big-endian
uint256 constant ARRAY_BYTES = 132; // WORDS * WORD_BYTES
uint256 constant HEADER_BYTES = 96;
uint256 constant MAX_LEGS = 128;
uint256 constant MAX_EXPIRIES = 12;
uint256 constant MAX_COLLATERALS = 8;
uint256 constant MAX_HELD_UNDERLYINGS = 4; // of an account's legs; no credit is given between underlyings anyway
uint256 constant MAX_SERVED_UNDERLYINGS = 4; // of one publisher: a proof against him voids his epochs on each
uint256 constant MAX_SIZE = 1e26; // largest |position|, contracts in wad
uint8 constant NO_SCENARIO = 255;
uint64 constant ANY_SEQUENCE = type(uint64).max; // where a caller expects no particular one

/// One underlying's price at one moment. `fundingIndex` is what one contract of the perpetual, held since the
/// beginning, has paid: USD in wad, signed. `fixingExpiry` is the expiry inside its averaging window, or 0.
struct Report {
    uint8 underlying;
    uint40 timestamp;
    uint40 fixingExpiry;
    uint32 sequence; // 1, 2, 3, … per underlying
    uint128 price; // USD per unit, wad, > 0
    uint128 confidence; // half-width, USD, wad
    int64 fundingRate; // share of the price a second, wad, signed: > 0 longs pay
    int128 fundingIndex; // USD per unit, wad
    uint64 fixedShare; // w, wad, 0..1e18
    uint128 fixedAverage; // A, USD, wad; 0 while w = 0
}

/// What a source says of one underlying; sequence and funding index are the relay's own. Inside the averaging window of
/// an expiry, and once after it, `fixing…` must name it (ReportStore.fixingAt).
struct Observation {
    uint8 underlying;
    uint40 timestamp;
    uint128 price; // USD per unit, wad
    uint128 confidence; // half-width, USD, wad
    int64 fundingRate; // share of the price a second, wad
    uint40 fixingExpiry;
    uint64 fixedShare; // wad
    uint128 fixedAverage; // USD, wad; average over the fixed share of the window
}

/// Raw SVI of one expiry's implied variance per year, and the forward it was fitted at.
struct Slice {
    uint8 underlying;
    uint40 expiry;
    uint40 timestamp;
    uint128 forward; // USD, wad, at the time of the fit
    uint128 spot; // USD, wad, at the time of the fit
    int128 a; // wad
    int128 b;
    int128 rho;
    int128 m;
    int128 s;
}

/// What shapes the arrays of one underlying; a new version for every change.
struct ScanParameters {
    uint64 scan; // R, wad: the outermost grid point, e.g. 0.15e18
    uint64 volUp; // relative, wad
    uint64 volDown; // relative, wad, < 1e18
    uint64 shortPower; // of (30 days ÷ max(days, 1)), up to 30 days, wad
    uint64 longPower; // beyond
    uint64 extreme; // X, wad: rows 14 and 15
    uint64 deepUp; // wad: row 16
    uint64 deepDown; // wad: row 17
    uint16 extremeCover; // share of the loss that counts, BPS
    uint16 deepUpCover;
    uint16 deepDownCover;
}

/// What turns arrays into margin, per underlying. Shares in BPS.
struct MarginParameters {
    uint16 imScalar; // >= 1e4: scan, IM
    uint16 mmScalar; // <= 1e4: scan, MM
    uint16 shortImRate; // of spot, per short option
    uint16 shortMmRate;
    uint16 concentrationRate; // of spot, per contract beyond the threshold
    uint16 confidenceFactor; // of confidence × |net delta|; 1e4 = once
    uint128 concentrationFrom; // contracts, wad
}

/// One accepted token beside the settlement token.
struct CollateralType {
    address token;
    uint8 decimals;
    uint8 underlying; // whose price it has: it is a linear leg of that underlying's scan
    uint16 haircut; // BPS
    uint128 cap; // token base units, whole venue
}

/// An account as the margin rules see it; funding accrued and expiries settled already.
struct Book {
    int256 cash; // USD, wad
    uint256[] legs; // packed: instrument id (high 128 bits) | size (int128, contracts, wad)
    uint256[] collateral; // packed: collateral index (high 128 bits) | amount (token base units)
}

/// A margin statement. USD, wad; equity rounded down, requirements up. Equity equal to a requirement satisfies it.
struct Check {
    int256 equity;
    uint256 im;
    uint256 mm;
}

/// Instrument ids, 128 bits: underlying 8 | expiry 40 | strike 64 (10⁻⁸ USD) | kind 1 (1 = call) | index 15.
/// A perpetual has expiry, strike, kind and index 0. `index` is the row of the option's array in its expiry's blob.
library Instruments {
    function pack(uint8 underlying, uint40 expiry, uint64 strike, bool call, uint16 index)
        internal
        pure
        returns (uint128)
    {
        return uint128(underlying) << 120 | uint128(expiry) << 80 | uint128(strike) << 16
            | (call ? uint128(1) << 15 : uint128(0)) | uint128(index & 0x7fff);
    }

    function underlyingOf(uint128 id) internal pure returns (uint8) {
        return uint8(id >> 120);
    }

    function expiryOf(uint128 id) internal pure returns (uint40) {
        return uint40(id >> 80);
    }

    /// Strike in wad.
    function strikeOf(uint128 id) internal pure returns (uint256) {
        return uint256(uint64(id >> 16)) * 1e10;
    }

    function isCall(uint128 id) internal pure returns (bool) {
        return (id >> 15) & 1 == 1;
    }

    function indexOf(uint128 id) internal pure returns (uint256) {
        return id & 0x7fff;
    }

    function isOption(uint128 id) internal pure returns (bool) {
        return expiryOf(id) != 0;
    }
}

/// A position in one storage slot: instrument id (high 128 bits) | size (int128).
library Legs {
    function pack(uint128 id, int128 size) internal pure returns (uint256) {
        return uint256(id) << 128 | uint128(size);
    }

    function idOf(uint256 leg) internal pure returns (uint128) {
        return uint128(leg >> 128);
    }

    function sizeOf(uint256 leg) internal pure returns (int256) {
        return int256(int128(uint128(leg)));
    }

    /// Toward zero and not beyond.
    function reduces(int256 size, int256 delta) internal pure returns (bool) {
        return size > 0 ? delta < 0 && size + delta >= 0 : delta > 0 && size + delta <= 0;
    }
}
