// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {StoreTime} from "../reference/StoreTime.sol";

/// @title The order of what a relay accepts: as every store's, and young. That time must be later is also what makes each
/// quorum count once: the time is among what it signed.
library RelayTime {
    error TooOld(uint40 found, uint256 oldest);

    /// @notice An observation exactly `maxAge` old is young enough.
    function check(uint40 found, uint40 last, uint256 nowTime, uint256 maxAge) internal pure {
        StoreTime.check(found, last, nowTime);
        if (nowTime - found > maxAge) revert TooOld(found, nowTime - maxAge);
    }
}
