// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {AuctionMath} from "../../src/reference/AuctionMath.sol";
import {BPS, Book, Legs, WAD} from "../../src/reference/Types.sol";
import {Test} from "../Vm.sol";

contract AuctionMathTest is Test {
    uint256 private constant NO_LIMIT = type(uint256).max;

    /// A book's MM as the contracts state it: a linear part and two underlyings with thresholds.
    struct Model {
        uint256 linear;
        uint256[2] rate; // USD wad per contract beyond the threshold
        uint256[2] held; // contracts, wad
        uint256[2] from;
        AuctionMath.Terms terms;
        uint256 buffer;
    }

    function _terms(int256 equity, uint256 mm, uint256 share) private pure returns (AuctionMath.Terms memory) {
        return AuctionMath.Terms(equity, mm, share, 10);
    }

    function _none() private pure returns (AuctionMath.Concentration[] memory) {
        return new AuctionMath.Concentration[](1);
    }

    // ---- by hand ----

    /// E 60, MM 100, buffer 20 %, discount 10: 60 − 10φ = 120(1 − φ) at φ = 60 / 110.
    function test_fraction_by_hand() public pure {
        uint256 fraction = AuctionMath.largest(_terms(60e18, 100e18, 1000), _none(), 2000);
        assertLe(fraction, uint256(545454545454545454));
        assertLe(uint256(545454545454545453), fraction);
    }

    /// Equity 5, discount 10: the account gives its 5, the fund the other 5 while it has them.
    function test_a_discount_beyond_equity_is_the_funds() public pure {
        AuctionMath.Terms memory terms = _terms(5e18, 100e18, 1000);
        assertEq(AuctionMath.largest(terms, _none(), 2000), WAD);
        AuctionMath.Payment memory paid = AuctionMath.payment(terms, WAD, 5e18, 100e18, NO_LIMIT);
        assertEq(paid.price, -5e18 + 1);
        assertEq(paid.fromFund, 5e18);
        assertEq(paid.shared, 0);
        assertEq(AuctionMath.quote(terms, WAD, 0), -5e18);
        paid = AuctionMath.payment(terms, WAD, 5e18, 2e18, NO_LIMIT);
        assertEq(paid.price, -2e18 + 1);
        assertEq(paid.fromFund, 2e18);
        assertEq(paid.unpaid, 3e18);
        assertEq(AuctionMath.quote(terms, WAD, paid.unpaid), -2e18);
    }

    /// Equity −30, discount 10, fund 100, allowance 4: all of the deficit, 4 of the bonus; none left, none of it. Half
    /// an account asks for half the bonus, and gets that.
    function test_a_bonus_ends_with_its_allowance_and_debt_does_not() public pure {
        AuctionMath.Terms memory terms = _terms(-30e18, 100e18, 1000);
        AuctionMath.Payment memory paid = AuctionMath.payment(terms, WAD, -30e18 - 1, 100e18, 4e18);
        assertEq(paid.fromFund, 34e18);
        assertEq(paid.bonus, 4e18);
        assertEq(paid.unpaid, 6e18);
        assertEq(paid.price, -34e18);
        assertEq(AuctionMath.quote(terms, WAD, paid.unpaid), -34e18);
        paid = AuctionMath.payment(terms, WAD, -30e18 - 1, 100e18, 0);
        assertEq(paid.fromFund, 30e18);
        assertEq(paid.price, -30e18);
        paid = AuctionMath.payment(terms, WAD / 2, -15e18 - 1, 100e18, 6e18);
        assertEq(paid.bonus, 5e18);
        assertEq(paid.unpaid, 0);
        // The fund's own end comes first where it is nearer.
        paid = AuctionMath.payment(terms, WAD, -30e18 - 1, 33e18, 4e18);
        assertEq(paid.bonus, 3e18);
    }

    /// Equity −30, discount 10, fund 32: in one piece or two, 30 for the deficit, 2 for the bonus, nothing shared.
    function test_slices_do_not_turn_the_funds_cover_into_bonus() public pure {
        AuctionMath.Payment memory paid =
            AuctionMath.payment(_terms(-30e18, 100e18, 1000), WAD / 2, -15e18 - 1, 32e18, NO_LIMIT);
        assertEq(paid.fromFund, 17e18);
        assertEq(paid.unpaid, 3e18);
        paid = AuctionMath.payment(_terms(-15e18, 50e18, 1000), WAD, -15e18 - 1, 15e18, NO_LIMIT);
        assertEq(paid.fromFund, 15e18);
        assertEq(paid.shared, 0);
        assertEq(paid.price, -15e18);
    }

    /// Equity −30, discount 10, fund 12: 12 of the deficit from the fund, 18 shared, no bonus.
    function test_a_deficit_beyond_the_fund_is_shared() public pure {
        AuctionMath.Terms memory terms = _terms(-30e18, 100e18, 1000);
        assertEq(AuctionMath.largest(terms, _none(), 2000), WAD);
        AuctionMath.Payment memory paid = AuctionMath.payment(terms, WAD, -30e18 - 1, 12e18, NO_LIMIT);
        assertEq(paid.price, -30e18);
        assertEq(paid.fromFund, 12e18);
        assertEq(paid.shared, 18e18);
        assertEq(paid.unpaid, 10e18);
        // A rich fund adds the bonus; half the account, half of both.
        paid = AuctionMath.payment(terms, WAD / 2, -15e18 - 1, 100e18, NO_LIMIT);
        assertEq(paid.price, -20e18);
        assertEq(paid.fromFund, 20e18);
        assertEq(paid.shared, 0);
    }

    /// MM 100 of which 40 concentration (rate 1, held 100, threshold 60): after 20 % MM is 48 + 20 = 68, not 80.
    function test_concentration_makes_the_take_smaller() public pure {
        AuctionMath.Concentration[] memory parts = new AuctionMath.Concentration[](1);
        parts[0] = AuctionMath.Concentration(40e18, 60e18);
        AuctionMath.Terms memory terms = _terms(80e18, 100e18, 0);
        assertEq(AuctionMath.requirementAfter(terms, parts, 0.2e18), uint256(68e18) + 10);
        assertEq(AuctionMath.requirementAfter(terms, parts, 0.5e18), uint256(30e18) + 10);
        // 80 = 1.2 · (100 − 160φ) at φ = 40 / 192; without concentration 40 / 120.
        assertLe(AuctionMath.largest(terms, parts, 2000), uint256(208333333333333333));
        assertLe(uint256(208333333333333332), AuctionMath.largest(terms, parts, 2000));
        // Equity 30 passes the threshold's end (φ = 0.4, MM 36): 30 = 1.2 · 60(1 − φ) at φ = 7 / 12.
        terms.equity = 30e18;
        assertLe(AuctionMath.largest(terms, parts, 2000), uint256(583333333333333333));
        assertLe(uint256(583333333333333332), AuctionMath.largest(terms, parts, 2000));
    }

    function test_nothing_to_take_above_the_buffer() public pure {
        assertEq(AuctionMath.largest(_terms(120e18, 100e18, 1000), _none(), 2000), 0);
        assertTrue(!AuctionMath.meaningful(_terms(99e18, 100e18, 1000), 0), "nothing is no take");
        assertTrue(!AuctionMath.meaningful(_terms(99, 100, 1000), 0.1e18), "dust is no take");
    }

    // ---- fuzz ----

    function _model(uint256 seed) private pure returns (Model memory model) {
        uint256 mm = model.linear = 1e12 + _draw(seed, 0, 1e27);
        for (uint256 i; i < 2; ++i) {
            model.rate[i] = _draw(seed, 1 + i, 1e22);
            model.held[i] = _draw(seed, 3 + i, 1e22);
            model.from[i] = _draw(seed, 5 + i, 2e22);
        }
        mm = _requirement(model, WAD);
        model.terms.mm = mm;
        model.terms.equity = int256(_draw(seed, 7, 2 * mm)) - int256(mm) - 1;
        model.terms.discount = _draw(seed, 8, BPS - 1);
        model.terms.grain = 10 + _draw(seed, 9, 1e9);
        model.buffer = 1 + _draw(seed, 10, BPS - 1);
    }

    function _draw(uint256 seed, uint256 salt, uint256 most) private pure returns (uint256) {
        uint256 word = uint256(keccak256(abi.encode(seed, salt)));
        // A third of the draws small, so that thresholds, equal cases and dust are met.
        return word % 3 == 0 ? (word >> 8) % (most / 1e6 + 2) % (most + 1) : (word >> 8) % (most + 1);
    }

    /// Exact to the wei of each term, rounded up.
    function _requirement(Model memory model, uint256 left) private pure returns (uint256 mm) {
        mm = (model.linear * left + WAD - 1) / WAD;
        for (uint256 i; i < 2; ++i) {
            uint256 held = model.held[i] * left; // 1e-36 contracts
            if (held > model.from[i] * WAD) {
                mm += (held - model.from[i] * WAD) * (model.rate[i] / 1e4) / (WAD * (WAD / 1e4));
            }
        }
    }

    function _parts(Model memory model) private pure returns (AuctionMath.Concentration[] memory parts) {
        parts = new AuctionMath.Concentration[](2);
        for (uint256 i; i < 2; ++i) {
            if (model.held[i] <= model.from[i]) continue;
            uint256 rate = model.rate[i] / 1e4 * 1e4;
            parts[i].charge = ((model.held[i] - model.from[i]) * rate + WAD - 1) / WAD;
            parts[i].free = (model.from[i] * rate + WAD - 1) / WAD;
        }
    }

    /// Never above the buffer even with every rounding against us, and within five grains of it.
    /// forge-config: default.fuzz.runs = 10000
    function test_a_take_restores_to_the_buffer_and_never_more(uint256 seed) public pure {
        Model memory model = _model(seed);
        AuctionMath.Terms memory terms = model.terms;
        uint256 fraction = AuctionMath.largest(terms, _parts(model), model.buffer);
        assertLe(fraction, WAD);
        if (terms.equity <= 0) assertEq(fraction, WAD);
        if (fraction == WAD || fraction == 0) return;
        (, uint256 borne) = AuctionMath.discounts(terms);
        uint256 target = (BPS + model.buffer) * _requirement(model, WAD - fraction);
        uint256 equity = uint256(terms.equity) - fraction * borne / WAD;
        uint256 slack = terms.grain;
        assertLe((equity + slack + 3) * BPS + (BPS + model.buffer) * slack, target);
        // φ itself is floored to 1e-18, worth at most 2e-18 of MM and all concentration.
        uint256 step = (2 * (terms.mm + _free(model))) / WAD + 10;
        assertLe(target, (equity + 5 * slack + step) * BPS);
    }

    function _free(Model memory model) private pure returns (uint256 free) {
        AuctionMath.Concentration[] memory parts = _parts(model);
        for (uint256 i; i < 2; ++i) {
            free += parts[i].free;
        }
    }

    /// An account gives away all it has only if no smaller take reaches the buffer.
    /// forge-config: default.fuzz.runs = 10000
    function test_the_whole_account_only_where_no_part_restores(uint256 seed, uint256 left) public pure {
        Model memory model = _model(seed);
        AuctionMath.Terms memory terms = model.terms;
        if (AuctionMath.largest(terms, _parts(model), model.buffer) != WAD || terms.equity <= 0) return;
        left = bound(left, 1, WAD);
        (, uint256 borne) = AuctionMath.discounts(terms);
        uint256 equity = uint256(terms.equity) - (WAD - left) * borne / WAD;
        assertLe(equity * BPS, (BPS + model.buffer) * (_requirement(model, left) + terms.grain) + 10 * BPS);
    }

    /// Whatever truncation does within the grain: excess never falls, equity ÷ MM never falls while equity > 0,
    /// and what the account gets, what the taker pays and what fund and creditors give add up.
    /// forge-config: default.fuzz.runs = 10000
    function test_a_take_never_leaves_the_account_worse(uint256 seed, uint256 fraction, int256 off, uint256 held)
        public
        pure
    {
        Model memory model = _model(seed);
        AuctionMath.Terms memory terms = model.terms;
        uint256 most = AuctionMath.largest(terms, _parts(model), model.buffer);
        fraction = bound(fraction, 0, most);
        if (!AuctionMath.meaningful(terms, fraction)) return;
        held = bound(held, 0, 2 * terms.mm);
        int256 slack = fraction == WAD ? int256(0) : int256(terms.grain);
        off = slack == 0 ? int256(0) : off % (slack - 2);
        int256 value = terms.equity * int256(fraction) / 1e18 + off;
        AuctionMath.Payment memory paid = AuctionMath.payment(terms, fraction, value, held, _draw(seed, 11, terms.mm));
        assertLe(paid.fromFund, held);
        assertLe(paid.bonus, _draw(seed, 11, terms.mm));

        int256 afterwards = terms.equity - value + paid.price + int256(paid.fromFund + paid.shared);
        _assertNoWorse(terms, afterwards, _requirement(model, WAD - fraction) + uint256(slack));
        _assertTakerPays(terms, fraction, value, paid);
    }

    function _assertNoWorse(AuctionMath.Terms memory terms, int256 equity, uint256 mm) private pure {
        assertLe(terms.equity - int256(terms.mm), equity - int256(mm));
        if (terms.equity > 0) assertLe(terms.equity * int256(mm), equity * int256(terms.mm));
        else assertLe(terms.equity, equity);
    }

    /// Never less than the part's worth without the discount on it, and shared loss only beyond the fund.
    function _assertTakerPays(
        AuctionMath.Terms memory terms,
        uint256 fraction,
        int256 value,
        AuctionMath.Payment memory paid
    ) private pure {
        (uint256 whole,) = AuctionMath.discounts(terms);
        assertLe(value - int256(whole * fraction / WAD), paid.price);
        if (terms.equity > 0) assertEq(paid.shared, 0);
        if (paid.shared > 0) assertLe(int256(paid.shared), -value);
    }

    /// forge-config: default.fuzz.runs = 10000
    function test_what_moves_never_passes_its_share(int128 size, uint128 amount, int96 cash, uint256 fraction)
        public
        pure
    {
        fraction = bound(fraction, 0, WAD);
        Book memory book = Book(cash, new uint256[](2), new uint256[](1));
        book.legs[0] = Legs.pack(7, size);
        book.legs[1] = Legs.pack(9, size > 0 ? int128(-1) : int128(1));
        book.collateral[0] = 5 << 128 | uint256(amount);
        Book memory part = AuctionMath.moved(book, fraction);
        assertLe(_distance(cash, part.cash, fraction), WAD - 1);
        assertEq(part.collateral[0] >> 128, 5);
        assertLe(uint256(uint128(part.collateral[0])) * WAD, uint256(amount) * fraction);
        assertLe(uint256(amount) * fraction, uint256(uint128(part.collateral[0])) * WAD + WAD - 1);
        if (part.legs.length == 0) return;
        if (fraction == WAD) assertEq(part.legs[part.legs.length - 1], book.legs[1]);
        if (Legs.idOf(part.legs[0]) == 7) assertLe(_distance(size, Legs.sizeOf(part.legs[0]), fraction), WAD - 1);
    }

    /// |whole|·φ − |part|·W, which must not be negative: a part never passes its share, nor changes sides.
    function _distance(int256 whole, int256 part, uint256 fraction) private pure returns (uint256) {
        assertTrue(part == 0 || (whole < 0) == (part < 0), "sides");
        uint256 share = uint256(whole < 0 ? -whole : whole) * fraction;
        return share - uint256(part < 0 ? -part : part) * WAD;
    }
}
