// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title Dutch auctions of accounts below maintenance margin.
interface IAuctions {
    struct Auction {
        uint64 id; // 0: none
        uint40 startedAt;
    }

    struct StartCall {
        uint256 account;
        uint64 expectedSequence;
        uint40 deadline;
        bool byArrays; // else by `scenarios`
        uint256 scenarios; // as IMargin.byScenario
    }

    struct EndCall {
        uint256 account;
        uint64 auctionId;
        uint64 expectedSequence;
        uint40 deadline;
    }

    /// What the taker expects; anything else reverts early with a named error. In every call a sequence of 2⁶⁴ − 1
    /// means any: who deposits a unit before each take cannot hold it up, and price limit and fraction still bind.
    struct TakeCall {
        uint256 account;
        uint256 taker; // an account the caller may act for
        uint64 auctionId;
        uint64 expectedSequence;
        uint64 takerSequence;
        uint128 maxFraction; // wad
        int256 maxPrice; // USD wad for the whole account (fraction 1); may be negative
        uint40 deadline;
        bool byArrays;
        uint256 scenarios;
        // Show the taker's IM by IMargin.byLegs, which needs no arrays, instead of by both array sets. Only beside a proven
        // shortfall: `byArrays` takes everything by arrays.
        bool takerByLegs;
    }

    event AuctionStarted(uint256 indexed account, uint64 indexed auctionId, uint64 sequence, int256 equity, uint256 mm);
    event AuctionRefused(uint256 indexed account, uint256 index, bytes reason);
    event Taken(
        uint256 indexed account,
        uint64 indexed auctionId,
        uint64 sequence,
        uint256 indexed taker,
        uint256 fraction,
        int256 price,
        uint256 fromFund,
        uint256 shared
    );
    event AuctionEnded(uint256 indexed account, uint64 indexed auctionId, bool byTake);

    /// @dev What the fund has added to a discount, part of Taken's `fromFund`, and what it may still add.
    event BonusPaid(uint256 indexed account, uint64 indexed auctionId, uint256 amount, uint256 left);
    event BonusSet(uint256 most);

    error NotBelowMaintenance(uint256 account, int256 equity, uint256 mm);
    error StillBelowMaintenance(uint256 account, int256 equity, uint256 mm);
    error AlreadyInAuction(uint256 account, uint64 auctionId);
    error UnexpectedAuction(uint256 account, uint64 found, uint64 expected);
    error PriceAboveLimit(int256 price, int256 limit);
    error NothingToTake(uint256 account);
    error OwnAccount(uint256 account);
    error TakerBelowInitialMargin(uint256 account, int256 equity, uint256 im);

    function startAuction(StartCall calldata call) external returns (uint64 auctionId);

    /// @notice Start many; one that fails is reported by AuctionRefused and does not sink the others.
    function startAuctions(StartCall[] calldata calls) external returns (uint256 started);

    /// @notice Buy a fraction: at most `maxFraction`, never more than restores the account to the buffer above MM.
    function take(TakeCall calldata call) external returns (uint256 fraction, int256 price);

    /// @notice End the auction of an account that is at or above MM again: by both array sets where both can be read, by
    /// the one that can otherwise, by the bound without netting where none can; and by the rows that proved the shortfall.
    function endAuction(EndCall calldata call) external;

    function auction(uint256 account) external view returns (Auction memory);

    /// @notice What the insurance fund may add now to discounts that equity cannot bear, USD wad.
    function bonusLeft() external view returns (uint256);

    /// @notice Most of it, what of it was spent `at` that time, and comes back in a line, all of it in one `bonusPeriod`.
    function bonusAllowance() external view returns (uint256 most, uint256 spent, uint256 at);

    /// @notice Discount now, share of MM in BPS, growing from 0 to its cap.
    function discount(uint256 account) external view returns (uint256);
}
