// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IUniswapV3Pool} from "../../src/keeper/interfaces/IUniswapV3.sol";
import {KeeperExecutor} from "../../src/keeper/KeeperExecutor.sol";
import {Profit} from "../../src/keeper/Profit.sol";
import {StubPool} from "./ExecutorStubs.sol";
import {BoundedCall} from "../../src/keeper/BoundedCall.sol";
import {BoundedToken} from "../../src/keeper/BoundedToken.sol";
import {IKeeperExecutor} from "../../src/keeper/interfaces/IKeeperExecutor.sol";
import {ExecutorBase} from "./ExecutorBase.sol";
import {Mischief} from "./Mischief.sol";

/// Everyone it calls, doing harm one at a time.
contract ExecutorAttacksTest is ExecutorBase {
    uint256 private constant HARMS = uint256(type(Mischief.Harm).max);

    /// @dev A liquidation whose collateral is the odd token beside WETH.
    function _odd() private view returns (IKeeperExecutor.Job memory job) {
        job = _job(3);
        job.tokens = new address[](3);
        (job.tokens[0], job.tokens[1], job.tokens[2]) = (address(usdc), address(weth), address(odd));
        job.steps[0] = _deposit(ODD, ALL);
        job.steps[1] = _withdraw(ODD, ALL);
        job.steps[2] = _sell(odd, 1);
    }

    /// @dev Of what lies there, without a step.
    function _sweeping() private view returns (IKeeperExecutor.Job memory job) {
        job = _odd();
        job.steps = new IKeeperExecutor.Step[](0);
    }

    /// @dev The bad job first: what it burns is not the good one's.
    function _besideAGoodOne(IKeeperExecutor.Job memory bad, uint256 gas) private returns (bool badSucceeded) {
        IKeeperExecutor.Job[] memory jobs = new IKeeperExecutor.Job[](2);
        (jobs[0], jobs[1]) = (bad, _job(1));
        IKeeperExecutor.Job memory good = jobs[1];
        desk.credit(OWN, USDC, 5e6);
        good.steps[0] = _withdraw(USDC, 5e6);
        good.minProfit = 5e6;
        IKeeperExecutor.Ending[] memory endings = executor.tryMany{gas: gas}(jobs);
        assertTrue(endings[1].succeeded, "sunk by its neighbour");
        return endings[0].succeeded;
    }

    function testFuzz_a_token_that_does_harm(uint8 harm, uint8 trick) public {
        odd.mint(address(executor), 1e18);
        odd.turn(Mischief.Harm(bound(harm, 0, HARMS)), uint8(bound(trick, 0, odd.TRICKS())));
        _besideAGoodOne(_odd(), 17_000_000);
        assertTrue(!odd.reentered(), "re-entered");
        _checkEmpty();
    }

    function testFuzz_anyone_who_does_harm(uint8 who, uint8 harm) public {
        Mischief one = _all()[bound(who, 1, 6)];
        one.turn(Mischief.Harm(bound(harm, 0, HARMS)), 0);
        if (one == Mischief(address(desk))) executor.tryMany{gas: 17_000_000}(_alone(_liquidation()));
        else _besideAGoodOne(_liquidation(), 17_000_000);
        assertTrue(!one.reentered(), "re-entered");
        _checkEmpty();
    }

    function _alone(IKeeperExecutor.Job memory job) private pure returns (IKeeperExecutor.Job[] memory jobs) {
        jobs = new IKeeperExecutor.Job[](1);
        jobs[0] = job;
    }

    function testFuzz_optional_steps_that_fail_leave_no_approval(bool venueItself, uint8 harm) public {
        Mischief one = venueItself ? Mischief(address(desk)) : Mischief(address(pool));
        one.turn(Mischief.Harm(bound(harm, 1, 4)), 0);
        weth.mint(address(executor), 1e18);
        odd.mint(address(executor), 1e18);
        IKeeperExecutor.Job memory job = _odd();
        (job.steps[1], job.steps[2]) = (_sell(weth, 0), _sell(odd, 0));
        for (uint256 i; i < 3; ++i) {
            job.steps[i].optional = true;
        }
        executor.run(job);
        _checkEmpty();
        _checkToken(odd);
        assertEq(weth.truth(RECEIVER), venueItself ? 0 : 1e18);
    }

    function test_a_bomb_costs_the_caller_its_stated_gas_and_little_more() public {
        relay.turn(Mischief.Harm.BurnGas, 0);
        IKeeperExecutor.Job memory job = _job(1);
        job.steps[0] = _report();
        job.steps[0].optional = true;
        uint256 before = gasleft();
        executor.run(job);
        assertLe(before - gasleft(), job.steps[0].gas + 120_000);
        relay.turn(Mischief.Harm.RevertBomb, 0);
        before = gasleft();
        executor.run(job);
        assertLe(before - gasleft(), 250_000); // the bomb itself, not a copy of it
    }

    // ---- tokens ----

    function _expectToken(uint8 trick, bytes4 error_) private {
        odd.mint(address(executor), 1e18);
        odd.turn(Mischief.Harm.None, trick);
        vm.expectPartialRevert(error_);
        executor.run(_odd());
    }

    function test_a_false_return_is_a_refusal() public {
        _expectToken(odd.SAYS_NO(), BoundedToken.TokenRefused.selector);
    }

    function test_an_approval_that_stays_undoes_the_job() public {
        _expectToken(odd.KEEPS_APPROVALS(), BoundedToken.ApprovalLeft.selector);
    }

    function test_a_token_that_keeps_showing_a_balance_undoes_the_job() public {
        odd.turn(Mischief.Harm.None, odd.MOVES_NOTHING());
        odd.mint(address(executor), 1);
        IKeeperExecutor.Job memory job = _sweeping();
        vm.expectRevert(abi.encodeWithSelector(IKeeperExecutor.BalanceLeft.selector, address(odd), 1));
        executor.run(job);
    }

    function test_a_bond_leaves_no_approval_or_is_none() public {
        usdc.mint(address(this), 1e6);
        usdc.approve(address(executor), 1e6);
        usdc.turn(Mischief.Harm.None, usdc.KEEPS_APPROVALS());
        vm.expectRevert(abi.encodeWithSelector(BoundedToken.ApprovalLeft.selector, address(usdc), address(arrays), 1e6));
        executor.bond(1e6);
    }

    function test_an_approval_that_comes_back_undoes_the_job() public {
        odd.mint(address(executor), 2e18);
        odd.turn(Mischief.Harm.None, odd.REVIVES());
        desk.turn(Mischief.Harm.None, desk.TAKES_NOTHING());
        IKeeperExecutor.Job memory job = _odd();
        job.steps = new IKeeperExecutor.Step[](1);
        job.steps[0] = _deposit(ODD, 1e18);
        vm.expectPartialRevert(BoundedToken.ApprovalLeft.selector);
        executor.run(job);
    }

    function test_a_balance_in_half_a_word_is_no_balance() public {
        odd.turn(Mischief.Harm.None, odd.SAYS_LITTLE());
        vm.expectPartialRevert(BoundedToken.TokenUnreadable.selector);
        executor.run(_sweeping());
    }

    /// Where it shows none it has no truth to hold it to, but nobody else's is touched.
    function testFuzz_a_lying_balance_harms_nobody_else(bool more, uint96 lay, uint96 honest) public {
        odd.mint(address(executor), lay);
        weth.mint(address(executor), honest);
        odd.turn(Mischief.Harm.None, more ? odd.SHOWS_MORE() : odd.SHOWS_NONE());
        IKeeperExecutor.Job[] memory jobs = new IKeeperExecutor.Job[](2);
        (jobs[0], jobs[1]) = (_sweeping(), _job(0));
        IKeeperExecutor.Ending[] memory endings = executor.tryMany(jobs);
        assertTrue(endings[0].succeeded == !more && endings[1].succeeded, "only the liar's fails");
        assertEq(weth.truth(RECEIVER), honest);
        _checkEmpty();
    }

    function test_no_return_value_is_as_good_as_true() public {
        odd.mint(address(executor), 1e18);
        odd.turn(Mischief.Harm.None, odd.SILENT());
        IKeeperExecutor.Job memory job = _sweeping();
        executor.run(job);
        assertEq(odd.truth(RECEIVER), 1e18);
    }

    function test_a_fee_on_transfer_counts_against_the_profit() public {
        desk.credit(OWN, ODD, 100e18);
        odd.turn(Mischief.Harm.None, odd.FEE());
        IKeeperExecutor.Job memory job = _odd();
        job.profitToken = address(odd);
        job.steps = new IKeeperExecutor.Step[](1);
        job.steps[0] = _withdraw(ODD, ALL);
        job.minProfit = 98.01e18 + 1;
        vm.expectPartialRevert(Profit.ProfitTooLow.selector);
        executor.run(job);
        job.minProfit = 98.01e18; // twice a hundredth: to here and on to the receiver
        assertEq(executor.run(job), 98.01e18);
    }

    function test_a_token_without_code_is_no_token() public {
        IKeeperExecutor.Job memory job = _odd();
        job.tokens[2] = address(0xDEAD);
        job.steps = new IKeeperExecutor.Step[](0);
        vm.expectRevert(abi.encodeWithSelector(BoundedCall.NoCode.selector, address(0xDEAD)));
        executor.run(job);
    }

    // ---- lender, pool, venue ----

    function testFuzz_a_lender_who_cheats_gets_nothing(uint8 trick) public {
        lender.turn(Mischief.Harm.None, uint8(bound(trick, 1, lender.TRICKS())));
        bool forgives = lender.trick() == lender.TAKES_NOTHING();
        IKeeperExecutor.Job memory job = _liquidation();
        if (!forgives) vm.expectRevert();
        executor.run(job);
        _checkEmpty();
        assertEq(usdc.truth(RECEIVER), forgives ? 2_999e6 + PRINCIPAL + 1e6 : 0);
        assertEq(usdc.truth(address(lender)), 0);
    }

    function test_each_cheat_of_a_lender_by_its_name() public {
        _expectLender(lender.LENDS_NOTHING(), IKeeperExecutor.LoanNotReceived.selector);
        _expectLender(lender.CALLS_TWICE(), IKeeperExecutor.UnexpectedCallback.selector);
        _expectLender(lender.OTHER_DATA(), IKeeperExecutor.UnexpectedCallback.selector);
        _expectLender(lender.OTHER_INITIATOR(), IKeeperExecutor.UnexpectedCallback.selector);
        _expectLender(lender.BY_ANOTHER(), IKeeperExecutor.UnexpectedCallback.selector);
        _expectLender(lender.OTHER_AMOUNT(), IKeeperExecutor.LoanChanged.selector);
        _expectLender(lender.OTHER_TOKEN(), IKeeperExecutor.LoanChanged.selector);
        _expectLender(lender.HIGH_FEE(), IKeeperExecutor.FeeTooHigh.selector);
        lender.turn(Mischief.Harm.None, lender.NEVER_CALLS());
        vm.expectRevert(abi.encodeWithSelector(IKeeperExecutor.CallbackMissing.selector, address(lender)));
        executor.run(_liquidation());
    }

    function testFuzz_a_fee_is_paid_to_the_unit_and_never_more_than_agreed(uint96 principal, bool less) public {
        desk.credit(OWN, USDC, 1 + uint256(principal));
        uint256 fee = (uint256(principal) + 999) / 1_000;
        IKeeperExecutor.Job memory job = _job(1);
        job.steps[0] = _withdraw(USDC, fee);
        job.loan = IKeeperExecutor.Loan(address(usdc), principal, less && fee != 0 ? fee - 1 : fee);
        if (less && fee != 0) vm.expectPartialRevert(IKeeperExecutor.LoanRefused.selector);
        assertEq(executor.run(job), 0);
        assertEq(usdc.truth(address(lender)), less ? 0 : principal + fee);
        _checkEmpty();
    }

    /// What is lent is no profit: it is gone when profit is counted.
    function test_a_loan_does_not_count_as_profit() public {
        desk.credit(OWN, USDC, 2e6);
        IKeeperExecutor.Job memory job = _job(1);
        job.steps[0] = _withdraw(USDC, 2e6);
        job.loan = IKeeperExecutor.Loan(address(usdc), PRINCIPAL, 1e6);
        job.minProfit = 1e6 + 1;
        vm.expectPartialRevert(Profit.ProfitTooLow.selector);
        executor.run(job);
        job.minProfit = 1e6;
        assertEq(executor.run(job), 1e6);
    }

    /// @dev The first error of a LoanRefused's reason.
    function _expectLender(uint8 trick, bytes4 error_) private {
        lender.turn(Mischief.Harm.None, trick);
        try executor.run(_liquidation()) {
            assertTrue(false, "the cheat went through");
        } catch (bytes memory thrown) {
            assertEq(bytes32(bytes4(thrown)), bytes32(IKeeperExecutor.LoanRefused.selector));
            // selector 4, offset 32, length 32, then the reason
            bytes4 inner;
            assembly ("memory-safe") {
                inner := mload(add(thrown, 100))
            }
            assertEq(bytes32(inner), bytes32(error_));
        }
    }

    /// @dev One optional sale of a WETH for 3,000 at least, with the pool at its trick; then one where it behaves.
    function _sellAt(uint8 trick) private returns (IKeeperExecutor.Job memory job) {
        weth.mint(address(executor), 1e18);
        pool.turn(Mischief.Harm.None, trick);
        job = _job(1);
        job.steps[0] = _sell(weth, 1e18, 3_000e6);
    }

    function _expectPool(uint8 trick, bytes4 error_) private {
        IKeeperExecutor.Job memory job = _sellAt(trick);
        try executor.run(job) {
            assertTrue(false, "the cheat went through");
        } catch (bytes memory thrown) {
            assertEq(bytes32(bytes4(thrown)), bytes32(IKeeperExecutor.StepFailed.selector));
            // selector 4, index 32, kind 32, offset 32, length 32, then the reason
            bytes4 inner;
            assembly ("memory-safe") {
                inner := mload(add(thrown, 164))
            }
            assertEq(bytes32(inner), bytes32(error_));
        }
    }

    function test_each_cheat_of_a_pool_by_its_name() public {
        _expectPool(pool.TAKES_MORE(), IKeeperExecutor.SoldTooMuch.selector);
        _expectPool(pool.ASKS_BELOW_ZERO(), IKeeperExecutor.SoldTooMuch.selector);
        _expectPool(pool.PAYS_LESS(), IKeeperExecutor.BoughtTooLittle.selector);
        _expectPool(pool.PAYS_NOTHING(), IKeeperExecutor.BoughtTooLittle.selector);
        _expectPool(pool.TAKES_LESS(), IKeeperExecutor.BoughtTooLittle.selector);
        _expectPool(pool.CALLS_TWICE(), IKeeperExecutor.UnexpectedCallback.selector);
        _expectPool(pool.BY_ANOTHER(), IKeeperExecutor.UnexpectedCallback.selector);
        _expectPool(pool.NEVER_CALLS(), IKeeperExecutor.CallbackMissing.selector);
    }

    function testFuzz_a_pool_that_cheats_gets_nothing(uint8 trick) public {
        IKeeperExecutor.Job memory job = _sellAt(uint8(bound(trick, 1, pool.TRICKS())));
        job.steps[0].optional = true;
        executor.run(job);
        assertEq(weth.truth(address(pool)), 0);
        assertEq(weth.truth(RECEIVER), 1e18);
    }

    /// A sale that was refused leaves nobody the right to ask.
    function testFuzz_nobody_draws_outside_of_a_sale(address who, uint128 amount) public {
        vm.assume(who != address(0)); // who is nobody's sender
        IKeeperExecutor.Job memory job = _sellAt(pool.PAYS_LESS());
        job.steps[0].optional = true;
        executor.run(job);
        weth.mint(address(executor), amount);
        vm.prank(amount % 2 == 0 ? address(pool) : who);
        vm.expectPartialRevert(IKeeperExecutor.UnexpectedCallback.selector);
        executor.uniswapV3SwapCallback(int256(uint256(amount)), -1, "");
    }

    /// In one job: what a pool did not ask for in its turn it cannot fetch in the next step, although it has paid.
    function test_a_refused_sale_is_over_before_the_next_step() public {
        IKeeperExecutor.Relay[] memory relays = new IKeeperExecutor.Relay[](1);
        relays[0] = IKeeperExecutor.Relay(address(pool), StubPool.ask.selector);
        executor = new KeeperExecutor(address(this), address(this), RECEIVER, _peers(), relays);
        executor.allowPool(IUniswapV3Pool(address(pool)), address(weth), true);
        IKeeperExecutor.Step memory refused = _sellAt(pool.NEVER_CALLS()).steps[0];
        refused.optional = true;
        IKeeperExecutor.Job memory job = _job(2);
        job.steps[0] = refused;
        job.steps[1] = _step(IKeeperExecutor.Kind.Report, abi.encode(address(executor), 1e18));
        vm.expectPartialRevert(IKeeperExecutor.StepFailed.selector);
        executor.run(job);
    }

    /// What counts is what arrives, not what the pool says it has paid.
    function test_a_fee_on_what_is_bought_counts_against_the_least() public {
        StubPool other = new StubPool(address(weth), address(odd));
        factory.add(other);
        executor.allowPool(IUniswapV3Pool(address(other)), address(weth), true);
        odd.turn(Mischief.Harm.None, odd.FEE());
        IKeeperExecutor.Job memory job = _odd();
        job.steps = new IKeeperExecutor.Step[](1);
        for (uint256 least = 2_971e6; least != 2_969e6; least -= 1e6) {
            weth.mint(address(executor), 1e18);
            job.steps[0] = _step(
                IKeeperExecutor.Kind.Swap,
                abi.encode(IKeeperExecutor.SwapStep(address(other), address(weth), 1e18, least))
            );
            if (least > 2_970e6) vm.expectPartialRevert(IKeeperExecutor.StepFailed.selector);
            executor.run(job);
        }
        assertEq(odd.truth(RECEIVER), 2_970e6 - 29.7e6);
    }

    function test_what_the_venue_leaves_of_an_approval_is_gone() public {
        weth.mint(address(executor), 1e18);
        desk.turn(Mischief.Harm.None, desk.TAKES_NOTHING());
        IKeeperExecutor.Job memory job = _job(1);
        job.steps[0] = _deposit(WETH, 1e18);
        executor.run(job);
        assertEq(weth.truth(RECEIVER), 1e18);
        _checkEmpty();
    }

    function testFuzz_a_venue_cannot_take_more_than_the_deposit(uint96 amount) public {
        usdc.mint(address(executor), uint256(amount) + 5);
        desk.turn(Mischief.Harm.None, desk.TAKES_MORE());
        IKeeperExecutor.Job memory job = _job(1);
        job.steps[0] = _deposit(USDC, amount);
        vm.expectPartialRevert(IKeeperExecutor.StepFailed.selector);
        executor.run(job);
    }

    // ---- strangers ----

    /// Whatever somebody sends, before or in the middle, the job is done and the receiver has it.
    function testFuzz_tokens_sent_in_brick_nothing(uint96 usd, uint96 eth, bool during) public {
        usdc.mint(address(executor), usd);
        weth.mint(address(executor), eth);
        lender.aim(address(executor), new bytes[](0), usdc);
        lender.turn(during ? Mischief.Harm.Gift : Mischief.Harm.None, 0);
        pool.turn(during ? Mischief.Harm.Gift : Mischief.Harm.None, 0);
        IKeeperExecutor.Job memory job = _liquidation();
        job.steps[7] = _sell(weth, 1e18, 3_000e6);
        uint256 gift = during ? 7 : 0;
        assertEq(executor.run(job), 2_999e6 + gift);
        assertEq(usdc.truth(RECEIVER), 2_999e6 + gift + usd);
        assertEq(weth.truth(RECEIVER), eth + gift);
        _checkEmpty();
    }

    function testFuzz_a_gift_of_the_lent_token_does_not_stand_in_for_the_loan(uint96 gift) public {
        usdc.mint(address(executor), gift);
        lender.turn(Mischief.Harm.None, lender.LENDS_NOTHING());
        vm.expectPartialRevert(IKeeperExecutor.LoanRefused.selector);
        executor.run(_liquidation());
    }

    /// What arrives once everything is swept cannot stay: the last look comes after the last call.
    function test_a_gift_while_the_rest_is_swept_undoes_the_job() public {
        odd.mint(address(executor), 1);
        odd.turn(Mischief.Harm.Gift, 0);
        IKeeperExecutor.Job memory job = _sweeping();
        vm.expectRevert(abi.encodeWithSelector(IKeeperExecutor.BalanceLeft.selector, address(weth), 7));
        executor.run(job);
    }
}
