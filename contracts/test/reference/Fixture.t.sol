// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Book, Check} from "../../src/reference/Types.sol";
import {Fixture} from "./Fixture.sol";

/// @notice The parts work together before anybody builds on them.
contract FixtureTest is Fixture {
    uint256 private constant ALICE = 0xa11ce;
    uint256 private constant BOB = 0xb0b;

    function test_two_accounts_trade_an_option_and_a_perpetual() public {
        _deposit(_account(ALICE, 0), 0, 100_000e6);
        _deposit(_account(BOB, 0), 0, 50_000e6);
        _deposit(_account(BOB, 0), WETH_COLLATERAL + 1, 20e18);
        uint128 call = _option(ETH, 1, 1, true);
        _skip(WINDOW); // the first epochs settle
        _refresh(ETH, ETH_PRICE);
        _report(BTC, BTC_PRICE);
        _trade(ALICE, BOB, call, 3e18, margin.mark(call));
        _trade(ALICE, BOB, _perpetual(ETH), 1e18, ETH_PRICE);
        Book memory alice = venue.book(_account(ALICE, 0));
        Book memory bob = venue.book(_account(BOB, 0));
        assertEq(alice.legs.length, 2);
        assertEq(alice.cash + bob.cash, 150_000e18);
        Check memory check = margin.byArrays(bob);
        assertTrue(check.im > check.mm && check.mm > 0, "short options need margin");
        assertLe(int256(check.im), check.equity);
    }
}
