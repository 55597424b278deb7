// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IMarginVenue} from "../../src/reference/interfaces/IMarginVenue.sol";
import {WAD} from "../../src/reference/Types.sol";
import {Fixture} from "./Fixture.sol";

/// What one owner of several accounts tries against the others, on the real contracts.
contract AuctionAttacksTest is Fixture {
    uint256 private constant LOSER = 11;
    uint256 private constant WINNER = 12;

    function setUp() public override {
        super.setUp();
        _deposit(_account(LOSER, 0), 0, 90_000e6);
        _deposit(_account(WINNER, 0), 0, 500_000e6);
        _skip(WINDOW);
        _refreshBoth(ETH_PRICE);
    }

    function _refreshBoth(uint256 price) private {
        _refresh(ETH, price);
        _report(DAI, WAD);
    }

    function _equity(uint256 key) private view returns (int256) {
        return margin.byScenario(venue.book(_account(key, 0)), type(uint256).max).equity;
    }

    /// Outside call, so that the revert expected is the venue's.
    function close(uint256 price) external {
        _trade(WINNER, LOSER, _perpetual(ETH), 100 * WAD, price);
    }

    /// A deficit already there may stay, not grow.
    function test_an_insolvent_account_closes_at_the_mark_or_better() public {
        _trade(LOSER, WINNER, _perpetual(ETH), 100 * WAD, ETH_PRICE);
        _skip(60);
        uint256 mark = ETH_PRICE * 65 / 100;
        _refreshBoth(mark);
        assertEq(_equity(LOSER), -15_000e18);
        vm.expectPartialRevert(IMarginVenue.ExcessFell.selector);
        this.close(mark - 1e16);
        this.close(mark);
        assertEq(_equity(LOSER), -15_000e18);
    }

    /// 100 ETH long on 90,000 USD; at −29 % 3,000 are left. Closing 4 % under the mark to an account of the same
    /// owner would leave −5,500 behind and carry 8,500 away. Excess over MM rises all the while.
    function test_a_closing_trade_cannot_leave_a_deficit_behind() public {
        _trade(LOSER, WINNER, _perpetual(ETH), 100 * WAD, ETH_PRICE);
        _skip(60);
        _refreshBoth(ETH_PRICE * 71 / 100);
        assertEq(_equity(LOSER), 3_000e18);
        uint256 mark = ETH_PRICE * 71 / 100;
        vm.expectRevert(
            abi.encodeWithSelector(
                IMarginVenue.ExcessFell.selector, _account(LOSER, 0), int256(3_000e18), int256(-5_520e18)
            )
        );
        this.close(mark * 96 / 100);
        // What is his own he may give away; at the mark he closes freely.
        this.close(mark - 30e18);
        assertEq(_equity(LOSER), 0);
    }
}
