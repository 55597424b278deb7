// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IProducts} from "./interfaces/IProducts.sol";
import {Packed} from "./math/Packed.sol";
import {GRACE, HELD, Ramps, SLOPE} from "./math/Ramps.sol";
import {ParameterRules} from "./ParameterRules.sol";
import {CollateralType, MarginParameters, ScanParameters} from "./Types.sol";

/// @title The parameters of what is listed, and where they are on their way: docs/risk-arrays.md, "Parameters over time".
/// Changed by the steward alone.
abstract contract Parameters is IProducts, Ownable2Step {
    /// Words of Packed.scan: the third holds the third of both ends and the start.
    struct Scan {
        uint256[3] to;
        uint256[2] from;
    }

    struct Rates {
        uint256 written; // and the start: all that is read where nothing is on its way
        uint256 from;
    }

    /// CollateralType, and MM's haircut in spare bits of its first slot.
    struct Collateral {
        address token;
        uint8 decimals;
        uint8 underlying;
        uint16 haircut;
        uint16 haircutFrom;
        uint32 start;
        uint128 cap;
    }

    /// The auctions' largest discount, BPS: bounds every haircut from below.
    uint16 public immutable MOST_INCENTIVE;

    address public steward;
    Collateral[] internal _collaterals;
    mapping(uint8 underlying => uint32) private _versions; // 0: not listed
    mapping(uint8 underlying => mapping(uint32 version => Scan)) private _scans;
    mapping(uint8 underlying => mapping(uint32 version => bytes32)) internal _scanHashes;
    mapping(uint8 underlying => Rates) private _rates;

    error CollateralFixed(uint256 index);

    constructor(uint16 mostIncentive) {
        MOST_INCENTIVE = mostIncentive;
    }

    modifier onlySteward() {
        if (msg.sender != steward) revert NotSteward(msg.sender, steward);
        _;
    }

    /// @notice Once: the steward needs this contract's address first.
    function wireSteward(address steward_) external onlyOwner {
        if (steward != address(0)) revert StewardKnown(steward);
        steward = steward_;
        emit StewardWired(steward_);
    }

    // ---- the steward ----

    /// @inheritdoc IProducts
    function setScanParameters(uint8 underlying, ScanParameters calldata scan) external onlySteward {
        ScanParameters memory from = scanParameters(underlying, _versions[underlying], block.timestamp);
        _setScan(underlying, from, scan, block.timestamp + GRACE);
    }

    /// @inheritdoc IProducts
    function setMarginParameters(uint8 underlying, MarginParameters calldata margin) external onlySteward {
        (uint256 from, uint256 to, uint256 start) = _ratesOf(underlying);
        (from, start) = Packed.written(from, to, start, Packed.rates(margin), block.timestamp);
        _setRates(underlying, from, margin, start);
    }

    /// @inheritdoc IProducts
    function setCollateral(uint256 index, CollateralType calldata changed) external onlySteward {
        Collateral storage kind = _kind(index);
        if (kind.token != changed.token || kind.underlying != changed.underlying) revert CollateralFixed(index);
        _checkCollateral(changed, kind.decimals); // as listed: a token gone bad must not keep its cap from being lowered
        (uint256 from, uint256 start) =
            Ramps.written(kind.haircutFrom, kind.haircut, kind.start, changed.haircut, block.timestamp, true);
        _setCollateral(index, changed, from, start);
    }

    /// @inheritdoc IProducts
    function holdMargin(uint8 underlying) external onlySteward {
        (uint256 from, uint256 to, uint256 start) = _ratesOf(underlying);
        _requireRunning(underlying, start);
        from = Packed.ratesAt(from, to, Ramps.done(start, block.timestamp));
        _setRates(underlying, from, Packed.rates(to), HELD);
    }

    /// @inheritdoc IProducts
    function holdHaircut(uint256 index) external onlySteward {
        _requireRunning(index, _kind(index).start);
        (,,, uint16 haircutMm) = collateralTerms(index);
        _setCollateral(index, collateral(index), haircutMm, HELD);
    }

    // ---- reading ----

    /// @inheritdoc IProducts
    function scanVersion(uint8 underlying) public view returns (uint32 version) {
        version = _versions[underlying];
        if (version == 0) revert UnknownUnderlying(underlying);
    }

    /// @inheritdoc IProducts
    function scanVersionAt(uint8 underlying, uint256 time) public view returns (uint32 version) {
        version = scanVersion(underlying);
        while (version > 1 && time + GRACE < _scans[underlying][version].to[2] >> Packed.SCAN_START_SHIFT) --version;
    }

    /// @inheritdoc IProducts
    function scanParameters(uint8 underlying, uint32 version, uint256 time)
        public
        view
        returns (ScanParameters memory)
    {
        (uint256 a, uint256 b, uint256 c) = _scanAt(_scanOf(underlying, version), time);
        return Packed.scan(a, b, c);
    }

    /// @inheritdoc IProducts
    function scanRamp(uint8 underlying, uint32 version)
        external
        view
        returns (ScanParameters memory from, ScanParameters memory to, uint256 start)
    {
        Scan storage s = _scanOf(underlying, version);
        from = Packed.scan(s.from[0], s.from[1], s.to[2] >> Packed.FROM_SHIFT);
        to = Packed.scan(s.to[0], s.to[1], s.to[2]);
        start = s.to[2] >> Packed.SCAN_START_SHIFT;
    }

    /// @inheritdoc IProducts
    function marginParameters(uint8 underlying) external view returns (MarginParameters memory) {
        (, uint256 to,) = _ratesOf(underlying);
        return Packed.rates(to);
    }

    /// @inheritdoc IProducts
    function mmParameters(uint8 underlying) external view returns (MarginParameters memory) {
        (, uint256 mm) = _ratesNow(underlying);
        if (mm == 0) revert UnknownUnderlying(underlying);
        return Packed.rates(mm);
    }

    /// @inheritdoc IProducts
    function marginRamp(uint8 underlying) external view returns (MarginParameters memory, uint256) {
        (uint256 from,, uint256 start) = _ratesOf(underlying);
        return (Packed.rates(from), start);
    }

    /// @inheritdoc IProducts
    function packedParameters(uint8 underlying, uint32 version, uint256 time)
        external
        view
        returns (uint256 a, uint256 b, uint256 c, uint256 im, uint256 mm)
    {
        if (version == 0) version = scanVersionAt(underlying, time);
        (a, b, c) = _scanAt(_scans[underlying][version], time);
        if (a == 0) revert UnknownVersion(underlying, version); // no scan is 0 (ParameterRules)
        (im, mm) = _ratesNow(underlying);
    }

    /// @inheritdoc IProducts
    function collateral(uint256 index) public view returns (CollateralType memory) {
        Collateral storage kind = _kind(index);
        return CollateralType(kind.token, kind.decimals, kind.underlying, kind.haircut, kind.cap);
    }

    /// @inheritdoc IProducts
    function collateralTerms(uint256 index)
        public
        view
        returns (uint8 underlying, uint8 decimals, uint16 haircut, uint16 haircutMm)
    {
        Collateral storage kind = _kind(index);
        uint256 word;
        assembly ("memory-safe") {
            word := sload(kind.slot)
        }
        (underlying, decimals, haircut) = (uint8(word >> 168), uint8(word >> 160), uint16(word >> 176));
        uint256 done = Ramps.done(uint32(word >> 208), block.timestamp);
        haircutMm = done == SLOPE ? haircut : uint16(Ramps.at(uint16(word >> 192), haircut, done, true));
    }

    /// @inheritdoc IProducts
    function haircutRamp(uint256 index) external view returns (uint16, uint256) {
        Collateral storage kind = _kind(index);
        return (kind.haircutFrom, kind.start);
    }

    /// @inheritdoc IProducts
    function collaterals() external view returns (uint256) {
        return _collaterals.length;
    }

    // ---- writing ----

    /// @dev A first version is the same at both ends. Both are ordered, so all between are: they are one floor of numbers
    /// at least 1 apart.
    function _setScan(uint8 underlying, ScanParameters memory from, ScanParameters calldata to, uint256 start)
        internal
    {
        ParameterRules.check(to);
        uint32 version = ++_versions[underlying];
        Scan storage added = _scans[underlying][version];
        uint256[3] memory words = Packed.scan(from);
        uint256 covers = words[2] << Packed.FROM_SHIFT;
        added.from = [words[0], words[1]];
        added.to = Packed.scan(to);
        added.to[2] |= covers | start << Packed.SCAN_START_SHIFT;
        _scanHashes[underlying][version] = keccak256(abi.encode(from, to, start));
        emit ScanParametersSet(underlying, version, to, from, start);
    }

    function _setRates(uint8 underlying, uint256 from, MarginParameters memory to, uint256 start) internal {
        ParameterRules.check(to);
        _rates[underlying] = Rates(Packed.rates(to) | start << Packed.START_SHIFT, from);
        emit MarginParametersSet(underlying, to, Packed.rates(from), start);
    }

    function _setCollateral(uint256 index, CollateralType memory kind, uint256 from, uint256 start) internal {
        _collaterals[index] =
            Collateral(kind.token, kind.decimals, kind.underlying, kind.haircut, uint16(from), uint32(start), kind.cap);
        emit CollateralSet(index, kind, uint16(from), start);
    }

    // ---- where they are ----

    function _scanOf(uint8 underlying, uint32 version) private view returns (Scan storage) {
        if (version == 0 || version > scanVersion(underlying)) revert UnknownVersion(underlying, version);
        return _scans[underlying][version];
    }

    function _scanAt(Scan storage s, uint256 time) private view returns (uint256 a, uint256 b, uint256 c) {
        assembly ("memory-safe") {
            a := sload(s.slot)
            b := sload(add(s.slot, 1))
            c := sload(add(s.slot, 2))
        }
        uint256 done = Ramps.done(c >> Packed.SCAN_START_SHIFT, time);
        if (done == SLOPE) return (a, b, c & Packed.COVERS);
        a = Packed.wide(s.from[0], a, done);
        b = Packed.wide(s.from[1], b, done);
        c = Packed.narrow(c >> Packed.FROM_SHIFT, c, 0, 48, done);
    }

    function _ratesOf(uint8 underlying) private view returns (uint256 from, uint256 to, uint256 start) {
        Rates storage rates = _rates[underlying];
        uint256 word = rates.written;
        if (word == 0) revert UnknownUnderlying(underlying); // no imScalar is 0
        return (rates.from, word & Packed.RATES, word >> Packed.START_SHIFT);
    }

    function _ratesNow(uint8 underlying) private view returns (uint256 im, uint256 mm) {
        Rates storage rates = _rates[underlying];
        uint256 word = rates.written;
        im = word & Packed.RATES;
        uint256 done = Ramps.done(word >> Packed.START_SHIFT, block.timestamp);
        mm = done == SLOPE ? im : Packed.ratesAt(rates.from, im, done);
    }

    function _kind(uint256 index) private view returns (Collateral storage) {
        if (index >= _collaterals.length) revert UnknownCollateral(index);
        return _collaterals[index];
    }

    function _requireRunning(uint256 of_, uint256 start) private view {
        if (start == HELD || block.timestamp >= start + SLOPE) revert NothingRunning(of_);
    }

    /// @dev MM's haircut too is one that was checked, or between two.
    function _checkCollateral(CollateralType calldata accepted, uint256 decimals) internal view {
        scanVersion(accepted.underlying);
        ParameterRules.check(accepted, MOST_INCENTIVE, decimals);
    }
}
