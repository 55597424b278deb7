// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title Thousands of questions in one call, each with so much gas and so many bytes back, no more.
/// @dev Never deployed: a read (eth_call with a state override) puts this code at an address where nothing is. It knows
/// no venue: what is asked and what an answer means is the adapter's. Layout: docs/lens.md. No sum here can overflow:
/// everything is below 2⁶⁴, or a read of so many bytes would have run out of gas.
contract MarginLens {
    error Malformed(uint256 at, uint256 length);

    uint256 private constant TO = 20; // a question: whom, 4 bytes of length, calldata
    uint256 private constant HEAD = 4; // of an answer: how it ended, 3 bytes of length
    uint256 private constant ANSWERED = 1;
    uint256 private constant FAILED = 2; // reverted, or used up its gas
    uint256 private constant TOO_LONG = 3;
    uint256 private constant OWN_GAS = 50_000; // to note an answer and to finish

    /// @notice Asks one question after the other, as far as gas and room go: where that ends, the answers end.
    /// @param gasEach what each question is given; one is not begun with less, so starved never looks like refused
    /// @param keptEach bytes of the longest answer that is kept; of a longer one nothing is
    /// @param most bytes of all answers together
    /// @param questions one behind the other
    /// @return The seal: keccak256 of keccak256(this call's data) and the answers: whoever reads them can tell that they are
    /// whole and to these questions
    /// @return The answers in the order of the questions
    function read(uint32 gasEach, uint24 keptEach, uint32 most, bytes calldata questions)
        external
        view
        returns (bytes32, bytes memory)
    {
        uint256 first = _room();
        bytes32 asked = _hashOfCall(first);
        uint256 end = _askAll(questions, first, gasEach, keptEach, first + most);
        _finish(asked, first, end);
    }

    function _askAll(bytes calldata questions, uint256 end, uint256 gasEach, uint256 keptEach, uint256 stop)
        private
        view
        returns (uint256)
    {
        uint256 at;
        unchecked {
            stop -= stop < HEAD + keptEach ? stop : HEAD + keptEach;
            while (at < questions.length && end <= stop && gasleft() > _gasFor(gasEach, keptEach, end)) {
                (at, end) = _ask(questions, at, end, gasEach, keptEach);
            }
        }
        return end;
    }

    /// @dev Where the answers begin: behind the ABI's two heads and a length. Nothing may be allocated from here on.
    function _room() private pure returns (uint256 first) {
        assembly ("memory-safe") {
            first := add(mload(0x40), 0x60)
        }
    }

    function _hashOfCall(uint256 scratch) private pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            calldatacopy(scratch, 0, calldatasize())
            hash := keccak256(scratch, calldatasize())
        }
    }

    /// @dev A question's (EIP-150: it can be given 63/64 of what is left), and ours: memory for one more answer, and the
    /// hash of all of them.
    function _gasFor(uint256 gasEach, uint256 keptEach, uint256 end) private pure returns (uint256) {
        unchecked {
            uint256 words = (end >> 5) + 1;
            uint256 more = (keptEach >> 5) + 1;
            return gasEach * 64 / 63 + OWN_GAS + 6 * (words + more) + 3 * more + ((2 * words + more) * more >> 9);
        }
    }

    function _ask(bytes calldata questions, uint256 at, uint256 end, uint256 gasEach, uint256 keptEach)
        private
        view
        returns (uint256 next, uint256 newEnd)
    {
        (uint256 to, uint256 size) = _headOf(questions, at);
        unchecked {
            at += TO + 4;
            next = at + size;
        }
        if (next > questions.length) revert Malformed(next, questions.length);
        assembly ("memory-safe") {
            let place := add(end, HEAD)
            calldatacopy(place, add(questions.offset, at), size)
            let status := FAILED
            let length := 0
            if staticcall(gasEach, to, place, size, 0, 0) {
                status := TOO_LONG
                if iszero(gt(returndatasize(), keptEach)) {
                    status := ANSWERED
                    length := returndatasize()
                }
            }
            mstore(end, shl(224, or(shl(24, status), length)))
            returndatacopy(place, 0, length)
            newEnd := add(place, length)
        }
    }

    /// @dev Behind the last question this reads zeros, or what is not its own; `_ask` refuses where it ends beyond.
    function _headOf(bytes calldata questions, uint256 at) private pure returns (uint256 to, uint256 size) {
        assembly ("memory-safe") {
            let head := calldataload(add(questions.offset, at))
            to := shr(96, head)
            size := and(shr(64, head), 0xffffffff)
        }
    }

    /// @dev Where they are: copying megabytes would cost as much again, and more for memory.
    function _finish(bytes32 asked, uint256 first, uint256 end) private pure {
        assembly ("memory-safe") {
            let length := sub(end, first)
            mstore(sub(first, 0x20), asked)
            let seal := keccak256(sub(first, 0x20), add(length, 0x20))
            mstore(sub(first, 0x60), seal)
            mstore(sub(first, 0x40), 0x40)
            mstore(sub(first, 0x20), length)
            mstore(end, 0)
            return(sub(first, 0x60), add(0x60, and(add(length, 31), not(31))))
        }
    }
}
