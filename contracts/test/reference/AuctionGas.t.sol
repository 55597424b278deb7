// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IAuctions} from "../../src/reference/interfaces/IAuctions.sol";
import {Book, Check, NO_SCENARIO, ROWS, WAD} from "../../src/reference/Types.sol";
import {Fixture} from "./Fixture.sol";

/// What starting and taking the most expensive account costs on the real contracts: 128 options in 12 expiries of both
/// coins and every collateral of the board, taken by an account that has nothing of it yet. Cold, with --isolate: start
/// 2.9M proven and 1.6M by arrays, take 9.0M and 9.3M.
contract AuctionGasTest is Fixture {
    uint256 private constant WEAK = 21;
    uint256 private constant OTHER = 22;
    uint256 private constant TAKER = 23;

    function _expiries(uint8) internal pure override returns (uint40[] memory list) {
        list = new uint40[](6);
        for (uint256 i; i < 6; ++i) {
            list[i] = uint40(START + (7 + 7 * i) * 1 days);
        }
    }

    function _strikes(uint8 underlying) internal pure override returns (uint64[] memory list) {
        uint64 spot = uint64((underlying == ETH ? ETH_PRICE : BTC_PRICE) / 1e10);
        list = new uint64[](6);
        for (uint64 i; i < 6; ++i) {
            list[i] = spot * (80 + 8 * i) / 100;
        }
    }

    function setUp() public override {
        super.setUp();
        _deposit(_account(WEAK, 0), 0, 3_000_000e6);
        _deposit(_account(WEAK, 0), 1, 1e18);
        _deposit(_account(WEAK, 0), 2, 1e6);
        _deposit(_account(WEAK, 0), 3, 1_000e18);
        _deposit(_account(OTHER, 0), 0, 50_000_000e6);
        _deposit(_account(TAKER, 0), 0, 50_000_000e6);
        _refreshAll(WINDOW / 2, 1_000);
        _refreshAll(WINDOW / 2, 1_000);
        for (uint256 i; i < 128; ++i) {
            uint8 u = i < 64 ? ETH : BTC;
            uint128 id = products.instrument(u, _expiries(u)[i % 6], i % 64 / 6);
            uint256 size = u == ETH ? WAD : WAD / 20;
            bool short = i % 8 != 0;
            _trade(short ? OTHER : WEAK, short ? WEAK : OTHER, id, size, margin.mark(id));
        }
        _leaveOnlyInitialMargin();
        _refreshAll(60, 1_350);
        _refreshAll(WINDOW / 2, 1_350);
        _refreshAll(WINDOW / 2, 1_350);
    }

    function _refreshAll(uint256 time, uint256 permille) private {
        _skip(time);
        _refresh(ETH, ETH_PRICE * permille / 1_000);
        _refresh(BTC, BTC_PRICE * permille / 1_000);
        _report(DAI, WAD);
    }

    function _leaveOnlyInitialMargin() private {
        uint256 account = _account(WEAK, 0);
        Book memory book = venue.book(account);
        Check memory check = margin.byArrays(book);
        // In steps of a period: the payout cap.
        uint256 free = uint256(check.equity - int256(check.im)) * 99 / 100 / 1e12;
        while (free > 0) {
            uint256 part = venue.payoutLeft() / 1e12 < free ? venue.payoutLeft() / 1e12 : free;
            if (part > 0) _withdraw(account, part);
            free -= part;
            if (free > 0) _refreshAll(WINDOW, 1_000);
        }
    }

    function _withdraw(uint256 account, uint256 amount) private {
        uint64 sequence = venue.sequence(account);
        vm.prank(vm.addr(WEAK));
        venue.withdraw(account, 0, amount, vm.addr(WEAK), sequence);
    }

    function _worst() private view returns (uint256 scenarios) {
        Book memory book = venue.book(_account(WEAK, 0));
        scenarios = type(uint256).max;
        for (uint8 u = ETH; u <= BTC; ++u) {
            uint256 cleared = type(uint256).max ^ uint256(NO_SCENARIO) << 8 * u;
            (uint256 most, uint256 worst) = (0, NO_SCENARIO);
            for (uint256 row = 10; row < ROWS; ++row) {
                uint256 mm = margin.byScenario(book, cleared | row << 8 * u).mm;
                if (mm > most) (most, worst) = (mm, row);
            }
            scenarios = scenarios ^ uint256(NO_SCENARIO) << 8 * u | worst << 8 * u;
        }
    }

    function _start(bool byArrays) private view returns (IAuctions.StartCall memory) {
        uint256 account = _account(WEAK, 0);
        uint256 scenarios = byArrays ? 0 : _worst();
        return IAuctions.StartCall(account, venue.sequence(account), uint40(block.timestamp), byArrays, scenarios);
    }

    function _takeCall(bool byArrays) private view returns (IAuctions.TakeCall memory call) {
        (call.account, call.taker) = (_account(WEAK, 0), _account(TAKER, 0));
        (call.auctionId, call.deadline) = (auctions.auction(call.account).id, uint40(block.timestamp + 60));
        (call.expectedSequence, call.takerSequence) = (venue.sequence(call.account), venue.sequence(call.taker));
        (call.maxFraction, call.maxPrice) = (uint128(WAD), type(int128).max);
        (call.byArrays, call.scenarios) = (byArrays, byArrays ? 0 : _worst());
    }

    function test_gas_of_start_and_take_proven() public {
        _measure(false);
    }

    function test_gas_of_start_and_take_by_arrays() public {
        _measure(true);
    }

    function _measure(bool byArrays) private {
        assertEq(venue.book(_account(WEAK, 0)).legs.length, 128);
        IAuctions.StartCall memory start = _start(byArrays);
        uint256 gas = gasleft();
        auctions.startAuction(start);
        uint256 started = gas - gasleft();
        vm.warp(block.timestamp + 60);
        IAuctions.TakeCall memory call = _takeCall(byArrays);
        vm.prank(vm.addr(TAKER));
        gas = gasleft();
        (uint256 fraction,) = auctions.take(call);
        uint256 taken = gas - gasleft();
        assertTrue(fraction > 0 && fraction < WAD, "a part");
        emit Spent(started, taken, venue.book(call.taker).legs.length);
        assertLe(started, 10_000_000);
        assertLe(taken, 10_000_000);
    }

    event Spent(uint256 start, uint256 take, uint256 legs);
}
