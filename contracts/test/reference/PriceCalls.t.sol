// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {RelayTime} from "../../src/keeper/RelayTime.sol";
import {IPriceRelay} from "../../src/keeper/interfaces/IPriceRelay.sol";
import {ISurfaceRelay} from "../../src/keeper/interfaces/ISurfaceRelay.sol";
import {IPrices} from "../../src/reference/interfaces/IPrices.sol";
import {IProducts} from "../../src/reference/interfaces/IProducts.sol";
import {Observation, Report, Slice} from "../../src/reference/Types.sol";
import {RiskArraysBase} from "./RiskArraysBase.sol";

/// @notice The signers' own slips: whatever all of them say is stored whole or refused by name.
contract PriceCallsTest is RiskArraysBase {
    function testFuzz_reports_are_taken_whole_or_refused_by_name(Observation memory seen) public {
        _skip(100);
        seen.underlying %= 4;
        if (seen.timestamp % 2 == 0) seen.timestamp = uint40(block.timestamp - seen.timestamp % 200);
        if (seen.price % 2 == 0) seen.price = uint128(bound(seen.price, 1, 5e24));
        if (seen.confidence % 2 == 0) seen.confidence = seen.price / 2_000;
        if (seen.fundingRate % 2 == 0) seen.fundingRate %= 2e11;
        if (seen.fixedShare % 4 != 3) (seen.fixingExpiry, seen.fixedShare, seen.fixedAverage) = (0, 0, 0);
        bytes32 id = seen.underlying < 3 ? _newestId(seen.underlying) : bytes32(0);
        try prices.relay(seen, _signatures(seen, SIGNERS)) returns (bytes32 next) {
            Report memory stored = prices.report(next);
            assertEq(stored.price, seen.price);
            assertEq(stored.confidence, seen.confidence);
            assertEq(int256(stored.fundingRate), int256(seen.fundingRate));
            assertEq(uint256(stored.timestamp), uint256(seen.timestamp));
            assertEq(uint256(stored.sequence), 2);
            assertTrue(seen.price > 0 && seen.price <= 5e24 && seen.confidence < seen.price, "in range");
            assertTrue(seen.timestamp > START && seen.timestamp <= block.timestamp, "in time");
            int256 cap = seen.underlying == DAI ? int256(0) : int256(1e11);
            assertTrue(seen.fundingRate <= cap && seen.fundingRate >= -cap, "within the cap");
        } catch (bytes memory reason) {
            bytes4 name = bytes4(reason);
            assertTrue(
                name == IPrices.OutOfRange.selector || name == IPrices.TimeInFuture.selector
                    || name == IPrices.TimeNotLater.selector || name == IPrices.WrongFixing.selector
                    || name == IProducts.UnknownUnderlying.selector || name == RelayTime.TooOld.selector,
                "named"
            );
            if (id != 0) assertEq(_newestId(seen.underlying), id);
        }
    }

    function testFuzz_a_batch_of_reports_is_each_in_order_or_nothing(uint256[4] memory seeds, uint256 bad) public {
        _skip(100);
        IPriceRelay.SignedObservation[] memory batch = new IPriceRelay.SignedObservation[](4);
        for (uint256 i; i < 4; ++i) {
            batch[i].seen = _observation(seeds[i] % 2 == 0 ? ETH : BTC, bound(seeds[i], 1e18, 1e22), 0);
            batch[i].seen.timestamp = uint40(START + 1 + i);
            batch[i].signatures = _signatures(batch[i].seen, SIGNERS);
        }
        bytes32[2] memory before = [_newestId(ETH), _newestId(BTC)];
        uint256 clean = vm.snapshotState();
        for (uint256 i; i < 4; ++i) {
            prices.relay(batch[i].seen, batch[i].signatures);
        }
        bytes32[2] memory apart = [_newestId(ETH), _newestId(BTC)];
        vm.revertToState(clean);
        prices.relayMany(batch);
        assertTrue(_newestId(ETH) == apart[0] && _newestId(BTC) == apart[1], "as one by one");
        vm.revertToState(clean);
        IPriceRelay.SignedObservation memory wrong = batch[bad % 4];
        wrong.seen.price = 0;
        wrong.signatures = _signatures(wrong.seen, SIGNERS);
        vm.expectPartialRevert(IPrices.OutOfRange.selector);
        prices.relayMany(batch);
        assertTrue(_newestId(ETH) == before[0] && _newestId(BTC) == before[1], "nothing");
    }

    function testFuzz_a_batch_of_slices_is_each_in_order_or_nothing(uint256[4] memory seeds, uint256 bad) public {
        _skip(100);
        ISurfaceRelay.SignedSlice[] memory batch = new ISurfaceRelay.SignedSlice[](4);
        for (uint256 i; i < 4; ++i) {
            (Slice memory fitted,,) = prices.newestSlice(ETH, seeds[i] % 2 == 0 ? FIRST : SECOND);
            fitted.timestamp = uint40(START + 1 + i);
            fitted.a = int128(int256(bound(seeds[i] >> 1, 0, 1e18)));
            batch[i] = ISurfaceRelay.SignedSlice(fitted, _signatures(fitted, SIGNERS));
        }
        bytes32[2] memory before = [_sliceId(ETH, FIRST), _sliceId(ETH, SECOND)];
        uint256 clean = vm.snapshotState();
        for (uint256 i; i < 4; ++i) {
            surface.relay(batch[i].fitted, batch[i].signatures);
        }
        bytes32[2] memory apart = [_sliceId(ETH, FIRST), _sliceId(ETH, SECOND)];
        vm.revertToState(clean);
        surface.relayMany(batch);
        assertTrue(_sliceId(ETH, FIRST) == apart[0] && _sliceId(ETH, SECOND) == apart[1], "as one by one");
        vm.revertToState(clean);
        batch[bad % 4].fitted.s = 0;
        batch[bad % 4].signatures = _signatures(batch[bad % 4].fitted, SIGNERS);
        vm.expectPartialRevert(IPrices.OutOfRange.selector);
        surface.relayMany(batch);
        assertTrue(_sliceId(ETH, FIRST) == before[0] && _sliceId(ETH, SECOND) == before[1], "nothing");
    }

    function testFuzz_funding_stays_within_the_hard_cap(uint8 underlying, uint64 cap, uint64 step) public {
        if (cap % 2 == 0) cap = uint64(bound(cap, 0, 2e13));
        bool good = cap <= 1e13;
        (uint64 capBefore, uint64 stepBefore) = prices.fundingLimits(underlying);
        if (!good) vm.expectPartialRevert(IPrices.OutOfRange.selector);
        prices.setFundingLimits(underlying, cap, step);
        (uint64 capNow, uint64 stepNow) = prices.fundingLimits(underlying);
        assertEq(uint256(capNow), good ? cap : capBefore);
        assertEq(uint256(stepNow), good ? step : stepBefore);
    }
}
