// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {CollateralType} from "../../src/reference/Types.sol";
import {IMargin} from "../../src/reference/interfaces/IMargin.sol";
import {IMarginVenue} from "../../src/reference/interfaces/IMarginVenue.sol";
import {IProducts} from "../../src/reference/interfaces/IProducts.sol";
import {MintableToken} from "../../src/demo/MintableToken.sol";
import {VenueBase} from "./VenueBase.sol";
import {FeeToken} from "./VenueStubs.sol";

contract CustodyTest is VenueBase {
    uint256 private alice;
    uint256 private bob;

    function setUp() public override {
        super.setUp();
        (alice, bob) = (_account(ALICE), _account(BOB));
    }

    /// @dev So that a revert can be expected of the withdrawal itself.
    function withdraw(uint256 key, uint256 asset, uint256 amount) external {
        _withdraw(key, asset, amount);
    }

    function _withdrawReverts(uint256 key, uint256 asset, uint256 amount, bytes memory why) private {
        vm.expectRevert(why);
        this.withdraw(key, asset, amount);
    }

    // ---- in and out ----

    function testFuzz_what_goes_in_comes_out(uint256 asset, uint256 amount, uint256 part) public {
        asset = bound(asset, 0, 3);
        amount = bound(amount, 1, asset == WBTC ? 100_000e8 : asset == USDC ? 1e24 : 1_000_000e18);
        part = bound(part, 1, amount);
        _put(alice, asset, amount);
        assertEq(desk.held(asset), amount);
        if (asset == USDC) assertEq(_cash(alice), int256(amount * SCALE));
        else assertEq(_collateral(alice, asset - 1), amount);
        _withdraw(ALICE, asset, part);
        assertEq(_tokenOf(asset).balanceOf(vm.addr(ALICE)), part);
        assertEq(_tokenOf(asset).balanceOf(address(desk)), amount - part);
        assertEq(desk.held(asset), amount - part);
        assertEq(uint256(desk.sequence(alice)), 2);
    }

    function test_no_more_than_is_there() public {
        _put(alice, WETH, 1e18);
        _withdrawReverts(ALICE, WETH, 1e18 + 1, abi.encodeWithSelector(IMarginVenue.Illiquid.selector, 1e18 + 1, 1e18));
        // Cash against collateral is a loan, and the venue must hold it.
        _withdrawReverts(ALICE, USDC, 1e6, abi.encodeWithSelector(IMarginVenue.Illiquid.selector, 1e6, 0));
        _put(bob, USDC, 1_000e6);
        _withdraw(ALICE, USDC, 1_000e6);
        assertEq(_cash(alice), -1_000e18);
    }

    function test_a_loan_stops_at_initial_margin() public {
        _put(alice, WETH, 1e18);
        _put(bob, USDC, 10_000e6);
        _withdraw(ALICE, USDC, 3_000e6); // equity 0, IM 0: equal is enough
        _withdrawReverts(
            ALICE, USDC, 1, abi.encodeWithSelector(IMarginVenue.BelowInitialMargin.selector, alice, -int256(SCALE), 0)
        );
    }

    function test_zero_and_wrong_sequence_and_foreign_accounts() public {
        _put(alice, USDC, 1e6);
        vm.expectRevert(IMarginVenue.ZeroAmount.selector);
        desk.deposit(alice, USDC, 0);
        _withdrawReverts(ALICE, USDC, 0, abi.encodeWithSelector(IMarginVenue.ZeroAmount.selector));
        vm.prank(vm.addr(ALICE));
        vm.expectRevert(abi.encodeWithSelector(IMarginVenue.UnexpectedSequence.selector, alice, 1, 0));
        desk.withdraw(alice, USDC, 1, vm.addr(ALICE), 0);
        vm.expectRevert(
            abi.encodeWithSelector(IMarginVenue.NotAuthorised.selector, 2, address(this), IMarginVenue.deposit.selector)
        );
        desk.deposit(2, USDC, 1);
        vm.expectRevert(
            abi.encodeWithSelector(
                IMarginVenue.NotAuthorised.selector, FUND, address(this), IMarginVenue.deposit.selector
            )
        );
        desk.deposit(FUND, WETH, 1);
        vm.expectRevert(abi.encodeWithSelector(IProducts.UnknownCollateral.selector, 3));
        vm.prank(vm.addr(ALICE));
        desk.deposit(alice, 4, 1);
    }

    /// @dev Their worst: eight types of dust, and a sequence raised for a base unit.
    function test_a_stranger_brings_cash_worth_something_and_nothing_else() public {
        (,, uint256 least) = desk.limits();
        uint256 enough = least / SCALE;
        usdc.mint(address(this), enough * 2);
        usdc.approve(address(desk), enough * 2);
        weth.mint(address(this), 10e18);
        weth.approve(address(desk), 10e18);
        bytes memory refused = abi.encodeWithSelector(
            IMarginVenue.NotAuthorised.selector, alice, address(this), IMarginVenue.deposit.selector
        );
        vm.expectRevert(refused);
        desk.deposit(alice, WETH, 10e18);
        _put(alice, WETH, 1e18); // nor more of what is held
        vm.expectRevert(refused);
        desk.deposit(alice, WETH, 10e18);
        vm.expectRevert(
            abi.encodeWithSelector(IMarginVenue.DepositTooSmall.selector, alice, (enough - 1) * SCALE, least)
        );
        desk.deposit(alice, USDC, enough - 1);
        assertEq(uint256(desk.sequence(alice)), 1);
        desk.deposit(alice, USDC, enough);
        assertEq(_cash(alice), int256(least));
        desk.deposit(FUND, USDC, 1); // as little as he likes
    }

    function test_a_delegate_for_deposits_brings_anything() public {
        vm.prank(vm.addr(ALICE));
        desk.setDelegate(alice, address(this), IMarginVenue.deposit.selector, uint40(block.timestamp));
        weth.mint(address(this), 2);
        weth.approve(address(desk), 2);
        desk.deposit(alice, WETH, 1);
        vm.warp(block.timestamp + 1);
        vm.expectRevert(
            abi.encodeWithSelector(
                IMarginVenue.NotAuthorised.selector, alice, address(this), IMarginVenue.deposit.selector
            )
        );
        desk.deposit(alice, WETH, 1);
    }

    function test_any_sequence() public {
        _put(alice, USDC, 2e6);
        vm.prank(vm.addr(ALICE));
        desk.withdraw(alice, USDC, 1e6, vm.addr(ALICE), type(uint64).max);
        assertEq(_cash(alice), 1e18);
        vm.prank(vm.addr(ALICE));
        vm.expectRevert(
            abi.encodeWithSelector(IMarginVenue.UnexpectedSequence.selector, alice, 2, type(uint64).max - 1)
        );
        desk.withdraw(alice, USDC, 1, vm.addr(ALICE), type(uint64).max - 1);
    }

    function test_pause_and_auction_stop_withdrawals_not_deposits() public {
        _put(alice, USDC, 1e6);
        desk.setPaused(false, true);
        _put(alice, USDC, 1e6);
        _withdrawReverts(ALICE, USDC, 1, abi.encodeWithSelector(IMarginVenue.PausedBy.selector, bytes32("withdrawals")));
        desk.setPaused(true, false);
        hall.setAuction(alice, 1);
        _put(alice, USDC, 1e6);
        _withdrawReverts(ALICE, USDC, 1, abi.encodeWithSelector(IMarginVenue.InAuction.selector, alice));
        hall.setAuction(alice, 0);
        _withdraw(ALICE, USDC, 1);
    }

    // ---- margin ----

    function test_withdrawals_need_initial_margin_under_both_sets() public {
        _put(alice, USDC, 1_000e6);
        _put(bob, USDC, 1_000e6);
        _deal(ALICE, BOB, _perpetual(ETH), 5e18, ETH_PRICE);
        bytes memory why =
            abi.encodeWithSelector(IMarginVenue.BelowInitialMargin.selector, alice, int256(499e18), 500e18);
        _withdrawReverts(ALICE, USDC, 501e6, why);
        rule.setRates(0, 100e18);
        _withdrawReverts(ALICE, USDC, 501e6, why);
        rule.setRates(100e18, 0);
        _withdrawReverts(ALICE, USDC, 501e6, why);
        rule.setRates(100e18, 100e18);
        rule.setStale(true, false);
        _withdrawReverts(ALICE, USDC, 1, abi.encodeWithSelector(IMargin.StaleEpoch.selector, 0, 2, 1));
        rule.setStale(false, true);
        _withdrawReverts(ALICE, USDC, 1, abi.encodeWithSelector(IMargin.StaleEpoch.selector, 0, 2, 1));
        rule.setStale(false, false);
        _withdraw(ALICE, USDC, 500e6);
    }

    function test_who_owes_nothing_leaves_even_on_stale_arrays() public {
        _put(alice, USDC, 1_000e6);
        rule.setStale(true, true);
        _withdraw(ALICE, USDC, 1_000e6);
    }

    function testFuzz_a_withdrawal_never_ends_below_initial_margin(uint256 size, uint256 amount) public {
        size = bound(size, 1e16, 10e18);
        amount = bound(amount, 1, 2_000e6);
        _put(alice, USDC, 1_000e6);
        _put(bob, USDC, 5_000e6);
        _deal(ALICE, BOB, _perpetual(ETH), size, ETH_PRICE);
        bool enough = 1_000e18 >= amount * SCALE + 100 * size;
        try this.withdraw(ALICE, USDC, amount) {
            assertTrue(enough, "below IM");
        } catch {
            assertTrue(!enough, "refused above IM");
        }
    }

    // ---- the payout cap ----

    function _active(uint256 key) private {
        _put(_account(key), USDC, 10_000e6);
        _put(_account(CAROL), USDC, 10_000e6);
        _deal(key, CAROL, _perpetual(ETH), 1e18, ETH_PRICE);
        _deal(CAROL, key, _perpetual(ETH), 1e18, ETH_PRICE);
    }

    function test_active_accounts_share_the_cap_of_one_window() public {
        arrays.setSlashable(1_000e18);
        _active(ALICE);
        _active(BOB);
        _withdraw(ALICE, USDC, 600e6);
        _withdrawReverts(
            BOB, USDC, 401e6, abi.encodeWithSelector(IMarginVenue.PayoutCapReached.selector, 401e18, 400e18)
        );
        _withdraw(BOB, USDC, 400e6);
        assertEq(desk.payoutLeft(), 0);
        vm.warp(START + 600); // the next period still remembers the last
        assertEq(desk.payoutLeft(), 0);
        vm.warp(START + 1_200);
        assertEq(desk.payoutLeft(), 1_000e18);
    }

    function test_the_idle_and_empty_are_exempt_one_second_after_the_window() public {
        arrays.setSlashable(0);
        _active(ALICE);
        vm.warp(START + 600);
        _withdrawReverts(ALICE, USDC, 1, abi.encodeWithSelector(IMarginVenue.PayoutCapReached.selector, SCALE, 0));
        vm.warp(START + 601);
        _withdraw(ALICE, USDC, 10_000e6);
        _put(bob, USDC, 1e6); // never traded: exempt from the first second
        _withdraw(BOB, USDC, 1e6);
    }

    function test_a_position_however_old_is_not_exempt() public {
        arrays.setSlashable(0);
        _put(alice, USDC, 10_000e6);
        _put(bob, USDC, 10_000e6);
        _deal(ALICE, BOB, _perpetual(ETH), 1e18, ETH_PRICE);
        vm.warp(START + 10_000);
        _withdrawReverts(ALICE, USDC, 1, abi.encodeWithSelector(IMarginVenue.PayoutCapReached.selector, SCALE, 0));
    }

    function test_collateral_counts_at_full_price() public {
        arrays.setSlashable(3_000e18);
        _active(ALICE);
        _put(alice, WETH, 2e18);
        _withdrawReverts(
            ALICE,
            WETH,
            1e18 + 1,
            abi.encodeWithSelector(IMarginVenue.PayoutCapReached.selector, 3_000e18 + 3_000, 3_000e18)
        );
        _withdraw(ALICE, WETH, 1e18);
        _put(alice, WBTC, 1e8);
        _withdrawReverts(
            ALICE, WBTC, 1, abi.encodeWithSelector(IMarginVenue.PayoutCapReached.selector, 60_000e18 / 1e8, 0)
        );
    }

    /// Whatever is asked when, any stretch of one window pays at most the slashable part.
    function testFuzz_no_sliding_window_pays_more_than_the_cap(uint256 seed) public {
        arrays.setSlashable(1_000e18);
        _active(ALICE);
        _deal(ALICE, CAROL, _perpetual(ETH), 1e18, ETH_PRICE); // never exempt
        uint256[] memory times = new uint256[](12);
        uint256[] memory paid = new uint256[](12);
        for (uint256 i; i < 12; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            _skip(bound(seed >> 128, 0, 700));
            uint256 amount = bound(seed, 1e6, 900e6);
            times[i] = block.timestamp;
            try this.withdraw(ALICE, USDC, amount) {
                paid[i] = amount;
            } catch {}
        }
        assertTrue(paid[0] > 0, "the first is always paid");
        for (uint256 i; i < 12; ++i) {
            uint256 sum;
            for (uint256 j = i; j < 12 && times[j] <= times[i] + 600; ++j) {
                sum += paid[j];
            }
            assertLe(sum, uint256(1_000e6));
        }
    }

    // ---- bad debt and the fund ----

    /// @dev Bad debt out of nothing: the account's cash rises by what is shared.
    function _sinkDebt(uint256 amount) private {
        hall.seize(desk, _account(CAROL), bob, 0, -int256(amount), 0, amount);
    }

    function test_the_fund_is_fed_by_deposits_and_bonds() public {
        _put(FUND, USDC, 5e6);
        usdc.mint(address(arrays), 10e6);
        arrays.slash(desk, usdc, 7e6, 7e6);
        assertEq(desk.fund(), 12e18);
        assertEq(desk.held(USDC), 12e6);
        vm.expectRevert(
            abi.encodeWithSelector(IMarginVenue.TransferMismatch.selector, address(usdc), uint256(14e6), uint256(15e6))
        );
        arrays.slash(desk, usdc, 2e6, 3e6);
        vm.expectRevert(
            abi.encodeWithSelector(
                IMarginVenue.NotAuthorised.selector, 0, address(this), IMarginVenue.creditFund.selector
            )
        );
        desk.creditFund(1);
    }

    function test_shared_loss_is_paid_by_everyone_alike() public {
        _put(alice, USDC, 600e6);
        _put(bob, USDC, 200e6);
        _sinkDebt(200e18); // claims 1,000 on 800
        assertEq(desk.badDebt(), 200e18);
        vm.warp(START + 601);
        _withdraw(ALICE, USDC, 600e6);
        assertEq(usdc.balanceOf(vm.addr(ALICE)), 480e6);
        assertEq(desk.badDebt(), 80e18);
        _withdraw(BOB, USDC, 400e6);
        assertEq(usdc.balanceOf(vm.addr(BOB)), 320e6);
        assertEq(desk.badDebt(), 0);
        _assertClaimsCovered(_three());
    }

    /// The same loss, while four tokens of ten are lent out against collateral: shared over what is left, until repaid.
    function test_who_leaves_while_others_borrow_pays_more_than_who_waits() public {
        _put(alice, USDC, 600e6);
        _put(bob, USDC, 400e6);
        _put(_account(CAROL), WETH, 1e18);
        vm.warp(START + 601);
        _withdraw(CAROL, USDC, 400e6);
        _sinkDebt(200e18); // claims of 1,200, loans of 400
        vm.warp(START + 1_202);
        _withdraw(ALICE, USDC, 300e6);
        assertEq(usdc.balanceOf(vm.addr(ALICE)), 225e6); // 200 ÷ 800, not 200 ÷ 1,200
        _put(_account(CAROL), USDC, 400e6);
        _withdraw(BOB, USDC, 600e6);
        assertEq(usdc.balanceOf(vm.addr(BOB)), 600e6 - 83_333_334); // 125 ÷ 900
        _assertClaimsCovered(_three());
    }

    function test_the_first_inflow_repays_bad_debt() public {
        _put(bob, USDC, 200e6);
        _sinkDebt(50e18);
        usdc.mint(address(arrays), 80e6);
        arrays.slash(desk, usdc, 30e6, 30e6);
        assertEq(desk.badDebt(), 20e18);
        assertEq(desk.fund(), 0);
        arrays.slash(desk, usdc, 50e6, 50e6);
        assertEq(desk.badDebt(), 0);
        assertEq(desk.fund(), 30e18);
        _assertClaimsCovered(_three());
    }

    function testFuzz_shared_loss_never_pays_out_more_than_a_claim_is_worth(
        uint256 first,
        uint256 second,
        uint256 debt,
        uint256 part
    ) public {
        first = bound(first, 1e6, 1e15);
        second = bound(second, 1e6, 1e15);
        debt = bound(debt, 1, second * SCALE);
        part = bound(part, 2, first);
        _put(alice, USDC, first);
        _put(bob, USDC, second);
        _sinkDebt(debt);
        uint256 owed = (first + second) * SCALE + debt;
        try this.withdraw(ALICE, USDC, part) {}
        catch {
            // Refused only where nothing at all would be paid.
            assertLe((part - 1) * (first + second) * SCALE, owed);
            return;
        }
        uint256 paid = usdc.balanceOf(vm.addr(ALICE));
        // paid ÷ part ≤ held ÷ owed, and within one base unit of it.
        assertLe(paid * owed, part * (first + second) * SCALE);
        assertLe(part * (first + second) * SCALE, (paid + 1) * owed);
        _assertClaimsCovered(_three());
    }

    // ---- collateral types and tokens ----

    function test_the_cap_of_a_collateral_is_its_last_unit() public {
        products.setCollateral(0, CollateralType(address(weth), 18, ETH, 1_000, 10e18));
        _put(alice, WETH, 10e18);
        weth.mint(vm.addr(ALICE), 1);
        vm.startPrank(vm.addr(ALICE));
        weth.approve(address(desk), 1);
        vm.expectRevert(
            abi.encodeWithSelector(
                IProducts.ParameterOutOfRange.selector, bytes32("cap"), uint256(10e18) + 1, uint256(0), uint256(10e18)
            )
        );
        desk.deposit(alice, WETH, 1);
        vm.stopPrank();
    }

    function test_at_most_eight_collaterals() public {
        for (uint256 i = 3; i < 9; ++i) {
            MintableToken token = new MintableToken("T", "T", 18);
            products.addCollateral(CollateralType(address(token), 18, ETH, 1_000, 1e18));
            if (i < 8) {
                _putToken(alice, i + 1, token, 1);
                continue;
            }
            for (uint256 asset = WETH; asset <= 3; ++asset) {
                _put(alice, asset, 2);
            }
            token.mint(vm.addr(ALICE), 1);
            vm.startPrank(vm.addr(ALICE));
            token.approve(address(desk), 1);
            vm.expectRevert(abi.encodeWithSelector(IMarginVenue.TooManyCollaterals.selector, alice, 9, 8));
            desk.deposit(alice, 9, 1);
            vm.stopPrank();
        }
        _withdraw(ALICE, WETH, 1); // one left is still one held
        vm.expectRevert(abi.encodeWithSelector(IMarginVenue.TooManyCollaterals.selector, alice, 9, 8));
        vm.prank(vm.addr(ALICE));
        desk.deposit(alice, 9, 1);
        _withdraw(ALICE, WETH, 1);
        vm.prank(vm.addr(ALICE));
        desk.deposit(alice, 9, 1);
    }

    function test_a_token_that_takes_a_fee_is_refused_both_ways() public {
        FeeToken token = new FeeToken();
        products.addCollateral(CollateralType(address(token), 18, ETH, 1_000, 1e24));
        token.mint(vm.addr(ALICE), 100);
        vm.startPrank(vm.addr(ALICE));
        token.approve(address(desk), 100);
        desk.deposit(alice, 4, 50);
        token.setFee(true);
        bytes4 mismatch = IMarginVenue.TransferMismatch.selector;
        vm.expectRevert(abi.encodeWithSelector(mismatch, address(token), 99, 100));
        desk.deposit(alice, 4, 50);
        vm.stopPrank();
        _withdrawReverts(ALICE, 4, 10, abi.encodeWithSelector(mismatch, address(token), 59, 60));
    }

    function test_gifts_are_nobodys() public {
        _put(alice, USDC, 10e6);
        usdc.mint(address(desk), 5e6);
        assertEq(desk.held(USDC), 10e6);
        _withdraw(ALICE, USDC, 10e6);
        assertEq(desk.held(USDC), 0);
    }
}
