// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IRiskArrays} from "../../src/reference/interfaces/IRiskArrays.sol";
import {Bonds} from "../../src/reference/Bonds.sol";
import {RiskArrays} from "../../src/reference/RiskArrays.sol";
import {Report, ScanParameters} from "../../src/reference/Types.sol";
import {RiskArraysBase} from "./RiskArraysBase.sol";

/// @notice Publishing, and which epoch counts when.
contract RiskArraysTest is RiskArraysBase {
    // ---- what is stored ----

    function test_an_epoch_names_its_report_and_its_blobs_hold_header_and_arrays() public view {
        (uint256 id, IRiskArrays.Epoch memory first) = riskArrays.current(ETH);
        (Report memory report, bytes32 reportId,) = prices.newest(ETH);
        assertEq(id, 1);
        assertEq(first.reportId, reportId);
        assertEq(first.publisher, PUBLISHER);
        assertEq(first.reportTimestamp, report.timestamp);
        assertEq(first.openedAt, START);
        assertEq(first.completedAt, START);
        assertEq(first.version, 1);
        assertEq(first.price, report.price);
        bytes memory expected = abi.encodePacked(
            bytes1(0), // STOP
            reportId,
            _sliceId(ETH, SECOND),
            bytes16(uint128(ETH_PRICE)),
            uint64(START),
            uint32(1),
            uint32(4),
            _right(ETH, SECOND)
        );
        assertEq(riskArrays.blob(ETH, 1, SECOND).code, expected);
    }

    function test_blobs_of_an_epoch_in_one_call() public {
        uint40[] memory asked = new uint40[](3);
        (asked[0], asked[1], asked[2]) = (SECOND, FIRST + 60, FIRST);
        (uint256 id,, address[] memory found) = riskArrays.blobs(ETH, false, asked);
        assertEq(id, 1);
        assertEq(found[0], riskArrays.blob(ETH, 1, SECOND));
        assertEq(found[1], address(0));
        assertEq(found[2], riskArrays.blob(ETH, 1, FIRST));
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.NoEpoch.selector, ETH));
        riskArrays.blobs(ETH, true, asked);
    }

    function test_what_is_unknown_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.NoEpoch.selector, DAI));
        riskArrays.current(DAI);
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.NoEpoch.selector, ETH));
        riskArrays.epoch(ETH, 2);
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.UnknownBlob.selector, ETH, 2, FIRST));
        riskArrays.blob(ETH, 2, FIRST);
        assertTrue(!riskArrays.valid(ETH, 0) && !riskArrays.valid(ETH, 2), "unknown is not valid");
        bytes32 reportId = _newestId(ETH);
        bytes32 sliceId = _sliceId(ETH, FIRST);
        uint128 other = _option(ETH, 1, 0, true);
        vm.expectRevert(abi.encodeWithSelector(RiskArrays.NotOfOneExpiry.selector, reportId, sliceId, other));
        riskArrays.recompute(reportId, sliceId, 1, other);
        other = _option(BTC, 0, 0, true);
        vm.expectRevert(abi.encodeWithSelector(RiskArrays.NotOfOneExpiry.selector, reportId, sliceId, other));
        riskArrays.recompute(reportId, sliceId, 1, other);
    }

    // ---- epoch switch-over ----

    function test_an_epoch_becomes_current_with_its_last_expiry() public {
        _skip(10);
        bytes32 reportId = _news(ETH, ETH_PRICE);
        assertEq(_publish(PUBLISHER, ETH, FIRST, reportId), 2);
        assertEq(_currentId(ETH), 1);
        assertEq(riskArrays.epoch(ETH, 2).completedAt, 0);
        assertTrue(!riskArrays.valid(ETH, 2), "pending");
        _skip(10);
        assertEq(_publish(PUBLISHER, ETH, SECOND, reportId), 2);
        assertEq(_currentId(ETH), 2);
        assertTrue(riskArrays.valid(ETH, 2) && riskArrays.valid(ETH, 1), "both complete");
        assertEq(riskArrays.epoch(ETH, 2).openedAt, START + 10);
        assertEq(riskArrays.epoch(ETH, 2).completedAt, START + 20);
    }

    function test_expiries_come_in_order_and_once() public {
        _skip(10);
        bytes32 reportId = _news(ETH, ETH_PRICE);
        bytes memory second = _right(ETH, SECOND);
        _refused(SECOND, reportId, second, abi.encodeWithSelector(IRiskArrays.WrongOrder.selector, SECOND, FIRST));
        bytes memory first = _right(ETH, FIRST);
        _publishNow(FIRST, reportId, first);
        _refused(FIRST, reportId, first, abi.encodeWithSelector(IRiskArrays.WrongOrder.selector, FIRST, SECOND));
    }

    function test_opening_on_a_newer_report_abandons_the_publishers_own_pending_epoch() public {
        _skip(10);
        bytes32 older = _news(ETH, ETH_PRICE);
        _publish(PUBLISHER, ETH, FIRST, older);
        _skip(10);
        bytes32 newer = _news(ETH, ETH_PRICE);
        assertEq(_publish(PUBLISHER, ETH, FIRST, newer), 3);
        _publish(PUBLISHER, ETH, SECOND, newer);
        assertEq(_currentId(ETH), 3);
        assertEq(riskArrays.epoch(ETH, 2).completedAt, 0);
    }

    function test_a_rivals_pending_epoch_disturbs_nobody() public {
        _bond(RIVAL, MINIMUM_BOND);
        _skip(10);
        bytes32 reportId = _news(ETH, ETH_PRICE);
        assertEq(_publish(PUBLISHER, ETH, FIRST, reportId), 2);
        assertEq(_publish(RIVAL, ETH, FIRST, reportId), 3);
        assertEq(_publish(PUBLISHER, ETH, SECOND, reportId), 2);
        assertEq(_currentId(ETH), 2);
        bytes memory arrays = _right(ETH, SECOND); // the rival comes too late on this report
        bytes32 sliceId = _sliceId(ETH, SECOND);
        bytes32 listingId = _listingId(ETH, SECOND, 1);
        vm.prank(RIVAL);
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.ReportNotLater.selector, START + 10, START + 10));
        riskArrays.publish(ETH, SECOND, reportId, sliceId, 1, listingId, arrays);
    }

    function test_scan_version_is_fixed_at_opening() public {
        _skip(10);
        bytes32 reportId = _news(ETH, ETH_PRICE);
        bytes memory second = _right(ETH, SECOND);
        _publish(PUBLISHER, ETH, FIRST, reportId);
        ScanParameters memory scan = _scan(ETH);
        scan.scan = 0.2e18;
        products.setScanParameters(ETH, scan);
        _publishNow(SECOND, reportId, second);
        assertEq(riskArrays.epoch(ETH, 2).version, 1);
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.ArrayCorrect.selector, ETH, 2, SECOND, 3));
        riskArrays.challenge(ETH, 2, SECOND, 3);
        _skip(1);
        _refresh(ETH, ETH_PRICE);
        assertEq(riskArrays.epoch(ETH, 3).version, 2);
    }

    /// Parameters set after the words were computed, before they were mined: refused, never proven wrong.
    function test_new_parameters_never_make_an_honest_array_wrong() public {
        _skip(10);
        bytes32 reportId = _news(ETH, ETH_PRICE);
        bytes memory first = _right(ETH, FIRST);
        ScanParameters memory scan = _scan(ETH);
        scan.scan = 0.2e18;
        products.setScanParameters(ETH, scan);
        _refused(FIRST, reportId, first, abi.encodeWithSelector(IRiskArrays.VersionNotInForce.selector, 1, 2));
    }

    /// What was reported before a write is never margined by it: a version written while another is on its way says nothing
    /// of earlier times.
    function test_a_report_from_before_a_write_goes_with_the_version_before() public {
        _skip(10);
        bytes32 reportId = _news(ETH, ETH_PRICE);
        bytes memory first = _right(ETH, FIRST);
        _skip(1);
        products.setScanParameters(ETH, _scan(ETH));
        bytes32 listingId = _listingId(ETH, FIRST, 2);
        bytes32 sliceId = _sliceId(ETH, FIRST);
        vm.prank(PUBLISHER);
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.VersionNotInForce.selector, 2, 1));
        riskArrays.publish(ETH, FIRST, reportId, sliceId, 2, listingId, first);
        assertEq(riskArrays.epoch(ETH, _publish(PUBLISHER, ETH, FIRST, reportId)).version, 1);
        reportId = _news(ETH, ETH_PRICE);
        assertEq(riskArrays.epoch(ETH, _publish(PUBLISHER, ETH, FIRST, reportId)).version, 2);
    }

    function test_a_new_version_opens_a_new_epoch_on_the_same_report() public {
        _skip(10);
        bytes32 reportId = _news(ETH, ETH_PRICE);
        assertEq(_publish(PUBLISHER, ETH, FIRST, reportId), 2);
        products.setScanParameters(ETH, _scan(ETH));
        assertEq(_publish(PUBLISHER, ETH, FIRST, reportId), 3);
        _publish(PUBLISHER, ETH, SECOND, reportId);
        assertEq(_currentId(ETH), 3);
        assertEq(riskArrays.epoch(ETH, 3).version, 2);
        assertEq(riskArrays.epoch(ETH, 2).completedAt, 0);
    }

    function test_expiries_without_options_need_no_arrays() public {
        products.listExpiry(ETH, FIRST + 1 days);
        products.listExpiry(ETH, SECOND + 1 days);
        _skip(1);
        assertEq(_refresh(ETH, ETH_PRICE), 2);
        assertEq(_currentId(ETH), 2);
    }

    /// Live is what expires after the report, whatever the block's time.
    function test_an_expiry_is_live_until_its_own_second_by_the_reports_time() public {
        vm.warp(FIRST - 1);
        bytes32 reportId = _news(ETH, ETH_PRICE);
        vm.warp(FIRST + 1);
        _publish(PUBLISHER, ETH, FIRST, reportId);
        _publish(PUBLISHER, ETH, SECOND, reportId);
        reportId = _reportAt(FIRST);
        bytes memory second = _right(ETH, SECOND);
        _publishNow(SECOND, reportId, second);
        (uint256 id, IRiskArrays.Epoch memory now_) = riskArrays.current(ETH);
        assertEq(id, 3);
        assertEq(now_.reportTimestamp, FIRST);
    }

    // ---- what may be published on ----

    function test_newest_report_or_the_one_before_never_an_older_one() public {
        bytes32[3] memory ids;
        for (uint256 i; i < 3; ++i) {
            _skip(5);
            ids[i] = _news(ETH, ETH_PRICE + i);
        }
        bytes32 sliceId = _sliceId(ETH, FIRST);
        bytes memory arrays = _arrays(ETH, FIRST, ids[0], sliceId);
        _refused(
            FIRST, ids[0], arrays, abi.encodeWithSelector(IRiskArrays.ReportNotRecent.selector, ids[0], ids[2], ids[1])
        );
        _refused(
            FIRST, 0, arrays, abi.encodeWithSelector(IRiskArrays.ReportNotRecent.selector, bytes32(0), ids[2], ids[1])
        );
        assertEq(_publish(PUBLISHER, ETH, FIRST, ids[1]), 2);
        _publish(PUBLISHER, ETH, SECOND, ids[1]);
        assertEq(_currentId(ETH), 2);
    }

    function test_newest_slice_or_the_one_before_never_an_older_one() public {
        _skip(5);
        bytes32[3] memory slices;
        bytes32 reportId = _report(ETH, ETH_PRICE);
        for (uint256 i; i < 3; ++i) {
            _skip(5);
            slices[i] = _fit(ETH, FIRST);
        }
        bytes memory arrays = _arrays(ETH, FIRST, reportId, slices[0]);
        bytes32 listingId = _listingId(ETH, FIRST, 1);
        vm.startPrank(PUBLISHER);
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.SliceNotRecent.selector, slices[0], slices[2], slices[1]));
        riskArrays.publish(ETH, FIRST, reportId, slices[0], 1, listingId, arrays);
        riskArrays.publish(ETH, FIRST, reportId, slices[1], 1, listingId, arrays);
        vm.stopPrank();
    }

    function test_a_zero_id_is_never_the_one_before() public {
        products.listExpiry(ETH, FIRST - 2 hours);
        _skip(1);
        bytes32 reportId = _report(ETH, ETH_PRICE);
        _fit(ETH, FIRST - 2 hours);
        _list(ETH, FIRST - 2 hours, _strikes(ETH));
        bytes32 sliceId = _sliceId(ETH, FIRST - 2 hours);
        vm.prank(PUBLISHER);
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.SliceNotRecent.selector, bytes32(0), sliceId, bytes32(0)));
        riskArrays.publish(ETH, FIRST - 2 hours, reportId, 0, 1, 0, new bytes(4 * 132));
    }

    function test_report_age_limit_with_equality() public {
        _skip(10);
        bytes32 reportId = _news(ETH, ETH_PRICE);
        bytes memory arrays = _right(ETH, FIRST);
        _skip(MAX_REPORT_AGE + 1);
        _refused(
            FIRST,
            reportId,
            arrays,
            abi.encodeWithSelector(IRiskArrays.TooOld.selector, MAX_REPORT_AGE + 1, MAX_REPORT_AGE)
        );
        vm.warp(block.timestamp - 1);
        _publishNow(FIRST, reportId, arrays);
    }

    function test_slice_age_limit_with_equality() public {
        vm.warp(START + MAX_SLICE_AGE + 1);
        bytes32 reportId = _report(ETH, ETH_PRICE);
        bytes memory arrays = _right(ETH, FIRST);
        _refused(
            FIRST,
            reportId,
            arrays,
            abi.encodeWithSelector(IRiskArrays.TooOld.selector, MAX_SLICE_AGE + 1, MAX_SLICE_AGE)
        );
        _fit(ETH, FIRST);
        _publishNow(FIRST, reportId, _right(ETH, FIRST));
    }

    function test_slice_of_exactly_the_age_limit_serves() public {
        vm.warp(START + MAX_SLICE_AGE);
        bytes32 reportId = _report(ETH, ETH_PRICE);
        assertEq(_publish(PUBLISHER, ETH, FIRST, reportId), 2);
    }

    function test_a_report_serves_one_epoch_and_time_never_goes_back() public {
        bytes32 first = _newestId(ETH);
        bytes memory arrays = _right(ETH, FIRST);
        _refused(FIRST, first, arrays, abi.encodeWithSelector(IRiskArrays.ReportNotLater.selector, START, START));
        _skip(5);
        _refresh(ETH, ETH_PRICE);
        _refused(FIRST, first, arrays, abi.encodeWithSelector(IRiskArrays.ReportNotLater.selector, START, START + 5));
    }

    function test_length_is_exact_and_within_a_blob() public {
        _skip(5);
        bytes32 reportId = _news(ETH, ETH_PRICE);
        bytes memory arrays = _right(ETH, FIRST);
        _refused(
            FIRST,
            reportId,
            bytes.concat(arrays, hex"00"),
            abi.encodeWithSelector(IRiskArrays.WrongLength.selector, 529, 528)
        );
        _refused(FIRST, reportId, "", abi.encodeWithSelector(IRiskArrays.WrongLength.selector, 0, 528));
        _refused(
            FIRST,
            reportId,
            new bytes(24_480),
            abi.encodeWithSelector(IRiskArrays.BlobTooLarge.selector, 24_576, 24_575)
        );
        _refused(
            FIRST, reportId, new bytes(24_479), abi.encodeWithSelector(IRiskArrays.WrongLength.selector, 24_479, 528)
        );
    }

    function test_who_may_publish() public {
        _skip(5);
        bytes32 reportId = _news(ETH, ETH_PRICE);
        bytes memory arrays = _right(ETH, FIRST);
        bytes32 sliceId = _sliceId(ETH, FIRST);
        bytes32 listingId = _listingId(ETH, FIRST, 1);
        vm.startPrank(RIVAL);
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.NotPublisher.selector, RIVAL));
        riskArrays.publish(ETH, FIRST, reportId, sliceId, 1, listingId, arrays);
        vm.stopPrank();
        _bond(RIVAL, MINIMUM_BOND - 1);
        vm.startPrank(RIVAL);
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.BondTooSmall.selector, MINIMUM_BOND - 1, MINIMUM_BOND));
        riskArrays.publish(ETH, FIRST, reportId, sliceId, 1, listingId, arrays);
        vm.stopPrank();
        _bond(RIVAL, 1); // equality: exactly the minimum
        vm.prank(RIVAL);
        riskArrays.publish(ETH, FIRST, reportId, sliceId, 1, listingId, arrays);
        riskArrays.setPublisher(RIVAL, false);
        vm.startPrank(RIVAL);
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.NotPublisher.selector, RIVAL));
        riskArrays.publish(ETH, SECOND, reportId, sliceId, 1, listingId, arrays);
        vm.stopPrank();
    }

    function test_nothing_is_published_before_the_fund_is_known() public {
        RiskArrays unwired =
            new RiskArrays(prices, products, usdc, _terms(), MAX_REPORT_AGE, MAX_SLICE_AGE, address(this));
        unwired.setPublisher(PUBLISHER, true);
        vm.prank(PUBLISHER);
        vm.expectRevert(Bonds.NotWired.selector);
        unwired.publish(ETH, FIRST, 0, 0, 1, 0, "");
    }

    // ---- settled ----

    function test_an_epoch_settles_one_window_after_completion() public {
        vm.warp(START + WINDOW - 1);
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.NoEpoch.selector, ETH));
        riskArrays.settled(ETH);
        vm.warp(START + WINDOW);
        assertEq(_settledId(ETH), 1);
        _refresh(ETH, ETH_PRICE);
        assertEq(_settledId(ETH), 1);
        vm.warp(START + 2 * WINDOW - 1);
        assertEq(_settledId(ETH), 1);
        vm.warp(START + 2 * WINDOW);
        assertEq(_settledId(ETH), 2);
    }

    /// Against a plain walk over all epochs, at random times between random completions.
    function testFuzz_settled_is_the_newest_old_enough(uint256 seed, uint256 later) public {
        for (uint256 i; i < 6; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            _skip(1 + seed % (seed % 3 == 0 ? 2 * WINDOW : 100));
            bytes32 reportId = _news(ETH, ETH_PRICE);
            _publish(PUBLISHER, ETH, FIRST, reportId, new bytes(528)); // what is in them does not matter here
            _publish(PUBLISHER, ETH, SECOND, reportId, new bytes(528));
            _checkSettled(7);
        }
        _skip(later % (2 * WINDOW));
        _checkSettled(7);
    }

    function _checkSettled(uint256 most) private view {
        uint256 expected;
        for (uint256 id = 1; id <= most; ++id) {
            try riskArrays.epoch(ETH, id) returns (IRiskArrays.Epoch memory e) {
                if (e.completedAt + uint256(WINDOW) <= block.timestamp) expected = id;
            } catch {}
        }
        try riskArrays.settled(ETH) returns (uint256 found, IRiskArrays.Epoch memory) {
            assertEq(found, expected);
        } catch {
            assertEq(expected, 0);
        }
    }

    function _reportAt(uint40 timestamp) private returns (bytes32) {
        (uint40 expiry, uint256 share) = prices.fixingAt(ETH, timestamp);
        assertEq(expiry, FIRST);
        assertEq(share, 1e18);
        vm.warp(timestamp);
        bytes32 id = _report(ETH, ETH_PRICE);
        vm.warp(timestamp + 2);
        return id;
    }

    /// @dev The cheat code must come right before the call that reverts.
    function _refused(uint40 expiry, bytes32 reportId, bytes memory arrays, bytes memory reason) private {
        (, bytes32 sliceId,) = prices.newestSlice(ETH, expiry);
        bytes32 listingId = _listingId(ETH, expiry, 1);
        vm.prank(PUBLISHER);
        vm.expectRevert(reason);
        riskArrays.publish(ETH, expiry, reportId, sliceId, 1, listingId, arrays);
    }

    function _publishNow(uint40 expiry, bytes32 reportId, bytes memory arrays) private {
        (, bytes32 sliceId,) = prices.newestSlice(ETH, expiry);
        bytes32 listingId = _listingId(ETH, expiry, 1);
        vm.prank(PUBLISHER);
        riskArrays.publish(ETH, expiry, reportId, sliceId, 1, listingId, arrays);
    }
}
