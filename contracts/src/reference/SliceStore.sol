// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {IPrices} from "./interfaces/IPrices.sol";
import {ISlices} from "./interfaces/ISlices.sol";
import {StoreRules} from "./StoreRules.sol";
import {Slice} from "./Types.sol";

/// @title Volatility slices by content hash, readable for good. Who may write is for the contract that inherits it.
abstract contract SliceStore is ISlices, StoreRules {
    struct NewestSlice {
        bytes32 id;
        bytes32 before;
    }

    mapping(uint8 underlying => mapping(uint40 expiry => NewestSlice)) private _newestSlice;
    mapping(bytes32 id => Slice) private _slices;

    /// @inheritdoc ISlices
    function newestSlice(uint8 underlying, uint40 expiry)
        external
        view
        returns (Slice memory, bytes32 id, bytes32 before)
    {
        NewestSlice storage last = _newestSlice[underlying][expiry];
        (id, before) = (last.id, last.before);
        if (id == 0) revert IPrices.NoSlice(underlying, expiry);
        return (_slices[id], id, before);
    }

    /// @inheritdoc ISlices
    function slice(bytes32 id) external view returns (Slice memory found) {
        found = _slices[id];
        if (found.timestamp == 0) revert IPrices.UnknownSlice(id);
    }

    /// @dev All zero where there is none.
    function _lastSlice(uint8 underlying, uint40 expiry) internal view returns (Slice memory) {
        return _slices[_newestSlice[underlying][expiry].id];
    }

    function _lastSliceId(uint8 underlying, uint40 expiry) internal view returns (bytes32) {
        return _newestSlice[underlying][expiry].id;
    }

    /// @dev All zero where there is none.
    function _sliceOf(bytes32 id) internal view returns (Slice memory) {
        return _slices[id];
    }

    function _setSlice(Slice calldata fitted) internal returns (bytes32 id) {
        NewestSlice storage last = _newestSlice[fitted.underlying][fitted.expiry];
        _checkTime(fitted.timestamp, _slices[last.id].timestamp);
        _checkSlice(fitted);
        id = keccak256(abi.encode(address(this), block.chainid, fitted));
        _slices[id] = fitted;
        (last.before, last.id) = (last.id, id);
        emit IPrices.SliceSet(fitted.underlying, fitted.expiry, id, fitted);
    }

    /// @dev Bounds against slips, and so that no product or word of the specification can overflow.
    function _checkSlice(Slice calldata fitted) internal view {
        (uint8 underlying, uint40 expiry) = (fitted.underlying, fitted.expiry);
        if (expiry == 0 || PRODUCTS.nextExpiry(underlying, expiry - 1) != expiry) {
            revert IPrices.NoSlice(underlying, expiry);
        }
        _within("timestamp", int256(uint256(fitted.timestamp)), 1, int256(uint256(expiry)) - 1);
        int256 spot = int256(uint256(fitted.spot));
        _within("spot", spot, 2, int256(MAX_PRICE));
        _within("forward", int256(uint256(fitted.forward)), (spot + 1) / 2, 2 * spot);
        _within("a", fitted.a, -100 * _ONE, 100 * _ONE);
        _within("b", fitted.b, 0, 100 * _ONE);
        _within("rho", fitted.rho, 1 - _ONE, _ONE - 1);
        _within("m", fitted.m, -10 * _ONE, 10 * _ONE);
        _within("s", fitted.s, 1, 10 * _ONE);
        int256 root = int256(FixedPointMathLib.sqrt(uint256(_ONE * _ONE - int256(fitted.rho) * fitted.rho)));
        int256 least = int256(fitted.a) * _ONE * _ONE + int256(fitted.b) * fitted.s * root;
        _within("variance", least, 0, type(int256).max);
    }
}
