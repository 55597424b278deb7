// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {BPS, Book} from "./Types.sol";
import {IMarginVenue} from "./interfaces/IMarginVenue.sol";
import {ISwapper} from "./interfaces/ISwapper.sol";
import {Custody} from "./Custody.sol";

/// @title Collateral for collateral inside an account.
abstract contract Swaps is Custody {
    using SafeCast for uint256;

    struct Swap {
        uint256 sell;
        uint256 buy;
        uint256 sellAmount;
        uint256 minBuy;
        ISwapper swapper;
    }

    /// @inheritdoc IMarginVenue
    function swap(
        uint256 account,
        uint256 sell,
        uint256 buy,
        uint256 sellAmount,
        uint256 minBuy,
        address swapper,
        bytes calldata route,
        uint64 expectedSequence
    ) external nonReentrant {
        _requireMayAct(account);
        _expectSequence(account, expectedSequence);
        _requireNotInAuction(account);
        _swap(account, Swap(sell, buy, sellAmount, minBuy, ISwapper(swapper)), route);
    }

    function _swap(uint256 account, Swap memory s, bytes calldata route) private {
        if (s.sellAmount == 0) revert ZeroAmount();
        if (!swapperAllowed[address(s.swapper)]) revert SwapRefused(address(s.swapper), "swapper");
        if (s.sell == s.buy) revert SwapRefused(address(s.swapper), "same asset");
        // Bad debt is shared by those who take settlement token out; through other collateral it would be dodged.
        if (s.sell == 0 && _badDebt() != 0) revert SwapRefused(address(s.swapper), "bad debt");
        _touch(account);
        Book memory before = _stored(account);
        uint256 bought = _exchange(s, route);
        // After the outside call: while it ran, every view showed the account as it was before.
        _changeAsset(account, s.sell, -s.sellAmount.toInt256(), Cause.Swap);
        _changeAsset(account, s.buy, bought.toInt256(), Cause.Swap);
        _raiseSequence(account);
        _requireInitialOrNoWorse(account, before, _stored(account));
        if (withdrawalsPaused) _requireRepays(account, s, bought);
        if (!_idleAndEmpty(account)) _countLoss(s, bought);
    }

    /// @dev A pause never blocks repaying. Inside the band, or the pause would let collateral out at a bad price; with
    /// that, and as something is sold, cash that ends no higher than zero was below it.
    function _requireRepays(uint256 account, Swap memory s, uint256 bought) private view {
        (uint256 sold, uint256 got) = _worths(s, bought);
        if (s.buy != 0 || _cash(account) > 0 || got * BPS < sold * (BPS - limits.band)) revert PausedBy("withdrawals");
    }

    /// @dev What the swapper keeps beyond the oracle's value has left the venue as a withdrawal does.
    function _countLoss(Swap memory s, uint256 bought) private {
        (uint256 sold, uint256 got) = _worths(s, bought);
        if (sold > got) _countPayout(sold - got);
    }

    function _worths(Swap memory s, uint256 bought) private view returns (uint256 sold, uint256 got) {
        return (_worth(s.sell, s.sellAmount, true), _worth(s.buy, bought, false));
    }

    function _exchange(Swap memory s, bytes calldata route) private returns (uint256 bought) {
        IERC20 sold = _token(s.sell);
        IERC20 wanted = _token(s.buy);
        uint256 before = wanted.balanceOf(address(this));
        _send(s.sell, address(s.swapper), s.sellAmount);
        uint256 left = sold.balanceOf(address(this));
        s.swapper.swap(address(sold), address(wanted), s.sellAmount, s.minBuy, route);
        _requireBalance(sold, left);
        uint256 found = wanted.balanceOf(address(this));
        if (found < before + s.minBuy) revert TransferMismatch(address(wanted), found, before + s.minBuy);
        bought = found - before;
        _countIn(s.buy, bought);
    }
}
