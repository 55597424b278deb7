// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title Whose signatures a relay counts, and how many it needs.
interface IQuorum {
    event SignersSet(address[] signers, uint8 quorum, uint8 jumpQuorum);

    error TooManySigners(uint256 found, uint256 most);
    error QuorumOutOfRange(uint256 found, uint256 low, uint256 high);
    error AgeOutOfRange(uint256 found, uint256 low, uint256 high);
    /// @notice Signers are listed, and sign, in ascending order of their addresses: none can be there twice.
    error NotAscending(address found, address before);
    error NotASigner(address found);
    /// @notice The signature at `index` is none that a key can make (65 bytes, s in the lower half).
    error WrongSignature(uint256 index);
    error QuorumMissed(uint256 found, uint256 expected);

    /// @notice Replace all signers and both thresholds. Owner only. Signatures of who stays remain good until they are
    /// too old.
    /// @param signers Ascending, 1 to MAX_SIGNERS.
    /// @param quorum Of an ordinary change: more than half of the signers, so that no two quorums are strangers.
    /// @param jumpQuorum Of a jump: from `quorum` to all of them.
    function setSigners(address[] calldata signers, uint8 quorum, uint8 jumpQuorum) external;

    /// @notice Whether signatures of this address count now.
    function isSigner(address who) external view returns (bool);

    /// @notice How many signers there are, and how many must sign an ordinary change and a jump; all 0 before they are
    /// set, and then nothing is accepted.
    function thresholds() external view returns (uint8 signers, uint8 quorum, uint8 jumpQuorum);

    /// @notice Seconds after which an observation is too old to be accepted.
    function MAX_AGE() external view returns (uint256);
}
