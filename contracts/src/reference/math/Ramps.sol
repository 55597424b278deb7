// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Rounding} from "./Rounding.sol";

uint256 constant GRACE = 24 hours; // from a write to the first second its tighter numbers count for MM
uint256 constant SLOPE = 24 hours; // from then until all of them counts
uint32 constant HELD = type(uint32).max; // a start that never comes

/// One number on its way: `from` until `start`, then in a line to `to`. `up`: a larger number is tighter.
/// docs/risk-arrays.md, "Parameters over time".
library Ramps {
    /// Seconds of the way that are done, up to SLOPE.
    function done(uint256 start, uint256 time) internal pure returns (uint256) {
        if (time <= start) return 0;
        unchecked {
            return time - start < SLOPE ? time - start : SLOPE;
        }
    }

    /// Rounded toward the looser end where `from` is that.
    function at(uint256 from, uint256 to, uint256 done_, bool up) internal pure returns (uint256) {
        uint256 way = (to > from ? to - from : from - to) * done_;
        // What is added is rounded down where more is tighter, what is taken away where less is.
        way = (to > from) == up ? way / SLOPE : Rounding.cdiv(way, SLOPE);
        return to > from ? from + way : from - way;
    }

    function tighter(uint256 left, uint256 right, bool up) internal pure returns (bool) {
        return up ? left > right : left < right;
    }

    /// Where a number's way begins after `number` is written: `anew` from where it is, or where it began; what is looser
    /// counts at once.
    function origin(uint256 from, uint256 to, uint256 done_, uint256 number, bool anew, bool up)
        internal
        pure
        returns (uint256 begin)
    {
        begin = anew ? at(from, to, done_, up) : from;
        if (tighter(begin, number, up)) begin = number;
    }

    /// A number with a ramp of its own, after `number` is written over `to`. No grace is ever shortened.
    function written(uint256 from, uint256 to, uint256 start, uint256 number, uint256 time, bool up)
        internal
        pure
        returns (uint256, uint256)
    {
        bool anew = tighter(number, to, up);
        return (origin(from, to, done(start, time), number, anew, up), anew ? time + GRACE : start);
    }
}
