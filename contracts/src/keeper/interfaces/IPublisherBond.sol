// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title What a publisher of risk arrays does with his own bond.
interface IPublisherBond {
    /// @notice Add `amount` of the settlement token to the caller's bond.
    function bond(uint256 amount) external;

    /// @notice Ask for it back; it stays liable until nothing it backs can be challenged.
    function requestUnbond() external;

    /// @notice Get it, less fines.
    function finishUnbond() external;
}
