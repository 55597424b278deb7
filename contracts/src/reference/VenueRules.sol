// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IAuctions} from "./interfaces/IAuctions.sol";
import {IMargin} from "./interfaces/IMargin.sol";
import {IMarginVenue} from "./interfaces/IMarginVenue.sol";
import {IPrices} from "./interfaces/IPrices.sol";
import {IProducts} from "./interfaces/IProducts.sol";
import {IRiskArrays} from "./interfaces/IRiskArrays.sol";

/// @title Who the venue works with, and the little its owner, guardian and steward may change, each within a hard bound.
abstract contract VenueRules is IMarginVenue, Ownable2Step {
    /// The contracts the venue asks.
    struct Peers {
        IPrices prices;
        IProducts products;
        IRiskArrays riskArrays;
        IMargin margin;
    }

    /// Trading limits. A price may be away from the mark by `band` of the mark or `floorBand` of the spot,
    /// whichever is more: options near zero must be able to trade.
    struct Limits {
        uint16 band; // BPS of the mark
        uint16 floorBand; // BPS of the spot
        uint128 leastNotional; // |size| × spot of a position a risk-adding trade leaves, USD, wad
    }

    event AuctionsWired(address auctions);
    event GuardianSet(address guardian);
    event SwapperSet(address indexed swapper, bool allowed);
    event LimitsSet(Limits limits);

    error AlreadyWired(address auctions);

    uint256 private constant MOST_BAND = 2_000;
    uint256 private constant MOST_FLOOR_BAND = 100;
    uint256 private constant MOST_LEAST_NOTIONAL = 10_000e18;

    IPrices public immutable PRICES;
    IProducts public immutable PRODUCTS;
    IRiskArrays public immutable RISK_ARRAYS;
    IMargin public immutable MARGIN;

    IAuctions public auctions;
    address public guardian;
    bool public openingPaused;
    bool public withdrawalsPaused;
    Limits public limits;
    mapping(address swapper => bool) public swapperAllowed;

    constructor(address owner_, Peers memory peers) Ownable(owner_) {
        PRICES = peers.prices;
        PRODUCTS = peers.products;
        RISK_ARRAYS = peers.riskArrays;
        MARGIN = peers.margin;
        _setLimits(Limits({band: 500, floorBand: 25, leastNotional: 10e18}));
    }

    /// @notice Once: the auctions contract needs the venue's address first.
    function wireAuctions(IAuctions auctions_) external onlyOwner {
        if (address(auctions) != address(0)) revert AlreadyWired(address(auctions));
        auctions = auctions_;
        emit AuctionsWired(address(auctions_));
    }

    function setGuardian(address guardian_) external onlyOwner {
        guardian = guardian_;
        emit GuardianSet(guardian_);
    }

    function setSwapper(address swapper, bool allowed) external onlyOwner {
        swapperAllowed[swapper] = allowed;
        emit SwapperSet(swapper, allowed);
    }

    /// @notice Steward.
    function setLimits(Limits calldata limits_) external {
        _requireCaller(PRODUCTS.steward());
        _setLimits(limits_);
    }

    /// @notice Guardian or owner. Closing, deposits, takes and settlement go on whatever is paused.
    function setPaused(bool opening, bool withdrawals) external {
        _requireAllowed(0, msg.sender == guardian || msg.sender == owner());
        openingPaused = opening;
        withdrawalsPaused = withdrawals;
        emit Paused(opening, withdrawals);
    }

    function _setLimits(Limits memory limits_) private {
        _requireAtMost("band", limits_.band, MOST_BAND);
        _requireAtMost("floorBand", limits_.floorBand, MOST_FLOOR_BAND);
        _requireAtMost("leastNotional", limits_.leastNotional, MOST_LEAST_NOTIONAL);
        limits = limits_;
        emit LimitsSet(limits_);
    }

    function _requireAtMost(bytes32 field, uint256 found, uint256 most) private pure {
        if (found > most) revert IProducts.ParameterOutOfRange(field, found, 0, most);
    }

    function _requireCaller(address peer) internal view {
        _requireAllowed(0, msg.sender == peer);
    }

    function _requireAllowed(uint256 account, bool allowed) internal view {
        if (!allowed) revert NotAuthorised(account, msg.sender, msg.sig);
    }

    function _requireNotInAuction(uint256 account) internal view {
        if (address(auctions) != address(0) && auctions.auction(account).id != 0) revert InAuction(account);
    }

    function _requireOpeningAllowed(uint256 account) internal view {
        if (openingPaused) revert PausedBy("opening");
        _requireNotInAuction(account);
    }

    function _requireWithdrawalsAllowed(uint256 account) internal view {
        if (withdrawalsPaused) revert PausedBy("withdrawals");
        _requireNotInAuction(account);
    }
}
