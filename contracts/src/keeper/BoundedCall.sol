// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title Calls of contracts that are not trusted: so much gas and so many bytes back, no more.
/// @dev A high-level call copies whatever comes back, and who is called chooses how much that costs.
library BoundedCall {
    error GasTooLow(uint256 left, uint256 needed);
    error NoCode(address at);

    uint256 internal constant KEPT = 512; // bytes of a reason
    uint256 private constant AFTERWARDS = 20_000; // to note how it ended

    /// @dev What must be left for a call to get all of `gas_` (EIP-150) and for its end to be noted.
    function needed(uint256 gas_) internal pure returns (uint256) {
        return gas_ * 64 / 63 + AFTERWARDS;
    }

    /// @dev Before a call whose failure is survived: starved, it would look like one that was refused.
    function requireGas(uint256 gas_) internal view {
        uint256 least = needed(gas_);
        if (gasleft() < least) revert GasTooLow(gasleft(), least);
    }

    /// @dev With at most `gas_`, keeping the first `kept` bytes of what comes back.
    function tryCall(address to, uint256 gas_, bytes memory input, uint256 kept)
        internal
        returns (bool succeeded, bytes memory output)
    {
        if (to.code.length == 0) revert NoCode(to);
        assembly ("memory-safe") {
            succeeded := call(gas_, to, 0, add(input, 32), mload(input), 0, 0)
        }
        output = _kept(kept);
    }

    /// @dev The same for a question.
    function tryRead(address to, uint256 gas_, bytes memory input, uint256 kept)
        internal
        view
        returns (bool succeeded, bytes memory output)
    {
        if (to.code.length == 0) revert NoCode(to);
        assembly ("memory-safe") {
            succeeded := staticcall(gas_, to, add(input, 32), mload(input), 0, 0)
        }
        output = _kept(kept);
    }

    function _kept(uint256 most) private pure returns (bytes memory output) {
        uint256 size;
        assembly ("memory-safe") {
            size := returndatasize()
        }
        output = new bytes(size < most ? size : most);
        assembly ("memory-safe") {
            returndatacopy(add(output, 32), 0, mload(output))
        }
    }
}
