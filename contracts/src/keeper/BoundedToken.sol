// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {BoundedCall} from "./BoundedCall.sol";

/// @title ERC-20 tokens nobody vouches for: bounded, with or without a return value, and never taken at their word
/// where a second question can be asked.
library BoundedToken {
    error TokenRefused(address token, bytes4 selector, bytes reason);
    error TokenUnreadable(address token, bytes4 selector);
    error ApprovalLeft(address token, address spender, uint256 found);

    uint256 private constant READ_GAS = 100_000;
    uint256 private constant WRITE_GAS = 300_000;

    function balanceOf(address token, address who) internal view returns (uint256) {
        return _read(token, abi.encodeCall(IERC20.balanceOf, (who)));
    }

    function allowance(address token, address spender) internal view returns (uint256) {
        return _read(token, abi.encodeCall(IERC20.allowance, (address(this), spender)));
    }

    function transfer(address token, address to, uint256 amount) internal {
        _write(token, abi.encodeCall(IERC20.transfer, (to, amount)));
    }

    function transferFrom(address token, address from, uint256 amount) internal {
        _write(token, abi.encodeCall(IERC20.transferFrom, (from, address(this), amount)));
    }

    function approve(address token, address spender, uint256 amount) internal {
        _write(token, abi.encodeCall(IERC20.approve, (spender, amount)));
    }

    /// @dev Asked afterwards: a token may say yes and keep the allowance.
    function revoke(address token, address spender) internal {
        if (allowance(token, spender) != 0) approve(token, spender, 0);
        requireNoApproval(token, spender);
    }

    function requireNoApproval(address token, address spender) internal view {
        uint256 found = allowance(token, spender);
        if (found != 0) revert ApprovalLeft(token, spender, found);
    }

    function _read(address token, bytes memory question) private view returns (uint256) {
        (bool succeeded, bytes memory answer) = BoundedCall.tryRead(token, READ_GAS, question, 32);
        if (!succeeded || answer.length < 32) revert TokenUnreadable(token, bytes4(question));
        return uint256(bytes32(answer));
    }

    /// @dev No answer is a yes, as of tokens older than the standard's final form.
    function _write(address token, bytes memory order) private {
        (bool succeeded, bytes memory answer) = BoundedCall.tryCall(token, WRITE_GAS, order, BoundedCall.KEPT);
        bool agreed = answer.length == 0 || (answer.length >= 32 && uint256(bytes32(answer)) == 1);
        if (!succeeded || !agreed) revert TokenRefused(token, bytes4(order), answer);
    }
}
