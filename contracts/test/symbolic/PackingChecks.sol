// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Words} from "../../src/reference/math/Words.sol";
import {Instruments, Legs, WORDS} from "../../src/reference/Types.sol";
import {Test} from "../Vm.sol";

/// @title What is packed comes out as it went in: array words, instrument ids, legs.
contract PackingChecks is Test {
    struct Option {
        uint8 underlying;
        uint40 expiry;
        uint64 strike;
        bool call;
        uint16 index; // its top bit does not fit and must not become the kind
    }

    function check_words_come_out_as_they_went_in(int48[WORDS] memory words) public pure {
        _words(words, Words.at);
    }

    function broken_words_come_out_as_they_went_in_if_read_unsigned(int48[WORDS] memory words) public pure {
        _words(words, _unsignedAt);
    }

    function check_wide_words_are_refused(int256 word) public view {
        _refused(word, this.encode);
    }

    function broken_wide_words_are_refused_if_cut(int256 word) public view {
        _refused(word, this.cut);
    }

    function check_instruments_come_out_as_they_went_in(Option memory option) public pure {
        _instrument(option, Instruments.pack);
    }

    function broken_instruments_come_out_as_they_went_in_if_the_index_is_not_masked(Option memory option) public pure {
        _instrument(option, _packUnmasked);
    }

    function check_legs_come_out_as_they_went_in(uint128 id, int128 size) public pure {
        _leg(id, size, Legs.pack);
    }

    function broken_legs_come_out_as_they_went_in_if_the_size_runs_into_the_id(uint128 id, int128 size) public pure {
        _leg(id, size, _packSigned);
    }

    function encode(int256[WORDS] memory words) external pure returns (bytes memory) {
        return Words.encode(words);
    }

    function cut(int256[WORDS] memory words) external pure returns (bytes memory) {
        for (uint256 i; i < WORDS; ++i) {
            words[i] = int48(words[i]);
        }
        return Words.encode(words);
    }

    function _words(int48[WORDS] memory words, function(bytes memory, uint256) internal pure returns (int256) at)
        private
        pure
    {
        int256[WORDS] memory wide;
        for (uint256 i; i < WORDS; ++i) {
            wide[i] = words[i];
        }
        bytes memory array = Words.encode(wide);
        assert(array.length == 132);
        for (uint256 i; i < WORDS; ++i) {
            assert(at(array, i) == words[i]);
        }
    }

    function _refused(int256 word, function(int256[WORDS] memory) external view returns (bytes memory) rule)
        private
        view
    {
        vm.assume(word < type(int48).min || word > type(int48).max);
        for (uint256 i; i < WORDS; ++i) {
            int256[WORDS] memory words;
            words[i] = word;
            try rule(words) returns (bytes memory) {
                assert(false);
            } catch (bytes memory reason) {
                assert(bytes4(reason) == Words.WordOutOfRange.selector);
            }
        }
    }

    function _instrument(
        Option memory o,
        function(uint8, uint40, uint64, bool, uint16) internal pure returns (uint128) pack
    ) private pure {
        uint128 id = pack(o.underlying, o.expiry, o.strike, o.call, o.index);
        assert(Instruments.underlyingOf(id) == o.underlying && Instruments.expiryOf(id) == o.expiry);
        assert(Instruments.strikeOf(id) == uint256(o.strike) * 1e10);
        assert(Instruments.isCall(id) == o.call && Instruments.indexOf(id) == o.index % 0x8000);
    }

    function _leg(uint128 id, int128 size, function(uint128, int128) internal pure returns (uint256) pack)
        private
        pure
    {
        uint256 leg = pack(id, size);
        assert(Legs.idOf(leg) == id && Legs.sizeOf(leg) == size);
    }

    function _unsignedAt(bytes memory arrays, uint256 index) private pure returns (int256 word) {
        assembly ("memory-safe") {
            word := shr(208, mload(add(add(arrays, 32), mul(index, 6))))
        }
    }

    function _packUnmasked(uint8 underlying, uint40 expiry, uint64 strike, bool call, uint16 index)
        private
        pure
        returns (uint128)
    {
        return Instruments.pack(underlying, expiry, strike, call, 0) | index;
    }

    function _packSigned(uint128 id, int128 size) private pure returns (uint256) {
        return uint256(id) << 128 | uint256(int256(size));
    }
}
