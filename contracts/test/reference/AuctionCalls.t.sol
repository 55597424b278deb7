// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Auctions} from "../../src/reference/Auctions.sol";
import {IAuctions} from "../../src/reference/interfaces/IAuctions.sol";
import {IMargin} from "../../src/reference/interfaces/IMargin.sol";
import {IMarginVenue} from "../../src/reference/interfaces/IMarginVenue.sol";
import {IPrices} from "../../src/reference/interfaces/IPrices.sol";
import {IProducts} from "../../src/reference/interfaces/IProducts.sol";
import {WAD} from "../../src/reference/Types.sol";
import {Test} from "../Vm.sol";
import {BareLedger, LinearMargin, PlainProducts} from "./AuctionStubs.sol";

/// @notice Starts, takes and ends with whatever a keeper may send: done exactly where state, time and margin are as they
/// must be. Ten contracts at 100 USD, requirements by the contract.
contract AuctionCallsTest is Test {
    uint256 private constant WEAK = 11 << 96;
    uint64 private constant ANY = type(uint64).max;
    uint256 private immutable TAKER = uint256(uint160(address(this))) << 96 | 1;

    BareLedger private ledger;
    LinearMargin private margin;
    Auctions private auctions;

    function setUp() public {
        vm.warp(1_700_000_000);
        ledger = new BareLedger();
        margin = new LinearMargin();
        PlainProducts products = new PlainProducts();
        auctions = new Auctions(
            IMarginVenue(address(ledger)),
            IMargin(address(margin)),
            IPrices(address(products)),
            IProducts(address(products)),
            Auctions.Settings(2000, 2000, 100, 1_000_000, 1_000_000e18, 1 days),
            address(this)
        );
        _require(10e18, 10e18, 10e18);
        ledger.set(TAKER, 10_000e18, 0, 0);
        ledger.setFund(1000e18);
    }

    function _require(uint256 newest, uint256 settled, uint256 scenario) private {
        margin.set("newest", newest);
        margin.set("settled", settled);
        margin.set("scenario", scenario);
    }

    function _setEquity(uint256 account, int256 equity) private {
        ledger.set(account, equity - 1000e18, 10e18, 0);
    }

    /// @dev −200 to 300 USD, and now and then exactly `edge`.
    function _near(uint256 seed, uint256 edge) private pure returns (int256) {
        if (seed % 4 == 0) return int256(edge) + int256(seed >> 2 & 2) - 1;
        return int256(bound(seed, 0, 500e18)) - 200e18;
    }

    function _rate(uint256 seed) private pure returns (uint256) {
        return seed % 4 == 0 ? 10e18 : bound(seed, 0, 20e18);
    }

    function testFuzz_a_start_needs_a_shortfall_in_time(
        uint256 equity,
        uint256[3] memory rates,
        uint64 expected,
        uint40 deadline,
        bool byArrays
    ) public {
        for (uint256 i; i < 3; ++i) {
            rates[i] = _rate(rates[i]);
        }
        _require(rates[0], rates[1], rates[2]);
        int256 has = _near(equity, 10 * rates[byArrays ? 0 : 2]);
        _setEquity(WEAK, has);
        if (expected % 4 != 3) expected = expected % 4 == 0 ? 0 : ANY;
        if (deadline % 4 != 3) deadline = uint40(block.timestamp);
        bool below = byArrays ? has < int256(10 * rates[0]) && has < int256(10 * rates[1]) : has < int256(10 * rates[2]);
        bool asExpected = deadline >= block.timestamp && (expected == 0 || expected == ANY);
        try auctions.startAuction(IAuctions.StartCall(WEAK, expected, deadline, byArrays, 0)) returns (uint64 id) {
            assertTrue(below && asExpected, "started");
            assertEq(id, auctions.auction(WEAK).id);
            assertEq(auctions.auction(WEAK).startedAt, block.timestamp);
        } catch (bytes memory reason) {
            bytes4 why = IAuctions.NotBelowMaintenance.selector;
            if (expected != 0 && expected != ANY) why = IMarginVenue.UnexpectedSequence.selector;
            if (deadline < block.timestamp) why = IMarginVenue.DeadlinePassed.selector;
            assertTrue(!below || !asExpected, "refused");
            assertEq(bytes32(bytes4(reason)), bytes32(why));
            assertEq(auctions.auction(WEAK).id, 0);
        }
    }

    function testFuzz_each_of_many_starts_stands_alone(uint256[5] memory equities, uint64[5] memory expected) public {
        IAuctions.StartCall[] memory calls = new IAuctions.StartCall[](5);
        uint256 good;
        for (uint256 i; i < 5; ++i) {
            int256 has = _near(equities[i], 100e18);
            _setEquity(WEAK + i, has);
            if (expected[i] % 4 != 1) expected[i] = 0;
            calls[i] = IAuctions.StartCall(WEAK + i, expected[i], uint40(block.timestamp), i % 2 == 0, 0);
            if (has < 100e18 && (expected[i] == 0 || expected[i] == ANY)) ++good;
        }
        assertEq(auctions.startAuctions(calls), good);
        for (uint256 i; i < 5; ++i) {
            bool below = _near(equities[i], 100e18) < 100e18;
            bool started = auctions.auction(WEAK + i).id != 0;
            assertTrue(started == (below && (expected[i] == 0 || expected[i] == ANY)), "each by itself");
        }
        assertEq(auctions.startAuctions(calls), 0); // no one twice
    }

    function testFuzz_a_take_needs_what_it_names(
        uint64 id,
        uint64[2] memory sequences,
        uint40 deadline,
        address caller,
        uint256 limit
    ) public {
        _setEquity(WEAK, 60e18);
        auctions.startAuction(IAuctions.StartCall(WEAK, 0, uint40(block.timestamp), false, 0));
        if (id % 4 != 3) id = 1;
        for (uint256 i; i < 2; ++i) {
            if (sequences[i] % 4 != 3) sequences[i] = sequences[i] % 4 == 0 ? 0 : ANY;
        }
        if (deadline % 4 != 3) deadline = uint40(block.timestamp);
        if (uint160(caller) % 4 != 3) caller = address(this);
        IAuctions.TakeCall memory call;
        (call.account, call.taker, call.auctionId, call.deadline) = (WEAK, TAKER, id, deadline);
        (call.expectedSequence, call.takerSequence) = (sequences[0], sequences[1]);
        (call.maxFraction, call.maxPrice) = (uint128(WAD), int128(int256(bound(limit, 0, 120e18))));
        // No discount yet: 10 contracts and cash −940 restore to 1.2 × MM at a half, for 30 USD.
        bool good = id == 1 && deadline >= block.timestamp && caller == address(this) && _known(sequences[0])
            && _known(sequences[1]);
        vm.prank(caller);
        try auctions.take(call) returns (uint256 fraction, int256 price) {
            assertTrue(good, "taken");
            assertLe(price, int256(call.maxPrice));
            assertLe(fraction, WAD);
            assertLe(60e18 - 100e18, _excessOf(WEAK));
        } catch (bytes memory reason) {
            assertTrue(!good || bytes4(reason) == IAuctions.PriceAboveLimit.selector, "refused");
            assertEq(ledger.touched(WEAK), 1); // by the start alone
            assertEq(auctions.auction(WEAK).id, 1);
        }
    }

    function _known(uint64 sequence) private pure returns (bool) {
        return sequence == 0 || sequence == ANY;
    }

    function _excessOf(uint256 account) private view returns (int256) {
        return margin.byScenario(ledger.book(account), 0).equity - int256(margin.byScenario(ledger.book(account), 0).mm);
    }

    function testFuzz_an_auction_ends_at_maintenance_by_every_measure(
        uint256 equity,
        uint256[3] memory rates,
        uint64 id,
        uint64 expected,
        uint40 deadline
    ) public {
        _setEquity(WEAK, 60e18);
        auctions.startAuction(IAuctions.StartCall(WEAK, 0, uint40(block.timestamp), false, 0));
        for (uint256 i; i < 3; ++i) {
            rates[i] = _rate(rates[i]);
        }
        _require(rates[0], rates[1], rates[2]);
        int256 has = _near(equity, 10 * rates[id % 3]);
        _setEquity(WEAK, has);
        if (id % 4 != 3) id = 1;
        if (expected % 4 != 3) expected = expected % 4 == 0 ? 0 : ANY;
        if (deadline % 4 != 3) deadline = uint40(block.timestamp);
        bool met = has >= int256(10 * rates[0]) && has >= int256(10 * rates[1]) && has >= int256(10 * rates[2]);
        bool good = id == 1 && _known(expected) && deadline >= block.timestamp;
        try auctions.endAuction(IAuctions.EndCall(WEAK, id, expected, deadline)) {
            assertTrue(met && good, "ended");
            assertEq(auctions.auction(WEAK).id, 0);
        } catch (bytes memory reason) {
            bytes4 why = IAuctions.StillBelowMaintenance.selector;
            if (!_known(expected)) why = IMarginVenue.UnexpectedSequence.selector;
            if (id != 1) why = IAuctions.UnexpectedAuction.selector;
            if (deadline < block.timestamp) why = IMarginVenue.DeadlinePassed.selector;
            assertTrue(!met || !good, "refused");
            assertEq(bytes32(bytes4(reason)), bytes32(why));
            assertEq(auctions.auction(WEAK).id, 1);
        }
    }
}
