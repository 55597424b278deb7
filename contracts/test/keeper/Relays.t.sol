// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {RelayFeed} from "../../src/keeper/RelayFeed.sol";
import {IPriceRelay} from "../../src/keeper/interfaces/IPriceRelay.sol";
import {IQuorum} from "../../src/keeper/interfaces/IQuorum.sol";
import {ISurfaceRelay} from "../../src/keeper/interfaces/ISurfaceRelay.sol";
import {IPrices} from "../../src/reference/interfaces/IPrices.sol";
import {Observation, Report, Slice, WAD} from "../../src/reference/Types.sol";
import {RelayBase} from "./RelayBase.sol";

/// @notice What is kept stays; batches; the feed.
contract RelaysTest is RelayBase {
    uint256 private constant ALL = 31;
    uint256 private constant THREE = 7;

    function testFuzz_a_report_stays_readable(uint256 count) public {
        bytes32 first = _relay(_seen(ETH, PRICE), ALL);
        bytes32 slice = _relay(_fitted(0.2e18), ALL);
        bytes memory kept = abi.encode(relay.report(first), relay.slice(slice));
        count = bound(count, 1, 20);
        for (uint256 i; i < count; ++i) {
            _skip(1);
            _relay(_seen(ETH, PRICE + i), THREE);
            _relay(_fitted(0.2e18 + int128(int256(i))), THREE);
        }
        assertEq(abi.encode(relay.report(first), relay.slice(slice)), kept);
        assertEq(relay.supersededAt(first), START + 1);
    }

    // ---- batches ----

    function testFuzz_who_brings_one_first_sinks_nothing(uint256 which) public {
        _relay(_seen(ETH, PRICE), ALL);
        _relay(_seen(BTC, PRICE), ALL);
        _skip(5);
        IPriceRelay.SignedObservation[] memory batch = new IPriceRelay.SignedObservation[](3);
        Observation memory early = _seen(ETH, PRICE + 1);
        early.timestamp -= 1;
        batch[0] = _signed(early, THREE);
        batch[1] = _signed(_seen(BTC, PRICE), THREE);
        batch[2] = _signed(_seen(ETH, PRICE + 2), THREE);
        which = bound(which, 0, 2);
        relay.relay(batch[which].seen, batch[which].signatures);
        bytes32[] memory ids = relay.relayMany(batch);
        for (uint256 i; i < 3; ++i) {
            assertTrue((ids[i] == 0) == (i == which || (i == 0 && which == 2)), "passed over what is not later");
        }
        (Report memory last,,) = relay.newest(ETH);
        assertEq(last.price, PRICE + 2);
        assertEq(relay.relayMany(batch)[2], bytes32(0));
    }

    /// A jump that all signed moves the anchor for what comes after it in the batch, and one that too few signed sinks it.
    function testFuzz_a_batch_is_its_parts_one_by_one_or_nothing(uint256[3] memory seeds) public {
        _relay(_seen(ETH, PRICE), ALL);
        _skip(5);
        IPriceRelay.SignedObservation[] memory batch = new IPriceRelay.SignedObservation[](3);
        for (uint256 i; i < 3; ++i) {
            uint256 price = PRICE * bound(seeds[i] >> 8, 9_600, 10_400) / 10_000;
            batch[i] = _signed(_seen(ETH, price, 2 - i), seeds[i] % 4 == 0 ? THREE : ALL);
        }
        (, bytes32 expected,) = relay.newest(ETH);
        uint256 clean = vm.snapshotState();
        bool all = true;
        for (uint256 i; i < 3 && all; ++i) {
            try relay.relay(batch[i].seen, batch[i].signatures) {}
            catch {
                all = false;
            }
        }
        if (all) (, expected,) = relay.newest(ETH);
        vm.revertToState(clean);
        if (!all) vm.expectRevert(abi.encodeWithSelector(IQuorum.QuorumMissed.selector, 3, 4));
        relay.relayMany(batch);
        (, bytes32 id,) = relay.newest(ETH);
        assertEq(id, expected);
    }

    function testFuzz_anything_else_that_is_wrong_reverts_the_batch(uint256 bad) public {
        IPriceRelay.SignedObservation[] memory batch = new IPriceRelay.SignedObservation[](2);
        (batch[0], batch[1]) = (_signed(_seen(ETH, PRICE), ALL), _signed(_seen(BTC, PRICE), ALL));
        batch[bad % 2].seen.price += 1;
        vm.expectPartialRevert(IQuorum.NotASigner.selector);
        relay.relayMany(batch);
    }

    function test_batches_of_slices() public {
        ISurfaceRelay.SignedSlice[] memory batch = new ISurfaceRelay.SignedSlice[](2);
        _relay(_fitted(0.2e18), ALL);
        batch[0] = _signed(_fitted(0.2e18), ALL); // there already
        _skip(1);
        batch[1] = _signed(_fitted(0.21e18), ALL);
        bytes32[] memory ids = surface.relayMany(batch);
        assertEq(ids[0], bytes32(0));
        assertEq(int256(surface.slice(ids[1]).a), 0.21e18);
    }

    // ---- the feed ----

    function testFuzz_feed_says_what_the_relay_says(uint256 price, uint8 decimals, uint256 reports) public {
        decimals = uint8(bound(decimals, 0, 18));
        price = bound(price, WAD, 5e24 - 20);
        RelayFeed feed = new RelayFeed(relay, ETH, decimals, "ETH / USD");
        reports = bound(reports, 1, 10);
        for (uint256 i; i < reports; ++i) {
            _skip(7);
            _relay(_seen(ETH, price + i), ALL);
        }
        _round(feed, reports, price + reports - 1, block.timestamp);
        for (uint256 i; i < reports; ++i) {
            (uint80 id, int256 answer, uint256 from, uint256 at, uint80 answeredIn) = feed.getRoundData(uint80(i + 1));
            assertTrue(id == i + 1 && answeredIn == id && from == at, "the round asked for");
            assertEq(at, START + 7 * (i + 1));
            assertEq(answer, int256((price + i) / 10 ** (18 - decimals)));
        }
        vm.expectRevert(abi.encodeWithSelector(RelayFeed.NoSuchRound.selector, reports + 1, reports));
        feed.getRoundData(uint80(reports + 1));
        vm.expectRevert(abi.encodeWithSelector(RelayFeed.NoSuchRound.selector, 1 << 32 | 1, reports));
        feed.getRoundData(1 << 32 | 1);
    }

    function _round(RelayFeed feed, uint256 round, uint256 price, uint256 time) private view {
        (uint80 id, int256 answer,, uint256 at,) = feed.latestRoundData();
        assertEq(id, round);
        assertEq(answer, int256(price / 10 ** (18 - feed.decimals())));
        assertEq(at, time);
    }

    /// Every number is a round with a price above zero, or a named error: before the first report, 0, and beyond the last.
    function testFuzz_any_round_is_a_report_or_refused(uint80 round, uint256 reports) public {
        RelayFeed feed = new RelayFeed(relay, ETH, 8, "ETH / USD");
        vm.expectRevert(abi.encodeWithSelector(IPrices.NoReport.selector, ETH));
        feed.getRoundData(round);
        reports = bound(reports, 1, 5);
        for (uint256 i; i < reports; ++i) {
            _skip(1);
            _relay(_seen(ETH, PRICE), ALL);
        }
        if (round % 2 == 0) round %= 8;
        try feed.getRoundData(round) returns (uint80 id, int256 answer, uint256, uint256 at, uint80) {
            assertTrue(id == round && round > 0 && round <= reports, "the round asked for");
            assertTrue(answer == 3_000e8 && at == START + round, "its price and time");
        } catch (bytes memory reason) {
            assertTrue(round == 0 || round > reports, "refused");
            assertEq(reason, abi.encodeWithSelector(RelayFeed.NoSuchRound.selector, round, reports));
        }
    }

    function test_feed_never_says_zero() public {
        RelayFeed feed = new RelayFeed(relay, ETH, 8, "ETH / USD");
        vm.expectRevert(abi.encodeWithSelector(IPrices.NoReport.selector, ETH));
        feed.latestRoundData();
        _relay(_seen(ETH, 1e10 - 1), ALL);
        vm.expectRevert(abi.encodeWithSelector(RelayFeed.PriceTooSmall.selector, 1e10 - 1, 1e10));
        feed.latestRoundData();
        vm.expectRevert(abi.encodeWithSelector(RelayFeed.PriceTooSmall.selector, 1e10 - 1, 1e10));
        feed.getRoundData(1);
        vm.expectRevert(abi.encodeWithSelector(RelayFeed.TooManyDecimals.selector, 19, 18));
        new RelayFeed(relay, ETH, 19, "");
    }
}
