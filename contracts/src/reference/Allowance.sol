// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// What may be spent when nothing has been, and what of it is: one slot.
struct Allowance {
    uint104 most; // USD, wad
    uint104 spent; // as it was `at`
    uint40 at;
}

/// @title An amount that may be spent and comes back in a line, all of it in one period. In any stretch of T seconds at
/// most `most` × (1 + T ÷ period) is spent, and an empty one is never empty for long.
library Allowances {
    using SafeCast for uint256;

    function left(Allowance memory allowance, uint256 time, uint256 period) internal pure returns (uint256) {
        uint256 spent = spentBy(allowance, time, period);
        return allowance.most > spent ? allowance.most - spent : 0;
    }

    /// What still counts as spent at `time`, which is never before the record's own; what came back is rounded down.
    function spentBy(Allowance memory allowance, uint256 time, uint256 period) internal pure returns (uint256) {
        uint256 back = allowance.most * (time - allowance.at) / period;
        return allowance.spent > back ? allowance.spent - back : 0;
    }

    function spend(Allowance memory allowance, uint256 amount, uint256 time, uint256 period) internal pure {
        allowance.spent = (spentBy(allowance, time, period) + amount).toUint104();
        allowance.at = time.toUint40();
    }
}
