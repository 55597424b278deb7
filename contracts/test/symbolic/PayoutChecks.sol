// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Paid, PayoutWindow} from "../../src/reference/PayoutWindow.sol";
import {Test} from "../Vm.sol";

/// @title The payout cap bounds every stretch of one window, whatever the cap, the times and the amounts.
/// By induction over payouts: `sum` is what the stretch has paid before, 0 at first, and the record covers it.
contract PayoutChecks is Test {
    uint256 private constant WINDOW = 600;

    struct Payout {
        uint40 first; // period in which the stretch begins
        uint128 sum;
        uint40 period;
        uint104 amount;
    }

    /// @custom:halmos --solver yices
    function check_payouts_stay_within_the_cap(Paid memory paid, Payout memory p, uint128 most) public pure {
        _step(paid, p, most, PayoutWindow.roll, PayoutWindow.left);
    }

    /// @custom:halmos --solver yices
    function broken_payouts_stay_within_the_cap_if_rolling_forgets(Paid memory paid, Payout memory p, uint128 most)
        public
        pure
    {
        _step(paid, p, most, _rollForgetting, PayoutWindow.left);
    }

    /// @custom:halmos --solver yices
    function broken_payouts_stay_within_the_cap_if_one_period_is_counted(
        Paid memory paid,
        Payout memory p,
        uint128 most
    ) public pure {
        _step(paid, p, most, PayoutWindow.roll, _leftOfThisPeriod);
    }

    function _step(
        Paid memory paid,
        Payout memory p,
        uint256 most,
        function(Paid memory, uint40) internal pure roll,
        function(Paid memory, uint256) internal pure returns (uint256) left
    ) private pure {
        vm.assume(p.first < type(uint40).max && (p.period == p.first || p.period == p.first + 1));
        vm.assume(paid.period <= p.period && p.sum <= most && _covers(paid, p.first, p.sum));
        roll(paid, p.period);
        vm.assume(p.amount <= left(paid, most)); // else the venue reverts
        PayoutWindow.count(paid, p.amount);
        uint256 sum = uint256(p.sum) + p.amount;
        assert(sum <= most);
        assert(_covers(paid, p.first, sum));
    }

    /// @dev Nothing that the stretch has paid is missing in the record.
    function _covers(Paid memory paid, uint40 first, uint256 sum) private pure returns (bool) {
        if (paid.period < first) return sum == 0;
        if (paid.period == first) return sum <= paid.inPeriod;
        return sum <= uint256(paid.inPeriod) + paid.inPeriodBefore;
    }

    function _rollForgetting(Paid memory paid, uint40 period) private pure {
        if (period != paid.period) (paid.period, paid.inPeriod, paid.inPeriodBefore) = (period, 0, 0);
    }

    function _leftOfThisPeriod(Paid memory paid, uint256 most) private pure returns (uint256) {
        return most > paid.inPeriod ? most - paid.inPeriod : 0;
    }

    function check_window_lies_in_neighbouring_periods(uint32 time, uint32 later) public pure {
        _neighbours(time, later, PayoutWindow.periodOf);
    }

    function broken_window_lies_in_neighbouring_periods_if_they_are_half_as_long(uint32 time, uint32 later)
        public
        pure
    {
        _neighbours(time, later, _halfPeriodOf);
    }

    function _neighbours(
        uint256 time,
        uint256 later,
        function(uint256, uint256) internal pure returns (uint40) periodOf
    ) private pure {
        vm.assume(time <= later && later - time <= WINDOW);
        assert(periodOf(later, WINDOW) - periodOf(time, WINDOW) <= 1);
    }

    function _halfPeriodOf(uint256 time, uint256 window) private pure returns (uint40) {
        return uint40(time / (window / 2));
    }
}
