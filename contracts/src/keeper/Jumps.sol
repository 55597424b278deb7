// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {BPS} from "../reference/Types.sol";

/// @title What is a jump: a change beyond a share of what it is measured from. The share itself is none.
///
/// It is measured from an anchor that stands for a period, not from the last report: else a quorum that may move a price
/// by a share could do so every second. What a quorum alone moves in the T seconds of its own times, from the last honest
/// report on, is at most 3 + ⌊T ÷ period⌋ such shares: from one end of the band to the other, and one for each anchor.
library Jumps {
    function beyond(uint256 found, uint256 anchor, uint256 most) internal pure returns (bool) {
        uint256 moved = found > anchor ? found - anchor : anchor - found;
        return moved * BPS > most * anchor;
    }

    /// @dev Has an anchor set at `since` stood for its period? None was set at 0.
    function over(uint40 since, uint40 time, uint40 period) internal pure returns (bool) {
        return since != 0 && time >= uint256(since) + period;
    }
}
