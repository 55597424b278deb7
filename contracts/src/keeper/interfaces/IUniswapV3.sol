// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title What is asked of Uniswap v3's factory (v3-core, IUniswapV3Factory).
interface IUniswapV3Factory {
    /// @return pool Zero where there is none.
    function getPool(address tokenA, address tokenB, uint24 fee) external view returns (address pool);
}

/// @title What is asked of one of its pools (v3-core, IUniswapV3PoolActions and IUniswapV3PoolImmutables).
interface IUniswapV3Pool {
    function token0() external view returns (address);

    function token1() external view returns (address);

    function fee() external view returns (uint24);

    /// @notice Send what is bought to `recipient`, then call back to be paid.
    /// @param amountSpecified Above zero what is sold, below zero what is bought.
    /// @param sqrtPriceLimitX96 Where the trade stops, whatever is left of the amount.
    function swap(
        address recipient,
        bool zeroForOne,
        int256 amountSpecified,
        uint160 sqrtPriceLimitX96,
        bytes calldata passed
    ) external returns (int256 amount0, int256 amount1);
}

/// @title v3-core, IUniswapV3SwapCallback.
interface IUniswapV3SwapCallback {
    /// @notice Pay the pool what is above zero of the two.
    function uniswapV3SwapCallback(int256 amount0, int256 amount1, bytes calldata passed) external;
}
