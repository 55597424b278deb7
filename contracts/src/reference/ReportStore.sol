// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {IPrices} from "./interfaces/IPrices.sol";
import {IProducts} from "./interfaces/IProducts.sol";
import {StoreRules} from "./StoreRules.sol";
import {AVERAGING, Observation, Report, WAD} from "./Types.sol";

/// @title Reports by content hash: funding, averaging, settlement. Nothing is ever overwritten: what a risk array was
/// built on stays readable for whoever challenges it. Who may write is for the contract that inherits it.
abstract contract ReportStore is IPrices, StoreRules {
    using SafeCast for int256;

    struct FundingLimits {
        uint64 cap; // largest |rate|
        uint64 step; // largest change from report to report
    }

    struct NewestReport {
        bytes32 id;
        bytes32 before;
    }

    uint64 public constant MAX_FUNDING_CAP = 1e13; // 3.6 % an hour

    mapping(uint8 underlying => NewestReport) private _newest;
    mapping(bytes32 id => Report) private _reports;
    mapping(bytes32 id => uint40) private _supersededAt;
    mapping(uint8 underlying => uint40) private _settledTo;
    mapping(uint8 underlying => mapping(uint40 expiry => uint256)) private _settlement;
    mapping(uint8 underlying => FundingLimits) public fundingLimits;

    event FundingLimitsSet(uint8 indexed underlying, uint64 cap, uint64 step);

    /// @notice Bound the funding rate of an underlying; 0 and 0 (the default) mean no funding.
    function setFundingLimits(uint8 underlying, uint64 cap, uint64 step) external onlyOwner {
        _within("cap", int256(uint256(cap)), 0, int256(uint256(MAX_FUNDING_CAP)));
        fundingLimits[underlying] = FundingLimits(cap, step);
        emit FundingLimitsSet(underlying, cap, step);
    }

    /// @notice What a report at `timestamp` must fix: the oldest expiry that is inside its averaging window
    /// (expiry − Δ ≤ timestamp), or over and not settled (share 1); else 0 and 0.
    function fixingAt(uint8 underlying, uint40 timestamp) public view returns (uint40 expiry, uint256 share) {
        expiry = PRODUCTS.nextExpiry(underlying, _settledTo[underlying]);
        if (expiry == 0 || timestamp + AVERAGING < expiry) return (0, 0);
        share = timestamp >= expiry ? WAD : (timestamp + AVERAGING - expiry) * WAD / AVERAGING;
    }

    /// @inheritdoc IPrices
    function supersededAt(bytes32 id) external view returns (uint40) {
        return _supersededAt[id];
    }

    /// @inheritdoc IPrices
    function newest(uint8 underlying) external view returns (Report memory, bytes32 id, bytes32 before) {
        NewestReport storage last = _newest[underlying];
        (id, before) = (last.id, last.before);
        if (id == 0) revert NoReport(underlying);
        return (_reports[id], id, before);
    }

    /// @inheritdoc IPrices
    function quote(uint8 underlying) external view returns (uint128 price, uint128 confidence, uint40 timestamp) {
        bytes32 id = _newest[underlying].id;
        if (id == 0) revert NoReport(underlying);
        Report storage last = _reports[id];
        return (last.price, last.confidence, last.timestamp);
    }

    /// @inheritdoc IPrices
    function fundingIndex(uint8 underlying) external view returns (int128) {
        bytes32 id = _newest[underlying].id;
        if (id == 0) revert NoReport(underlying);
        return _reports[id].fundingIndex;
    }

    /// @inheritdoc IPrices
    function report(bytes32 id) external view returns (Report memory found) {
        found = _reports[id];
        if (found.timestamp == 0) revert UnknownReport(id);
    }

    /// @inheritdoc IPrices
    function settlement(uint8 underlying, uint40 expiry) external view returns (uint256 price) {
        price = _settlement[underlying][expiry];
        if (price == 0) revert NotSettled(underlying, expiry);
    }

    /// @dev All zero where there is none.
    function _lastReport(uint8 underlying) internal view returns (Report memory) {
        return _reports[_newest[underlying].id];
    }

    function _setReport(Observation calldata seen) internal returns (bytes32 id) {
        if (seen.underlying >= PRODUCTS.underlyings()) revert IProducts.UnknownUnderlying(seen.underlying);
        NewestReport storage last = _newest[seen.underlying];
        Report memory previous = _reports[last.id];
        _checkObservation(seen, previous);
        Report memory next = Report({
            underlying: seen.underlying,
            timestamp: seen.timestamp,
            fixingExpiry: seen.fixingExpiry,
            sequence: previous.sequence + 1,
            price: seen.price,
            confidence: seen.confidence,
            fundingRate: seen.fundingRate,
            fundingIndex: _accrued(previous, seen.timestamp),
            fixedShare: seen.fixedShare,
            fixedAverage: seen.fixedAverage
        });
        // The hash starts with the relay and the chain, so that an id means one report of one relay (spec, Inputs).
        id = keccak256(abi.encode(address(this), block.chainid, next));
        _reports[id] = next;
        if (last.id != 0) _supersededAt[last.id] = uint40(block.timestamp);
        (last.before, last.id) = (last.id, id);
        emit ReportSet(seen.underlying, id, next);
        if (seen.fixedShare == WAD) _settle(seen.underlying, seen.fixingExpiry, seen.fixedAverage);
    }

    function _settle(uint8 underlying, uint40 expiry, uint256 price) private {
        _settlement[underlying][expiry] = price;
        _settledTo[underlying] = expiry;
        emit Settled(underlying, expiry, price);
    }

    /// @dev Rate and price are constant between reports. Rounded toward −∞: longs and shorts read the same index.
    function _accrued(Report memory previous, uint40 timestamp) private pure returns (int128) {
        if (previous.timestamp == 0) return 0;
        int256 owed = int256(previous.fundingRate) * int256(uint256(previous.price))
            * int256(uint256(timestamp - previous.timestamp));
        int256 whole = owed / _ONE;
        if (owed % _ONE < 0) --whole;
        return (previous.fundingIndex + whole).toInt128();
    }

    function _checkObservation(Observation calldata seen, Report memory previous) private view {
        _checkTime(seen.timestamp, previous.timestamp);
        int256 price = int256(uint256(seen.price));
        _within("price", price, 1, int256(MAX_PRICE));
        _within("confidence", int256(uint256(seen.confidence)), 0, price - 1);
        _checkFunding(seen.underlying, seen.fundingRate, previous.fundingRate);
        _checkFixing(seen, previous);
    }

    /// @dev The step counts from the nearest rate that the cap allows, or a cap lowered by more than a step would let
    /// no report through.
    function _checkFunding(uint8 underlying, int256 rate, int256 before) private view {
        FundingLimits memory limits = fundingLimits[underlying];
        int256 cap = int256(uint256(limits.cap));
        before = FixedPointMathLib.clamp(before, -cap, cap);
        int256 step = int256(uint256(limits.step));
        _within("fundingRate", rate, -cap, cap);
        _within("fundingStep", rate - before, -step, step);
    }

    /// @dev What is fixed stays fixed: prices are positive, so share × average never falls while one expiry fixes.
    function _checkFixing(Observation calldata seen, Report memory previous) private view {
        (uint40 expiry, uint256 share) = fixingAt(seen.underlying, seen.timestamp);
        if (seen.fixingExpiry != expiry || seen.fixedShare != share) {
            revert WrongFixing(seen.fixingExpiry, seen.fixedShare, expiry, share);
        }
        if (share == 0) return _within("fixedAverage", int256(uint256(seen.fixedAverage)), 0, 0);
        uint256 fixedBefore;
        if (previous.fixingExpiry == expiry) fixedBefore = uint256(previous.fixedShare) * previous.fixedAverage;
        uint256 least = FixedPointMathLib.max(1, fixedBefore / share);
        _within("fixedAverage", int256(uint256(seen.fixedAverage)), int256(least), int256(MAX_PRICE));
    }
}
