// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC3156FlashBorrower} from "@openzeppelin/contracts/interfaces/IERC3156FlashBorrower.sol";
import {IERC3156FlashLender} from "@openzeppelin/contracts/interfaces/IERC3156FlashLender.sol";
import {BoundedCall} from "./BoundedCall.sol";
import {BoundedToken} from "./BoundedToken.sol";
import {ExecutorBond} from "./ExecutorBond.sol";
import {ExecutorSteps} from "./ExecutorSteps.sol";
import {Profit} from "./Profit.sol";
import {IKeeperExecutor} from "./interfaces/IKeeperExecutor.sol";
import {IUniswapV3Pool} from "./interfaces/IUniswapV3.sol";

/// @title KeeperExecutor
/// @notice Holds nothing between transactions. An operator chooses what is done, never who is paid: everything goes to
/// a receiver fixed at deployment.
/// @dev ERC-3156, of the interfaces for flash loans: the fee is stated before the first step, and the lender draws
/// exactly loan and fee by an approval, which we set and can take back, instead of trusting us to have sent enough.
contract KeeperExecutor is IERC3156FlashBorrower, ExecutorBond {
    using BoundedToken for address;

    bytes32 public constant OPERATOR = keccak256("OPERATOR");
    bytes32 private constant _BORROWED = keccak256("ERC3156FlashBorrower.onFlashLoan");
    uint256 private constant _NOTE_GAS = 5_000; // to say of a job how it ended

    /// Hash of what the lender must hand back, once; 0 where no loan is asked for.
    bytes32 private transient _awaited;

    constructor(address admin, address operator, address receiver, Peers memory peers, Relay[] memory relays)
        ExecutorSteps(receiver, peers, relays)
    {
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        _grantRole(OPERATOR, operator);
    }

    /// @inheritdoc IKeeperExecutor
    function run(Job calldata job) external onlyRole(OPERATOR) nonReentrant returns (uint256 profit) {
        return _do(job);
    }

    /// @inheritdoc IKeeperExecutor
    function tryMany(Job[] calldata jobs) external onlyRole(OPERATOR) nonReentrant returns (Ending[] memory endings) {
        endings = new Ending[](jobs.length);
        for (uint256 i; i < jobs.length; ++i) {
            endings[i] = _try(jobs[i], jobs.length * _NOTE_GAS);
            if (!endings[i].succeeded) emit JobRefused(i, endings[i].reason);
        }
    }

    /// @dev In a call of its own, so that what it did is undone where it fails. `reserve` is for the endings of all jobs,
    /// which are returned together.
    function _try(Job calldata job, uint256 reserve) private returns (Ending memory ending) {
        bytes memory input = abi.encodeCall(this.attempt, (job));
        uint256 needed = BoundedCall.needed(job.gas) + reserve;
        if (gasleft() < needed) {
            ending.reason = abi.encodeWithSelector(BoundedCall.GasTooLow.selector, gasleft(), needed);
            return ending;
        }
        (bool succeeded, bytes memory output) = BoundedCall.tryCall(address(this), job.gas, input, BoundedCall.KEPT);
        if (succeeded) return Ending(true, uint256(bytes32(output)), "");
        ending.reason = output;
    }

    /// @notice One job of tryMany. Only this contract calls it.
    function attempt(Job calldata job) external returns (uint256 profit) {
        if (msg.sender != address(this)) revert OnlySelf(msg.sender);
        return _do(job);
    }

    /// @inheritdoc IKeeperExecutor
    function sweep(address[] calldata tokens) external nonReentrant {
        _clear(tokens);
    }

    /// @inheritdoc IKeeperExecutor
    function allowPool(IUniswapV3Pool pool, address sold, bool allowed) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _setPool(pool, sold, allowed);
    }

    function _do(Job memory job) private returns (uint256 profit) {
        if (block.timestamp > job.deadline) revert DeadlinePassed(block.timestamp, job.deadline);
        _requireListed(job.profitToken, job.tokens);
        // What somebody has sent here before is no profit of this job.
        uint256 before = job.profitToken.balanceOf(RECEIVER) + job.profitToken.balanceOf(address(this));
        if (job.loan.amount == 0) _perform(job.steps, job.tokens);
        else _borrow(job);
        _clear(job.tokens);
        profit = Profit.made(before, job.profitToken.balanceOf(RECEIVER), job.minProfit);
        emit Performed(job.profitToken, profit);
    }

    // ---- the loan ----

    function _borrow(Job memory job) private {
        address token = job.loan.token;
        _requireListed(token, job.tokens);
        bytes memory passed = abi.encode(job, token.balanceOf(address(this)));
        _awaited = keccak256(passed);
        bytes memory input = abi.encodeCall(IERC3156FlashLender.flashLoan, (this, token, job.loan.amount, passed));
        (bool succeeded, bytes memory output) = BoundedCall.tryCall(address(LENDER), gasleft(), input, BoundedCall.KEPT);
        if (!succeeded) revert LoanRefused(output);
        if (_awaited != 0) revert CallbackMissing(address(LENDER));
        token.revoke(address(LENDER));
    }

    /// @inheritdoc IERC3156FlashBorrower
    function onFlashLoan(address initiator, address token, uint256 amount, uint256 fee, bytes calldata passed)
        external
        returns (bytes32)
    {
        bool asked = msg.sender == address(LENDER) && initiator == address(this);
        if (!asked || _awaited == 0 || keccak256(passed) != _awaited) revert UnexpectedCallback(msg.sender, initiator);
        _awaited = 0;
        (Job memory job, uint256 before) = abi.decode(passed, (Job, uint256));
        if (token != job.loan.token || amount != job.loan.amount) revert LoanChanged(token, amount);
        if (fee > job.loan.mostFee) revert FeeTooHigh(fee, job.loan.mostFee);
        uint256 found = token.balanceOf(address(this));
        if (found < before + amount) revert LoanNotReceived(token, found, before + amount);
        _perform(job.steps, job.tokens);
        token.approve(msg.sender, amount + fee);
        return _BORROWED;
    }
}
