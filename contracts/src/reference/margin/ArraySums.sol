// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {WORDS} from "../Types.sol";
import {Expiry} from "./Portfolios.sol";

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

    /// @dev Nothing here can overflow: |size| < 2¹²⁷ and |word| < 2⁴⁷, so 2⁸¹ legs would fit.
    /// `index` < e.arrays is the caller's to check: beyond the code's end a copy reads zeros.
    function add(Expiry memory e, uint256 index, int256 size) internal view {
        int256[WORDS] memory sums = e.group.words;
        address blob = e.blob;
        int256 delta;
        int256 gamma;
        assembly ("memory-safe") {
            let a := mload(0x40)
            extcodecopy(blob, a, add(BLOB_PREFIX, mul(index, ARRAY)), ARRAY)
            delta := mul(size, sar(208, mload(add(a, 6))))
            gamma := mul(size, sar(208, mload(add(a, 12))))
            // Only long options can lie under the chord.
            if sgt(size, 0) {
                mstore(add(sums, 96), add(mload(add(sums, 96)), mul(size, sar(208, mload(add(a, 18))))))
            }
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
        unchecked {
            e.delta += delta;
            e.gamma += gamma;
        }
    }
}
