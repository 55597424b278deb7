// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IKeeperExecutor} from "../../src/keeper/interfaces/IKeeperExecutor.sol";
import {Test} from "../Vm.sol";
import {ExecutorBase} from "./ExecutorBase.sol";
import {Mischief} from "./Mischief.sol";

/// @notice Any steps in any order, while anybody does any harm.
contract ExecutorHandler is ExecutorBase {
    uint256 public performed;
    uint256 public refused;
    uint256 private _received; // by the receiver so far, USDC

    function actions() external pure returns (bytes4[] memory list) {
        list = new bytes4[](5);
        (list[0], list[1], list[2]) = (this.corrupt.selector, this.reform.selector, this.one.selector);
        (list[3], list[4]) = (this.many.selector, this.give.selector);
    }

    /// @notice One of them turns, in one way or in two.
    function corrupt(uint256 who, uint256 harm, uint256 trick) public {
        Mischief[] memory all = _all();
        harm = bound(harm, 0, uint256(type(Mischief.Harm).max));
        all[bound(who, 0, all.length - 1)].turn(Mischief.Harm(harm), uint8(bound(trick, 0, 10)));
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

    function one(uint256 seed) public {
        _note();
        IKeeperExecutor.Job memory job = _random(seed);
        try executor.run{gas: 20_000_000}(job) returns (uint256 profit) {
            assertTrue(profit >= job.minProfit, "less than the least");
            assertTrue(usdc.truth(RECEIVER) >= _received + job.minProfit, "profit not paid");
            ++performed;
        } catch {
            ++refused;
        }
    }

    function many(uint256 seed) public {
        _note();
        IKeeperExecutor.Job[] memory jobs = new IKeeperExecutor.Job[](3);
        uint256 least;
        for (uint256 i; i < 3; ++i) {
            jobs[i] = _random(uint256(keccak256(abi.encode(seed, i))));
        }
        IKeeperExecutor.Ending[] memory endings = executor.tryMany{gas: 30_000_000}(jobs);
        for (uint256 i; i < 3; ++i) {
            if (endings[i].succeeded) (least, performed) = (least + jobs[i].minProfit, performed + 1);
            else ++refused;
        }
        assertTrue(usdc.truth(RECEIVER) >= _received + least, "profit not paid");
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
        return _sell(seed % 8 == 7 && withOdd ? odd : weth, 0);
    }

    function _note() private {
        _received = usdc.truth(RECEIVER);
    }

    // ---- what holds ----

    function checkEmpty() external view {
        _checkEmpty();
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

    function invariant_no_balance_no_approval_and_nobody_got_in() public view {
        handler.checkEmpty();
        handler.checkNobodyReentered();
    }

    function afterInvariant() public {
        handler.checkAlive();
    }
}
