// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ARRAY_BYTES, Report} from "../../src/reference/Types.sol";
import {Words} from "../../src/reference/math/Words.sol";
import {Fixture} from "./Fixture.sol";

/// @notice A small board: two expiries, four options each. Epoch 1 of ETH and BTC is complete since START.
abstract contract RiskArraysBase is Fixture {
    address internal constant RIVAL = address(0x9c);
    address internal constant CHALLENGER = address(0xc4a1);
    uint40 internal constant FIRST = uint40(START + 1 days);
    uint40 internal constant SECOND = uint40(START + 7 days);

    function _expiries(uint8) internal view virtual override returns (uint40[] memory list) {
        list = new uint40[](2);
        (list[0], list[1]) = (FIRST, SECOND);
    }

    function _strikes(uint8 underlying) internal view virtual override returns (uint64[] memory list) {
        uint64 spot = uint64((underlying == ETH ? ETH_PRICE : BTC_PRICE) / 1e10);
        list = new uint64[](2);
        (list[0], list[1]) = (spot, spot * 11 / 10);
    }

    /// @dev A new report and slices, nothing published.
    function _news(uint8 underlying, uint256 price) internal returns (bytes32 reportId) {
        reportId = _report(underlying, price);
        _fitAll(underlying);
    }

    function _newestId(uint8 underlying) internal view returns (bytes32 id) {
        (, id,) = prices.newest(underlying);
    }

    function _sliceId(uint8 underlying, uint40 expiry) internal view returns (bytes32 id) {
        (, id,) = prices.newestSlice(underlying, expiry);
    }

    /// @dev Correct arrays of an expiry on the newest report and slice.
    function _right(uint8 underlying, uint40 expiry) internal view returns (bytes memory) {
        return _arrays(underlying, expiry, _newestId(underlying), _sliceId(underlying, expiry));
    }

    /// @dev The same arrays with `delta` added to one word of one of them (modulo 2⁴⁸).
    function _wrong(bytes memory arrays, uint256 index, uint256 word, uint48 delta)
        internal
        pure
        returns (bytes memory changed)
    {
        changed = bytes.concat(arrays);
        uint256 at = index * ARRAY_BYTES + word * 6;
        unchecked {
            uint48 became = uint48(uint256(Words.at(arrays, at / 6))) + delta;
            for (uint256 i; i < 6; ++i) {
                changed[at + i] = bytes1(uint8(became >> (40 - 8 * i)));
            }
        }
    }

    /// @dev A complete epoch of which one word of one array of the first expiry is wrong.
    function _publishWrong(address who, uint8 underlying, uint256 index, uint256 word, uint48 delta)
        internal
        returns (uint256 epoch)
    {
        bytes32 reportId = _newestId(underlying);
        (Report memory last,,) = prices.newest(underlying);
        uint40[] memory live = products.expiriesAfter(underlying, last.timestamp);
        bytes memory arrays = _wrong(_right(underlying, live[0]), index, word, delta);
        epoch = _publish(who, underlying, live[0], reportId, arrays);
        for (uint256 i = 1; i < live.length; ++i) {
            _publish(who, underlying, live[i], reportId);
        }
    }

    function _currentId(uint8 underlying) internal view returns (uint256 id) {
        (id,) = riskArrays.current(underlying);
    }

    function _settledId(uint8 underlying) internal view returns (uint256 id) {
        (id,) = riskArrays.settled(underlying);
    }
}
