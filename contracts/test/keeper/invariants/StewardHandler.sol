// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {RiskSteward} from "../../../src/keeper/RiskSteward.sol";
import {IRiskSteward} from "../../../src/keeper/interfaces/IRiskSteward.sol";
import {IProducts} from "../../../src/reference/interfaces/IProducts.sol";
import {Test} from "../../Vm.sol";

/// Owner, controller and guardian of one steward, doing everything they may and trying more, on the real venue. What it
/// remembers comes from what it did, not from the contracts.
contract StewardHandler is Test {
    /// What was seen of one parameter, for the next to be held against.
    struct Seen {
        uint256 number;
        uint256 writtenAt;
        uint256 mm; // where it was found last, at `at`
        uint256 at;
        IRiskSteward.Terms terms;
        bool guarded;
        uint256 guard;
    }

    uint256 private constant NONE = type(uint256).max;
    RiskSteward public immutable STEWARD;
    IProducts public immutable PRODUCTS;
    uint256 public accepted;
    uint256 public refused;
    uint256 public held;
    uint256 public guarded;
    uint256 public ratesTightened; // time of the last write that tightened a rate of MM, and of the haircut
    uint256 public haircutTightened;
    IRiskSteward.Field[] private _fields;
    mapping(IRiskSteward.Field => Seen) private _seen;

    constructor(RiskSteward steward, IProducts products) {
        (STEWARD, PRODUCTS) = (steward, products);
        for (uint8 f; f <= uint8(type(IRiskSteward.Field).max); ++f) {
            IRiskSteward.Field field = IRiskSteward.Field(f);
            try steward.terms(field, 0) returns (IRiskSteward.Terms memory terms) {
                _fields.push(field);
                uint256 number = steward.number(field, 0);
                _seen[field] = Seen(number, block.timestamp, number, block.timestamp, terms, false, 0);
            } catch {}
        }
    }

    // ---- what they do ----

    function write(uint256 which, uint256 seed) external {
        IRiskSteward.Field field = _field(which);
        Seen memory seen = _seen[field];
        if (block.timestamp < seen.writtenAt + seen.terms.delay) vm.warp(seen.writtenAt + seen.terms.delay);
        uint256 low = seen.number > uint256(seen.terms.low) + seen.terms.step
            ? seen.number - seen.terms.step
            : uint256(seen.terms.low);
        uint256 high =
            seen.number + seen.terms.step < seen.terms.high ? seen.number + seen.terms.step : uint256(seen.terms.high);
        _try(field, seen.number, bound(seed, low, high));
    }

    /// Anything at all: what is accepted must have been allowed.
    function attempt(uint256 which, uint128 expected, uint128 number, bool known) external {
        IRiskSteward.Field field = _field(which);
        if (known) {
            Seen memory seen = _seen[field];
            // Around the bounds and steps, a little beyond included.
            uint256 low = seen.number > 2 * uint256(seen.terms.step) ? seen.number - 2 * uint256(seen.terms.step) : 0;
            (expected, number) =
            (uint128(seen.number), uint128(bound(number, low, seen.number + 2 * uint256(seen.terms.step))));
        }
        _try(field, expected, number);
    }

    function tighten(uint256 which, uint256 seed) external {
        IRiskSteward.Field[4] memory his = [
            IRiskSteward.Field.ImScalar,
            IRiskSteward.Field.ShortImRate,
            IRiskSteward.Field.Cap,
            IRiskSteward.Field.LeastNotional
        ];
        IRiskSteward.Field field = his[which % 4];
        Seen storage seen = _seen[field];
        // around the bounds and the number, a little beyond included
        uint256 number = bound(seed, seen.terms.low / 2, uint256(seen.terms.high) + seen.terms.step);
        uint256[] memory before = _mms();
        (bool done,) = address(STEWARD).call(abi.encodeCall(IRiskSteward.tighten, (field, 0, uint128(number))));
        _same(before, _mms());
        bool within = seen.terms.low <= number && number <= seen.terms.high;
        if (!done) return;
        assertTrue(within && _tighterForGuardian(field, number, seen.number), "tighter, within bounds");
        (seen.number, seen.guarded, seen.guard) = (number, true, number);
        ++guarded;
    }

    function hold(bool haircut) external {
        uint256[] memory before = _mms();
        (bool done,) = address(STEWARD)
            .call(
                haircut ? abi.encodeCall(IRiskSteward.holdHaircut, (0)) : abi.encodeCall(IRiskSteward.holdMargin, (0))
            );
        if (done) ++held;
        _same(before, _mms());
    }

    function lift(uint256 which) external {
        IRiskSteward.Field field = _field(which);
        STEWARD.lift(field, 0);
        _seen[field].guarded = false;
    }

    function stopAndTry(uint256 which, uint128 number) external {
        IRiskSteward.Field field = _field(which);
        STEWARD.stop();
        assertTrue(!_write(field, _seen[field].number, number), "no write while stopped");
        STEWARD.resume();
    }

    /// Bounds closer or wider; refused where a number in force would be outside.
    function setTerms(uint256 which, uint128 low, uint128 high, uint128 step, uint40 delay) external {
        IRiskSteward.Field field = _field(which);
        Seen storage seen = _seen[field];
        IRiskSteward.Terms memory terms = seen.terms;
        terms.low = uint128(bound(low, terms.low / 2, seen.number));
        uint256 wider = 2 * uint256(terms.high) + 1;
        terms.high = uint128(bound(high, seen.number, wider > 1e30 ? 1e30 : wider));
        terms.step = uint128(bound(step, 1, wider / 8 + 1));
        terms.delay = uint40(bound(delay, 1 minutes, 2 days));
        (uint256 im, uint256 mm) = STEWARD.inForce(field, 0);
        try STEWARD.setTerms(field, 0, terms) {
            seen.terms = terms;
        } catch (bytes memory reason) {
            // where MM is on its way, where it began may be outside
            assertTrue(mm < terms.low || mm > terms.high || mm != im, "refused without need");
            assertTrue(bytes4(reason) == IRiskSteward.OutOfBounds.selector, "a number in force outside");
        }
    }

    /// Bounds as close around what is in force as they are taken, in the middle of the haircut's way, and half of the
    /// number taken back.
    function narrowAndTakeBack() external {
        IRiskSteward.Field field = IRiskSteward.Field.Haircut;
        Seen storage seen = _seen[field];
        vm.warp(block.timestamp + seen.terms.delay);
        uint256 up = seen.number + seen.terms.step;
        _try(field, seen.number, up < seen.terms.high ? up : uint256(seen.terms.high));
        vm.warp(block.timestamp + 36 hours);
        (uint256 im, uint256 mm) = STEWARD.inForce(field, 0);
        IRiskSteward.Terms memory terms = seen.terms;
        (terms.low, terms.high) = (uint128(mm), uint128(im));
        try STEWARD.setTerms(field, 0, terms) {
            seen.terms = terms;
        } catch {}
        _try(field, seen.number, (im + mm) / 2);
    }

    function wait_(uint256 time) external {
        vm.warp(block.timestamp + bound(time, 0, 3 days));
        _look();
    }

    // ---- what holds ----

    function checkBounds() external view {
        for (uint256 i; i < _fields.length; ++i) {
            IRiskSteward.Terms memory terms = _seen[_fields[i]].terms;
            (uint256 im, uint256 mm) = STEWARD.inForce(_fields[i], 0);
            assertLe(terms.low, im);
            assertLe(im, uint256(terms.high));
            assertLe(terms.low, mm);
            assertLe(mm, uint256(terms.high));
        }
    }

    /// Of the shared fields MM is never tighter than the number written, of the others never than IM's beside them.
    function checkOrder() external view {
        for (uint256 i; i < _fields.length; ++i) {
            (uint256 im, uint256 mm) = STEWARD.inForce(_fields[i], 0);
            assertTrue(!_tighter(_fields[i], mm, im), "MM tighter than IM");
        }
        (uint256 shortIm,) = STEWARD.inForce(IRiskSteward.Field.ShortImRate, 0);
        (, uint256 shortMm) = STEWARD.inForce(IRiskSteward.Field.ShortMmRate, 0);
        assertLe(shortMm, shortIm);
    }

    function checkNumbers() external view {
        for (uint256 i; i < _fields.length; ++i) {
            assertEq(STEWARD.number(_fields[i], 0), _seen[_fields[i]].number);
        }
    }

    /// Within a day of a tightening nothing tightens MM; what happens between two looks is no more than a day's line.
    function _look() private {
        for (uint256 i; i < _fields.length; ++i) {
            IRiskSteward.Field field = _fields[i];
            uint256 tightened = _tightenedAt(field);
            if (tightened == NONE) continue;
            Seen storage seen = _seen[field];
            (, uint256 mm) = STEWARD.inForce(field, 0);
            if (block.timestamp <= tightened + 24 hours) {
                assertTrue(!_tighter(field, mm, seen.mm), "tighter within the grace");
            }
            if (_tighter(field, mm, seen.mm)) {
                uint256 moved = mm > seen.mm ? mm - seen.mm : seen.mm - mm;
                uint256 way = seen.number > seen.mm ? seen.number - seen.mm : seen.mm - seen.number;
                assertLe(moved, way);
                // From where it was seen at most its whole way, so at most range ÷ 24 h a second.
                uint256 whole = uint256(seen.terms.high) + 1;
                assertLe(moved, whole * (block.timestamp - seen.at) / 24 hours + 1);
            }
            (seen.mm, seen.at) = (mm, block.timestamp);
        }
    }

    function _try(IRiskSteward.Field field, uint256 expected, uint256 number) private {
        if (_write(field, expected, number)) ++accepted;
        else ++refused;
    }

    function _write(IRiskSteward.Field field, uint256 expected, uint256 number) private returns (bool done) {
        IRiskSteward.Change[] memory one = new IRiskSteward.Change[](1);
        one[0] = IRiskSteward.Change(field, 0, uint128(expected), uint128(number));
        _look();
        uint256[] memory before = _mms();
        (done,) = address(STEWARD).call(abi.encodeCall(IRiskSteward.write, (one)));
        Seen storage seen = _seen[field];
        if (!done) return false;
        assertEq(expected, seen.number);
        assertLe(number > expected ? number - expected : expected - number, uint256(seen.terms.step));
        assertLe(seen.writtenAt + seen.terms.delay, block.timestamp);
        bool looser = seen.guarded && _tighterForGuardian(field, seen.guard, number);
        assertTrue(!looser, "looser than guarded");
        if (_tighter(field, number, expected)) {
            if (field == IRiskSteward.Field.Haircut) haircutTightened = block.timestamp;
            else if (_ofMm(field)) ratesTightened = block.timestamp;
        }
        (seen.number, seen.writtenAt) = (number, block.timestamp);
        // a number of MM's that is taken back may leave it looser; any other write starts from where MM is
        if (_tightenedAt(field) != NONE && _tighter(field, expected, number)) _noneTighter(before, _mms());
        else _same(before, _mms());
        _look();
    }

    function _field(uint256 which) private view returns (IRiskSteward.Field) {
        return _fields[which % _fields.length];
    }

    function _ofMm(IRiskSteward.Field field) private pure returns (bool) {
        return field == IRiskSteward.Field.MmScalar || field == IRiskSteward.Field.ShortMmRate
            || field == IRiskSteward.Field.ConcentrationRate || field == IRiskSteward.Field.ConfidenceFactor
            || field == IRiskSteward.Field.ConcentrationFrom;
    }

    function _tightenedAt(IRiskSteward.Field field) private view returns (uint256) {
        if (field == IRiskSteward.Field.Haircut) return haircutTightened;
        return _ofMm(field) ? ratesTightened : NONE;
    }

    /// Of the numbers MM goes by; the others are the same for both.
    function _tighter(IRiskSteward.Field field, uint256 left, uint256 right) private pure returns (bool) {
        return field == IRiskSteward.Field.ConcentrationFrom ? left < right : left > right;
    }

    function _tighterForGuardian(IRiskSteward.Field field, uint256 left, uint256 right) private pure returns (bool) {
        return field == IRiskSteward.Field.Cap ? left < right : left > right;
    }

    function _mms() private view returns (uint256[] memory mms) {
        mms = new uint256[](_fields.length);
        for (uint256 i; i < mms.length; ++i) {
            if (_tightenedAt(_fields[i]) != NONE) (, mms[i]) = STEWARD.inForce(_fields[i], 0);
        }
    }

    function _same(uint256[] memory left, uint256[] memory right) private pure {
        assertEq(keccak256(abi.encode(left)), keccak256(abi.encode(right)));
    }

    function _noneTighter(uint256[] memory before, uint256[] memory now_) private view {
        for (uint256 i; i < before.length; ++i) {
            assertTrue(!_tighter(_fields[i], now_[i], before[i]), "a write tightened MM");
        }
    }
}
