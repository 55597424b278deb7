// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Test} from "../Vm.sol";
import {Rounding} from "../../src/reference/math/Rounding.sol";
import {Words} from "../../src/reference/math/Words.sol";

contract WordsTest is Test {
    int256 private constant MOST = 2 ** 47 - 1;
    int256 private constant LEAST = -(2 ** 47);

    function test_words_are_big_endian_twos_complement() public pure {
        int256[22] memory words;
        words[0] = 0x010203040506;
        words[1] = -1;
        words[2] = MOST;
        words[3] = LEAST;
        words[21] = -2;
        bytes memory array = Words.encode(words);
        assertEq(
            array,
            abi.encodePacked(
                hex"010203040506ffffffffffff7fffffffffff800000000000", new bytes(17 * 6), hex"fffffffffffe"
            )
        );
        assertEq(array.length, 132);
    }

    function test_a_word_too_large_is_refused_by_place_and_number() public {
        _refuses(0, MOST + 1);
        _refuses(3, LEAST - 1);
        _refuses(21, MOST + 1);
        _refuses(7, type(int256).min);
        _refuses(7, 2 ** 48); // its low 48 bits are zero
    }

    /// forge-config: default.fuzz.runs = 10000
    function testFuzz_what_is_written_is_read(int48[22] memory words) public pure {
        int256[22] memory wide;
        for (uint256 i; i < 22; ++i) {
            wide[i] = words[i];
        }
        bytes memory two = bytes.concat(Words.encode(wide), Words.encode(wide));
        assertEq(two.length, 264);
        for (uint256 i; i < 44; ++i) {
            assertEq(Words.at(two, i), wide[i % 22]);
        }
    }

    /// Encoding writes nothing beyond its own bytes.
    /// forge-config: default.fuzz.runs = 10000
    function testFuzz_what_follows_in_memory_is_untouched(int48 last) public pure {
        int256[22] memory words;
        words[21] = last;
        bytes memory array = Words.encode(words);
        uint256[] memory after_ = new uint256[](2);
        assertEq(after_[0] + after_[1], 0);
        assertEq(after_.length, 2);
        assertEq(Words.at(array, 21), last);
    }

    function encode(int256[22] memory words) external pure returns (bytes memory) {
        return Words.encode(words);
    }

    function _refuses(uint256 place, int256 word) private {
        int256[22] memory words;
        words[place] = word;
        vm.expectRevert(abi.encodeWithSelector(Words.WordOutOfRange.selector, place, word));
        this.encode(words);
    }
}

contract WordsRoundingTest is Test {
    function test_floor_and_ceiling_by_hand() public pure {
        assertEq(Rounding.fdiv(7, 2), int256(3));
        assertEq(Rounding.fdiv(-7, 2), int256(-4));
        assertEq(Rounding.fdiv(7, -2), int256(-4));
        assertEq(Rounding.fdiv(-7, -2), int256(3));
        assertEq(Rounding.fdiv(-8, 2), int256(-4));
        assertEq(Rounding.fdiv(-1, 1e18), int256(-1));
        assertEq(Rounding.fdiv(0, -5), int256(0));
        assertEq(Rounding.fdiv(type(int256).min, 1), type(int256).min);
        assertEq(Rounding.cdiv(7, 2), uint256(4));
        assertEq(Rounding.cdiv(8, 2), uint256(4));
        assertEq(Rounding.cdiv(0, 3), uint256(0));
        assertEq(Rounding.cdiv(1, 1e18), uint256(1));
        assertEq(Rounding.cdiv(type(uint256).max, 1), type(uint256).max);
    }

    /// forge-config: default.fuzz.runs = 10000
    function testFuzz_floor_is_the_largest_not_above(int128 a, int128 b) public pure {
        vm.assume(b != 0);
        int256 q = Rounding.fdiv(a, b);
        int256 rest = int256(a) - q * b;
        // The rest has the divisor's sign and is smaller: one such q exists.
        assertTrue(b > 0 ? rest >= 0 && rest < b : rest <= 0 && rest > b, "0 <= rest < divisor");
    }

    /// forge-config: default.fuzz.runs = 10000
    function testFuzz_ceiling_is_the_smallest_not_below(uint128 a, uint128 b) public pure {
        vm.assume(b != 0);
        uint256 q = Rounding.cdiv(a, b);
        assertTrue(q * b >= a, "not below");
        assertTrue(q == 0 || (q - 1) * b < a, "the smallest");
    }

    function test_division_by_zero_reverts() public {
        vm.expectRevert();
        this.fdiv(1, 0);
        vm.expectRevert();
        this.cdiv(1, 0);
    }

    function fdiv(int256 a, int256 b) external pure returns (int256) {
        return Rounding.fdiv(a, b);
    }

    function cdiv(uint256 a, uint256 b) external pure returns (uint256) {
        return Rounding.cdiv(a, b);
    }
}
