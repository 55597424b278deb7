// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Rounding} from "src/reference/math/Rounding.sol";
import {UNIT} from "src/reference/Types.sol";

/// @notice Symbolic: a word is the floor of its number. Run by `python -m tests.symbolic`.
contract RoundingSymbolic {
    function check_floor_is_below_and_within_one_unit(int96 number) external pure {
        int256 low = Rounding.fdiv(number, int256(UNIT)) * int256(UNIT);
        assert(low <= number && number < low + int256(UNIT));
    }

    /// @dev Truncation toward zero is above a negative number.
    function check_broken_truncation_is_a_floor(int96 number) external pure {
        int256 low = int256(number) / int256(UNIT) * int256(UNIT);
        assert(low <= number && number < low + int256(UNIT));
    }
}
