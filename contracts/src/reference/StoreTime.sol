// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPrices} from "./interfaces/IPrices.sol";

/// @title The order of what a store keeps: strictly later each time, never ahead of the chain.
library StoreTime {
    function check(uint40 found, uint40 last, uint256 nowTime) internal pure {
        if (found > nowTime) revert IPrices.TimeInFuture(found, nowTime);
        if (found <= last) revert IPrices.TimeNotLater(found, last);
    }
}
