// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ReportStore} from "../reference/ReportStore.sol";
import {StoreRules} from "../reference/StoreRules.sol";
import {ISlices} from "../reference/interfaces/ISlices.sol";
import {BPS, Observation, Report, Slice} from "../reference/Types.sol";
import {Jumps} from "./Jumps.sol";
import {Quorum} from "./Quorum.sol";
import {SurfaceRelay} from "./SurfaceRelay.sol";
import {IPriceRelay} from "./interfaces/IPriceRelay.sol";

/// @title Prices that m of n signers vouch for, in the shape the venue reads; slices are those of a surface relay.
contract PriceRelay is IPriceRelay, ReportStore, Quorum {
    struct Anchor {
        uint128 price;
        uint40 since;
    }

    uint16 public constant MAX_PRICE_LIMIT = 5_000;
    uint40 public constant MAX_LIMIT_PERIOD = 1 days;
    bytes32 private constant _OBSERVATION = keccak256(
        "Observation(uint8 underlying,uint40 timestamp,uint128 price,uint128 confidence,int64 fundingRate,uint40 fixingExpiry,uint64 fixedShare,uint128 fixedAverage)"
    );

    SurfaceRelay public immutable SURFACE;

    mapping(uint8 underlying => PriceLimit) public priceLimits;
    mapping(uint8 underlying => Anchor) private _anchors;
    mapping(uint8 underlying => mapping(uint32 sequence => bytes32)) public idAt;

    constructor(SurfaceRelay surface, uint256 maxAge, address owner_)
        Ownable(owner_)
        StoreRules(surface.PRODUCTS())
        Quorum(maxAge)
    {
        SURFACE = surface;
    }

    /// @inheritdoc IPriceRelay
    function setPriceLimit(uint8 underlying, uint16 most, uint40 period) external onlyOwner {
        _within("most", int256(uint256(most)), 0, int256(uint256(MAX_PRICE_LIMIT)));
        // shorter, and what was held back for MAX_AGE could be brought in one block, each an anchor of the next
        int256 least = most == 0 ? int256(0) : int256(MAX_AGE);
        _within("period", int256(uint256(period)), least, int256(uint256(MAX_LIMIT_PERIOD)));
        priceLimits[underlying] = PriceLimit(most, period);
        emit PriceLimitSet(underlying, most, period);
    }

    /// @inheritdoc IPriceRelay
    function relay(Observation calldata seen, bytes[] calldata signatures) external returns (bytes32 id) {
        return _relay(seen, signatures, _lastReport(seen.underlying));
    }

    /// @inheritdoc IPriceRelay
    function relayMany(SignedObservation[] calldata signed) external returns (bytes32[] memory ids) {
        ids = new bytes32[](signed.length);
        for (uint256 i; i < signed.length; ++i) {
            Observation calldata seen = signed[i].seen;
            Report memory last = _lastReport(seen.underlying);
            if (seen.timestamp > last.timestamp) ids[i] = _relay(seen, signed[i].signatures, last);
        }
    }

    /// @inheritdoc ISlices
    function newestSlice(uint8 underlying, uint40 expiry) external view returns (Slice memory, bytes32, bytes32) {
        return SURFACE.newestSlice(underlying, expiry);
    }

    /// @inheritdoc ISlices
    function slice(bytes32 id) external view returns (Slice memory) {
        return SURFACE.slice(id);
    }

    /// @inheritdoc IPriceRelay
    function digest(Observation calldata seen) public view returns (bytes32) {
        return _hashTypedData(keccak256(abi.encode(_OBSERVATION, seen)));
    }

    /// @inheritdoc IPriceRelay
    function isJump(Observation calldata seen) external view returns (bool) {
        Report memory last = _lastReport(seen.underlying);
        return _isJump(seen, last, _anchorFor(seen, last).price);
    }

    /// @inheritdoc IPriceRelay
    function anchor(uint8 underlying) external view returns (uint128 price, uint40 since) {
        return (_anchors[underlying].price, _anchors[underlying].since);
    }

    function _relay(Observation calldata seen, bytes[] calldata signatures, Report memory last)
        private
        returns (bytes32 id)
    {
        _checkFresh(seen.timestamp, last.timestamp); // first: a quorum that comes again should hear that
        uint256 signed = _counted(digest(seen), signatures);
        Anchor memory from = _anchorFor(seen, last);
        if (_requireQuorum(signed, _isJump(seen, last, from.price))) from = Anchor(seen.price, seen.timestamp);
        id = _setReport(seen);
        _anchors[seen.underlying] = from;
        idAt[seen.underlying][last.sequence + 1] = id;
    }

    /// @dev What a report is measured from: the anchor, or the price before it once that has stood for its period.
    function _anchorFor(Observation calldata seen, Report memory last) private view returns (Anchor memory from) {
        from = _anchors[seen.underlying];
        bool over = Jumps.over(from.since, seen.timestamp, priceLimits[seen.underlying].period);
        if (over) from = Anchor(last.price, seen.timestamp);
    }

    /// @dev Margin follows the price and the confidence, settlement what is fixed: each could be false by itself.
    function _isJump(Observation calldata seen, Report memory last, uint256 from) private view returns (bool) {
        uint256 most = priceLimits[seen.underlying].most;
        if (from == 0 || most == 0 || Jumps.beyond(seen.price, from, most)) return true;
        if (uint256(seen.confidence) * BPS > most * from) return true;
        return seen.fixedShare != 0 && _fixesJump(seen, last, from, most);
    }

    /// @dev The average over the share that is new, against the anchor. Averages are rounded down to a wad unit, so a
    /// unit of each share is let pass.
    function _fixesJump(Observation calldata seen, Report memory last, uint256 from, uint256 most)
        private
        pure
        returns (bool)
    {
        uint256 before = last.fixingExpiry == seen.fixingExpiry ? last.fixedShare : 0;
        if (seen.fixedShare <= before) return true; // never accepted either: shares grow with time
        uint256 expected = before * last.fixedAverage + (seen.fixedShare - before) * from;
        uint256 found = uint256(seen.fixedShare) * seen.fixedAverage;
        uint256 moved = found > expected ? found - expected : expected - found;
        return moved * BPS > (seen.fixedShare - before) * from * most + uint256(seen.fixedShare) * BPS;
    }

    function _domainNameAndVersion() internal pure override returns (string memory, string memory) {
        return ("PriceRelay", "1");
    }
}
