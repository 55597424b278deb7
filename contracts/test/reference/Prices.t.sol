// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPriceRelay} from "../../src/keeper/interfaces/IPriceRelay.sol";
import {ISurfaceRelay} from "../../src/keeper/interfaces/ISurfaceRelay.sol";
import {IPrices} from "../../src/reference/interfaces/IPrices.sol";
import {IProducts} from "../../src/reference/interfaces/IProducts.sol";
import {Observation, Report, Slice, WAD} from "../../src/reference/Types.sol";
import {Fixture} from "./Fixture.sol";

/// @notice What is kept, and what is refused though every signer vouches for it.
contract PricesTest is Fixture {
    // ---- history ----

    function test_ids_are_content_hashes_of_store_chain_and_fields() public view {
        (Report memory last, bytes32 id, bytes32 before) = prices.newest(ETH);
        assertEq(id, keccak256(abi.encode(address(prices), block.chainid, last)));
        (uint128 price, uint128 confidence, uint40 timestamp) = prices.quote(ETH);
        assertEq(price, last.price);
        assertEq(confidence, last.confidence);
        assertEq(timestamp, last.timestamp);
        assertEq(before, bytes32(0));
        (Slice memory fitted, bytes32 sliceId,) = prices.newestSlice(ETH, _expiries(ETH)[1]);
        assertEq(sliceId, keccak256(abi.encode(address(surface), block.chainid, fitted)));
    }

    function test_history_stays_readable_and_knows_when_it_was_superseded() public {
        (, bytes32 first,) = prices.newest(ETH);
        assertEq(prices.supersededAt(first), 0);
        for (uint256 i = 1; i <= 5; ++i) {
            (, bytes32 old,) = prices.newest(ETH);
            _skip(7);
            bytes32 id = _report(ETH, ETH_PRICE + i);
            (Report memory last, bytes32 newestId, bytes32 before) = prices.newest(ETH);
            assertEq(newestId, id);
            assertEq(before, old);
            assertEq(last.sequence, i + 1);
            assertEq(prices.supersededAt(old), block.timestamp);
        }
        assertEq(prices.report(first).price, ETH_PRICE);
        assertEq(prices.supersededAt(first), START + 7);
    }

    function test_what_is_unknown_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IPrices.UnknownReport.selector, bytes32("x")));
        prices.report("x");
        vm.expectRevert(abi.encodeWithSelector(IPrices.UnknownSlice.selector, bytes32("x")));
        prices.slice("x");
        vm.expectRevert(abi.encodeWithSelector(IPrices.NoReport.selector, 3));
        prices.newest(3);
        vm.expectRevert(abi.encodeWithSelector(IPrices.NoReport.selector, 3));
        prices.quote(3);
        vm.expectRevert(abi.encodeWithSelector(IPrices.NoSlice.selector, ETH, 60));
        prices.newestSlice(ETH, 60);
        vm.expectRevert(abi.encodeWithSelector(IPrices.NotSettled.selector, ETH, 60));
        prices.settlement(ETH, 60);
    }

    // ---- bounds of a report ----

    function test_time_is_strictly_later_and_not_in_the_future() public {
        Observation memory seen = _observation(ETH, ETH_PRICE, 0);
        _refused(seen, abi.encodeWithSelector(IPrices.TimeNotLater.selector, START, START));
        seen.timestamp = uint40(START + 1);
        _refused(seen, abi.encodeWithSelector(IPrices.TimeInFuture.selector, START + 1, START));
        vm.warp(START + 1);
        _relay(seen);
    }

    function test_price_and_confidence_bounds() public {
        _skip(1);
        Observation memory seen = _observation(ETH, ETH_PRICE, 0);
        seen.confidence = uint128(ETH_PRICE);
        _outside(seen, "confidence", int256(ETH_PRICE), 0, int256(ETH_PRICE) - 1);
        (seen.price, seen.confidence) = (0, 0);
        _outside(seen, "price", 0, 1, 5e24);
        seen.price = 5e24 + 1;
        _outside(seen, "price", 5e24 + 1, 1, 5e24);
        seen.price = 5e24;
        _relay(seen);
        _skip(1);
        seen = _observation(ETH, 1, 0); // however far it moves
        seen.confidence = 0;
        _relay(seen);
    }

    function test_unknown_underlying() public {
        Observation memory seen = _observation(ETH, ETH_PRICE, 0);
        seen.underlying = 3;
        _refused(seen, abi.encodeWithSelector(IProducts.UnknownUnderlying.selector, 3));
    }

    // ---- funding ----

    function test_funding_cap_and_step_with_equality() public {
        prices.setFundingLimits(ETH, 10, 6);
        _skip(1);
        _outside(_observation(ETH, ETH_PRICE, 7), "fundingStep", 7, -6, 6);
        _report(ETH, ETH_PRICE, 6);
        _skip(1);
        _outside(_observation(ETH, ETH_PRICE, 11), "fundingRate", 11, -10, 10);
        _report(ETH, ETH_PRICE, 10);
        _skip(1);
        _outside(_observation(ETH, ETH_PRICE, 3), "fundingStep", -7, -6, 6);
        _report(ETH, ETH_PRICE, 4);
        vm.expectPartialRevert(IPrices.OutOfRange.selector);
        prices.setFundingLimits(ETH, 1e13 + 1, 0);
    }

    /// A cap lowered by more than a step: the step counts from the new cap.
    function test_funding_can_be_switched_off_at_once() public {
        _skip(1);
        _report(ETH, ETH_PRICE, 1e11);
        prices.setFundingLimits(ETH, 3e9, 1e9);
        _skip(1);
        Observation memory seen = _observation(ETH, ETH_PRICE, 2e9 - 1);
        _outside(seen, "fundingStep", -1e9 - 1, -1e9, 1e9);
        _report(ETH, ETH_PRICE, 2e9);
        prices.setFundingLimits(ETH, 0, 0);
        _skip(1);
        _report(ETH, ETH_PRICE, 0);
    }

    function test_without_limits_there_is_no_funding() public {
        _skip(1);
        _outside(_observation(DAI, WAD, 1), "fundingRate", 1, 0, 0);
    }

    /// 10⁻⁹ of the price a second for an hour at 3,000 USD, then −10⁻⁹ for half an hour at 2,000 USD:
    /// 3600 · 3000 · 10⁻⁹ − 1800 · 2000 · 10⁻⁹ = 0.0108 − 0.0036 = 0.0072 USD.
    function test_funding_accrues_the_previous_rate_and_price() public {
        _skip(1);
        _report(ETH, 3_000e18, 1e9);
        _skip(1 hours);
        _report(ETH, 2_000e18, -1e9);
        (Report memory last,,) = prices.newest(ETH);
        assertEq(last.fundingIndex, 0.0108e18);
        _skip(30 minutes);
        _report(ETH, 1_000e18, 0);
        (last,,) = prices.newest(ETH);
        assertEq(last.fundingIndex, 0.0072e18);
    }

    /// 1 second of −10⁻¹⁸ at 1.5 wei of price is less than a wad unit: it rounds toward −∞, both signs.
    function test_funding_rounds_down() public {
        _skip(1);
        _report(ETH, 3, -1);
        _skip(1);
        _report(ETH, 3, 1);
        (Report memory last,,) = prices.newest(ETH);
        assertEq(last.fundingIndex, -1);
        _skip(1);
        _report(ETH, 3, 0);
        (last,,) = prices.newest(ETH);
        assertEq(last.fundingIndex, -1);
    }

    function testFuzz_funding_index_is_additive_up_to_a_unit(uint256 first, uint256 second, uint256 price, uint256 rate)
        public
    {
        (first, second) = (bound(first, 1, 1e6), bound(second, 1, 1e6));
        price = bound(price, 1, 1e24);
        int64 perSecond = int64(int256(bound(rate, 0, 2e11))) - 1e11;
        _skip(1);
        _report(ETH, price, perSecond);
        uint256 snapshot = vm.snapshotState();
        uint256 from = block.timestamp;
        vm.warp(from + first + second);
        _report(ETH, price);
        int256 atOnce = _index(ETH);
        vm.revertToState(snapshot);
        vm.warp(from + first);
        _report(ETH, price, perSecond);
        vm.warp(from + first + second);
        _report(ETH, price);
        int256 inTwo = _index(ETH);
        assertLe(inTwo, atOnce);
        assertLe(atOnce - inTwo, 1);
    }

    // ---- averaging and settlement ----

    function test_fixing_is_due_from_the_opening_of_the_window() public {
        uint40 expiry = _expiries(ETH)[0];
        vm.warp(expiry - 30 minutes - 1);
        Observation memory seen = _observation(ETH, ETH_PRICE, 0);
        assertEq(seen.fixingExpiry, 0);
        seen.fixingExpiry = expiry;
        _refused(seen, abi.encodeWithSelector(IPrices.WrongFixing.selector, expiry, 0, 0, 0));
        _report(ETH, ETH_PRICE);

        vm.warp(expiry - 30 minutes); // share 0: named, nothing fixed
        seen = _observation(ETH, ETH_PRICE, 0);
        assertEq(seen.fixingExpiry, expiry);
        assertEq(seen.fixedShare, 0);
        seen.fixedAverage = 1;
        _outside(seen, "fixedAverage", 1, 0, 0);
        _report(ETH, ETH_PRICE);

        vm.warp(expiry - 20 minutes); // a third
        seen = _observation(ETH, ETH_PRICE, 0);
        assertEq(seen.fixedShare, WAD / 3);
        seen.fixingExpiry = 0;
        _refused(seen, abi.encodeWithSelector(IPrices.WrongFixing.selector, 0, WAD / 3, expiry, WAD / 3));
        seen.fixingExpiry = expiry;
        seen.fixedShare = uint64(WAD / 3 - 1);
        _refused(seen, abi.encodeWithSelector(IPrices.WrongFixing.selector, expiry, WAD / 3 - 1, expiry, WAD / 3));
        (seen.fixedShare, seen.fixedAverage) = (uint64(WAD / 3), 0);
        _outside(seen, "fixedAverage", 0, 1, 5e24);
    }

    /// Half the window at 3,000, half at 2,000 USD settles at 2,500.
    function test_settlement_is_the_average_of_the_window() public {
        uint40 expiry = _expiries(ETH)[0];
        vm.warp(expiry - 15 minutes);
        _report(ETH, 3_000e18);
        vm.warp(expiry + 5);
        vm.expectRevert(abi.encodeWithSelector(IPrices.NotSettled.selector, ETH, expiry));
        prices.settlement(ETH, expiry);
        _report(ETH, 2_000e18);
        assertEq(prices.settlement(ETH, expiry), 2_500e18);
        (Report memory last,,) = prices.newest(ETH);
        assertEq(last.fixingExpiry, expiry);
        assertEq(last.fixedShare, WAD);
        _skip(1);
        _report(ETH, 1_000e18);
        (last,,) = prices.newest(ETH);
        assertEq(last.fixingExpiry, 0);
        assertEq(prices.settlement(ETH, expiry), 2_500e18);
    }

    function test_what_is_fixed_stays_fixed() public {
        uint40 expiry = _expiries(ETH)[0];
        vm.warp(expiry - 15 minutes);
        _report(ETH, 3_000e18);
        vm.warp(expiry);
        Observation memory seen = _observation(ETH, 10e18, 0);
        seen.fixedAverage = 1_500e18 - 1; // half of 3,000 is fixed; the other half cannot have been negative
        _outside(seen, "fixedAverage", 1_500e18 - 1, 1_500e18, 5e24);
        seen.fixedAverage = 1_500e18;
        _relay(seen);
        assertEq(prices.settlement(ETH, expiry), 1_500e18);
    }

    function test_several_unsettled_expiries_settle_oldest_first_one_a_report() public {
        uint40[] memory expiries = _expiries(ETH);
        vm.warp(expiries[2] + 1 days);
        for (uint256 i; i < 3; ++i) {
            Observation memory seen = _observation(ETH, (i + 1) * 1_000e18, 0);
            assertEq(seen.fixingExpiry, expiries[i]);
            _relay(seen);
            assertEq(prices.settlement(ETH, expiries[i]), (i + 1) * 1_000e18);
            _skip(1);
        }
        assertEq(_observation(ETH, ETH_PRICE, 0).fixingExpiry, 0);
    }

    function testFuzz_share_grows_with_time_and_is_whole_at_expiry(uint256 first, uint256 second) public view {
        uint40 expiry = _expiries(ETH)[0];
        first = bound(first, START, expiry + 1 hours);
        second = bound(second, first, expiry + 1 hours);
        (, uint256 early) = prices.fixingAt(ETH, uint40(first));
        (, uint256 late) = prices.fixingAt(ETH, uint40(second));
        assertLe(early, late);
        assertLe(late, WAD);
        assertTrue((late == WAD) == (second >= expiry), "whole from the expiry on, never before");
    }

    // ---- slices ----

    function test_slice_bounds_with_equality() public {
        _skip(1);
        Slice memory fitted = _slice();
        fitted.b = -1;
        _outside(fitted, "b", -1, 0, 100e18);
        fitted = _slice();
        fitted.rho = 1e18;
        _outside(fitted, "rho", 1e18, 1 - 1e18, 1e18 - 1);
        fitted.rho = -1e18;
        _outside(fitted, "rho", -1e18, 1 - 1e18, 1e18 - 1);
        fitted = _slice();
        fitted.s = 0;
        _outside(fitted, "s", 0, 1, 10e18);
        fitted = _slice();
        fitted.forward = 2 * fitted.spot + 1;
        _outside(fitted, "forward", 6_000e18 + 1, 1_500e18, 6_000e18);
        fitted.forward = fitted.spot / 2 - 1;
        _outside(fitted, "forward", 1_500e18 - 1, 1_500e18, 6_000e18);
        fitted.forward = fitted.spot / 2;
        _relay(fitted);
    }

    /// a + b·s·√(1−ρ²) with b·s = 0.1, ρ = 0.6: 0.08, so a = −0.08 is the edge.
    function test_slice_with_negative_variance_is_refused() public {
        _skip(1);
        Slice memory fitted = _slice();
        (fitted.a, fitted.b, fitted.s, fitted.rho) = (-0.08e18 - 1, 0.2e18, 0.5e18, 0.6e18);
        _outside(fitted, "variance", -1e36, 0, type(int256).max);
        fitted.a = -0.08e18;
        _relay(fitted);
    }

    function test_slice_time_is_later_not_future_and_before_expiry() public {
        Slice memory fitted = _slice();
        _refused(fitted, abi.encodeWithSelector(IPrices.TimeNotLater.selector, START, START));
        fitted.timestamp = uint40(START + 1);
        _refused(fitted, abi.encodeWithSelector(IPrices.TimeInFuture.selector, START + 1, START));
        uint40 expiry = fitted.expiry;
        vm.warp(expiry);
        fitted.timestamp = expiry;
        _outside(fitted, "timestamp", int256(uint256(expiry)), 1, int256(uint256(expiry)) - 1);
        fitted.timestamp = expiry - 1;
        _relay(fitted);
    }

    function test_slice_needs_a_listed_expiry() public {
        Slice memory fitted = _slice();
        fitted.expiry += 60;
        _refused(fitted, abi.encodeWithSelector(IPrices.NoSlice.selector, ETH, fitted.expiry));
        fitted.expiry = 0;
        _refused(fitted, abi.encodeWithSelector(IPrices.NoSlice.selector, ETH, 0));
    }

    // ---- batches ----

    function test_batches_keep_their_order() public {
        _skip(2);
        IPriceRelay.SignedObservation[] memory seen = new IPriceRelay.SignedObservation[](2);
        (seen[0].seen, seen[1].seen) = (_observation(ETH, 1e18, 0), _observation(ETH, 2e18, 0));
        seen[0].seen.timestamp -= 1;
        for (uint256 i; i < 2; ++i) {
            seen[i].signatures = _signatures(seen[i].seen, SIGNERS);
        }
        prices.relayMany(seen);
        (Report memory last,,) = prices.newest(ETH);
        assertEq(last.price, 2e18);
        assertEq(last.sequence, 3);
        ISurfaceRelay.SignedSlice[] memory fitted = new ISurfaceRelay.SignedSlice[](2);
        for (uint256 i; i < 2; ++i) {
            fitted[i].fitted = _slice();
            fitted[i].fitted.timestamp = uint40(START + 1 + i);
            fitted[i].signatures = _signatures(fitted[i].fitted, QUORUM);
        }
        surface.relayMany(fitted);
        (Slice memory newestFit,,) = prices.newestSlice(ETH, _slice().expiry);
        assertEq(newestFit.timestamp, START + 2);
    }

    function _slice() private view returns (Slice memory fitted) {
        (fitted,,) = prices.newestSlice(ETH, _expiries(ETH)[1]);
        fitted.timestamp = uint40(block.timestamp);
    }

    function _index(uint8 underlying) private view returns (int256) {
        (Report memory last,,) = prices.newest(underlying);
        return last.fundingIndex;
    }

    function _outside(Observation memory seen, bytes32 field, int256 found, int256 low, int256 high) private {
        _refused(seen, abi.encodeWithSelector(IPrices.OutOfRange.selector, field, found, low, high));
    }

    function _outside(Slice memory fitted, bytes32 field, int256 found, int256 low, int256 high) private {
        _refused(fitted, abi.encodeWithSelector(IPrices.OutOfRange.selector, field, found, low, high));
    }
}
