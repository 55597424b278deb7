// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {CollateralType, MarginParameters, ScanParameters} from "../Types.sol";

/// @title What can be traded and posted, and the parameters of its margin.
interface IProducts {
    event UnderlyingAdded(uint8 indexed underlying, bytes32 symbol, bool perpetual);
    event ExpiryListed(uint8 indexed underlying, uint40 indexed expiry);
    event InstrumentListed(uint8 indexed underlying, uint40 indexed expiry, uint128 indexed id);
    /// @notice From the values in force to `parameters`: spec, "Parameters over time".
    event ScanParametersSet(
        uint8 indexed underlying, uint32 indexed version, ScanParameters parameters, ScanParameters from, uint256 start
    );
    /// @notice IM goes by `parameters` at once, MM from `from` to them.
    event MarginParametersSet(
        uint8 indexed underlying, MarginParameters parameters, MarginParameters from, uint256 start
    );
    event CollateralSet(uint256 indexed index, CollateralType parameters, uint16 haircutFrom, uint256 start);
    event StewardWired(address steward);

    error UnknownUnderlying(uint8 underlying);
    error UnknownInstrument(uint128 id);
    error UnknownCollateral(uint256 index);
    error UnknownVersion(uint8 underlying, uint32 version);
    error NotSteward(address found, address expected);
    error StewardKnown(address steward);
    error NothingRunning(uint256 found);
    error ParameterOutOfRange(bytes32 field, uint256 found, uint256 low, uint256 high);

    /// @notice The largest discount of auctions that haircuts allow for, BPS.
    function MOST_INCENTIVE() external view returns (uint16);

    /// @notice How many underlyings there are; their numbers are 0, 1, 2, … (at most 30).
    function underlyings() external view returns (uint256);

    /// @notice Whether an instrument id is listed (perpetual or option), whatever its age.
    function listed(uint128 id) external view returns (bool);

    /// @notice Expiries of an underlying later than `after_`, ascending.
    function expiriesAfter(uint8 underlying, uint40 after_) external view returns (uint40[] memory);

    /// @notice The first expiry later than `after_`, or 0.
    function nextExpiry(uint8 underlying, uint40 after_) external view returns (uint40);

    /// @notice Number of options listed for an expiry.
    function count(uint8 underlying, uint40 expiry) external view returns (uint256);

    /// @notice The option in row `index` of an expiry. Reverts UnknownInstrument.
    function instrument(uint8 underlying, uint40 expiry, uint256 index) external view returns (uint128);

    /// @notice All options of an expiry in row order.
    function instruments(uint8 underlying, uint40 expiry) external view returns (uint128[] memory);

    /// @notice What an expiry's arrays depend on besides report and slice, by content: how many options, and
    /// keccak256(R, keccak256(from, to, start)), where R, from 0, is keccak256(R, id) over the options in row order and
    /// from, to, start are those of `scanRamp`; every field one word. Reverts UnknownVersion.
    function listing(uint8 underlying, uint40 expiry, uint32 version)
        external
        view
        returns (uint256 options, bytes32 id);

    /// @notice The version written last (1, 2, …).
    function scanVersion(uint8 underlying) external view returns (uint32);

    /// @notice The version that a report of `time` is used with: the last one written by then, else the first.
    function scanVersionAt(uint8 underlying, uint256 time) external view returns (uint32);

    /// @notice Scan parameters of a version for a report of `time`; every version stays readable.
    function scanParameters(uint8 underlying, uint32 version, uint256 time)
        external
        view
        returns (ScanParameters memory);

    /// @notice A version whole: `from` for reports until `start`, then in a line over 24 h to `to`.
    function scanRamp(uint8 underlying, uint32 version)
        external
        view
        returns (ScanParameters memory from, ScanParameters memory to, uint256 start);

    /// @notice The record last written: IM's.
    function marginParameters(uint8 underlying) external view returns (MarginParameters memory);

    /// @notice MM's at this block's time; imScalar and shortImRate as written.
    function mmParameters(uint8 underlying) external view returns (MarginParameters memory);

    /// @notice What MM stands at until `start`, and then leaves in a line over 24 h to the record last written.
    /// `start` of type(uint32).max: held. imScalar and shortImRate of `from` mean nothing.
    function marginRamp(uint8 underlying) external view returns (MarginParameters memory from, uint256 start);

    /// @notice All that margin reads of an underlying: the three storage words of a version's ScanParameters (0: the
    /// version in force) for a report of `time`, and those of the MarginParameters of IM and, at this block's time, of MM;
    /// fields in order from the low end. Reverts UnknownVersion.
    function packedParameters(uint8 underlying, uint32 version, uint256 time)
        external
        view
        returns (uint256 a, uint256 b, uint256 c, uint256 im, uint256 mm);

    /// @notice Collateral types are numbered 0, 1, 2, …; the settlement token is not among them.
    function collateral(uint256 index) external view returns (CollateralType memory);

    /// @notice What a collateral type counts as, without its token and cap; `haircutMm` at this block's time.
    function collateralTerms(uint256 index)
        external
        view
        returns (uint8 underlying, uint8 decimals, uint16 haircut, uint16 haircutMm);

    /// @notice As `marginRamp`, of a collateral type's haircut.
    function haircutRamp(uint256 index) external view returns (uint16 from, uint256 start);

    function collaterals() external view returns (uint256);

    /// @notice Who alone changes what is listed; address(0) until the owner has wired it, once.
    function steward() external view returns (address);

    /// @notice Steward: a new version of the scan. Epochs opened before keep theirs. It starts from the values in force
    /// at this block's time; its grace is a whole one.
    function setScanParameters(uint8 underlying, ScanParameters calldata scan) external;

    /// @notice Steward: a new record of rates. Where it tightens any of MM's, MM starts again from where it is, the grace
    /// a whole one; else what is looser counts at once and `start` stays.
    function setMarginParameters(uint8 underlying, MarginParameters calldata margin) external;

    /// @notice Steward: change haircut (as `setMarginParameters`) and cap of an accepted token; all else is fixed.
    function setCollateral(uint256 index, CollateralType calldata changed) external;

    /// @notice Steward: MM stays where it is until a record is written that tightens it. Reverts NothingRunning.
    function holdMargin(uint8 underlying) external;

    /// @notice Steward: the same of a collateral type's haircut.
    function holdHaircut(uint256 index) external;
}
