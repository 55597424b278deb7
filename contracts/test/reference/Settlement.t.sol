// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Book, Report, WAD} from "../../src/reference/Types.sol";
import {IMargin} from "../../src/reference/interfaces/IMargin.sol";
import {IMarginVenue} from "../../src/reference/interfaces/IMarginVenue.sol";
import {VenueBase} from "./VenueBase.sol";

/// Funding by hand: at a rate of 1e-8 a second (10¹⁰ wad) and 3,000 USD, a contract held 100 s costs 0.003 USD.
contract SettlementTest is VenueBase {
    uint128 private perp;
    uint256 private alice;
    uint256 private bob;

    function setUp() public override {
        super.setUp();
        perp = _perpetual(ETH);
        (alice, bob) = (_account(ALICE), _account(BOB));
        rule.setRates(0, 0);
        rule.setMark(perp, ETH_PRICE);
        _put(alice, USDC, 100_000e6);
        _put(bob, USDC, 100_000e6);
    }

    function _setRate(int64 rate) private {
        _skip(1);
        _report(ETH, ETH_PRICE, rate);
    }

    function test_longs_pay_shorts_at_a_positive_rate() public {
        _setRate(1e10);
        _deal(ALICE, BOB, perp, 10e18, ETH_PRICE);
        int256 aliceBefore = _cash(alice);
        int256 bobBefore = _cash(bob);
        _skip(100);
        _report(ETH, ETH_PRICE, 1e10);
        desk.touch(alice);
        desk.touch(bob);
        assertEq(_cash(alice) - aliceBefore, -0.03e18);
        assertEq(_cash(bob) - bobBefore, 0.03e18);
        assertEq(desk.dust(), 0);
        assertEq(uint256(desk.sequence(alice)), 2); // a touch is no action of his
    }

    function test_shorts_pay_longs_at_a_negative_rate_and_only_once() public {
        _setRate(-1e10);
        _deal(ALICE, BOB, perp, 10e18, ETH_PRICE);
        int256 before = _cash(alice);
        _skip(100);
        _report(ETH, ETH_PRICE, 0);
        desk.touch(alice);
        desk.touch(alice);
        assertEq(_cash(alice) - before, 0.03e18);
        _skip(100);
        _report(ETH, ETH_PRICE, 0);
        desk.touch(alice);
        assertEq(_cash(alice) - before, 0.03e18);
    }

    function test_funding_before_a_position_was_opened_is_not_its_own() public {
        _setRate(1e10);
        _deal(ALICE, BOB, perp, 1e18, ETH_PRICE);
        _skip(1_000);
        _report(ETH, ETH_PRICE, 1e10);
        _put(_account(CAROL), USDC, 100_000e6);
        int256 carol = _cash(_account(CAROL));
        _deal(CAROL, ALICE, perp, 3e18, ETH_PRICE);
        carol -= 9_000e18;
        _skip(100);
        _report(ETH, ETH_PRICE, 1e10);
        desk.touch(_account(CAROL));
        assertEq(_cash(_account(CAROL)) - carol, -0.009e18);
        // Closed, nothing accrues; opened again, only from then on.
        _deal(ALICE, CAROL, perp, 3e18, ETH_PRICE);
        _skip(100);
        _report(ETH, ETH_PRICE, 1e10);
        carol = _cash(_account(CAROL));
        _deal(CAROL, ALICE, perp, 3e18, ETH_PRICE);
        desk.touch(_account(CAROL));
        assertEq(_cash(_account(CAROL)) - carol, -9_000e18);
        _assertClaimsCovered(_three());
    }

    function test_a_fraction_of_a_wei_is_kept_from_both_sides() public {
        _setRate(1e10);
        _deal(ALICE, BOB, perp, 1e18 + 1, ETH_PRICE);
        int256 aliceBefore = _cash(alice);
        int256 bobBefore = _cash(bob);
        _skip(100);
        _report(ETH, ETH_PRICE, 1e10);
        desk.touch(alice);
        desk.touch(bob);
        // 0.003 USD × (1 + 10⁻¹⁸): the payer's last fraction rounds up, the receiver's down.
        assertEq(_cash(alice) - aliceBefore, -3e15 - 1);
        assertEq(_cash(bob) - bobBefore, 3e15);
        assertEq(desk.dust(), int256(WAD));
        _assertClaimsCovered(_three());
    }

    /// Whoever is touched when, accounts and dust sum to what came in.
    function testFuzz_funding_over_accounts_and_dust_sums_to_zero(uint256 seed) public {
        _put(_account(CAROL), USDC, 100_000e6);
        uint256[3] memory keys = [ALICE, BOB, CAROL];
        for (uint256 i; i < 12; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            _skip(bound(seed >> 8, 1, 300));
            int256 rate = int256(bound(seed >> 16, 0, 1e11)) - 5e10;
            _report(ETH, bound(seed >> 32, 2_000e18, 4_000e18), int64(rate));
            rule.setMark(perp, ETH_PRICE);
            if (seed % 3 == 0) desk.touch(_account(keys[(seed >> 64) % 3]));
            // In hundredths, so that no trade leaves less than the least notional.
            else _deal(keys[seed % 3], keys[(seed + 1) % 3], perp, bound(seed >> 80, 1, 5_000) * 1e16, ETH_PRICE);
        }
        assertTrue(desk.dust() >= 0, "dust never owes");
        _assertClaimsCovered(_three());
    }

    function testFuzz_book_is_what_a_touch_makes(uint256 size, uint256 time, int64 rate) public {
        size = bound(size, 1e16, 100e18);
        time = bound(time, 1, 3 days);
        rate = int64(int256(bound(uint64(rate), 0, 2e11)) - 1e11);
        _setRate(rate);
        _deal(ALICE, BOB, perp, size, ETH_PRICE);
        _deal(ALICE, BOB, _call(), size, 200e18);
        _deal(BOB, ALICE, _option(ETH, 1, 0, false), size, 7e18);
        _settleFirstExpiry(3_100e18);
        _skip(time);
        Book memory promised = desk.book(alice);
        desk.touch(alice);
        (Book memory found,) = desk.recorded(alice);
        assertEq(promised.cash, found.cash);
        assertEq(promised.legs.length, found.legs.length);
        assertEq(found.legs.length, 2);
        for (uint256 i; i < found.legs.length; ++i) {
            assertTrue(promised.legs[0] == found.legs[i] || promised.legs[1] == found.legs[i], "same legs");
        }
    }

    // ---- expiry ----

    /// @dev Reports at both ends of the averaging window; the average is the price.
    function _settleFirstExpiry(uint256 price) private {
        uint40 expiry = _expiries(ETH)[0];
        vm.warp(expiry - 30 minutes);
        _report(ETH, price);
        vm.warp(expiry);
        _report(ETH, price);
        assertEq(prices.settlement(ETH, expiry), price);
    }

    function test_options_settle_at_their_payoff() public {
        uint128 put = _option(ETH, 0, 2, false); // struck at 3,300
        rule.setMark(put, 300e18);
        _deal(ALICE, BOB, _call(), 2e18, 200e18); // struck at 3,000
        _deal(ALICE, BOB, put, 3e18, 300e18);
        (int256 aliceBefore, int256 bobBefore) = (_cash(alice), _cash(bob));
        _settleFirstExpiry(3_150e18);
        desk.touch(alice);
        desk.touch(bob);
        assertEq(_cash(alice) - aliceBefore, 2 * 150e18 + 3 * 150e18);
        assertEq(_cash(bob) - bobBefore, -(2 * 150e18 + 3 * 150e18));
        (Book memory b, uint40 lastActivity) = desk.recorded(alice);
        assertEq(b.legs.length, 0);
        assertEq(lastActivity, block.timestamp);
        _assertClaimsCovered(_three());
    }

    function test_worthless_options_just_go() public {
        uint128 put = _option(ETH, 0, 1, false);
        _deal(ALICE, BOB, _call(), 2e18, 200e18);
        rule.setMark(put, 0);
        _deal(ALICE, BOB, put, 1e18, 0);
        int256 before = _cash(alice);
        _settleFirstExpiry(3_000e18); // at the strike exactly
        desk.touch(alice);
        assertEq(_cash(alice), before);
        assertEq(_size(alice, _call()), 0);
    }

    function test_until_there_is_a_price_the_position_stays_and_margin_has_no_answer() public {
        _deal(ALICE, BOB, _call(), 2e18, 200e18);
        _deal(ALICE, BOB, perp, 1e18, ETH_PRICE);
        vm.warp(_expiries(ETH)[0]);
        desk.touch(alice);
        assertEq(_size(alice, _call()), 2e18);
        uint64 sequence = desk.sequence(alice);
        vm.prank(vm.addr(ALICE));
        vm.expectRevert(abi.encodeWithSelector(IMargin.Unsettled.selector, ETH, _expiries(ETH)[0]));
        desk.withdraw(alice, USDC, 1, vm.addr(ALICE), sequence);
    }

    function test_a_withdrawal_after_settlement_counts_as_a_payout() public {
        _deal(ALICE, BOB, _call(), 2e18, 200e18);
        _settleFirstExpiry(3_150e18);
        arrays.setSlashable(0);
        uint64 sequence = desk.sequence(alice);
        vm.startPrank(vm.addr(ALICE));
        vm.expectRevert(abi.encodeWithSelector(IMarginVenue.PayoutCapReached.selector, SCALE, 0));
        desk.withdraw(alice, USDC, 1, vm.addr(ALICE), sequence);
        desk.touch(alice);
        _skip(600);
        vm.expectRevert(abi.encodeWithSelector(IMarginVenue.PayoutCapReached.selector, SCALE, 0));
        desk.withdraw(alice, USDC, 1, vm.addr(ALICE), sequence);
        _skip(1);
        desk.withdraw(alice, USDC, 1, vm.addr(ALICE), sequence);
        vm.stopPrank();
    }

    function testFuzz_settlement_is_a_transfer(uint256 size, uint256 price, uint256 index, bool call, bool long)
        public
    {
        uint128 id = _option(ETH, 0, bound(index, 0, 2), call);
        size = bound(size, 1e16, 1_000e18);
        price = bound(price, 2_000e18, 4_000e18);
        rule.setMark(id, 1e18);
        _deal(long ? ALICE : BOB, long ? BOB : ALICE, id, size, 1e18);
        int256 before = _cash(long ? alice : bob);
        _settleFirstExpiry(price);
        _assertClaimsCovered(_three());
        assertLe(before, _cash(long ? alice : bob)); // who bought never owes
    }
}
