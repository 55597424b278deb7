// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {BPS, Book, Legs, WAD} from "./Types.sol";
import {Rounding} from "./math/Rounding.sol";

/// What a take moves and pays, as pure functions of the state it finds. USD in wad; shares in BPS; fractions in wad.
///
/// With equity E, requirement MM, discount D = MM × share and the part of it the account can bear,
/// Da = min(D, max(E, 0)), a take of φ leaves the account E − φ·Da (for E ≤ 0: (1 − φ)·E).
library AuctionMath {
    using Legs for uint256;

    /// Leading terms of a take. `grain` bounds what truncating the moved amounts to whole units can change E or MM by.
    struct Terms {
        int256 equity;
        uint256 mm;
        uint256 discount; // share of MM, BPS
        uint256 grain; // >= 3 wei, the account's own roundings
    }

    /// One underlying's concentration contingency: `charge` is what it adds to MM now, rate × price × (held − free),
    /// and `free` the same rate × price on the contracts below the threshold; 0, 0 where nothing is charged.
    struct Concentration {
        uint256 charge;
        uint256 free;
    }

    /// `price` is what the taker pays (negative: receives); `fromFund` and `shared` are part of what he receives;
    /// `bonus` is what the fund adds to the discount, part of `fromFund`; `unpaid` what it could not or may not.
    struct Payment {
        int256 price;
        uint256 fromFund;
        uint256 shared;
        uint256 unpaid;
        uint256 bonus;
    }

    /// Share of the discount after `elapsed` seconds: linear from 0 to `cap`, which it reaches after `growth`.
    function grown(uint256 elapsed, uint256 cap, uint256 growth) internal pure returns (uint256) {
        return elapsed < growth ? cap * elapsed / growth : cap;
    }

    /// Discount on the whole account, and the part of it that the account bears.
    function discounts(Terms memory terms) internal pure returns (uint256 whole, uint256 borne) {
        whole = terms.mm * terms.discount / BPS;
        borne = terms.equity <= 0 ? 0 : whole < uint256(terms.equity) ? whole : uint256(terms.equity);
    }

    /// The largest fraction that leaves the account at or below (1 + buffer) × MM.
    /// Without concentration MM is linear in what is left and the answer is one division. Concentration makes it
    /// convex, so the tangent at any point lies below it: Newton's steps from φ = 0 never pass the root, and as MM is
    /// piecewise linear they end after at most one step an underlying.
    function largest(Terms memory terms, Concentration[] memory parts, uint256 buffer)
        internal
        pure
        returns (uint256 fraction)
    {
        if (terms.equity <= 0) return WAD;
        while (fraction < WAD) {
            (uint256 base, uint256 free) = tangent(terms.mm, parts, WAD - fraction);
            uint256 next = _root(terms, base, free, BPS + buffer);
            if (next <= fraction) break;
            fraction = next;
        }
    }

    /// MM of what is left on the linear piece that holds x = `left`: base − (1 − x)·(base + free).
    function tangent(uint256 mm, Concentration[] memory parts, uint256 left)
        internal
        pure
        returns (uint256 base, uint256 free)
    {
        base = mm;
        for (uint256 i; i < parts.length; ++i) {
            if (left * (parts[i].charge + parts[i].free) > parts[i].free * WAD) free += parts[i].free;
            else base = base > parts[i].charge ? base - parts[i].charge : 0;
        }
    }

    /// φ of E + slack − φ·Da = (1 + buffer)·(base − φ·(base + free)), rounded down, at most 1.
    function _root(Terms memory terms, uint256 base, uint256 free, uint256 target) private pure returns (uint256) {
        (uint256 whole, uint256 borne) = discounts(terms);
        uint256 equity = uint256(terms.equity);
        // Discounted to nothing: equity and requirement shrink together and only the whole account restores anything.
        if (equity <= whole && free == 0 && equity * BPS < target * base) return WAD;
        // Four grains: E after may be one higher, MM after one lower, and 1 + buffer <= 2.
        uint256 reached = BPS * (equity + 4 * terms.grain);
        if (target * base <= reached) return 0;
        uint256 fraction = (target * base - reached) * WAD / (target * (base + free) - BPS * borne);
        return fraction < WAD ? fraction : WAD;
    }

    /// Whether truncation to whole units is small beside what the take frees; smaller takes could lower the excess.
    function meaningful(Terms memory terms, uint256 fraction) internal pure returns (bool) {
        (, uint256 borne) = discounts(terms);
        if (fraction == 0) return false;
        return fraction == WAD || fraction * (terms.mm - borne) >= 2 * terms.grain * WAD;
    }

    /// What a fraction of the book moves, each amount truncated toward zero; legs of nothing are left out.
    function moved(Book memory book, uint256 fraction) internal pure returns (Book memory part) {
        part.cash = book.cash * int256(fraction) / int256(WAD);
        part.legs = new uint256[](book.legs.length);
        uint256 count;
        for (uint256 i; i < book.legs.length; ++i) {
            int256 size = book.legs[i].sizeOf() * int256(fraction) / int256(WAD);
            if (size != 0) part.legs[count++] = Legs.pack(book.legs[i].idOf(), int128(size));
        }
        uint256[] memory legs = part.legs;
        assembly ("memory-safe") {
            mstore(legs, count)
        }
        part.collateral = new uint256[](book.collateral.length);
        for (uint256 i; i < book.collateral.length; ++i) {
            uint256 amount = uint256(uint128(book.collateral[i])) * fraction / WAD;
            part.collateral[i] = book.collateral[i] >> 128 << 128 | amount;
        }
    }

    /// Equity of the part that moves, rounded down: what byScenario would say of `moved`, without asking again.
    /// `values` are the legs' in fine units (10⁻³⁶ USD), exact multiples of their sizes; `units` the price of one base
    /// unit of each collateral, fine.
    function worthOf(Book memory book, int256[] memory values, uint256[] memory units, uint256 fraction)
        internal
        pure
        returns (int256)
    {
        int256 part = int256(fraction);
        int256 fine = book.cash * part / int256(WAD) * int256(WAD);
        uint256[] memory legs = book.legs;
        for (uint256 i; i < values.length; ++i) {
            int256 size = legs[i].sizeOf();
            // Unchecked: a fraction of what margin has multiplied and added without overflow.
            unchecked {
                fine += values[i] / size * (size * part / int256(WAD));
            }
        }
        for (uint256 i; i < units.length; ++i) {
            fine += int256(units[i] * (uint256(uint128(book.collateral[i])) * fraction / WAD));
        }
        return Rounding.fdiv(fine, int256(WAD));
    }

    /// The split of the payment for a part worth `value` (its equity at the marks, rounded down), the fund holding
    /// `fundHeld` and allowed to add `bonusLeft` to discounts: where that runs out the discount is as much smaller, and
    /// debt is paid all the same. Every rounding is against the taker.
    function payment(Terms memory terms, uint256 fraction, int256 value, uint256 fundHeld, uint256 bonusLeft)
        internal
        pure
        returns (Payment memory paid)
    {
        (uint256 whole, uint256 borne) = discounts(terms);
        int256 worth = value + 1;
        uint256 deficit;
        if (terms.equity > 0) {
            paid.price = worth - int256(_charged(terms, fraction, borne));
        } else if (worth < 0) {
            deficit = uint256(-worth);
            paid.fromFund = deficit < fundHeld ? deficit : fundHeld;
            paid.shared = deficit - paid.fromFund;
        } else {
            paid.price = worth;
        }
        uint256 due = fraction * (whole - borne) / WAD;
        uint256 spare = _spare(terms, deficit, fundHeld);
        if (bonusLeft < spare) spare = bonusLeft;
        paid.bonus = due < spare ? due : spare;
        paid.unpaid = due - paid.bonus;
        paid.fromFund += paid.bonus;
        paid.price -= int256(deficit + paid.bonus);
    }

    /// What the fund has beyond the whole account's deficit: a bonus on one slice must not use up the cover of the next.
    function _spare(Terms memory terms, uint256 deficit, uint256 fundHeld) private pure returns (uint256) {
        uint256 whole = terms.equity < 0 ? uint256(-terms.equity) : 0;
        if (whole < deficit) whole = deficit; // by a rounding
        return fundHeld > whole ? fundHeld - whole : 0;
    }

    /// The account's part of the discount: φ·Da, and never so much that truncation could lower equity ÷ MM.
    function _charged(Terms memory terms, uint256 fraction, uint256 borne) private pure returns (uint256 charged) {
        charged = fraction * borne / WAD;
        if (fraction == WAD) return charged;
        uint256 equity = uint256(terms.equity);
        uint256 share = fraction * equity / WAD;
        uint256 reserve = (equity * terms.grain + terms.mm - 1) / terms.mm;
        uint256 most = share > reserve ? share - reserve : 0;
        if (charged > most) charged = most;
    }

    /// Upper bound of MM after a take of `fraction`; what tells that it ended the auction.
    function requirementAfter(Terms memory terms, Concentration[] memory parts, uint256 fraction)
        internal
        pure
        returns (uint256)
    {
        if (fraction == WAD) return 0;
        uint256 left = WAD - fraction;
        (uint256 base, uint256 free) = tangent(terms.mm, parts, left);
        uint256 linear = (left * (base + free) + WAD - 1) / WAD;
        return (linear > free ? linear - free : 0) + terms.grain;
    }

    /// Price of the whole account that a payment stands for: E − D, less what the fund did not add.
    function quote(Terms memory terms, uint256 fraction, uint256 unpaid) internal pure returns (int256) {
        (uint256 whole,) = discounts(terms);
        return terms.equity - int256(whole) + int256((unpaid * WAD + fraction - 1) / fraction);
    }
}
