// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Book, CollateralType} from "../../src/reference/Types.sol";
import {VenueRules} from "../../src/reference/VenueRules.sol";
import {IAuctions} from "../../src/reference/interfaces/IAuctions.sol";
import {IMarginVenue} from "../../src/reference/interfaces/IMarginVenue.sol";
import {IProducts} from "../../src/reference/interfaces/IProducts.sol";
import {MintableToken} from "../../src/demo/MintableToken.sol";
import {VenueBase} from "./VenueBase.sol";

/// What auctions move, and what owner and guardian may set.
contract VenueTest is VenueBase {
    uint128 private perp;
    uint256 private alice;
    uint256 private bob;
    uint256 private carol;

    function setUp() public override {
        super.setUp();
        perp = _perpetual(ETH);
        (alice, bob, carol) = (_account(ALICE), _account(BOB), _account(CAROL));
        rule.setRates(0, 0);
        desk.setLimits(VenueRules.Limits(2_000, 100, 10e18));
        _put(alice, USDC, 1_000e6);
        _put(bob, USDC, 100_000e6);
        _put(carol, USDC, 50_000e6);
    }

    // ---- seize ----

    function test_a_quarter_of_everything_moves_for_the_payment() public {
        _put(alice, WETH, 8e18);
        _put(alice, WBTC, 4e8);
        _deal(ALICE, BOB, perp, 4e18, ETH_PRICE);
        _deal(BOB, ALICE, _call(), 8e18, 200e18);
        int256 cash = 1_000e18 - 12_000e18 + 1_600e18;
        hall.seize(desk, alice, carol, 0.25e18, 5_000e18, 0, 0);
        assertEq(_cash(alice), cash - cash / 4 + 5_000e18);
        assertEq(_cash(carol), 50_000e18 + cash / 4 - 5_000e18);
        assertEq(_size(alice, perp), 3e18);
        assertEq(_size(carol, perp), 1e18);
        assertEq(_size(alice, _call()), -6e18);
        assertEq(_size(carol, _call()), -2e18);
        assertEq(_collateral(alice, 0), 6e18);
        assertEq(_collateral(carol, 0), 2e18);
        assertEq(_collateral(carol, 1), 1e8);
        _assertClaimsCovered(_three());
    }

    function test_the_whole_account_leaves_nothing_behind() public {
        _put(alice, WETH, 3);
        _deal(ALICE, BOB, perp, 4e18 + 7, ETH_PRICE);
        _deal(CAROL, ALICE, _call(), 3e18, 200e18);
        hall.seize(desk, alice, carol, 1e18, 0, 0, 0);
        (Book memory b,) = desk.recorded(alice);
        assertEq(b.cash, 0);
        assertEq(b.legs.length, 0);
        assertEq(b.collateral.length, 0);
        assertEq(_size(carol, _call()), 0); // long met short
        (b,) = desk.recorded(carol);
        assertEq(b.legs.length, 1);
        _assertClaimsCovered(_three());
    }

    function test_a_deficit_is_the_funds_then_everybodys() public {
        _put(1, USDC, 30e6);
        hall.seize(desk, alice, carol, 0, -100e18, 30e18, 50e18);
        assertEq(_cash(carol), 50_100e18);
        assertEq(_cash(alice), 980e18);
        assertEq(desk.fund(), 0);
        assertEq(desk.badDebt(), 50e18);
        _assertClaimsCovered(_three());
        vm.expectRevert(abi.encodeWithSelector(IMarginVenue.Illiquid.selector, 1, 0));
        hall.seize(desk, alice, carol, 0, -1, 1, 0);
    }

    function test_a_take_raises_both_sequences_and_ends_idleness() public {
        _skip(10_000);
        (uint64 a, uint64 c) = (desk.sequence(alice), desk.sequence(carol));
        hall.seize(desk, alice, carol, 0.5e18, 0, 0, 0);
        assertEq(desk.sequence(alice), a + 1);
        assertEq(desk.sequence(carol), c + 1);
        arrays.setSlashable(0);
        vm.prank(vm.addr(CAROL));
        vm.expectRevert(abi.encodeWithSelector(IMarginVenue.PayoutCapReached.selector, SCALE, 0));
        desk.withdraw(carol, USDC, 1, vm.addr(CAROL), c + 1);
    }

    function test_a_taker_stays_within_the_limits_of_an_account() public {
        uint64[] memory strikes = new uint64[](65);
        for (uint256 i; i < 65; ++i) {
            strikes[i] = uint64((5_000 + 10 * i) * 1e8);
        }
        _list(ETH, _expiries(ETH)[2], strikes);
        _put(_account(DAVE), USDC, 1);
        for (uint256 i; i < 65; ++i) {
            _deal(ALICE, BOB, _option(ETH, 2, 3 + i, true), 1e18, 0);
            if (i < 64) _deal(CAROL, DAVE, _option(ETH, 2, 3 + i, false), 1e18, 0);
        }
        vm.expectRevert(abi.encodeWithSelector(IMarginVenue.TooManyLegs.selector, carol, 129, 128));
        hall.seize(desk, alice, carol, 0.5e18, 0, 0, 0);
        _deal(BOB, ALICE, _option(ETH, 2, 3, true), 1e18, 0);
        hall.seize(desk, alice, carol, 0.5e18, 0, 0, 0);
        (Book memory b,) = desk.recorded(carol);
        assertEq(b.legs.length, 128);
    }

    /// Whatever both hold, each instrument moves by its own fraction: legs meet, end, open and change places.
    function testFuzz_seize_moves_each_leg_by_its_fraction(uint256 seed, uint256 fraction) public {
        fraction = seed % 4 == 0 ? 1e18 : seed % 4 == 1 ? 0.5e18 : bound(fraction, 0, 1e18);
        uint256 dave = _account(DAVE);
        rule.setMark(_call(), 0);
        _put(dave, USDC, 1e6);
        for (uint256 i; i < 18; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            uint128 id = _option(ETH, i / 6, i / 2 % 3, i % 2 == 0);
            uint256 size = bound(seed >> 8, 1, 4) * 1e18 + seed % 2;
            if (seed >> 16 & 1 == 0) _deal(ALICE, DAVE, id, size, 0);
            if (seed >> 17 & 1 == 0) _deal(DAVE, CAROL, id, (seed >> 18 & 1 == 0 ? size : 2e18) / 2, 0);
            if (seed >> 19 & 3 == 0) _deal(CAROL, DAVE, id, 3e18, 0);
        }
        int256[18] memory hers;
        int256[18] memory his;
        for (uint256 i; i < 18; ++i) {
            uint128 id = _option(ETH, i / 6, i / 2 % 3, i % 2 == 0);
            (hers[i], his[i]) = (_size(alice, id), _size(carol, id));
        }
        hall.seize(desk, alice, carol, fraction, 0, 0, 0);
        uint256 legs;
        for (uint256 i; i < 18; ++i) {
            uint128 id = _option(ETH, i / 6, i / 2 % 3, i % 2 == 0);
            int256 part = hers[i] * int256(fraction) / 1e18;
            assertEq(_size(alice, id), hers[i] - part);
            assertEq(_size(carol, id), his[i] + part);
            if (his[i] + part != 0) ++legs;
        }
        (Book memory b,) = desk.recorded(carol);
        assertEq(b.legs.length, legs);
    }

    /// The dearest account there may be, taken by one of the same size: together with its margin checks a take must
    /// stay within 10M gas.
    function test_gas_of_taking_half_of_128_legs_and_8_collaterals() public {
        desk.setLimits(VenueRules.Limits(500, 25, 0));
        uint64[] memory strikes = new uint64[](64);
        for (uint256 i; i < 64; ++i) {
            strikes[i] = uint64((5_000 + 10 * i) * 1e8);
        }
        _list(ETH, _expiries(ETH)[2], strikes);
        _put(_account(DAVE), USDC, 1);
        for (uint256 i; i < 128; ++i) {
            uint128 id = _option(ETH, 2, 3 + i / 2, i % 2 == 0);
            _deal(ALICE, BOB, id, 1e18, 0);
            // The taker has the opposite of the last 64, in the other order: searches, endings and openings.
            _deal(DAVE, CAROL, _option(ETH, 2, 3 + (127 - i) / 2, i % 2 == 1), 0.5e18, 0);
        }
        for (uint256 i; i < 8; ++i) {
            if (i > 2) {
                MintableToken token = new MintableToken("T", "T", 18);
                products.addCollateral(CollateralType(address(token), 18, ETH, 1_000, 1e18));
                _putToken(alice, i + 1, token, 2);
            } else {
                _put(alice, i + 1, 2);
            }
        }
        vm.cool(address(desk));
        hall.seize(desk, alice, carol, 0.5e18, 0, 0, 0);
        assertLe(vm.snapshotGasLastCall("MarginVenue", "seize half, 128 legs, 8 collaterals"), 4_000_000);
        (Book memory b,) = desk.recorded(carol);
        assertEq(b.legs.length, 0);
        assertEq(b.collateral.length, 8);
        vm.cool(address(desk));
        hall.seize(desk, alice, carol, 0.5e18, 0, 0, 0);
        assertLe(vm.snapshotGasLastCall("MarginVenue", "seize half, 128 new legs"), 5_500_000);
    }

    function testFuzz_seize_moves_and_creates_nothing(
        uint256 fraction,
        int256 payment,
        uint256 size,
        uint256 weth_,
        bool buys
    ) public {
        fraction = bound(fraction, 0, 1e18);
        payment = int256(bound(uint256(payment), 0, 20_000e18)) - 10_000e18;
        size = bound(size, 1e16, 30e18);
        _put(alice, WETH, bound(weth_, 1, 1_000e18));
        weth_ = _collateral(alice, 0);
        _deal(buys ? ALICE : BOB, buys ? BOB : ALICE, perp, size, ETH_PRICE);
        _deal(buys ? CAROL : BOB, buys ? BOB : CAROL, perp, size, ETH_PRICE);
        int256 signed = buys ? int256(size) : -int256(size);
        hall.seize(desk, alice, carol, fraction, payment, 0, 0);
        assertEq(_size(alice, perp) + _size(carol, perp), 2 * signed);
        assertEq(_collateral(alice, 0) + _collateral(carol, 0), weth_);
        // Never more than the fraction, and less by under one unit.
        uint256 moved = uint256(buys ? _size(carol, perp) - signed : signed - _size(carol, perp));
        assertLe(moved * 1e18, size * fraction);
        assertLe(size * fraction, (moved + 1) * 1e18);
        _assertClaimsCovered(_three());
    }

    // ---- who may ----

    function testFuzz_only_the_auctions_seize(address caller) public {
        vm.assume(caller != address(hall));
        vm.prank(caller);
        vm.expectRevert(
            abi.encodeWithSelector(IMarginVenue.NotAuthorised.selector, 0, caller, IMarginVenue.seize.selector)
        );
        desk.seize(alice, bob, 1, 0, 0, 0);
    }

    function testFuzz_only_the_owner_sets(address caller) public {
        vm.assume(caller != address(this) && caller != desk.guardian());
        bytes memory why = abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, caller);
        vm.startPrank(caller);
        vm.expectRevert(why);
        desk.setGuardian(caller);
        vm.expectRevert(why);
        desk.setSwapper(caller, true);
        vm.expectRevert(
            abi.encodeWithSelector(IMarginVenue.NotAuthorised.selector, 0, caller, VenueRules.setLimits.selector)
        );
        desk.setLimits(VenueRules.Limits(0, 0, 0));
        vm.expectRevert(why);
        desk.wireAuctions(IAuctions(caller));
        vm.expectRevert(
            abi.encodeWithSelector(IMarginVenue.NotAuthorised.selector, 0, caller, VenueRules.setPaused.selector)
        );
        desk.setPaused(true, true);
        vm.stopPrank();
    }

    function test_the_guardian_pauses_and_sets_nothing_else() public {
        address guardian = address(0x60a2d);
        desk.setGuardian(guardian);
        vm.prank(guardian);
        desk.setPaused(true, true);
        assertTrue(desk.openingPaused() && desk.withdrawalsPaused(), "paused");
        desk.setPaused(false, false); // the owner may lift it
        assertTrue(!desk.openingPaused() && !desk.withdrawalsPaused(), "lifted");
    }

    function test_takes_touches_and_closing_go_on_whatever_is_paused() public {
        _deal(ALICE, BOB, perp, 1e18, ETH_PRICE);
        desk.setPaused(true, true);
        hall.seize(desk, alice, carol, 0.5e18, 0, 0, 0);
        desk.touch(alice);
        _deal(BOB, ALICE, perp, 0.5e18, ETH_PRICE);
        _put(alice, USDC, 1);
    }

    function test_auctions_are_wired_once() public {
        vm.expectRevert(abi.encodeWithSelector(VenueRules.AlreadyWired.selector, address(hall)));
        desk.wireAuctions(IAuctions(address(1)));
    }

    function testFuzz_limits_stay_within_their_bounds(uint16 band, uint16 floorBand, uint128 least) public {
        bool allowed = band <= 2_000 && floorBand <= 100 && least <= 10_000e18;
        if (!allowed) vm.expectPartialRevert(IProducts.ParameterOutOfRange.selector);
        desk.setLimits(VenueRules.Limits(band, floorBand, least));
    }

    function test_limits_at_their_bounds() public {
        desk.setLimits(VenueRules.Limits(2_000, 100, 10_000e18));
        vm.expectPartialRevert(IProducts.ParameterOutOfRange.selector);
        desk.setLimits(VenueRules.Limits(2_001, 100, 10_000e18));
        vm.expectPartialRevert(IProducts.ParameterOutOfRange.selector);
        desk.setLimits(VenueRules.Limits(2_000, 101, 10_000e18));
        vm.expectPartialRevert(IProducts.ParameterOutOfRange.selector);
        desk.setLimits(VenueRules.Limits(2_000, 100, 10_000e18 + 1));
    }
}
