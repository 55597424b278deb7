// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Book, Instruments, Legs, WAD} from "./Types.sol";
import {IMarginVenue} from "./interfaces/IMarginVenue.sol";
import {Ledger} from "./Ledger.sol";
import {Rounding} from "./math/Rounding.sol";

/// @title Funding and expiry: what positions turn into cash by the passing of time.
/// Every amount is exact in fine units (10⁻³⁶ USD); the account gets the wad below, the dust account the rest, so
/// that accounts and dust together sum to exactly zero.
abstract contract Settlement is Ledger {
    using Instruments for uint128;
    using Legs for uint256;

    /// What one leg turns into now.
    struct Due {
        int256 fine; // 10⁻³⁶ USD
        int128 index; // the funding index paid up to; a perpetual's only
        bool moved; // that index is not the one paid up to before
        bool expired; // and has a settlement price: the leg is gone
    }

    /// @dev Downwards, so that a leg removed is replaced by one already seen.
    function _touch(uint256 account) internal {
        uint256[] memory legs = _legsOf(account);
        for (uint256 i = legs.length; i > 0;) {
            --i;
            if (_quiet(legs[i].idOf())) continue;
            Due memory due = _due(account, legs[i]);
            if (due.expired) _settle(account, i, legs[i], due.fine);
            else if (due.moved) _fund(account, legs[i].idOf().underlyingOf(), due);
        }
    }

    function _fund(uint256 account, uint8 underlying, Due memory due) private {
        _setPaidIndex(account, underlying, due.index);
        _changeFine(account, due.fine, Cause.Funding);
    }

    function _settle(uint256 account, uint256 at, uint256 leg, int256 fine) private {
        _changeLeg(account, at, leg.idOf(), -leg.sizeOf(), Cause.Settlement);
        _changeFine(account, fine, Cause.Settlement);
        _markActive(account);
    }

    function _changeFine(uint256 account, int256 fine, Cause cause) private {
        int256 wad = Rounding.wadBelow(fine);
        _changeCash(account, wad, cause);
        _changeDust(fine - wad * int256(WAD), cause);
    }

    /// @dev An option alive: time has done nothing to it yet.
    function _quiet(uint128 id) private view returns (bool) {
        return id.expiryOf() > block.timestamp;
    }

    function _due(uint256 account, uint256 leg) private view returns (Due memory due) {
        uint128 id = leg.idOf();
        if (!id.isOption()) {
            due.index = _fundingIndex(id.underlyingOf());
            int256 delta = int256(due.index) - _paid(account, id.underlyingOf());
            due.moved = delta != 0;
            due.fine = -leg.sizeOf() * delta; // bound: 1e26 · 2¹²⁸ < 2²⁵⁵
        } else if (!_quiet(id)) {
            // No price yet: the leg stays, and the margin rules refuse the account until it has one.
            try PRICES.settlement(id.underlyingOf(), id.expiryOf()) returns (uint256 price) {
                due.expired = true;
                due.fine = leg.sizeOf() * int256(_payoff(id, price));
            } catch {}
        }
    }

    function _payoff(uint128 id, uint256 price) private pure returns (uint256) {
        uint256 strike = id.strikeOf();
        if (id.isCall()) return price > strike ? price - strike : 0;
        return strike > price ? strike - price : 0;
    }

    function _price(uint8 underlying) internal view returns (uint256 price) {
        (price,,) = PRICES.quote(underlying);
    }

    function _fundingIndex(uint8 underlying) internal view override returns (int128) {
        return PRICES.fundingIndex(underlying);
    }

    /// @inheritdoc IMarginVenue
    function touch(uint256 account) external nonReentrant {
        _touch(account);
    }

    /// @inheritdoc IMarginVenue
    function book(uint256 account) external view returns (Book memory b) {
        b = _stored(account);
        uint256[] memory legs = b.legs;
        uint256 kept;
        for (uint256 i; i < legs.length; ++i) {
            uint256 leg = legs[i];
            if (!_quiet(leg.idOf())) {
                Due memory due = _due(account, leg);
                b.cash += Rounding.wadBelow(due.fine);
                if (due.expired) continue;
            }
            if (kept != i) legs[kept] = leg;
            unchecked {
                ++kept;
            }
        }
        assembly ("memory-safe") {
            mstore(legs, kept)
        }
    }
}
