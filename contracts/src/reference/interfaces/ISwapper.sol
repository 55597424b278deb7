// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title What the venue swaps collateral through.
interface ISwapper {
    /// @notice `sellAmount` of `sell` has just been sent here; send at least `minBuy` of `buy` to the caller.
    /// The caller counts what arrives and reverts if it is less.
    function swap(address sell, address buy, uint256 sellAmount, uint256 minBuy, bytes calldata route) external;
}
