// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IRiskSteward} from "../../src/keeper/interfaces/IRiskSteward.sol";
import {Book, Check, Legs, MarginParameters} from "../../src/reference/Types.sol";
import {StewardBase} from "./StewardBase.sol";

/// @notice What writes do to accounts, on the real margin: the same books at the same second, with the writes and without.
contract StewardMarginTest is StewardBase {
    IRiskSteward.Field[18] private _fields;
    uint256 private constant NONE = type(uint256).max;

    struct Writes {
        uint8[6] which;
        uint256[6] numbers;
        uint16[6] gaps;
    }

    function setUp() public override {
        super.setUp();
        uint256 n;
        for (uint8 f; f <= uint8(type(IRiskSteward.Field).max); ++f) {
            try steward.terms(IRiskSteward.Field(f), 0) {
                _fields[n++] = IRiskSteward.Field(f);
            } catch {}
        }
        _skip(1 hours); // the least delay
        _refreshAll();
    }

    function _expiries(uint8) internal pure override returns (uint40[] memory list) {
        list = new uint40[](2);
        (list[0], list[1]) = (uint40(START + 8 days), uint40(START + 40 days));
    }

    function _strikes(uint8 underlying) internal pure override returns (uint64[] memory list) {
        list = new uint64[](2);
        (list[0], list[1]) = underlying == ETH ? (2_700e8, 3_200e8) : (55_000e8, 66_000e8);
    }

    /// Whatever is written, within a day of the first write no account's MM is more than without, arrays published in
    /// between or not, nor its equity other: who is healthy without is healthy with. Rates and a haircut may be on their way,
    /// and the guardian tightens and holds between.
    function testFuzz_what_is_healthy_at_a_write_is_not_liquidatable_within_its_grace(
        Writes memory w,
        uint256 seed,
        uint256 before,
        bool publish
    ) public {
        _write(IRiskSteward.Field.MmScalar, 9_500);
        _write(IRiskSteward.Field.Haircut, 1_200);
        _skip(bound(before, 1 hours, 2 * DAY + 1 hours));
        _refreshAll();
        uint256 state = vm.snapshotState();
        (uint256 time, uint256 end) = (block.timestamp, block.timestamp + bound(seed, 1, DAY));
        vm.warp(end);
        bytes memory without = _checks(seed, publish);
        vm.revertToState(state);
        vm.warp(time);
        for (uint256 i; i < 6; ++i) {
            if (block.timestamp + w.gaps[i] % 4 hours > end) break;
            vm.warp(block.timestamp + w.gaps[i] % 4 hours);
            if (w.gaps[i] % 3 == 0) _guard(w.which[i], w.numbers[i]);
            else _tryWrite(_fields[w.which[i] % 18], w.numbers[i]);
        }
        vm.warp(end);
        _noWorse(abi.decode(_checks(seed, publish), (Check[])), abi.decode(without, (Check[])));
    }

    /// And once all has gone its way the number written is what counts: so the grace is not all there is.
    function test_after_two_days_all_of_it_counts() public {
        Book memory book = _book(uint256(keccak256("short")));
        Check memory before = margin.byScenario(book, NONE);
        _write(IRiskSteward.Field.Haircut, 1_200);
        _write(IRiskSteward.Field.ConcentrationFrom, 700e18);
        _write(IRiskSteward.Field.ConcentrationRate, 300);
        Check memory at = margin.byScenario(book, NONE);
        assertEq(at.mm, before.mm);
        assertTrue(at.im > before.im, "IM at once");
        _skip(2 * DAY);
        _reports();
        Check memory later = margin.byScenario(book, NONE);
        uint256 collateral = uint256(uint128(book.collateral[0]));
        assertTrue(later.mm >= before.mm + collateral * ETH_PRICE / 1e18 * 200 / 10_000, "MM two days later");
    }

    /// Scan parameters half way up, written again: what was reported before is margined as before.
    function test_a_write_on_the_way_says_nothing_of_reports_before_it() public {
        _write(IRiskSteward.Field.Scan, 0.17e18);
        _skip(DAY + DAY / 2);
        _reports();
        Book memory book = _book(uint256(keccak256("short")));
        _skip(300);
        Check memory before = margin.byScenario(book, 0);
        _write(IRiskSteward.Field.Scan, 0.19e18);
        Check memory after_ = margin.byScenario(book, 0);
        assertEq(after_.im, before.im);
        assertEq(after_.mm, before.mm);
        _reports();
        assertTrue(margin.byScenario(book, 0).mm != before.mm, "and reports after it by what is in force");
    }

    /// Scan parameters half way up: arrays keep those of their own report, for linear legs too, until there are others.
    function test_arrays_keep_the_scan_of_their_report() public {
        _write(IRiskSteward.Field.Scan, 0.17e18);
        _skip(DAY + DAY / 2);
        _refreshAll();
        Book memory book = _book(uint256(keccak256("short")));
        Check memory before = margin.byArraysRegardless(book);
        _skip(6 hours);
        _reports();
        Check memory after_ = margin.byArraysRegardless(book);
        assertEq(after_.equity, before.equity);
        assertEq(after_.im, before.im);
        assertEq(after_.mm, before.mm);
        _refreshAll();
        assertTrue(margin.byArraysRegardless(book).mm != before.mm, "and other arrays by theirs");
    }

    /// One ETH in a haircut of 10 %, then 12 %: 3,000 · 2 % more for IM at once, for MM half of it after a day and a half.
    function test_haircuts_of_im_and_mm_by_hand() public {
        Book memory book;
        book.collateral = new uint256[](1);
        book.collateral[0] = WETH_COLLATERAL << 128 | 1e18;
        MarginParameters memory m = products.marginParameters(ETH);
        assertEq(m.confidenceFactor, 10_000);
        Check memory c = margin.byScenario(book, NONE);
        assertEq(c.im, 301.5e18); // 10 %, and a confidence of 0.05 %
        assertEq(c.mm, 301.5e18);
        _write(IRiskSteward.Field.Haircut, 1_200);
        c = margin.byScenario(book, NONE);
        assertEq(c.im, 361.5e18);
        assertEq(c.mm, 301.5e18);
        _skip(DAY + DAY / 2);
        _reports();
        c = margin.byScenario(book, NONE);
        assertEq(c.im, 361.5e18);
        assertEq(c.mm, 331.5e18);
    }

    /// A perpetual of one contract and concentration beyond 0: IM by the rate written, MM by the one in force.
    function test_contingencies_of_im_and_mm_by_hand() public {
        Book memory book;
        book.legs = new uint256[](1);
        book.legs[0] = Legs.pack(_perpetual(ETH), 2_000e18);
        Check memory c = margin.byScenario(book, NONE); // 1,000 beyond · 3,000 · 2 % + 6,000,000 · 0.05 %
        assertEq(c.im, 63_000e18);
        _write(IRiskSteward.Field.ConcentrationRate, 300);
        c = margin.byScenario(book, NONE);
        assertEq(c.im, 93_000e18);
        assertEq(c.mm, 63_000e18);
        _write(IRiskSteward.Field.ConfidenceFactor, 12_500);
        _skip(DAY + DAY / 2);
        _reports();
        c = margin.byScenario(book, NONE);
        assertEq(c.im, 93_750e18);
        assertEq(c.mm, 78_375e18);
    }

    // ---- the two worlds ----

    /// Within its terms, in time or not; what the venue or the steward refuses is not written.
    function _tryWrite(IRiskSteward.Field field, uint256 number) private {
        IRiskSteward.Terms memory terms = steward.terms(field, 0);
        uint256 found = steward.number(field, 0);
        uint256 low = found > uint256(terms.low) + terms.step ? found - terms.step : uint256(terms.low);
        uint256 high = found + terms.step < terms.high ? found + terms.step : uint256(terms.high);
        IRiskSteward.Change[] memory one = _one(_change(field, found, bound(number, low, high)));
        vm.prank(CONTROLLER);
        (bool done,) = address(steward).call(abi.encodeCall(IRiskSteward.write, (one)));
        done;
    }

    /// The guardian tightens or holds, the owner lifts: nothing of it may touch MM but to hold it.
    function _guard(uint256 which, uint256 seed) private {
        IRiskSteward.Field[4] memory his = [
            IRiskSteward.Field.ImScalar,
            IRiskSteward.Field.ShortImRate,
            IRiskSteward.Field.Cap,
            IRiskSteward.Field.LeastNotional
        ];
        IRiskSteward.Field field = his[which % 4];
        IRiskSteward.Terms memory terms = steward.terms(field, 0);
        bytes memory call =
            abi.encodeCall(IRiskSteward.tighten, (field, 0, uint128(bound(seed, terms.low, terms.high))));
        if (which % 7 == 0) call = abi.encodeCall(IRiskSteward.holdMargin, (ETH));
        if (which % 7 == 1) call = abi.encodeCall(IRiskSteward.holdHaircut, (0));
        vm.prank(GUARDIAN);
        (bool done,) = address(steward).call(call);
        if (done && seed % 2 == 0) steward.lift(field, 0);
    }

    /// Prices as ever; arrays of now, or those of before.
    function _checks(uint256 seed, bool publish) private returns (bytes memory) {
        if (publish) _refreshAll();
        else _reports();
        Check[] memory checks = new Check[](16);
        for (uint256 i; i < 4; ++i) {
            Book memory book = _book(uint256(keccak256(abi.encode(seed, i))));
            checks[4 * i] = margin.byArraysRegardless(book);
            checks[4 * i + 1] = margin.bySettledArraysRegardless(book);
            checks[4 * i + 2] = margin.byScenario(book, seed % 18 * 0x010101);
            checks[4 * i + 3] = margin.byLegs(book);
        }
        return abi.encode(checks);
    }

    function _noWorse(Check[] memory with_, Check[] memory without) private pure {
        for (uint256 i; i < with_.length; ++i) {
            assertEq(with_[i].equity, without[i].equity);
            assertLe(with_[i].mm, without[i].mm);
            assertLe(with_[i].mm, with_[i].im);
        }
    }

    function _refreshAll() private {
        _reports();
        _publishAll(ETH); // the underlying that is written to
    }

    function _reports() private {
        (,, uint40 at) = prices.quote(ETH);
        if (at == block.timestamp) return;
        _report(ETH, ETH_PRICE);
        _report(BTC, BTC_PRICE);
        _report(DAI, 1e18);
        _fitAll(ETH);
        _fitAll(BTC);
    }

    /// Eight legs up to ±1,500 contracts, perpetuals among them, and up to 100 ETH, 5 BTC and 90,000 DAI.
    function _book(uint256 seed) private view returns (Book memory book) {
        book.cash = int256(seed % 1e25) - 5e24;
        book.legs = new uint256[](8);
        for (uint256 i; i < 8; ++i) {
            uint256 draw = uint256(keccak256(abi.encode(seed, i)));
            uint8 u = uint8(i & 1);
            uint128 id = i < 2 ? _perpetual(u) : _option(u, i / 2 % 2, i / 4 % 2, draw % 2 == 0);
            book.legs[i] = Legs.pack(id, int128(int256(draw % 3_000e18) - 1_500e18));
        }
        book.collateral = new uint256[](3);
        book.collateral[0] = WETH_COLLATERAL << 128 | (1e18 + seed % 100e18);
        book.collateral[1] = WBTC_COLLATERAL << 128 | seed % 5e8;
        book.collateral[2] = DAI_COLLATERAL << 128 | seed % 90_000e18;
    }
}
