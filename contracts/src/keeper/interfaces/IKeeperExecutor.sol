// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC3156FlashLender} from "@openzeppelin/contracts/interfaces/IERC3156FlashLender.sol";
import {IAuctions} from "../../reference/interfaces/IAuctions.sol";
import {IMarginVenue} from "../../reference/interfaces/IMarginVenue.sol";
import {IProducts} from "../../reference/interfaces/IProducts.sol";
import {IRiskArrays} from "../../reference/interfaces/IRiskArrays.sol";
import {IUniswapV3Factory, IUniswapV3Pool} from "./IUniswapV3.sol";

/// @title Several steps in one transaction, all or nothing, for one receiver.
interface IKeeperExecutor {
    /// What a step calls. Target and function are fixed at deployment, only arguments are chosen.
    enum Kind {
        Report, // a relay; arguments ABI-encoded as its function takes them, as in the next four
        Publish, // IRiskArrays.publish, under this contract's own bond
        Start, // IAuctions.startAuction
        Take, // IAuctions.take
        End, // IAuctions.endAuction
        Deposit, // abi.encode(DepositStep)
        Withdraw, // abi.encode(WithdrawStep)
        Swap // abi.encode(SwapStep)
    }

    /// Into an account of the receiver or of this contract only.
    struct DepositStep {
        uint256 account;
        uint256 asset; // as IMarginVenue.deposit
        uint256 amount; // 2²⁵⁶ − 1: all this contract holds
    }

    /// To this contract, from an account that lets it withdraw.
    struct WithdrawStep {
        uint256 account;
        uint256 asset;
        uint256 amount; // 2²⁵⁶ − 1: all of the collateral that is recorded; not for cash
        uint64 expectedSequence; // 2⁶⁴ − 1: any
    }

    /// Sell at one pool; what is sold over two takes two steps.
    struct SwapStep {
        address pool; // allowed by the admin for `sold`
        address sold;
        uint256 amountIn; // 2²⁵⁶ − 1: all this contract holds
        uint256 minOut; // by this contract's balance, whatever the pool says
    }

    struct Step {
        Kind kind;
        uint8 relay; // which, of a Report
        bool optional; // refused, it does not sink the job
        uint32 gas; // most the outside call may use; it gets all of it or the job reverts
        bytes arguments;
    }

    /// ERC-3156. Amount 0: none.
    struct Loan {
        address token;
        uint256 amount;
        uint256 mostFee;
    }

    struct Job {
        address profitToken; // one of `tokens`; trusted to tell its balances
        uint256 minProfit; // base units, 0 where only something is to be done
        uint40 deadline;
        uint64 gas; // of the whole job in tryMany
        address[] tokens; // every token that a step or the loan moves; what is left of them goes to the receiver
        Loan loan;
        Step[] steps;
    }

    struct Ending {
        bool succeeded;
        uint256 profit;
        bytes reason; // first bytes of the error where it did not
    }

    struct Relay {
        address to;
        bytes4 selector;
    }

    struct Peers {
        IMarginVenue venue;
        IAuctions auctions;
        IRiskArrays arrays;
        IProducts products;
        address settlementToken;
        IUniswapV3Factory factory;
        IERC3156FlashLender lender;
    }

    event Performed(address indexed profitToken, uint256 profit);
    event JobRefused(uint256 indexed index, bytes reason);
    event StepRefused(uint256 indexed index, Kind kind, bytes reason);
    event PoolAllowed(address indexed pool, address indexed sold, bool allowed);

    error BadPeer(address peer);
    error PeerUnreadable(address peer, bytes reason);
    error OnlySelf(address caller);
    error DeadlinePassed(uint256 found, uint256 deadline);
    error TokenNotListed(address token);
    error StepFailed(uint256 index, Kind kind, bytes reason);
    error UnknownRelay(uint256 found, uint256 count);
    error ForeignAccount(uint256 account, address receiver);
    error AllOfCash(uint256 account);
    error BadPool(address pool, address sold);
    error PoolNotAllowed(address pool, address sold);
    error BoughtTooLittle(address token, uint256 found, uint256 least);
    error SoldTooMuch(address token, int256 found, uint256 most);
    error UnexpectedCallback(address caller, address expected);
    error CallbackMissing(address from);
    error LoanRefused(bytes reason);
    error LoanNotReceived(address token, uint256 found, uint256 expected);
    error LoanChanged(address token, uint256 amount);
    error FeeTooHigh(uint256 found, uint256 most);
    error BalanceLeft(address token, uint256 found);

    /// @notice Do one job: borrow, make the steps in turn, repay, send what is left of the job's tokens to the
    /// receiver. Reverts unless he then has `minProfit` more of the profit token than he and this contract had before.
    /// Afterwards this contract holds none of the tokens and nobody may draw on them.
    function run(Job calldata job) external returns (uint256 profit);

    /// @notice Do many; one that fails changes nothing and does not sink the others.
    function tryMany(Job[] calldata jobs) external returns (Ending[] memory endings);

    /// @notice Send to the receiver what somebody has sent here. Anyone may call.
    function sweep(address[] calldata tokens) external;

    /// @notice Let operators sell a token at a pool of the factory's, or no longer. A stolen operator's key could
    /// otherwise sell to a pool of its own. Admin only.
    function allowPool(IUniswapV3Pool pool, address sold, bool allowed) external;
}
