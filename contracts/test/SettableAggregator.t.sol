// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {SettableAggregator} from "../src/demo/SettableAggregator.sol";
import {Test} from "./Vm.sol";

contract SettableAggregatorTest is Test {
    SettableAggregator private feed;

    function setUp() public {
        feed = new SettableAggregator("BTC / USD", 8);
    }

    function test_an_empty_feed_has_no_round() public {
        vm.expectRevert(abi.encodeWithSelector(SettableAggregator.NoSuchRound.selector, 0, 0));
        feed.latestRoundData();
    }

    function test_only_the_owner_pushes() public {
        vm.prank(address(1));
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, address(1)));
        feed.push(1);
    }

    function test_zero_and_negative_answers_are_kept() public {
        feed.push(0);
        feed.push(-5);
        (, int256 first,,,) = feed.getRoundData(1);
        (, int256 second,,,) = feed.getRoundData(2);
        assertEq(first, int256(0));
        assertEq(second, int256(-5));
    }

    function test_an_answer_wider_than_a_round_is_refused() public {
        vm.expectRevert(abi.encodeWithSelector(SettableAggregator.AnswerTooWide.selector, type(int256).max));
        feed.push(type(int256).max);
    }

    /// Rounds count up by one, never go back in time, and each keeps its own answer.
    function testFuzz_rounds_are_monotone(int192[] calldata answers, uint32[] calldata gaps) public {
        vm.assume(answers.length > 0 && gaps.length > 0);
        uint256 time = block.timestamp;
        for (uint256 i; i < answers.length; ++i) {
            time += gaps[i % gaps.length];
            vm.warp(time);
            feed.push(answers[i]);
            (uint80 newest,,, uint256 now_,) = feed.latestRoundData();
            assertEq(newest, i + 1);
            assertEq(now_, time);
        }
        uint256 previous;
        for (uint80 round = 1; round <= answers.length; ++round) {
            (uint80 id, int256 answer, uint256 started, uint256 updated, uint80 answeredIn) = feed.getRoundData(round);
            assertEq(id, round);
            assertEq(answeredIn, round);
            assertEq(answer, int256(answers[round - 1]));
            assertEq(started, updated);
            assertTrue(updated >= previous, "a round is dated before the one it follows");
            previous = updated;
        }
    }
}
