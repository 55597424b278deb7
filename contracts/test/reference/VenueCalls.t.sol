// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {MarginVenue} from "../../src/reference/MarginVenue.sol";
import {Book} from "../../src/reference/Types.sol";
import {VenueRules} from "../../src/reference/VenueRules.sol";
import {IAuctions} from "../../src/reference/interfaces/IAuctions.sol";
import {IMargin} from "../../src/reference/interfaces/IMargin.sol";
import {IMarginVenue} from "../../src/reference/interfaces/IMarginVenue.sol";
import {IRiskArrays} from "../../src/reference/interfaces/IRiskArrays.sol";
import {VenueBase} from "./VenueBase.sol";
import {DemoSwapper} from "./VenueStubs.sol";

/// @notice Calls of the venue with whatever a caller may send: what is asked for happens whole, or nothing does and the
/// reason is the one expected.
contract VenueCallsTest is VenueBase {
    DemoSwapper private swapper;
    uint256 private alice;

    function setUp() public override {
        super.setUp();
        alice = _account(ALICE);
        swapper = new DemoSwapper();
        desk.setSwapper(address(swapper), true);
    }

    function _state(uint256 account) private view returns (bytes32) {
        (Book memory book, uint40 last) = desk.recorded(account);
        return keccak256(abi.encode(book, last, desk.sequence(account)));
    }

    function _unitsOf(uint256 account, uint256 asset) private view returns (int256) {
        return asset == USDC ? _cash(account) / int256(SCALE) : int256(_collateral(account, asset - 1));
    }

    // ---- tokens ----

    /// The owner deposits anything; a stranger what helps: cash for the fund, or for an account 10 USD or more.
    function testFuzz_a_deposit_counts_whole_or_not_at_all(uint256 account, uint256 asset, uint256 amount, bool byOwner)
        public
    {
        if (account % 4 == 0) account = account >> 2 & 7; // the venue's own, and nobody's
        asset = bound(asset, 0, 4);
        amount = amount % 8 == 0 ? 0 : bound(amount, 1, amount % 8 == 1 ? 20e6 : 2_000_000e18);
        address owner = address(uint160(account >> 96));
        byOwner = byOwner && owner != address(0);
        address payer = byOwner ? owner : address(0x57a29e);
        if (asset < 4) _tokenOf(asset).mint(payer, amount);
        vm.prank(payer);
        if (asset < 4) _tokenOf(asset).approve(address(desk), amount);
        uint256[5] memory caps = [type(uint256).max, 1_000_000e18, 100_000e8, 1_000_000_000e18, 0];
        bool helps = asset == USDC && (account == FUND || owner != address(0) && amount >= 10e6);
        bool good = amount > 0 && amount <= caps[asset] && (byOwner || helps);
        bytes32 before = _state(account);
        vm.prank(payer);
        try desk.deposit(account, asset, amount) {
            assertTrue(good, "accepted");
            assertEq(_unitsOf(account, asset), int256(amount));
            assertEq(desk.held(asset), amount);
        } catch {
            assertTrue(!good, "refused");
            assertEq(_state(account), before);
            assertEq(desk.held(asset), 0);
        }
    }

    function testFuzz_a_withdrawal_needs_right_sequence_and_means(address caller, uint64 expected, uint256 amount)
        public
    {
        _put(alice, USDC, 1_000e6);
        if (uint160(caller) % 2 == 0) caller = vm.addr(ALICE);
        if (expected % 4 != 3) expected = expected % 2 == 0 ? 1 : type(uint64).max;
        bool asExpected = expected == 1 || expected == type(uint64).max;
        amount = amount % 8 == 0 ? 0 : bound(amount, 1, 2_000e6);
        bytes32 before = _state(alice);
        vm.prank(caller);
        try desk.withdraw(alice, USDC, amount, address(0xcafe), expected) {
            assertTrue(caller == vm.addr(ALICE) && asExpected && amount > 0 && amount <= 1_000e6, "paid");
            assertEq(usdc.balanceOf(address(0xcafe)), amount);
            assertEq(_unitsOf(alice, USDC), int256(1_000e6 - amount));
        } catch (bytes memory reason) {
            bytes4 expectedReason = IMarginVenue.BelowInitialMargin.selector;
            if (amount == 0) expectedReason = IMarginVenue.ZeroAmount.selector;
            if (!asExpected) expectedReason = IMarginVenue.UnexpectedSequence.selector;
            if (caller != vm.addr(ALICE)) expectedReason = IMarginVenue.NotAuthorised.selector;
            assertEq(bytes32(bytes4(reason)), bytes32(expectedReason));
            assertTrue(expectedReason != IMarginVenue.BelowInitialMargin.selector || amount > 1_000e6, "refused");
            assertEq(_state(alice), before);
        }
    }

    function testFuzz_a_swap_delivers_or_is_undone(
        uint256 sell,
        uint256 buy,
        uint256 amount,
        uint256 pays,
        uint256 least
    ) public {
        uint256[4] memory own = [uint256(1_000e6), 10e18, 1e8, 5_000e18];
        for (uint256 asset; asset < 4; ++asset) {
            _put(alice, asset, own[asset]);
            _tokenOf(asset).mint(address(swapper), 100e8);
        }
        (sell, buy) = (bound(sell, 0, 3), bound(buy, 0, 3));
        amount = amount % 8 == 0 ? 0 : bound(amount, 1, 2 * own[sell]);
        (pays, least) = (bound(pays, 0, 100e8), bound(least, 0, 100e8));
        swapper.setPays(pays);
        bool good = sell != buy && amount > 0 && amount <= own[sell] && pays >= least;
        bytes32 before = _state(alice);
        uint64 sequence = desk.sequence(alice);
        vm.prank(vm.addr(ALICE));
        try desk.swap(alice, sell, buy, amount, least, address(swapper), "", sequence) {
            assertTrue(good, "swapped");
            assertEq(_unitsOf(alice, sell), int256(own[sell] - amount));
            assertEq(_unitsOf(alice, buy), int256(own[buy] + pays));
        } catch {
            assertTrue(!good, "refused");
            assertEq(_state(alice), before);
        }
        for (uint256 asset; asset < 4; ++asset) {
            assertEq(desk.held(asset), _tokenOf(asset).balanceOf(address(desk)));
            assertEq(int256(desk.held(asset)), _unitsOf(alice, asset));
        }
    }

    function testFuzz_only_the_risk_arrays_credit_the_fund(address caller, uint256 sent, uint256 told) public {
        vm.assume(caller != address(arrays));
        vm.prank(caller);
        vm.expectRevert(
            abi.encodeWithSelector(IMarginVenue.NotAuthorised.selector, 0, caller, IMarginVenue.creditFund.selector)
        );
        desk.creditFund(told);
        (sent, told) = (bound(sent, 0, 1e15), bound(told, 0, 1e15));
        usdc.mint(address(arrays), sent);
        bool covered = told <= sent;
        if (!covered) {
            vm.expectRevert(abi.encodeWithSelector(IMarginVenue.TransferMismatch.selector, address(usdc), sent, told));
        }
        arrays.slash(desk, usdc, sent, told);
        assertEq(desk.fund(), covered ? int256(told * SCALE) : int256(0));
    }

    function testFuzz_seize_takes_no_more_than_all_nor_than_the_fund(uint256 fraction, uint256 fromFund, uint256 fund)
        public
    {
        _put(alice, USDC, 1_000e6);
        fund = bound(fund, 1, 1_000e6);
        _put(FUND, USDC, fund);
        fraction = bound(fraction, 0, 1.5e18);
        fromFund = bound(fromFund, 0, 2 * fund * SCALE);
        uint256[] memory list = _three();
        try hall.seize(desk, alice, _account(CAROL), fraction, 0, fromFund, 0) {
            assertTrue(fraction <= 1e18 && fromFund <= fund * SCALE, "seized");
            assertEq(desk.fund(), int256(fund * SCALE - fromFund));
            assertEq(_cash(_account(CAROL)), int256(1_000e18 * fraction / 1e18));
        } catch (bytes memory reason) {
            bytes4 expected = fraction > 1e18 ? IMarginVenue.SizeOutOfRange.selector : IMarginVenue.Illiquid.selector;
            assertEq(bytes32(bytes4(reason)), bytes32(expected));
            assertTrue(fraction > 1e18 || fromFund > fund * SCALE, "refused");
        }
        _assertClaimsCovered(list);
    }

    function testFuzz_touching_who_has_nothing_does_nothing(address caller, uint256 account) public {
        bytes32 before = _state(account);
        vm.prank(caller);
        desk.touch(account);
        assertEq(_state(account), before);
    }

    // ---- orders and delegates ----

    function testFuzz_a_cancelled_order_is_dead(address caller, uint256 size, bool byDelegate) public {
        vm.assume(caller != vm.addr(ALICE) && caller != address(0));
        _put(alice, USDC, 100_000e6);
        _put(_account(BOB), USDC, 100_000e6);
        size = bound(size, 1e16, 10e18);
        IMarginVenue.Order memory buy = _order(ALICE, _perpetual(ETH), int256(size), ETH_PRICE);
        IMarginVenue.Order memory sell = _order(BOB, _perpetual(ETH), -int256(size), ETH_PRICE);
        (bytes memory a, bytes memory b) = (_sign(ALICE, buy), _sign(BOB, sell));
        vm.prank(caller);
        vm.expectRevert(
            abi.encodeWithSelector(IMarginVenue.NotAuthorised.selector, alice, caller, IMarginVenue.cancel.selector)
        );
        desk.cancel(buy);
        desk.matchOrders(buy, a, sell, b, size / 2, ETH_PRICE); // alive so far
        if (byDelegate) {
            vm.prank(vm.addr(ALICE));
            desk.setDelegate(alice, caller, IMarginVenue.cancel.selector, uint40(block.timestamp));
        }
        vm.prank(byDelegate ? caller : vm.addr(ALICE));
        desk.cancel(buy);
        bytes32 hash = desk.orderHash(buy);
        assertEq(desk.filled(hash), type(uint256).max);
        vm.expectRevert(abi.encodeWithSelector(IMarginVenue.OrderRefused.selector, hash, bytes32("filled")));
        desk.matchOrders(buy, a, sell, b, 1, ETH_PRICE);
    }

    function testFuzz_only_who_may_raises_the_nonce_floor(address caller, uint64 floor) public {
        vm.assume(caller != vm.addr(ALICE));
        vm.prank(caller);
        vm.expectRevert(
            abi.encodeWithSelector(
                IMarginVenue.NotAuthorised.selector, alice, caller, IMarginVenue.raiseNonceFloor.selector
            )
        );
        desk.raiseNonceFloor(alice, floor);
        assertEq(uint256(desk.nonceFloor(alice)), 0);
    }

    function testFuzz_revoking_ends_every_grant(address[3] memory who, bytes4[3] memory what, uint40 until) public {
        for (uint256 i; i < 3; ++i) {
            if (who[i] == vm.addr(ALICE)) continue;
            vm.prank(vm.addr(ALICE));
            desk.setDelegate(alice, who[i], what[i], until);
            bool may = until >= block.timestamp && who[i] != address(0);
            assertTrue(desk.mayAct(alice, who[i], what[i]) == may, "until then");
        }
        vm.prank(vm.addr(ALICE));
        desk.revokeDelegates(alice);
        for (uint256 i; i < 3; ++i) {
            assertTrue(who[i] == vm.addr(ALICE) || !desk.mayAct(alice, who[i], what[i]), "revoked");
        }
    }

    // ---- owner and guardian ----

    function testFuzz_the_guardian_pauses_and_the_owner_too(address guardian, address next, bool opening, bool out)
        public
    {
        vm.assume(guardian != next && guardian != address(this));
        desk.setGuardian(guardian);
        vm.prank(guardian);
        desk.setPaused(opening, out);
        assertTrue(desk.openingPaused() == opening && desk.withdrawalsPaused() == out, "by the guardian");
        desk.setPaused(!opening, !out);
        assertTrue(desk.openingPaused() != opening && desk.withdrawalsPaused() != out, "by the owner");
        desk.setGuardian(next);
        vm.prank(guardian);
        vm.expectRevert(
            abi.encodeWithSelector(IMarginVenue.NotAuthorised.selector, 0, guardian, VenueRules.setPaused.selector)
        );
        desk.setPaused(opening, out);
    }

    function testFuzz_swappers_are_those_allowed_now(address who, address other, bool allowed) public {
        vm.assume(who != other && other != address(swapper));
        desk.setSwapper(who, true);
        desk.setSwapper(who, allowed);
        assertTrue(desk.swapperAllowed(who) == allowed && !desk.swapperAllowed(other), "as set");
        _put(alice, WETH, 1e18);
        uint64 sequence = desk.sequence(alice);
        vm.prank(vm.addr(ALICE));
        vm.expectRevert(abi.encodeWithSelector(IMarginVenue.SwapRefused.selector, other, bytes32("swapper")));
        desk.swap(alice, WETH, WBTC, 1, 0, other, "", sequence);
    }

    function testFuzz_auctions_are_wired_once(address first, address second) public {
        vm.assume(first != address(0));
        MarginVenue fresh = new MarginVenue(
            address(this),
            VenueRules.Peers(prices, products, IRiskArrays(address(arrays)), IMargin(address(rule))),
            IERC20Metadata(address(usdc))
        );
        fresh.wireAuctions(IAuctions(first));
        assertEq(address(fresh.auctions()), first);
        vm.expectRevert(abi.encodeWithSelector(VenueRules.AlreadyWired.selector, first));
        fresh.wireAuctions(IAuctions(second));
        vm.prank(first);
        fresh.seize(alice, _account(BOB), 0, 0, 0, 0);
        vm.assume(second != first);
        vm.prank(second);
        vm.expectRevert(
            abi.encodeWithSelector(IMarginVenue.NotAuthorised.selector, 0, second, IMarginVenue.seize.selector)
        );
        fresh.seize(alice, _account(BOB), 0, 0, 0, 0);
    }
}
