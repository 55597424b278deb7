// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {MarginLens} from "../../src/keeper/MarginLens.sol";
import {Test} from "../Vm.sol";

/// @notice Does what its calldata says: a kind, a number, then what it answers.
contract Oddity {
    uint256 private _word;

    fallback(bytes calldata data) external returns (bytes memory) {
        uint8 kind = uint8(data[0]);
        if (kind == 1) revert(string(data[1:]));
        if (kind == 2) {
            while (true) {}
        }
        if (kind == 3) _bomb(uint24(bytes3(data[1:])), true);
        if (kind == 4) _bomb(uint24(bytes3(data[1:])), false);
        if (kind == 5) _word = 1;
        if (kind == 6) require(gasleft() > uint24(bytes3(data[1:])));
        return data[1:];
    }

    function _bomb(uint256 size, bool succeeds) private pure {
        assembly {
            if succeeds { return(0, size) }
            revert(0, size)
        }
    }
}

/// @notice What the lens answers, against asking each question alone.
contract MarginLensTest is Test {
    uint32 private constant GAS_EACH = 50_000;
    uint24 private constant KEPT = 256;
    uint32 private constant MOST = 1 << 20;

    MarginLens private immutable lens = new MarginLens();
    Oddity private immutable odd = new Oddity();

    struct Question {
        uint8 kind;
        uint8 target; // 0: nobody
        bytes body;
    }

    // ---- layout ----

    function test_answers_lie_behind_their_heads_under_one_seal() public view {
        bytes memory questions = bytes.concat(_asked(hex"00aabb"), _asked(hex"01"), _asked(hex"0300010100"), _asked(""));
        bytes memory data = abi.encodeCall(MarginLens.read, (GAS_EACH, KEPT, MOST, questions));
        (bool succeeded, bytes memory said) = address(lens).staticcall(data);
        assertTrue(succeeded, "read");
        bytes memory stream = hex"01000002aabb" hex"02000000" hex"03000000" hex"02000000";
        assertEq(said, abi.encode(keccak256(bytes.concat(keccak256(data), stream)), stream));
    }

    function test_nothing_asked_is_answered_by_nothing() public view {
        assertEq(_answers("", MOST), "");
    }

    function test_of_an_answer_as_long_as_is_kept_all_is_kept() public view {
        bytes memory longest = new bytes(KEPT);
        assertEq(_answers(_asked(bytes.concat(hex"00", longest)), MOST), bytes.concat(hex"01000100", longest));
        assertEq(_answers(_asked(bytes.concat(hex"00", longest, hex"00")), MOST), hex"03000000");
    }

    function testFuzz_as_if_each_were_asked_alone(Question[] memory asked) public view {
        bytes memory questions;
        bytes memory expected;
        for (uint256 i; i < asked.length; ++i) {
            address to = asked[i].target == 0 ? address(0xdead) : address(odd);
            bytes memory data = bytes.concat(bytes1(asked[i].kind % 6), asked[i].body);
            questions = bytes.concat(questions, _to(to, data));
            (bool succeeded, bytes memory said) = to.staticcall{gas: GAS_EACH}(data);
            if (!succeeded) expected = bytes.concat(expected, hex"02000000");
            else if (said.length > KEPT) expected = bytes.concat(expected, hex"03000000");
            else expected = bytes.concat(expected, hex"01", bytes3(uint24(said.length)), said);
        }
        assertEq(_answers(questions, MOST), expected);
    }

    // ---- bounds ----

    function test_who_burns_or_bombs_costs_no_more_than_each_may() public view {
        bytes[4] memory hostile = [bytes(hex"02"), hex"03ffffff", hex"0400f000", hex"0300f000"];
        for (uint256 i; i < hostile.length; ++i) {
            uint256 before = gasleft();
            assertEq(_answers(_asked(hostile[i]), MOST), i == 3 ? bytes(hex"03000000") : bytes(hex"02000000"));
            assertLe(before - gasleft(), i < 2 ? GAS_EACH + 10_000 : 30_000); // 61 kB are not copied
        }
    }

    function testFuzz_with_any_gas_the_first_ones_are_answered_as_with_plenty(uint256 gas_, uint256 count) public view {
        count = bound(count, 1, 60);
        gas_ = bound(gas_, 30_000 + 20 * count * 60, 40_000_000);
        (bytes memory questions, bytes memory expected) = _mixed(count);
        (, bytes memory answers) = lens.read{gas: gas_}(GAS_EACH, KEPT, MOST, questions);
        assertTrue(answers.length <= expected.length, "no more than asked");
        for (uint256 i; i < answers.length; ++i) {
            assertTrue(answers[i] == expected[i], "a prefix");
        }
        if (gas_ > count * (GAS_EACH + 10_000) + 400_000) assertEq(answers, expected);
    }

    function testFuzz_a_question_has_all_its_gas_or_is_not_begun(uint256 gas_) public view {
        gas_ = bound(gas_, 9_990_000, 10_500_000);
        bytes memory questions;
        bytes memory expected;
        for (uint256 i; i < 12; ++i) {
            questions = bytes.concat(questions, _asked(bytes.concat(hex"06", bytes3(uint24(9_990_000)))));
            expected = bytes.concat(expected, hex"01000003", bytes3(uint24(9_990_000)));
        }
        (, bytes memory answers) = lens.read{gas: gas_}(10_000_000, KEPT, MOST, questions);
        assertTrue(answers.length % 7 == 0, "whole answers");
        for (uint256 i; i < answers.length; ++i) {
            assertTrue(answers[i] == expected[i], "none of them starved");
        }
    }

    function testFuzz_long_answers_leave_the_gas_to_seal_them(uint256 gas_) public view {
        bytes memory questions = _asked(hex"03002000");
        for (uint256 i; i < 8; ++i) {
            questions = bytes.concat(questions, questions);
        }
        (, bytes memory answers) =
            lens.read{gas: bound(gas_, 1_000_000, 12_000_000)}(GAS_EACH, 8_192, 1 << 22, questions);
        assertTrue(answers.length > 0 && answers.length % 8_196 == 0, "whole answers");
    }

    function testFuzz_no_more_room_is_used_than_given(uint32 most, uint256 count) public view {
        count = bound(count, 1, 40);
        most = uint32(bound(most, 0, 5_000));
        (bytes memory questions, bytes memory expected) = _mixed(count);
        bytes memory answers = _answers(questions, most);
        assertLe(answers.length, most);
        assertTrue(answers.length == expected.length || answers.length + 4 + KEPT > most, "as much as fits");
    }

    function test_a_state_changing_question_changes_nothing() public view {
        assertEq(_answers(_asked(hex"05"), MOST), hex"02000000");
    }

    function testFuzz_questions_that_end_too_early_are_refused(uint256 cut) public {
        bytes memory questions = bytes.concat(_asked(hex"00aabbcc"), _asked(hex"00aabbcc"));
        cut = bound(cut, questions.length / 2 + 1, questions.length - 1);
        assembly ("memory-safe") {
            mstore(questions, cut)
        }
        vm.expectPartialRevert(MarginLens.Malformed.selector);
        lens.read(GAS_EACH, KEPT, MOST, questions);
    }

    function test_gas_of_a_thousand_words() public {
        bytes memory questions = _to(address(4), abi.encode(1));
        for (uint256 i; i < 10; ++i) {
            questions = bytes.concat(questions, questions);
        }
        lens.read(GAS_EACH, KEPT, MOST, questions);
        assertLe(vm.snapshotGasLastCall("MarginLens", "1,024 words of a precompile"), 1_000_000);
    }

    // ---- parts ----

    function _asked(bytes memory data) private view returns (bytes memory) {
        return _to(address(odd), data);
    }

    function _to(address to, bytes memory data) private pure returns (bytes memory) {
        return abi.encodePacked(to, uint32(data.length), data);
    }

    function _answers(bytes memory questions, uint32 most) private view returns (bytes memory answers) {
        (, answers) = lens.read(GAS_EACH, KEPT, most, questions);
    }

    function _mixed(uint256 count) private view returns (bytes memory questions, bytes memory answers) {
        for (uint256 i; i < count; ++i) {
            bytes memory body = new bytes(i * 37 % KEPT);
            bool fails = i % 5 == 3;
            questions = bytes.concat(questions, fails ? _asked(hex"02") : _asked(bytes.concat(hex"00", body)));
            bytes memory head = bytes.concat(hex"01", bytes3(uint24(body.length)));
            answers = bytes.concat(answers, fails ? bytes(hex"02000000") : bytes.concat(head, body));
        }
    }
}
