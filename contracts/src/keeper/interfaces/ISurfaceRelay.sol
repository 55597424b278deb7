// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Slice} from "../../reference/Types.sol";

/// @title What is said to a surface relay, and how it is signed.
interface ISurfaceRelay {
    struct SignedSlice {
        Slice fitted;
        bytes[] signatures; // 65 bytes each, ascending by signer
    }

    /// A slice is a jump where forward ÷ spot changes by more than `carry` (BPS), the volatility of a strike at half, 0.8,
    /// once, 1.25 times or twice the anchor's forward by more than `volatility` (BPS of itself), or the forward by more
    /// than half. All against the anchor: the last slice of the expiry that as many as a jump needs have signed, or,
    /// `period` seconds later, the last one.
    struct SurfaceLimit {
        uint16 volatility;
        uint16 carry;
        uint40 period;
    }

    event SurfaceLimitSet(uint8 indexed underlying, SurfaceLimit limit);

    /// @notice Keep a slice that a quorum signed; anyone may bring it. A jump, and the first of an expiry, needs as many
    /// as a jump needs.
    /// @return id Of the slice, as in IPrices.
    function relay(Slice calldata fitted, bytes[] calldata signatures) external returns (bytes32 id);

    /// @notice Keep several, in order. One that is not later than what is there is passed over with id 0, so that who
    /// brings one of them first does not sink the others; anything else that is wrong reverts all.
    function relayMany(SignedSlice[] calldata signed) external returns (bytes32[] memory ids);

    /// @notice Set what is a jump of an underlying's slices. Owner only. All 0 (the default): everything is.
    function setSurfaceLimit(uint8 underlying, SurfaceLimit calldata limit) external;

    /// @notice What a signer signs: the EIP-712 digest of a slice for this relay on this chain.
    function digest(Slice calldata fitted) external view returns (bytes32);

    /// @notice Whether a slice that came now would need as many signers as a jump does.
    function isJump(Slice calldata fitted) external view returns (bool);

    /// @notice The anchor as the last slice left it, and since when. 0 and 0 before the first. Once its period is over,
    /// changes are measured from the last slice instead, which the next one makes the anchor.
    function anchor(uint8 underlying, uint40 expiry) external view returns (bytes32 id, uint40 since);
}
