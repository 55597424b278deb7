// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IRiskArrays} from "../../src/reference/interfaces/IRiskArrays.sol";
import {Slice} from "../../src/reference/Types.sol";
import {Words} from "../../src/reference/math/Words.sol";
import {Vm} from "../Vm.sol";
import {RiskArraysBase} from "./RiskArraysBase.sol";

/// @notice A correct array survives every challenge, one with any single changed word never does; what a proof costs
/// the publisher, and what it leaves of the epochs.
contract RiskArraysChallengeTest is RiskArraysBase {
    uint256 private constant BOND = MINIMUM_BOND + 10_000e6;

    // ---- right and wrong ----

    function testFuzz_a_correct_array_survives_every_challenge(uint256 price, uint256 age, uint256 pick, bool late)
        public
    {
        _world(price, age, late);
        uint256 id = _publishAll(ETH);
        uint40[] memory live = products.expiriesAfter(ETH, uint40(block.timestamp));
        uint40 expiry = live[pick % live.length];
        uint256 index = pick % 4;
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.ArrayCorrect.selector, ETH, id, expiry, index));
        vm.prank(CHALLENGER);
        riskArrays.challenge(ETH, id, expiry, index);
        assertEq(_currentId(ETH), id);
    }

    function testFuzz_any_single_changed_word_is_proven(
        uint256 price,
        uint256 age,
        uint256 index,
        uint256 word,
        uint48 delta,
        bool late
    ) public {
        vm.assume(delta != 0);
        _world(price, age, late);
        (index, word) = (index % 4, word % 22);
        uint256 id = _publishWrong(PUBLISHER, ETH, index, word, delta);
        uint40 expiry = products.nextExpiry(ETH, uint40(block.timestamp));
        for (uint256 other; other < 4; ++other) {
            if (other == index) continue;
            vm.expectRevert(abi.encodeWithSelector(IRiskArrays.ArrayCorrect.selector, ETH, id, expiry, other));
            riskArrays.challenge(ETH, id, expiry, other);
        }
        vm.prank(CHALLENGER);
        riskArrays.challenge(ETH, id, expiry, index);
        assertTrue(riskArrays.publisher(PUBLISHER).suspended, "suspended");
        assertTrue(!riskArrays.valid(ETH, id), "void");
    }

    /// The smallest and the largest change of every word of one array.
    function test_every_word_counts() public {
        _skip(1);
        _news(ETH, ETH_PRICE);
        uint256 clean = vm.snapshotState();
        for (uint256 word; word < 22; ++word) {
            for (uint48 delta = 1; delta != 0; delta = delta == 1 ? type(uint48).max : 0) {
                uint256 id = _publishWrong(PUBLISHER, ETH, 1, word, delta);
                riskArrays.challenge(ETH, id, FIRST, 1);
                vm.revertToState(clean);
            }
        }
    }

    // ---- what a proof costs ----

    function test_slashing_splits_the_whole_bond() public {
        _skip(1);
        _news(ETH, ETH_PRICE);
        uint256 id = _publishWrong(PUBLISHER, ETH, 0, 0, 1);
        int256 fundBefore = venue.fund();
        vm.prank(CHALLENGER);
        riskArrays.challenge(ETH, id, FIRST, 0);
        assertEq(usdc.balanceOf(CHALLENGER), BOND * 4 / 10);
        assertEq(usdc.balanceOf(address(riskArrays)), 0);
        assertEq(venue.fund() - fundBefore, int256(BOND * 6 / 10 * 1e12));
        assertLe(riskArrays.slashable(), uint256(venue.fund() - fundBefore));
        assertEq(riskArrays.slashable(), 600_000e18);
        assertEq(riskArrays.publisher(PUBLISHER).bond, 0);
    }

    /// Rounding goes to the fund: of a bond of minimum + 1 base unit the challenger gets the floor of 40 %.
    function testFuzz_slashing_creates_and_loses_nothing(uint256 extra) public {
        extra = bound(extra, 0, 1e15);
        _bond(RIVAL, MINIMUM_BOND + extra);
        _skip(1);
        _news(ETH, ETH_PRICE);
        uint256 id = _publishWrong(RIVAL, ETH, 0, 5, 9);
        int256 fundBefore = venue.fund();
        vm.prank(CHALLENGER);
        riskArrays.challenge(ETH, id, FIRST, 0);
        uint256 toFund = uint256(venue.fund() - fundBefore) / 1e12;
        uint256 whole = MINIMUM_BOND + extra;
        assertEq(usdc.balanceOf(CHALLENGER) + toFund, whole);
        assertLe(usdc.balanceOf(CHALLENGER) * 10, whole * 4);
        assertLe(whole * 4, usdc.balanceOf(CHALLENGER) * 10 + 9);
        assertEq(usdc.balanceOf(address(riskArrays)), BOND); // the other publisher's is untouched
    }

    function test_challenging_oneself_loses_the_funds_share() public {
        _skip(1);
        _news(ETH, ETH_PRICE);
        uint256 id = _publishWrong(PUBLISHER, ETH, 0, 0, 1);
        vm.prank(PUBLISHER);
        riskArrays.challenge(ETH, id, FIRST, 0);
        assertEq(usdc.balanceOf(PUBLISHER), BOND * 4 / 10);
    }

    function test_the_proof_shows_both_arrays() public {
        _skip(1);
        _news(ETH, ETH_PRICE);
        bytes memory right = riskArrays.recompute(_newestId(ETH), _sliceId(ETH, FIRST), 1, _option(ETH, 0, 1, false));
        uint256 id = _publishWrong(PUBLISHER, ETH, 3, 21, 7);
        vm.recordLogs();
        vm.prank(CHALLENGER);
        riskArrays.challenge(ETH, id, FIRST, 3);
        Vm.Log memory first = vm.getRecordedLogs()[0];
        assertEq(first.topics[0], IRiskArrays.ArrayProvenWrong.selector);
        (uint256 index, bytes memory published, bytes memory correct, address challenger) =
            abi.decode(first.data, (uint256, bytes, bytes, address));
        assertEq(index, 3);
        assertEq(correct, right);
        assertEq(published, _wrong(right, 0, 21, 7));
        assertEq(challenger, CHALLENGER);
    }

    /// While the token moves nothing, a proof still slashes and voids; the shares are paid later.
    function test_a_proof_does_not_wait_for_the_token() public {
        _skip(1);
        _news(ETH, ETH_PRICE);
        uint256 id = _publishWrong(PUBLISHER, ETH, 0, 0, 1);
        bytes memory code = address(usdc).code;
        vm.etch(address(usdc), hex"60006000fd");
        vm.prank(CHALLENGER);
        riskArrays.challenge(ETH, id, FIRST, 0);
        assertTrue(riskArrays.publisher(PUBLISHER).suspended && !riskArrays.valid(ETH, id), "proven");
        vm.etch(address(usdc), code);
        uint256 whole = usdc.balanceOf(address(riskArrays));
        uint256 toFund = riskArrays.unpaid(address(venue));
        assertEq(riskArrays.unpaid(CHALLENGER) + toFund, whole);
        riskArrays.payUnpaid(CHALLENGER);
        riskArrays.payUnpaid(CHALLENGER); // nothing is paid twice
        riskArrays.payUnpaid(address(venue));
        riskArrays.payUnpaid(address(venue));
        assertEq(usdc.balanceOf(CHALLENGER), whole * (10_000 - FUND_SHARE) / 10_000);
        assertEq(usdc.balanceOf(CHALLENGER) + toFund, whole);
        assertEq(venue.fund(), int256(toFund * 1e12));
        assertEq(usdc.balanceOf(address(riskArrays)), 0);
    }

    // ---- what it leaves ----

    /// @dev Wrong in row 1, then, a second later, another publisher's wrong in row 0.
    function _twoWrong(uint8 underlying, uint256 price) private returns (uint256 first, uint256 second) {
        _bond(RIVAL, MINIMUM_BOND);
        _skip(1);
        _news(underlying, price);
        first = _publishWrong(RIVAL, underlying, 1, 1, 1);
        _skip(1);
        _news(underlying, price);
        second = _publishWrong(PUBLISHER, underlying, 0, 0, 1);
    }

    function test_a_proof_voids_every_unsettled_epoch_of_the_publisher_on_every_underlying() public {
        _skip(WINDOW); // epoch 1 of both settles
        _refresh(ETH, ETH_PRICE);
        _refresh(BTC, BTC_PRICE);
        _skip(1);
        _news(ETH, ETH_PRICE);
        uint256 id = _publishWrong(PUBLISHER, ETH, 2, 4, 1);
        assertEq(_currentId(BTC), 2);
        riskArrays.challenge(ETH, id, FIRST, 2);
        assertEq(_currentId(ETH), 1);
        assertEq(_currentId(BTC), 1);
        assertTrue(!riskArrays.valid(ETH, 2) && !riskArrays.valid(ETH, 3) && !riskArrays.valid(BTC, 2), "void");
        assertTrue(riskArrays.valid(ETH, 1) && riskArrays.valid(BTC, 1), "settled stays");
        _skip(2 * WINDOW);
        assertEq(_settledId(ETH), 1); // what is void never settles
    }

    function test_where_nothing_was_settled_no_epoch_is_left() public {
        _skip(WINDOW - 1);
        _news(BTC, BTC_PRICE);
        uint256 id = _publishWrong(PUBLISHER, BTC, 0, 0, 1);
        riskArrays.challenge(BTC, id, FIRST, 0);
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.NoEpoch.selector, ETH));
        riskArrays.current(ETH);
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.NoEpoch.selector, BTC));
        riskArrays.current(BTC);
    }

    function test_the_next_publisher_goes_on_from_there() public {
        _skip(WINDOW);
        _bond(RIVAL, MINIMUM_BOND);
        bytes32 reportId = _news(ETH, ETH_PRICE);
        uint256 id = _publishWrong(PUBLISHER, ETH, 0, 0, 1);
        riskArrays.challenge(ETH, id, FIRST, 0);
        assertEq(_publishAll(RIVAL, ETH), id + 1); // on the same report
        assertEq(riskArrays.epoch(ETH, id + 1).reportId, reportId);
        assertEq(_currentId(ETH), id + 1);
        assertTrue(riskArrays.valid(ETH, id + 1) && !riskArrays.valid(ETH, id), "one report, two epochs, one valid");
        _skip(WINDOW);
        assertEq(_settledId(ETH), id + 1);
    }

    /// What was unsettled at the first proof stays void, however late the second comes and whoever it is against.
    function test_a_second_proof_brings_nothing_back() public {
        (uint256 rivals, uint256 mine) = _twoWrong(BTC, BTC_PRICE);
        riskArrays.challenge(BTC, mine, FIRST, 0);
        _skip(WINDOW - 2); // the first epoch would have settled by now
        riskArrays.challenge(BTC, rivals, FIRST, 1);
        assertTrue(!riskArrays.valid(BTC, 1) && !riskArrays.valid(BTC, rivals), "void");
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.NoEpoch.selector, BTC));
        riskArrays.current(BTC);
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.NoEpoch.selector, BTC));
        riskArrays.settled(BTC);
    }

    function test_underlyings_the_publisher_has_nothing_unsettled_on_are_untouched() public {
        _bond(RIVAL, MINIMUM_BOND);
        _skip(WINDOW);
        _news(BTC, BTC_PRICE);
        uint256 rivals = _publishAll(RIVAL, BTC);
        _news(ETH, ETH_PRICE);
        uint256 id = _publishWrong(PUBLISHER, ETH, 0, 0, 1);
        riskArrays.challenge(ETH, id, FIRST, 0);
        assertEq(_currentId(BTC), rivals);
        assertEq(_currentId(ETH), 1);
    }

    function test_who_was_proven_wrong_is_out() public {
        _skip(1);
        bytes32 reportId = _news(ETH, ETH_PRICE);
        uint256 id = _publishWrong(PUBLISHER, ETH, 0, 0, 1);
        riskArrays.challenge(ETH, id, FIRST, 0);
        bytes memory suspended = abi.encodeWithSelector(IRiskArrays.Suspended.selector, PUBLISHER);
        vm.expectRevert(suspended);
        riskArrays.challenge(ETH, id, FIRST, 0);
        vm.expectRevert(suspended);
        riskArrays.setPublisher(PUBLISHER, true);
        vm.startPrank(PUBLISHER);
        vm.expectRevert(suspended);
        riskArrays.publish(ETH, FIRST, reportId, 0, 1, 0, "");
        vm.expectRevert(suspended);
        riskArrays.bond(1);
        vm.stopPrank();
    }

    // ---- until when ----

    function test_the_window_of_a_complete_epoch_ends_as_it_settles() public {
        _skip(1);
        bytes32 reportId = _news(ETH, ETH_PRICE);
        bytes memory wrong = _wrong(_right(ETH, FIRST), 0, 0, 1);
        uint256 id = _publish(PUBLISHER, ETH, FIRST, reportId, wrong);
        _skip(100);
        _publish(PUBLISHER, ETH, SECOND, reportId);
        uint256 closedAt = START + 101 + WINDOW;
        vm.warp(closedAt);
        assertEq(_settledId(ETH), id);
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.WindowOver.selector, closedAt));
        riskArrays.challenge(ETH, id, FIRST, 0);
        vm.warp(closedAt - 1);
        assertEq(_settledId(ETH), 1);
        riskArrays.challenge(ETH, id, FIRST, 0);
    }

    function test_the_window_of_a_pending_epoch_runs_from_its_opening() public {
        _skip(1);
        bytes32 reportId = _news(ETH, ETH_PRICE);
        uint256 id = _publish(PUBLISHER, ETH, FIRST, reportId, _wrong(_right(ETH, FIRST), 0, 0, 1));
        vm.warp(START + 1 + WINDOW);
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.WindowOver.selector, START + 1 + WINDOW));
        riskArrays.challenge(ETH, id, FIRST, 0);
        vm.warp(START + WINDOW);
        riskArrays.challenge(ETH, id, FIRST, 0);
        assertTrue(riskArrays.publisher(PUBLISHER).suspended, "a pending array is vouched for");
        assertEq(_currentId(ETH), 1); // settled in time
    }

    function test_a_superseded_array_stays_challengeable() public {
        _skip(1);
        _news(ETH, ETH_PRICE);
        uint256 id = _publishWrong(PUBLISHER, ETH, 0, 0, 1);
        _skip(5);
        _refresh(ETH, ETH_PRICE);
        assertEq(_currentId(ETH), id + 1);
        vm.warp(START + WINDOW); // its last second; epoch 1 has just settled
        riskArrays.challenge(ETH, id, FIRST, 0);
        assertEq(_currentId(ETH), 1);
    }

    function test_a_voided_array_of_somebody_else_stays_challengeable() public {
        (uint256 rivals, uint256 id) = _twoWrong(ETH, ETH_PRICE);
        riskArrays.challenge(ETH, id, FIRST, 0);
        assertTrue(!riskArrays.valid(ETH, rivals), "cut back with the rest");
        riskArrays.challenge(ETH, rivals, FIRST, 1);
        assertTrue(riskArrays.publisher(RIVAL).suspended, "he vouched for it too");
    }

    // ---- odd cases ----

    function test_only_arrays_that_were_published() public {
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.NoArray.selector, 4, 4));
        riskArrays.challenge(ETH, 1, FIRST, 4);
        uint64[] memory more = new uint64[](1);
        more[0] = 5_000e8;
        _list(ETH, FIRST, more); // listed later: not in this blob
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.NoArray.selector, 4, 4));
        riskArrays.challenge(ETH, 1, FIRST, 4);
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.UnknownBlob.selector, ETH, 2, FIRST));
        riskArrays.challenge(ETH, 2, FIRST, 0);
    }

    /// Starved of gas, the recomputation proves nothing, whatever the amount.
    function testFuzz_too_little_gas_proves_nothing(uint256 gas_) public {
        gas_ = bound(gas_, 30_000, 250_000);
        try riskArrays.challenge{gas: gas_}(ETH, 1, FIRST, 0) {
            assertTrue(false, "a correct array was proven wrong");
        } catch {}
        assertTrue(!riskArrays.publisher(PUBLISHER).suspended, "not suspended");
    }

    /// No word fits where the price relay would hold a price far beyond its own bound: then nothing published is right.
    function test_where_no_array_exists_any_array_is_wrong() public {
        _skip(1);
        bytes32 reportId = _news(ETH, ETH_PRICE);
        uint256 id = _publish(PUBLISHER, ETH, FIRST, reportId);
        bytes32 slot = _reportSlot(reportId);
        uint256 word = uint256(vm.load(address(prices), slot));
        vm.store(address(prices), slot, bytes32(word | uint256(1) << 240)); // the price: 10¹⁸ USD
        bytes32 sliceId = _sliceId(ETH, FIRST);
        uint128 option = _option(ETH, 0, 0, true);
        vm.expectPartialRevert(Words.WordOutOfRange.selector);
        riskArrays.recompute(reportId, sliceId, 1, option);
        vm.prank(CHALLENGER);
        riskArrays.challenge(ETH, id, FIRST, 0);
        assertTrue(riskArrays.publisher(PUBLISHER).suspended, "suspended");
    }

    /// @dev Where the price relay keeps a report: the price is in the first slot, from bit 120.
    function _reportSlot(bytes32 reportId) private view returns (bytes32 slot) {
        for (uint256 base; base < 16; ++base) {
            slot = keccak256(abi.encode(reportId, base));
            if (uint128(uint256(vm.load(address(prices), slot)) >> 120) == ETH_PRICE) return slot;
        }
        revert("report not found");
    }

    /// @dev A price, a time between now and inside the last half hour before the first expiry, odd slices.
    function _world(uint256 price, uint256 age, bool late) private {
        price = bound(price, 100e18, 100_000e18);
        vm.warp(late ? FIRST - 1 - age % 30 minutes : START + 1 + age % 12 hours);
        _report(ETH, price);
        for (uint256 i; i < 2; ++i) {
            _relay(_oddSlice(_expiries(ETH)[i], price, age));
        }
    }

    function _oddSlice(uint40 expiry, uint256 price, uint256 seed) private view returns (Slice memory) {
        seed = uint256(keccak256(abi.encode(seed, expiry)));
        return Slice({
            underlying: ETH,
            expiry: expiry,
            timestamp: uint40(block.timestamp),
            forward: uint128(price * (90 + seed % 20) / 100),
            spot: uint128(price),
            a: int128(int256(seed % 1e18)),
            b: int128(int256((seed >> 8) % 1e18)),
            rho: int128(int256((seed >> 16) % 1.8e18)) - 0.9e18,
            m: int128(int256((seed >> 24) % 1e18)) - 0.5e18,
            s: int128(int256((seed >> 32) % 1e18)) + 1
        });
    }
}
