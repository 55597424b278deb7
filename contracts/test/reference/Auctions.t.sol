// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Auctions} from "../../src/reference/Auctions.sol";
import {Bonuses} from "../../src/reference/Bonuses.sol";
import {IAuctions} from "../../src/reference/interfaces/IAuctions.sol";
import {IMargin} from "../../src/reference/interfaces/IMargin.sol";
import {IMarginVenue} from "../../src/reference/interfaces/IMarginVenue.sol";
import {IPrices} from "../../src/reference/interfaces/IPrices.sol";
import {IProducts} from "../../src/reference/interfaces/IProducts.sol";
import {Book, Check, WAD} from "../../src/reference/Types.sol";
import {Test, Vm} from "../Vm.sol";
import {BareLedger, LinearMargin, PlainProducts} from "./AuctionStubs.sol";

/// The auction's rules on a margin one can do by hand: 10 contracts at 100 USD, MM 10 a contract.
contract AuctionsTest is Test {
    uint256 private constant WEAK = 11 << 96;
    uint256 private constant BONUS = 1_000_000e18;
    uint256 private constant DAY = 1 days;
    uint256 private immutable TAKER = uint256(uint160(address(this))) << 96 | 1;

    BareLedger private ledger;
    LinearMargin private margin;
    PlainProducts private products;
    Auctions private auctions;

    function setUp() public {
        vm.warp(1_700_000_000);
        ledger = new BareLedger();
        margin = new LinearMargin();
        products = new PlainProducts();
        auctions = _deploy(Auctions.Settings(2000, 2000, 100, 1_000_000, BONUS, DAY));
        margin.set("newest", 10e18);
        margin.set("settled", 10e18);
        margin.set("scenario", 10e18);
        margin.set("alone", 30e18);
        // Equity 1000 − 940 = 60, MM 100.
        ledger.set(WEAK, -940e18, 10e18, 0);
        ledger.set(TAKER, 10_000e18, 0, 0);
        ledger.setFund(1000e18);
    }

    function _deploy(Auctions.Settings memory settings) private returns (Auctions) {
        return new Auctions(
            IMarginVenue(address(ledger)),
            IMargin(address(margin)),
            IPrices(address(products)),
            IProducts(address(products)),
            settings,
            address(this)
        );
    }

    function _start(bool byArrays) private view returns (IAuctions.StartCall memory) {
        return IAuctions.StartCall(WEAK, ledger.sequence(WEAK), uint40(block.timestamp), byArrays, 0);
    }

    function _take() private view returns (IAuctions.TakeCall memory call) {
        call.account = WEAK;
        call.taker = TAKER;
        call.auctionId = auctions.auction(WEAK).id;
        call.expectedSequence = ledger.sequence(WEAK);
        call.takerSequence = ledger.sequence(TAKER);
        call.maxFraction = uint128(WAD);
        call.maxPrice = 1000e18;
        call.deadline = uint40(block.timestamp);
    }

    function _end(uint64 id) private view returns (IAuctions.EndCall memory) {
        return IAuctions.EndCall(WEAK, id, ledger.sequence(WEAK), uint40(block.timestamp));
    }

    /// Built first: an expected revert is that of the next call.
    function _refuseStart(bool byArrays, bytes memory reason) private {
        IAuctions.StartCall memory call = _start(byArrays);
        vm.expectRevert(reason);
        auctions.startAuction(call);
    }

    function _refuseTake(bytes memory reason) private {
        IAuctions.TakeCall memory call = _take();
        vm.expectRevert(reason);
        auctions.take(call);
    }

    function _refuseEnd(IAuctions.EndCall memory call, bytes memory reason) private {
        vm.expectRevert(reason);
        auctions.endAuction(call);
    }

    function _equity(uint256 account) private view returns (int256) {
        return margin.byScenario(ledger.book(account), type(uint256).max).equity;
    }

    // ---- settings ----

    function test_settings_are_bounded() public {
        Auctions.Settings[10] memory wrong = [
            Auctions.Settings(2000, 10_000, 100, 1_000_000, BONUS, DAY),
            Auctions.Settings(2000, 0, 100, 1_000_000, BONUS, DAY),
            Auctions.Settings(10_001, 2000, 100, 1_000_000, BONUS, DAY),
            Auctions.Settings(0, 2000, 100, 1_000_000, BONUS, DAY),
            Auctions.Settings(2000, 2000, 0, 1_000_000, BONUS, DAY),
            Auctions.Settings(2000, 2000, 100, 99_999, BONUS, DAY),
            Auctions.Settings(2000, 2000, 100, 30_000_001, BONUS, DAY),
            Auctions.Settings(2000, 2000, 100, 1_000_000, 10_000_001e18, DAY),
            Auctions.Settings(2000, 2000, 100, 1_000_000, BONUS, 1 hours - 1),
            Auctions.Settings(2000, 2000, 100, 1_000_000, BONUS, 30 days + 1)
        ];
        for (uint256 i; i < wrong.length; ++i) {
            vm.expectPartialRevert(Bonuses.ParameterOutOfRange.selector);
            _deploy(wrong[i]);
        }
        _deploy(Auctions.Settings(10_000, 9_999, 1, 30_000_000, 10_000_000e18, 30 days));
        _deploy(Auctions.Settings(1, 1, 1 days, 100_000, 0, 1 hours));
    }

    /// Haircuts leave room for the list's largest incentive; a larger discount would make an account at MM insolvent.
    function test_the_discount_is_at_most_what_haircuts_allow_for() public {
        products.setMostIncentive(500);
        vm.expectRevert(
            abi.encodeWithSelector(Bonuses.ParameterOutOfRange.selector, bytes32("discountCap"), 501, 1, 500)
        );
        _deploy(Auctions.Settings(2000, 501, 100, 1_000_000, BONUS, DAY));
        assertEq(_deploy(Auctions.Settings(2000, 500, 100, 1_000_000, BONUS, DAY)).discountCap(), 500);
        // And below MM whatever the list says.
        products.setMostIncentive(60_000);
        vm.expectRevert(
            abi.encodeWithSelector(Bonuses.ParameterOutOfRange.selector, bytes32("discountCap"), 10_000, 1, 9_999)
        );
        _deploy(Auctions.Settings(2000, 10_000, 100, 1_000_000, BONUS, DAY));
    }

    // ---- start ----

    function test_start_records_and_touches() public {
        IAuctions.StartCall memory call = _start(true);
        vm.expectEmit();
        emit IAuctions.AuctionStarted(WEAK, 1, 0, 60e18, 100e18);
        assertEq(auctions.startAuction(call), 1);
        assertEq(auctions.auction(WEAK).startedAt, block.timestamp);
        assertEq(ledger.touched(WEAK), 1);
        _refuseStart(true, abi.encodeWithSelector(IAuctions.AlreadyInAuction.selector, WEAK, 1));
    }

    function test_equity_equal_to_the_requirement_is_no_shortfall() public {
        ledger.set(WEAK, -900e18, 10e18, 0);
        _refuseStart(
            false, abi.encodeWithSelector(IAuctions.NotBelowMaintenance.selector, WEAK, int256(100e18), 100e18)
        );
        ledger.set(WEAK, -900e18 - 1, 10e18, 0);
        auctions.startAuction(_start(false));
    }

    function test_arrays_must_agree() public {
        margin.set("settled", 6e18);
        _refuseStart(true, abi.encodeWithSelector(IAuctions.NotBelowMaintenance.selector, WEAK, int256(60e18), 60e18));
        margin.set("settled", 10e18);
        margin.set("newest", 6e18);
        _refuseStart(true, abi.encodeWithSelector(IAuctions.NotBelowMaintenance.selector, WEAK, int256(60e18), 60e18));
        // A shortfall proven in one scenario needs no arrays.
        auctions.startAuction(_start(false));
    }

    function test_a_start_expects_sequence_and_time() public {
        IAuctions.StartCall memory call = _start(true);
        call.deadline = uint40(block.timestamp - 1);
        vm.expectRevert(abi.encodeWithSelector(IMarginVenue.DeadlinePassed.selector, call.deadline));
        auctions.startAuction(call);
        call.deadline = uint40(block.timestamp);
        call.expectedSequence = 5;
        vm.expectRevert(abi.encodeWithSelector(IMarginVenue.UnexpectedSequence.selector, WEAK, 0, 5));
        auctions.startAuction(call);
        call.expectedSequence = 0;
        call.account = 3;
        vm.expectRevert(abi.encodeWithSelector(IAuctions.NothingToTake.selector, 3));
        auctions.startAuction(call);
    }

    function test_one_bad_start_does_not_sink_the_others() public {
        IAuctions.StartCall[] memory calls = new IAuctions.StartCall[](4);
        calls[0] = _start(true);
        calls[0].expectedSequence = 9;
        calls[1] = _start(true); // endless
        calls[2] = _start(false);
        calls[3] = _start(false); // already
        margin.setEndless("newest", true);
        vm.expectEmit();
        emit IAuctions.AuctionRefused(
            WEAK, 0, abi.encodeWithSelector(IMarginVenue.UnexpectedSequence.selector, WEAK, 0, 9)
        );
        vm.expectEmit();
        emit IAuctions.AuctionRefused(WEAK, 1, "");
        vm.expectEmit();
        emit IAuctions.AuctionStarted(WEAK, 1, 0, 60e18, 100e18);
        vm.expectEmit();
        emit IAuctions.AuctionRefused(WEAK, 3, abi.encodeWithSelector(IAuctions.AlreadyInAuction.selector, WEAK, 1));
        uint256 gas = gasleft();
        assertEq(auctions.startAuctions(calls), 1);
        assertLe(gas - gasleft(), 1_500_000);
    }

    function test_too_little_gas_is_said_and_is_no_health() public {
        IAuctions.StartCall[] memory calls = new IAuctions.StartCall[](1);
        calls[0] = _start(false);
        vm.recordLogs();
        assertEq(auctions.startAuctions{gas: 1_000_000}(calls), 0);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        assertEq(logs.length, 1);
        (, bytes memory reason) = abi.decode(logs[0].data, (uint256, bytes));
        assertEq(bytes32(bytes4(reason)), bytes32(Auctions.GasTooLow.selector));
        assertEq(auctions.startAuctions{gas: 1_100_000}(calls), 1);
    }

    // ---- discount ----

    function test_the_discount_grows_in_a_line_to_its_cap() public {
        assertEq(auctions.discount(WEAK), 0);
        auctions.startAuction(_start(true));
        assertEq(auctions.discount(WEAK), 0);
        vm.warp(block.timestamp + 25);
        assertEq(auctions.discount(WEAK), 500);
        vm.warp(block.timestamp + 74);
        assertEq(auctions.discount(WEAK), 1980);
        vm.warp(block.timestamp + 1);
        assertEq(auctions.discount(WEAK), 2000);
        vm.warp(block.timestamp + 1 days);
        assertEq(auctions.discount(WEAK), 2000);
    }

    // ---- take ----

    /// E 60, MM 100, D 10: φ = 60 / 110, the account ends at 60 − 600 / 110 = 54.54…, 1.2 × its MM of 45.45….
    function test_a_take_restores_the_buffer_at_the_price_of_the_moment() public {
        auctions.startAuction(_start(true));
        vm.warp(block.timestamp + 50);
        IAuctions.TakeCall memory call = _take();
        call.maxPrice = 50e18;
        (uint256 fraction, int256 price) = auctions.take(call);
        assertLe(fraction, uint256(60e18) / 110);
        assertLe(uint256(60e18) / 110 - 1e6, fraction);
        assertLe(price, int256(50e18) * 60 / 110);
        assertLe(int256(50e18) * 60 / 110 - 1e8, price);
        assertLe(_equity(WEAK), int256(54545454545454545454) + 1e8);
        assertEq(_equity(WEAK) + _equity(TAKER), 10_060e18);
        assertEq(auctions.auction(WEAK).id, 0);
        assertEq(ledger.touched(TAKER), 1);
    }

    /// Equity 5 beside a discount of 20: the account gives 5, the fund 15.
    function test_the_fund_adds_what_equity_cannot_bear() public {
        ledger.set(WEAK, -995e18, 10e18, 0);
        auctions.startAuction(_start(false));
        vm.warp(block.timestamp + 100);
        vm.expectEmit();
        emit IAuctions.Taken(WEAK, 1, 0, TAKER, WAD, -15e18 + 1, 15e18, 0);
        auctions.take(_take());
        assertEq(ledger.fund(), 985e18);
        assertEq(_equity(TAKER), 10_020e18 - 1);
        assertEq(_equity(WEAK), 1);
    }

    /// Equity −60 and a fund of 40: 20 shared, nothing left for a discount, so the whole costs 60 less, not 80.
    function test_a_deficit_beyond_the_fund_becomes_bad_debt() public {
        ledger.set(WEAK, -1060e18, 10e18, 0);
        ledger.setFund(40e18);
        auctions.startAuction(_start(false));
        vm.warp(block.timestamp + 100);
        IAuctions.TakeCall memory call = _take();
        call.maxPrice = -60e18 - 1;
        vm.expectRevert(abi.encodeWithSelector(IAuctions.PriceAboveLimit.selector, -60e18, -60e18 - 1));
        auctions.take(call);
        call.maxPrice = -60e18;
        auctions.take(call);
        assertEq(ledger.fund(), 0);
        assertEq(ledger.badDebt(), 20e18 - 1);
        assertEq(_equity(WEAK), 0);
        assertEq(auctions.auction(WEAK).id, 0);
    }

    function test_an_empty_fund_is_owed_by_no_one() public {
        ledger.setFund(-5e18);
        ledger.set(WEAK, -995e18, 10e18, 0);
        auctions.startAuction(_start(false));
        vm.warp(block.timestamp + 100);
        (, int256 price) = auctions.take(_take());
        assertEq(price, 1);
        assertEq(ledger.fund(), -5e18);
        assertEq(ledger.badDebt(), 0);
    }

    function test_two_takes_are_each_priced_on_what_they_find() public {
        auctions.startAuction(_start(true));
        vm.warp(block.timestamp + 50);
        IAuctions.TakeCall memory call = _take();
        call.maxFraction = 0.25e18;
        (, int256 first) = auctions.take(call);
        // E 57.5, MM 75, D 7.5; the auction goes on.
        assertLe(first, int256(12.5e18) + 1e8);
        assertEq(auctions.auction(WEAK).id, 1);
        vm.expectRevert(abi.encodeWithSelector(IMarginVenue.UnexpectedSequence.selector, WEAK, 1, 0));
        auctions.take(call);
        call = _take();
        call.maxPrice = 50.1e18;
        (uint256 fraction,) = auctions.take(call);
        // 57.5 − 7.5φ = 90(1 − φ): φ = 32.5 / 82.5.
        assertLe(fraction, uint256(32.5e18) / 82.5e18 * WAD + 0.39393939393939394e18);
        assertLe(0.3939393939e18, fraction);
        assertEq(auctions.auction(WEAK).id, 0);
    }

    function test_the_lower_requirement_of_the_two_sets_counts() public {
        margin.set("newest", 20e18);
        margin.set("settled", 9e18);
        auctions.startAuction(_start(true));
        vm.warp(block.timestamp + 100);
        IAuctions.TakeCall memory call = _take();
        call.byArrays = true;
        call.maxPrice = 42e18 - 1; // E 60 − 20 % of 90
        vm.expectRevert(abi.encodeWithSelector(IAuctions.PriceAboveLimit.selector, 42e18, 42e18 - 1));
        auctions.take(call);
    }

    function test_a_recovered_account_is_not_taken() public {
        auctions.startAuction(_start(true));
        ledger.set(WEAK, -900e18, 10e18, 0);
        _refuseTake(abi.encodeWithSelector(IAuctions.NotBelowMaintenance.selector, WEAK, int256(100e18), 100e18));
    }

    function test_a_take_expects_what_it_says() public {
        auctions.startAuction(_start(true));
        IAuctions.TakeCall memory call = _take();
        call.auctionId = 2;
        vm.expectRevert(abi.encodeWithSelector(IAuctions.UnexpectedAuction.selector, WEAK, 1, 2));
        auctions.take(call);
        call = _take();
        call.takerSequence = 7;
        vm.expectRevert(abi.encodeWithSelector(IMarginVenue.UnexpectedSequence.selector, TAKER, 0, 7));
        auctions.take(call);
        call = _take();
        call.deadline = uint40(block.timestamp - 1);
        vm.expectRevert(abi.encodeWithSelector(IMarginVenue.DeadlinePassed.selector, call.deadline));
        auctions.take(call);
        call = _take();
        call.taker = WEAK;
        vm.expectRevert(abi.encodeWithSelector(IAuctions.OwnAccount.selector, WEAK));
        auctions.take(call);
        call.taker = 12 << 96;
        vm.expectRevert(
            abi.encodeWithSelector(
                IMarginVenue.NotAuthorised.selector, 12 << 96, address(this), IAuctions.take.selector
            )
        );
        auctions.take(call);
        call = _take();
        call.maxPrice = 60e18 - 1;
        vm.expectRevert(abi.encodeWithSelector(IAuctions.PriceAboveLimit.selector, 60e18, 60e18 - 1));
        auctions.take(call);
        call = _take();
        call.maxFraction = 0;
        vm.expectRevert(abi.encodeWithSelector(IAuctions.NothingToTake.selector, WEAK));
        auctions.take(call);
    }

    function test_no_take_without_an_auction() public {
        _refuseTake(abi.encodeWithSelector(IAuctions.UnexpectedAuction.selector, WEAK, 0, 0));
    }

    /// The taker ends with about 6 contracts and 12 × his size as IM: both sets must say that he can.
    function test_the_taker_ends_at_initial_margin() public {
        auctions.startAuction(_start(true));
        ledger.set(TAKER, 100e18, 0, 0);
        margin.set("settled", 9e18);
        IAuctions.TakeCall memory call = _take();
        auctions.take(call);

        setUp();
        auctions.startAuction(_start(true));
        ledger.set(TAKER, 40e18, 0, 0);
        call = _take();
        vm.expectPartialRevert(IAuctions.TakerBelowInitialMargin.selector);
        auctions.take(call);
        margin.set("newest", 1e18);
        vm.expectPartialRevert(IAuctions.TakerBelowInitialMargin.selector);
        auctions.take(call);
        margin.set("settled", 1e18);
        margin.set("newest", 10e18);
        vm.expectPartialRevert(IAuctions.TakerBelowInitialMargin.selector);
        auctions.take(call);
    }

    /// Without arrays he needs 2 × 30 for each of 5.27 contracts, 316.
    function test_a_silent_publisher_does_not_stop_a_taker_with_enough() public {
        auctions.startAuction(_start(false));
        margin.setStale("newest", true);
        margin.setStale("settled", true);
        IAuctions.TakeCall memory call = _take();
        ledger.set(TAKER, 330e18, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(LinearMargin.Stale.selector, bytes32("newest")));
        auctions.take(call);
        call.takerByLegs = true;
        ledger.set(TAKER, 280e18, 0, 0);
        vm.expectPartialRevert(IAuctions.TakerBelowInitialMargin.selector);
        auctions.take(call);
        ledger.set(TAKER, 330e18, 0, 0);
        auctions.take(call);
        assertLe(int256(316e18), _equity(TAKER));
    }

    /// Who shows the shortfall by arrays shows his own margin by them, whatever else he asks for.
    function test_by_arrays_means_the_taker_too() public {
        auctions.startAuction(_start(true));
        IAuctions.TakeCall memory call = _take();
        (call.byArrays, call.takerByLegs) = (true, true);
        margin.set("alone", 0);
        ledger.set(TAKER, 40e18, 0, 0);
        vm.expectPartialRevert(IAuctions.TakerBelowInitialMargin.selector);
        auctions.take(call);
    }

    /// Who deposits a unit before every take cannot hold it up, and the event still says which state was found.
    function test_any_sequence() public {
        auctions.startAuction(_start(true));
        IAuctions.TakeCall memory call = _take();
        uint64 found = call.expectedSequence;
        call.expectedSequence = type(uint64).max;
        vm.recordLogs();
        auctions.take(call);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        (uint64 said,,,,) = abi.decode(logs[0].data, (uint64, uint256, int256, uint256, uint256));
        assertEq(uint256(said), uint256(found));
    }

    /// Charged 5 % beyond 6 contracts, 20 of the MM of 100: after the take the linear formula's 54 % would leave MM
    /// at 4.55 contracts × 8 and the account far above the buffer.
    function test_concentration_is_seen() public {
        products.setConcentration(500, 6e18);
        auctions.startAuction(_start(true));
        (uint256 fraction,) = auctions.take(_take());
        // 60 = 1.2 · (100 − 130φ) until 6 contracts are left (φ = 0.4, MM 48, 57.6 < 60).
        assertLe(fraction, uint256(0.384615384615384616e18));
        assertLe(0.3846153846e18, fraction);
    }

    function test_collateral_moves_too() public {
        ledger.set(WEAK, -1440e18, 10e18, 5e18);
        auctions.startAuction(_start(true));
        auctions.take(_take());
        Book memory taken = ledger.book(TAKER);
        assertLe(2.49999999e18, uint256(uint128(taken.collateral[0])));
        assertEq(_equity(WEAK) + _equity(TAKER), 10_060e18);
    }

    // ---- end ----

    function test_an_auction_ends_when_both_sets_say_so() public {
        auctions.startAuction(_start(true));
        _refuseEnd(
            _end(1), abi.encodeWithSelector(IAuctions.StillBelowMaintenance.selector, WEAK, int256(60e18), 100e18)
        );
        margin.set("newest", 6e18); // a false array alone does not stop the clock
        _refuseEnd(
            _end(1), abi.encodeWithSelector(IAuctions.StillBelowMaintenance.selector, WEAK, int256(60e18), 100e18)
        );
        margin.set("settled", 6e18);
        vm.expectEmit();
        emit IAuctions.AuctionEnded(WEAK, 1, false);
        auctions.endAuction(_end(1));
        assertEq(auctions.auction(WEAK).id, 0);
        _refuseEnd(_end(0), abi.encodeWithSelector(IAuctions.UnexpectedAuction.selector, WEAK, 0, 0));
        // The next one has a new id.
        assertEq(auctions.startAuction(_start(false)), 2);
    }

    function test_one_readable_set_is_enough_to_end_and_where_there_is_none_the_bound_without_netting() public {
        auctions.startAuction(_start(true));
        ledger.set(WEAK, -900e18, 10e18, 0);
        margin.setStale("newest", true);
        margin.setStale("settled", true);
        // Then the bound without netting: 30 a contract.
        _refuseEnd(
            _end(1), abi.encodeWithSelector(IAuctions.StillBelowMaintenance.selector, WEAK, int256(100e18), 300e18)
        );
        margin.setStale("settled", false);
        auctions.endAuction(_end(1));

        margin.set("scenario", 20e18);
        auctions.startAuction(_start(false));
        margin.setStale("newest", false);
        margin.setStale("settled", true);
        // Arrays see MM met, the rows that proved the shortfall do not: who could end it would restart the clock.
        _refuseEnd(
            _end(2), abi.encodeWithSelector(IAuctions.StillBelowMaintenance.selector, WEAK, int256(100e18), 200e18)
        );
        margin.set("scenario", 10e18);
        margin.setStale("newest", true);
        margin.set("alone", 10e18);
        auctions.endAuction(_end(2));
        assertEq(auctions.auction(WEAK).id, 0);
    }

    function test_an_end_carries_what_it_expects() public {
        auctions.startAuction(_start(true));
        ledger.set(WEAK, -900e18, 10e18, 0);
        IAuctions.EndCall memory call = _end(2);
        _refuseEnd(call, abi.encodeWithSelector(IAuctions.UnexpectedAuction.selector, WEAK, 1, 2));
        (call.auctionId, call.expectedSequence) = (1, 7);
        _refuseEnd(call, abi.encodeWithSelector(IMarginVenue.UnexpectedSequence.selector, WEAK, 0, 7));
        (call.expectedSequence, call.deadline) = (0, uint40(block.timestamp - 1));
        _refuseEnd(call, abi.encodeWithSelector(IMarginVenue.DeadlinePassed.selector, block.timestamp - 1));
        assertEq(ledger.touched(WEAK), 1); // by the start alone
        (call.expectedSequence, call.deadline) = (type(uint64).max, uint40(block.timestamp));
        auctions.endAuction(call);
    }

    // ---- fuzz ----

    /// Whatever account, fund, moment and wish: excess does not fall, equity ÷ MM does not fall while equity > 0, the
    /// buffer is not passed, nothing is created, and the fund never goes below zero.
    function test_any_take(int256 equity, uint128 size, bool short, uint256 wish, uint256 fund, uint256 elapsed)
        public
    {
        size = uint128(bound(size, 1e9, 1e26));
        uint256 mm = uint256(size) * 10;
        equity = -int256(mm) + int256(bound(uint256(equity), 0, 2 * mm - 1));
        fund = bound(fund, 0, 2 * mm);
        int128 signed = short ? -int128(size) : int128(size);
        ledger.set(WEAK, equity - int256(signed) * 100, signed, 0);
        ledger.set(TAKER, 1e33, 0, 0);
        ledger.setFund(int256(fund));
        auctions.startAuction(_start(true));
        vm.warp(block.timestamp + bound(elapsed, 0, 200));
        IAuctions.TakeCall memory call = _take();
        call.maxFraction = uint128(bound(wish, 1, WAD));
        call.maxPrice = 1e33;
        try auctions.take(call) returns (uint256 fraction, int256) {
            _assertFair(equity, mm, fraction, fund);
        } catch (bytes memory reason) {
            assertEq(bytes32(bytes4(reason)), bytes32(IAuctions.NothingToTake.selector));
        }
    }

    function _assertFair(int256 equity, uint256 mm, uint256 fraction, uint256 fund) private view {
        Check memory left = margin.byScenario(ledger.book(WEAK), 0);
        assertLe(equity - int256(mm), left.equity - int256(left.mm));
        if (equity > 0) assertLe(equity * int256(left.mm), left.equity * int256(mm));
        // Where next to nothing is left it counts that one unit of size, which truncation leaves behind, is worth 100
        // wei, and that equity ÷ MM of the account's grains (100 USD × 20) is kept back so that it cannot fall.
        int256 kept = 110 + (equity > 0 ? equity * 2_000 / int256(mm) + 1 : int256(0));
        if (fraction < WAD) assertLe((left.equity - kept) * 10_000, int256(left.mm * 12_000));
        assertLe(0, ledger.fund());
        int256 given = int256(fund) - ledger.fund() + int256(ledger.badDebt());
        assertEq(_equity(WEAK) + _equity(TAKER), equity + 1e33 + given);
        if (equity > 0) assertEq(ledger.badDebt(), 0);
        if (left.equity < int256(left.mm) + 10_000) return; // grains of 100 USD × 20
        assertEq(auctions.auction(WEAK).id, 0);
    }
}
