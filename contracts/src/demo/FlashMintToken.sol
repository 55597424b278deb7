// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20FlashMint} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20FlashMint.sol";

/// @title Settlement token for tests that lends itself: OpenZeppelin's ERC-3156 lender, for a thousandth, rounded up.
contract FlashMintToken is ERC20FlashMint {
    constructor(string memory name_, string memory symbol_) ERC20(name_, symbol_) {}

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function decimals() public pure override returns (uint8) {
        return 6;
    }

    function _flashFee(address, uint256 amount) internal pure override returns (uint256) {
        return (amount + 999) / 1_000;
    }
}
