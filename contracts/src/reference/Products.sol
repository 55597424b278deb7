// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {IProducts} from "./interfaces/IProducts.sol";
import {Packed} from "./math/Packed.sol";
import {ParameterRules} from "./ParameterRules.sol";
import {Parameters} from "./Parameters.sol";
import {
    ARRAY_BYTES,
    AVERAGING,
    CollateralType,
    HEADER_BYTES,
    Instruments,
    MarginParameters,
    ScanParameters
} from "./Types.sol";

/// @title The owner's list of what can be traded and posted. Listings are for ever; parameters are the steward's.
contract Products is Parameters {
    struct Underlying {
        bytes32 symbol;
        bool perpetual;
        uint40[] expiries; // ascending, past ones included
        mapping(uint40 expiry => uint128[]) options;
        mapping(uint40 expiry => bytes32) rolled; // hash of the options in row order
    }

    uint256 public constant MAX_UNDERLYINGS = 30; // Margin packs one scenario an underlying into a word
    uint256 public constant MAX_COLLATERAL_TYPES = 24; // one bit each in the venue's account slot
    uint256 public constant MAX_LIVE_EXPIRIES = 24; // so that a publisher can complete an epoch
    uint256 public constant MAX_OPTIONS = (24_575 - HEADER_BYTES) / ARRAY_BYTES; // what fits a blob (spec, Blobs)
    uint256 public constant MAX_STRIKE = 1e16; // 10⁸ USD: words stay inside int48 (spec, Blobs)
    uint256 public constant MIN_GAP = 1 hours; // between expiries, and from listing to expiry; > the averaging window
    uint256 public constant EXPIRY_STEP = 60;

    address public immutable SETTLEMENT_TOKEN;

    Underlying[] private _underlyings;
    mapping(uint128 idWithoutIndex => uint256 rowPlusOne) private _rows;

    error ExpiryTooClose(uint40 expiry, uint256 neighbour, uint256 leastGap);
    error UnknownExpiry(uint8 underlying, uint40 expiry);
    error AlreadyListed(uint128 id);
    error AlreadyAccepted(address token, uint256 index);

    constructor(address settlementToken, uint16 mostIncentive, address owner_)
        Ownable(owner_)
        Parameters(mostIncentive)
    {
        SETTLEMENT_TOKEN = settlementToken;
    }

    /// @notice Add an underlying; a stablecoin is one too, without perpetual or expiries.
    function addUnderlying(
        bytes32 symbol,
        bool perpetual,
        ScanParameters calldata scan,
        MarginParameters calldata margin
    ) external onlyOwner returns (uint8 underlying) {
        ParameterRules.within("underlyings", _underlyings.length, 0, MAX_UNDERLYINGS - 1);
        underlying = uint8(_underlyings.length);
        Underlying storage added = _underlyings.push();
        added.symbol = symbol;
        added.perpetual = perpetual;
        emit UnderlyingAdded(underlying, symbol, perpetual);
        if (perpetual) emit InstrumentListed(underlying, 0, Instruments.pack(underlying, 0, 0, false, 0));
        _setScan(underlying, scan, scan, 0);
        _setRates(underlying, Packed.rates(margin), margin, 0);
    }

    /// @notice List an expiry: a whole minute, at least an hour ahead and an hour from every other.
    function listExpiry(uint8 underlying, uint40 expiry) external onlyOwner {
        uint40[] storage expiries = _known(underlying).expiries;
        ParameterRules.within("expiryStep", expiry % EXPIRY_STEP, 0, 0);
        ParameterRules.within(
            "liveExpiries", expiries.length - _place(expiries, uint40(block.timestamp)), 0, MAX_LIVE_EXPIRIES - 1
        );
        uint256 place = _place(expiries, expiry);
        _checkGap(expiry, block.timestamp, expiry);
        if (place > 0) _checkGap(expiry, expiries[place - 1], expiry);
        if (place < expiries.length) _checkGap(expiry, expiry, expiries[place]);
        expiries.push();
        for (uint256 i = expiries.length - 1; i > place; --i) {
            expiries[i] = expiries[i - 1];
        }
        expiries[place] = expiry;
        emit ExpiryListed(underlying, expiry);
    }

    /// @notice Append options to an expiry, until its averaging window opens. Set its first slice before its first
    /// option: from then on no epoch completes without it.
    /// @param strikes 10⁻⁸ USD, > 0.
    /// @param calls Call (true) or put, per strike.
    function listOptions(uint8 underlying, uint40 expiry, uint64[] calldata strikes, bool[] calldata calls)
        external
        onlyOwner
    {
        Underlying storage known = _known(underlying);
        if (expiry == 0 || _next(known.expiries, expiry - 1) != expiry) revert UnknownExpiry(underlying, expiry);
        if (block.timestamp + AVERAGING >= expiry) revert ExpiryTooClose(expiry, block.timestamp, AVERAGING);
        ParameterRules.within("calls", calls.length, strikes.length, strikes.length);
        uint128[] storage options = known.options[expiry];
        ParameterRules.within("options", options.length + strikes.length, 1, MAX_OPTIONS);
        bytes32 rolled = known.rolled[expiry];
        for (uint256 i; i < strikes.length; ++i) {
            ParameterRules.within("strike", strikes[i], 1, MAX_STRIKE);
            uint256 row = options.length;
            uint128 id = Instruments.pack(underlying, expiry, strikes[i], calls[i], uint16(row));
            if (_rows[_withoutIndex(id)] != 0) revert AlreadyListed(id);
            _rows[_withoutIndex(id)] = row + 1;
            options.push(id);
            rolled = keccak256(abi.encode(rolled, id));
            emit InstrumentListed(underlying, expiry, id);
        }
        known.rolled[expiry] = rolled;
    }

    /// @notice Accept a token.
    function addCollateral(CollateralType calldata added) external onlyOwner returns (uint256 index) {
        index = _collaterals.length;
        ParameterRules.within("collaterals", index, 0, MAX_COLLATERAL_TYPES - 1);
        _checkCollateral(added, IERC20Metadata(added.token).decimals());
        if (added.token == SETTLEMENT_TOKEN) revert AlreadyAccepted(added.token, type(uint256).max);
        for (uint256 i; i < index; ++i) {
            if (_collaterals[i].token == added.token) revert AlreadyAccepted(added.token, i);
        }
        _collaterals.push();
        _setCollateral(index, added, added.haircut, 0);
    }

    /// @notice Ticker and whether there is a perpetual.
    function describe(uint8 underlying) external view returns (bytes32 symbol, bool perpetual) {
        Underlying storage known = _known(underlying);
        return (known.symbol, known.perpetual);
    }

    /// @inheritdoc IProducts
    function underlyings() external view returns (uint256) {
        return _underlyings.length;
    }

    /// @inheritdoc IProducts
    function listed(uint128 id) external view returns (bool) {
        if (Instruments.isOption(id)) return _rows[_withoutIndex(id)] == Instruments.indexOf(id) + 1;
        uint8 underlying = Instruments.underlyingOf(id);
        return
            underlying < _underlyings.length && _underlyings[underlying].perpetual && uint128(underlying) << 120 == id;
    }

    /// @inheritdoc IProducts
    function expiriesAfter(uint8 underlying, uint40 after_) external view returns (uint40[] memory later) {
        uint40[] storage expiries = _known(underlying).expiries;
        uint256 from = _place(expiries, after_);
        later = new uint40[](expiries.length - from);
        for (uint256 i; i < later.length; ++i) {
            later[i] = expiries[from + i];
        }
    }

    /// @inheritdoc IProducts
    function nextExpiry(uint8 underlying, uint40 after_) external view returns (uint40) {
        return _next(_known(underlying).expiries, after_);
    }

    /// @inheritdoc IProducts
    function count(uint8 underlying, uint40 expiry) external view returns (uint256) {
        return _known(underlying).options[expiry].length;
    }

    /// @inheritdoc IProducts
    function instrument(uint8 underlying, uint40 expiry, uint256 index) external view returns (uint128) {
        uint128[] storage options = _known(underlying).options[expiry];
        if (index >= options.length) {
            revert UnknownInstrument(Instruments.pack(underlying, expiry, 0, false, uint16(index)));
        }
        return options[index];
    }

    /// @inheritdoc IProducts
    function instruments(uint8 underlying, uint40 expiry) external view returns (uint128[] memory) {
        return _known(underlying).options[expiry];
    }

    /// @inheritdoc IProducts
    function listing(uint8 underlying, uint40 expiry, uint32 version)
        external
        view
        returns (uint256 options, bytes32 id)
    {
        Underlying storage known = _known(underlying);
        bytes32 scan = _scanHashes[underlying][version];
        if (scan == 0) revert UnknownVersion(underlying, version);
        return (known.options[expiry].length, keccak256(abi.encode(known.rolled[expiry], scan)));
    }

    function _known(uint8 underlying) private view returns (Underlying storage) {
        if (underlying >= _underlyings.length) revert UnknownUnderlying(underlying);
        return _underlyings[underlying];
    }

    function _next(uint40[] storage expiries, uint40 after_) private view returns (uint40) {
        uint256 place = _place(expiries, after_);
        return place == expiries.length ? 0 : expiries[place];
    }

    /// @dev Number of expiries <= `after_`: by bisection, as past ones stay in the list.
    function _place(uint40[] storage expiries, uint40 after_) private view returns (uint256 low) {
        uint256 high = expiries.length;
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if (expiries[middle] <= after_) low = middle + 1;
            else high = middle;
        }
    }

    function _withoutIndex(uint128 id) private pure returns (uint128) {
        return id & ~uint128(0x7fff);
    }

    function _checkGap(uint40 expiry, uint256 from, uint256 to) private pure {
        if (to < from + MIN_GAP) revert ExpiryTooClose(expiry, from == expiry ? to : from, MIN_GAP);
    }
}
