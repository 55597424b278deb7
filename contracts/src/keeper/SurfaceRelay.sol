// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {SliceStore} from "../reference/SliceStore.sol";
import {StoreRules} from "../reference/StoreRules.sol";
import {IProducts} from "../reference/interfaces/IProducts.sol";
import {Svi} from "../reference/math/Svi.sol";
import {Slice} from "../reference/Types.sol";
import {Jumps} from "./Jumps.sol";
import {Quorum} from "./Quorum.sol";
import {ISurfaceRelay} from "./interfaces/ISurfaceRelay.sol";

/// @title Volatility slices that m of n signers vouch for.
contract SurfaceRelay is ISurfaceRelay, SliceStore, Quorum {
    struct Anchor {
        bytes32 id;
        uint40 since;
    }

    uint16 public constant MAX_SURFACE_LIMIT = 5_000;
    uint40 public constant MAX_LIMIT_PERIOD = 1 days;
    uint256 private constant _POINTS = 5;
    uint256 private constant _MOST_FORWARD = 5_000; // BPS of the anchor's
    bytes32 private constant _SLICE = keccak256(
        "Slice(uint8 underlying,uint40 expiry,uint40 timestamp,uint128 forward,uint128 spot,int128 a,int128 b,int128 rho,int128 m,int128 s)"
    );

    mapping(uint8 underlying => SurfaceLimit) public surfaceLimits;
    mapping(uint8 underlying => mapping(uint40 expiry => Anchor)) private _anchors;

    constructor(IProducts products, uint256 maxAge, address owner_)
        Ownable(owner_)
        StoreRules(products)
        Quorum(maxAge)
    {}

    /// @inheritdoc ISurfaceRelay
    function setSurfaceLimit(uint8 underlying, SurfaceLimit calldata limit) external onlyOwner {
        _within("volatility", int256(uint256(limit.volatility)), 0, int256(uint256(MAX_SURFACE_LIMIT)));
        _within("carry", int256(uint256(limit.carry)), 0, int256(uint256(MAX_SURFACE_LIMIT)));
        // shorter, and what was held back for MAX_AGE could be brought in one block, each an anchor of the next
        int256 least = limit.volatility == 0 && limit.carry == 0 ? int256(0) : int256(MAX_AGE);
        _within("period", int256(uint256(limit.period)), least, int256(uint256(MAX_LIMIT_PERIOD)));
        surfaceLimits[underlying] = limit;
        emit SurfaceLimitSet(underlying, limit);
    }

    /// @inheritdoc ISurfaceRelay
    function relay(Slice calldata fitted, bytes[] calldata signatures) external returns (bytes32 id) {
        return _relay(fitted, signatures, _lastSlice(fitted.underlying, fitted.expiry));
    }

    /// @inheritdoc ISurfaceRelay
    function relayMany(SignedSlice[] calldata signed) external returns (bytes32[] memory ids) {
        ids = new bytes32[](signed.length);
        for (uint256 i; i < signed.length; ++i) {
            Slice calldata fitted = signed[i].fitted;
            Slice memory last = _lastSlice(fitted.underlying, fitted.expiry);
            if (fitted.timestamp > last.timestamp) ids[i] = _relay(fitted, signed[i].signatures, last);
        }
    }

    /// @inheritdoc ISurfaceRelay
    function digest(Slice calldata fitted) public view returns (bytes32) {
        return _hashTypedData(keccak256(abi.encode(_SLICE, fitted)));
    }

    /// @inheritdoc ISurfaceRelay
    function isJump(Slice calldata fitted) external view returns (bool) {
        _checkSlice(fitted);
        return _isJump(fitted, _anchorFor(fitted).id);
    }

    /// @inheritdoc ISurfaceRelay
    function anchor(uint8 underlying, uint40 expiry) external view returns (bytes32 id, uint40 since) {
        return (_anchors[underlying][expiry].id, _anchors[underlying][expiry].since);
    }

    function _relay(Slice calldata fitted, bytes[] calldata signatures, Slice memory last)
        private
        returns (bytes32 id)
    {
        _checkFresh(fitted.timestamp, last.timestamp); // first: a quorum that comes again should hear that
        _checkSlice(fitted); // before its volatilities are computed: only inside its bounds nothing overflows
        uint256 signed = _counted(digest(fitted), signatures);
        Anchor memory from = _anchorFor(fitted);
        bool moves = _requireQuorum(signed, _isJump(fitted, from.id));
        id = _setSlice(fitted);
        if (moves) from = Anchor(id, fitted.timestamp);
        _anchors[fitted.underlying][fitted.expiry] = from;
    }

    /// @dev What a slice is measured from: the anchor, or the slice before it once that has stood for its period.
    function _anchorFor(Slice calldata fitted) private view returns (Anchor memory from) {
        (uint8 underlying, uint40 expiry) = (fitted.underlying, fitted.expiry);
        from = _anchors[underlying][expiry];
        bool over = Jumps.over(from.since, fitted.timestamp, surfaceLimits[underlying].period);
        if (over) from = Anchor(_lastSliceId(underlying, expiry), fitted.timestamp);
    }

    /// @dev Both slices are read at the anchor's strikes, as options have them: at strikes of its own forward each, a
    /// slice moved along with forward and spot would look the same. Variance is convex in the logarithm of the strike, so
    /// between the points it is near what it is at them. Beyond the outer ones, half and twice the forward, nothing is
    /// measured.
    function _isJump(Slice calldata fitted, bytes32 from) private view returns (bool) {
        SurfaceLimit memory limit = surfaceLimits[fitted.underlying];
        if (from == 0 || limit.period == 0) return true;
        Slice memory old = _sliceOf(from);
        uint256 carried = uint256(old.forward) * fitted.spot;
        if (Jumps.beyond(uint256(fitted.forward) * old.spot, carried, limit.carry)) return true;
        if (Jumps.beyond(fitted.forward, old.forward, _MOST_FORWARD)) return true; // nor can it be read that far off
        for (uint256 i; i < _POINTS; ++i) {
            uint256 strike = _strike(old.forward, i);
            if (Jumps.beyond(_volatility(fitted, strike), _volatility(old, strike), limit.volatility)) return true;
        }
        return false;
    }

    /// @dev Half, 0.8, once, 1.25 times and twice the forward.
    function _strike(uint256 forward, uint256 point) private pure returns (uint256) {
        uint256 share = point == 0 ? 50 : point == 1 ? 80 : point == 2 ? 100 : point == 3 ? 125 : 200;
        return FixedPointMathLib.max(1, forward * share / 100);
    }

    /// @dev A year, 10⁻⁹.
    function _volatility(Slice memory of_, uint256 strike) private pure returns (uint256) {
        return FixedPointMathLib.sqrt(Svi.variance(of_, strike));
    }

    function _domainNameAndVersion() internal pure override returns (string memory, string memory) {
        return ("SurfaceRelay", "1");
    }
}
