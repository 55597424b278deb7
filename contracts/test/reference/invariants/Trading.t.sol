// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Campaign} from "./Campaign.sol";
import {LifeHandler} from "./LifeHandler.sol";
import {Market} from "./Market.sol";

contract TradingInvariants is Campaign {
    function _newHandler() internal override returns (Market) {
        return new LifeHandler();
    }

    /// One campaign for all that holds at any time; what holds of a single action, the handler checks as it happens:
    /// no risk added and nothing taken out below IM, no deficit left behind, the liquidation rules of a take, what an
    /// expiry pays, what a swap moves, whom a delegate serves and for how long, what lateness costs.
    function invariant_tokens_cover_claims_sums_are_zero_and_payouts_within_the_slashable_part() public {
        handler.checkSums();
        handler.checkPayouts();
    }
}
