// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {MintableToken} from "../../../src/demo/MintableToken.sol";
import {Book, WAD} from "../../../src/reference/Types.sol";
import {DemoSwapper} from "../VenueStubs.sol";
import {LiquidationHandler} from "./LiquidationHandler.sol";

/// @notice Exchanges inside accounts, also inside those that are below IM and may still do what makes them no worse.
abstract contract SwapHandler is LiquidationHandler {
    struct Exchange {
        uint256 sell;
        uint256 buy;
        uint256 amount;
        uint256 bought;
    }

    DemoSwapper private _swapper;

    function setUp() public virtual override {
        super.setUp();
        _swapper = new DemoSwapper();
        venue.setSwapper(address(_swapper), true);
    }

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
        roomBefore = venue.payoutLeft();
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

    /// @notice An account all of whose margin is in use is carried below IM, on arrays that have settled or not. It tries
    /// to swap, to close and to add.
    function squeeze(uint256 who, uint256 jump, uint256 part, uint256 at, uint256 rate, bool up) public {
        who = bound(who, 1, TRADERS);
        deposit(who - 1, 2, 5e6);
        _stretch(who, up);
        uint256 by = bound(jump, 200, 1_200);
        _tick(10, _inRange(price[ETH] * (up ? 10_000 + by : 10_000 - by) / 10_000, ETH_PRICE), price[BTC], 0);
        _publishBoth();
        if (jump % 2 == 0) _settle();
        swap(who - 1, 2, 0, part, rate); // bitcoin for dollars: no worse, unless the price is bad
        uint128 id = _perpetual(ETH);
        int256 held = _sizeOf(venue.book(_account(who, 0)), id);
        if (held != 0) {
            // A hundredth to a quarter: more would bring it back to IM.
            uint256 size = uint256(held > 0 ? held : -held) * bound(part, 100, 2_500) / 10_000;
            at = bound(at, price[ETH] * 96 / 100, price[ETH] * 104 / 100);
            _dealBy(who, held < 0, size, at);
            _dealBy(who, held > 0, size, at);
        }
    }

    function _dealBy(uint256 who, bool buys, uint256 size, uint256 at) private {
        _deal(buys ? who : LIQUIDATOR, buys ? LIQUIDATOR : who, _perpetual(ETH), size, at);
    }

    /// @dev What chance left out is done now.
    function _swapOnce() internal {
        for (uint256 seed; successes["swap"] == 0 && seed < 20; ++seed) {
            deposit(seed, 1, 1e18);
            swap(seed, 1, seed, 1e15, 801);
        }
        for (
            uint256 seed; seed < 12 && (successes["closing below IM"] == 0 || successes["swap below IM"] == 0); ++seed) {
            deposit(seed, 0, 999_999e6);
            squeeze(seed, 600 + seed, 99, price[ETH] * 4 / 100 + 1, 801, seed % 2 == 0);
        }
    }
}
