// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IAuctions} from "../../src/reference/interfaces/IAuctions.sol";
import {IMargin} from "../../src/reference/interfaces/IMargin.sol";
import {IMarginVenue} from "../../src/reference/interfaces/IMarginVenue.sol";
import {Book, Check, Slice, WAD} from "../../src/reference/Types.sol";
import {Fixture} from "./Fixture.sol";

/// What the venue's bounds do not bound: the figures of docs/threat-model.md, so that they stay true.
contract VenueLimitsTest is Fixture {
    uint256 private constant LOSER = 21;
    uint256 private constant WINNER = 22;
    uint256 private constant THIRD = 23;
    uint256 private constant HONEST = 24;

    function setUp() public override {
        super.setUp();
        _deposit(_account(HONEST, 0), 0, 5_000_000e6);
        _skip(1);
    }

    function _waitAWindow() private {
        for (uint256 i; i < 3; ++i) {
            _skip(WINDOW / 3);
            _report(ETH, ETH_PRICE);
        }
    }

    /// @dev What was won is gone in one withdrawal, and nothing of the cap is used.
    function _leavesWith(uint256 amount) private {
        _skip(WINDOW + 1);
        _withdrawCash(WINNER, amount);
        assertEq(usdc.balanceOf(address(this)), amount);
        assertEq(venue.payoutLeft(), riskArrays.slashable());
        assertLe(6 * riskArrays.slashable(), amount * 1e12);
    }

    // ---- who waits is exempt from the payout cap ----

    /// One wrong price: long and short of one owner close on it, and the winner waits.
    function test_a_false_price_is_worth_all_that_the_venue_holds() public {
        _deposit(_account(LOSER, 0), 0, 1_000_000e6);
        _deposit(_account(WINNER, 0), 0, 1_000_000e6);
        _trade(WINNER, LOSER, _perpetual(ETH), 1_000 * WAD, ETH_PRICE);
        _skip(10);
        _report(ETH, 3 * ETH_PRICE);
        _trade(LOSER, WINNER, _perpetual(ETH), 1_000 * WAD, 3 * ETH_PRICE);
        _leavesWith(7_000_000e6);
    }

    /// @dev The first option of the last expiry is worth 9.9 million a contract in every row.
    function _publishRich() private {
        bytes32 reportId = _report(ETH, ETH_PRICE);
        uint40[] memory live = _expiries(ETH);
        for (uint256 i; i < live.length; ++i) {
            (, bytes32 sliceId,) = prices.newestSlice(ETH, live[i]);
            bytes memory arrays = _arrays(ETH, live[i], reportId, sliceId);
            for (uint256 at; i == 2 && at < 132; ++at) {
                arrays[at] = at == 0 ? bytes1(0x09) : bytes1(0);
            }
            _publish(PUBLISHER, ETH, live[i], reportId, arrays);
        }
    }

    /// A false array that nobody challenges for a window: who holds one contract of it can lose, inside the band, what
    /// he never had. A proof after that undoes no trade.
    function test_a_false_array_that_settled_is_worth_more_than_one_cap() public {
        _deposit(_account(LOSER, 0), 0, 10_000e6);
        _deposit(_account(THIRD, 0), 0, 10_000e6);
        _deposit(_account(WINNER, 0), 0, 1_200_000e6);
        _waitAWindow();
        _fitAll(ETH);
        uint128 call = _option(ETH, 2, 0, true);
        _trade(LOSER, THIRD, call, WAD, margin.mark(call));
        _skip(60);
        _publishRich();
        _waitAWindow();
        for (uint256 i; i < 10; ++i) {
            _trade(LOSER, WINNER, _perpetual(ETH), 1_000 * WAD, ETH_PRICE * 105 / 100);
            _trade(WINNER, LOSER, _perpetual(ETH), 1_000 * WAD, ETH_PRICE * 95 / 100);
        }
        _leavesWith(4_200_000e6);
    }

    // ---- slices that no arrays follow ----

    function _flat(uint256 vol, uint256 forward) private {
        uint40[] memory live = products.expiriesAfter(ETH, uint40(block.timestamp));
        for (uint256 i; i < live.length; ++i) {
            (Slice memory slice,,) = prices.newestSlice(ETH, live[i]);
            (slice.timestamp, slice.a, slice.b) = (uint40(block.timestamp), int128(int256(vol * vol / WAD)), 0);
            slice.forward = uint128(uint256(slice.spot) * forward / 10_000);
            _relay(slice);
        }
    }

    function _calm() private {
        _deposit(_account(LOSER, 0), 0, 200_000e6);
        _deposit(_account(WINNER, 0), 0, 5_000_000e6);
        _flat(0.6e18, 10_050);
        _report(ETH, ETH_PRICE);
        _publishAll(ETH);
        _waitAWindow();
        _skip(1);
    }

    /// @dev What arrays credit the account with beyond what was paid in and IM, USD.
    function _gain() private view returns (int256) {
        Check memory newest = margin.byArrays(_bookOf(LOSER));
        Check memory settled = margin.bySettledArrays(_bookOf(LOSER));
        int256 one = newest.equity - int256(newest.im);
        int256 two = settled.equity - int256(settled.im);
        return (one < two ? one : two) / 1e18 - 200_000;
    }

    /// Straddles of 30 days on 600,000 USD, bought at marks of the new slice and valued at those of the old arrays.
    function _gainOfStraddles(uint256 vol) private returns (int256) {
        _calm();
        _flat(vol, 10_050);
        for (uint256 i; i < 2; ++i) {
            uint128 id = _option(ETH, 2, 1, i == 0);
            _trade(LOSER, WINNER, id, 200 * WAD, margin.mark(id));
        }
        return _gain();
    }

    /// IM of a long straddle covers a fall of volatility by imScalar × volDown, 37 %, ...
    function test_a_fall_of_volatility_that_im_covers_gives_nothing() public {
        assertLe(_gainOfStraddles(0.38e18), -3_000);
    }

    /// ... and no more: from 60 to 30 % arrays credit 1.2 % of the notional that is not there. It opens positions until
    /// arrays follow, but it does not leave: a withdrawal needs IM at the marks of the newest slices too.
    function test_what_im_does_not_cover_of_a_greater_one_does_not_leave() public {
        assertLe(7_000, _gainOfStraddles(0.3e18));
        uint256 gain = uint256(_gain());
        _refuseWithdrawal((200_000 + gain) * 1e6);
        Book memory held = _bookOf(LOSER);
        int256 excess = margin.byMarks(held).equity - int256(margin.byArrays(held).im);
        assertLe(excess / 1e18, 190_000);
        _withdrawCash(LOSER, uint256(excess) / 1e12);
        _refuseWithdrawal(1);
    }

    function _refuseWithdrawal(uint256 amount) private {
        uint64 sequence = venue.sequence(_account(LOSER, 0));
        vm.prank(vm.addr(LOSER));
        vm.expectPartialRevert(IMarginVenue.BelowInitialMargin.selector);
        venue.withdraw(_account(LOSER, 0), 0, amount, address(this), sequence);
    }

    /// Call less put against the perpetual: no row moves the forward against the spot, so IM is the short-option minimum,
    /// 1 % of the spot, and a forward that moves by more is worth the rest.
    function _gainOfForwards(uint256 forward) private returns (int256) {
        _calm();
        _flat(0.6e18, forward);
        (uint128 call, uint128 put) = (_option(ETH, 2, 1, true), _option(ETH, 2, 1, false));
        for (uint256 i; i < 3; ++i) {
            _trade(WINNER, LOSER, _perpetual(ETH), 100 * WAD, ETH_PRICE);
            _trade(LOSER, WINNER, call, 100 * WAD, margin.mark(call));
            _trade(WINNER, LOSER, put, 100 * WAD, margin.mark(put));
        }
        return _gain();
    }

    function test_a_forward_that_moves_within_the_short_option_minimum_gives_nothing() public {
        assertLe(_gainOfForwards(9_960), -500);
    }

    function test_the_rest_of_a_forward_that_moves_beyond_it_does_not_leave() public {
        int256 gain = _gainOfForwards(9_850);
        assertLe(8_000, gain);
        _refuseWithdrawal(uint256(200_000 + gain) * 1e6);
    }

    function test_new_arrays_end_both() public {
        int256 gain = _gainOfForwards(9_850);
        assertLe(8_000, gain);
        _report(ETH, ETH_PRICE);
        _publishAll(ETH);
        assertLe(_gain(), -8_000);
    }

    // ---- the stalest feed ----

    /// One unit of a collateral whose price is not reported shields the account that holds it, in need or not.
    function test_a_unit_of_a_silent_collateral_shields_an_account() public {
        _deposit(_account(LOSER, 0), 0, 100_000e6);
        _deposit(_account(LOSER, 0), DAI_COLLATERAL + 1, 1);
        _deposit(_account(WINNER, 0), 0, 100_000e6);
        _trade(WINNER, LOSER, _perpetual(ETH), 100 * WAD, ETH_PRICE);
        _skip(MAX_REPORT_AGE);
        _report(ETH, 2 * ETH_PRICE);
        uint64 sequence = venue.sequence(_account(LOSER, 0));
        IAuctions.StartCall memory start = IAuctions.StartCall(
            _account(LOSER, 0), sequence, uint40(block.timestamp), false, type(uint256).max << 8 | 16
        );
        vm.expectRevert(abi.encodeWithSelector(IMargin.StaleReport.selector, DAI, MAX_REPORT_AGE + 1, MAX_REPORT_AGE));
        auctions.startAuction(start);
        _report(DAI, WAD);
        auctions.startAuction(start);
    }
}
