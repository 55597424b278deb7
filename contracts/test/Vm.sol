// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @notice The few forge cheat codes the tests use.
interface Vm {
    function warp(uint256 timestamp) external;
    function chainId(uint256 id) external;
    function roll(uint256 number) external;
    function txGasPrice(uint256 price) external;
    function prank(address sender) external;
    function startPrank(address sender) external;
    function stopPrank() external;
    function expectRevert() external;
    function expectRevert(bytes4 selector) external;
    function expectRevert(bytes calldata revertData) external;
    function expectPartialRevert(bytes4 selector) external;
    function expectEmit() external;
    function assume(bool condition) external pure;
    function addr(uint256 key) external pure returns (address);
    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function snapshotState() external returns (uint256 id);
    function revertToState(uint256 id) external returns (bool);
    function startSnapshotGas(string calldata name) external;
    function snapshotGasLastCall(string calldata group, string calldata name) external returns (uint256);
    function deal(address who, uint256 wei_) external;
    function etch(address who, bytes calldata code) external;
    function store(address who, bytes32 slot, bytes32 word) external;
    function load(address who, bytes32 slot) external view returns (bytes32);
    function label(address who, string calldata name) external;
    function cool(address who) external;
    function recordLogs() external;
    function getRecordedLogs() external returns (Log[] memory);
    function toString(uint256 number) external pure returns (string memory);

    struct Log {
        bytes32[] topics;
        bytes data;
        address emitter;
    }
}

/// @notice Asserts, bounds and the cheat code address; handlers of invariant tests list themselves as targets.
abstract contract Test {
    error NotEqual(int256 left, int256 right);
    error NotEqualUint(uint256 left, uint256 right);
    error NotEqualBytes(bytes left, bytes right);
    error NotLess(int256 left, int256 right);
    error NotTrue(string what);

    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    address[] private _targets;

    function assertEq(uint256 left, uint256 right) internal pure {
        if (left != right) revert NotEqualUint(left, right);
    }

    function assertEq(int256 left, int256 right) internal pure {
        if (left != right) revert NotEqual(left, right);
    }

    function assertEq(address left, address right) internal pure {
        if (left != right) revert NotEqualUint(uint160(left), uint160(right));
    }

    function assertEq(bytes32 left, bytes32 right) internal pure {
        if (left != right) revert NotEqualUint(uint256(left), uint256(right));
    }

    function assertEq(bytes memory left, bytes memory right) internal pure {
        if (keccak256(left) != keccak256(right)) revert NotEqualBytes(left, right);
    }

    function assertLe(int256 left, int256 right) internal pure {
        if (left > right) revert NotLess(left, right);
    }

    function assertLe(uint256 left, uint256 right) internal pure {
        if (left > right) revert NotEqualUint(left, right);
    }

    function assertTrue(bool condition, string memory what) internal pure {
        if (!condition) revert NotTrue(what);
    }

    /// @notice Map any number onto low..high, both included.
    function bound(uint256 number, uint256 low, uint256 high) internal pure returns (uint256) {
        if (high - low == type(uint256).max) return number;
        return low + number % (high - low + 1);
    }

    function targetContract(address handler) internal {
        _targets.push(handler);
    }

    /// @notice Read by forge's invariant runner.
    function targetContracts() external view returns (address[] memory) {
        return _targets;
    }
}
