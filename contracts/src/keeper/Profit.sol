// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title What a job has earned its receiver.
library Profit {
    error ProfitTooLow(uint256 found, uint256 expected);

    /// @param before What receiver and executor held together before the job, which includes what others have sent.
    /// @param found What the receiver holds after the loan is repaid and the executor is empty.
    function made(uint256 before, uint256 found, uint256 least) internal pure returns (uint256) {
        if (found < before + least) revert ProfitTooLow(found, before + least);
        return found - before;
    }
}
