// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Book} from "../Types.sol";

/// @title The ledger: who holds what, and the only way it changes.
/// An account is `uint256(uint160(owner)) << 96 | sub`. Ids below 2⁹⁶ belong to the venue itself:
/// 1 insurance fund, 2 rounding dust, 3 bad debt (its cash is minus the bad debt).
interface IMarginVenue {
    enum Cause {
        Deposit,
        Withdraw,
        Swap,
        Trade,
        Funding,
        Settlement,
        Take,
        Fund, // paid by or to the insurance fund
        SharedLoss,
        Bond // slashed bonds and fines
    }

    /// A resting intention to trade, EIP-712 signed by the account's owner or a delegate for `matchOrders`.
    struct Order {
        uint256 account;
        uint128 instrument;
        int128 size; // > 0 buys, contracts, wad
        uint128 limitPrice; // USD per contract, wad
        uint64 nonce; // orders with a nonce below the account's floor are cancelled
        uint40 deadline; // last second it may be matched
        bool reduceOnly;
    }

    /// @dev `subject`: 2¹²⁸ = cash (USD wad); 2¹²⁸ + 1 + collateral index = collateral (token base units); below 2¹²⁸ an
    /// instrument id (0 is the perpetual of underlying 0).
    /// The dust account's unit is 10⁻³⁶ USD; every other cash balance is USD in wad.
    event BalanceChange(
        uint256 indexed account, uint256 indexed subject, int256 delta, int256 balance, Cause indexed cause
    );
    /// @dev Emitted whenever the funding index an account has paid up to moves.
    event FundingSettled(uint256 indexed account, uint8 indexed underlying, int128 fundingIndex);
    event Matched(
        bytes32 indexed buyOrder, bytes32 indexed sellOrder, uint128 indexed instrument, uint256 size, uint256 price
    );
    event OrderCancelled(uint256 indexed account, bytes32 indexed order);
    event NonceFloor(uint256 indexed account, uint64 floor);
    event DelegateSet(uint256 indexed account, address indexed delegate, bytes4 selector, uint40 until);
    event DelegatesRevoked(uint256 indexed account);
    event Paused(bool opening, bool withdrawals);
    event BadDebt(uint256 indexed account, uint256 amount, uint256 fromFund, uint256 shared);

    error NotAuthorised(uint256 account, address caller, bytes4 selector);
    error BelowInitialMargin(uint256 account, int256 equity, uint256 im);
    error NotReducing(uint256 account, uint128 instrument);
    error ExcessFell(uint256 account, int256 before, int256 afterwards);
    error UnexpectedSequence(uint256 account, uint64 found, uint64 expected);
    error DeadlinePassed(uint256 deadline);
    error PayoutCapReached(uint256 asked, uint256 left);
    error Illiquid(uint256 asked, uint256 held);
    error PriceOutsideBand(uint256 price, uint256 low, uint256 high);
    error TooManyLegs(uint256 account, uint256 found, uint256 most);
    error TooManyExpiries(uint256 account, uint256 found, uint256 most);
    error TooManyUnderlyings(uint256 account, uint256 found, uint256 most);
    error TooManyCollaterals(uint256 account, uint256 found, uint256 most);
    error PositionTooSmall(uint256 account, uint128 instrument, uint256 notional, uint256 least);
    error SizeOutOfRange(int256 size);
    error OrderRefused(bytes32 order, bytes32 reason);
    error BadSignature(bytes32 order);
    error TransferMismatch(address token, uint256 found, uint256 expected);
    error PausedBy(bytes32 what);
    error InAuction(uint256 account);
    error ZeroAmount();
    error DepositTooSmall(uint256 account, uint256 worth, uint256 least);
    error SwapRefused(address swapper, bytes32 reason);

