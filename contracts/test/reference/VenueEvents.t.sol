// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Book, Legs, Report, WAD} from "../../src/reference/Types.sol";
import {IMarginVenue} from "../../src/reference/interfaces/IMarginVenue.sol";
import {Vm} from "../Vm.sol";
import {VenueBase} from "./VenueBase.sol";
import {DemoSwapper} from "./VenueStubs.sol";

/// A stranger with nothing but the venue's logs rebuilds every balance.
contract VenueEventsTest is VenueBase {
    using Legs for uint256;

    uint256 private constant CASH = 1 << 128;
    uint256 private constant DUST = 2;
    uint256 private constant BAD_DEBT = 3;

    mapping(uint256 account => mapping(uint256 subject => int256)) private _rebuilt;
    mapping(uint256 account => uint256) private _open; // subjects with a balance
    mapping(uint256 account => mapping(uint8 underlying => int128)) private _index;
    int256 private _allCash;
    DemoSwapper private _swapper;
    uint256[3] private _keys = [ALICE, BOB, CAROL];

    function setUp() public override {
        super.setUp();
        rule.setRates(1e18, 1e18);
        _swapper = new DemoSwapper();
        desk.setSwapper(address(_swapper), true);
        wbtc.mint(address(_swapper), 1_000e8);
        _swapper.setPays(0.01e8);
        usdc.mint(address(arrays), 1_000_000e6);
    }

    function _begin() private {
        vm.recordLogs();
        _put(FUND, USDC, 10e6);
        for (uint256 i; i < 3; ++i) {
            _put(_account(_keys[i]), USDC, 1_000_000e6);
            _put(_account(_keys[i]), WETH, 10e18);
        }
    }

    /// No action of the random test below is one that always fails.
    function test_one_of_each_rebuilds_too() public {
        _begin();
        for (uint256 kind; kind < 9; ++kind) {
            uint256 seed = uint256(keccak256(abi.encode(kind)));
            this.act(seed - seed % 9 + kind);
        }
        _replay(vm.getRecordedLogs());
        _compare();
    }

    function testFuzz_events_alone_rebuild_every_balance(uint256 seed) public {
        _begin();
        _replay(vm.getRecordedLogs());
        for (uint256 i; i < 25; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            // Forge records the logs of reverted calls as well; no chain does.
            try this.act(seed) {
                _replay(vm.getRecordedLogs());
            } catch {
                vm.getRecordedLogs();
            }
        }
        _expire();
        for (uint256 i; i < 3; ++i) {
            desk.touch(_account(_keys[i]));
        }
        _replay(vm.getRecordedLogs());
        _compare();
    }

    function act(uint256 seed) external {
        uint256 key = _keys[(seed >> 16) % 3];
        uint256 other = _keys[((seed >> 16) + 1 + (seed >> 20) % 2) % 3];
        uint256 account = _account(key);
        uint256 amount = bound(seed >> 32, 1, 1e9);
        uint256 kind = seed % 9;
        if (kind < 2) _deal(key, other, _perpetual(ETH), bound(seed >> 64, 1e16, 5e18) + seed % 7, 3_001e18 + 1);
        if (kind == 2) _deal(key, other, _call(), bound(seed >> 64, 1e16, 5e18), 200e18);
        if (kind == 3) _withdraw(key, USDC, amount);
        if (kind == 4) _put(account, WBTC, amount);
        if (kind == 5) _move(seed >> 64);
        if (kind == 6) _take(account, _account(other), seed >> 64);
        if (kind == 7) arrays.slash(desk, usdc, amount, amount);
        if (kind == 8) _exchange(key);
    }

    function _move(uint256 seed) private {
        _skip(bound(seed, 1, 100));
        _report(ETH, bound(seed >> 8, 2_900e18, 3_100e18), int64(int256(bound(seed >> 16, 0, 1e11)) - 5e10));
    }

    function _take(uint256 from, uint256 to, uint256 seed) private {
        uint256 fraction = bound(seed, 0, 0.4e18);
        uint256 debt = bound(seed >> 8, 0, 100e18);
        uint256 fromFund = desk.fund() < int256(debt) ? uint256(desk.fund()) : debt;
        hall.seize(desk, from, to, fraction, -int256(debt), fromFund, debt - fromFund);
    }

    function _exchange(uint256 key) private {
        uint256 account = _account(key);
        uint64 sequence = desk.sequence(account);
        vm.prank(vm.addr(key));
        desk.swap(account, WETH, WBTC, 1e17, 1, address(_swapper), "", sequence);
    }

    function _expire() private {
        uint40 expiry = _expiries(ETH)[0];
        vm.warp(expiry - 30 minutes);
        _report(ETH, 3_050e18);
        vm.warp(expiry);
        _report(ETH, 3_050e18);
    }

    function _replay(Vm.Log[] memory logs) private {
        for (uint256 i; i < logs.length; ++i) {
            if (logs[i].emitter != address(desk)) continue;
            bytes32 kind = logs[i].topics[0];
            if (kind == IMarginVenue.BalanceChange.selector) _apply(logs[i]);
            if (kind == IMarginVenue.FundingSettled.selector) {
                _index[uint256(logs[i].topics[1])][uint8(uint256(logs[i].topics[2]))] =
                    abi.decode(logs[i].data, (int128));
            }
        }
    }

    function _apply(Vm.Log memory log) private {
        (uint256 account, uint256 subject) = (uint256(log.topics[1]), uint256(log.topics[2]));
        (int256 delta, int256 balance) = abi.decode(log.data, (int256, int256));
        assertTrue(delta != 0, "no empty event");
        int256 before = _rebuilt[account][subject];
        assertEq(before + delta, balance);
        if (before == 0) ++_open[account];
        if (balance == 0) --_open[account];
        _rebuilt[account][subject] = balance;
        if (subject == CASH && account != DUST) _allCash += delta;
    }

    function _compare() private view {
        for (uint256 i; i < 3; ++i) {
            uint256 account = _account(_keys[i]);
            (Book memory b,) = desk.recorded(account);
            assertEq(b.cash, _rebuilt[account][CASH]);
            assertEq(b.legs.length + b.collateral.length + (b.cash == 0 ? 0 : 1), _open[account]);
            for (uint256 j; j < b.legs.length; ++j) {
                assertEq(b.legs[j].sizeOf(), _rebuilt[account][b.legs[j].idOf()]);
            }
            for (uint256 j; j < b.collateral.length; ++j) {
                assertEq(
                    int256(uint256(uint128(b.collateral[j]))), _rebuilt[account][CASH + 1 + (b.collateral[j] >> 128)]
                );
            }
            if (_size(account, _perpetual(ETH)) != 0) assertEq(_index[account][ETH], _newestIndex());
        }
        assertEq(desk.fund(), _rebuilt[FUND][CASH]);
        assertEq(desk.dust(), _rebuilt[DUST][CASH]);
        assertEq(-int256(desk.badDebt()), _rebuilt[BAD_DEBT][CASH]);
        // Tokens too: cash everywhere, the hole counted as negative, is what is held.
        assertEq(int256(desk.held(USDC) * SCALE * WAD), _allCash * int256(WAD) + desk.dust());
    }

    function _newestIndex() private view returns (int128) {
        (Report memory last,,) = prices.newest(ETH);
        return last.fundingIndex;
    }
}
