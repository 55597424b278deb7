// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Profit} from "../../src/keeper/Profit.sol";
import {Test} from "../Vm.sol";

/// @title A job that is done has earned its least, fee paid, of nobody's gift, whatever the amounts.
contract ProfitChecks is Test {
    struct Job {
        uint256 receiver; // what he held before
        uint256 lay; // what somebody had sent to the executor before
        uint256 lent;
        uint256 fee;
        uint256 won; // by the steps
        uint256 least;
    }

    /// @custom:halmos --solver yices
    function check_a_job_earns_its_least(Job memory j) public pure {
        uint256 before = j.receiver + j.lay;
        _earned(j, Profit.made(before, before + j.won - j.fee, j.least));
    }

    /// @custom:halmos --solver yices
    function broken_a_job_earns_its_least_if_compared_before_the_loan_is_repaid(Job memory j) public pure {
        uint256 before = j.receiver + j.lay;
        uint256 profit = Profit.made(before, before + j.lent + j.won, j.least);
        _earned(j, profit - j.lent - j.fee);
    }

    /// @custom:halmos --solver yices
    function broken_a_job_earns_its_least_if_a_gift_counts(Job memory j) public pure {
        _earned(j, Profit.made(j.receiver, j.receiver + j.lay + j.won - j.fee, j.least));
    }

    /// @custom:halmos --solver yices
    function broken_a_job_earns_its_least_if_sums_wrap(Job memory j) public pure {
        uint256 before = j.receiver + j.lay;
        uint256 found = before + j.won - j.fee;
        unchecked {
            vm.assume(found >= before + j.least);
            _earned(j, found - before);
        }
    }

    function _earned(Job memory j, uint256 profit) private pure {
        assert(profit >= j.least);
        assert(profit == j.won - j.fee);
    }
}
