// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC3156FlashBorrower} from "@openzeppelin/contracts/interfaces/IERC3156FlashBorrower.sol";
import {ISwapRouter} from "../../src/keeper/interfaces/ISwapRouter.sol";

/// @notice Honest: sells at one price out of what it holds.
contract PooledRouter {
    uint256 private immutable _RATE; // bought for a wad sold

    constructor(uint256 rate) {
        _RATE = rate;
    }

    function exactInput(ISwapRouter.ExactInputParams calldata p) external payable returns (uint256 bought) {
        bought = p.amountIn * _RATE / 1e18;
        require(bought >= p.amountOutMinimum, "Too little received");
        require(IERC20(address(bytes20(p.path[:20]))).transferFrom(msg.sender, address(this), p.amountIn));
        require(IERC20(address(bytes20(p.path[p.path.length - 20:]))).transfer(p.recipient, bought));
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
