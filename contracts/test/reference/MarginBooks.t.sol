// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Book, Check, Legs, MarginParameters} from "../../src/reference/Types.sol";
import {MarginWorld} from "./MarginPeers.sol";

/// What must hold of any book, on correct arrays of two coins with three expiries each.
contract MarginBooksTest is MarginWorld {
    uint256 private constant NONE = type(uint256).max;

    function setUp() public override {
        super.setUp();
        for (uint8 u; u < 2; ++u) {
            list(u, start + 1 days, 4);
            list(u, start + 30 days, 4);
            list(u, start + 200 days, 4);
            publish(u);
            arrays.settle(u, 1);
        }
    }

    function _allRules() private {
        MarginParameters memory p = plainMargin();
        (p.shortImRate, p.shortMmRate, p.confidenceFactor) = (500, 300, 10_000);
        (p.concentrationRate, p.concentrationFrom) = (50, 100e18);
        products.setMargin(BTC, p);
        products.setMargin(ETH, p);
    }

    /// Up to `most` legs drawn from `seed`, perpetuals among them; sizes up to ±1,000 contracts to the wei.
    function _book(uint256 seed, uint256 most) private view returns (Book memory book) {
        book.cash = int256(seed % 1e25) - 5e24;
        book.legs = new uint256[](1 + seed % most);
        for (uint256 i; i < book.legs.length; ++i) {
            uint256 draw = uint256(keccak256(abi.encode(seed, i)));
            uint8 u = uint8(draw & 1);
            uint128 id = draw % 13 == 0 ? perpetual(u) : listed[u][expiries[u][(draw >> 8) % 3]][(draw >> 16) % 4];
            book.legs[i] = Legs.pack(id, int128(int256((draw >> 128) % 2e21) - 1e21));
        }
    }

    function _resized(Book memory book, int256 times) private pure returns (Book memory other) {
        other.cash = book.cash * times;
        other.legs = new uint256[](book.legs.length);
        for (uint256 i; i < book.legs.length; ++i) {
            other.legs[i] = Legs.pack(Legs.idOf(book.legs[i]), int128(Legs.sizeOf(book.legs[i]) * times));
        }
    }

    function _joined(Book memory a, Book memory b) private pure returns (Book memory both) {
        both.cash = a.cash + b.cash;
        both.legs = new uint256[](a.legs.length + b.legs.length);
        for (uint256 i; i < both.legs.length; ++i) {
            both.legs[i] = i < a.legs.length ? a.legs[i] : b.legs[i - a.legs.length];
        }
    }

    function _assertSame(Check memory a, Check memory b) private pure {
        assertEq(a.equity, b.equity);
        assertEq(a.im, b.im);
        assertEq(a.mm, b.mm);
    }

    /// A shortfall that one scenario shows is a shortfall by arrays too: never more, at any row of either coin.
    function testFuzz_proof_never_exceeds_correct_arrays(uint256 seed, uint256 btcRow, uint256 ethRow) public {
        _allRules();
        Book memory book = _book(seed, 16);
        uint256 rows = bound(btcRow, 0, 17) | bound(ethRow, 0, 17) << 8;
        (Check memory proof, Check memory whole) = (margin.byScenario(book, rows), margin.byArrays(book));
        assertEq(proof.equity, whole.equity);
        assertLe(proof.mm, whole.mm);
        assertLe(proof.im, whole.im);
    }

    /// A sum of worsts is at least the worst of the sum, at any row of either coin.
    function testFuzz_legs_alone_need_at_least_any_scenario(uint256 seed, uint256 btcRow, uint256 ethRow) public {
        _allRules();
        Book memory book = _book(seed, 16);
        uint256 rows = bound(btcRow, 0, 17) | bound(ethRow, 0, 17) << 8;
        (Check memory alone, Check memory proof) = (margin.byLegs(book), margin.byScenario(book, rows));
        assertEq(alone.equity, proof.equity);
        assertLe(proof.im, alone.im);
        assertLe(proof.mm, alone.mm);
    }

    /// What is short only pays no gap, so the worst row, recomputed, is the whole requirement: to the last integer.
    function testFuzz_worst_row_of_a_short_book_is_its_margin(uint256 seed) public {
        _allRules();
        Book memory book = _book(seed, 8);
        for (uint256 i; i < book.legs.length; ++i) {
            int256 size = Legs.sizeOf(book.legs[i]);
            if (size > 0) book.legs[i] = Legs.pack(Legs.idOf(book.legs[i]), int128(-size));
        }
        uint256 worst;
        for (uint8 u; u < 2; ++u) {
            (uint256 best, uint256 found) = (0, 0);
            for (uint256 row; row < 18; ++row) {
                uint256 rows = (NONE ^ (0xff << 8 * u)) | row << 8 * u;
                uint256 mm = margin.byScenario(book, rows).mm;
                if (mm > best) (best, found) = (mm, row);
            }
            worst |= found << 8 * u;
        }
        _assertSame(margin.byScenario(book, worst), margin.byArrays(book));
    }

    function testFuzz_order_of_legs_does_not_matter(uint256 seed) public {
        _allRules();
        Book memory book = _book(seed, 16);
        Book memory turned = _joined(book, Book(0, new uint256[](0), new uint256[](0)));
        uint256 n = book.legs.length;
        for (uint256 i; i < n; ++i) {
            turned.legs[i] = book.legs[n - 1 - i];
        }
        _assertSame(margin.byArrays(turned), margin.byArrays(book));
        _assertSame(margin.byScenario(turned, 0x0d0c), margin.byScenario(book, 0x0d0c));
    }

    /// A leg in two parts of one sign is the leg.
    function testFuzz_a_leg_in_two_parts_is_the_leg(uint256 seed, uint256 cut) public {
        _allRules();
        Book memory book = _book(seed, 8);
        Book memory parts = _joined(book, Book(0, new uint256[](1), new uint256[](0)));
        uint128 id = Legs.idOf(book.legs[0]);
        int256 size = Legs.sizeOf(book.legs[0]);
        int256 part = size * int256(bound(cut, 0, 1e18)) / 1e18;
        parts.legs[0] = Legs.pack(id, int128(part));
        parts.legs[book.legs.length] = Legs.pack(id, int128(size - part));
        _assertSame(margin.byArrays(parts), margin.byArrays(book));
        _assertSame(margin.byScenario(parts, 0x0d0c), margin.byScenario(book, 0x0d0c));
    }

    /// Without concentration and confidence, k times the book needs k times the margin, but for the account's one
    /// rounding.
    function testFuzz_scale(uint256 seed, uint256 times) public {
        MarginParameters memory p = plainMargin();
        (p.shortImRate, p.shortMmRate) = (500, 300);
        products.setMargin(BTC, p);
        products.setMargin(ETH, p);
        Book memory book = _book(seed, 16);
        uint256 k = bound(times, 2, 50);
        (Check memory once, Check memory more) = (margin.byArrays(book), margin.byArrays(_resized(book, int256(k))));
        assertLe(more.im, once.im * k);
        assertLe(once.im * k, more.im + k);
        assertLe(more.mm, once.mm * k);
        assertLe(once.mm * k, more.mm + k);
        assertLe(once.equity * int256(k), more.equity);
        assertLe(more.equity, once.equity * int256(k) + int256(k));
    }

    /// Two books in one account never need more than apart, whatever they net (no concentration; confidence rounds up
    /// once a coin: 10⁻⁴ of 10⁻³² USD, inside the account's own rounding).
    function testFuzz_together_never_needs_more_than_apart(uint256 one, uint256 other) public {
        MarginParameters memory p = plainMargin();
        (p.shortImRate, p.shortMmRate, p.confidenceFactor) = (500, 300, 10_000);
        products.setMargin(BTC, p);
        products.setMargin(ETH, p);
        (Book memory a, Book memory b) = (_book(one, 10), _book(other, 10));
        (Check memory left, Check memory right) = (margin.byArrays(a), margin.byArrays(b));
        Check memory both = margin.byArrays(_joined(a, b));
        assertLe(both.im, left.im + right.im);
        assertLe(both.mm, left.mm + right.mm);
        assertLe(left.equity + right.equity, both.equity);
        assertLe(both.equity, left.equity + right.equity + 1);
    }

    /// Wherever the price stands inside the limit, every source agrees on what it does not judge: the settled epoch
    /// here is the newest, and `Regardless` only leaves out the checks.
    function testFuzz_sources_agree_on_one_epoch(uint256 seed, uint256 price) public {
        _allRules();
        report(BTC, uint128(bound(price, 59_250e18, 60_750e18)));
        Book memory book = _book(seed, 16);
        Check memory newest = margin.byArrays(book);
        _assertSame(margin.bySettledArrays(book), newest);
        _assertSame(margin.byArraysRegardless(book), newest);
    }

    /// The values of all legs and cash are the equity.
    function testFuzz_values_add_up_to_equity(uint256 seed) public view {
        Book memory book = _book(seed, 16);
        int256 sum = book.cash * 1e18;
        int256[] memory fine = margin.values(book.legs);
        for (uint256 i; i < fine.length; ++i) {
            sum += fine[i];
        }
        int256 equity = margin.byScenario(book, NONE).equity;
        assertLe(equity * 1e18, sum);
        assertLe(sum, (equity + 1) * 1e18 - 1);
    }

    /// Long call and short put at one strike, the reverse at another: worth the same everywhere. Each of the four words
    /// of a row is floored once, so 4 units of loss at most, 80 % of it, and one unit a leg; with arrays, at most twice the
    /// gap word of an option bought beside.
    function testFuzz_box_needs_only_gap_and_units(uint256 contracts) public view {
        uint256 size = bound(contracts, 1e15, 1e24);
        uint128[] storage ids = listed[BTC][expiries[BTC][1]];
        Book memory box;
        box.legs = new uint256[](4);
        for (uint256 i; i < 4; ++i) {
            box.legs[i] = Legs.pack(ids[i], i == 0 || i == 3 ? int128(int256(size)) : -int128(int256(size)));
        }
        for (uint256 row; row < 18; ++row) {
            assertLe(margin.byScenario(box, row).mm, size * 72 / 1e7 + 1);
        }
        uint256 gaps;
        for (uint256 i; i < 4; i += 3) {
            Book memory alone = Book(0, new uint256[](1), new uint256[](0));
            alone.legs[0] = box.legs[i];
            // Worst row of the grid without the gap, all 14 of them.
            uint256 bare;
            for (uint256 row; row < 18; ++row) {
                uint256 mm = margin.byScenario(alone, row).mm;
                if (mm > bare) bare = mm;
            }
            gaps += margin.byArrays(alone).mm - bare;
        }
        assertLe(margin.byArrays(box).mm, gaps + size * 72 / 1e7 + 1);
    }
}
