// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {Bonds} from "../../src/reference/Bonds.sol";
import {RiskArrays} from "../../src/reference/RiskArrays.sol";
import {IMarginVenue} from "../../src/reference/interfaces/IMarginVenue.sol";
import {IRiskArrays} from "../../src/reference/interfaces/IRiskArrays.sol";
import {RiskArraysBase} from "./RiskArraysBase.sol";

/// @notice Calls about bonds, fines and challenges with whatever a caller may send.
contract ArrayCallsTest is RiskArraysBase {
    uint256 private wrongEpoch;

    /// @dev The rival has the least bond there is, and published a wrong array last.
    function setUp() public override {
        super.setUp();
        _bond(RIVAL, MINIMUM_BOND);
        _skip(1);
        _news(ETH, ETH_PRICE);
        wrongEpoch = _publishWrong(RIVAL, ETH, 0, 0, 1);
    }

    function testFuzz_only_who_is_allowed_bonds(address who, bool allowed, uint256 amount) public {
        vm.assume(who != address(0) && who != PUBLISHER && who != RIVAL && who != address(riskArrays));
        amount = amount % 4 == 0 ? 0 : bound(amount, 1, uint256(type(uint128).max) + 1e6);
        riskArrays.setPublisher(who, true);
        riskArrays.setPublisher(who, allowed);
        usdc.mint(who, amount);
        vm.startPrank(who);
        usdc.approve(address(riskArrays), amount);
        bool good = allowed && amount > 0 && amount <= type(uint128).max;
        bytes4 why = allowed ? Bonds.TermOutOfRange.selector : IRiskArrays.NotPublisher.selector;
        if (!good) vm.expectPartialRevert(why);
        riskArrays.bond(amount);
        vm.stopPrank();
        assertEq(riskArrays.publisher(who).bond, good ? amount : 0);
        assertTrue(riskArrays.publisher(who).allowed == allowed, "as set");
        assertEq(usdc.balanceOf(who), good ? 0 : amount);
    }

    function testFuzz_without_a_bond_nothing_is_asked_back(address who) public {
        vm.assume(who != PUBLISHER && who != RIVAL);
        vm.startPrank(who);
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.BondTooSmall.selector, 0, 1));
        riskArrays.requestUnbond();
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.BondTooSmall.selector, 0, 1));
        riskArrays.finishUnbond();
        vm.stopPrank();
    }

    function testFuzz_only_what_was_published_is_challenged(uint8 underlying, uint256 id, uint40 expiry, uint256 index)
        public
    {
        if (underlying % 2 == 0) underlying = ETH;
        if (id % 4 != 3) id = 1;
        if (expiry % 4 != 3) expiry = expiry % 2 == 0 ? FIRST : SECOND;
        if (index % 4 != 3) index = index % 6;
        bool published = underlying <= BTC && id == 1 && (expiry == FIRST || expiry == SECOND);
        bytes memory why = abi.encodeWithSelector(IRiskArrays.UnknownBlob.selector, underlying, id, expiry);
        if (published && index >= 4) why = abi.encodeWithSelector(IRiskArrays.NoArray.selector, index, 4);
        if (published && index < 4) {
            why = abi.encodeWithSelector(IRiskArrays.ArrayCorrect.selector, underlying, id, expiry, index);
        }
        vm.expectRevert(why);
        riskArrays.challenge(underlying, id, expiry, index);
    }

    /// What the bond has above the minimum pays what is owed, whoever asks; the rest stays owed.
    function testFuzz_collecting_takes_what_is_free(uint256 time, uint256 free, address caller) public {
        (time, free) = (bound(time, 1, 200), bound(free, 0, 500e6));
        _bond(RIVAL, free);
        _skip(1);
        _report(ETH, ETH_PRICE);
        _skip(HEARTBEAT + time);
        _news(ETH, ETH_PRICE);
        _publishAll(ETH); // charges, collects nothing
        uint256 owed = time * FINE_PER_SECOND;
        assertEq(riskArrays.publisher(RIVAL).owed, owed);
        uint256 paid = owed < free ? owed : free;
        vm.prank(caller);
        riskArrays.collect(RIVAL);
        assertEq(riskArrays.publisher(RIVAL).owed, owed - paid);
        assertEq(riskArrays.publisher(RIVAL).bond, MINIMUM_BOND + free - paid);
        assertEq(venue.fund(), int256(paid * 1e12));
        vm.prank(caller);
        riskArrays.collect(caller); // who owes nothing, pays nothing
        assertEq(venue.fund(), int256(paid * 1e12));
    }

    function testFuzz_a_fine_is_for_the_seconds_after_the_heartbeat(address caller, uint256 time) public {
        time = bound(time, 0, MAX_REPORT_AGE);
        _bond(RIVAL, 1_000e6);
        _skip(1);
        _report(ETH, ETH_PRICE);
        _skip(time);
        bool late = time > HEARTBEAT;
        if (!late) vm.expectRevert(abi.encodeWithSelector(IRiskArrays.NotLate.selector, ETH));
        vm.prank(caller);
        riskArrays.fine(ETH);
        assertEq(venue.fund(), int256(late ? (time - HEARTBEAT) * FINE_PER_SECOND * 1e12 : 0));
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.NotLate.selector, BTC)); // no newer report
        riskArrays.fine(BTC);
    }

    /// A token that moves nothing at the proof pays each share later, once, whoever asks.
    function testFuzz_what_was_unpaid_is_paid_once(address challenger, address caller, uint256 extra) public {
        vm.assume(challenger != address(0) && challenger != address(venue) && challenger != address(riskArrays));
        vm.assume(challenger != caller && caller != address(venue) && caller != address(0));
        vm.assume(caller != address(riskArrays)); // who pays
        vm.assume(usdc.balanceOf(challenger) == 0 && challenger != address(usdc));
        uint256 whole = MINIMUM_BOND + bound(extra, 0, 1e15);
        _bond(RIVAL, whole - MINIMUM_BOND);
        bytes memory code = address(usdc).code;
        vm.etch(address(usdc), hex"60006000fd");
        vm.prank(challenger);
        riskArrays.challenge(ETH, wrongEpoch, FIRST, 0);
        vm.etch(address(usdc), code);
        uint256 had = usdc.balanceOf(caller);
        for (uint256 i; i < 2; ++i) {
            vm.startPrank(caller);
            riskArrays.payUnpaid(challenger);
            riskArrays.payUnpaid(address(venue));
            riskArrays.payUnpaid(caller); // to whom nothing is owed
            vm.stopPrank();
            assertEq(usdc.balanceOf(challenger), whole * (10_000 - FUND_SHARE) / 10_000);
            assertEq(venue.fund(), int256((whole - usdc.balanceOf(challenger)) * 1e12));
            assertEq(usdc.balanceOf(caller), had);
        }
    }

    function testFuzz_who_may_publish_is_as_set_until_proven_wrong(address who, bool allowed) public {
        vm.assume(who != PUBLISHER && who != RIVAL);
        riskArrays.setPublisher(who, allowed);
        assertTrue(riskArrays.publisher(who).allowed == allowed, "as set");
        _skip(1);
        bytes32 reportId = _news(ETH, ETH_PRICE);
        bytes4 why = allowed ? IRiskArrays.BondTooSmall.selector : IRiskArrays.NotPublisher.selector;
        vm.expectPartialRevert(why);
        this.publishAs(who, reportId, "");
        riskArrays.challenge(ETH, wrongEpoch, FIRST, 0);
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.Suspended.selector, RIVAL));
        riskArrays.setPublisher(RIVAL, allowed);
    }

    /// @dev So that a revert can be expected of the publication itself.
    function publishAs(address who, bytes32 reportId, bytes memory arrays) external {
        _publish(who, ETH, FIRST, reportId, arrays);
    }

    function testFuzz_the_venue_is_wired_once(address first, address second) public {
        vm.assume(first != address(0));
        RiskArrays fresh = new RiskArrays(
            prices, products, IERC20Metadata(usdc), _terms(), MAX_REPORT_AGE, MAX_SLICE_AGE, address(this)
        );
        fresh.wireVenue(IMarginVenue(first));
        assertEq(address(fresh.venue()), first);
        vm.expectRevert(abi.encodeWithSelector(Bonds.AlreadyWired.selector, first));
        fresh.wireVenue(IMarginVenue(second));
    }
}
