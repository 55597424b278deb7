// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Bonds} from "../../src/reference/Bonds.sol";
import {RiskArrays} from "../../src/reference/RiskArrays.sol";
import {IMarginVenue} from "../../src/reference/interfaces/IMarginVenue.sol";
import {IRiskArrays} from "../../src/reference/interfaces/IRiskArrays.sol";
import {ARRAY_BYTES, Report} from "../../src/reference/Types.sol";
import {RiskArraysBase} from "./RiskArraysBase.sol";

/// @notice What is in force after any history, against the rule taken literally: a list per underlying in which a proof
/// marks, where its publisher has completed an unsettled epoch, every unsettled entry as void. All arrays are wrong.
contract RiskArraysVoidsTest is RiskArraysBase {
    uint256 private constant STEPS = 20;
    uint256 private constant PUBLISHERS = 3;
    uint256 private constant BOND = 2 * MINIMUM_BOND;

    struct Entry {
        uint256 id;
        address publisher;
        bytes32 reportId;
        uint40 reportTime;
        uint256 completedAt;
        bool isVoid;
    }

    struct Pending {
        uint256 id;
        bytes32 reportId;
    }

    mapping(uint8 underlying => Entry[]) private _entries;
    mapping(uint8 underlying => uint256) private _opened;
    mapping(uint8 underlying => mapping(address => Pending)) private _pending;
    mapping(uint8 underlying => uint256) private _excused;
    mapping(uint8 underlying => uint256) private _charged;
    mapping(address => bool) private _out;
    mapping(address => uint256) private _fined; // base units
    address[PUBLISHERS] private _keys;
    uint160 private _nextKey = 0x1000;
    uint256 private _random;

    /// Reports and slices never grow old here, and this contract takes the fund's share.
    function setUp() public override {
        super.setUp();
        Bonds.Terms memory terms = _terms();
        riskArrays = new RiskArrays(prices, products, usdc, terms, 30 days, 30 days, address(this));
        riskArrays.wireVenue(IMarginVenue(address(this)));
        for (uint256 i; i < PUBLISHERS; ++i) {
            _newKey(i);
        }
    }

    function creditFund(uint256) external pure {}

    function _strikes(uint8 underlying) internal pure override returns (uint64[] memory list) {
        list = new uint64[](1);
        list[0] = uint64((underlying == ETH ? ETH_PRICE : BTC_PRICE) / 1e10);
    }

    function testFuzz_what_is_in_force_follows_the_rule_taken_literally(uint256 seed) public {
        _random = seed;
        for (uint256 i; i < STEPS; ++i) {
            _step();
            _check(ETH);
            _check(BTC);
        }
    }

    // ---- steps ----

    function _step() private {
        uint256 kind = _pick(16);
        uint8 underlying = uint8(_pick(2));
        uint256 key = _pick(PUBLISHERS);
        if (kind < 4) _pass();
        else if (kind < 10) _publishSome(underlying, key);
        else if (kind < 14) _prove(underlying);
        else if (kind == 14) _fine(underlying);
        else _leave(key);
    }

    /// @dev Often to the second before, at or after which an entry settles.
    function _pass() private {
        Entry[] storage list = _entries[uint8(_pick(2))];
        uint256 to = block.timestamp + (_pick(2) == 0 ? _pick(3) : _pick(WINDOW + 2));
        if (list.length > 0 && _pick(3) > 0) {
            uint256 edge = list[_pick(list.length)].completedAt + WINDOW + _pick(3) - 1;
            if (edge > block.timestamp) to = edge;
        }
        vm.warp(to);
    }

    /// @dev The next expiry or two of his epoch, on the newest report or, seldom, the one before.
    function _publishSome(uint8 underlying, uint256 key) private {
        (Report memory newest, bytes32 reportId, bytes32 before) = prices.newest(underlying);
        if (newest.timestamp < block.timestamp && _pick(4) > 0) {
            reportId = _report(underlying, newest.price);
        } else if (before != 0 && _pick(3) == 0) {
            reportId = before;
        }
        _publishOne(underlying, key, reportId);
        if (_pick(4) > 0) _publishOne(underlying, key, reportId);
    }

    function _publishOne(uint8 underlying, uint256 key, bytes32 reportId) private {
        address who = _keys[key];
        Pending storage mine = _pending[underlying][who];
        bool opens = mine.id == 0 || mine.reportId != reportId;
        uint40 time = prices.report(reportId).timestamp;
        uint40 last = _lastReport(underlying);
        if (time <= last) {
            bytes memory refusal = abi.encodeWithSelector(IRiskArrays.ReportNotLater.selector, time, last);
            _send(who, underlying, opens ? FIRST : SECOND, reportId, refusal);
        } else if (opens) {
            (mine.id, mine.reportId) = (++_opened[underlying], reportId);
            assertEq(_send(who, underlying, FIRST, reportId, ""), mine.id);
        } else {
            _fineDue(underlying); // of who was current until then
            assertEq(_send(who, underlying, SECOND, reportId, ""), mine.id);
            _entries[underlying].push(Entry(mine.id, who, reportId, time, block.timestamp, false));
            mine.id = 0;
        }
    }

    function _send(address who, uint8 underlying, uint40 expiry, bytes32 reportId, bytes memory refusal)
        private
        returns (uint256)
    {
        (bytes32 sliceId, bytes32 listingId) = (_sliceId(underlying, expiry), _listingId(underlying, expiry, 1));
        if (refusal.length > 0) vm.expectRevert(refusal);
        vm.prank(who);
        return riskArrays.publish(underlying, expiry, reportId, sliceId, 1, listingId, new bytes(2 * ARRAY_BYTES));
    }

    function _lastReport(uint8 underlying) private view returns (uint40) {
        (, Entry memory last) = _last(underlying, type(uint256).max);
        return last.reportTime;
    }

    /// @dev Against any epoch so far, pending, void, superseded or settled.
    function _prove(uint8 underlying) private {
        if (_opened[underlying] == 0) return;
        uint256 back = _pick(3) == 0 ? _pick(_opened[underlying]) : _pick(_min(4, _opened[underlying]));
        uint256 id = _opened[underlying] - back;
        IRiskArrays.Epoch memory found = riskArrays.epoch(underlying, id);
        uint256 closed = (found.completedAt == 0 ? found.openedAt : found.completedAt) + WINDOW;
        bool suspended = riskArrays.publisher(found.publisher).suspended;
        if (suspended) {
            vm.expectRevert(abi.encodeWithSelector(IRiskArrays.Suspended.selector, found.publisher));
        } else if (closed <= block.timestamp) {
            vm.expectRevert(abi.encodeWithSelector(IRiskArrays.WindowOver.selector, closed));
        }
        riskArrays.challenge(underlying, id, FIRST, 0);
        if (suspended || closed <= block.timestamp) return;
        _void(ETH, found.publisher);
        _void(BTC, found.publisher);
        _replace(found.publisher);
    }

    /// @dev The rule.
    function _void(uint8 underlying, address who) private {
        Entry[] storage list = _entries[underlying];
        bool concerned;
        for (uint256 i; i < list.length; ++i) {
            if (list[i].publisher == who && block.timestamp < list[i].completedAt + WINDOW) concerned = true;
        }
        if (!concerned) return;
        for (uint256 i; i < list.length; ++i) {
            if (block.timestamp < list[i].completedAt + WINDOW) list[i].isVoid = true;
        }
        _excused[underlying] = block.timestamp;
    }

    function _fine(uint8 underlying) private {
        bool due = _fineDue(underlying);
        if (!due) vm.expectRevert(abi.encodeWithSelector(IRiskArrays.NotLate.selector, underlying));
        riskArrays.fine(underlying);
        if (due) _charged[underlying] = block.timestamp;
    }

    /// @dev Asks for his bond, waits and takes it; he owes for all he is late by then.
    function _leave(uint256 key) private {
        address who = _keys[key];
        vm.prank(who);
        riskArrays.requestUnbond();
        _skip(WINDOW);
        for (uint8 u = ETH; u <= BTC; ++u) {
            (bool any, Entry memory last) = _last(u, type(uint256).max);
            if (any && last.publisher == who && _fineDue(u)) _charged[u] = block.timestamp;
        }
        vm.prank(who);
        riskArrays.finishUnbond();
        assertEq(usdc.balanceOf(who), BOND - _fined[who]);
        _replace(who);
    }

    function _replace(address who) private {
        _out[who] = true;
        for (uint256 i; i < PUBLISHERS; ++i) {
            if (_keys[i] == who) _newKey(i);
        }
    }

    function _newKey(uint256 i) private {
        _keys[i] = address(++_nextKey);
        _bond(_keys[i], BOND);
    }

    // ---- what must hold ----

    function _check(uint8 underlying) private view {
        (bool any, Entry memory last) = _last(underlying, type(uint256).max);
        (bool anySettled, Entry memory lastSettled) = _last(underlying, block.timestamp);
        _checkReaders(underlying, false, any, last);
        _checkReaders(underlying, true, anySettled, lastSettled);
        bool[] memory valid = new bool[](_opened[underlying] + 2);
        for (uint256 i; i < _entries[underlying].length; ++i) {
            valid[_entries[underlying][i].id] = !_entries[underlying][i].isVoid;
        }
        for (uint256 id; id < valid.length; ++id) {
            assertTrue(riskArrays.valid(underlying, id) == valid[id], "valid");
        }
        (address late, uint256 time) = riskArrays.lateness(underlying);
        (address expectedLate, uint256 expectedTime) = _lateness(underlying);
        assertEq(late, expectedLate);
        assertEq(time, expectedTime);
        for (uint256 i; i < PUBLISHERS; ++i) {
            Bonds.Publisher memory theirs = riskArrays.publisher(_keys[i]);
            assertEq(BOND - theirs.bond + theirs.owed, _fined[_keys[i]]);
        }
    }

    function _checkReaders(uint8 underlying, bool ofSettled, bool any, Entry memory last) private view {
        try this.read(underlying, ofSettled) returns (uint256 id) {
            assertTrue(any, "void");
            assertEq(id, last.id);
        } catch (bytes memory reason) {
            assertTrue(!any, "lost");
            assertEq(keccak256(reason), keccak256(abi.encodeWithSelector(IRiskArrays.NoEpoch.selector, underlying)));
        }
    }

    /// @dev Margin's reader and the one for everybody else, which must agree.
    function read(uint8 underlying, bool ofSettled) external view returns (uint256 id) {
        uint40[] memory expiries = new uint40[](2);
        (expiries[0], expiries[1]) = (FIRST, SECOND);
        address[] memory pointers;
        IRiskArrays.Basis memory basis;
        (id, basis, pointers) = riskArrays.blobs(underlying, ofSettled, expiries);
        (uint256 same, IRiskArrays.Epoch memory found) =
            ofSettled ? riskArrays.settled(underlying) : riskArrays.current(underlying);
        assertEq(same, id);
        assertEq(basis.reportTimestamp, found.reportTimestamp);
        assertEq(pointers[0], riskArrays.blob(underlying, id, FIRST));
        assertEq(pointers[1], riskArrays.blob(underlying, id, SECOND));
    }

    /// @dev The last entry in force that was complete a window before `settledAt`.
    function _last(uint8 underlying, uint256 settledAt) private view returns (bool any, Entry memory last) {
        Entry[] storage list = _entries[underlying];
        for (uint256 i; i < list.length; ++i) {
            if (!list[i].isVoid && list[i].completedAt + WINDOW <= settledAt) (any, last) = (true, list[i]);
        }
    }

    function _lateness(uint8 underlying) private view returns (address late, uint256 time) {
        (bool any, Entry memory last) = _last(underlying, type(uint256).max);
        uint256 since = prices.supersededAt(last.reportId);
        if (!any || since == 0) return (address(0), 0);
        if (_out[last.publisher]) return (last.publisher, 0);
        if (since < last.completedAt) since = last.completedAt;
        if (since < _excused[underlying]) since = _excused[underlying];
        since += HEARTBEAT;
        if (since < _charged[underlying]) since = _charged[underlying];
        return (last.publisher, since < block.timestamp ? block.timestamp - since : 0);
    }

    function _fineDue(uint8 underlying) private returns (bool) {
        (address late, uint256 time) = _lateness(underlying);
        if (time > 0) _fined[late] += time * FINE_PER_SECOND;
        return time > 0;
    }

    function _pick(uint256 below) private returns (uint256) {
        _random = uint256(keccak256(abi.encode(_random)));
        return _random % below;
    }

    function _min(uint256 left, uint256 right) private pure returns (uint256) {
        return left < right ? left : right;
    }
}
