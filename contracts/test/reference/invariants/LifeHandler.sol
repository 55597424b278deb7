// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {MintableToken} from "../../../src/demo/MintableToken.sol";
import {IMarginVenue} from "../../../src/reference/interfaces/IMarginVenue.sol";
import {IRiskArrays} from "../../../src/reference/interfaces/IRiskArrays.sol";
import {Bonds} from "../../../src/reference/Bonds.sol";
import {Book, Instruments, Legs, WAD} from "../../../src/reference/Types.sol";
import {DemoSwapper} from "../VenueStubs.sol";
import {Market} from "./Market.sol";
import {TradingHandler} from "./TradingHandler.sol";

/// @notice What else happens in a venue's life: swaps, expiries, delegates and a publisher who is late.
contract LifeHandler is TradingHandler {
    using Instruments for uint128;
    using Legs for uint256;

    struct Exchange {
        uint256 sell;
        uint256 buy;
        uint256 amount;
        uint256 bought;
    }

    DemoSwapper private _swapper;

    function setUp() public override {
        super.setUp();
        _swapper = new DemoSwapper();
        venue.setSwapper(address(_swapper), true);
    }

    /// @inheritdoc Market
    function actions() external pure override returns (bytes4[] memory list) {
        list = new bytes4[](10);
        (list[0], list[1], list[2]) = (this.deposit.selector, this.withdraw.selector, this.trade.selector);
        (list[3], list[4], list[5]) = (this.move.selector, this.liquidate.selector, this.end.selector);
        (list[6], list[7]) = (this.swap.selector, this.expire.selector);
        (list[8], list[9]) = (this.delegated.selector, this.late.selector);
    }

    // ---- swaps ----

    /// @notice Exchange at 92 to 104 % of what it is worth; one in eight delivers one unit less than agreed.
    function swap(uint256 who, uint256 sell, uint256 buy, uint256 amount, uint256 rate) public {
        who = bound(who, 1, TRADERS);
        sell = bound(sell, 0, 3);
        Exchange memory x = Exchange(sell, (sell + bound(buy, 1, 3)) % 4, 0, 0);
        x.amount = bound(amount, 0, _owned(who, sell));
        uint256 usd = _usd(sell, x.amount) * bound(rate, 9_200, 10_400) / 10_000;
        x.bought = _unitsFor(x.buy, usd);
        _token(x.buy).mint(address(_swapper), x.bought);
        _swapper.setPays(x.bought);
        bool delivers = rate % 8 != 0;
        if (!_swap(who, x, delivers ? x.bought : x.bought + 1)) return;
        assertTrue(delivers, "less than the least");
        assertTrue(sell != 0 || venue.badDebt() == 0, "shared loss dodged");
        if (sell == 0) netDeposits -= int256(x.amount * 1e12);
        if (x.buy == 0) netDeposits += int256(x.bought * 1e12);
        ++successes["swap"];
    }

    function _swap(uint256 who, Exchange memory x, uint256 least) private returns (bool) {
        uint256 account = _account(who, 0);
        (Book memory before, uint40 last) = venue.recorded(account);
        uint64 sequence = venue.sequence(account);
        vm.prank(vm.addr(who));
        try venue.swap(account, x.sell, x.buy, x.amount, least, address(_swapper), "", sequence) {}
        catch {
            return false;
        }
        (Book memory book,) = venue.recorded(account);
        _checkSwapped(before, book, x);
        if (!_meetsInitial(book)) {
            assertLe(_excess(margin.byArraysRegardless(before)), _excess(margin.byArraysRegardless(book)));
            ++successes["swap below IM"];
        }
        (uint256 out, uint256 back) = (_usd(x.sell, x.amount), _usd(x.buy, x.bought));
        if (!_idle(before, last) && out > back) _notePayout(out - back);
        return true;
    }

    function _checkSwapped(Book memory before, Book memory book, Exchange memory x) private pure {
        for (uint256 asset; asset < 4; ++asset) {
            int256 change = _unitsOf(book, asset) - _unitsOf(before, asset);
            int256 scale = asset == 0 ? int256(1e12) : int256(1);
            if (asset == x.sell) assertEq(change, -int256(x.amount) * scale);
            else if (asset == x.buy) assertEq(change, int256(x.bought) * scale);
            else assertEq(change, 0);
        }
        assertEq(keccak256(abi.encode(book.legs)), keccak256(abi.encode(before.legs)));
    }

    function _unitsOf(Book memory book, uint256 asset) private pure returns (int256) {
        return asset == 0 ? book.cash : int256(_amountOf(book, asset - 1));
    }

    function _unitsFor(uint256 asset, uint256 usd) private view returns (uint256) {
        if (asset == 0) return usd / 1e12;
        if (asset == 1) return usd * 1e18 / price[ETH];
        if (asset == 2) return usd * 1e8 / price[BTC];
        return usd;
    }

    function _token(uint256 asset) private view returns (MintableToken) {
        return [usdc, weth, wbtc, dai][asset];
    }

    // ---- expiry ----

    /// @notice Options expire on an average of two prices, everyone is settled to the last unit, a new board follows.
    function expire(uint256 inside, uint256 first, uint256 second, uint256 wait) public {
        _tick(1, price[ETH], price[BTC], 0); // no funding: what cash changes by is settlement alone
        uint256[3] memory before = price;
        inside = bound(inside, 1, 30 minutes - 1);
        _tick(boardExpiry - inside - block.timestamp, _moved(ETH, first), _moved(BTC, first >> 128), 0);
        uint256[3] memory middle = price;
        for (uint256 key = 1; key <= TRADERS + 1; ++key) {
            venue.touch(_account(key, 0));
        }
        _tick(inside + bound(wait, 0, 4 minutes), _moved(ETH, second), _moved(BTC, second >> 128), 0);
        for (uint8 u = ETH; u <= BTC; ++u) {
            _checkBetween(prices.settlement(u, boardExpiry), before[u], middle[u], price[u]);
        }
        for (uint256 key = 1; key <= TRADERS + 1; ++key) {
            _checkSettled(_account(key, 0));
        }
        _newBoard();
        ++successes["expire"];
    }

    function _moved(uint8 underlying, uint256 by) private view returns (uint256) {
        uint256 start = underlying == ETH ? ETH_PRICE : BTC_PRICE;
        return _inRange(price[underlying] * bound(by, 9_500, 10_500) / 10_000, start);
    }

    /// @dev An average of these, rounded down.
    function _checkBetween(uint256 average, uint256 a, uint256 b, uint256 c) private pure {
        uint256 low = a < b ? (a < c ? a : c) : (b < c ? b : c);
        uint256 high = a > b ? (a > c ? a : c) : (b > c ? b : c);
        assertLe(low, average + 1);
        assertLe(average, high);
    }

    function _checkSettled(uint256 account) private {
        (Book memory before,) = venue.recorded(account);
        Book memory seen = venue.book(account);
        venue.touch(account);
        (Book memory book,) = venue.recorded(account);
        int256 due;
        uint256 kept;
        for (uint256 i; i < before.legs.length; ++i) {
            uint128 id = before.legs[i].idOf();
            if (!id.isOption()) ++kept;
            else due += _floor(before.legs[i].sizeOf() * int256(_payoff(id)));
        }
        assertEq(book.legs.length, kept);
        assertEq(book.cash - before.cash, due);
        assertEq(seen.cash, book.cash);
        if (kept < before.legs.length) ++successes["settled"];
    }

    function _payoff(uint128 id) private view returns (uint256) {
        uint256 average = prices.settlement(id.underlyingOf(), boardExpiry);
        (uint256 high, uint256 low) = id.isCall() ? (average, id.strikeOf()) : (id.strikeOf(), average);
        return high > low ? high - low : 0;
    }

    function _floor(int256 fine) private pure returns (int256) {
        return fine >= 0 ? fine / int256(WAD) : -((-fine + int256(WAD) - 1) / int256(WAD));
    }

    function _newBoard() private {
        boardExpiry = uint40(block.timestamp / 60 * 60 + 20 days);
        for (uint8 u = ETH; u <= BTC; ++u) {
            products.listExpiry(u, boardExpiry);
            _fit(u, boardExpiry);
            _list(u, boardExpiry, _strikes(u));
        }
        _readBoard();
        _tick(1, price[ETH], price[BTC], 0);
        _publishBoth();
        _settle();
        _publishBoth();
    }

    // ---- delegates ----

    /// @notice Someone else withdraws while he may, to the owner; neither before he is named nor afterwards.
    function delegated(uint256 who, uint256 by, uint256 until, uint256 amount, bool revoke) public {
        who = bound(who, 1, TRADERS);
        by = (who + bound(by, 0, TRADERS - 2)) % TRADERS + 1;
        until = bound(until, 0, 240);
        amount = bound(amount, 0, _owned(who, 0) / 10);
        _checkStranger(by, who, amount);
        vm.prank(vm.addr(who));
        venue.setDelegate(
            _account(who, 0), vm.addr(by), IMarginVenue.withdraw.selector, uint40(block.timestamp + until)
        );
        bytes4 refused = _withdrawBy(by, who, 0, amount);
        assertTrue(refused != IMarginVenue.NotAuthorised.selector, "named, and refused");
        if (refused == 0) ++successes["delegated"];
        if (revoke) {
            vm.prank(vm.addr(who));
            venue.revokeDelegates(_account(who, 0));
        } else {
            _tick(until + 1, price[ETH], price[BTC], 0);
        }
        _checkStranger(by, who, amount);
    }

    function _checkStranger(uint256 by, uint256 who, uint256 amount) private {
        assertEq(bytes32(_withdrawBy(by, who, 0, amount)), bytes32(IMarginVenue.NotAuthorised.selector));
    }

    // ---- fines ----

    /// @notice Reports go on and arrays do not: past the heartbeat each second costs, into the fund, as far as the bond
    /// exceeds the minimum. Now and then the publisher adds to it.
    function late(uint256 underlying, uint256 first, uint256 second, uint256 bonded) public {
        uint8 u = underlying % 2 == 0 ? ETH : BTC;
        _tick(1, price[ETH], price[BTC], 0);
        _publishBoth();
        if (bonded % 4 == 0) _bondMore(bound(bonded, 1, 5_000e6));
        _tick(bound(first, 1, 240), price[ETH], price[BTC], 0);
        second = bound(second, 1, 240);
        _tick(second, price[ETH], price[BTC], 0);
        Bonds.Publisher memory before = riskArrays.publisher(PUBLISHER);
        uint256 had = _fundNet();
        uint256 fined = second > HEARTBEAT ? (second - HEARTBEAT) * FINE_PER_SECOND : 0;
        uint256 paid = _fine(u, fined > 0);
        Bonds.Publisher memory publisher = riskArrays.publisher(PUBLISHER);
        assertEq(publisher.owed + paid, before.owed + fined);
        assertEq(publisher.bond + paid, before.bond);
        assertLe(MINIMUM_BOND, publisher.bond);
        assertTrue(fined == 0 || publisher.owed == 0 || publisher.bond == MINIMUM_BOND, "owed beside a free bond");
        assertEq(_fundNet() - had, paid * 1e12);
        if (fined > 0) ++successes["fine"];
    }

    /// @dev Fund less bad debt, which an inflow repays first, above what it can never be below.
    function _fundNet() private view returns (uint256) {
        return uint256(venue.fund() - int256(venue.badDebt()) + 1e36);
    }

    function _fine(uint8 underlying, bool due) private returns (uint256 paid) {
        uint256 own = venue.held(0);
        try riskArrays.fine(underlying) {
            assertTrue(due, "fined for being in time");
        } catch (bytes memory reason) {
            assertTrue(!due, "late and not fined");
            assertEq(bytes32(bytes4(reason)), bytes32(IRiskArrays.NotLate.selector));
        }
        paid = venue.held(0) - own;
        netDeposits += int256(paid * 1e12);
    }

    function _bondMore(uint256 amount) private {
        uint256 own = venue.held(0);
        _bond(PUBLISHER, amount); // fines still owed go to the fund at once
        netDeposits += int256((venue.held(0) - own) * 1e12);
    }

    /// @inheritdoc Market
    function checkAlive() external override {
        _tradeOnce();
        for (uint256 seed; successes["swap"] == 0 && seed < 20; ++seed) {
            deposit(seed, 1, 1e18);
            swap(seed, 1, seed, 1e15, 801);
        }
        for (uint256 seed; successes["delegated"] == 0 && seed < 20; ++seed) {
            deposit(seed, 0, 999_999e6);
            delegated(seed, seed, 0, 100e6, true); // where there is bad debt, one unit would be nothing
        }
        if (successes["fine"] == 0) late(0, 0, 239, 1);
        if (successes["settled"] == 0) {
            for (uint256 which = 1; which < 5; ++which) {
                trade(which, which, which, 0, 0);
            }
            expire(0, 0, 0, 0);
        }
        string[] memory names = new string[](10);
        (names[0], names[1], names[2]) = ("deposit", "withdraw", "trade");
        (names[3], names[4], names[5]) = ("move", "start", "take");
        (names[6], names[7], names[8], names[9]) = ("swap", "settled", "delegated", "fine");
        _requireSuccesses(names);
    }
}
