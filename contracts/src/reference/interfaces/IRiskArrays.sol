// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title Risk arrays: published under bond, challengeable by anyone.
interface IRiskArrays {
    /// One publication of every live expiry of an underlying, all on one report.
    struct Epoch {
        bytes32 reportId;
        address publisher;
        uint40 openedAt;
        uint40 completedAt; // 0 while expiries are missing
        // In one slot, for margin's sake (Basis):
        uint40 reportTimestamp;
        uint32 version; // of the scan parameters
        uint128 price; // the report's, wad
    }

    /// What an epoch's arrays are for, as far as margin asks.
    struct Basis {
        uint128 price; // the report's, wad
        uint40 reportTimestamp;
        uint32 version; // of the scan parameters
    }

    event EpochOpened(uint8 indexed underlying, uint256 indexed epoch, bytes32 reportId, address publisher);
    event ArraysPublished(
        uint8 indexed underlying, uint256 indexed epoch, uint40 indexed expiry, bytes32 sliceId, address blob
    );
    event EpochCompleted(uint8 indexed underlying, uint256 indexed epoch);
    event ArrayProvenWrong(
        uint8 indexed underlying,
        uint256 indexed epoch,
        uint40 indexed expiry,
        uint256 index,
        bytes published,
        bytes correct,
        address challenger
    );
    event Slashed(address indexed publisher, uint256 amount, uint256 toChallenger, uint256 toFund);
    event Fined(address indexed publisher, uint8 indexed underlying, uint256 amount, uint256 lateSeconds);
    event Bonded(address indexed publisher, uint256 amount, uint256 bond);
    event UnbondRequested(address indexed publisher, uint256 availableAt);
    event Unbonded(address indexed publisher, uint256 amount);

    error NotPublisher(address caller);
    error Suspended(address publisher);
    error TooManyUnderlyings(address publisher, uint256 most);
    error BondTooSmall(uint256 found, uint256 needed);
    error ReportNotRecent(bytes32 found, bytes32 newest, bytes32 before);
    error ReportNotLater(uint40 found, uint40 current);
    error VersionNotInForce(uint32 found, uint32 inForce);
    error SliceNotRecent(bytes32 found, bytes32 newest, bytes32 before);
    error TooOld(uint256 age, uint256 limit);
    error WrongOrder(uint40 found, uint40 expected);
    error ListingChanged(bytes32 found, bytes32 expected);
    error WrongLength(uint256 found, uint256 expected);
    error BlobTooLarge(uint256 found, uint256 most);
    error NoEpoch(uint8 underlying);
    error UnknownBlob(uint8 underlying, uint256 epoch, uint40 expiry);
    error NoArray(uint256 index, uint256 count);
    error ArrayCorrect(uint8 underlying, uint256 epoch, uint40 expiry, uint256 index);
    error WindowOver(uint256 closedAt);
    error BondLocked(uint256 availableAt);
    error NotLate(uint8 underlying);

    /// @notice Publish the arrays of the next live expiry with options (ascending) of the caller's epoch on `reportId`;
    /// the first opens the epoch, the last completes it and makes it current. `version` is that of the scan parameters
    /// the arrays were computed with: in force as the epoch opens, the epoch's own afterwards. Each publisher has at
    /// most one epoch open: opening another (on another report or version) abandons it. He serves at most four
    /// underlyings, ever: a proof against him costs more with each. The report must be later than
    /// the current epoch's. `listingId` is that of the rows and parameters the arrays were computed for
    /// (IProducts.listing): a reorganisation may put others in their place. `arrays` holds count(expiry) × 132 bytes.
    function publish(
        uint8 underlying,
        uint40 expiry,
        bytes32 reportId,
        bytes32 sliceId,
        uint32 version,
        bytes32 listingId,
        bytes calldata arrays
    ) external returns (uint256 epoch);

    /// @notice Recompute one array. If any word differs: the publisher's whole bond is slashed, he is suspended, and
    /// on each underlying on which he has completed an unsettled epoch all unsettled ones are void, those of others
    /// too. Reverts ArrayCorrect otherwise.
    function challenge(uint8 underlying, uint256 epoch, uint40 expiry, uint256 index) external;

    /// @notice What the contract itself computes for one array, 132 bytes.
    function recompute(bytes32 reportId, bytes32 sliceId, uint32 version, uint128 instrument)
        external
        view
        returns (bytes memory);

    /// @notice The newest complete valid epoch. Reverts NoEpoch.
    function current(uint8 underlying) external view returns (uint256 id, Epoch memory);

    /// @notice The newest complete valid epoch completed at least `window` ago. Reverts NoEpoch.
    function settled(uint8 underlying) external view returns (uint256 id, Epoch memory);

    function epoch(uint8 underlying, uint256 id) external view returns (Epoch memory);

    /// @notice Whether an epoch may still be used (complete, not void).
    function valid(uint8 underlying, uint256 id) external view returns (bool);

    /// @notice The code blob of an expiry in an epoch. Reverts UnknownBlob.
    function blob(uint8 underlying, uint256 epochId, uint40 expiry) external view returns (address);

    /// @notice The current (or settled) epoch and its blob of each of `expiries`, 0 where it has none; one call for
    /// all that margin reads of an underlying. Reverts NoEpoch.
    function blobs(uint8 underlying, bool ofSettled, uint40[] calldata expiries)
        external
        view
        returns (uint256 id, Basis memory, address[] memory);

    /// @notice Challenge window, seconds.
    function window() external view returns (uint256);

    /// @notice Bond every publisher must hold, and the part of it the insurance fund gets when it is slashed:
    /// the most that may be paid out on arrays inside one window. USD, wad.
    function slashable() external view returns (uint256);
}
