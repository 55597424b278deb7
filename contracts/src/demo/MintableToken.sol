// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title A token its owner can mint; stands for USDC and WETH in the demo and in tests.
contract MintableToken is ERC20, Ownable {
    uint8 private immutable _DECIMALS;

    /// @param name_ Long name.
    /// @param symbol_ Ticker.
    /// @param decimals_ Decimals of an amount, 6 for USDC.
    constructor(string memory name_, string memory symbol_, uint8 decimals_) ERC20(name_, symbol_) Ownable(msg.sender) {
        _DECIMALS = decimals_;
    }

    /// @inheritdoc ERC20
    function decimals() public view override returns (uint8) {
        return _DECIMALS;
    }

    /// @notice Create tokens.
    /// @param to Receiver.
    /// @param amount Base units.
    function mint(address to, uint256 amount) external onlyOwner {
        _mint(to, amount);
    }
}
