// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {HELD, Ramp, Ramps} from "./Ramp.sol";

/// How far and how often one parameter may be written.
struct Terms {
    uint104 low; // bounds, both included
    uint104 high;
    uint104 step; // most one write changes the number, either way, > 0
    uint40 delay; // least time between two writes of the controller, seconds, > 0
}

/// @title What a write of the controller must satisfy, and what it leaves behind.
library StewardRules {
    using Ramps for Ramp;

    error NumberChanged(uint256 found, uint256 expected);
    error SameNumber(uint256 found);
    error OutOfBounds(uint256 found, uint256 low, uint256 high);
    error StepTooLarge(uint256 found, uint256 most);
    error TooEarly(uint256 found, uint256 earliest);

    /// @param expected the number the writer read: compare and swap.
    /// @param writtenAt of the controller's write before, or of the listing.
    function next(
        Terms memory terms,
        Ramp memory ramp,
        uint256 writtenAt,
        uint256 expected,
        uint104 number,
        bool up,
        uint256 time
    ) internal pure returns (Ramp memory) {
        if (ramp.to != expected) revert NumberChanged(ramp.to, expected);
        // Written again, the same number would only begin the grace again; one held can go on in no other way.
        if (number == expected && ramp.start != HELD) revert SameNumber(number);
        requireWithin(terms, number);
        uint256 step = number > expected ? number - expected : expected - number;
        if (step > terms.step) revert StepTooLarge(step, terms.step);
        if (time < writtenAt + terms.delay) revert TooEarly(time, writtenAt + terms.delay);
        return ramp.written(number, up, time);
    }

    function requireWithin(Terms memory terms, uint256 number) internal pure {
        if (number < terms.low || number > terms.high) revert OutOfBounds(number, terms.low, terms.high);
    }
}
