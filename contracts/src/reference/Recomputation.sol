// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Option} from "./math/Option.sol";
import {Report, ScanParameters, Slice} from "./Types.sol";

/// @title What an array must be: the integer twin on chain. Stateless, and a contract of its own for its size.
contract Recomputation {
    /// @notice The 132 bytes of one option. Reverts where a word is out of range: then there is no right array.
    function array(Report calldata report, Slice calldata slice, ScanParameters calldata scan, uint128 instrument)
        external
        pure
        returns (bytes memory)
    {
        return Option.array(Option.prepare(report, slice, scan), instrument);
    }
}
