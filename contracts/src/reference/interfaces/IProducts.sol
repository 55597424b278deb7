// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {CollateralType, MarginParameters, ScanParameters} from "../Types.sol";

/// @title What can be traded and posted, and the parameters of its margin.
interface IProducts {
    event UnderlyingAdded(uint8 indexed underlying, bytes32 symbol, bool perpetual);
    event ExpiryListed(uint8 indexed underlying, uint40 indexed expiry);
    event InstrumentListed(uint8 indexed underlying, uint40 indexed expiry, uint128 indexed id);
    event ScanParametersSet(uint8 indexed underlying, uint32 indexed version, ScanParameters parameters);
    event MarginParametersSet(uint8 indexed underlying, MarginParameters parameters);
    event CollateralSet(uint256 indexed index, CollateralType parameters);

    error UnknownUnderlying(uint8 underlying);
    error UnknownInstrument(uint128 id);
    error UnknownCollateral(uint256 index);
    error UnknownVersion(uint8 underlying, uint32 version);
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
    /// keccak256(R, keccak256(scan parameters of `version`)), where R, from 0, is keccak256(R, id) over the options in row
    /// order; every field one word. Reverts UnknownVersion.
    function listing(uint8 underlying, uint40 expiry, uint32 version)
        external
        view
        returns (uint256 options, bytes32 id);

    /// @notice Version in force for arrays opened now (1, 2, …).
    function scanVersion(uint8 underlying) external view returns (uint32);

    /// @notice Scan parameters of a version; every version stays readable.
    function scanParameters(uint8 underlying, uint32 version) external view returns (ScanParameters memory);

    function marginParameters(uint8 underlying) external view returns (MarginParameters memory);

    /// @notice All that margin reads of an underlying: the three storage words of a version's ScanParameters (0: the
    /// version in force) and that of its MarginParameters, fields in order from the low end. Reverts UnknownVersion.
    function packedParameters(uint8 underlying, uint32 version) external view returns (uint256[4] memory);

    /// @notice Collateral types are numbered 0, 1, 2, …; the settlement token is not among them.
    function collateral(uint256 index) external view returns (CollateralType memory);

    /// @notice What a collateral type counts as, without its token and cap.
    function collateralTerms(uint256 index) external view returns (uint8 underlying, uint8 decimals, uint16 haircut);

    function collaterals() external view returns (uint256);
}
