// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IQuorum} from "../../src/keeper/interfaces/IQuorum.sol";
import {ISurfaceRelay} from "../../src/keeper/interfaces/ISurfaceRelay.sol";
import {IPrices} from "../../src/reference/interfaces/IPrices.sol";
import {Observation, Slice} from "../../src/reference/Types.sol";
import {RelayBase} from "./RelayBase.sol";

/// @notice What a quorum may not say alone.
contract RelayJumpsTest is RelayBase {
    uint256 private constant ALL = 31;
    uint256 private constant THREE = 7;

    // ---- jumps of a price ----

    function test_the_first_report_and_those_without_a_limit_need_a_jump_quorum() public {
        Observation memory seen = _seen(ETH, PRICE);
        _missed(seen);
        _relay(seen, ALL);
        relay.setPriceLimit(ETH, 0, 0);
        _skip(1);
        _missed(_seen(ETH, PRICE));
    }

    function test_confidence_beyond_the_limit_is_a_jump() public {
        _relay(_seen(ETH, PRICE), ALL);
        _skip(1);
        Observation memory seen = _seen(ETH, PRICE);
        seen.confidence = uint128(PRICE / 50 + 1);
        _missed(seen);
        seen.confidence = uint128(PRICE / 50);
        _relay(seen, THREE);
    }

    /// A third of the window at 3,000, then a false average with a true price.
    function test_a_false_average_is_a_jump_though_the_price_is_true() public {
        vm.warp(EXPIRY - 20 minutes);
        _relay(_seen(ETH, PRICE), ALL);
        vm.warp(EXPIRY - 10 minutes);
        Observation memory seen = _seen(ETH, PRICE);
        assertEq(seen.fixedAverage, PRICE);
        seen.fixedAverage = uint128(PRICE * 101 / 100 + 1e4); // 2 % over the new half of it, and a little
        _missed(seen);
        seen.fixedAverage = uint128(PRICE * 101 / 100 - 1e4);
        _relay(seen, THREE);
    }

    /// Whatever a quorum alone says in the T seconds after an honest report, it moves the price by at most
    /// 3 + ⌊T ÷ period⌋ limits: the first two from one end of the band to the other, whose share is of the middle.
    function testFuzz_a_quorum_alone_moves_a_price_slowly(
        uint256[16] memory seeds,
        uint256 wait,
        uint256 share,
        bool up
    ) public {
        _relay(_seen(ETH, PRICE), ALL);
        _skip(bound(wait, 1, 2 * PERIOD));
        uint256 honest = PRICE * _bend(share, 9_800, 10_200) / 10_000;
        _relay(_seen(ETH, honest), THREE);
        (uint256 last, uint256 begun) = (honest, block.timestamp);
        for (uint256 i; i < 16; ++i) {
            _skip(_bend(seeds[i], 1, 120));
            uint256 edge = _edge(last, up);
            Observation memory seen = _seen(ETH, seeds[i] % 8 == 0 ? bound(seeds[i] >> 8, last / 2, 2 * last) : edge);
            if (relay.isJump(seen)) {
                _missed(seen);
            } else {
                _relay(seen, THREE);
                last = seen.price;
            }
        }
        (uint256 most, uint256 least) = (honest * 10_200 / 9_800 + 1, honest * 9_800 / 10_200);
        for (uint256 i; i <= (block.timestamp - begun) / PERIOD; ++i) {
            (most, least) = (most * 10_200 / 10_000 + 1, least * 9_800 / 10_000);
        }
        assertLe(last, most);
        assertLe(least, last);
    }

    /// An honest report at the lower end, the last before the anchor's period is over, then the upper end, then the next
    /// anchor's: three limits in two seconds, and no more.
    function test_three_limits_around_the_end_of_a_period_are_the_most() public {
        _relay(_seen(ETH, PRICE), ALL);
        vm.warp(START + PERIOD - 2);
        _relay(_seen(ETH, PRICE * 98 / 100), THREE);
        vm.warp(START + PERIOD - 1);
        _relay(_seen(ETH, PRICE * 102 / 100), THREE);
        vm.warp(START + PERIOD);
        uint256 third = PRICE * 102 / 100 * 102 / 100;
        _missed(_seen(ETH, third + 1));
        _relay(_seen(ETH, third), THREE);
        vm.warp(START + 2 * PERIOD - 1);
        _missed(_seen(ETH, third + 1));
    }

    /// @dev As far as a quorum alone may go now.
    function _edge(uint256 last, bool up) private view returns (uint256) {
        (uint256 from, uint40 since) = relay.anchor(ETH);
        if (block.timestamp >= since + PERIOD) from = last;
        return up ? from * 10_200 / 10_000 : (from * 9_800 + 9_999) / 10_000;
    }

    /// @dev bound, with both ends often.
    function _bend(uint256 seed, uint256 low, uint256 high) private pure returns (uint256) {
        return seed % 4 == 0 ? low : seed % 4 == 1 ? high : bound(seed, low, high);
    }

    function test_a_jump_quorum_moves_the_anchor_and_a_period_does() public {
        _relay(_seen(ETH, PRICE), ALL);
        _skip(1);
        _relay(_seen(ETH, 2 * PRICE), 15);
        (uint128 price, uint40 since) = relay.anchor(ETH);
        assertEq(price, 2 * PRICE);
        assertEq(since, START + 1);
        _skip(1);
        _relay(_seen(ETH, 2 * PRICE * 102 / 100), THREE);
        _skip(1);
        _missed(_seen(ETH, 2 * PRICE * 102 / 100 + 1));
        vm.warp(START + 1 + PERIOD);
        _relay(_seen(ETH, 2 * PRICE * 103 / 100), THREE);
        (price, since) = relay.anchor(ETH);
        assertEq(price, 2 * PRICE * 102 / 100);
        assertEq(since, START + 1 + PERIOD);
    }

    function testFuzz_price_limits_within_their_bounds(uint16 most, uint40 period) public {
        if (period % 2 == 0) period %= period % 4 == 0 ? 2 days : uint40(2 * MAX_AGE);
        bool good = most <= 5_000 && period <= 1 days && (most == 0 || period >= MAX_AGE);
        if (!good) vm.expectPartialRevert(IPrices.OutOfRange.selector);
        relay.setPriceLimit(ETH, most, period);
        (uint16 held, uint40 heldFor) = relay.priceLimits(ETH);
        assertEq(held, good ? most : MOST);
        assertEq(heldFor, good ? period : PERIOD);
    }

    function _missed(Observation memory seen) private {
        bytes[] memory signatures = _signatures(relay.digest(seen), THREE);
        vm.expectRevert(abi.encodeWithSelector(IQuorum.QuorumMissed.selector, 3, 4));
        relay.relay(seen, signatures);
    }

    // ---- jumps of a slice ----

    function testFuzz_surface_limits_within_their_bounds(uint16 volatility, uint16 carry, uint40 period) public {
        if (period % 2 == 0) period %= period % 4 == 0 ? 2 days : uint40(2 * MAX_AGE);
        (volatility, carry) = (volatility % 8_000, carry % 8_000);
        if (period % 3 == 0) (volatility, carry) = (0, 0);
        bool good = volatility <= 5_000 && carry <= 5_000 && period <= 1 days;
        if (volatility > 0 || carry > 0) good = good && period >= MAX_AGE;
        if (!good) vm.expectPartialRevert(IPrices.OutOfRange.selector);
        surface.setSurfaceLimit(ETH, ISurfaceRelay.SurfaceLimit(volatility, carry, period));
        (uint16 held, uint16 heldCarry, uint40 heldFor) = surface.surfaceLimits(ETH);
        assertEq(held, good ? volatility : 1_000);
        assertEq(heldCarry, good ? carry : 100);
        assertEq(heldFor, good ? period : PERIOD);
    }

    /// Volatility and carry against the anchor: a flat smile of 50 %, so √a is volatility at every point.
    function testFuzz_slice_jumps_at_its_limits(uint256 vol, uint256 carry) public {
        Slice memory fitted = _flat(0.5e9);
        _relay(fitted, ALL);
        _skip(1);
        vol = bound(vol, 0.3e9, 0.7e9);
        fitted = _flat(vol);
        carry = bound(carry, 9_700, 10_300);
        fitted.forward = uint128(PRICE * carry / 10_000);
        bool jump = vol > 0.55e9 || vol < 0.45e9 || carry > 10_100 || carry < 9_900;
        assertTrue(surface.isJump(fitted) == jump, "beyond a tenth of volatility or 1 % of carry");
        bytes[] memory signatures = _signatures(surface.digest(fitted), THREE);
        if (jump) vm.expectRevert(abi.encodeWithSelector(IQuorum.QuorumMissed.selector, 3, 4));
        surface.relay(fitted, signatures);
    }

    /// The at-the-money level stays; the wing alone moves.
    function test_a_wing_alone_is_a_jump() public {
        Slice memory fitted = _flat(0.5e9);
        _relay(fitted, ALL);
        _skip(1);
        fitted = _flat(0.5e9);
        (fitted.b, fitted.s) = (0.5e18, 1);
        assertTrue(surface.isJump(fitted), "wing");
        fitted.b = 0.01e18;
        assertTrue(!surface.isJump(fitted), "hardly");
    }

    /// A smile that is flat but beyond 1.35 times the forward, or below 0.74 of it: only the outermost strike sees it.
    function test_each_end_of_a_smile_alone_is_a_jump() public {
        _relay(_flat(0.5e9), ALL);
        _skip(1);
        for (int128 side = -1; side <= 1; side += 2) {
            Slice memory fitted = _flat(0.5e9);
            (fitted.rho, fitted.m, fitted.s) = (side * 0.999999e18, side * 0.3e18, 1);
            fitted.b = 0.06e18;
            assertTrue(!surface.isJump(fitted), "a little less");
            fitted.b = 0.07e18;
            assertTrue(surface.isJump(fitted), "end");
        }
    }

    /// Forward and spot by the same share, so carry stays, and each volatility too at its share of the forward: but an
    /// option's strike is a number, and there the smile is another.
    function test_a_smile_moved_along_its_strikes_is_a_jump() public {
        Slice memory fitted = _fitted(0.05e18);
        _relay(fitted, ALL);
        _skip(1);
        _shift(fitted, 102);
        assertTrue(!surface.isJump(fitted), "as spot moves in minutes");
        _shift(fitted, 130);
        assertTrue(surface.isJump(fitted), "a third further");
        _relay(fitted, ALL);
    }

    /// Where the smile is flat the strikes do not matter; the forward may move by half, and no further however far.
    function testFuzz_a_forward_that_moved_by_more_than_half_is_a_jump(uint256 forward) public {
        _relay(_flat(0.5e9), ALL);
        _skip(1);
        forward = bound(forward, 1, 5e24 - 1);
        if (forward % 4 != 0) forward = PRICE * (4_000 + forward % 12_000) / 10_000;
        Slice memory fitted = _flat(0.5e9);
        (fitted.forward, fitted.spot) = (uint128(forward + 1), uint128(forward + 1));
        assertTrue(surface.isJump(fitted) == (forward + 1 > PRICE * 3 / 2 || forward + 1 < PRICE / 2), "by half");
        _relay(fitted, ALL);
    }

    function _shift(Slice memory fitted, uint256 percent) private view {
        (fitted.spot, fitted.timestamp) = (uint128(PRICE * percent / 100), uint40(block.timestamp));
        fitted.forward = fitted.spot * 1_005 / 1_000;
    }

    function test_a_jump_quorum_moves_the_anchor_of_slices_and_a_period_does() public {
        bytes32 first = _relay(_flat(0.5e9), ALL);
        _skip(1);
        bytes32 second = _relay(_flat(0.54e9), THREE);
        (bytes32 from, uint40 since) = surface.anchor(ETH, EXPIRY);
        assertEq(from, first);
        _skip(1);
        assertTrue(surface.isJump(_flat(0.56e9)), "against the first");
        vm.warp(START + PERIOD);
        _relay(_flat(0.56e9), THREE);
        (from, since) = surface.anchor(ETH, EXPIRY);
        assertEq(from, second);
        assertEq(since, START + PERIOD);
        _skip(1);
        bytes32 wide = _relay(_flat(0.9e9), 15);
        (from,) = surface.anchor(ETH, EXPIRY);
        assertEq(from, wide);
    }

    function _flat(uint256 vol) private view returns (Slice memory fitted) {
        fitted = _fitted(int128(int256(vol * vol)));
        (fitted.b, fitted.rho, fitted.m, fitted.forward) = (0, 0, 0, uint128(PRICE));
    }
}
