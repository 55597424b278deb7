// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title The only way the venue's parameters change: small, seldom, and for MM never at once.
/// @notice The venue keeps every number and its ramp (IProducts); here are the terms of writing them. A parameter is a
/// field and an `id`: an underlying's number, a collateral's index, or 0 for fields of the whole venue.
interface IRiskSteward {
    /// The fields of the venue's records, in the records' order.
    enum Field {
        // Of an underlying's ScanParameters: one number for IM and MM, over 24 h from 24 h on, either way.
        Scan,
        VolUp,
        VolDown,
        ShortPower,
        LongPower,
        Extreme,
        DeepUp,
        DeepDown,
        ExtremeCover,
        DeepUpCover,
        DeepDownCover,
        // Of its MarginParameters: IM at once; MM late where tighter.
        ImScalar,
        MmScalar,
        ShortImRate,
        ShortMmRate,
        ConcentrationRate,
        ConfidenceFactor,
        ConcentrationFrom,
        // Of a CollateralType: as the rates; deposits alone, at once.
        Haircut,
        Cap,
        // Of the whole venue, at once.
        Band,
        FloorBand,
        LeastNotional,
        Bonus
    }

    /// Bounds included; `step` is the most one write moves the number, either way; `delay` the least time between two
    /// writes of the controller, seconds. Step and delay > 0.
    struct Terms {
        uint128 low;
        uint128 high;
        uint128 step;
        uint40 delay;
    }

    /// One number to change. `expected` is the number the writer read: another in its place refuses the write.
    struct Change {
        Field field;
        uint8 id;
        uint128 expected;
        uint128 number;
    }

    event TermsSet(Field indexed field, uint8 indexed id, Terms terms);
    /// @notice By the controller. From when it counts for MM, or in arrays, is in the venue's own event beside it.
    event NumberWritten(Field indexed field, uint8 indexed id, uint256 previous, uint256 number);
    /// @notice By the guardian. Until lifted the controller loosens this parameter no further than `number`.
    event Tightened(Field indexed field, uint8 indexed id, uint256 previous, uint256 number);
    event Lifted(Field indexed field, uint8 indexed id);
    event Stopped(address by);
    event Resumed();
    event ControllerSet(address controller);
    event GuardianSet(address guardian);

    error NotAuthorised(address found, bytes4 selector);
    error WritesStopped();
    error NoTerms(Field field, uint8 id);
    error TermsIncomplete(uint256 step, uint256 delay);
    error NumberChanged(uint256 found, uint256 expected);
    error SameNumber(uint256 found);
    error OutOfBounds(uint256 found, uint256 low, uint256 high);
    error StepTooLarge(uint256 found, uint256 most);
    error TooEarly(uint256 found, uint256 earliest);
    error LooserThanGuarded(uint256 found, uint256 guarded);
    error NotTighter(uint256 found, uint256 inPlace);
    error NotForGuardian(Field field);

    /// @notice Controller: all changes or none. Changes of one record (of an underlying's scan, its rates, a collateral)
    /// that stand together are one write of it.
    function write(Change[] calldata changes) external;

    /// @notice Guardian: a tighter number for IM or opening alone (ImScalar, ShortImRate, Cap, LeastNotional), at once,
    /// by any step within the bounds.
    function tighten(Field field, uint8 id, uint128 number) external;

    /// @notice Guardian: MM's rates of an underlying stay where they are, until a write tightens one of them.
    function holdMargin(uint8 underlying) external;

    /// @notice Guardian: MM's haircut of a collateral stays where it is, until a write raises it.
    function holdHaircut(uint8 index) external;

    /// @notice Guardian or owner: no more writes of the controller. Ramps go on; holding stops them.
    function stop() external;

    /// @notice The number last written, read from the venue: what `Change.expected` must be.
    function number(Field field, uint8 id) external view returns (uint256);

    /// @notice What counts at this block's time: `mm` for MM, `im` for all else, which is the number written. Of scan
    /// fields both are what a report of now would have.
    function inForce(Field field, uint8 id) external view returns (uint256 im, uint256 mm);

    function terms(Field field, uint8 id) external view returns (Terms memory);

    /// @notice Earliest time of the controller's next write, leaving aside whether writes are stopped.
    function readyAt(Field field, uint8 id) external view returns (uint256);

    /// @notice The guardian's number, until lifted.
    function guarded(Field field, uint8 id) external view returns (bool, uint128);
}
