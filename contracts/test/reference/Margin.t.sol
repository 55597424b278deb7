// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {
    Book,
    Check,
    CollateralType,
    Instruments,
    Legs,
    MarginParameters,
    ScanParameters,
    WORDS
} from "../../src/reference/Types.sol";
import {IMargin} from "../../src/reference/interfaces/IMargin.sol";
import {IPrices} from "../../src/reference/interfaces/IPrices.sol";
import {IRiskArrays} from "../../src/reference/interfaces/IRiskArrays.sol";
import {MarginWorld} from "./MarginPeers.sol";

/// Small books whose margin is worked out by hand from docs/risk-arrays.md, and every limit at its equality case.
contract MarginTest is MarginWorld {
    uint40 internal expiry;
    int256 internal constant USD = 1e6; // in array words

    function setUp() public override {
        super.setUp();
        expiry = start + 30 days;
    }

    function _one(uint128 id, int128 size, int256 cash) internal pure returns (Book memory book) {
        book.cash = cash;
        book.legs = new uint256[](1);
        book.legs[0] = Legs.pack(id, size);
    }

    function _two(uint128 id, int128 size, uint128 id2, int128 size2) internal pure returns (Book memory book) {
        book.legs = new uint256[](2);
        (book.legs[0], book.legs[1]) = (Legs.pack(id, size), Legs.pack(id2, size2));
    }

    function _option(uint16 index) internal view returns (uint128) {
        return Instruments.pack(BTC, expiry, 60_000e8, true, index);
    }

    /// Option 0: mark 100, delta 5,000, bend 2, gap 7; worst grid row 13 at −95. Option 1: mark 50, delta −4,000,
    /// bend 4, gap 3; +40 in row 10, −50 in row 13.
    function _byHand() internal {
        int256[WORDS][] memory w = new int256[WORDS][](2);
        (w[0][0], w[0][1], w[0][2], w[0][3]) = (100 * USD, 5_000 * USD, 2 * USD, 7 * USD);
        (w[0][4 + 12], w[0][4 + 13], w[0][4 + 17]) = (-90 * USD, -95 * USD, -99 * USD);
        (w[1][0], w[1][1], w[1][2], w[1][3]) = (50 * USD, -4_000 * USD, 4 * USD, 3 * USD);
        (w[1][4 + 10], w[1][4 + 13]) = (40 * USD, -50 * USD);
        publishWords(BTC, expiry, w);
    }

    // ---- books by hand ----

    function test_empty_book_needs_nothing_and_is_worth_nothing() public view {
        Book memory book;
        Check memory c = margin.byArrays(book);
        assertEq(c.equity, int256(0));
        assertEq(c.im, 0);
        assertEq(c.mm, 0);
    }

    function test_negative_cash_is_negative_equity() public view {
        Book memory book;
        book.cash = -5_000e18 - 1;
        assertEq(margin.byArrays(book).equity, -5_000e18 - 1);
        assertEq(margin.byScenario(book, type(uint256).max).equity, -5_000e18 - 1);
    }

    /// Outermost down row: 0.85 · 0.9875 = 0.839375, so two contracts at 60,000 lose 19,275; the extreme row loses
    /// 0.456875 · 120,000 · 35 % = 19,188.75, the deep one 0.605 · 120,000 · 10 % = 7,260. No epoch is needed.
    function test_perpetual_alone_needs_no_epoch() public view {
        Check memory c = margin.byArrays(_one(perpetual(BTC), 2e18, 10_000e18));
        assertEq(c.equity, int256(130_000e18));
        assertEq(c.im, 23_130e18);
        assertEq(c.mm, 15_420e18);
        assertEq(margin.bySettledArrays(_one(perpetual(BTC), 2e18, 0)).mm, 15_420e18);
    }

    /// Up: 1.15 · 1.0125 = 1.164375 loses 19,725 on two short; the extreme 1.45 · 1.0125 = 1.468125 · 35 % = 19,661.25;
    /// the deep tail 2.2 · 1.0125 = 2.2275, 147,300 · 10 % = 14,730.
    function test_short_perpetual_loses_upward() public view {
        Check memory c = margin.byArrays(_one(perpetual(BTC), -2e18, 200_000e18));
        assertEq(c.equity, int256(80_000e18));
        assertEq(c.im, 23_670e18);
        assertEq(c.mm, 15_780e18);
    }

    /// Confidence 30 USD on 60,000, so 60 USD on 120,000; concentration 1 % of 60,000 on one contract too many.
    function test_contingencies_are_added_after_the_scalars() public {
        MarginParameters memory p = plainMargin();
        (p.confidenceFactor, p.concentrationRate, p.concentrationFrom) = (15_000, 100, 1e18);
        products.setMargin(BTC, p);
        Check memory c = margin.byArrays(_one(perpetual(BTC), 2e18, 0));
        assertEq(c.im, 23_130e18 + 90e18 + 600e18);
        assertEq(c.mm, 15_420e18 + 90e18 + 600e18);
    }

    /// Row 13 loses 3 · 95 − 2 · 50 = 185, row 12 3 · 90 = 270, and the gap on what is long 3 · 7: 291. Row 17 counts a
    /// tenth. One unit a contract for the words: 5 · 10⁻⁶.
    function test_words_are_netted_row_by_row_and_gap_is_charged_on_longs() public {
        _byHand();
        Check memory c = margin.byArrays(_two(_option(0), 3e18, _option(1), -2e18));
        assertEq(c.equity, int256(200e18));
        assertEq(c.im, 349.2e18 + 5e12);
        assertEq(c.mm, 232.8e18 + 5e12);
    }

    /// 1 % of 60,000 on two short is more than 120 % of the scan; what is long does not count.
    function test_short_minimum_floors_the_scan() public {
        _byHand();
        MarginParameters memory p = plainMargin();
        (p.shortImRate, p.shortMmRate) = (100, 50);
        products.setMargin(BTC, p);
        Check memory c = margin.byArrays(_two(_option(0), 3e18, _option(1), -2e18));
        assertEq(c.im, 1_200e18 + 5e12);
        assertEq(c.mm, 600e18 + 5e12);
    }

    /// At +1.25 %, the whole limit: 3 · 5,000 − 2 · −4,000 = 23,000 of delta gain 287.5, the two short cost their bend, 8.
    function test_marks_move_by_delta() public {
        _byHand();
        report(BTC, 60_750e18);
        Check memory c = margin.byArrays(_two(_option(0), 3e18, _option(1), -2e18));
        assertEq(c.equity, int256(479.5e18));
        assertEq(c.mm, (291e18 + 279.5e18) * 8 / 10 + 5e12);
    }

    /// Two short at −1.25 %: delta 8,000 · −1.25 % = −100, and twice the bend of 4; half of it at half the limit. Two
    /// long: +100, and nothing for curvature in favour.
    function test_bend_counts_only_against_the_account() public {
        _byHand();
        report(BTC, 59_250e18);
        assertEq(margin.byArrays(_one(_option(1), -2e18, 0)).equity, -100e18 - 100e18 - 8e18);
        assertEq(margin.byArrays(_one(_option(1), 2e18, 0)).equity, 100e18 + 100e18);
        report(BTC, 59_625e18);
        assertEq(margin.byArrays(_one(_option(1), -2e18, 0)).equity, -100e18 - 50e18 - 4e18);
    }

    /// A linear leg beside options is valued at the rows' absolute prices: at 60,750 one contract is worth 60,750, in rows
    /// 12 and 13 (60,000 · 0.839375 = 50,362.5) 10,387.5 less.
    function test_linear_legs_share_the_epochs_absolute_prices() public {
        _byHand();
        report(BTC, 60_750e18);
        Check memory c = margin.byArrays(_two(perpetual(BTC), 1e18, _option(0), 1));
        // The option's one wei of size: mark 100 + 62.5 of delta, floored once.
        assertEq(c.equity, int256(60_750e18 + 162));
        // Row 13 has row 12's price: 162.5 − (100 − 95), 7 of gap: 164.5 · 80 % = 131.6, rounded up once.
        assertEq(c.mm, 8_310e18 + 132);
    }

    function test_collateral_is_a_linear_leg_with_a_haircut() public {
        products.addCollateral(CollateralType(address(1), 6, USDX, 200, type(uint128).max));
        products.addCollateral(CollateralType(address(2), 8, BTC, 500, type(uint128).max));
        Book memory book;
        book.collateral = new uint256[](2);
        book.collateral[0] = 10_000e6; // index 0
        book.collateral[1] = 1 << 128 | 1e8;
        Check memory c = margin.byArrays(book);
        assertEq(c.equity, int256(70_000e18));
        // Depeg: 0.94 · 0.995 = 0.9353 loses 647; extreme 0.88 · 0.995 = 0.8756, 1,244 · 35 %. Haircut 200. Coin:
        // 60,000 · 0.160625 = 9,637.5 of scan, 3,000 of haircut.
        assertEq(c.mm, (647e18 + 9_637.5e18) * 8 / 10 + 200e18 + 3_000e18);
        // A short contract against the coin leaves the haircut alone, and the depeg.
        book.legs = new uint256[](1);
        book.legs[0] = Legs.pack(perpetual(BTC), -1e18);
        c = margin.byArrays(book);
        assertEq(c.equity, int256(10_000e18));
        assertEq(c.mm, 647e18 * 8 / 10 + 3_200e18);
    }

    function test_no_credit_between_underlyings() public view {
        Check memory c = margin.byArrays(_two(perpetual(BTC), 1e18, perpetual(ETH), -20e18));
        assertEq(c.mm, (9_637.5e18 + 60_000e18 * 164_375 / 1e6) * 8 / 10);
    }

    // ---- limits ----

    function test_move_limit_is_allowed_and_a_wei_more_is_not() public {
        _byHand();
        Book memory book = _one(_option(0), 1e18, 0);
        report(BTC, 60_750e18);
        margin.byArrays(book);
        report(BTC, 59_250e18);
        margin.byArrays(book);
        report(BTC, 60_750e18 + 1);
        vm.expectRevert(abi.encodeWithSelector(IMargin.MovedTooFar.selector, BTC, 60_750e18 + 1, 60_000e18, 0.0125e18));
        margin.byArrays(book);
        report(BTC, 59_250e18 - 1);
        vm.expectPartialRevert(IMargin.MovedTooFar.selector);
        margin.byArrays(book);
        margin.byArraysRegardless(book);
    }

    function test_settled_epoch_allows_half_the_scan_range() public {
        _byHand();
        arrays.settle(BTC, 1);
        Book memory book = _one(_option(0), 1e18, 0);
        report(BTC, 64_500e18);
        // 5,000 · 7.5 % on top of 100. A short one of mark 50 gains 4,000 · 7.5 % and pays six bends of 4: the same line.
        assertEq(margin.bySettledArrays(book).equity, int256(475e18));
        assertEq(margin.bySettledArrays(_one(_option(1), -1e18, 0)).equity, int256(-50e18 + 300e18 - 24e18));
        report(BTC, 64_500e18 + 1);
        vm.expectPartialRevert(IMargin.MovedTooFar.selector);
        margin.bySettledArrays(book);
    }

    function test_report_age() public {
        Book memory book = _one(perpetual(BTC), 1e18, 0);
        vm.warp(start + MAX_REPORT_AGE);
        margin.byArrays(book);
        margin.byScenario(book, 0);
        margin.mark(perpetual(BTC));
        vm.warp(start + MAX_REPORT_AGE + 1);
        bytes memory stale = abi.encodeWithSelector(IMargin.StaleReport.selector, BTC, 61, 60);
        vm.expectRevert(stale);
        margin.byArrays(book);
        vm.expectRevert(stale);
        margin.byArraysRegardless(book);
        vm.expectRevert(stale);
        margin.byScenario(book, 0);
        vm.expectRevert(stale);
        margin.mark(perpetual(BTC));
        vm.expectRevert(stale);
        margin.values(book.legs);
    }

    function test_epoch_age() public {
        _byHand();
        arrays.settle(BTC, 1);
        Book memory book = _one(_option(0), 1e18, 0);
        vm.warp(start + MAX_EPOCH_AGE);
        report(BTC, 60_000e18);
        margin.byArrays(book);
        vm.warp(start + MAX_EPOCH_AGE + 1);
        vm.expectRevert(abi.encodeWithSelector(IMargin.StaleEpoch.selector, BTC, 901, 900));
        margin.byArrays(book);
        margin.byArraysRegardless(book);
        vm.warp(start + MAX_EPOCH_AGE + 600);
        report(BTC, 60_000e18);
        margin.bySettledArrays(book);
        vm.warp(start + MAX_EPOCH_AGE + 601);
        vm.expectRevert(abi.encodeWithSelector(IMargin.StaleEpoch.selector, BTC, 1501, 1500));
        margin.bySettledArrays(book);
    }

    function test_slice_age() public {
        list(BTC, expiry, 2);
        Book memory book = _one(listed[BTC][expiry][0], 1e18, 0);
        vm.warp(start + MAX_SLICE_AGE);
        report(BTC, 60_000e18);
        margin.byScenario(book, 0);
        vm.warp(start + MAX_SLICE_AGE + 1);
        bytes memory stale = abi.encodeWithSelector(IMargin.StaleSlice.selector, BTC, expiry, 1201, 1200);
        vm.expectRevert(stale);
        margin.byScenario(book, 0);
        vm.expectRevert(stale);
        margin.mark(listed[BTC][expiry][0]);
        vm.expectRevert(stale);
        margin.values(book.legs);
    }

    function test_missing_arrays_revert() public {
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.NoEpoch.selector, BTC));
        margin.byArrays(_one(_option(0), 1e18, 0));
        _byHand();
        margin.byArrays(_one(_option(1), 1e18, 0));
        // A row beyond the blob: listed after the epoch was published.
        vm.expectRevert(abi.encodeWithSelector(IMargin.ArrayMissing.selector, _option(2), 1));
        margin.byArrays(_one(_option(2), 1e18, 0));
        // An expiry the epoch has no blob of, even where nothing else of the check depends on age.
        uint128 later = Instruments.pack(BTC, expiry + 1 days, 60_000e8, true, 0);
        vm.expectRevert(abi.encodeWithSelector(IMargin.ArrayMissing.selector, later, 1));
        margin.byArraysRegardless(_one(later, 1e18, 0));
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.NoEpoch.selector, BTC));
        margin.bySettledArrays(_one(_option(0), 1e18, 0));
    }

    function test_each_source_reads_its_own_epoch() public {
        _byHand();
        arrays.settle(BTC, 1);
        int256[WORDS][] memory w = new int256[WORDS][](1);
        w[0][0] = 70 * USD;
        publishWords(BTC, expiry, w);
        Book memory book = _one(_option(0), 1e18, 0);
        assertEq(margin.byArrays(book).equity, int256(70e18));
        assertEq(margin.byArraysRegardless(book).equity, int256(70e18));
        assertEq(margin.bySettledArrays(book).equity, int256(100e18));
    }

    function test_expired_option_is_unsettled_from_the_reports_time() public {
        list(BTC, expiry, 2);
        vm.warp(expiry - 1);
        report(BTC, 60_000e18);
        slice(BTC, expiry);
        publish(BTC);
        Book memory book = _one(listed[BTC][expiry][0], 1e18, 0);
        vm.warp(expiry);
        margin.byArrays(book); // the newest report is a second before
        report(BTC, 60_000e18);
        bytes memory unsettled = abi.encodeWithSelector(IMargin.Unsettled.selector, BTC, expiry);
        vm.expectRevert(unsettled);
        margin.byArrays(book);
        vm.expectRevert(unsettled);
        margin.byArraysRegardless(book);
        vm.expectRevert(unsettled);
        margin.byScenario(book, 0);
        vm.expectRevert(unsettled);
        margin.mark(listed[BTC][expiry][0]);
    }

    function test_unknown_row_reverts_and_none_has_no_scan() public {
        Book memory book = _one(perpetual(ETH), 1e18, 0);
        vm.expectRevert(abi.encodeWithSelector(IMargin.UnknownRow.selector, ETH, 18));
        margin.byScenario(book, 18 << 8);
        vm.expectRevert(abi.encodeWithSelector(IMargin.UnknownRow.selector, ETH, 254));
        margin.byScenario(book, 254 << 8);
        assertEq(margin.byScenario(book, 255 << 8).mm, 0);
        assertEq(margin.byScenario(book, 12 << 8).mm, 3_000e18 * 160_625 / 1e6 * 8 / 10);
        // A row in which it gains: no requirement, no credit.
        assertEq(margin.byScenario(book, 10 << 8).mm, 0);
        // 0.456875 · 3,000 · 35 %
        assertEq(margin.byScenario(book, 15 << 8).mm, 3_000e18 * 456_875 / 1e6 * 35 / 100 * 8 / 10);
    }

    function test_no_report_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IPrices.NoReport.selector, 7));
        margin.byArrays(_one(perpetual(7), 1e18, 0));
    }

    function test_beyond_the_bounds_of_its_arithmetic_it_reverts() public {
        int128 most = int128(1 << 120);
        margin.byArrays(_one(perpetual(USDX), most - 1, 0));
        margin.byArrays(_one(perpetual(USDX), 1 - most, 0));
        bytes memory beyond = abi.encodeWithSelector(IMargin.OutOfBounds.selector, USDX, 1e18, most, 0);
        vm.expectRevert(beyond);
        margin.byArrays(_one(perpetual(USDX), most, 0));
        vm.expectRevert(beyond);
        margin.byScenario(_one(perpetual(USDX), most, 0), 12 << 16);
        vm.expectPartialRevert(IMargin.OutOfBounds.selector);
        margin.byArrays(_one(perpetual(USDX), -most, 0));
        _byHand();
        most = int128(1 << 100);
        margin.byArrays(_one(_option(0), 1 - most, 0));
        vm.expectPartialRevert(IMargin.OutOfBounds.selector);
        margin.byArrays(_one(_option(0), -most, 0));
        report(ETH, 1 << 100);
        vm.expectPartialRevert(IMargin.OutOfBounds.selector);
        margin.byArrays(_one(perpetual(ETH), 1, 0));
    }

    function test_parameters_of_the_epoch_not_of_today() public {
        _byHand();
        ScanParameters memory p = coinScan();
        p.scan = 0.3e18;
        products.setScan(BTC, p);
        report(BTC, 60_750e18 + 1);
        vm.expectPartialRevert(IMargin.MovedTooFar.selector);
        margin.byArrays(_one(_option(0), 1e18, 0));
    }

    // ---- marks ----

    function test_put_call_parity_of_marks() public {
        list(BTC, expiry, 8);
        uint128 call = listed[BTC][expiry][2];
        uint128 put = listed[BTC][expiry][3];
        int256 forward = 60_600e18; // 1 % above the spot
        assertEq(int256(margin.mark(call)) - int256(margin.mark(put)), forward - int256(Instruments.strikeOf(call)));
        assertEq(margin.mark(perpetual(BTC)), 60_000e18);
    }

    function test_values_are_size_times_floored_mark() public {
        list(BTC, expiry, 4);
        uint256[] memory legs = new uint256[](3);
        (uint128 a, uint128 b) = (listed[BTC][expiry][1], listed[BTC][expiry][2]);
        (legs[0], legs[1], legs[2]) = (Legs.pack(a, -3), Legs.pack(perpetual(ETH), -2e18), Legs.pack(b, 5e18));
        int256[] memory fine = margin.values(legs);
        assertEq(fine[0], -3 * int256(margin.mark(a) / 1e12 * 1e12));
        assertEq(fine[1], -6_000e36);
        assertEq(fine[2], 5e18 * int256(margin.mark(b) / 1e12 * 1e12));
    }
}
