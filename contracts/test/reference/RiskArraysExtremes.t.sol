// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {RelayTime} from "../../src/keeper/RelayTime.sol";
import {IRiskArrays} from "../../src/reference/interfaces/IRiskArrays.sol";
import {IPrices} from "../../src/reference/interfaces/IPrices.sol";
import {Instruments, ScanParameters, Slice} from "../../src/reference/Types.sol";
import {RiskArraysBase} from "./RiskArraysBase.sol";

/// @notice Whatever the relays accept has an array: otherwise an honest publisher could not publish at all. And what
/// callers may send at random ends in a named error or in what was asked for.
contract RiskArraysExtremesTest is RiskArraysBase {
    struct Fit {
        uint256 forward;
        uint256 a;
        uint256 b;
        uint256 rho;
        uint256 m;
        uint256 s;
    }

    function testFuzz_whatever_is_accepted_has_an_array(
        uint256 price,
        uint256 strike,
        uint256 time,
        Fit memory fit,
        ScanParameters memory scan,
        uint256 edges
    ) public {
        _boundScan(scan, edges);
        products.setScanParameters(ETH, scan);
        vm.warp(_edge(time, START + 1, FIRST - 31 minutes, edges >> 20));
        uint64[] memory strikes = new uint64[](1);
        strikes[0] = uint64(_edge(strike, 1, 1e16, edges >> 22));
        vm.assume(strikes[0] != 3_000e8 && strikes[0] != 3_300e8);
        _list(ETH, FIRST, strikes);
        vm.warp(_edge(time, block.timestamp, FIRST - 1, edges >> 24));
        price = _edge(price, 2, 5e24, edges >> 26);
        bytes32 reportId = _report(ETH, price);
        bytes32 sliceId = _fitAt(price, fit, edges >> 28);
        for (uint256 i = 4; i < 6; ++i) {
            uint128 option = products.instrument(ETH, FIRST, i);
            assertEq(riskArrays.recompute(reportId, sliceId, 2, option).length, 132);
        }
    }

    function testFuzz_random_publications_change_nothing_or_what_they_should(
        uint256 underlying,
        uint40 expiry,
        bytes32 reportId,
        bytes32 sliceId,
        uint256 length,
        uint256 knows
    ) public {
        _skip(1);
        bytes32 right = _news(ETH, ETH_PRICE);
        uint8 u = uint8(underlying % 4);
        if (knows & 1 == 1) (u, expiry) = (ETH, knows & 16 == 16 ? SECOND : FIRST);
        if (knows & 2 == 2) reportId = right;
        if (knows & 4 == 4) sliceId = _sliceId(ETH, FIRST);
        bytes memory arrays = new bytes(knows & 8 == 8 ? 528 : length % 30_000);
        bytes32 listed = _listingId(ETH, FIRST, 1);
        bytes32 listingId = knows & 64 == 64 ? listed : keccak256(abi.encode(length));
        vm.prank(PUBLISHER);
        try riskArrays.publish(
            u, expiry, reportId, sliceId, knows & 32 == 32 ? 1 : uint32(length), listingId, arrays
        ) returns (
            uint256 id
        ) {
            assertEq(listingId, listed);
            assertEq(id, 2);
            assertEq(reportId, right);
            assertTrue(knows & 32 == 32 || uint32(length) == 1, "the version in force");
            assertEq(expiry, FIRST);
            assertEq(arrays.length, 528);
            assertEq(riskArrays.blob(ETH, 2, FIRST).code.length, 1 + 96 + 528);
        } catch (bytes memory reason) {
            assertTrue(reason.length > 4, "named, with facts");
            vm.expectRevert(abi.encodeWithSelector(IRiskArrays.NoEpoch.selector, ETH));
            riskArrays.epoch(ETH, 2);
        }
        assertEq(_currentId(ETH), 1);
    }

    function testFuzz_bonds_come_back_whole_where_nothing_was_wrong(uint256 first, uint256 second, uint256 wait)
        public
    {
        (first, second) = (bound(first, 1, 1e30), bound(second, 1, 1e30));
        _bond(RIVAL, first);
        _bond(RIVAL, second);
        assertEq(riskArrays.publisher(RIVAL).bond, first + second);
        vm.prank(RIVAL);
        riskArrays.requestUnbond();
        wait = bound(wait, 0, 2 * WINDOW);
        _skip(wait);
        vm.prank(RIVAL);
        try riskArrays.finishUnbond() {
            assertLe(uint256(WINDOW), wait);
            assertEq(usdc.balanceOf(RIVAL), first + second);
        } catch (bytes memory reason) {
            assertEq(bytes32(bytes4(reason)), bytes32(IRiskArrays.BondLocked.selector));
            assertLe(wait + 1, WINDOW);
        }
        assertLe(MINIMUM_BOND, usdc.balanceOf(address(riskArrays)));
    }

    function testFuzz_slices_are_taken_whole_or_refused_by_name(Slice memory fitted) public {
        _skip(1);
        fitted.underlying %= 3;
        if (fitted.expiry % 2 == 0) fitted.expiry = FIRST;
        if (fitted.timestamp % 2 == 0) fitted.timestamp = uint40(block.timestamp);
        try surface.relay(fitted, _signatures(fitted, SIGNERS)) returns (bytes32 id) {
            assertEq(keccak256(abi.encode(prices.slice(id))), keccak256(abi.encode(fitted)));
            assertEq(_sliceId(fitted.underlying, fitted.expiry), id);
        } catch (bytes memory reason) {
            bytes4 name = bytes4(reason);
            assertTrue(
                name == IPrices.OutOfRange.selector || name == IPrices.NoSlice.selector
                    || name == IPrices.TimeInFuture.selector || name == IPrices.TimeNotLater.selector
                    || name == RelayTime.TooOld.selector,
                "named"
            );
        }
    }

    function testFuzz_listed_expiries_stay_apart_and_in_order(uint40[8] memory tried) public {
        for (uint256 i; i < 8; ++i) {
            uint40 expiry = uint40(bound(tried[i], START / 60, START / 60 + 14_400) * 60);
            try products.listExpiry(ETH, expiry) {
                assertEq(products.nextExpiry(ETH, expiry - 1), expiry);
            } catch {}
        }
        uint40[] memory all = products.expiriesAfter(ETH, 0);
        assertLe(START + 1 hours, all[0]);
        for (uint256 i = 1; i < all.length; ++i) {
            assertLe(uint256(all[i - 1]) + 1 hours, all[i]);
        }
    }

    function testFuzz_only_the_very_id_is_listed(uint256 pick, uint128 flipped) public view {
        uint128[] memory real = products.instruments(ETH, FIRST);
        uint128 id = pick % 5 == 4 ? _perpetual(ETH) : real[pick % 5];
        assertTrue(products.listed(id), "listed");
        uint128 other = id ^ (flipped == 0 ? 1 : flipped);
        if (!products.listed(other)) return;
        uint8 u = Instruments.underlyingOf(other);
        if (!Instruments.isOption(other)) {
            return assertTrue(other == _perpetual(ETH) || other == _perpetual(BTC), "perp");
        }
        assertEq(products.instrument(u, Instruments.expiryOf(other), Instruments.indexOf(other)), other);
    }

    /// Every single bit of an id counts.
    function test_one_flipped_bit_names_another_instrument() public view {
        uint128 id = _option(ETH, 0, 1, true);
        for (uint256 bit; bit < 128; ++bit) {
            uint128 other = id ^ (uint128(1) << uint128(bit));
            assertTrue(!products.listed(other), "one bit off");
        }
    }

    /// @dev A quarter of the time each bound itself.
    function _edge(uint256 any, uint256 low, uint256 high, uint256 pick) private pure returns (uint256) {
        if (pick % 4 == 0) return low;
        if (pick % 4 == 1) return high;
        return bound(any, low, high);
    }

    function _boundScan(ScanParameters memory scan, uint256 edges) private pure {
        scan.scan = uint64(_edge(scan.scan, 12, 0.5e18 - 1, edges));
        scan.extreme = uint64(_edge(scan.extreme, scan.scan + 1, 1e18 - 3, edges >> 2));
        scan.deepUp = uint64(_edge(scan.deepUp, scan.extreme + 1, 10e18, edges >> 4));
        scan.deepDown = uint64(_edge(scan.deepDown, scan.extreme + 1, 1e18 - 2, edges >> 6));
        scan.volUp = uint64(_edge(scan.volUp, 0, 10e18, edges >> 8));
        scan.volDown = uint64(_edge(scan.volDown, 0, 1e18 - 1, edges >> 10));
        scan.shortPower = uint64(_edge(scan.shortPower, 0, 1e18, edges >> 12));
        scan.longPower = uint64(_edge(scan.longPower, 0, 1e18, edges >> 14));
        scan.extremeCover = uint16(bound(scan.extremeCover, 0, 1e4));
        scan.deepUpCover = uint16(bound(scan.deepUpCover, 0, 1e4));
        scan.deepDownCover = uint16(bound(scan.deepDownCover, 0, 1e4));
    }

    function _fitAt(uint256 price, Fit memory fit, uint256 edges) private returns (bytes32) {
        uint256 spot = price;
        return _relay(
            Slice({
                underlying: ETH,
                expiry: FIRST,
                timestamp: uint40(block.timestamp),
                forward: uint128(_edge(fit.forward, (spot + 1) / 2, 2 * spot, edges)),
                spot: uint128(spot),
                a: int128(int256(_edge(fit.a, 0, 100e18, edges >> 2))),
                b: int128(int256(_edge(fit.b, 0, 100e18, edges >> 4))),
                rho: int128(int256(_edge(fit.rho, 1, 2e18 - 1, edges >> 6)) - 1e18),
                m: int128(int256(_edge(fit.m, 0, 20e18, edges >> 8)) - 10e18),
                s: int128(int256(_edge(fit.s, 1, 10e18, edges >> 10)))
            })
        );
    }
}
