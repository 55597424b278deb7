// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC3156FlashBorrower} from "@openzeppelin/contracts/interfaces/IERC3156FlashBorrower.sol";
import {IUniswapV3SwapCallback} from "../../src/keeper/interfaces/IUniswapV3.sol";

/// @notice Honest: a factory's only pool, which buys token 0 or 1 at one price out of what it holds.
contract PooledPool {
    uint24 public constant fee = 500;
    address public immutable token0;
    address public immutable token1;
    address private immutable _SOLD;
    uint256 private immutable _RATE; // paid for a wad of `_SOLD`

    constructor(address sold, address bought, uint256 rate) {
        (token0, token1) = sold < bought ? (sold, bought) : (bought, sold);
        (_SOLD, _RATE) = (sold, rate);
    }

    function getPool(address, address, uint24) external view returns (address) {
        return address(this);
    }

    function swap(address to, bool zeroForOne, int256 amount, uint160, bytes calldata)
        external
        returns (int256 amount0, int256 amount1)
    {
        require(amount > 0 && zeroForOne == (_SOLD == token0), "AS");
        int256 paid = amount * int256(_RATE) / 1e18;
        require(IERC20(zeroForOne ? token1 : token0).transfer(to, uint256(paid)));
        (amount0, amount1) = zeroForOne ? (amount, -paid) : (-paid, amount);
        uint256 before = IERC20(_SOLD).balanceOf(address(this));
        IUniswapV3SwapCallback(to).uniswapV3SwapCallback(amount0, amount1, "");
        require(before + uint256(amount) <= IERC20(_SOLD).balanceOf(address(this)), "IIA");
    }
}

/// @notice Honest: ERC-3156 for a thousandth, out of what it holds.
contract PooledLender {
    function flashLoan(IERC3156FlashBorrower to, address token, uint256 amount, bytes calldata passed)
        external
        returns (bool)
    {
        uint256 fee = amount / 1_000;
        require(IERC20(token).transfer(address(to), amount));
        bytes32 agreed = to.onFlashLoan(msg.sender, token, amount, fee, passed);
        require(agreed == keccak256("ERC3156FlashBorrower.onFlashLoan"));
        require(IERC20(token).transferFrom(address(to), address(this), amount + fee));
        return true;
    }
}
