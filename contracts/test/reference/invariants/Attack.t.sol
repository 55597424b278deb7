// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {AttackHandler} from "./AttackHandler.sol";
import {Campaign} from "./Campaign.sol";
import {Market} from "./Market.sol";

contract AttackInvariants is Campaign {
    function _newHandler() internal override returns (Market) {
        return new AttackHandler();
    }

    /// No action makes the attacker richer than fund and shared loss openly paid (in the handler, after each); payouts
    /// stay within the slashable part; every lie is void and paid for; the sums hold throughout.
    function invariant_no_action_of_an_attacker_pays() public {
        handler.checkSums();
        handler.checkPayouts();
    }
}
