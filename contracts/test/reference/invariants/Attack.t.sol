// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {AttackHandler} from "./AttackHandler.sol";
import {Campaign} from "./Campaign.sol";

contract AttackInvariants is Campaign {
    AttackHandler private handler;

    function setUp() public {
        handler = new AttackHandler();
        handler.setUp();
        bytes4[] memory selectors = new bytes4[](9);
        selectors[0] = AttackHandler.deposit.selector;
        selectors[1] = AttackHandler.withdraw.selector;
        selectors[2] = AttackHandler.trade.selector;
        selectors[3] = AttackHandler.dump.selector;
        selectors[4] = AttackHandler.take.selector;
        selectors[5] = AttackHandler.lie.selector;
        selectors[6] = AttackHandler.challenge.selector;
        selectors[7] = AttackHandler.move.selector;
        selectors[8] = AttackHandler.crush.selector;
        _aim(address(handler), selectors);
    }

    /// No action makes the attacker richer than fund and shared loss openly paid (in the handler, after each); payouts
    /// stay within the slashable part; every lie is void and paid for; the sums hold throughout.
    function invariant_no_action_of_an_attacker_pays() public {
        handler.checkSums();
        handler.checkPayouts();
    }

    function afterInvariant() public {
        handler.checkAlive();
    }
}
