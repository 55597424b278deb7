// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IRiskSteward} from "./interfaces/IRiskSteward.sol";

/// @title What a write of the controller must satisfy.
library StewardRules {
    /// @param writtenAt of the controller's write before, or of the first terms.
    /// @param found the number in place.
    /// @param expected the number the writer read: compare and swap.
    function check(
        IRiskSteward.Terms memory terms,
        uint256 writtenAt,
        uint256 found,
        uint256 expected,
        uint256 number,
        uint256 time
    ) internal pure {
        if (found != expected) revert IRiskSteward.NumberChanged(found, expected);
        if (number == expected) revert IRiskSteward.SameNumber(number);
        requireWithin(terms, number);
        uint256 step = number > expected ? number - expected : expected - number;
        if (step > terms.step) revert IRiskSteward.StepTooLarge(step, terms.step);
        if (time < writtenAt + terms.delay) revert IRiskSteward.TooEarly(time, writtenAt + terms.delay);
    }

    function requireWithin(IRiskSteward.Terms memory terms, uint256 number) internal pure {
        if (number < terms.low || number > terms.high) {
            revert IRiskSteward.OutOfBounds(number, terms.low, terms.high);
        }
    }
}
