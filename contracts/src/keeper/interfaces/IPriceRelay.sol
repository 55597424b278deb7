// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Observation} from "../../reference/Types.sol";

/// @title What is said to a price relay, and how it is signed.
interface IPriceRelay {
    struct SignedObservation {
        Observation seen;
        bytes[] signatures; // 65 bytes each, ascending by signer
    }

    /// Beyond `most` (BPS of the anchor) in price, confidence or what is newly fixed, an observation is a jump. The
    /// anchor is the last price that as many as a jump needs have signed, or, `period` seconds later, the last one.
    struct PriceLimit {
        uint16 most;
        uint40 period;
    }

    event PriceLimitSet(uint8 indexed underlying, uint16 most, uint40 period);

    /// @notice Keep an observation that a quorum signed; anyone may bring it. A jump, and the first of an underlying,
    /// needs as many as a jump needs.
    /// @return id Of the report, as in IPrices.
    function relay(Observation calldata seen, bytes[] calldata signatures) external returns (bytes32 id);

    /// @notice Keep several, in order. One that is not later than what is there is passed over with id 0, so that who
    /// brings one of them first does not sink the others; anything else that is wrong reverts all.
    function relayMany(SignedObservation[] calldata signed) external returns (bytes32[] memory ids);

    /// @notice Set what is a jump of an underlying. Owner only. 0 and 0 (the default): everything is. With a limit the
    /// period is at least MAX_AGE.
    function setPriceLimit(uint8 underlying, uint16 most, uint40 period) external;

    /// @notice What a signer signs: the EIP-712 digest of an observation for this relay on this chain.
    function digest(Observation calldata seen) external view returns (bytes32);

    /// @notice Whether an observation that came now would need as many signers as a jump does.
    function isJump(Observation calldata seen) external view returns (bool);

    /// @notice The anchor as the last report left it, and since when. 0 and 0 before the first report. Once its period is
    /// over, changes are measured from the last report instead, which the next one makes the anchor.
    function anchor(uint8 underlying) external view returns (uint128 price, uint40 since);

    /// @notice Id of the report with that number of its underlying (1, 2, 3, …), or 0.
    function idAt(uint8 underlying, uint32 sequence) external view returns (bytes32);
}
