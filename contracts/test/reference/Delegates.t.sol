// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IAuctions} from "../../src/reference/interfaces/IAuctions.sol";
import {IMarginVenue} from "../../src/reference/interfaces/IMarginVenue.sol";
import {VenueBase} from "./VenueBase.sol";

contract DelegatesTest is VenueBase {
    bytes4 private constant WITHDRAW = IMarginVenue.withdraw.selector;
    uint256 private account;
    address private owner;

    function setUp() public override {
        super.setUp();
        account = _account(ALICE) | 3; // a sub-account
        owner = vm.addr(ALICE);
        _put(account, USDC, 1_000e6);
    }

    function _grant(address delegate, bytes4 selector, uint40 until) private {
        vm.prank(owner);
        desk.setDelegate(account, delegate, selector, until);
    }

    function _withdrawBy(address caller) private {
        uint64 sequence = desk.sequence(account);
        vm.prank(caller);
        desk.withdraw(account, USDC, 1, owner, sequence);
    }

    function _notAuthorised(address caller, bytes4 selector) private view returns (bytes memory) {
        return abi.encodeWithSelector(IMarginVenue.NotAuthorised.selector, account, caller, selector);
    }

    function testFuzz_a_grant_is_for_one_delegate_one_function_one_account(
        address delegate,
        address other,
        bytes4 selector,
        bytes4 otherSelector,
        uint96 sub
    ) public {
        vm.assume(delegate != owner && other != owner && delegate != other && delegate != address(0));
        vm.assume(selector != otherSelector && sub != 3);
        _grant(delegate, selector, uint40(block.timestamp + 1));
        assertTrue(desk.mayAct(account, delegate, selector), "granted");
        assertTrue(!desk.mayAct(account, other, selector), "another");
        assertTrue(!desk.mayAct(account, delegate, otherSelector), "another function");
        assertTrue(!desk.mayAct(_account(ALICE) | sub, delegate, selector), "another sub-account");
        assertTrue(desk.mayAct(_account(ALICE) | sub, owner, otherSelector), "the owner always");
    }

    function testFuzz_a_grant_ends_with_the_second_it_names(uint40 until, uint40 at) public {
        at = uint40(bound(at, START, type(uint40).max));
        _grant(vm.addr(BOB), WITHDRAW, until);
        vm.warp(at);
        assertTrue(desk.mayAct(account, vm.addr(BOB), WITHDRAW) == (at <= until), "until");
    }

    function test_a_delegate_withdraws_until_revoked() public {
        address delegate = vm.addr(BOB);
        vm.expectRevert(_notAuthorised(delegate, WITHDRAW));
        this.withdrawBy(delegate);
        _grant(delegate, WITHDRAW, uint40(block.timestamp));
        _withdrawBy(delegate);
        vm.prank(owner);
        desk.revokeDelegates(account);
        vm.expectRevert(_notAuthorised(delegate, WITHDRAW));
        this.withdrawBy(delegate);
        _grant(delegate, WITHDRAW, type(uint40).max);
        _withdrawBy(delegate);
        _grant(delegate, WITHDRAW, 0);
        vm.expectRevert(_notAuthorised(delegate, WITHDRAW));
        this.withdrawBy(delegate);
        _withdrawBy(owner);
    }

    function withdrawBy(address caller) external {
        uint64 sequence = desk.sequence(account);
        vm.prank(caller);
        desk.withdraw(account, USDC, 1, owner, sequence);
    }

    function testFuzz_only_the_owner_names_delegates(address caller, bytes4 selector) public {
        vm.assume(caller != owner);
        _grant(caller, IMarginVenue.setDelegate.selector, type(uint40).max); // worth nothing
        vm.prank(caller);
        vm.expectRevert(_notAuthorised(caller, IMarginVenue.setDelegate.selector));
        desk.setDelegate(account, caller, selector, type(uint40).max);
        vm.prank(caller);
        vm.expectRevert(_notAuthorised(caller, IMarginVenue.revokeDelegates.selector));
        desk.revokeDelegates(account);
    }

    function test_a_delegate_for_matching_signs_orders() public {
        _put(_account(CAROL), USDC, 1_000e6);
        IMarginVenue.Order memory buy = _order(ALICE, _perpetual(ETH), 1e18, ETH_PRICE);
        buy.account = account;
        IMarginVenue.Order memory sell = _order(CAROL, _perpetual(ETH), -1e18, ETH_PRICE);
        (bytes memory a, bytes memory b) = (_sign(BOB, buy), _sign(CAROL, sell));
        bytes32 hash = desk.orderHash(buy);
        _grant(vm.addr(BOB), IMarginVenue.cancel.selector, type(uint40).max);
        vm.expectRevert(abi.encodeWithSelector(IMarginVenue.BadSignature.selector, hash));
        desk.matchOrders(buy, a, sell, b, 4e17, ETH_PRICE);
        _grant(vm.addr(BOB), IMarginVenue.matchOrders.selector, type(uint40).max);
        desk.matchOrders(buy, a, sell, b, 4e17, ETH_PRICE);
        vm.prank(owner);
        desk.revokeDelegates(account); // what he signed before is void as well
        vm.expectRevert(abi.encodeWithSelector(IMarginVenue.BadSignature.selector, hash));
        desk.matchOrders(buy, a, sell, b, 4e17, ETH_PRICE);
    }

    function test_a_grant_may_name_functions_of_the_auctions() public {
        _grant(vm.addr(BOB), IAuctions.take.selector, type(uint40).max);
        assertTrue(desk.mayAct(account, vm.addr(BOB), IAuctions.take.selector), "take");
    }

    function test_the_venues_own_accounts_obey_nobody() public {
        assertTrue(!desk.mayAct(FUND, address(0), WITHDRAW), "no owner");
        vm.expectRevert(abi.encodeWithSelector(IMarginVenue.NotAuthorised.selector, FUND, address(this), WITHDRAW));
        desk.withdraw(FUND, USDC, 1, address(this), 0);
    }

    function test_a_bad_signature_recovers_nobody_not_the_zero_address() public {
        uint256 venueAccount = 77; // its owner would be the zero address
        IMarginVenue.Order memory buy = _order(ALICE, _perpetual(ETH), 1e18, ETH_PRICE);
        buy.account = venueAccount;
        IMarginVenue.Order memory sell = _order(CAROL, _perpetual(ETH), -1e18, ETH_PRICE);
        bytes memory garbage = abi.encodePacked(bytes32(uint256(1)), bytes32(uint256(1)), uint8(29));
        bytes memory b = _sign(CAROL, sell);
        bytes32 hash = desk.orderHash(buy);
        vm.expectRevert(abi.encodeWithSelector(IMarginVenue.BadSignature.selector, hash));
        desk.matchOrders(buy, garbage, sell, b, 1e18, ETH_PRICE);
    }

    function test_each_delegation_raises_the_sequence() public {
        uint64 before = desk.sequence(account);
        _grant(vm.addr(BOB), WITHDRAW, 1);
        vm.prank(owner);
        desk.revokeDelegates(account);
        assertEq(uint256(desk.sequence(account)), uint256(before) + 2);
    }
}
