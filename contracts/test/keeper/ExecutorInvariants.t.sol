// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IKeeperExecutor} from "../../src/keeper/interfaces/IKeeperExecutor.sol";
import {Test} from "../Vm.sol";
import {ExecutorBase} from "./ExecutorBase.sol";
import {Mischief, OddToken} from "./Mischief.sol";

/// @notice Any steps in any order, while anybody does any harm.
contract ExecutorHandler is ExecutorBase {
    uint256 private _had; // receiver and executor together before the call, USDC

    function actions() external pure returns (bytes4[] memory list) {
        list = new bytes4[](6);
        (list[0], list[1], list[2]) = (this.corrupt.selector, this.reform.selector, this.one.selector);
        (list[3], list[4], list[5]) = (this.many.selector, this.give.selector, this.send.selector);
    }

    /// @notice One of them turns, in one way or in two; every other time the odd token, which has most turns in a job.
    function corrupt(uint256 who, uint256 harm, uint256 trick) public {
        Mischief[] memory all = _all();
        harm = bound(harm, 0, uint256(type(Mischief.Harm).max));
        Mischief one_ = who % 2 == 0 ? odd : all[bound(who, 0, all.length - 1)];
        one_.turn(Mischief.Harm(harm), trick % 2 == 0 ? 0 : uint8(bound(trick, 0, 11)));
    }

    /// @notice All behave, for a while: one that fails for good would leave the others untried.
    function reform() public {
        Mischief[] memory all = _all();
        for (uint256 i; i < all.length; ++i) {
            all[i].turn(Mischief.Harm.None, 0);
        }
    }

    /// @notice Tokens for the account, so that there is something to withdraw and to sell.
    function give(uint256 asset, uint96 amount) public {
        desk.credit(OWN, bound(asset, 0, 2), amount);
    }

    /// @notice Tokens from a stranger: the next job that is done sends them on.
    function send(uint256 which, uint96 amount) public {
        OddToken token = which % 3 == 0 ? usdc : which % 3 == 1 ? weth : odd;
        token.mint(address(executor), amount);
    }

    function one(uint256 seed) public {
        _note();
        IKeeperExecutor.Job memory job = _random(seed);
        try executor.run{gas: 20_000_000}(job) returns (uint256 profit) {
            _checkPaid(profit, job.minProfit);
        } catch {}
    }

    function many(uint256 seed) public {
        _note();
        IKeeperExecutor.Job[] memory jobs = new IKeeperExecutor.Job[](3);
        for (uint256 i; i < 3; ++i) {
            jobs[i] = _random(uint256(keccak256(abi.encode(seed, i))));
        }
        IKeeperExecutor.Ending[] memory endings = executor.tryMany{gas: 30_000_000}(jobs);
        uint256 least;
        uint256 profit;
        bool any;
        for (uint256 i; i < 3; ++i) {
            if (!endings[i].succeeded) continue;
            (least, profit, any) = (least + jobs[i].minProfit, profit + endings[i].profit, true);
        }
        if (any) _checkPaid(profit, least);
    }

    function _note() private {
        _had = usdc.truth(RECEIVER) + usdc.truth(address(executor));
    }

    /// @dev Nothing is left, nobody may draw, and the profit is what the receiver has more.
    function _checkPaid(uint256 profit, uint256 least) private view {
        _checkEmpty();
        assertTrue(profit >= least, "less than the least");
        assertEq(usdc.truth(RECEIVER), _had + profit);
    }

    function _random(uint256 seed) private view returns (IKeeperExecutor.Job memory job) {
        job = seed % 4 == 0 ? _liquidation() : _job((seed >> 8) % 6);
        bool withOdd = seed >> 40 & 1 == 1;
        if (withOdd) {
            job.tokens = new address[](3);
            (job.tokens[0], job.tokens[1], job.tokens[2]) = (address(usdc), address(weth), address(odd));
        }
        job.minProfit = (seed >> 16) % 2 * ((seed >> 24) % 1e6);
        if (seed % 4 == 1) job.loan = IKeeperExecutor.Loan(address(usdc), (seed >> 32) % 1e12, type(uint256).max);
        if (seed % 4 == 2 && withOdd) {
            job.loan = IKeeperExecutor.Loan(address(odd), (seed >> 32) % 1e18, type(uint256).max);
        }
        for (uint256 i; i < job.steps.length; ++i) {
            if (seed % 4 != 0) job.steps[i] = _anyStep(uint256(keccak256(abi.encode(seed, "step", i))), withOdd);
            job.steps[i].optional = seed >> (64 + i) & 1 == 1;
            job.steps[i].gas = 400_000;
        }
    }

    function _anyStep(uint256 seed, bool withOdd) private view returns (IKeeperExecutor.Step memory) {
        uint256 asset = (seed >> 16) % (withOdd ? 3 : 2);
        uint256 amount = (seed >> 8) % 2 == 0 ? ALL : (seed >> 32) % 1e9;
        if (seed % 8 == 0) return _report();
        if (seed % 8 == 1) return _publish();
        if (seed % 8 == 2) return _start();
        if (seed % 8 == 3) return _take();
        if (seed % 8 == 4) return _deposit(asset, amount);
        if (seed % 8 == 5) return _withdraw(asset, asset == 0 && amount == ALL ? 1 : amount);
        return _sell(seed % 8 == 7 && withOdd ? odd : weth, amount, 0);
    }

    // ---- what holds ----

    function checkNobodyMayDraw() external view {
        _checkNoApproval(usdc);
        _checkNoApproval(weth);
    }

    function checkNobodyReentered() external view {
        Mischief[] memory all = _all();
        for (uint256 i; i < all.length; ++i) {
            assertTrue(!all[i].reentered(), "re-entered");
        }
    }

    /// @notice Whatever has happened, among honest parties it still works.
    function checkAlive() external {
        reform();
        assertTrue(executor.run(_liquidation()) >= 2_999e6, "no profit"); // of collateral given before, too
        _checkEmpty();
    }
}

contract ExecutorInvariants is Test {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    ExecutorHandler private handler;

    function setUp() public {
        handler = new ExecutorHandler();
        handler.setUp();
        targetContract(address(handler));
    }

    /// @notice Read by forge's invariant runner.
    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(handler), handler.actions());
    }

    /// @dev That nothing is left and the profit is paid is looked at after each job that is done.
    function invariant_nobody_may_draw() public view {
        handler.checkNobodyMayDraw();
    }

    function invariant_nobody_got_in() public view {
        handler.checkNobodyReentered();
    }

    function afterInvariant() public {
        handler.checkAlive();
    }
}
