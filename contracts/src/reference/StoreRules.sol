// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IPrices} from "./interfaces/IPrices.sol";
import {IProducts} from "./interfaces/IProducts.sol";
import {StoreTime} from "./StoreTime.sol";
import {WAD} from "./Types.sol";

/// @title What every store of reports or slices knows: the products it is about, and how it refuses.
abstract contract StoreRules is Ownable2Step {
    uint256 public constant MAX_PRICE = 5e24; // forwards are at most twice it: 10⁷ USD, what int48 words hold (spec, Blobs)
    int256 internal constant _ONE = int256(WAD);

    IProducts public immutable PRODUCTS;

    constructor(IProducts products) {
        PRODUCTS = products;
    }

    /// @dev A report or slice seen at `found` may follow one seen at `last`.
    function _checkTime(uint40 found, uint40 last) internal view {
        StoreTime.check(found, last, block.timestamp);
    }

    function _within(bytes32 field, int256 found, int256 low, int256 high) internal pure {
        if (found < low || found > high) revert IPrices.OutOfRange(field, found, low, high);
    }
}
