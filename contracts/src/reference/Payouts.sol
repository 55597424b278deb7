// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IMarginVenue} from "./interfaces/IMarginVenue.sol";
import {Admission} from "./Admission.sol";
import {Paid, PayoutWindow} from "./PayoutWindow.sol";

/// @title How much may leave inside one challenge window: what a false array can cost its publisher at least.
abstract contract Payouts is Admission {
    using PayoutWindow for Paid;

    Paid private _paidOut;

    /// @dev Idle and empty: nothing it holds can come from arrays that are still open to challenge. Read after a
    /// touch, because a settlement ends the idleness.
    function _idleAndEmpty(uint256 account) internal view returns (bool) {
        return _legCount(account) == 0 && block.timestamp > _lastActivity(account) + RISK_ARRAYS.window();
    }

    function _countPayout(uint256 amount) internal {
        (Paid memory paid, uint256 left) = _payouts();
        if (amount > left) revert PayoutCapReached(amount, left);
        paid.count(amount);
        _paidOut = paid;
    }

    /// @inheritdoc IMarginVenue
    function payoutLeft() external view returns (uint256 left) {
        (, left) = _payouts();
    }

    function _payouts() private view returns (Paid memory paid, uint256 left) {
        paid = _paidOut;
        paid.roll(PayoutWindow.periodOf(block.timestamp, RISK_ARRAYS.window()));
        left = paid.left(RISK_ARRAYS.slashable());
    }
}
