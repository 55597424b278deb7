// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Slice} from "../Types.sol";

/// @title Volatility slices by content hash. Its events and errors are those of IPrices.
interface ISlices {
    /// @notice The newest slice of an expiry. Reverts NoSlice where there is none.
    function newestSlice(uint8 underlying, uint40 expiry)
        external
        view
        returns (Slice memory slice, bytes32 id, bytes32 before);

    /// @notice A slice by its id. Reverts UnknownSlice.
    function slice(bytes32 id) external view returns (Slice memory);
}
