// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ramp} from "../Ramp.sol";
import {Terms} from "../StewardRules.sol";

/// @title The only way the keeper changes a venue's parameters: small, seldom, and for MM never at once.
/// @notice A key names one parameter of the venue. Its number is what the controller wrote last.
interface IRiskSteward {
    /// What a parameter counts for.
    enum Counts {
        Opening, // IM, opening or an incentive alone: at once, tighter or looser
        Both, // IM at once; MM by the ramp, where tighter
        Ramped // one number for IM and MM, or MM alone: by the ramp, where tighter
    }

    struct Parameter {
        Ramp ramp;
        uint104 guarded; // by the guardian for IM; the loosest number there is where he has not spoken
        uint40 writtenAt;
        bool listed;
        bool up; // a larger number is tighter
        Counts counts;
        Terms terms;
    }

    /// One number to change. `expected` is the number the writer read: another in its place refuses the write.
    struct Change {
        bytes32 key;
        uint104 expected;
        uint104 number;
    }

    event ParameterListed(bytes32 indexed key, bool up, Counts counts, Terms terms, uint256 number);
    event TermsSet(bytes32 indexed key, Terms terms);
    /// @notice From `previous` to `number`. MM stands at `mm` until `start` and at `number` from `end`, in a line between;
    /// both are the time of the write where it counts at once.
    event NumberWritten(bytes32 indexed key, uint256 previous, uint256 number, uint256 mm, uint256 start, uint256 end);
    /// @notice IM goes from `previous` to `im` at once, whatever the controller writes, until lifted.
    event Tightened(bytes32 indexed key, uint256 previous, uint256 im);
    event Lifted(bytes32 indexed key, uint256 previous, uint256 im);
    /// @notice MM stays at `mm` on its way to `number`, until the controller writes again.
    event RampHeld(bytes32 indexed key, uint256 mm, uint256 number);
    event Stopped(address by);
    event Resumed();
    event ControllerSet(address controller);
    event GuardianSet(address guardian);

    error NotAuthorised(address found, bytes4 selector);
    error WritesStopped();
    error AlreadyListed(bytes32 key);
    error UnknownParameter(bytes32 key);
    error TermsIncomplete(bytes32 key, uint256 step, uint256 delay);
    error NotTighter(bytes32 key, uint256 found, uint256 inForce);
    error NotForGuardian(bytes32 key, Counts counts);
    error NothingRunning(bytes32 key);

    /// @notice Controller: all changes or none.
    function write(Change[] calldata changes) external;

    /// @notice Guardian: a tighter number for IM or opening alone, at once, within the bounds. MM does not follow.
    function tighten(bytes32 key, uint104 number) external;

    /// @notice Guardian: stop a tightening of MM where it is.
    function hold(bytes32 key) external;

    /// @notice Guardian or owner: no more writes of the controller. Ramps go on; `hold` stops them.
    function stop() external;

    /// @notice Numbers in force now. IM is never looser than MM. `Ramped`: both the same.
    function inForce(bytes32 key) external view returns (uint256 im, uint256 mm);

    /// @notice What the ramp as it stands says for a time, such as a report's: before its last write, as at that write.
    function rampedAt(bytes32 key, uint256 time) external view returns (uint256);

    function parameter(bytes32 key) external view returns (Parameter memory);

    /// @notice Earliest time of the controller's next write, leaving aside whether writes are stopped.
    function readyAt(bytes32 key) external view returns (uint256);
}
