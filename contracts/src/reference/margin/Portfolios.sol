// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Packed} from "../math/Packed.sol";
import {Legs, MarginParameters, ROWS, ScanParameters, WORDS} from "../Types.sol";

uint256 constant ALL_ROWS = 256;
uint256 constant LEGS_ALONE = 257;

/// One underlying's part of a book. Names in brackets are those of docs/risk-arrays.md, "Margin of an account".
struct Group {
    uint256 underlying;
    uint256 expiries; // how many its options are spread over
    uint256 price; // newest report [S]
    uint256 confidence;
    uint256 epochPrice; // what the arrays are for [S_r]
    int256 linear; // perpetuals and collateral, wad [L]
    uint256 haircut; // Σ haircut × amount, BPS × wad
    uint256 haircutMm;
    uint256 perpetual; // Σ |size|
    uint256 options; // Σ |size|
    uint256 shorts; // Σ |size|, size < 0
    uint256 row; // the one that counts, NO_SCENARIO, ALL_ROWS or LEGS_ALONE
    int256 drift; // of the mark since the epoch, units × wad [corr]
    ScanParameters scan;
    MarginParameters rates;
    MarginParameters ratesMm; // the same pointer where nothing is on its way
    uint256[ROWS] factors; // price of each row; set where there are options
    uint256 coverUp; // of the deepest rows, for legs alone
    uint256 coverDown;
    int256[WORDS] words; // Σ size × word [m, D, B, P, row_s]
}

/// One expiry's part of a group.
struct Expiry {
    uint256 key; // underlying 8 | expiry 40
    uint256 group; // index in `Portfolio.groups`
    uint256 sums; // memory pointer of the group's `words`
    uint256 longs; // Σ |size|
    uint256 shorts;
    uint256 epoch;
    address blob;
    uint256 arrays; // that the blob holds
}

/// A book in memory: every leg knows its expiry, every expiry its underlying. (By index: a struct inside a struct, or one
/// declared before it is known, is paid for as an empty one first.)
struct Portfolio {
    Group[] groups;
    Expiry[] expiries;
    uint256[] expiryOf; // leg → 1 + index in `expiries`, 0 for a perpetual
}

/// Groups the legs of a book, in one pass.
library Portfolios {
    using Portfolios for Portfolio;

    uint256 private constant GROUP_WORDS = 20; // fields of Group, `words` the last
    uint256 private constant CACHE_WORDS = 61; // a prime: expiries are multiples of days and weeks

    /// @param spare underlyings that may join later (one a collateral).
    /// @dev Unchecked: |size| <= 2¹²⁷, so sums over any number of legs that fits in calldata stay far inside 256 bits.
    function gather(uint256[] calldata legs, uint256 spare) internal pure returns (Portfolio memory p) {
        _reserve(p, legs.length, spare);
        uint256[] memory cache = new uint256[](CACHE_WORDS);
        uint256[] memory expiryOf = p.expiryOf;
        Expiry[] memory expiries = p.expiries;
        for (uint256 i; i < legs.length;) {
            uint256 leg;
            uint256 slot;
            uint256 known;
            assembly ("memory-safe") {
                leg := calldataload(add(legs.offset, shl(5, i)))
                slot := add(add(cache, 32), shl(5, mod(shr(208, leg), CACHE_WORDS)))
                known := mload(slot) // key 48 | 1 + index in `expiries`
            }
            unchecked {
                ++i;
            }
            if (known == 0 || (known ^ leg) >> 208 != 0) {
                uint256 key = leg >> 208;
                if (uint40(key) == 0) {
                    _addPerpetual(p.groups[p.group(key >> 40)], Legs.sizeOf(leg));
                    continue;
                }
                known = key << 208 | (_expiry(p, key) + 1);
                assembly ("memory-safe") {
                    mstore(slot, known)
                }
            }
            assembly ("memory-safe") {
                let at := and(known, 0xffffffff)
                mstore(add(expiryOf, shl(5, i)), at)
                let size := signextend(15, leg)
                let sign := sar(255, size)
                // Expiry.longs is word 3, Expiry.shorts word 4.
                let field := add(mload(add(expiries, shl(5, at))), add(96, and(sign, 32)))
                mstore(field, add(mload(field), sub(xor(size, sign), sign)))
            }
        }
        for (uint256 i; i < p.expiries.length; ++i) {
            Group memory g = p.groups[p.expiries[i].group];
            unchecked {
                g.options += p.expiries[i].longs + p.expiries[i].shorts;
                g.shorts += p.expiries[i].shorts;
            }
        }
    }

    /// Index of an underlying's group, which is made where there is none. (An index: a function that returns a struct
    /// pays for an empty one first.)
    function group(Portfolio memory p, uint256 underlying) internal pure returns (uint256 at) {
        Group[] memory groups = p.groups;
        for (; at < groups.length; ++at) {
            if (groups[at].underlying == underlying) return at;
        }
        // By hand, as Solidity would fill the parameters too, which whoever prices the group sets.
        assembly ("memory-safe") {
            let added := mload(0x40)
            let words := add(added, mul(32, GROUP_WORDS))
            mstore(0x40, add(words, mul(32, WORDS)))
            calldatacopy(added, calldatasize(), mul(32, add(GROUP_WORDS, WORDS))) // zeros
            mstore(added, underlying)
            mstore(sub(words, 32), words)
            let n := add(at, 1)
            mstore(groups, n)
            mstore(add(groups, shl(5, n)), added)
        }
    }

    /// The group of each expiry.
    function groupOfExpiry(Portfolio memory p) internal pure returns (Group[] memory found) {
        uint256 n = p.expiries.length;
        assembly ("memory-safe") {
            // As in Margin: `new` would fill every place with an empty group.
            found := mload(0x40)
            mstore(found, n)
            mstore(0x40, add(found, shl(5, add(n, 1))))
        }
        for (uint256 i; i < n; ++i) {
            found[i] = p.groups[p.expiries[i].group];
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

    /// Parameters as Products packs them.
    function setParameters(Group memory g, uint256 a, uint256 b, uint256 c, uint256 im, uint256 mm) internal pure {
        g.scan = Packed.scan(a, b, c);
        g.rates = Packed.rates(im);
        g.ratesMm = mm == im ? g.rates : Packed.rates(mm);
    }

    /// Index of an expiry, which is made where there is none.
    function _expiry(Portfolio memory p, uint256 key) private pure returns (uint256 at) {
        Expiry[] memory expiries = p.expiries;
        for (; at < expiries.length; ++at) {
            if (expiries[at].key == key) return at;
        }
        uint256 group_ = p.group(key >> 40);
        Group memory g = p.groups[group_];
        ++g.expiries;
        int256[WORDS] memory words = g.words;
        Expiry memory added;
        (added.key, added.group) = (key, group_);
        assembly ("memory-safe") {
            let n := add(at, 1)
            mstore(expiries, n)
            mstore(add(expiries, shl(5, n)), added)
            mstore(add(added, 64), words) // `sums`
        }
    }

    function _addPerpetual(Group memory g, int256 size) private pure {
        unchecked {
            g.linear += size;
            g.perpetual += uint256(size < 0 ? -size : size);
        }
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
