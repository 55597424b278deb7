// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// What has left in one period and in the one before: one slot.
struct Paid {
    uint40 period;
    uint104 inPeriod; // USD, wad
    uint104 inPeriodBefore;
}

/// @title Periods of one challenge window. Any stretch of one window lies in two neighbouring periods, so the sum of
/// those two bounds every sliding window.
library PayoutWindow {
    using SafeCast for uint256;

    /// Number of the period that holds `time`.
    function periodOf(uint256 time, uint256 window) internal pure returns (uint40) {
        return (time / window).toUint40();
    }

    /// Brings the record to `period`, which is never before its own.
    function roll(Paid memory paid, uint40 period) internal pure {
        if (period == paid.period) return;
        paid.inPeriodBefore = period == paid.period + 1 ? paid.inPeriod : 0;
        (paid.period, paid.inPeriod) = (period, 0);
    }

    /// What may still leave of `most`.
    function left(Paid memory paid, uint256 most) internal pure returns (uint256) {
        uint256 spent = uint256(paid.inPeriod) + paid.inPeriodBefore;
        return most > spent ? most - spent : 0;
    }

    /// Adds a payout of the record's own period.
    function count(Paid memory paid, uint256 amount) internal pure {
        paid.inPeriod = (paid.inPeriod + amount).toUint104();
    }
}
