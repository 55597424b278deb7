// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

uint256 constant GRACE = 24 hours; // from a tightening to the first second it counts for MM
uint256 constant SLOPE = 24 hours; // from then until all of it counts
uint40 constant HELD = type(uint40).max; // a start that never comes

/// What counts for MM over time: one slot. `from` is never tighter than `to`.
struct Ramp {
    uint104 from; // in force until `start`
    uint104 to; // the number last written: counts for IM at once, for MM from `start` + SLOPE
    uint40 start; // end of the grace, or HELD
}

/// @title A parameter whose tightening reaches MM late and in a line, and whose loosening reaches it at once.
/// `up`: a larger number is tighter.
library Ramps {
    function settled(uint104 number, uint256 time) internal pure returns (Ramp memory) {
        return Ramp(number, number, uint40(time));
    }

    /// The number in force for MM. Rounded toward `from`, the looser end.
    function at(Ramp memory r, uint256 time) internal pure returns (uint256) {
        if (time <= r.start) return r.from;
        uint256 elapsed = time - r.start;
        if (elapsed >= SLOPE) return r.to;
        if (r.to >= r.from) return r.from + (r.to - r.from) * elapsed / SLOPE;
        return r.from - (r.from - r.to) * elapsed / SLOPE;
    }

    /// After `number` is written at `time`, which is no earlier than any write before. It starts from the value in force.
    /// A grace that runs begins again, so none is ever shortened.
    function written(Ramp memory r, uint104 number, bool up, uint256 time) internal pure returns (Ramp memory) {
        uint256 inForce = at(r, time);
        if (!tighter(number, inForce, up)) return settled(number, time);
        return Ramp(uint104(inForce), number, uint40(time + GRACE));
    }

    /// Stopped where it is, until the next write; the number written stays.
    function held(Ramp memory r, uint256 time) internal pure returns (Ramp memory) {
        return Ramp(uint104(at(r, time)), r.to, HELD);
    }

    /// Whether MM may still change without a write.
    function running(Ramp memory r, uint256 time) internal pure returns (bool) {
        return r.start != HELD && at(r, time) != r.to;
    }

    function tighter(uint256 left, uint256 right, bool up) internal pure returns (bool) {
        return up ? left > right : left < right;
    }

    function tightest(uint256 left, uint256 right, bool up) internal pure returns (uint256) {
        return tighter(left, right, up) ? left : right;
    }
}
