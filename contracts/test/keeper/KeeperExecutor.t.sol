// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {KeeperExecutor} from "../../src/keeper/KeeperExecutor.sol";
import {IKeeperExecutor} from "../../src/keeper/interfaces/IKeeperExecutor.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IUniswapV3Pool} from "../../src/keeper/interfaces/IUniswapV3.sol";
import {Profit} from "../../src/keeper/Profit.sol";
import {BoundedCall} from "../../src/keeper/BoundedCall.sol";
import {ExecutorBase} from "./ExecutorBase.sol";
import {StubPool} from "./ExecutorStubs.sol";
import {Mischief} from "./Mischief.sol";

/// What it does where nobody does harm, and who may make it.
contract KeeperExecutorTest is ExecutorBase {
    function test_a_liquidation_in_one_transaction_pays_the_receiver_alone() public {
        uint256 profit = executor.run(_liquidation());
        assertEq(profit, 2_999e6);
        assertEq(usdc.truth(RECEIVER), 2_999e6);
        assertEq(usdc.truth(address(lender)), PRINCIPAL + 1e6);
        assertEq(relay.pushed(), 1);
        assertEq(arrays.published(), 1);
        assertEq(hall.started(), 1);
        _checkEmpty();
    }

    function test_a_relay_gets_its_function_and_the_arguments_as_given() public {
        IKeeperExecutor.Job memory job = _job(1);
        job.steps[0] = _report();
        executor.run(job);
        assertEq(relay.last(), "report");
        job.steps[0].relay = 1;
        vm.expectRevert(abi.encodeWithSelector(IKeeperExecutor.UnknownRelay.selector, 1, 1));
        executor.run(job);
    }

    function testFuzz_exactly_the_least_profit_is_enough_and_a_unit_less_is_not(uint128 taken, uint128 least) public {
        IKeeperExecutor.Job memory job = _job(1);
        desk.credit(OWN, USDC, uint256(taken) + 1);
        job.steps[0] = _withdraw(USDC, uint256(taken) + 1);
        job.minProfit = least;
        if (least > uint256(taken) + 1) vm.expectPartialRevert(Profit.ProfitTooLow.selector);
        executor.run(job);
        assertEq(usdc.truth(RECEIVER), least > uint256(taken) + 1 ? 0 : uint256(taken) + 1);
        _checkEmpty();
    }

    function testFuzz_what_lay_there_is_no_profit_and_goes_to_the_receiver(uint96 lay, uint96 won) public {
        usdc.mint(address(executor), lay);
        usdc.mint(RECEIVER, lay);
        IKeeperExecutor.Job memory job = _job(1);
        desk.credit(OWN, USDC, won);
        job.steps[0] = _withdraw(USDC, won);
        assertEq(executor.run(job), won);
        assertEq(usdc.truth(RECEIVER), 2 * uint256(lay) + won);
        _checkEmpty();
    }

    function testFuzz_anyone_may_sweep_to_the_receiver(address anyone, uint128 lay) public {
        weth.mint(address(executor), lay);
        vm.prank(anyone);
        executor.sweep(_tokens());
        assertEq(weth.truth(RECEIVER), lay);
        _checkEmpty();
    }

    function testFuzz_a_sweep_that_leaves_something_is_undone(address anyone, uint128 lay) public {
        weth.mint(address(executor), lay);
        weth.turn(Mischief.Harm.None, weth.SHOWS_MORE());
        vm.prank(anyone);
        vm.expectRevert();
        executor.sweep(_tokens());
        assertEq(weth.truth(address(executor)), lay);
    }

    function test_one_bad_job_changes_nothing_and_does_not_sink_the_others() public {
        IKeeperExecutor.Job[] memory jobs = new IKeeperExecutor.Job[](3);
        (jobs[0], jobs[1], jobs[2]) = (_liquidation(), _liquidation(), _liquidation());
        jobs[1].minProfit = 3_000e6;
        IKeeperExecutor.Ending[] memory endings = executor.tryMany(jobs);
        assertTrue(endings[0].succeeded && !endings[1].succeeded && endings[2].succeeded, "the middle one fails");
        assertEq(endings[0].profit, 2_999e6);
        assertEq(
            endings[1].reason, abi.encodeWithSelector(Profit.ProfitTooLow.selector, 2 * 2_999e6, 2_999e6 + 3_000e6)
        );
        assertEq(hall.started(), 2);
        assertEq(usdc.truth(RECEIVER), 2 * 2_999e6);
        _checkEmpty();
    }

    function test_a_job_without_its_gas_is_not_begun() public {
        IKeeperExecutor.Job[] memory jobs = new IKeeperExecutor.Job[](2);
        (jobs[0], jobs[1]) = (_liquidation(), _liquidation());
        IKeeperExecutor.Ending[] memory endings = executor.tryMany{gas: 8_400_000}(jobs);
        assertTrue(endings[0].succeeded && !endings[1].succeeded, "room for one");
        assertEq(bytes32(bytes4(endings[1].reason)), bytes32(BoundedCall.GasTooLow.selector));
    }

    /// However little is left after those that burn all of theirs: what one job has done is not lost with the batch.
    function testFuzz_jobs_that_are_not_begun_do_not_sink_those_done(uint256 gas) public {
        relay.turn(Mischief.Harm.BurnGas, 0);
        IKeeperExecutor.Job[] memory jobs = new IKeeperExecutor.Job[](40);
        for (uint256 i; i < 40; ++i) {
            jobs[i] = _job(i == 0 ? 0 : 1);
            if (i != 0) jobs[i].steps[0] = _report();
            if (i != 0) jobs[i].steps[0].gas = 200_000;
            jobs[i].gas = 300_000;
        }
        IKeeperExecutor.Ending[] memory endings = executor.tryMany{gas: bound(gas, 800_000, 14_000_000)}(jobs);
        assertTrue(endings[0].succeeded && !endings[39].succeeded, "the first stands");
    }

    /// A good one, many with long reasons, and at the end one that burns all of its gas: returning all of it takes gas too.
    function test_long_reasons_and_a_burnt_last_job_do_not_sink_those_done() public {
        relay.turn(Mischief.Harm.RevertBomb, 0);
        lender.turn(Mischief.Harm.BurnGas, 0);
        IKeeperExecutor.Job[] memory jobs = new IKeeperExecutor.Job[](120);
        for (uint256 i; i < 120; ++i) {
            jobs[i] = _job(i == 0 || i == 119 ? 0 : 1);
            jobs[i].gas = 150_000;
            if (jobs[i].steps.length != 0) jobs[i].steps[0] = _report();
            if (jobs[i].steps.length != 0) jobs[i].steps[0].gas = 100_000;
        }
        jobs[119].loan = IKeeperExecutor.Loan(address(usdc), 1, 1);
        bytes memory input = abi.encodeCall(executor.tryMany, (jobs));
        uint256 all = gasleft();
        (bool succeeded,) = address(executor).call(input);
        all -= gasleft();
        for (uint256 gas = all - 1_500_000; gas < all + 100_000; gas += 20_000) {
            bytes memory output;
            (succeeded, output) = address(executor).call{gas: gas}(input);
            assertTrue(succeeded, "sunk");
            IKeeperExecutor.Ending[] memory endings = abi.decode(output, (IKeeperExecutor.Ending[]));
            assertTrue(endings[0].succeeded && !endings[1].succeeded, "the first stands");
        }
    }

    function test_an_optional_step_may_fail_and_one_without_its_gas_may_not() public {
        IKeeperExecutor.Job memory job = _job(2);
        (job.steps[0], job.steps[1]) = (_report(), _start());
        relay.turn(Mischief.Harm.Revert, 0); // somebody else was first, say
        vm.expectPartialRevert(IKeeperExecutor.StepFailed.selector);
        executor.run(job);
        job.steps[0].optional = true;
        executor.run(job);
        assertEq(hall.started(), 1);
        vm.expectPartialRevert(BoundedCall.GasTooLow.selector);
        executor.run{gas: 700_000}(job);
    }

    function _stranger(address who) private view {
        vm.assume(who != address(this) && who != address(executor) && who != address(lender));
        vm.assume(!executor.hasRole(executor.OPERATOR(), who));
    }

    function testFuzz_strangers_do_nothing(address who, uint96 amount, uint96 fee) public {
        _stranger(who);
        vm.startPrank(who);
        _expectUnauthorized();
        executor.run(_job(0));
        _expectUnauthorized();
        executor.tryMany(new IKeeperExecutor.Job[](0));
        vm.expectRevert(abi.encodeWithSelector(IKeeperExecutor.OnlySelf.selector, who));
        executor.attempt(_job(0));
        vm.expectPartialRevert(IKeeperExecutor.UnexpectedCallback.selector);
        executor.onFlashLoan(address(executor), address(usdc), amount, fee, abi.encode(_job(0), 0));
        _checkNoAdmin(amount);
        vm.stopPrank();
    }

    function testFuzz_an_operator_is_no_admin(address operator, uint96 amount) public {
        vm.assume(operator != address(this));
        executor.grantRole(executor.OPERATOR(), operator);
        vm.startPrank(operator);
        executor.run(_job(0));
        _checkNoAdmin(amount);
        vm.stopPrank();
    }

    function _expectUnauthorized() private {
        vm.expectPartialRevert(IAccessControl.AccessControlUnauthorizedAccount.selector);
    }

    function _checkNoAdmin(uint96 amount) private {
        bytes32 role = executor.OPERATOR();
        _expectUnauthorized();
        executor.allowPool(IUniswapV3Pool(address(pool)), address(weth), true);
        _expectUnauthorized();
        executor.bond(amount);
        _expectUnauthorized();
        executor.requestUnbond();
        _expectUnauthorized();
        executor.finishUnbond();
        _expectUnauthorized();
        executor.grantRole(role, STRANGER);
        _expectUnauthorized();
        executor.revokeRole(role, address(this));
        vm.expectRevert(IAccessControl.AccessControlBadConfirmation.selector);
        executor.renounceRole(role, address(this));
    }

    function testFuzz_operators_come_and_go(address operator, bool byHimself) public {
        _stranger(operator);
        bytes32 role = executor.OPERATOR();
        executor.grantRole(role, operator);
        vm.prank(operator);
        executor.run(_job(0));
        if (byHimself) vm.prank(operator);
        if (byHimself) executor.renounceRole(role, operator);
        else executor.revokeRole(role, operator);
        _expectUnauthorized();
        vm.prank(operator);
        executor.run(_job(0));
    }

    function test_nobody_elses_account_is_paid_into() public {
        IKeeperExecutor.Job memory job = _job(1);
        address[2] memory others = [STRANGER, address(executor)]; // nobody could trade out of an account of its own
        usdc.mint(address(executor), 1e6);
        for (uint256 i; i < 2; ++i) {
            uint256 foreign = uint256(uint160(others[i])) << 96;
            bytes memory arguments = abi.encode(IKeeperExecutor.DepositStep(foreign, USDC, ALL));
            job.steps[0] = _step(IKeeperExecutor.Kind.Deposit, arguments);
            vm.expectRevert(abi.encodeWithSelector(IKeeperExecutor.ForeignAccount.selector, foreign, RECEIVER));
            executor.run(job);
        }
    }

    function test_it_sells_what_is_allowed_where_it_is_allowed_and_only_listed_tokens() public {
        weth.mint(address(executor), 1e18);
        IKeeperExecutor.Job memory job = _job(1);
        job.steps[0] = _sell(weth, 3_000e6);
        executor.allowPool(IUniswapV3Pool(address(pool)), address(weth), false);
        bytes memory refused =
            abi.encodeWithSelector(IKeeperExecutor.PoolNotAllowed.selector, address(pool), address(weth));
        vm.expectRevert(refused);
        executor.run(job);
        executor.allowPool(IUniswapV3Pool(address(pool)), address(usdc), true); // the other way round is another matter
        vm.expectRevert(refused);
        executor.run(job);
        executor.allowPool(IUniswapV3Pool(address(pool)), address(weth), true);
        assertEq(executor.run(job), 3_000e6);
        job.steps[0] = _sell(odd, 0);
        vm.expectRevert(abi.encodeWithSelector(IKeeperExecutor.TokenNotListed.selector, address(odd)));
        executor.run(job);
    }

    function testFuzz_a_pool_is_the_factorys_and_sells_one_of_its_two_tokens(address token, bool foreign) public {
        StubPool other = new StubPool(address(weth), address(odd));
        if (!foreign) factory.add(other);
        bool right = !foreign && (token == address(weth) || token == address(odd));
        if (!right) {
            vm.expectRevert(abi.encodeWithSelector(IKeeperExecutor.BadPool.selector, address(other), token));
        }
        executor.allowPool(IUniswapV3Pool(address(other)), token, true);
        if (foreign) vm.expectPartialRevert(IKeeperExecutor.BadPool.selector);
        executor.allowPool(IUniswapV3Pool(address(other)), address(odd), true);
    }

    /// What the pool leaves, where its liquidity ends, goes to the receiver.
    function testFuzz_a_sale_takes_what_it_is_told_and_brings_the_least_or_nothing(
        uint96 held,
        uint96 sold,
        uint96 least
    ) public {
        weth.mint(address(executor), held);
        IKeeperExecutor.Job memory job = _job(1);
        job.steps[0] = _sell(weth, sold, least);
        job.steps[0].optional = true;
        executor.run(job);
        uint256 bought = uint256(sold) * 3_000e6 / 1e18;
        bool done = sold != 0 && sold <= held && bought >= least;
        assertEq(usdc.truth(RECEIVER), done ? bought : 0);
        assertEq(weth.truth(RECEIVER), done ? uint256(held) - sold : held);
        _checkEmpty();
    }

    /// Above 2²⁵⁵ the pool would read how much is to be bought.
    function test_an_amount_that_is_no_amount_is_refused() public {
        IKeeperExecutor.Job memory job = _job(1);
        weth.mint(address(executor), 1e18);
        job.steps[0] = _sell(weth, ALL - 1e18, 0);
        vm.expectRevert(abi.encodeWithSelector(SafeCast.SafeCastOverflowedUintToInt.selector, ALL - 1e18));
        executor.run(job);
    }

    function test_all_of_cash_is_not_a_number() public {
        IKeeperExecutor.Job memory job = _job(1);
        job.steps[0] = _withdraw(USDC, ALL);
        vm.expectRevert(abi.encodeWithSelector(IKeeperExecutor.AllOfCash.selector, OWN));
        executor.run(job);
    }

    function test_after_its_deadline_nothing_is_done() public {
        IKeeperExecutor.Job memory job = _job(0);
        job.deadline = uint40(block.timestamp);
        executor.run(job);
        vm.warp(block.timestamp + 1);
        vm.expectPartialRevert(IKeeperExecutor.DeadlinePassed.selector);
        executor.run(job);
    }

    function testFuzz_a_bond_comes_from_the_admin_and_ends_at_the_receiver(uint96 amount) public {
        usdc.mint(address(this), amount);
        usdc.approve(address(executor), amount);
        executor.bond(amount);
        assertEq(arrays.bonded(address(executor)), amount);
        _checkEmpty();
        executor.requestUnbond();
        executor.finishUnbond();
        assertEq(usdc.truth(RECEIVER), amount);
        _checkEmpty();
    }

    function test_a_relay_is_none_of_what_the_typed_steps_guard() public {
        address[5] memory inside = [address(desk), address(hall), address(arrays), address(lender), address(usdc)];
        for (uint256 i; i < inside.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IKeeperExecutor.BadPeer.selector, inside[i]));
            new KeeperExecutor(address(this), address(this), RECEIVER, _peers(), _relays(inside[i]));
        }
        vm.expectRevert(abi.encodeWithSelector(IKeeperExecutor.BadPeer.selector, address(0)));
        new KeeperExecutor(address(this), address(this), address(0), _peers(), _relays(address(relay)));
    }
}
