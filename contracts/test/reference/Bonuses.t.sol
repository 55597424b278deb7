// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Allowance, Allowances} from "../../src/reference/Allowance.sol";
import {Auctions} from "../../src/reference/Auctions.sol";
import {Bonuses} from "../../src/reference/Bonuses.sol";
import {IAuctions} from "../../src/reference/interfaces/IAuctions.sol";
import {IMargin} from "../../src/reference/interfaces/IMargin.sol";
import {IMarginVenue} from "../../src/reference/interfaces/IMarginVenue.sol";
import {IPrices} from "../../src/reference/interfaces/IPrices.sol";
import {IProducts} from "../../src/reference/interfaces/IProducts.sol";
import {WAD} from "../../src/reference/Types.sol";
import {Test} from "../Vm.sol";
import {BareLedger, LinearMargin, PlainProducts} from "./AuctionStubs.sol";

/// What the fund adds to discounts, by hand: accounts of MM 100 and a discount of up to 20, an allowance of 30 a day.
contract BonusesTest is Test {
    using Allowances for Allowance;

    uint256 private constant BONUS = 30e18;
    uint256 private immutable TAKER = uint256(uint160(address(this))) << 96 | 1;

    BareLedger private ledger;
    Auctions private auctions;

    function setUp() public {
        vm.warp(1_700_000_000);
        ledger = new BareLedger();
        LinearMargin margin = new LinearMargin();
        address products = address(new PlainProducts());
        Auctions.Settings memory settings = Auctions.Settings(2000, 2000, 100, 1_000_000, BONUS, 1 days);
        auctions = new Auctions(
            IMarginVenue(address(ledger)),
            IMargin(address(margin)),
            IPrices(products),
            IProducts(products),
            settings,
            address(this)
        );
        margin.set("scenario", 10e18);
        margin.set("newest", 10e18);
        margin.set("settled", 10e18);
        ledger.set(TAKER, 10_000e18, 0, 0);
        ledger.setFund(1000e18);
    }

    /// @dev Equity, and a discount that has grown to 20.
    function _failing(uint256 account, int256 equity) private {
        ledger.set(account, equity - 1000e18, 10e18, 0);
        auctions.startAuction(IAuctions.StartCall(account, 0, uint40(block.timestamp), false, 0));
    }

    function _call(uint256 account, uint256 most) private view returns (IAuctions.TakeCall memory call) {
        (call.account, call.taker, call.auctionId) = (account, TAKER, auctions.auction(account).id);
        (call.expectedSequence, call.takerSequence) = (type(uint64).max, type(uint64).max);
        (call.maxFraction, call.maxPrice, call.deadline) = (uint128(most), 1000e18, uint40(block.timestamp));
    }

    function _take(uint256 account) private returns (int256 price) {
        (, price) = auctions.take(_call(account, WAD));
    }

    /// Three owe 10 each: the fund pays all thirty of it, and 20 + 10 + 0 on top; no take fails for want of a bonus.
    function test_debt_is_paid_when_the_bonus_is_used_up() public {
        for (uint256 i = 11; i < 14; ++i) {
            _failing(i << 96, -10e18);
        }
        vm.warp(block.timestamp + 100);
        uint256 back = BONUS * 100 / 1 days;
        assertEq(auctions.bonusLeft(), BONUS);
        vm.expectEmit();
        emit IAuctions.BonusPaid(11 << 96, 1, 20e18, 10e18);
        assertEq(_take(11 << 96), -30e18 + 1);
        assertEq(_take(12 << 96), -20e18 + 1);
        assertEq(_take(13 << 96), -10e18 + 1);
        assertEq(ledger.fund(), 1000e18 - 60e18 + 3);
        assertEq(auctions.bonusLeft(), 0);
        assertEq(ledger.badDebt(), 0);
        vm.warp(block.timestamp + 100);
        assertEq(auctions.bonusLeft(), back);
    }

    /// Used up or not, the price of an insolvent account falls on, and who does not wait has the whole discount on a slice.
    function test_the_price_falls_on_with_what_comes_back() public {
        uint256 last = 13 << 96;
        _failing(11 << 96, 0);
        _failing(12 << 96, 0);
        _failing(last, 0);
        vm.warp(block.timestamp + 100);
        _take(11 << 96);
        _take(12 << 96);
        IAuctions.TakeCall memory call = _call(last, WAD);
        call.maxPrice = -1;
        vm.expectRevert(abi.encodeWithSelector(IAuctions.PriceAboveLimit.selector, int256(0), int256(-1)));
        auctions.take(call);
        vm.warp(block.timestamp + 8 hours);
        (call.maxPrice, call.deadline) = (-10e18, uint40(block.timestamp)); // a third of 30
        call.maxFraction = uint128(WAD / 4);
        uint256 state = vm.snapshotState();
        call.maxPrice = -20e18;
        (, int256 price) = auctions.take(call);
        assertEq(price, -5e18 + 1);
        vm.revertToState(state);
        (call.maxPrice, call.maxFraction) = (-10e18, uint128(WAD));
        (, price) = auctions.take(call);
        assertEq(price, -10e18 + 1);
    }

    function test_a_discount_that_equity_bears_costs_no_bonus() public {
        _failing(11 << 96, 60e18);
        vm.warp(block.timestamp + 100);
        _take(11 << 96);
        assertEq(auctions.bonusLeft(), BONUS);
    }

    /// 20 of 30 spent; what came back until the change came at the old rate, and 10,000,000 is the most.
    function testFuzz_a_new_limit_keeps_what_is_spent_within_its_bound(uint256 most, uint256 wait) public {
        wait = bound(wait, 0, 3 days);
        _failing(11 << 96, -10e18);
        vm.warp(block.timestamp + 100);
        _take(11 << 96);
        vm.warp(block.timestamp + wait);
        if (most % 2 == 0) most = bound(most, 0, 40e18);
        if (most > 10_000_000e18) {
            vm.expectRevert(
                abi.encodeWithSelector(Bonuses.ParameterOutOfRange.selector, bytes32("bonus"), most, 0, 10_000_000e18)
            );
            auctions.setBonus(most);
            return;
        }
        vm.expectEmit();
        emit IAuctions.BonusSet(most);
        auctions.setBonus(most);
        uint256 spent = BONUS * wait / 1 days > 20e18 ? 0 : 20e18 - BONUS * wait / 1 days;
        (uint256 newMost, uint256 stillSpent, uint256 at) = auctions.bonusAllowance();
        assertEq(newMost, most);
        assertEq(stillSpent, spent);
        assertEq(at, block.timestamp);
        assertEq(auctions.bonusLeft(), most > spent ? most - spent : 0);
    }

    /// Whatever is spent whenever: never more than the whole of it and what came back since, in any stretch.
    /// forge-config: default.fuzz.runs = 10000
    function test_no_stretch_spends_more(uint104 most, uint64[8] memory waits, uint256[8] memory wishes, uint256 period)
        public
        pure
    {
        period = bound(period, 1 hours, 30 days);
        Allowance memory allowance = Allowance(most, 0, 0);
        uint256[9] memory sums;
        uint256[9] memory times;
        uint256 time;
        for (uint256 i; i < 8; ++i) {
            time += waits[i] % (2 * period);
            uint256 amount = bound(wishes[i], 0, allowance.left(time, period));
            allowance.spend(amount, time, period);
            (sums[i + 1], times[i + 1]) = (sums[i] + amount, time);
            for (uint256 j = 1; j <= i + 1; ++j) {
                assertLe((sums[i + 1] - sums[j - 1]) * period, most * (period + time - times[j]));
            }
        }
    }
}
