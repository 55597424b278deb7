// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IProducts} from "../../src/reference/interfaces/IProducts.sol";
import {IMargin} from "../../src/reference/interfaces/IMargin.sol";
import {IMarginVenue} from "../../src/reference/interfaces/IMarginVenue.sol";
import {VenueBase} from "./VenueBase.sol";
import {ContractOwner} from "./VenueStubs.sol";

/// IM 100 USD a contract, MM 50 (stub): with 1,000 USD ten contracts may be opened at the mark, not a wei more.
contract OrdersTest is VenueBase {
    uint128 private perp;

    function setUp() public override {
        super.setUp();
        perp = _perpetual(ETH);
        _put(_account(ALICE), USDC, 1_000e6);
        _put(_account(BOB), USDC, 1_000_000e6);
    }

    function test_equity_equal_to_initial_margin_is_enough() public {
        _deal(ALICE, BOB, perp, 10e18, ETH_PRICE);
        assertEq(_size(_account(ALICE), perp), 10e18);
        assertEq(_size(_account(BOB), perp), -10e18);
        assertEq(_cash(_account(ALICE)), 1_000e18 - 30_000e18);
        assertEq(_cash(_account(BOB)), 1_000_000e18 + 30_000e18);
    }

    function test_one_wei_below_initial_margin_is_not() public {
        rule.setRates(100e18, 100e18 + 1);
        bytes memory why = abi.encodeWithSelector(
            IMarginVenue.BelowInitialMargin.selector, _account(ALICE), int256(1_000e18), 1_000e18 + 10
        );
        _tradeReverts(ALICE, BOB, perp, 10e18, ETH_PRICE, why);
        rule.setRates(100e18 + 1, 100e18);
        _tradeReverts(ALICE, BOB, perp, 10e18, ETH_PRICE, why);
        _tradeReverts(BOB, ALICE, perp, 10e18, ETH_PRICE, why);
    }

    function test_risk_is_not_added_on_stale_arrays() public {
        bytes memory why = abi.encodeWithSelector(IMargin.StaleEpoch.selector, 0, 2, 1);
        rule.setStale(true, false);
        _tradeReverts(ALICE, BOB, perp, 1e18, ETH_PRICE, why);
        rule.setStale(false, true);
        _tradeReverts(ALICE, BOB, perp, 1e18, ETH_PRICE, why);
    }

    // ---- closing below IM ----

    function _sinkAlice() private {
        _deal(ALICE, BOB, perp, 10e18, ETH_PRICE);
        rule.setRates(200e18, 200e18); // her IM is 2,000 now, MM 1,000
    }

    function test_below_initial_margin_closing_is_allowed_and_opening_is_not() public {
        _sinkAlice();
        _deal(BOB, ALICE, perp, 1e18, ETH_PRICE);
        assertEq(_size(_account(ALICE), perp), 9e18);
        bytes memory why = abi.encodeWithSelector(
            IMarginVenue.BelowInitialMargin.selector, _account(ALICE), int256(1_000e18), 2_000e18
        );
        _tradeReverts(ALICE, BOB, perp, 1e18, ETH_PRICE, why);
    }

    function test_closing_may_keep_excess_over_maintenance_but_not_lower_it() public {
        _sinkAlice();
        // One contract less frees 100 of MM: selling it 100 below the mark leaves excess where it was.
        bytes memory why =
            abi.encodeWithSelector(IMarginVenue.ExcessFell.selector, _account(ALICE), int256(0), -int256(1));
        _tradeReverts(BOB, ALICE, perp, 1e18, ETH_PRICE - 100e18 - 1, why);
        _deal(BOB, ALICE, perp, 1e18, ETH_PRICE - 100e18);
        assertEq(_size(_account(ALICE), perp), 9e18);
    }

    function test_turning_a_position_over_is_not_closing() public {
        _sinkAlice();
        bytes memory why = abi.encodeWithSelector(
            IMarginVenue.BelowInitialMargin.selector, _account(ALICE), int256(1_000e18), 2_000e18 + 200
        );
        _tradeReverts(BOB, ALICE, perp, 20e18 + 1, ETH_PRICE, why);
        _deal(BOB, ALICE, perp, 10e18, ETH_PRICE); // to zero is
        assertEq(_size(_account(ALICE), perp), 0);
    }

    function test_closing_works_on_stale_arrays_for_shorts_too() public {
        _deal(BOB, ALICE, perp, 10e18, ETH_PRICE);
        _put(_account(CAROL), USDC, 1_000_000e6);
        _deal(CAROL, BOB, perp, 20e18, ETH_PRICE); // Bob is short as well now, Carol long
        rule.setStale(true, true);
        _deal(ALICE, CAROL, perp, 4e18, ETH_PRICE);
        assertEq(_size(_account(ALICE), perp), -6e18);
        bytes memory why =
            abi.encodeWithSelector(IMarginVenue.ExcessFell.selector, _account(CAROL), int256(999_200e18), 999_149e18);
        _tradeReverts(ALICE, CAROL, perp, 1e18, ETH_PRICE - 101e18, why);
    }

    function testFuzz_an_account_below_initial_margin_never_loses_excess(uint256 size, uint256 price, bool buys)
        public
    {
        _sinkAlice();
        size = bound(size, 1e15, 15e18);
        price = bound(price, ETH_PRICE * 95 / 100, ETH_PRICE * 105 / 100);
        int256 before = _excess(ALICE);
        try this.trade(buys ? ALICE : BOB, buys ? BOB : ALICE, size, price) {
            int256 left = _size(_account(ALICE), perp);
            if (_equity(ALICE) >= 200 * (left < 0 ? -left : left)) return; // at IM or above anything goes
            assertTrue(left >= 0 && left < 10e18, "below IM the position only shrinks");
            assertLe(before, _excess(ALICE));
        } catch {
            assertEq(_excess(ALICE), before);
        }
    }

    function trade(uint256 buyer, uint256 seller, uint256 size, uint256 price) external {
        _deal(buyer, seller, perp, size, price);
    }

    function _equity(uint256 key) private view returns (int256) {
        return _cash(_account(key)) + 3_000 * _size(_account(key), perp);
    }

    function _excess(uint256 key) private view returns (int256) {
        int256 size = _size(_account(key), perp);
        return _equity(key) - 100 * (size < 0 ? -size : size);
    }

    // ---- pause and auction ----

    function test_the_pause_stops_opening_never_closing() public {
        _deal(ALICE, BOB, perp, 5e18, ETH_PRICE);
        desk.setPaused(true, false);
        _tradeReverts(
            ALICE,
            BOB,
            perp,
            1e18,
            ETH_PRICE,
            abi.encodeWithSelector(IMarginVenue.PausedBy.selector, bytes32("opening"))
        );
        _deal(BOB, ALICE, perp, 5e18, ETH_PRICE);
    }

    function test_in_auction_only_reducing() public {
        _deal(ALICE, BOB, perp, 5e18, ETH_PRICE);
        hall.setAuction(_account(ALICE), 7);
        _tradeReverts(
            ALICE, BOB, perp, 1e18, ETH_PRICE, abi.encodeWithSelector(IMarginVenue.InAuction.selector, _account(ALICE))
        );
        _deal(BOB, ALICE, perp, 1e18, ETH_PRICE);
        _put(_account(ALICE), USDC, 1);
    }

    // ---- band ----

    function test_the_band_includes_its_edges() public {
        _put(_account(ALICE), USDC, 100_000e6);
        _deal(ALICE, BOB, perp, 1e18, 3_150e18);
        _deal(ALICE, BOB, perp, 1e18, 2_850e18);
        bytes4 outside = IMarginVenue.PriceOutsideBand.selector;
        _tradeReverts(
            ALICE, BOB, perp, 1e18, 3_150e18 + 1, abi.encodeWithSelector(outside, 3_150e18 + 1, 2_850e18, 3_150e18)
        );
        _tradeReverts(
            ALICE, BOB, perp, 1e18, 2_850e18 - 1, abi.encodeWithSelector(outside, 2_850e18 - 1, 2_850e18, 3_150e18)
        );
    }

    function test_a_worthless_option_trades_within_a_share_of_spot() public {
        _put(_account(ALICE), USDC, 100_000e6);
        rule.setMark(_call(), 1e16);
        _deal(ALICE, BOB, _call(), 1e18, 0);
        _deal(ALICE, BOB, _call(), 1e18, 7.51e18); // 0.01 + 25 BPS of 3,000
        _tradeReverts(
            ALICE,
            BOB,
            _call(),
            1e18,
            7.51e18 + 1,
            abi.encodeWithSelector(IMarginVenue.PriceOutsideBand.selector, 7.51e18 + 1, 0, 7.51e18)
        );
    }

    // ---- the order ----

    function test_a_deadline_now_is_in_time() public {
        IMarginVenue.Order memory buy = _order(ALICE, perp, 2e18, ETH_PRICE);
        IMarginVenue.Order memory sell = _order(BOB, perp, -2e18, ETH_PRICE);
        buy.deadline = uint40(block.timestamp);
        (bytes memory a, bytes memory b) = (_sign(ALICE, buy), _sign(BOB, sell));
        desk.matchOrders(buy, a, sell, b, 1e18, ETH_PRICE);
        vm.warp(block.timestamp + 1);
        vm.expectRevert(abi.encodeWithSelector(IMarginVenue.DeadlinePassed.selector, buy.deadline));
        desk.matchOrders(buy, a, sell, b, 1e18, ETH_PRICE);
    }

    function testFuzz_partial_fills_never_pass_the_size(uint256 first, uint256 second) public {
        first = bound(first, 4e15, 5e18);
        second = bound(second, 4e15, 5e18);
        IMarginVenue.Order memory buy = _order(ALICE, perp, 5e18, ETH_PRICE);
        IMarginVenue.Order memory sell = _order(BOB, perp, -10e18, ETH_PRICE);
        (bytes memory a, bytes memory b) = (_sign(ALICE, buy), _sign(BOB, sell));
        desk.matchOrders(buy, a, sell, b, first, ETH_PRICE);
        if (first + second > 5e18) {
            vm.expectRevert(
                abi.encodeWithSelector(IMarginVenue.OrderRefused.selector, desk.orderHash(buy), bytes32("filled"))
            );
            desk.matchOrders(buy, a, sell, b, second, ETH_PRICE);
            second = 0;
        } else {
            desk.matchOrders(buy, a, sell, b, second, ETH_PRICE);
        }
        assertEq(desk.filled(desk.orderHash(buy)), first + second);
        assertEq(_size(_account(ALICE), perp), int256(first + second));
    }

    function test_cancelled_orders_and_old_nonces_are_dead() public {
        IMarginVenue.Order memory buy = _order(ALICE, perp, 2e18, ETH_PRICE);
        IMarginVenue.Order memory sell = _order(BOB, perp, -2e18, ETH_PRICE);
        (bytes memory a, bytes memory b) = (_sign(ALICE, buy), _sign(BOB, sell));
        bytes32 hash = desk.orderHash(buy);
        vm.expectRevert(
            abi.encodeWithSelector(
                IMarginVenue.NotAuthorised.selector, buy.account, address(this), IMarginVenue.cancel.selector
            )
        );
        desk.cancel(buy);
        vm.prank(vm.addr(ALICE));
        desk.cancel(buy);
        vm.expectRevert(abi.encodeWithSelector(IMarginVenue.OrderRefused.selector, hash, bytes32("filled")));
        desk.matchOrders(buy, a, sell, b, 1, ETH_PRICE);

        buy = _order(ALICE, perp, 2e18, ETH_PRICE);
        a = _sign(ALICE, buy);
        vm.prank(vm.addr(ALICE));
        desk.raiseNonceFloor(buy.account, buy.nonce); // its own nonce stays good
        desk.matchOrders(buy, a, sell, b, 1e18, ETH_PRICE);
        vm.prank(vm.addr(ALICE));
        desk.raiseNonceFloor(buy.account, buy.nonce + 1);
        hash = desk.orderHash(buy);
        vm.expectRevert(abi.encodeWithSelector(IMarginVenue.OrderRefused.selector, hash, bytes32("nonce")));
        desk.matchOrders(buy, a, sell, b, 1e18, ETH_PRICE);
    }

    function testFuzz_a_nonce_floor_only_rises(uint64 first, uint64 second) public {
        vm.assume(first > 0);
        vm.prank(vm.addr(ALICE));
        desk.raiseNonceFloor(_account(ALICE), first);
        vm.prank(vm.addr(ALICE));
        if (second <= first) {
            vm.expectRevert(abi.encodeWithSelector(IMarginVenue.OrderRefused.selector, bytes32(0), bytes32("floor")));
        }
        desk.raiseNonceFloor(_account(ALICE), second);
        assertEq(desk.nonceFloor(_account(ALICE)), second > first ? second : first);
    }

    function testFuzz_any_changed_field_voids_the_signature(uint256 field, uint256 seed) public {
        IMarginVenue.Order memory buy = _order(ALICE, perp, 2e18, ETH_PRICE);
        IMarginVenue.Order memory sell = _order(BOB, perp, -2e18, ETH_PRICE);
        (bytes memory a, bytes memory b) = (_sign(ALICE, buy), _sign(BOB, sell));
        field = bound(field, 0, 6);
        if (field == 0) buy.account = _account(CAROL);
        if (field == 1) buy.instrument = _perpetual(BTC);
        if (field == 2) buy.size += int128(uint128(bound(seed, 1, 1e24)));
        if (field == 3) buy.limitPrice += uint128(bound(seed, 1, 1e24));
        if (field == 4) buy.nonce += uint64(bound(seed, 1, 1e9));
        if (field == 5) buy.deadline += uint40(bound(seed, 1, 1e9));
        if (field == 6) buy.reduceOnly = true;
        bytes32 hash = desk.orderHash(buy);
        vm.expectRevert(abi.encodeWithSelector(IMarginVenue.BadSignature.selector, hash));
        desk.matchOrders(buy, a, sell, b, 1e18, ETH_PRICE);
    }

    function test_the_digest_is_that_of_eip_712() public {
        IMarginVenue.Order memory o = _order(ALICE, perp, -2e18, ETH_PRICE);
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Reference Margin Venue"),
                keccak256("1"),
                block.chainid,
                address(desk)
            )
        );
        bytes32 kind = keccak256(
            "Order(uint256 account,uint128 instrument,int128 size,uint128 limitPrice,uint64 nonce,uint40 deadline,bool reduceOnly)"
        );
        bytes32 body = keccak256(
            abi.encode(kind, o.account, o.instrument, o.size, o.limitPrice, o.nonce, o.deadline, o.reduceOnly)
        );
        assertEq(desk.orderHash(o), keccak256(abi.encodePacked(hex"1901", domain, body)));
    }

    function test_an_owner_that_is_a_contract_signs_by_its_own_rule() public {
        ContractOwner owner = new ContractOwner();
        uint256 account = uint256(uint160(address(owner))) << 96 | 5;
        _put(account, USDC, 1_000e6);
        IMarginVenue.Order memory buy = _order(ALICE, perp, 1e18, ETH_PRICE);
        buy.account = account;
        IMarginVenue.Order memory sell = _order(BOB, perp, -1e18, ETH_PRICE);
        bytes memory b = _sign(BOB, sell);
        bytes32 hash = desk.orderHash(buy);
        vm.expectRevert(abi.encodeWithSelector(IMarginVenue.BadSignature.selector, hash));
        desk.matchOrders(buy, "", sell, b, 1e18, ETH_PRICE);
        owner.approve(hash);
        desk.matchOrders(buy, "", sell, b, 1e18, ETH_PRICE);
        assertEq(_size(account, perp), 1e18);
    }

    function _refused(IMarginVenue.Order memory buy, IMarginVenue.Order memory sell, bool blamesBuy, bytes32 why)
        private
    {
        (bytes memory a, bytes memory b) = (_sign(ALICE, buy), _sign(BOB, sell));
        bytes32 hash = desk.orderHash(blamesBuy ? buy : sell);
        vm.expectRevert(abi.encodeWithSelector(IMarginVenue.OrderRefused.selector, hash, why));
        desk.matchOrders(buy, a, sell, b, 1e18, ETH_PRICE);
    }

    function test_orders_that_do_not_fit_are_refused() public {
        IMarginVenue.Order memory buy = _order(ALICE, perp, 1e18, ETH_PRICE);
        IMarginVenue.Order memory sell = _order(BOB, perp, -1e18, ETH_PRICE);
        _refused(_order(ALICE, perp, -1e18, ETH_PRICE), sell, true, "side");
        _refused(buy, _order(BOB, perp, 1e18, ETH_PRICE), false, "side");
        _refused(buy, _order(BOB, _perpetual(BTC), -1e18, ETH_PRICE), false, "instrument");
        _refused(_order(ALICE, perp, 1e18, ETH_PRICE - 1), sell, true, "limit");
        _refused(buy, _order(BOB, perp, -1e18, ETH_PRICE + 1), false, "limit");
        buy.reduceOnly = true;
        _refused(buy, sell, true, "reduceOnly");
        _deal(BOB, ALICE, perp, 1e18, ETH_PRICE);
        (bytes memory a, bytes memory b) = (_sign(ALICE, buy), _sign(BOB, sell));
        desk.matchOrders(buy, a, sell, b, 1e18, ETH_PRICE); // now it reduces
        assertEq(_size(_account(ALICE), perp), 0);
    }

    function test_no_trade_with_oneself_nor_of_nothing() public {
        IMarginVenue.Order memory buy = _order(BOB, perp, 1e18, ETH_PRICE);
        IMarginVenue.Order memory sell = _order(BOB, perp, -1e18, ETH_PRICE);
        (bytes memory a, bytes memory b) = (_sign(BOB, buy), _sign(BOB, sell));
        bytes32 hash = desk.orderHash(sell);
        vm.expectRevert(abi.encodeWithSelector(IMarginVenue.OrderRefused.selector, hash, bytes32("own account")));
        desk.matchOrders(buy, a, sell, b, 1e18, ETH_PRICE);
        vm.expectRevert(IMarginVenue.ZeroAmount.selector);
        desk.matchOrders(buy, a, sell, b, 0, ETH_PRICE);
    }

    function test_only_listed_and_living_instruments() public {
        uint128 unlisted = _perpetual(DAI);
        _tradeReverts(
            ALICE,
            BOB,
            unlisted,
            1e18,
            ETH_PRICE,
            abi.encodeWithSelector(IProducts.UnknownInstrument.selector, unlisted)
        );
        vm.warp(START + 1 days);
        IMarginVenue.Order memory buy = _order(ALICE, _call(), 1e18, ETH_PRICE);
        IMarginVenue.Order memory sell = _order(BOB, _call(), -1e18, 0);
        _refused(buy, sell, true, "expired");
    }

    // ---- limits ----

    function test_a_risk_adding_trade_leaves_at_least_the_least_notional() public {
        uint256 enough = 3333333333333334; // × 3,000 = 10 USD and a bit
        bytes memory why = abi.encodeWithSelector(
            IMarginVenue.PositionTooSmall.selector, _account(ALICE), perp, 9.999999999999999e18, 10e18
        );
        _tradeReverts(ALICE, BOB, perp, enough - 1, ETH_PRICE, why);
        _deal(ALICE, BOB, perp, enough, ETH_PRICE);
        _deal(BOB, ALICE, perp, enough - 1, ETH_PRICE); // closing may leave one wei
        assertEq(_size(_account(ALICE), perp), 1);
    }

    function test_no_position_beyond_the_largest_size() public {
        rule.setRates(0, 0);
        rule.setMark(perp, 0);
        _deal(ALICE, BOB, perp, 1e26, 0);
        _tradeReverts(
            ALICE, BOB, perp, 1, 0, abi.encodeWithSelector(IMarginVenue.SizeOutOfRange.selector, int256(1e26) + 1)
        );
    }

    function test_at_most_128_instruments() public {
        rule.setRates(1, 1);
        _list(ETH, _expiries(ETH)[2], _ladder(64));
        for (uint256 i; i < 128; ++i) {
            _deal(ALICE, BOB, _option(ETH, 2, 3 + i / 2, i % 2 == 0), 1e18, 0);
        }
        _tradeReverts(
            ALICE,
            BOB,
            perp,
            1e18,
            ETH_PRICE,
            abi.encodeWithSelector(IMarginVenue.TooManyLegs.selector, _account(ALICE), 129, 128)
        );
        _deal(BOB, ALICE, _option(ETH, 2, 3, true), 1e18, 0);
        _deal(ALICE, BOB, perp, 1e18, ETH_PRICE);
    }

    function _ladder(uint256 count) private pure returns (uint64[] memory strikes) {
        strikes = new uint64[](count);
        for (uint256 i; i < count; ++i) {
            strikes[i] = uint64((4_000 + 10 * i) * 1e8);
        }
    }

    function test_at_most_12_expiries() public {
        rule.setRates(1, 1);
        uint64[] memory one = _ladder(1);
        for (uint256 i; i < 13; ++i) {
            uint40 expiry = uint40(START + 40 days + i * 1 days);
            uint8 underlying = i < 7 ? ETH : BTC;
            products.listExpiry(underlying, expiry);
            _list(underlying, expiry, one);
            uint128 id = products.instrument(underlying, expiry, 0);
            if (i < 12) {
                _deal(ALICE, BOB, id, 1e18, 0);
                _deal(ALICE, BOB, products.instrument(underlying, expiry, 1), 1e18, 0); // the same expiry
            } else {
                _tradeReverts(
                    ALICE,
                    BOB,
                    id,
                    1e18,
                    0,
                    abi.encodeWithSelector(IMarginVenue.TooManyExpiries.selector, _account(ALICE), 13, 12)
                );
            }
        }
        _deal(ALICE, BOB, perp, 1e18, ETH_PRICE); // a perpetual has none
    }

    function testFuzz_a_trade_creates_and_destroys_nothing(uint256 size, uint256 price) public {
        _put(_account(ALICE), USDC, 10_000_000e6);
        size = bound(size, 4e15, 1_000e18);
        price = bound(price, 2_850e18, 3_150e18);
        int256 sum = _cash(_account(ALICE)) + _cash(_account(BOB));
        _deal(ALICE, BOB, perp, size, price);
        assertEq(_cash(_account(ALICE)) + _cash(_account(BOB)), sum);
        assertEq(_size(_account(ALICE), perp), -_size(_account(BOB), perp));
        assertEq(uint256(desk.sequence(_account(ALICE))), 3);
    }
}
