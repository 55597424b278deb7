// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {MintableToken} from "../../src/demo/MintableToken.sol";
import {Bonds} from "../../src/reference/Bonds.sol";
import {RiskArrays} from "../../src/reference/RiskArrays.sol";
import {IRiskArrays} from "../../src/reference/interfaces/IRiskArrays.sol";
import {RiskArraysBase} from "./RiskArraysBase.sol";

/// @notice Bonds, their return, and fines for late publication.
contract RiskArraysBondsTest is RiskArraysBase {
    uint256 private constant BOND = MINIMUM_BOND + 10_000e6;

    // ---- bond and unbond ----

    function test_who_may_bond() public {
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.NotPublisher.selector, address(this)));
        riskArrays.bond(1);
        assertEq(riskArrays.publisher(PUBLISHER).bond, BOND);
        assertEq(usdc.balanceOf(address(riskArrays)), BOND);
        vm.startPrank(RIVAL);
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.BondTooSmall.selector, 0, 1));
        riskArrays.requestUnbond();
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.BondTooSmall.selector, 0, 1));
        riskArrays.finishUnbond();
        vm.stopPrank();
    }

    function test_a_bond_is_free_one_window_after_the_request() public {
        _skip(3 * WINDOW);
        vm.startPrank(PUBLISHER);
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.BondLocked.selector, type(uint256).max));
        riskArrays.finishUnbond();
        riskArrays.requestUnbond();
        uint256 availableAt = block.timestamp + WINDOW;
        vm.warp(availableAt - 1);
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.BondLocked.selector, availableAt));
        riskArrays.finishUnbond();
        vm.warp(availableAt);
        riskArrays.finishUnbond();
        vm.stopPrank();
        assertEq(usdc.balanceOf(PUBLISHER), BOND);
        assertEq(usdc.balanceOf(address(riskArrays)), 0);
        vm.prank(PUBLISHER);
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.BondTooSmall.selector, 0, 1));
        riskArrays.finishUnbond();
    }

    /// The bond stays for as long as any array it stands for can be proven wrong, to the second.
    function test_publishing_after_the_request_pushes_it_back() public {
        vm.prank(PUBLISHER);
        riskArrays.requestUnbond();
        _skip(WINDOW - 1);
        _news(ETH, ETH_PRICE);
        uint256 id = _publishWrong(PUBLISHER, ETH, 0, 0, 1);
        uint256 closedAt = block.timestamp + WINDOW;
        vm.warp(closedAt - 1);
        vm.prank(PUBLISHER);
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.BondLocked.selector, closedAt));
        riskArrays.finishUnbond();
        uint256 last = vm.snapshotState();
        riskArrays.challenge(ETH, id, FIRST, 0);
        assertEq(riskArrays.publisher(PUBLISHER).bond, 0);
        vm.revertToState(last);
        vm.warp(closedAt);
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.WindowOver.selector, closedAt));
        riskArrays.challenge(ETH, id, FIRST, 0);
        vm.prank(PUBLISHER);
        riskArrays.finishUnbond();
    }

    function test_without_bond_no_publication_and_a_new_bond_needs_a_new_request() public {
        vm.prank(PUBLISHER);
        riskArrays.requestUnbond();
        _skip(WINDOW);
        vm.prank(PUBLISHER);
        riskArrays.finishUnbond();
        bytes32 reportId = _news(ETH, ETH_PRICE);
        vm.prank(PUBLISHER);
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.BondTooSmall.selector, 0, MINIMUM_BOND));
        riskArrays.publish(ETH, FIRST, reportId, 0, 1, 0, "");
        _bond(PUBLISHER, MINIMUM_BOND);
        _skip(WINDOW);
        vm.prank(PUBLISHER);
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.BondLocked.selector, type(uint256).max));
        riskArrays.finishUnbond();
    }

    function test_who_was_taken_off_the_list_gets_his_bond_back() public {
        riskArrays.setPublisher(PUBLISHER, false);
        vm.prank(PUBLISHER);
        riskArrays.requestUnbond();
        _skip(WINDOW);
        vm.prank(PUBLISHER);
        riskArrays.finishUnbond();
        assertEq(usdc.balanceOf(PUBLISHER), BOND);
    }

    function test_nothing_leaves_a_slashed_bond() public {
        vm.prank(PUBLISHER);
        riskArrays.requestUnbond();
        _skip(1);
        _news(ETH, ETH_PRICE);
        uint256 id = _publishWrong(PUBLISHER, ETH, 0, 0, 1);
        vm.prank(CHALLENGER);
        riskArrays.challenge(ETH, id, FIRST, 0);
        _skip(2 * WINDOW);
        vm.prank(PUBLISHER);
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.BondTooSmall.selector, 0, 1));
        riskArrays.finishUnbond();
    }

    // ---- fines ----

    function test_nobody_is_late_without_a_newer_report() public {
        _skip(1 days / 2);
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.NotLate.selector, ETH));
        riskArrays.fine(ETH);
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.NotLate.selector, DAI));
        riskArrays.fine(DAI);
    }

    /// Late from the heartbeat after the first newer report: reports that follow change nothing.
    function test_lateness_runs_from_the_first_newer_report() public {
        _skip(1000);
        _report(ETH, ETH_PRICE);
        _skip(HEARTBEAT);
        _report(ETH, ETH_PRICE);
        (address late, uint256 time) = riskArrays.lateness(ETH);
        assertEq(late, PUBLISHER);
        assertEq(time, 0);
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.NotLate.selector, ETH));
        riskArrays.fine(ETH);
        _skip(1);
        int256 before = venue.fund();
        riskArrays.fine(ETH);
        assertEq(venue.fund() - before, int256(uint256(FINE_PER_SECOND) * 1e12));
        assertEq(riskArrays.publisher(PUBLISHER).bond, BOND - FINE_PER_SECOND);
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.NotLate.selector, ETH));
        riskArrays.fine(ETH); // this second is paid for
    }

    function testFuzz_fines_add_up_however_often_they_are_asked_for(uint256 first, uint256 second) public {
        (first, second) = (bound(first, 1, 1000), bound(second, 1, 1000));
        _skip(1);
        _report(ETH, ETH_PRICE);
        _reporting(HEARTBEAT + first);
        riskArrays.fine(ETH);
        _reporting(second);
        _publishAll(ETH); // charges the rest
        riskArrays.collect(PUBLISHER);
        assertEq(riskArrays.publisher(PUBLISHER).bond, BOND - (first + second) * FINE_PER_SECOND);
        assertEq(venue.fund(), int256((first + second) * FINE_PER_SECOND * 1e12));
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.NotLate.selector, ETH));
        riskArrays.fine(ETH);
    }

    function test_completion_charges_the_late_one_not_the_one_who_helps_out() public {
        _bond(RIVAL, MINIMUM_BOND + 1_000e6);
        _skip(1);
        _report(ETH, ETH_PRICE);
        _skip(HEARTBEAT + 50);
        _news(ETH, ETH_PRICE);
        _publishAll(RIVAL, ETH);
        assertEq(riskArrays.publisher(PUBLISHER).owed, 50 * FINE_PER_SECOND);
        assertEq(riskArrays.publisher(RIVAL).owed, 0);
        _skip(1);
        _report(ETH, ETH_PRICE);
        _skip(HEARTBEAT + 7);
        (address late, uint256 time) = riskArrays.lateness(ETH); // now it is the rival's turn
        assertEq(late, RIVAL);
        assertEq(time, 7);
    }

    function test_fines_stop_at_the_minimum_bond_and_wait_there() public {
        _skip(1);
        _report(ETH, ETH_PRICE);
        _reporting(HEARTBEAT + 6_000); // 12,000 USD, 10,000 above the minimum
        riskArrays.fine(ETH);
        assertEq(riskArrays.publisher(PUBLISHER).bond, MINIMUM_BOND);
        assertEq(riskArrays.publisher(PUBLISHER).owed, 2_000e6);
        assertEq(venue.fund(), 10_000e18);
        riskArrays.collect(PUBLISHER);
        assertEq(riskArrays.publisher(PUBLISHER).bond, MINIMUM_BOND);
        uint256 snapshot = vm.snapshotState();
        _bond(PUBLISHER, 3_000e6); // a top-up pays first
        assertEq(riskArrays.publisher(PUBLISHER).bond, MINIMUM_BOND + 1_000e6);
        assertEq(venue.fund(), 12_000e18);
        vm.revertToState(snapshot);
        riskArrays.setPublisher(PUBLISHER, false); // no later than this
        vm.prank(PUBLISHER);
        riskArrays.requestUnbond();
        _skip(WINDOW);
        vm.prank(PUBLISHER);
        riskArrays.finishUnbond(); // so does leaving
        assertEq(usdc.balanceOf(PUBLISHER), MINIMUM_BOND - 2_000e6);
        assertEq(venue.fund(), 12_000e18);
    }

    function test_fines_beyond_the_whole_bond_take_it_and_no_more() public {
        _skip(1);
        _report(ETH, ETH_PRICE);
        _reporting(6 days - 1);
        uint256 owed = (6 days - 1 - HEARTBEAT) * FINE_PER_SECOND;
        riskArrays.fine(ETH);
        assertEq(riskArrays.publisher(PUBLISHER).owed, owed - 10_000e6);
        vm.prank(PUBLISHER);
        riskArrays.requestUnbond();
        _skip(WINDOW);
        vm.prank(PUBLISHER);
        riskArrays.finishUnbond();
        assertEq(usdc.balanceOf(PUBLISHER), 0);
        assertEq(riskArrays.publisher(PUBLISHER).owed, owed - BOND + MAX_REPORT_AGE * FINE_PER_SECOND);
        assertEq(venue.fund(), int256(BOND * 1e12));
    }

    function test_who_cannot_publish_is_not_late() public {
        _skip(1);
        _report(ETH, ETH_PRICE);
        _skip(HEARTBEAT + 5);
        riskArrays.setPublisher(PUBLISHER, false);
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.NotLate.selector, ETH));
        riskArrays.fine(ETH);
        _skip(100);
        _report(ETH, ETH_PRICE);
        riskArrays.setPublisher(PUBLISHER, true); // a heartbeat's time from here
        riskArrays.setPublisher(PUBLISHER, true); // and saying it again changes nothing
        _skip(HEARTBEAT);
        (, uint256 time) = riskArrays.lateness(ETH);
        assertEq(time, 0);
        _skip(1);
        riskArrays.setPublisher(PUBLISHER, true);
        (, time) = riskArrays.lateness(ETH);
        assertEq(time, 1);
    }

    /// Time without a bond is not time in which he could have published.
    function test_who_comes_back_is_not_late_for_the_time_away() public {
        vm.prank(PUBLISHER);
        riskArrays.requestUnbond();
        _skip(WINDOW);
        vm.prank(PUBLISHER);
        riskArrays.finishUnbond();
        _skip(1 hours);
        _report(ETH, ETH_PRICE);
        _skip(1 hours);
        _news(ETH, ETH_PRICE);
        _bond(PUBLISHER, MINIMUM_BOND);
        (, uint256 time) = riskArrays.lateness(ETH);
        assertEq(time, 0);
    }

    function test_leaving_pays_what_nobody_has_asked_for() public {
        _skip(1);
        _report(ETH, ETH_PRICE);
        _skip(HEARTBEAT);
        vm.prank(PUBLISHER);
        riskArrays.requestUnbond();
        _reporting(WINDOW);
        _report(BTC, BTC_PRICE); // the first newer one: not late on it
        vm.prank(PUBLISHER);
        riskArrays.finishUnbond();
        assertEq(usdc.balanceOf(PUBLISHER), BOND - uint256(WINDOW) * FINE_PER_SECOND);
        assertEq(venue.fund(), int256(uint256(WINDOW) * FINE_PER_SECOND * 1e12));
    }

    // ---- no fine for what nobody could do ----

    function test_late_only_until_the_newest_report_is_too_old() public {
        _skip(1);
        _report(ETH, ETH_PRICE);
        _skip(MAX_REPORT_AGE);
        (, uint256 time) = riskArrays.lateness(ETH);
        assertEq(time, MAX_REPORT_AGE - HEARTBEAT);
        _skip(12 hours);
        (, time) = riskArrays.lateness(ETH);
        assertEq(time, MAX_REPORT_AGE - HEARTBEAT);
    }

    /// Reports come back after hours: a heartbeat's time from the first of them, also for who completes after the third.
    function test_silence_of_the_price_store_is_nobodys_fault() public {
        _skip(1);
        _report(ETH, ETH_PRICE);
        _skip(6 hours);
        bytes32 reportId = _news(ETH, ETH_PRICE);
        uint256 back = block.timestamp;
        _skip(10);
        _publish(PUBLISHER, ETH, FIRST, reportId);
        _skip(10);
        _report(ETH, ETH_PRICE);
        _skip(10);
        _report(ETH, ETH_PRICE);
        vm.warp(back + HEARTBEAT);
        (, uint256 time) = riskArrays.lateness(ETH);
        assertEq(time, 0);
        _skip(7);
        (, time) = riskArrays.lateness(ETH);
        assertEq(time, 7);
    }

    function test_an_expiry_without_a_young_slice_stops_the_clock() public {
        vm.warp(START + MAX_SLICE_AGE - 100);
        _report(ETH, ETH_PRICE);
        _skip(100 + 50); // the slices of both expiries are 50 s too old
        (, uint256 time) = riskArrays.lateness(ETH);
        assertEq(time, 100 - HEARTBEAT);
        _fit(ETH, FIRST);
        (, time) = riskArrays.lateness(ETH);
        assertEq(time, 0); // the other one is still missing
        _report(ETH, ETH_PRICE);
        _fit(ETH, SECOND);
        _skip(HEARTBEAT + 3);
        (, time) = riskArrays.lateness(ETH);
        assertEq(time, 3);
        uint40 added = FIRST + 1 days;
        products.listExpiry(ETH, added);
        _list(ETH, added, _strikes(ETH)); // before its first slice, though the list asks for it
        (, time) = riskArrays.lateness(ETH);
        assertEq(time, 0);
    }

    function test_without_live_options_nobody_is_late() public {
        vm.warp(SECOND - 1);
        _report(ETH, ETH_PRICE);
        _fit(ETH, SECOND);
        _skip(HEARTBEAT + 5);
        (, uint256 time) = riskArrays.lateness(ETH); // the newest report is from before the last expiry
        assertEq(time, 5);
        _report(ETH, ETH_PRICE);
        (, time) = riskArrays.lateness(ETH);
        assertEq(time, 0);
    }

    /// After a proof the older epoch counts again; its publisher did nothing wrong and gets a heartbeat's time.
    function test_a_proof_excuses_the_publisher_it_falls_back_to() public {
        _bond(RIVAL, MINIMUM_BOND);
        _skip(WINDOW);
        _news(ETH, ETH_PRICE);
        uint256 id = _publishWrong(RIVAL, ETH, 0, 0, 1);
        _skip(WINDOW - 1);
        _report(ETH, ETH_PRICE);
        riskArrays.challenge(ETH, id, FIRST, 0);
        assertEq(_currentId(ETH), 1);
        _skip(HEARTBEAT);
        (, uint256 time) = riskArrays.lateness(ETH);
        assertEq(time, 0);
        _skip(1);
        (, time) = riskArrays.lateness(ETH);
        assertEq(time, 1);
    }

    /// @dev That much time in which anyone could publish on ETH and nobody does.
    function _reporting(uint256 time) private {
        for (uint256 step; time > 0; time -= step) {
            step = time < MAX_REPORT_AGE ? time : MAX_REPORT_AGE;
            _skip(step);
            _news(ETH, ETH_PRICE);
        }
    }

    // ---- terms ----

    function test_terms_are_checked() public {
        Bonds.Terms memory terms = _terms();
        terms.fundShare = 4_999;
        _refused(terms, "fundShare");
        terms.fundShare = 10_001;
        _refused(terms, "fundShare");
        terms = _terms();
        terms.window = 0;
        _refused(terms, "window");
        terms = _terms();
        terms.minimumBond = 0;
        _refused(terms, "minimumBond");
        terms = _terms();
        terms.heartbeat = 0;
        _refused(terms, "heartbeat");
        terms = _terms();
        terms.fundShare = 5_000; // half is allowed
        RiskArrays half = new RiskArrays(prices, products, usdc, terms, 1, 1, address(this));
        assertEq(half.slashable(), 500_000e18);
        assertEq(half.window(), WINDOW);
        MintableToken wide = new MintableToken("Wide", "W", 19);
        vm.expectPartialRevert(Bonds.TermOutOfRange.selector);
        new RiskArrays(prices, products, wide, terms, 1, 1, address(this));
    }

    function test_only_the_owner_and_only_once() public {
        vm.expectRevert(abi.encodeWithSelector(Bonds.AlreadyWired.selector, address(venue)));
        riskArrays.wireVenue(venue);
        bytes memory refused = abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, RIVAL);
        vm.startPrank(RIVAL);
        vm.expectRevert(refused);
        riskArrays.wireVenue(venue);
        vm.expectRevert(refused);
        riskArrays.setPublisher(RIVAL, true);
        vm.stopPrank();
    }

    function _refused(Bonds.Terms memory terms, bytes32 field) private {
        try new RiskArrays(prices, products, usdc, terms, 1, 1, address(this)) {
            assertTrue(false, "accepted");
        } catch (bytes memory reason) {
            bytes32 found;
            assembly ("memory-safe") {
                found := mload(add(reason, 36))
            }
            assertEq(bytes32(bytes4(reason)), bytes32(Bonds.TermOutOfRange.selector));
            assertEq(found, field);
        }
    }
}
