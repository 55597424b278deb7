// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ISlices} from "./ISlices.sol";
import {Report, Slice} from "../Types.sol";

/// @title Prices and volatility slices by content hash, with history.
interface IPrices is ISlices {
    event ReportSet(uint8 indexed underlying, bytes32 indexed id, Report report);
    event SliceSet(uint8 indexed underlying, uint40 indexed expiry, bytes32 indexed id, Slice slice);
    event Settled(uint8 indexed underlying, uint40 indexed expiry, uint256 price);

    error UnknownReport(bytes32 id);
    error UnknownSlice(bytes32 id);
    error NoReport(uint8 underlying);
    error NoSlice(uint8 underlying, uint40 expiry);
    error NotSettled(uint8 underlying, uint40 expiry);
    error TimeNotLater(uint40 found, uint40 newest);
    error TimeInFuture(uint40 found, uint256 nowTime);
    error WrongFixing(uint40 foundExpiry, uint256 foundShare, uint40 expectedExpiry, uint256 expectedShare);
    error OutOfRange(bytes32 field, int256 found, int256 low, int256 high);

    /// @notice The newest report of an underlying. Reverts NoReport where there is none.
    function newest(uint8 underlying) external view returns (Report memory report, bytes32 id, bytes32 before);

    /// @notice What margin reads of the newest report: price, confidence (USD, wad) and its time. Reverts NoReport.
    function quote(uint8 underlying) external view returns (uint128 price, uint128 confidence, uint40 timestamp);

    /// @notice The newest report's cumulative funding index. Reverts NoReport.
    function fundingIndex(uint8 underlying) external view returns (int128);

    /// @notice A report by its id. Reverts UnknownReport.
    function report(bytes32 id) external view returns (Report memory);

    /// @notice Block time at which a newer report of its underlying took a report's place; 0 while it is the newest.
    function supersededAt(bytes32 id) external view returns (uint40);

    /// @notice The settlement price of an expiry, USD, wad. Reverts NotSettled until its averaging window is over.
    function settlement(uint8 underlying, uint40 expiry) external view returns (uint256);
}
