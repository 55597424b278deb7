// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Legs, WAD} from "./Types.sol";
import {IMarginVenue} from "./interfaces/IMarginVenue.sol";
import {Custody} from "./Custody.sol";
import {Orders} from "./Orders.sol";
import {Swaps} from "./Swaps.sol";
import {VenueRules} from "./VenueRules.sol";

/// @title The reference venue: custody, orders, settlement, delegation (its parts), and what auctions move.
contract MarginVenue is Swaps, Orders {
    using Legs for uint256;
    using SafeCast for uint256;

    constructor(address owner_, Peers memory peers, IERC20Metadata settlementToken)
        VenueRules(owner_, peers)
        Custody(settlementToken)
    {}

    /// @inheritdoc IMarginVenue
    function seize(uint256 from, uint256 to, uint256 fraction, int256 payment, uint256 fromFund, uint256 shared)
        external
        nonReentrant
    {
        _requireCaller(address(auctions));
        if (fraction > WAD) revert SizeOutOfRange(fraction.toInt256());
        _touch(from);
        _touch(to);
        _moveLegs(from, to, int256(fraction));
        _moveCollateral(from, to, fraction);
        int256 cash = _cash(from) * int256(fraction) / int256(WAD);
        _pay(from, to, payment - cash, fromFund, shared);
        _raiseSequence(from);
        _raiseSequence(to);
        _markActive(from);
        _markActive(to);
        _requireFewLegs(to);
    }

    /// @dev `owned` mirrors the taker's stored legs: searching it costs a tenth of searching storage, and only those
    /// he had before can be met, because an account has one leg an instrument.
    function _moveLegs(uint256 from, uint256 to, int256 fraction) private {
        uint256[] memory legs = _legsOf(from);
        (uint256[] memory owned, uint256 count) = _roomy(_legsOf(to), legs.length);
        uint256 had = count;
        for (uint256 i = legs.length; i > 0;) {
            --i;
            uint256 leg = legs[i];
            uint128 id = leg.idOf();
            int256 part;
            // Unchecked: sizes are at most MAX_SIZE, fractions at most 1.
            unchecked {
                part = leg.sizeOf() * fraction / int256(WAD);
            }
            if (part == 0) continue;
            _changeLeg(from, i, id, -part, Cause.Take);
            if (had > count) had = count;
            uint256 at = _find(owned, had, id);
            if (at == had) at = count;
            int256 size = _changeLeg(to, at, id, part, Cause.Take);
            if (size == 0) owned[at] = owned[--count];
            else if (at == count) owned[count++] = leg;
        }
    }

    function _roomy(uint256[] memory legs, uint256 more) private pure returns (uint256[] memory roomy, uint256 count) {
        count = legs.length;
        roomy = new uint256[](count + more);
        for (uint256 i; i < count; ++i) {
            roomy[i] = legs[i];
        }
    }

    function _moveCollateral(uint256 from, uint256 to, uint256 fraction) private {
        uint256[] memory collateral = _collateralOf(from);
        for (uint256 i; i < collateral.length; ++i) {
            uint256 part = uint256(uint128(collateral[i])) * fraction / WAD;
            if (part == 0) continue;
            _changeCollateral(from, collateral[i] >> 128, -int256(part), Cause.Take);
            _changeCollateral(to, collateral[i] >> 128, int256(part), Cause.Take);
        }
    }

    /// @dev `net` is what the taker pays beyond the cash he takes over. What fund and shared loss add goes through
    /// the account: it ends with net + fromFund + shared.
    function _pay(uint256 from, uint256 to, int256 net, uint256 fromFund, uint256 shared) private {
        _changeCash(to, -net, Cause.Take);
        _changeCash(from, net + (fromFund + shared).toInt256(), Cause.Take);
        if (fromFund + shared == 0) return;
        int256 fundCash = _cash(FUND);
        if (fromFund.toInt256() > fundCash) revert Illiquid(fromFund, uint256(fundCash));
        if (fromFund != 0) _changeCash(FUND, -int256(fromFund), Cause.Fund);
        if (shared != 0) _changeCash(BAD_DEBT, -int256(shared), Cause.SharedLoss);
        emit BadDebt(from, fromFund + shared, fromFund, shared);
    }
}
