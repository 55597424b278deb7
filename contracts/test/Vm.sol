// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @notice The few forge cheat codes the tests use.
interface Vm {
    function warp(uint256 timestamp) external;
    function prank(address sender) external;
    function expectRevert(bytes calldata revertData) external;
    function assume(bool condition) external pure;
}

/// @notice Asserts and the cheat code address.
abstract contract Test {
    error NotEqual(int256 left, int256 right);
    error NotTrue(string what);

    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    function assertEq(uint256 left, uint256 right) internal pure {
        if (left != right) revert NotEqual(int256(left), int256(right));
    }

    function assertEq(int256 left, int256 right) internal pure {
        if (left != right) revert NotEqual(left, right);
    }

    function assertTrue(bool condition, string memory what) internal pure {
        if (!condition) revert NotTrue(what);
    }
}
