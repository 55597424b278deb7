// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ARRAY_BYTES, WORDS, WORD_BYTES} from "../Types.sol";

/// One risk array as bytes: 22 words, each int48 big-endian (docs/risk-arrays.md "Words of one option").
library Words {
    error WordOutOfRange(uint256 word, int256 found);

    uint256 internal constant MARK = 0;
    uint256 internal constant DELTA = 1;
    uint256 internal constant BEND = 2;
    uint256 internal constant GAP = 3;
    uint256 internal constant FIRST_ROW = 4;

    /// The array's 132 bytes. Reverts WordOutOfRange at the first word an int48 cannot hold.
    function encode(int256[WORDS] memory words) internal pure returns (bytes memory array) {
        array = new bytes(ARRAY_BYTES);
        for (uint256 i; i < WORDS; ++i) {
            int256 word = words[i];
            if (word != int48(word)) revert WordOutOfRange(i, word);
            // In order, so that each store's 26 zero bytes are overwritten by the next; the last one's end at byte
            // 158 of the 160 allocated.
            assembly ("memory-safe") {
                mstore(add(add(array, 32), mul(i, WORD_BYTES)), shl(208, word))
            }
        }
    }

    /// Word `index` of the first array in `arrays`, or beyond: word w of array a is index 22·a + w. No bounds check.
    function at(bytes memory arrays, uint256 index) internal pure returns (int256 word) {
        assembly ("memory-safe") {
            word := sar(208, mload(add(add(arrays, 32), mul(index, WORD_BYTES))))
        }
    }
}
