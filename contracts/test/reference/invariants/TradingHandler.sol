// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IAuctions} from "../../../src/reference/interfaces/IAuctions.sol";
import {Book, Check, WAD} from "../../../src/reference/Types.sol";
import {Market} from "./Market.sol";

/// @notice Traders who deposit, trade, withdraw and are liquidated while prices move and honest arrays follow. Each
/// action holds itself to the rule it falls under; none reverts where the venue merely refuses.
abstract contract TradingHandler is Market {
    /// @notice Tokens in, always accepted.
    function deposit(uint256 who, uint256 asset, uint256 amount) public {
        asset = bound(asset, 0, 3);
        uint256 most = [uint256(1_000_000e6), 100e18, 5e8, 300_000e18][asset];
        _pay(_account(bound(who, 1, TRADERS), 0), asset, bound(amount, 1, most));
        ++successes["deposit"];
    }

    /// @notice Tokens out: with positions or debt, the account ends at IM under both sets.
    function withdraw(uint256 who, uint256 asset, uint256 amount) public {
        who = bound(who, 1, TRADERS);
        asset = bound(asset, 0, 3);
        amount = bound(amount, 0, _owned(who, asset));
        bytes4 refused = _withdrawBy(who, who, asset, amount);
        ++successes[refused == 0 ? bytes32("withdraw") : bytes32("withdrawal refused")];
    }

    /// @dev Base units, cash that is there included.
    function _owned(uint256 who, uint256 asset) internal returns (uint256) {
        venue.touch(_account(who, 0));
        (Book memory book,) = venue.recorded(_account(who, 0));
        if (asset > 0) return _amountOf(book, asset - 1);
        return book.cash > 0 ? uint256(book.cash) / 1e12 : 0;
    }

    /// @dev Key `by` withdraws from the account of key `who`, to its owner. 0 where that is done, else why it is not.
    function _withdrawBy(uint256 by, uint256 who, uint256 asset, uint256 amount) internal returns (bytes4 refused) {
        uint256 account = _account(who, 0);
        venue.touch(account);
        (Book memory before, uint40 last) = venue.recorded(account);
        uint256 own = venue.held(asset);
        uint64 sequence = venue.sequence(account);
        address owner = vm.addr(who);
        vm.prank(vm.addr(by));
        try venue.withdraw(account, asset, amount, owner, sequence) {}
        catch (bytes memory reason) {
            return bytes4(reason);
        }
        (Book memory book,) = venue.recorded(account);
        if (book.legs.length != 0 || book.cash < 0) assertTrue(_meetsInitial(book), "withdrawn below IM");
        uint256 paid = own - venue.held(asset);
        if (asset == 0) netDeposits -= int256(paid * 1e12);
        if (!_idle(before, last)) _notePayout(_usd(asset, paid));
    }

    function _idle(Book memory book, uint40 last) internal view returns (bool) {
        return book.legs.length == 0 && block.timestamp > last + WINDOW;
    }

    /// @notice Two traders meet inside the band.
    function trade(uint256 buyer, uint256 seller, uint256 which, uint256 size, uint256 at) public {
        buyer = bound(buyer, 1, TRADERS);
        seller = (buyer + bound(seller, 0, TRADERS - 2)) % TRADERS + 1;
        uint128 id = instruments[which % instruments.length];
        // About 300 to 150,000 USD of the underlying.
        size = bound(size, WAD / 10, 50 * WAD) * ETH_PRICE / (id >> 120 == BTC ? BTC_PRICE : ETH_PRICE);
        uint256 mark = margin.mark(id);
        at = bound(at, mark * 96 / 100, mark * 104 / 100);
        venue.touch(_account(buyer, 0));
        venue.touch(_account(seller, 0));
        Book memory buyerBefore = venue.book(_account(buyer, 0));
        Book memory sellerBefore = venue.book(_account(seller, 0));
        if (!_match(buyer, seller, id, size, at)) return;
        _checkTraded(buyer, buyerBefore, id);
        _checkTraded(seller, sellerBefore, id);
        ++successes["trade"];
    }

    function _checkTraded(uint256 who, Book memory before, uint128 id) private {
        Book memory book = venue.book(_account(who, 0));
        if (_meetsInitial(book)) return;
        int256 was = _sizeOf(before, id);
        int256 left = _sizeOf(book, id);
        assertTrue(was > 0 ? left >= 0 && left < was : left <= 0 && left > was, "risk added below IM");
        assertLe(_excess(margin.byArraysRegardless(before)), _excess(margin.byArraysRegardless(book)));
        int256 equity = _equity(book);
        if (equity < 0) assertLe(_equity(before), equity);
        ++successes["closing below IM"];
    }

    /// @notice Up to four minutes, up to 3 % a price, some funding, arrays most of the time.
    function move(uint256 time, uint256 eth, uint256 btc, uint256 rate, uint256 publish) public {
        _tick(
            bound(time, 1, 240),
            _inRange(price[ETH] * bound(eth, 9_700, 10_300) / 10_000, ETH_PRICE),
            _inRange(price[BTC] * bound(btc, 9_700, 10_300) / 10_000, BTC_PRICE),
            int64(int256(bound(rate, 0, 1e11)) - 5e10)
        );
        if (publish % 4 != 0) _publishBoth();
        ++successes["move"];
    }

    /// @dev Prices stay where the board means something.
    function _inRange(uint256 wanted, uint256 start) internal pure returns (uint256) {
        return wanted > 2 * start || wanted < start / 2 ? start : wanted;
    }

    /// @notice An account uses nearly all its margin on ETH, the price jumps against it by 14 to 35 %, and where it is
    /// below MM it is started and taken, in one or several takes, once the arrays of that price have settled.
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
        _take(account, scenarios, bound(fraction, 1, WAD));
        _take(account, scenarios, WAD);
    }

    /// @dev Long before a fall, short before a rise, against the liquidator's account.
    function _stretch(uint256 who, bool short) private {
        Book memory book = venue.book(_account(who, 0));
        try margin.byArrays(book) returns (Check memory check) {
            int256 room = check.equity - int256(check.im);
            if (room < 100e18) return;
            uint256 size = uint256(room) * 34 / 10 * WAD / price[ETH]; // IM is 28.5 % with contingencies
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
        if (taken < WAD) assertLe(left.equity * 10_000, int256(left.mm * (10_000 + auctions.buffer())));
    }

    /// @notice End an auction where the arrays say so.
    function end(uint256 whose) public {
        try auctions.endAuction(_ending(_account(bound(whose, 1, TRADERS), 0))) {
            ++successes["end"];
        } catch {}
    }

    function _usd(uint256 asset, uint256 amount) internal view returns (uint256) {
        if (asset == 0) return amount * 1e12;
        if (asset == 1) return amount * price[ETH] / 1e18;
        if (asset == 2) return amount * price[BTC] / 1e8;
        return amount;
    }

    /// @dev What chance left out is done now, from wherever the run ended.
    function _tradeOnce() internal {
        for (uint256 i; i < TRADERS; ++i) {
            deposit(i, 0, 999_999e6); // the largest would wrap to 1
            end(i);
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
            liquidate(seed, 100 * seed, 99, WAD, seed % 2 == 0);
        }
    }

    /// @dev One window, so that what is published now is settled, while reports go on.
    function _settle() internal {
        _tick(WINDOW / 2, price[ETH], price[BTC], 0);
        _tick(WINDOW / 2, price[ETH], price[BTC], 0);
    }
}
