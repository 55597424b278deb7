// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IAuctions} from "../../src/reference/interfaces/IAuctions.sol";
import {IMarginVenue} from "../../src/reference/interfaces/IMarginVenue.sol";
import {Book, Check, Slice, WAD} from "../../src/reference/Types.sol";
import {Fixture} from "./Fixture.sol";

/// What one owner of two accounts tries with the help of a publisher, a silence of his, or the clock.
contract VenueAttacksTest is Fixture {
    uint256 private constant LOSER = 21;
    uint256 private constant WINNER = 22;
    uint256 private constant SECOND = 23;
    uint256 private constant NO_ROWS = type(uint256).max;
    uint256 private constant DEEP_UP = NO_ROWS << 8 | 16;
    uint256 private constant DOWN = NO_ROWS << 8 | 13;

    function setUp() public override {
        super.setUp();
        _deposit(_account(WINNER, 0), 0, 5_000_000e6);
        _skip(WINDOW);
        _refresh(ETH, ETH_PRICE);
    }

    function _strikes(uint8 underlying) internal pure override returns (uint64[] memory list) {
        uint64 spot = uint64((underlying == ETH ? ETH_PRICE : BTC_PRICE) / 1e10);
        list = new uint64[](3);
        (list[0], list[1], list[2]) = (spot * 9 / 10, spot, spot * 12 / 10);
    }

    /// @dev What may leave, base units.
    function _free(uint256 key) private view returns (uint256) {
        Check memory newest = margin.byArrays(_bookOf(key));
        Check memory settled = margin.bySettledArrays(_bookOf(key));
        int256 one = newest.equity - int256(newest.im);
        int256 two = settled.equity - int256(settled.im);
        return uint256(one < two ? one : two) / 1e12;
    }

    function _worth(uint256 key) private view returns (int256) {
        return margin.byScenario(_bookOf(key), NO_ROWS).equity;
    }

    function _excess(Check memory check) private pure returns (int256) {
        return check.equity - int256(check.mm);
    }

    function trade(uint256 buyer, uint256 seller, uint128 id, uint256 size, uint256 price) external {
        _trade(buyer, seller, id, size, price);
    }

    /// @dev A perpetual and as many puts deep in the money, on so much: what opening them needs beyond leaves again.
    function _hedge(uint256 key, uint256 size, uint256 equity) private {
        uint256 needed = size * 700 / 1e12; // USD a contract
        _deposit(_account(key, 0), 0, equity + needed);
        uint128 put = _option(ETH, 0, 2, false);
        _trade(key, WINNER, put, size, margin.mark(put));
        _trade(key, WINNER, _perpetual(ETH), size, ETH_PRICE);
        _withdrawCash(key, needed);
    }

    // ---- a false array ----

    /// @dev An epoch whose options keep their marks and claim that nothing can happen to them.
    function _publishHarmless() private {
        bytes32 reportId = _report(ETH, ETH_PRICE);
        uint40[] memory live = products.expiriesAfter(ETH, uint40(block.timestamp));
        for (uint256 i; i < live.length; ++i) {
            (, bytes32 sliceId,) = prices.newestSlice(ETH, live[i]);
            bytes memory arrays = _arrays(ETH, live[i], reportId, sliceId);
            for (uint256 at; at < arrays.length; ++at) {
                if (at % 132 >= 6) arrays[at] = 0;
            }
            _publish(PUBLISHER, ETH, live[i], reportId, arrays);
        }
    }

    /// A perpetual hedged with puts needs next to nothing. Where a false newest set says that the puts alone need
    /// nothing either, selling the perpetual 5 % under its mark to a friend frees more margin than it loses: what
    /// stays is a naked position on no equity, for the fund.
    function test_a_false_newest_set_does_not_let_a_hedge_be_closed_away() public {
        _hedge(LOSER, 100 * WAD, 16_000e6);
        _skip(60);
        _publishHarmless();
        vm.expectPartialRevert(IMarginVenue.ExcessFell.selector);
        this.trade(WINNER, LOSER, _perpetual(ETH), 100 * WAD, ETH_PRICE * 95 / 100);
    }

    // ---- a silent publisher ----

    function _start(uint256 key, uint256 scenarios) private returns (uint64) {
        uint64 sequence = venue.sequence(_account(key, 0));
        return auctions.startAuction(
            IAuctions.StartCall(_account(key, 0), sequence, uint40(block.timestamp), false, scenarios)
        );
    }

    /// Short straddles after a move of 7 % that no arrays follow: the newest set is stale, the settled one carries its
    /// marks on in a line and sees MM met. Nothing has changed between start and end, so nothing may end: else whoever
    /// likes sets the discount back to nothing in every block.
    function test_what_proved_the_shortfall_must_be_gone_before_an_auction_ends() public {
        _deposit(_account(LOSER, 0), 0, 100_000e6);
        _trade(WINNER, LOSER, _option(ETH, 0, 1, true), 100 * WAD, margin.mark(_option(ETH, 0, 1, true)));
        _trade(WINNER, LOSER, _option(ETH, 0, 1, false), 100 * WAD, margin.mark(_option(ETH, 0, 1, false)));
        _withdrawCash(LOSER, _free(LOSER));
        _skip(60);
        _refresh(ETH, ETH_PRICE * 103 / 100);
        _skip(WINDOW);
        _report(ETH, ETH_PRICE * 110 / 100);
        _fitAll(ETH);
        assertLe(_excess(margin.byScenario(_bookOf(LOSER), DEEP_UP)), -3_000e18);
        assertLe(5_000e18, _excess(margin.bySettledArrays(_bookOf(LOSER))));
        _start(LOSER, DEEP_UP);
        IAuctions.EndCall memory end = _ending(_account(LOSER, 0));
        vm.expectPartialRevert(IAuctions.StillBelowMaintenance.selector);
        auctions.endAuction(end);
        _deposit(_account(LOSER, 0), 0, 20_000e6);
        auctions.endAuction(end);
    }

    // ---- the clock ----

    function _until(uint256 time) private {
        while (block.timestamp < time) {
            _skip(time - block.timestamp > 240 ? 240 : time - block.timestamp);
            _report(ETH, ETH_PRICE);
        }
    }

    /// @dev Forwards at the spot, so that nothing is gained or lost by waiting.
    function _fitFlat() private {
        uint40[] memory live = products.expiriesAfter(ETH, uint40(block.timestamp));
        for (uint256 i; i < live.length; ++i) {
            (Slice memory slice,,) = prices.newestSlice(ETH, live[i]);
            (slice.timestamp, slice.forward, slice.spot) =
            (uint40(block.timestamp), uint128(ETH_PRICE), uint128(ETH_PRICE));
            _relay(slice);
        }
    }

    function _takeAll(uint256 key, uint64 id) private {
        IAuctions.TakeCall memory call;
        (call.account, call.taker, call.auctionId) = (_account(key, 0), _account(WINNER, 0), id);
        (call.expectedSequence, call.takerSequence) = (type(uint64).max, type(uint64).max);
        (call.maxFraction, call.maxPrice) = (uint128(WAD), type(int128).max);
        (call.deadline, call.scenarios) = (uint40(block.timestamp), DOWN);
        vm.prank(vm.addr(WINNER));
        (uint256 fraction,) = auctions.take(call);
        assertEq(fraction, WAD);
    }

    /// @dev Two accounts of one owner on 1,140,000 USD each, with next to no equity, at the second their hedges expire.
    function _expireTwo() private returns (int256 before) {
        uint40 expiry = _expiries(ETH)[0];
        _until(expiry - 1 hours - WINDOW);
        _fitFlat();
        _publishAll(ETH);
        _until(expiry - 1 hours);
        _fitFlat();
        _publishAll(ETH);
        for (uint256 key = LOSER; key <= SECOND; key += SECOND - LOSER) {
            _hedge(key, 380 * WAD, 20_000e6);
            _withdrawCash(key, _free(key));
            assertLe(_worth(key), 150e18);
        }
        before = _all();
        _until(expiry);
        venue.touch(_account(LOSER, 0));
        venue.touch(_account(SECOND, 0));
        venue.touch(_account(WINNER, 0));
    }

    function _all() private view returns (int256) {
        return _worth(LOSER) + _worth(SECOND) + _worth(WINNER);
    }

    /// Puts hedge a perpetual until the second they expire. Nothing moves, no array is false: an account that needed
    /// less than 0.01 % of its notional fails by the clock. If nobody else takes it while the discount grows to its cap,
    /// its owner does. Each of the two would have the fund pay 0.72 % of the notional; together they get what the fund
    /// may add to discounts in a day, and what comes back of that while the second waits.
    function test_what_an_owner_gets_from_the_fund_who_lets_his_hedges_expire() public {
        _deposit(1, 0, 100_000e6);
        int256 before = _expireTwo();
        Check memory failing = margin.byScenario(_bookOf(LOSER), DOWN);
        uint256 aimedAt = failing.mm * MOST_INCENTIVE / 10_000 - uint256(failing.equity);
        assertLe(16_350e18, 2 * aimedAt);
        assertLe(2 * aimedAt, 16_450e18);
        (uint64 first, uint64 second) = (_start(LOSER, DOWN), _start(SECOND, DOWN));
        _until(block.timestamp + auctions.growth());
        _takeAll(LOSER, first);
        assertEq(_all() - before, int256(BONUS));
        _until(block.timestamp + 2 hours);
        _takeAll(SECOND, second);
        int256 gain = _all() - before;
        assertEq(gain, 100_000e18 - venue.fund());
        assertEq(gain, int256(BONUS + BONUS * 2 hours / BONUS_PERIOD));
        assertLe(gain, int256(2 * aimedAt) / 3);
    }
}
