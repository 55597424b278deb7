// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// Makes calls one after the other and says how each ended. Never deployed: a simulation (eth_call with a state
/// override) puts this code at the keeper's own address, so every contract sees the caller it will see on the chain,
/// and each call finds what those before it left behind.
contract InTurn {
    struct Step {
        address to;
        uint256 gas; // the most it may use, without what every transaction costs
        bytes data;
    }

    struct Ending {
        bool succeeded;
        uint256 gasUsed; // refunds not taken off: a limit must cover it
        uint256 size; // bytes it returned or reverted with
        bytes returned; // the first `keep` of them
    }

    uint256 private constant OWN_GAS = 60_000; // to note an ending and the ones before it

    /// Gives each step all its gas or does not begin it: where that stops, the endings end.
    function run(Step[] calldata steps, uint256 keep) external returns (Ending[] memory endings) {
        endings = new Ending[](steps.length);
        uint256 done;
        // a call can be given 63/64 of what is left (EIP-150)
        while (done < steps.length && gasleft() > steps[done].gas * 64 / 63 + OWN_GAS + keep) {
            endings[done] = _ended(steps[done], keep);
            ++done;
        }
        assembly ("memory-safe") {
            mstore(endings, done)
        }
    }

    /// The answer stays where it is but for its first bytes: copying megabytes would cost what the next steps need.
    function _ended(Step calldata step, uint256 keep) private returns (Ending memory ending) {
        bytes memory data = step.data;
        address to = step.to;
        uint256 limit = step.gas;
        bool succeeded;
        uint256 size;
        uint256 before = gasleft();
        assembly ("memory-safe") {
            succeeded := call(limit, to, 0, add(data, 32), mload(data), 0, 0)
            size := returndatasize()
        }
        ending.gasUsed = before - gasleft();
        bytes memory returned = new bytes(size < keep ? size : keep);
        assembly ("memory-safe") {
            returndatacopy(add(returned, 32), 0, mload(returned))
        }
        (ending.succeeded, ending.size, ending.returned) = (succeeded, size, returned);
    }
}
