// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IAuctions} from "../../../src/reference/interfaces/IAuctions.sol";
import {IRiskArrays} from "../../../src/reference/interfaces/IRiskArrays.sol";
import {ARRAY_BYTES, Book, GRID_ROWS, Slice, WAD, WORD_BYTES} from "../../../src/reference/Types.sol";
import {Market} from "./Market.sol";

/// @notice One attacker owns accounts 1 to 4 and every publisher but the honest one. He publishes false arrays, trades
/// between his accounts, withdraws, lets himself be liquidated by himself and challenges himself. The only thing the
/// others do is to challenge a false array before its window is over.
///
/// His wealth: what he was paid and did not put back, and what his accounts are worth, each at least nothing, because
/// he can walk away from one that is worth less. Prices may raise it (that is what bad debt is); no action of his may,
/// beyond what fund and shared loss paid openly for a take.
contract AttackHandler is Market {
    struct Lie {
        address publisher; // 0: none live
        uint256 epoch;
        uint256 index; // an array that is wrong
        uint256 at;
    }

    Lie private _lie;
    uint160 private _liars;
    int256 private _paidOut; // USD, wad: to the attacker, less what he put in

    /// @inheritdoc Market
    function actions() external pure override returns (bytes4[] memory list) {
        list = new bytes4[](10);
        (list[0], list[1], list[2]) = (this.deposit.selector, this.withdraw.selector, this.trade.selector);
        (list[3], list[4], list[5]) = (this.dump.selector, this.take.selector, this.lie.selector);
        (list[6], list[7], list[8]) = (this.challenge.selector, this.move.selector, this.crush.selector);
        list[9] = this.refit.selector;
    }

    function wealth() public view returns (int256 sum) {
        sum = _paidOut;
        for (uint256 key = 1; key <= TRADERS; ++key) {
            int256 equity = wealthOf(key);
            if (equity > 0) sum += equity;
        }
    }

    /// @dev An action of the attacker: richer by what fund and creditors gave, at most, and a few wei of rounding.
    modifier noGain() {
        int256 before = wealth();
        int256 open = int256(venue.badDebt()) - venue.fund();
        _;
        int256 given = int256(venue.badDebt()) - venue.fund() - open;
        assertLe(wealth(), before + (given > 0 ? given : int256(0)) + 10);
    }

    function deposit(uint256 who, uint256 amount) public noGain {
        amount = bound(amount, 1, 200_000e6);
        _pay(_account(bound(who, 1, TRADERS), 0), 0, amount);
        _paidOut -= int256(amount * 1e12);
        ++successes["deposit"];
    }

    function withdraw(uint256 who, uint256 amount) public noGain {
        who = bound(who, 1, TRADERS);
        uint256 account = _account(who, 0);
        (Book memory before, uint40 last) = venue.recorded(account);
        uint256 own = venue.held(0);
        uint64 sequence = venue.sequence(account);
        amount = bound(amount, 1, before.cash > 1e12 ? uint256(before.cash) / 1e12 : 1);
        roomBefore = venue.payoutLeft();
        vm.prank(vm.addr(who));
        try venue.withdraw(account, 0, amount, vm.addr(who), sequence) {
            uint256 paid = (own - venue.held(0)) * 1e12;
            netDeposits -= int256(paid);
            _paidOut += int256(paid);
            if (before.legs.length != 0 || block.timestamp <= last + WINDOW) {
                _notePayout(paid);
            }
            ++successes["withdraw"];
        } catch {}
    }

    function trade(uint256 buyer, uint256 seller, uint256 which, uint256 size, uint256 at) public noGain {
        buyer = bound(buyer, 1, TRADERS);
        seller = (buyer + bound(seller, 0, TRADERS - 2)) % TRADERS + 1;
        uint128 id = instruments[which % instruments.length];
        size = bound(size, WAD / 10, 200 * WAD) * ETH_PRICE / (id >> 120 == BTC ? BTC_PRICE : ETH_PRICE);
        uint256 mark = margin.mark(id);
        if (_match(buyer, seller, id, size, bound(at, mark * 95 / 100 + 1, mark * 105 / 100))) {
            ++successes["trade"];
        }
    }

    /// @notice Close what an account has to another one of his at a price against the first: how a loser is emptied.
    function dump(uint256 who, uint256 to, uint256 which) public noGain {
        who = bound(who, 1, TRADERS);
        to = (who + bound(to, 0, TRADERS - 2)) % TRADERS + 1;
        Book memory book = venue.book(_account(who, 0));
        if (book.legs.length == 0) return;
        uint256 leg = book.legs[which % book.legs.length];
        int256 size = int256(int128(uint128(leg)));
        uint128 id = uint128(leg >> 128);
        uint256 mark = margin.mark(id);
        bool done = size > 0
            ? _match(to, who, id, uint256(size), mark * 9_501 / 10_000)
            : _match(who, to, id, uint256(-size), mark * 10_499 / 10_000);
        if (done) ++successes["dump"];
    }

    /// @notice All the margin of one account on one side, a jump that leaves it little or less than nothing, and then
    /// it is emptied before anyone else acts.
    function crush(uint256 who, uint256 to, uint256 jump, bool up) public {
        who = bound(who, 1, TRADERS);
        uint256 other = (who + bound(to, 0, TRADERS - 2)) % TRADERS + 1;
        int256 room = wealthOf(who) * 34 / 10;
        if (room < 1_000e18) return;
        uint256 size = uint256(room) * WAD / price[ETH];
        (uint256 buyer, uint256 seller) = up ? (other, who) : (who, other);
        if (_match(buyer, seller, _perpetual(ETH), size, price[ETH])) ++successes["crush"];
        jump = bound(jump, 2_200, 3_300);
        uint256 next = price[ETH] * (up ? 10_000 + jump : 10_000 - jump) / 10_000;
        if (next > 2 * ETH_PRICE || next < ETH_PRICE / 2) next = ETH_PRICE;
        _tick(5, next, price[BTC], 0);
        _fitAll(ETH);
        dump(who, to, 0);
    }

    function wealthOf(uint256 key) private view returns (int256) {
        return margin.byMarks(venue.book(_account(key, 0))).equity;
    }

    function take(uint256 from, uint256 to, uint256 fraction) public noGain {
        from = bound(from, 1, TRADERS);
        to = (from + bound(to, 0, TRADERS - 2)) % TRADERS + 1;
        uint256 account = _account(from, 0);
        uint256 scenarios = _worst(venue.book(account));
        if (auctions.auction(account).id == 0) {
            try auctions.startAuction(
                IAuctions.StartCall(account, venue.sequence(account), uint40(block.timestamp), false, scenarios)
            ) {
                ++successes["start"];
            } catch {
                return;
            }
        }
        IAuctions.TakeCall memory call;
        (call.account, call.taker, call.scenarios) = (account, _account(to, 0), scenarios);
        (call.auctionId, call.deadline) = (auctions.auction(account).id, uint40(block.timestamp));
        (call.expectedSequence, call.takerSequence) = (venue.sequence(account), venue.sequence(call.taker));
        (call.maxFraction, call.maxPrice) = (uint128(bound(fraction, 1, WAD)), type(int128).max);
        call.takerByLegs = fraction % 2 == 0;
        vm.prank(vm.addr(to));
        try auctions.take(call) {
            ++successes["take"];
        } catch {}
    }

    /// @notice A false publication: one byte of one word, or all losses gone, or one option marked as a fortune.
    function lie(uint256 kind, uint256 seed) public {
        if (_lie.publisher != address(0)) return;
        _tick(1, price[ETH], price[BTC], 0);
        address liar = address(0x11a50000 + ++_liars);
        _bond(liar, MINIMUM_BOND);
        _paidOut -= int256(uint256(MINIMUM_BOND) * 1e12);
        uint40 expiry = _expiries(ETH)[0];
        (, bytes32 reportId,) = prices.newest(ETH);
        (, bytes32 sliceId,) = prices.newestSlice(ETH, expiry);
        bytes memory arrays = _arrays(ETH, expiry, reportId, sliceId);
        uint256 index = _falsify(arrays, kind % 3, seed);
        uint256 id = _publish(liar, ETH, expiry, reportId, arrays);
        _lie = Lie(liar, id, index, block.timestamp);
        ++successes["lie"];
    }

    function _falsify(bytes memory arrays, uint256 kind, uint256 seed) private pure returns (uint256 index) {
        index = seed % (arrays.length / ARRAY_BYTES);
        uint256 from = index * ARRAY_BYTES;
        if (kind == 0) {
            from += (seed >> 16) % ARRAY_BYTES;
            arrays[from] = bytes1(uint8(arrays[from]) ^ uint8(1 + (seed >> 32) % 255));
        } else if (kind == 1) {
            // The whole grid and the tails: no loss anywhere, so that nothing is required.
            for (uint256 i = 4 * WORD_BYTES; i < (4 + GRID_ROWS + 4) * WORD_BYTES; ++i) {
                arrays[from + i] = 0;
            }
        } else {
            arrays[from + 1] = 0x7f;
        }
    }

    /// @notice A challenge of any array of the current epoch: succeeds exactly where that array is wrong.
    function challenge(uint256 index) public {
        (uint256 id,) = riskArrays.current(ETH);
        index = index % (2 * _strikes(ETH).length);
        bool wrong = _lie.publisher != address(0) && id == _lie.epoch && index == _lie.index;
        if (wrong) return _prove(vm.addr(1));
        try riskArrays.challenge(ETH, id, _expiries(ETH)[0], index) {
            assertTrue(false, "a correct array fell");
        } catch (bytes memory reason) {
            bytes4 why = bytes4(reason);
            assertTrue(
                why == IRiskArrays.ArrayCorrect.selector || why == IRiskArrays.WindowOver.selector, "refused otherwise"
            );
            if (why == IRiskArrays.ArrayCorrect.selector) ++successes["survived"];
        }
    }

    /// @dev The challenger's half goes to the attacker when he challenges himself.
    function _prove(address challenger) private {
        Lie memory told = _lie;
        delete _lie;
        uint256 own = venue.held(0);
        uint256 had = usdc.balanceOf(challenger);
        vm.prank(challenger);
        riskArrays.challenge(ETH, told.epoch, _expiries(ETH)[0], told.index);
        uint256 toFund = venue.held(0) - own;
        netDeposits += int256(toFund * 1e12);
        if (challenger == vm.addr(1)) _paidOut += int256((usdc.balanceOf(challenger) - had) * 1e12);
        assertLe(riskArrays.slashable(), toFund * 1e12);
        assertLe(MINIMUM_BOND / 2, toFund);
        assertTrue(!riskArrays.valid(ETH, told.epoch), "a proven lie is void");
        assertEq(riskArrays.publisher(told.publisher).bond, 0);
        ++successes["proof"];
    }

    /// @dev Someone watches: no window ends on a lie.
    function _tick(uint256 time, uint256 ethPrice, uint256 btcPrice, int64 rate) internal override {
        if (_lie.publisher != address(0) && block.timestamp + time >= _lie.at + WINDOW) _prove(address(0xa1e57));
        super._tick(time, ethPrice, btcPrice, rate);
    }

    /// @notice Prices go on: up to 10 % at once, mostly little, honest arrays most of the time.
    function move(uint256 time, uint256 eth, uint256 publish) public {
        uint256 step = publish % 3 == 0 ? 1_000 : 100;
        uint256 next = price[ETH] * bound(eth, 10_000 - step, 10_000 + step) / 10_000;
        if (next > 2 * ETH_PRICE || next < ETH_PRICE / 2) next = ETH_PRICE;
        _tick(bound(time, 1, 240), next, price[BTC], 1e10);
        if (publish % 4 != 0) _publishBoth();
        else _fitAll(ETH);
        _fitLate();
        ++successes["move"];
    }

    /// @notice A slice that no arrays follow: volatility by up to 10 %, the forward by half a percent, either way. (What
    /// more is worth: VenueLimits.t.sol.)
    function refit(uint256 variance, uint256 forward) public {
        _tick(1, price[ETH], price[BTC], 0);
        bytes32 id = _fit(ETH, boardExpiry);
        Slice memory slice = prices.slice(id);
        _tick(1, price[ETH], price[BTC], 0);
        variance = bound(variance, 8_100, 12_100);
        slice.timestamp = uint40(block.timestamp);
        slice.a = slice.a * int128(uint128(variance)) / 10_000;
        slice.b = slice.b * int128(uint128(variance)) / 10_000;
        slice.forward = uint128(price[ETH] * bound(forward, 10_000, 10_100) / 10_000);
        _relay(slice);
        ++successes["refit"];
    }

    /// @dev Slices must not be an hour old for marks to be known.
    function _fitLate() private {
        (, bytes32 id,) = prices.newestSlice(BTC, _expiries(BTC)[0]);
        if (prices.slice(id).timestamp + 30 minutes < block.timestamp) _fitAll(BTC);
    }

    /// @inheritdoc Market
    function checkAlive() external override {
        for (uint256 i; i < TRADERS; ++i) {
            for (uint256 j; j < 5; ++j) {
                deposit(i, 199_999e6);
            }
            try auctions.endAuction(_ending(_account(i + 1, 0))) {} catch {}
        }
        for (uint256 i; i < 4; ++i) {
            move(WINDOW / 3, 100, 1);
        }
        for (uint256 i; i < 20 && (successes["trade"] == 0 || successes["withdraw"] == 0); ++i) {
            trade(i, i, i, i, margin.mark(instruments[i % instruments.length]));
            withdraw(i, 1);
        }
        if (successes["survived"] == 0) challenge(0);
        if (successes["proof"] == 0 && _lie.publisher == address(0)) lie(1, 0);
        if (successes["proof"] == 0) _prove(vm.addr(1));
        if (successes["refit"] == 0) refit(0, 0);
        string[] memory names = new string[](7);
        (names[0], names[1], names[2]) = ("deposit", "withdraw", "trade");
        (names[3], names[4], names[5], names[6]) = ("lie", "proof", "survived", "refit");
        _requireSuccesses(names);
    }
}
