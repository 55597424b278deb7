// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IMarginVenue} from "./interfaces/IMarginVenue.sol";
import {Admission} from "./Admission.sol";

/// @title How much may leave inside one challenge window: what a false array can cost its publisher at least.
/// Time is cut into periods of one window; any stretch of one window lies in two neighbouring periods, so the sum of
/// those two bounds every sliding window.
abstract contract Payouts is Admission {
    using SafeCast for uint256;

    struct Paid {
        uint40 period;
        uint104 inPeriod; // USD, wad
        uint104 inPeriodBefore;
    }

    Paid private _paidOut;

    /// @dev Idle and empty: nothing it holds can come from arrays that are still open to challenge. Read after a
    /// touch, because a settlement ends the idleness.
    function _idleAndEmpty(uint256 account) internal view returns (bool) {
        return _legCount(account) == 0 && block.timestamp > _lastActivity(account) + RISK_ARRAYS.window();
    }

    function _countPayout(uint256 amount) internal {
        (Paid memory paid, uint256 left) = _payouts();
        if (amount > left) revert PayoutCapReached(amount, left);
        paid.inPeriod = (paid.inPeriod + amount).toUint104();
        _paidOut = paid;
    }

    /// @inheritdoc IMarginVenue
    function payoutLeft() external view returns (uint256 left) {
        (, left) = _payouts();
    }

    function _payouts() private view returns (Paid memory paid, uint256 left) {
        paid = _paidOut;
        uint40 period = (block.timestamp / RISK_ARRAYS.window()).toUint40();
        if (period != paid.period) {
            paid = Paid(period, 0, period == paid.period + 1 ? paid.inPeriod : 0);
        }
        uint256 spent = uint256(paid.inPeriod) + paid.inPeriodBefore;
        uint256 most = RISK_ARRAYS.slashable();
        left = most > spent ? most - spent : 0;
    }
}
