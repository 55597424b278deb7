// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Book, Check} from "../../src/reference/Types.sol";
import {IMargin} from "../../src/reference/interfaces/IMargin.sol";
import {IMarginVenue} from "../../src/reference/interfaces/IMarginVenue.sol";
import {Fixture} from "./Fixture.sol";

/// The venue on its real peers: arrays, margin and bonds as deployed.
contract VenueWholeTest is Fixture {
    uint256 private constant ALICE = 0xa11ce;
    uint256 private constant BOB = 0xb0b;
    uint256 private alice;
    uint256 private bob;

    /// Nine strikes: 18 instruments an expiry.
    function _strikes(uint8 underlying) internal pure override returns (uint64[] memory list) {
        uint64 spot = uint64((underlying == ETH ? ETH_PRICE : BTC_PRICE) / 1e10);
        list = new uint64[](9);
        for (uint64 i; i < 9; ++i) {
            list[i] = spot * (80 + 5 * i) / 100;
        }
    }

    function setUp() public override {
        super.setUp();
        (alice, bob) = (_account(ALICE, 0), _account(BOB, 0));
        _skip(WINDOW); // the first epochs settle
        _refresh(ETH, ETH_PRICE);
        _report(BTC, BTC_PRICE);
        _deposit(alice, 0, 50_000e6);
        _deposit(bob, 0, 50_000e6);
    }

    function _cool() private {
        vm.cool(address(venue));
        vm.cool(address(margin));
        vm.cool(address(riskArrays));
        vm.cool(address(prices));
        vm.cool(address(surface));
        vm.cool(address(products));
        vm.cool(address(auctions));
        vm.cool(address(usdc));
        vm.cool(address(weth));
    }

    /// @dev Sixteen options over the three expiries, bought and sold in turn.
    function _sixteen() private {
        for (uint256 i; i < 16; ++i) {
            uint128 id = _option(ETH, i % 3, 2 + i / 3, i % 2 == 0);
            (uint256 buyer, uint256 seller) = i % 4 < 2 ? (ALICE, BOB) : (BOB, ALICE);
            _trade(buyer, seller, id, 1e18, margin.mark(id));
        }
    }

    function _withdraw(uint256 key, uint256 asset, uint256 amount) private {
        uint64 sequence = venue.sequence(_account(key, 0));
        vm.prank(vm.addr(key));
        venue.withdraw(_account(key, 0), asset, amount, vm.addr(key), sequence);
    }

    function withdraw(uint256 key, uint256 amount) external {
        _withdraw(key, 0, amount);
    }

    function trade(uint256 buyer, uint256 seller, uint128 id, uint256 size, uint256 price) external {
        _trade(buyer, seller, id, size, price);
    }

    function test_gas_of_the_main_entries() public {
        address owner = vm.addr(ALICE);
        weth.mint(owner, 1e18);
        usdc.mint(owner, 1e6);
        vm.startPrank(owner);
        weth.approve(address(venue), 1e18);
        usdc.approve(address(venue), 1e6);
        _cool();
        venue.deposit(alice, 1, 1e18);
        assertLe(vm.snapshotGasLastCall("MarginVenue", "deposit collateral"), 200_000);
        _cool();
        venue.deposit(alice, 0, 1e6);
        assertLe(vm.snapshotGasLastCall("MarginVenue", "deposit cash"), 120_000);
        vm.stopPrank();
        _sixteen();
        uint128 perp = _perpetual(ETH);
        _cool();
        _trade(ALICE, BOB, perp, 1e18, ETH_PRICE);
        assertLe(vm.snapshotGasLastCall("MarginVenue", "match, 16 options each"), 1_500_000);
        _cool();
        _withdraw(ALICE, 0, 1e6);
        assertLe(vm.snapshotGasLastCall("MarginVenue", "withdraw, 16 options"), 700_000);
        _cool();
        venue.touch(alice);
        assertLe(vm.snapshotGasLastCall("MarginVenue", "touch, 16 options"), 100_000);
    }

    function test_all_that_is_above_initial_margin_may_leave_and_not_a_unit_more() public {
        _sixteen();
        uint256 free = _free(alice) / 1e12;
        vm.expectPartialRevert(IMarginVenue.BelowInitialMargin.selector);
        this.withdraw(ALICE, free + 1);
        this.withdraw(ALICE, free);
        assertTrue(_free(alice) < 1e12, "nothing left above IM");
    }

    /// @dev Under the stricter of the two sets.
    function _free(uint256 account) private view returns (uint256) {
        Book memory b = venue.book(account);
        Check memory newest = margin.byArrays(b);
        Check memory settled = margin.bySettledArrays(b);
        int256 one = newest.equity - int256(newest.im);
        int256 two = settled.equity - int256(settled.im);
        return uint256(one < two ? one : two);
    }

    function test_beyond_the_move_limit_one_closes_but_neither_opens_nor_withdraws() public {
        uint128 perp = _perpetual(ETH);
        uint128 call = _option(ETH, 1, 4, true);
        _trade(ALICE, BOB, call, 2e18, margin.mark(call));
        _trade(ALICE, BOB, perp, 2e18, ETH_PRICE);
        _skip(1);
        _report(ETH, ETH_PRICE * 98 / 100); // the limit is 1.25 %
        vm.expectPartialRevert(IMargin.MovedTooFar.selector);
        this.trade(ALICE, BOB, perp, 1e18, ETH_PRICE * 98 / 100);
        vm.expectPartialRevert(IMargin.MovedTooFar.selector);
        this.withdraw(ALICE, 1e6);
        _trade(BOB, ALICE, perp, 1e18, ETH_PRICE * 98 / 100); // both reduce, at the mark
        _trade(BOB, ALICE, call, 2e18, margin.mark(call));
        assertEq(venue.book(alice).legs.length, 1);
    }

    /// The payout cap is the bond's part of the fund: 60 % of a million.
    function test_active_accounts_draw_on_the_slashable_part() public {
        uint128 perp = _perpetual(ETH);
        _deposit(alice, 0, 2_000_000e6);
        _trade(ALICE, BOB, perp, 1e18, ETH_PRICE);
        uint256 cap = riskArrays.slashable() / 1e12;
        assertEq(cap, uint256(MINIMUM_BOND) * FUND_SHARE / 10_000);
        vm.expectRevert(abi.encodeWithSelector(IMarginVenue.PayoutCapReached.selector, (cap + 1) * 1e12, cap * 1e12));
        this.withdraw(ALICE, cap + 1);
        this.withdraw(ALICE, cap);
    }

    function testFuzz_no_withdrawal_ends_below_initial_margin(uint256 amount) public {
        uint128 call = _option(ETH, 1, 5, true);
        _trade(BOB, ALICE, call, 20e18, margin.mark(call));
        _trade(ALICE, BOB, _perpetual(ETH), 5e18, ETH_PRICE);
        amount = bound(amount, 1, 60_000e6);
        uint256 free = _free(alice);
        try this.withdraw(ALICE, amount) {
            assertLe(amount * 1e12, free);
        } catch {
            assertTrue(amount * 1e12 > free, "refused what was free");
        }
    }
}
