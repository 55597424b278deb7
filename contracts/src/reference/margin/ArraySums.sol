// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Legs} from "../Types.sol";
import {IMargin} from "../interfaces/IMargin.sol";
import {Expiry, Portfolio} from "./Portfolios.sol";

/// Adds one position times its published array to the running sums: docs/risk-arrays.md, "Blobs" and "Margin of an
/// account". The one hot loop of the venue, hence assembly, and hence unrolled.
library ArraySums {
    uint256 private constant BLOB_PREFIX = 97; // STOP and the header
    uint256 private constant ARRAY = 132;

    /// Arrays a blob holds; 0 where there is no blob.
    function count(address blob) internal view returns (uint256) {
        uint256 size = blob.code.length;
        return size < BLOB_PREFIX ? 0 : (size - BLOB_PREFIX) / ARRAY;
    }

    /// All options of a book by their expiries' blobs.
    function addAll(Portfolio memory p, uint256[] calldata legs) internal view {
        uint256[] memory expiryOf = p.expiryOf;
        Expiry[] memory expiries = p.expiries;
        for (uint256 i; i < legs.length;) {
            uint256 leg;
            uint256 at;
            assembly ("memory-safe") {
                leg := calldataload(add(legs.offset, shl(5, i)))
                i := add(i, 1)
                at := mload(add(expiryOf, shl(5, i)))
            }
            if (at == 0) continue;
            uint256 e;
            uint256 beyond;
            assembly ("memory-safe") {
                e := mload(add(expiries, shl(5, at)))
                beyond := iszero(lt(and(shr(128, leg), 0x7fff), mload(add(e, 224))))
            }
            // Beyond the end of a code a copy would read zeros.
            if (beyond != 0) revert IMargin.ArrayMissing(Legs.idOf(leg), expiries[at - 1].epoch);
            _add(e, leg);
        }
    }

    /// @dev Nothing here can overflow: |size| <= 2¹²⁷ and |word| <= 2⁴⁷, so 2⁸¹ legs would fit.
    function _add(uint256 e, uint256 leg) private view {
        assembly ("memory-safe") {
            let a := mload(0x40)
            extcodecopy(mload(add(e, 192)), a, add(BLOB_PREFIX, mul(and(shr(128, leg), 0x7fff), ARRAY)), ARRAY)
            let size := signextend(15, leg)
            let sums := mload(add(e, 64))
            // Only long options can lie under the chord, only short ones cost more than their tangent.
            switch slt(size, 0)
            case 0 { mstore(add(sums, 96), add(mload(add(sums, 96)), mul(size, sar(208, mload(add(a, 18)))))) }
            default { mstore(add(sums, 64), sub(mload(add(sums, 64)), mul(size, sar(208, mload(add(a, 12)))))) }
            mstore(add(sums, 32), add(mload(add(sums, 32)), mul(size, sar(208, mload(add(a, 6))))))
            mstore(sums, add(mload(sums), mul(size, sar(208, mload(a)))))
            mstore(add(sums, 128), add(mload(add(sums, 128)), mul(size, sar(208, mload(add(a, 24))))))
            mstore(add(sums, 160), add(mload(add(sums, 160)), mul(size, sar(208, mload(add(a, 30))))))
            mstore(add(sums, 192), add(mload(add(sums, 192)), mul(size, sar(208, mload(add(a, 36))))))
            mstore(add(sums, 224), add(mload(add(sums, 224)), mul(size, sar(208, mload(add(a, 42))))))
            mstore(add(sums, 256), add(mload(add(sums, 256)), mul(size, sar(208, mload(add(a, 48))))))
            mstore(add(sums, 288), add(mload(add(sums, 288)), mul(size, sar(208, mload(add(a, 54))))))
            mstore(add(sums, 320), add(mload(add(sums, 320)), mul(size, sar(208, mload(add(a, 60))))))
            mstore(add(sums, 352), add(mload(add(sums, 352)), mul(size, sar(208, mload(add(a, 66))))))
            mstore(add(sums, 384), add(mload(add(sums, 384)), mul(size, sar(208, mload(add(a, 72))))))
            mstore(add(sums, 416), add(mload(add(sums, 416)), mul(size, sar(208, mload(add(a, 78))))))
            mstore(add(sums, 448), add(mload(add(sums, 448)), mul(size, sar(208, mload(add(a, 84))))))
            mstore(add(sums, 480), add(mload(add(sums, 480)), mul(size, sar(208, mload(add(a, 90))))))
            mstore(add(sums, 512), add(mload(add(sums, 512)), mul(size, sar(208, mload(add(a, 96))))))
            mstore(add(sums, 544), add(mload(add(sums, 544)), mul(size, sar(208, mload(add(a, 102))))))
            mstore(add(sums, 576), add(mload(add(sums, 576)), mul(size, sar(208, mload(add(a, 108))))))
            mstore(add(sums, 608), add(mload(add(sums, 608)), mul(size, sar(208, mload(add(a, 114))))))
            mstore(add(sums, 640), add(mload(add(sums, 640)), mul(size, sar(208, mload(add(a, 120))))))
            mstore(add(sums, 672), add(mload(add(sums, 672)), mul(size, sar(208, mload(add(a, 126))))))
        }
    }
}
