// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Book, Check} from "../Types.sol";

/// @title The margin rules: a book in, a statement out. Holds no state of its own.
interface IMargin {
    error StaleReport(uint8 underlying, uint256 age, uint256 limit);
    error StaleEpoch(uint8 underlying, uint256 age, uint256 limit);
    error StaleSlice(uint8 underlying, uint40 expiry, uint256 age, uint256 limit);
    error MovedTooFar(uint8 underlying, uint256 price, uint256 epochPrice, uint256 limit);
    error ArrayMissing(uint128 instrument, uint256 epoch);
    error Unsettled(uint8 underlying, uint40 expiry);
    error UnknownRow(uint8 underlying, uint256 row);
    error OutOfBounds(uint8 underlying, uint256 price, int256 linear, uint256 options);

    /// @notice Margin by the newest epochs' arrays.
    function byArrays(Book calldata book) external view returns (Check memory);

    /// @notice Margin by the settled epochs' arrays, with the wider move limit (docs/risk-arrays.md).
    function bySettledArrays(Book calldata book) external view returns (Check memory);

    /// @notice Margin by the newest epochs' arrays whatever their age and the price's move: only for comparing
    /// two states of one account (closing trades while arrays are stale).
    function byArraysRegardless(Book calldata book) external view returns (Check memory);

    /// @notice The same by the settled epochs' arrays.
    function bySettledArraysRegardless(Book calldata book) external view returns (Check memory);

    /// @notice Margin by one scenario an underlying, recomputed from the newest report and slices.
    /// `scenarios` holds 8 bits an underlying; 255 = none.
    function byScenario(Book calldata book, uint256 scenarios) external view returns (Check memory);

    /// @notice byScenario, and the value of each leg as `values` gives it: what a take needs, in one pass.
    function byScenarioAndValues(Book calldata book, uint256 scenarios)
        external
        view
        returns (Check memory, int256[] memory);

    /// @notice byScenario with no row: its equity is the account's worth at marks recomputed from the newest report
    /// and slices, which no array can falsify.
    function byMarks(Book calldata book) external view returns (Check memory);

    /// @notice A bound that needs no arrays: every leg by what it can lose with nothing beside it, recomputed from the
    /// newest report and slices. Never below full revaluation of the book, often far above.
    function byLegs(Book calldata book) external view returns (Check memory);

    /// @notice Mark of one instrument from the newest report and slice, USD, wad (not floored to units).
    function mark(uint128 instrument) external view returns (uint256);

    /// @notice Value of each leg (size × mark, floored to units as in byScenario), fine units of 10⁻³⁶ USD.
    function values(uint256[] calldata legs) external view returns (int256[] memory);
}