    /// @notice Deposit the settlement token (`asset` 0) or collateral index `asset` − 1. Who may not act for the account
    /// deposits settlement token only, from the least notional up. Anyone's for account 1 repays bad debt first, the
    /// rest is the insurance fund's.
    function deposit(uint256 account, uint256 asset, uint256 amount) external;

    /// @notice Withdraw `amount` base units (`asset` as in deposit); needs IM under the newest and the settled arrays and
    /// at the marks of the newest slices, room under the payout cap (or an idle, empty account), and `expectedSequence`
    /// (2⁶⁴ − 1: any).
    function withdraw(uint256 account, uint256 asset, uint256 amount, address to, uint64 expectedSequence) external;

    /// @notice Exchange `sellAmount` of one asset for another (numbers as in deposit) inside the account through an
    /// allow-listed swapper; atomic. Needs IM as a withdrawal does, or excess over MM must not fall. The settlement
    /// token cannot be sold while there is bad debt: it leaves at the shared loss only. While withdrawals are paused it
    /// must repay: settlement token for negative cash, to zero at most, at a price inside the band.
    function swap(
        uint256 account,
        uint256 sell,
        uint256 buy,
        uint256 sellAmount,
        uint256 minBuy,
        address swapper,
        bytes calldata route,
        uint64 expectedSequence
    ) external;

    /// @notice Match a buy and a sell order at `price` inside both limits and the band around the mark.
    function matchOrders(
        Order calldata buy,
        bytes calldata buySignature,
        Order calldata sell,
        bytes calldata sellSignature,
        uint256 size,
        uint256 price
    ) external;

    function cancel(Order calldata order) external;
    function raiseNonceFloor(uint256 account, uint64 floor) external;
    function setDelegate(uint256 account, address delegate, bytes4 selector, uint40 until) external;
    function revokeDelegates(uint256 account) external;

    /// @notice Accrue funding and settle every expired position with a settlement price. Anyone may call.
    function touch(uint256 account) external;

    /// @notice EIP-712 digest of an order: what is signed, filled and cancelled.
    function orderHash(Order calldata order) external view returns (bytes32);

    /// @notice What is recorded, before any touch, and the last trade, take or settlement (0: never).
    function recorded(uint256 account) external view returns (Book memory, uint40 lastActivity);

    /// @notice Base units of an asset (numbers as in deposit) the venue holds for its accounts.
    function held(uint256 asset) external view returns (uint256);

    /// @notice What may still be paid out now to accounts that are not idle and empty, USD, wad.
    function payoutLeft() external view returns (uint256);

    /// @notice What the margin rules see after a touch now: pending funding in cash, expired positions settled.
    function book(uint256 account) external view returns (Book memory);

    /// @notice The account's number of changes: raised by each trade, deposit, withdrawal, swap, take and delegation.
    function sequence(uint256 account) external view returns (uint64);

    /// @notice The owner always; a delegate up to and including the second `until`.
    function mayAct(uint256 account, address caller, bytes4 selector) external view returns (bool);
    /// @notice Contracts of an order matched so far, wad; 2²⁵⁶ − 1 where it was cancelled.
    function filled(bytes32 order) external view returns (uint256);
    function fund() external view returns (int256);
    function dust() external view returns (int256);
    function badDebt() external view returns (uint256);

    // ---- only for the auctions contract ----

    /// @notice Move `fraction` (wad) of every leg, collateral and of cash from one account to another, then
    /// `payment` (USD wad; signed: > 0 taker pays) the other way, `fromFund` of what the taker receives being paid by
    /// the insurance fund and `shared` recorded as bad debt. Sizes, collateral and cash truncate toward
    /// zero; the account's cash ends higher by payment + fromFund + shared. Touches both accounts first.
    function seize(uint256 from, uint256 to, uint256 fraction, int256 payment, uint256 fromFund, uint256 shared)
        external;

    // ---- only for the risk arrays ----

    /// @notice Credit slashed bonds and fines, already transferred in settlement token base units, to the fund.
    function creditFund(uint256 tokenAmount) external;
}
