// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {BPS} from "./Types.sol";

/// @title When a bond may leave, how long an array stays open to challenge, and who gets a slashed bond.
library BondRules {
    /// First second at which a bond asked back may leave. A publication after the request pushes it back, so that no
    /// bond leaves while an array it backs can be proven wrong: the last second of a challenge is the one before.
    function freeFrom(uint256 requestedAt, uint256 publishedAt, uint256 window) internal pure returns (uint256) {
        if (requestedAt == 0) return type(uint256).max;
        return (publishedAt > requestedAt ? publishedAt : requestedAt) + window;
    }

    /// First second at which an epoch can be challenged no more. One never completed counts from its opening.
    function closedFrom(uint256 openedAt, uint256 completedAt, uint256 window) internal pure returns (uint256) {
        return (completedAt == 0 ? openedAt : completedAt) + window;
    }

    /// `fundShare` in BPS, at least half. Rounding favours the fund.
    function split(uint256 bond, uint256 fundShare) internal pure returns (uint256 toChallenger, uint256 toFund) {
        toChallenger = bond * (BPS - fundShare) / BPS;
        toFund = bond - toChallenger;
    }
}
