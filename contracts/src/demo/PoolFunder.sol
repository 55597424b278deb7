// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @title What it needs of a Uniswap v3 pool (v3-core, IUniswapV3PoolActions and IUniswapV3PoolImmutables).
interface IFundedPool {
    function token0() external view returns (address);

    function token1() external view returns (address);

    function mint(address recipient, int24 lower, int24 upper, uint128 liquidity, bytes calldata passed)
        external
        returns (uint256 amount0, uint256 amount1);
}

/// @title Brings liquidity to Uniswap v3 pools out of what it holds, for tests: pools pay and are paid by callback.
contract PoolFunder {
    error NotTheOwner(address caller);
    error NotThePool(address caller);

    address private immutable _OWNER = msg.sender;
    address private transient _pool;

    /// @notice Bring `liquidity` between two ticks.
    function fund(IFundedPool pool, int24 lower, int24 upper, uint128 liquidity) external {
        if (msg.sender != _OWNER) revert NotTheOwner(msg.sender);
        _pool = address(pool);
        pool.mint(address(this), lower, upper, liquidity, "");
        _pool = address(0);
    }

    /// @notice Pay the pool that is being funded.
    function uniswapV3MintCallback(uint256 owed0, uint256 owed1, bytes calldata) external {
        if (msg.sender != _pool) revert NotThePool(msg.sender);
        _pay(IFundedPool(msg.sender).token0(), owed0);
        _pay(IFundedPool(msg.sender).token1(), owed1);
    }

    function _pay(address token, uint256 amount) private {
        if (amount != 0) assert(IERC20(token).transfer(msg.sender, amount));
    }
}
