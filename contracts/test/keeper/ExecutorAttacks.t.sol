// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

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
        bool venueItself = address(one) == address(desk);
        if (venueItself) executor.tryMany{gas: 17_000_000}(_alone(_liquidation()));
        else _besideAGoodOne(_liquidation(), 17_000_000);
        assertTrue(!one.reentered(), "re-entered");
        _checkEmpty();
    }

    function _alone(IKeeperExecutor.Job memory job) private pure returns (IKeeperExecutor.Job[] memory jobs) {
        jobs = new IKeeperExecutor.Job[](1);
        jobs[0] = job;
    }

    function testFuzz_optional_steps_that_fail_leave_no_approval(bool venueItself, uint8 harm) public {
        Mischief one = venueItself ? Mischief(address(desk)) : Mischief(address(router));
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
        IKeeperExecutor.Job memory job = _odd();
        job.steps = new IKeeperExecutor.Step[](0);
        vm.expectRevert(abi.encodeWithSelector(IKeeperExecutor.BalanceLeft.selector, address(odd), 1));
        executor.run(job);
    }

    function test_no_return_value_is_as_good_as_true() public {
        odd.mint(address(executor), 1e18);
        odd.turn(Mischief.Harm.None, odd.SILENT());
        IKeeperExecutor.Job memory job = _odd();
        job.steps = new IKeeperExecutor.Step[](0);
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
        vm.expectPartialRevert(IKeeperExecutor.ProfitTooLow.selector);
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

    // ---- lender, router, venue ----

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
        _expectLender(lender.OTHER_AMOUNT(), IKeeperExecutor.LoanChanged.selector);
        _expectLender(lender.OTHER_TOKEN(), IKeeperExecutor.LoanChanged.selector);
        _expectLender(lender.HIGH_FEE(), IKeeperExecutor.FeeTooHigh.selector);
        lender.turn(Mischief.Harm.None, lender.NEVER_CALLS());
        usdc.mint(address(executor), 1); // a lender with nothing to draw would fail by itself
        vm.expectRevert();
        executor.run(_liquidation());
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

    function test_a_router_cannot_take_more_than_it_was_told_to_sell() public {
        weth.mint(address(executor), 2e18);
        router.turn(Mischief.Harm.None, router.TAKES_MORE());
        IKeeperExecutor.Job memory job = _job(1);
        job.steps[0] =
            _step(IKeeperExecutor.Kind.Swap, abi.encode(IKeeperExecutor.SwapStep(_path(weth, usdc), 1e18, 0)));
        vm.expectPartialRevert(IKeeperExecutor.StepFailed.selector);
        executor.run(job);
    }

    function testFuzz_a_router_that_pays_too_little_is_found_by_the_balance(bool nothing) public {
        weth.mint(address(executor), 1e18);
        router.turn(Mischief.Harm.None, nothing ? router.PAYS_NOTHING() : router.PAYS_LESS());
        IKeeperExecutor.Job memory job = _job(1);
        job.steps[0] = _sell(weth, 3_000e6);
        vm.expectPartialRevert(IKeeperExecutor.BoughtTooLittle.selector);
        executor.run(job);
    }

    function test_what_router_or_venue_leave_of_an_approval_is_gone() public {
        weth.mint(address(executor), 1e18);
        router.turn(Mischief.Harm.None, router.TAKES_NOTHING());
        IKeeperExecutor.Job memory job = _job(1);
        job.steps[0] = _sell(weth, 0);
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

    /// What arrives once everything is swept cannot stay: the last look comes after the last call.
    function test_a_gift_while_the_rest_is_swept_undoes_the_job() public {
        odd.mint(address(executor), 1);
        odd.turn(Mischief.Harm.Gift, 0);
        IKeeperExecutor.Job memory job = _odd();
        job.steps = new IKeeperExecutor.Step[](0);
        vm.expectRevert(abi.encodeWithSelector(IKeeperExecutor.BalanceLeft.selector, address(weth), 7));
        executor.run(job);
    }
}
