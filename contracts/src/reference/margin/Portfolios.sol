// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Legs, ScanParameters, WORDS} from "../Types.sol";

uint256 constant ALL_ROWS = 256;

/// One underlying's part of a book. Names in brackets are those of docs/risk-arrays.md, "Margin of an account".
struct Group {
    uint256 underlying;
    uint256 expiries; // how many its options are spread over
    uint256 price; // newest report [S]
    uint256 confidence;
    uint256 epochPrice; // what the arrays are for [S_r]
    int256 linear; // perpetuals and collateral, wad [L]
    uint256 haircut; // Σ haircut × amount, BPS × wad
    uint256 perpetual; // Σ |size|
    uint256 options; // Σ |size|
    uint256 shorts; // Σ |size|, size < 0
    uint256 row; // the one that counts, NO_SCENARIO or ALL_ROWS
    int256 drift; // of the mark since the epoch, units × wad [corr]
    ScanParameters scan;
    int256[WORDS] words; // Σ size × word [m, D, –, P, row_s]; gamma stays with its expiry
}

/// One expiry's part of a group.
struct Expiry {
    uint256 key; // underlying 8 | expiry 40
    Group group;
    uint256 epoch;
    address blob;
    uint256 arrays; // that the blob holds
    int256 delta; // Σ size × word
    int256 gamma;
}

/// A book in memory: every leg knows its expiry, every expiry its underlying.
struct Portfolio {
    Group[] groups;
    Expiry[] expiries;
    uint256[] expiryOf; // leg → index in `expiries`; no meaning for perpetuals
}

/// Groups the legs of a book once, in one pass.
library Portfolios {
    using Portfolios for Portfolio;

    /// @param spare underlyings that may join later (one a collateral).
    function gather(uint256[] calldata legs, uint256 spare) internal pure returns (Portfolio memory p) {
        _reserve(p, legs.length, spare);
        uint256 lastKey;
        uint256 at;
        for (uint256 i; i < legs.length; ++i) {
            uint256 leg = legs[i];
            uint256 key = leg >> 208;
            if (uint40(key) == 0) {
                _addPerpetual(p.groups[p.group(key >> 40)], Legs.sizeOf(leg));
                continue;
            }
            // Legs opened together tend to lie together: one comparison instead of a search.
            if (key != lastKey) (lastKey, at) = (key, _expiry(p, key));
            p.expiryOf[i] = at;
            _addOption(p.expiries[at].group, Legs.sizeOf(leg));
        }
    }

    /// Index of an underlying's group, which is made where there is none. (An index: a function that returns a struct
    /// pays for an empty one first.)
    function group(Portfolio memory p, uint256 underlying) internal pure returns (uint256 at) {
        Group[] memory groups = p.groups;
        for (; at < groups.length; ++at) {
            if (groups[at].underlying == underlying) return at;
        }
        Group memory added;
        added.underlying = underlying;
        assembly ("memory-safe") {
            let n := add(at, 1)
            mstore(groups, n)
            mstore(add(groups, shl(5, n)), added)
        }
    }

    /// Expiries of a group, in the order of `Portfolio.expiries`.
    function expiriesOf(Portfolio memory p, Group memory g) internal pure returns (uint40[] memory found) {
        found = new uint40[](g.expiries);
        uint256 n;
        for (uint256 i; n < found.length; ++i) {
            uint256 key = p.expiries[i].key;
            if (key >> 40 == g.underlying) found[n++] = uint40(key);
        }
    }

    function _expiry(Portfolio memory p, uint256 key) private pure returns (uint256 at) {
        Expiry[] memory expiries = p.expiries;
        for (; at < expiries.length; ++at) {
            if (expiries[at].key == key) return at;
        }
        Group memory g = p.groups[p.group(key >> 40)];
        ++g.expiries;
        Expiry memory added = Expiry(key, g, 0, address(0), 0, 0, 0);
        assembly ("memory-safe") {
            let n := add(at, 1)
            mstore(expiries, n)
            mstore(add(expiries, shl(5, n)), added)
        }
    }

    function _addPerpetual(Group memory g, int256 size) private pure {
        g.linear += size;
        g.perpetual += _abs(size);
    }

    function _addOption(Group memory g, int256 size) private pure {
        uint256 quantity = _abs(size);
        g.options += quantity;
        if (size < 0) g.shorts += quantity;
    }

    function _abs(int256 size) private pure returns (uint256) {
        return uint256(size < 0 ? -size : size);
    }

    /// Empty lists with room for the worst case, so that they can grow in place: a leg brings one expiry and one
    /// group at most.
    function _reserve(Portfolio memory p, uint256 legs, uint256 spare) private pure {
        Group[] memory groups;
        Expiry[] memory expiries;
        assembly ("memory-safe") {
            groups := mload(0x40)
            mstore(groups, 0)
            expiries := add(groups, shl(5, add(add(legs, spare), 1)))
            mstore(expiries, 0)
            mstore(0x40, add(expiries, shl(5, add(legs, 1))))
        }
        (p.groups, p.expiries, p.expiryOf) = (groups, expiries, new uint256[](legs));
    }
}
