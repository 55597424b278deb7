// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {Book, Check} from "./Types.sol";
import {IMargin} from "./interfaces/IMargin.sol";
import {Settlement} from "./Settlement.sol";

/// @title What state an action may leave an account in.
abstract contract Admission is Settlement {
    /// @dev Under the newest and the settled arrays: one false publication alone lets nothing out. Stale arrays revert.
    /// Returns IM under the newest.
    function _requireInitial(uint256 account, Book memory b) internal view returns (uint256 im) {
        Check memory check = _check(IMargin.byArrays.selector, b);
        im = check.im;
        _requireMet(account, check.equity, im);
        check = _check(IMargin.bySettledArrays.selector, b);
        _requireMet(account, check.equity, check.im);
    }

    /// @dev Also at the marks of the newest slices: what was bought at them must not leave at those of older arrays.
    function _requireInitialAtMarks(uint256 account, Book memory b) internal view {
        uint256 im = _requireInitial(account, b);
        _requireMet(account, _check(IMargin.byMarks.selector, b).equity, im);
    }

    /// @dev For actions that are also allowed below IM, or while arrays are stale, if the account is no worse off.
    function _requireInitialOrNoWorse(uint256 account, Book memory before, Book memory afterwards) internal view {
        if (_met(IMargin.byArrays.selector, afterwards) && _met(IMargin.bySettledArrays.selector, afterwards)) return;
        // Under both sets: a false newest one would let a hedge be closed away.
        _requireExcessKept(account, IMargin.byArraysRegardless.selector, before, afterwards);
        _requireExcessKept(account, IMargin.bySettledArraysRegardless.selector, before, afterwards);
        // Excess alone would let a failing account close below the mark, to a friend, and leave a deficit behind.
        int256 left = _check(IMargin.byMarks.selector, afterwards).equity;
        if (left < 0) _requireNotLess(account, _check(IMargin.byMarks.selector, before).equity, left);
    }

    function _requireNotLess(uint256 account, int256 was, int256 left) private pure {
        if (left < was) revert ExcessFell(account, was, left);
    }

    function _requireMet(uint256 account, int256 equity, uint256 im) private pure {
        if (equity < int256(im)) revert BelowInitialMargin(account, equity, im);
    }

    /// @dev False also where there is no answer: unknown is not healthy.
    function _met(bytes4 rule, Book memory b) private view returns (bool) {
        (bool known, bytes memory answer) = _ask(rule, b);
        if (!known) return false;
        Check memory check = abi.decode(answer, (Check));
        return check.equity >= int256(check.im);
    }

    function _requireExcessKept(uint256 account, bytes4 rule, Book memory before, Book memory afterwards) private view {
        _requireNotLess(account, _excess(rule, before), _excess(rule, afterwards));
    }

    function _excess(bytes4 rule, Book memory b) private view returns (int256) {
        Check memory check = _check(rule, b);
        return check.equity - int256(check.mm);
    }

    function _check(bytes4 rule, Book memory b) private view returns (Check memory) {
        (bool known, bytes memory answer) = _ask(rule, b);
        return abi.decode(Address.verifyCallResult(known, answer), (Check));
    }

    /// @dev By selector, because the encoding of a book is long code and the venue is near the size limit.
    function _ask(bytes4 rule, Book memory b) private view returns (bool, bytes memory) {
        return address(MARGIN).staticcall(abi.encodeWithSelector(rule, b));
    }
}
