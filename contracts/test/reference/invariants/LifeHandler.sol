// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IMarginVenue} from "../../../src/reference/interfaces/IMarginVenue.sol";
import {IRiskArrays} from "../../../src/reference/interfaces/IRiskArrays.sol";
import {Bonds} from "../../../src/reference/Bonds.sol";
import {Book, Instruments, Legs, WAD} from "../../../src/reference/Types.sol";
import {Market} from "./Market.sol";
import {SwapHandler} from "./SwapHandler.sol";

/// @notice What else happens in a venue's life: expiries, delegates and a publisher who is late.
contract LifeHandler is SwapHandler {
    using Instruments for uint128;
    using Legs for uint256;

    /// @inheritdoc Market
    function actions() external pure override returns (bytes4[] memory list) {
        list = new bytes4[](11);
        (list[0], list[1], list[2]) = (this.deposit.selector, this.withdraw.selector, this.trade.selector);
        (list[3], list[4], list[5]) = (this.move.selector, this.liquidate.selector, this.end.selector);
        (list[6], list[7]) = (this.swap.selector, this.expire.selector);
        (list[8], list[9], list[10]) = (this.delegated.selector, this.late.selector, this.squeeze.selector);
    }

    // ---- expiry ----

    /// @notice Options expire on an average of two prices, everyone is settled to the last unit, a new board follows.
    function expire(uint256 inside, uint256 first, uint256 second, uint256 wait) public {
        _holdOption(first, second);
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

    /// @dev So that there is something to settle, mostly.
    function _holdOption(uint256 who, uint256 which) private {
        uint256 buyer = bound(who, 1, TRADERS);
        uint128 id = instruments[which % instruments.length];
        if (id.isOption()) _deal(buyer, buyer % TRADERS + 1, id, WAD * ETH_PRICE / _startPrice(id), margin.mark(id));
    }

    function _startPrice(uint128 id) private pure returns (uint256) {
        return id.underlyingOf() == BTC ? BTC_PRICE : ETH_PRICE;
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
        _saveOnce();
        _swapOnce();
        for (uint256 seed; successes["delegated"] == 0 && seed < 20; ++seed) {
            deposit(seed, 0, 999_999e6);
            delegated(seed, seed, 0, 100e6, true); // where there is bad debt, one unit would be nothing
        }
        if (successes["fine"] == 0) late(0, 0, 239, 1);
        for (uint256 seed; successes["settled"] == 0 && seed < 8; ++seed) {
            expire(0, seed, 1, 0);
        }
        string[] memory names = new string[](13);
        (names[0], names[1], names[2], names[3]) = ("deposit", "withdraw", "trade", "move");
        (names[4], names[5], names[6], names[7]) = ("start", "take", "end", "swap");
        (names[8], names[9], names[10]) = ("settled", "delegated", "fine");
        (names[11], names[12]) = ("closing below IM", "swap below IM");
        _requireSuccesses(names);
    }
}
