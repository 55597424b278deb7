// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {BPS, GRID_ROWS, MarginParameters, NO_SCENARIO, ROWS, UNIT, WAD, WORDS} from "../Types.sol";
import {IMargin} from "../interfaces/IMargin.sol";
import {Rounding} from "../math/Rounding.sol";
import {Scan} from "../math/Scan.sol";
import {Words} from "../math/Words.sol";
import {ALL_ROWS, Group, LEGS_ALONE} from "./Portfolios.sol";

/// From a group's sums to its requirement: docs/risk-arrays.md, "Margin of an account". Exact integers throughout; the
/// account is rounded once, by the caller. Fine units are 10⁻³⁶ USD.
library Requirements {
    /// How far the marks moved with the price since the epoch: by the delta, and against the account by all that its
    /// short options can bend.
    function setDrift(Group memory g) internal pure {
        if (g.price == g.epochPrice) return;
        int256 x = (int256(g.price) - int256(g.epochPrice)) * int256(WAD) / int256(g.epochPrice);
        uint256 bend = uint256(g.words[Words.BEND]) * uint256(x < 0 ? -x : x);
        g.drift =
            Rounding.fdiv(g.words[Words.DELTA] * x, int256(WAD)) - int256(Rounding.cdiv(bend, Scan.moveLimit(g.scan)));
    }

    /// Mark value, fine [M].
    function markValue(Group memory g) internal pure returns (int256) {
        return (g.words[Words.MARK] + g.drift) * int256(UNIT) + g.linear * int256(g.price);
    }

    /// Loss of the rows that count, each by its cover: fine × BPS, >= 0.
    function worstLoss(Group memory g, int256 marked) internal pure returns (uint256) {
        if (g.row == NO_SCENARIO) return 0;
        _requireBounded(g);
        if (g.row == LEGS_ALONE) return uint256(g.words[Words.FIRST_ROW]) * UNIT + _worstLinear(g);
        if (g.row == ALL_ROWS && g.expiries == 0) return _worstLinear(g);
        uint256[ROWS] memory factors = g.expiries == 0 ? Scan.prices(g.scan) : g.factors;
        int256 worst = g.row == ALL_ROWS ? _worst(g, marked, factors) : _loss(g, marked, factors, g.row);
        return worst > 0 ? uint256(worst) : 0;
    }

    /// Requirements of a group, fine × BPS²: IM by the numbers written, MM by those in force for it.
    function charge(Group memory g, uint256 worst) internal pure returns (uint256 im, uint256 mm) {
        (MarginParameters memory m, MarginParameters memory n) = (g.rates, g.ratesMm);
        uint256 shorts = g.shorts * g.price * BPS;
        uint256 grain = g.options * UNIT * BPS * BPS; // one unit a leg for the words
        uint256 common = _contingencies(g, m);
        im = _max(worst * m.imScalar, shorts * m.shortImRate) + (common + g.haircut * g.price) * BPS + grain;
        if (_differ(m, n)) common = _contingencies(g, n);
        mm = _max(worst * n.mmScalar, shorts * n.shortMmRate) + (common + g.haircutMm * g.price) * BPS + grain;
    }

    /// What the unchecked sums below rest on: a row's price is below 2¹⁰⁰ · 2⁶⁷ / WAD < 2¹⁰⁸, so linear legs are worth less
    /// than 2²²⁸; options below 2¹⁰⁰ · 2⁸⁹ units (a word, or a value of a forward below 2¹²⁸ wad), each 2⁴⁰, so 2²²⁹; and
    /// any loss, by BPS, less than 2²⁴⁶. The largest legal account has 1.3·10²⁸ < 2⁹⁴ contracts.
    function _requireBounded(Group memory g) private pure {
        uint256 linear = uint256(g.linear < 0 ? -g.linear : g.linear);
        if (g.epochPrice >> 100 != 0 || linear >> 120 != 0 || g.options >> 100 != 0) {
            revert IMargin.OutOfBounds(uint8(g.underlying), g.epochPrice, g.linear, g.options);
        }
    }

    /// Of all rows, with the gap charge on those of the grid.
    function _worst(Group memory g, int256 marked, uint256[ROWS] memory factors) private pure returns (int256 worst) {
        int256[WORDS] memory words = g.words;
        // Two rows share each grid price, and all of the grid shares the gap charge and the cover: so the lowest value
        // first, the loss once.
        int256 lowest = type(int256).max;
        (int256 linear, uint256 price) = (g.linear, g.epochPrice);
        assembly ("memory-safe") {
            let at := add(words, 128) // FIRST_ROW
            let factor := factors
            for { let end := add(at, mul(32, GRID_ROWS)) } lt(at, end) { at := add(at, 64) } {
                let worth := mload(at)
                let other := mload(add(at, 32))
                if slt(other, worth) { worth := other }
                worth := add(mul(worth, UNIT), mul(linear, div(mul(price, mload(factor)), WAD)))
                if slt(worth, lowest) { lowest := worth }
                factor := add(factor, 64)
            }
        }
        unchecked {
            int256 gap = words[Words.GAP];
            worst = (marked - lowest + (gap - words[Words.MARK]) * int256(UNIT)) * int256(BPS);
        }
        for (uint256 row = GRID_ROWS; row < ROWS; ++row) {
            int256 loss = _loss(g, marked, factors, row);
            if (loss > worst) worst = loss;
        }
    }

    /// Of one row by its cover, without gap charge [(M − A_s) · cover_s].
    function _loss(Group memory g, int256 marked, uint256[ROWS] memory factors, uint256 row)
        private
        pure
        returns (int256)
    {
        unchecked {
            int256 options = g.words[Words.MARK] + g.words[Words.FIRST_ROW + row];
            int256 worth = options * int256(UNIT) + _linear(g, factors[row]);
            return (marked - worth) * int256(Scan.cover(g.scan, row));
        }
    }

    /// Of the linear legs alone, >= 0: no row loses more than the outermost one on their side.
    function _worstLinear(Group memory g) private pure returns (uint256 worst) {
        if (g.linear == 0) return 0;
        bool rise = g.linear < 0;
        uint256[3] memory factors = Scan.ends(g.scan, rise);
        uint256[3] memory covers = [BPS, uint256(g.scan.extremeCover), rise ? g.scan.deepUpCover : g.scan.deepDownCover];
        for (uint256 i; i < 3; ++i) {
            unchecked {
                int256 loss = (g.linear * int256(g.price) - _linear(g, factors[i])) * int256(covers[i]);
                if (loss > int256(worst)) worst = uint256(loss);
            }
        }
    }

    /// Linear legs at a row's absolute price, fine [L · S_r · g_s].
    function _linear(Group memory g, uint256 factor) private pure returns (int256) {
        unchecked {
            return g.linear * int256(g.epochPrice * factor / WAD);
        }
    }

    /// By pointer: Portfolios.setParameters.
    function _differ(MarginParameters memory left, MarginParameters memory right)
        private
        pure
        returns (bool different)
    {
        assembly ("memory-safe") {
            different := iszero(eq(left, right))
        }
    }

    function _contingencies(Group memory g, MarginParameters memory m) private pure returns (uint256) {
        return _concentration(g, m) + _confidence(g, m);
    }

    function _concentration(Group memory g, MarginParameters memory m) private pure returns (uint256) {
        uint256 held = g.options + g.perpetual;
        return held > m.concentrationFrom ? m.concentrationRate * g.price * (held - m.concentrationFrom) : 0;
    }

    function _confidence(Group memory g, MarginParameters memory m) private pure returns (uint256) {
        int256 net = g.words[Words.DELTA] * int256(UNIT) + g.linear * int256(g.price);
        return Rounding.cdiv(uint256(net < 0 ? -net : net) * g.confidence, g.price) * m.confidenceFactor;
    }

    function _max(uint256 left, uint256 right) private pure returns (uint256) {
        return left > right ? left : right;
    }
}
