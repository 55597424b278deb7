// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IMarginVenue} from "../../src/reference/interfaces/IMarginVenue.sol";
import {VenueBase} from "./VenueBase.sol";
import {DemoSwapper} from "./VenueStubs.sol";

/// Wrapped ether (3,000 USD) against wrapped bitcoin (60,000 USD, 8 decimals): 1 for 0.05.
contract VenueSwapsTest is VenueBase {
    DemoSwapper private swapper;
    uint256 private alice;

    function setUp() public override {
        super.setUp();
        alice = _account(ALICE);
        swapper = new DemoSwapper();
        desk.setSwapper(address(swapper), true);
        wbtc.mint(address(swapper), 1_000e8);
        usdc.mint(address(swapper), 1_000_000e6);
        _put(alice, WETH, 10e18);
    }

    function swapBy(address caller, uint256 sell, uint256 buy, uint256 amount, uint256 minBuy) external {
        uint64 sequence = desk.sequence(alice);
        vm.prank(caller);
        desk.swap(alice, sell, buy, amount, minBuy, address(swapper), "", sequence);
    }

    function _swap(uint256 sell, uint256 buy, uint256 amount, uint256 minBuy) private {
        this.swapBy(vm.addr(ALICE), sell, buy, amount, minBuy);
    }

    function _swapReverts(uint256 sell, uint256 buy, uint256 amount, uint256 minBuy, bytes memory why) private {
        vm.expectRevert(why);
        _swap(sell, buy, amount, minBuy);
    }

    function test_collateral_for_collateral() public {
        swapper.setPays(0.05e8);
        _swap(WETH, WBTC, 1e18, 0.05e8);
        assertEq(_collateral(alice, 0), 9e18);
        assertEq(_collateral(alice, 1), 0.05e8);
        assertEq(desk.held(WETH), 9e18);
        assertEq(desk.held(WBTC), 0.05e8);
        swapper.setPays(3_000e6);
        _swap(WETH, USDC, 9e18, 1);
        assertEq(_cash(alice), 3_000e18);
        assertEq(_collateral(alice, 0), 0);
        _assertClaimsCovered(_three());
    }

    function test_the_swapper_must_deliver() public {
        swapper.setPays(0.05e8 - 1);
        bytes memory why = abi.encodeWithSelector(
            IMarginVenue.TransferMismatch.selector, address(wbtc), uint256(0.05e8 - 1), uint256(0.05e8)
        );
        _swapReverts(WETH, WBTC, 1e18, 0.05e8, why);
        swapper.setPays(0.05e8);
        swapper.setRefund(1); // what comes home uncounted would be nobody's
        why = abi.encodeWithSelector(
            IMarginVenue.TransferMismatch.selector, address(weth), uint256(9e18 + 1), uint256(9e18)
        );
        _swapReverts(WETH, WBTC, 1e18, 0.05e8, why);
    }

    function test_refusals() public {
        swapper.setPays(1);
        bytes4 refused = IMarginVenue.SwapRefused.selector;
        _swapReverts(WETH, WETH, 1, 1, abi.encodeWithSelector(refused, address(swapper), bytes32("same asset")));
        _swapReverts(WETH, WBTC, 0, 1, abi.encodeWithSelector(IMarginVenue.ZeroAmount.selector));
        _swapReverts(WETH, WBTC, 10e18 + 1, 1, abi.encodeWithSelector(IMarginVenue.Illiquid.selector, 10e18 + 1, 10e18));
        vm.expectRevert(
            abi.encodeWithSelector(IMarginVenue.NotAuthorised.selector, alice, vm.addr(BOB), IMarginVenue.swap.selector)
        );
        this.swapBy(vm.addr(BOB), WETH, WBTC, 1, 1);
        vm.prank(vm.addr(ALICE));
        vm.expectRevert(abi.encodeWithSelector(IMarginVenue.UnexpectedSequence.selector, alice, 1, 2));
        desk.swap(alice, WETH, WBTC, 1, 1, address(swapper), "", 2);
        hall.setAuction(alice, 1);
        _swapReverts(WETH, WBTC, 1, 1, abi.encodeWithSelector(IMarginVenue.InAuction.selector, alice));
        hall.setAuction(alice, 0);
        desk.setPaused(false, true);
        _swapReverts(WETH, WBTC, 1, 1, abi.encodeWithSelector(IMarginVenue.PausedBy.selector, bytes32("withdrawals")));
        desk.setPaused(false, false);
        desk.setSwapper(address(swapper), false);
        _swapReverts(WETH, WBTC, 1, 1, abi.encodeWithSelector(refused, address(swapper), bytes32("swapper")));
    }

    /// @dev Another's collateral of the same kind is in the same pot; it must not be sold.
    function test_only_ones_own_collateral_is_sold() public {
        _put(_account(BOB), WETH, 100e18);
        swapper.setPays(1);
        _swapReverts(WETH, WBTC, 10e18 + 1, 1, abi.encodeWithSelector(IMarginVenue.Illiquid.selector, 10e18 + 1, 10e18));
    }

    function test_settlement_token_is_not_sold_past_a_shared_loss() public {
        _put(alice, USDC, 1_000e6);
        hall.seize(desk, _account(CAROL), _account(BOB), 0, -1e18, 0, 1e18);
        swapper.setPays(1);
        _swapReverts(
            USDC,
            WBTC,
            1,
            1,
            abi.encodeWithSelector(IMarginVenue.SwapRefused.selector, address(swapper), bytes32("bad debt"))
        );
    }

    function _borrow() private {
        _put(_account(BOB), USDC, 100_000e6);
        _withdraw(ALICE, USDC, 3_000e6);
        desk.setPaused(false, true);
    }

    function test_a_pause_does_not_stop_repaying() public {
        _borrow();
        swapper.setPays(2_999e6);
        _swap(WETH, USDC, 1e18, 1);
        assertEq(_cash(alice), -1e18);
        swapper.setPays(1e6);
        _swap(WETH, USDC, 333_333_333_333_333, 1); // to zero
        assertEq(_cash(alice), 0);
        swapper.setPays(1);
        bytes memory paused = abi.encodeWithSelector(IMarginVenue.PausedBy.selector, bytes32("withdrawals"));
        _swapReverts(WETH, USDC, 1e9, 1, paused); // nothing left to repay
    }

    function test_a_pause_stops_what_is_more_than_repaying() public {
        _borrow();
        bytes memory paused = abi.encodeWithSelector(IMarginVenue.PausedBy.selector, bytes32("withdrawals"));
        swapper.setPays(3_000e6 + 1);
        _swapReverts(WETH, USDC, 1e18, 1, paused);
        swapper.setPays(0.05e8);
        _swapReverts(WETH, WBTC, 1e18, 1, paused);
        _swapReverts(USDC, WBTC, 1e6, 1, paused);
        swapper.setPays(2_850e6 - 1); // the band is 5 %: below it the rest would be a withdrawal
        _swapReverts(WETH, USDC, 1e18, 1, paused);
        swapper.setPays(2_850e6);
        _swap(WETH, USDC, 1e18, 1);
        hall.setAuction(alice, 1);
        _swapReverts(WETH, USDC, 1e9, 1, abi.encodeWithSelector(IMarginVenue.InAuction.selector, alice));
    }

    function test_any_sequence() public {
        swapper.setPays(0.05e8);
        vm.prank(vm.addr(ALICE));
        desk.swap(alice, WETH, WBTC, 1e18, 1, address(swapper), "", type(uint64).max);
        assertEq(_collateral(alice, 1), 0.05e8);
    }

    function _sinkAlice() private {
        _put(_account(BOB), USDC, 1_000_000e6);
        _deal(ALICE, BOB, _perpetual(ETH), 100e18, ETH_PRICE);
        rule.setRates(400e18, 400e18); // IM 40,000 against 30,000
    }

    function test_below_initial_margin_a_swap_must_not_lose() public {
        _sinkAlice();
        swapper.setPays(0.05e8 - 1);
        bytes memory why = abi.encodeWithSelector(
            IMarginVenue.ExcessFell.selector, alice, int256(10_000e18), int256(10_000e18 - 60_000e18 / 1e8)
        );
        _swapReverts(WETH, WBTC, 1e18, 1, why);
        swapper.setPays(0.05e8);
        _swap(WETH, WBTC, 1e18, 1);
    }

    function test_a_loss_is_a_payout() public {
        _sinkAlice();
        rule.setRates(1, 1);
        arrays.setSlashable(10e18);
        swapper.setPays(0.049e8); // 60 USD short
        _swapReverts(WETH, WBTC, 1e18, 1, abi.encodeWithSelector(IMarginVenue.PayoutCapReached.selector, 60e18, 10e18));
        arrays.setSlashable(60e18);
        _swap(WETH, WBTC, 1e18, 1);
        assertEq(desk.payoutLeft(), 0);
        swapper.setPays(0.05e8);
        _swap(WETH, WBTC, 1e18, 1); // a fair one costs nothing
    }

    function test_no_entry_while_a_swap_runs() public {
        swapper.setPays(0.05e8);
        bytes[5] memory entries = [
            abi.encodeCall(IMarginVenue.touch, (alice)),
            abi.encodeCall(IMarginVenue.deposit, (alice, WETH, 1)),
            abi.encodeCall(IMarginVenue.withdraw, (alice, WETH, 1, address(swapper), 1)),
            abi.encodeCall(IMarginVenue.setDelegate, (alice, address(swapper), bytes4(0), 1)),
            abi.encodeCall(IMarginVenue.raiseNonceFloor, (alice, 1))
        ];
        // Even one the owner has trusted with everything.
        vm.startPrank(vm.addr(ALICE));
        desk.setDelegate(alice, address(swapper), IMarginVenue.withdraw.selector, type(uint40).max);
        desk.setDelegate(alice, address(swapper), IMarginVenue.raiseNonceFloor.selector, type(uint40).max);
        vm.stopPrank();
        weth.mint(address(swapper), 1e18);
        vm.prank(address(swapper));
        weth.approve(address(desk), 1e18);
        for (uint256 i; i < entries.length; ++i) {
            swapper.setCallback(address(desk), entries[i]);
            _swap(WETH, WBTC, 1e18, 1);
            assertTrue(!swapper.calledBack(), "entered");
            assertEq(swapper.reply(), abi.encodePacked(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector));
        }
    }

    function testFuzz_a_swap_moves_exactly_what_it_says(uint256 amount, uint256 pays) public {
        amount = bound(amount, 1, 10e18);
        pays = bound(pays, 0, 100e8);
        swapper.setPays(pays);
        _swap(WETH, WBTC, amount, 0);
        assertEq(_collateral(alice, 0), 10e18 - amount);
        assertEq(_collateral(alice, 1), pays);
        assertEq(wbtc.balanceOf(address(desk)), pays);
        assertEq(weth.balanceOf(address(desk)), 10e18 - amount);
        assertEq(weth.balanceOf(address(swapper)), amount);
    }
}
