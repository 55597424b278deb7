// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title The one function used of Uniswap v3's SwapRouter (v3-periphery, ISwapRouter); SwapRouter02 takes no deadline and is another.
interface ISwapRouter {
    struct ExactInputParams {
        bytes path; // token 20 bytes, then fee 3 bytes and token 20 bytes for each pool
        address recipient;
        uint256 deadline;
        uint256 amountIn;
        uint256 amountOutMinimum;
    }

    function exactInput(ExactInputParams calldata params) external payable returns (uint256 amountOut);
}
