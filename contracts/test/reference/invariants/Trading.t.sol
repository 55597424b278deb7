// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Campaign} from "./Campaign.sol";
import {TradingHandler} from "./TradingHandler.sol";

contract TradingInvariants is Campaign {
    TradingHandler private handler;

    function setUp() public {
        handler = new TradingHandler();
        handler.setUp();
        bytes4[] memory selectors = new bytes4[](6);
        selectors[0] = TradingHandler.deposit.selector;
        selectors[1] = TradingHandler.withdraw.selector;
        selectors[2] = TradingHandler.trade.selector;
        selectors[3] = TradingHandler.move.selector;
        selectors[4] = TradingHandler.liquidate.selector;
        selectors[5] = TradingHandler.end.selector;
        _aim(address(handler), selectors);
    }

    /// One campaign for all that holds at any time; what holds of a single action, the handler checks as it happens:
    /// no risk added and nothing taken out below IM, no deficit left behind, the liquidation rules of a take.
    function invariant_tokens_cover_claims_sums_are_zero_and_payouts_within_the_slashable_part() public {
        handler.checkSums();
        handler.checkPayouts();
    }

    function afterInvariant() public {
        handler.checkAlive();
    }
}
