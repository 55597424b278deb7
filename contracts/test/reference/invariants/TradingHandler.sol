// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Book, WAD} from "../../../src/reference/Types.sol";
import {Market} from "./Market.sol";

/// @notice Traders who deposit, trade and withdraw while prices move and honest arrays follow. Each action holds itself to
/// the rule it falls under; none reverts where the venue merely refuses.
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
        roomBefore = venue.payoutLeft();
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
        if (_deal(buyer, seller, id, size, bound(at, mark * 96 / 100, mark * 104 / 100))) ++successes["trade"];
    }

    /// @dev A match both sides of which are held to what a trade may do.
    function _deal(uint256 buyer, uint256 seller, uint128 id, uint256 size, uint256 at) internal returns (bool) {
        venue.touch(_account(buyer, 0));
        venue.touch(_account(seller, 0));
        Book memory buyerBefore = venue.book(_account(buyer, 0));
        Book memory sellerBefore = venue.book(_account(seller, 0));
        if (!_match(buyer, seller, id, size, at)) return false;
        _checkTraded(buyer, buyerBefore, id);
        _checkTraded(seller, sellerBefore, id);
        return true;
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

    function _usd(uint256 asset, uint256 amount) internal view returns (uint256) {
        if (asset == 0) return amount * 1e12;
        if (asset == 1) return amount * price[ETH] / 1e18;
        if (asset == 2) return amount * price[BTC] / 1e8;
        return amount;
    }
}
