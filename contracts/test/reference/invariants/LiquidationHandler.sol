// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IAuctions} from "../../../src/reference/interfaces/IAuctions.sol";
import {Book, Check, WAD} from "../../../src/reference/Types.sol";
import {TradingHandler} from "./TradingHandler.sol";

/// @notice Accounts that fall below MM, are started and taken, or saved by their owner.
abstract contract LiquidationHandler is TradingHandler {
    /// @notice An account uses nearly all its margin on ETH, the price jumps against it by 14 to 35 %, and where it is
    /// below MM it is started and taken, in one or several takes, once the arrays of that price have settled; or it is
    /// left for its owner to save.
    function liquidate(uint256 whose, uint256 jump, uint256 time, uint256 fraction, bool up) public {
        whose = bound(whose, 1, TRADERS);
        _stretch(whose, up);
        jump = bound(jump, 1_400, 3_500);
        _tick(10, _inRange(price[ETH] * (up ? 10_000 + jump : 10_000 - jump) / 10_000, ETH_PRICE), price[BTC], 0);
        _publishBoth();
        time = bound(time, 1, 280);
        _tick(WINDOW / 2, price[ETH], price[BTC], 0);
        _tick(WINDOW / 2 - time, price[ETH], price[BTC], 0);
        uint256 account = _account(whose, 0);
        uint256 scenarios = _start(account);
        if (scenarios == 0) return;
        _tick(time, price[ETH], price[BTC], 0);
        if (fraction % 3 == 0) return;
        _take(account, scenarios, bound(fraction, 1, WAD));
        _take(account, scenarios, WAD);
    }

    /// @dev Long before a fall, short before a rise, against the liquidator's account.
    function _stretch(uint256 who, bool short) internal {
        Book memory book = venue.book(_account(who, 0));
        try margin.byArrays(book) returns (Check memory check) {
            int256 room = check.equity - int256(check.im);
            if (room < 100e18) return;
            uint256 size = uint256(room) * 32 / 10 * WAD / price[ETH]; // IM is 28.5 %, more beside options
            (uint256 buyer, uint256 seller) = short ? (LIQUIDATOR, who) : (who, LIQUIDATOR);
            if (_match(buyer, seller, _perpetual(ETH), size, price[ETH])) ++successes["stretch"];
        } catch {}
    }

    /// @dev 0 where the account is not below MM.
    function _start(uint256 account) internal returns (uint256 scenarios) {
        venue.touch(account);
        Book memory book = venue.book(account);
        scenarios = _worst(book);
        bool below = _excess(margin.byScenario(book, scenarios)) < 0;
        if (auctions.auction(account).id != 0) return scenarios;
        IAuctions.StartCall memory call =
            IAuctions.StartCall(account, venue.sequence(account), uint40(block.timestamp), false, scenarios);
        try auctions.startAuction(call) {
            assertTrue(below, "started above MM");
            ++successes["start"];
        } catch {
            assertTrue(!below, "not started below MM");
            return 0;
        }
    }

    function _take(uint256 account, uint256 scenarios, uint256 fraction) internal {
        uint256 taker = _account(LIQUIDATOR, 0);
        venue.touch(account);
        venue.touch(taker);
        Check memory before = margin.byScenario(venue.book(account), scenarios);
        int256 takerBefore = _equity(venue.book(taker));
        uint256 discount = before.mm * auctions.discount(account) / 10_000;
        IAuctions.TakeCall memory call = _takeCall(account, taker, scenarios, fraction);
        vm.prank(vm.addr(LIQUIDATOR));
        try auctions.take(call) returns (uint256 taken, int256) {
            _checkTaken(account, scenarios, before, taken);
            int256 gain = _equity(venue.book(taker)) - takerBefore;
            assertLe(gain, int256(discount * taken / WAD) + 2);
            assertTrue(_meetsInitial(venue.book(taker)), "taker below IM");
            ++successes["take"];
        } catch {
            ++successes["take refused"];
        }
    }

    function _takeCall(uint256 account, uint256 taker, uint256 scenarios, uint256 fraction)
        private
        view
        returns (IAuctions.TakeCall memory)
    {
        return IAuctions.TakeCall({
            account: account,
            taker: taker,
            auctionId: auctions.auction(account).id,
            expectedSequence: venue.sequence(account),
            takerSequence: venue.sequence(taker),
            maxFraction: uint128(fraction),
            maxPrice: type(int128).max,
            deadline: uint40(block.timestamp),
            byArrays: false,
            scenarios: scenarios,
            takerByLegs: false
        });
    }

    function _checkTaken(uint256 account, uint256 scenarios, Check memory before, uint256 taken) private view {
        Check memory left = margin.byScenario(venue.book(account), scenarios);
        assertLe(_excess(before), _excess(left));
        if (before.equity > 0) assertLe(before.equity * int256(left.mm), left.equity * int256(before.mm));
        // What is sold is rounded down, so of nearly everything a unit of WBTC may be left: all the equity there is then.
        int256 dust = int256(price[BTC] / 1e8);
        if (taken < WAD) assertLe((left.equity - dust) * 10_000, int256(left.mm * (10_000 + auctions.buffer())));
    }

    /// @notice The owner tops up and ends the auction, where that is enough by every set of arrays that can be read.
    function end(uint256 whose, uint256 amount) public {
        uint256 account = _account(bound(whose, 1, TRADERS), 0);
        if (auctions.auction(account).id == 0) return;
        _pay(account, 0, bound(amount, 1, 500_000e6));
        try auctions.endAuction(_ending(account)) {
            Book memory book = venue.book(account);
            try margin.byArrays(book) returns (Check memory check) {
                assertLe(0, _excess(check));
            } catch {}
            try margin.bySettledArrays(book) returns (Check memory check) {
                assertLe(0, _excess(check));
            } catch {}
            ++successes["end"];
        } catch {}
    }

    /// @dev What chance left out is done now, from wherever the run ended.
    function _tradeOnce() internal {
        for (uint256 i; i < TRADERS; ++i) {
            deposit(i, 0, 999_999e6); // the largest would wrap to 1
            end(i, 499_999e6);
        }
        move(60, 300, 300, 0, 1);
        _settle();
        for (uint256 seed; successes["trade"] == 0 && seed < 20; ++seed) {
            trade(seed, seed, seed, 0, seed);
        }
        for (uint256 seed; successes["withdraw"] == 0 && seed < 20; ++seed) {
            withdraw(seed, 0, 1e6);
        }
        for (uint256 seed; successes["take"] == 0 && seed < 12; ++seed) {
            liquidate(seed, 100 * seed, 99, WAD, seed % 2 == 0); // WAD is no multiple of 3
        }
    }

    /// @dev One window, so that what is published now is settled, while reports go on.
    function _settle() internal {
        _tick(WINDOW / 2, price[ETH], price[BTC], 0);
        _tick(WINDOW / 2, price[ETH], price[BTC], 0);
    }

    /// @dev Left to its owner, who saves it.
    function _saveOnce() internal {
        for (uint256 seed; successes["end"] == 0 && seed < 12; ++seed) {
            liquidate(seed, 100 * seed, 99, 0, seed % 2 == 0);
            for (uint256 i; i < 6; ++i) {
                end(seed, 499_999e6);
            }
        }
    }
}
