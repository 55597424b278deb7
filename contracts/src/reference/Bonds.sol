// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {LibBit} from "solady/utils/LibBit.sol";
import {IMarginVenue} from "./interfaces/IMarginVenue.sol";
import {IRiskArrays} from "./interfaces/IRiskArrays.sol";
import {BondRules} from "./BondRules.sol";
import {BPS, MAX_SERVED_UNDERLYINGS} from "./Types.sol";

/// @title Who may publish and what he stands to lose. Amounts are settlement token base units.
/// The terms never change: raising the minimum would promise payouts that bonds already standing do not cover.
abstract contract Bonds is IRiskArrays, Ownable2Step {
    using SafeERC20 for IERC20Metadata;

    struct Terms {
        uint40 window; // seconds an array may be challenged for
        uint16 fundShare; // BPS of a slashed bond, at least half
        uint128 minimumBond;
        uint40 heartbeat; // seconds a publisher has from the first newer report
        uint64 finePerSecond; // after that
    }

    struct Publisher {
        uint128 bond;
        uint40 publishedAt; // last time
        uint40 unbondRequestedAt; // 0: not asked
        bool allowed;
        bool suspended; // for good: who wants to go on needs a new address
        uint128 owed; // fines the bond could not pay without falling below the minimum
        uint32 underlyings; // bit u: has opened an epoch of u
        uint40 liableFrom; // could not have published just before: not late until then
    }

    IERC20Metadata public immutable TOKEN;
    uint40 internal immutable _WINDOW;
    uint16 public immutable FUND_SHARE;
    uint128 public immutable MINIMUM_BOND;
    uint40 public immutable HEARTBEAT;
    uint64 public immutable FINE_PER_SECOND;
    uint256 private immutable _SLASHABLE;

    IMarginVenue public venue;
    mapping(address => Publisher) internal _publishers;
    /// Shares of slashed bonds that the token refused to move at the proof; the venue's are the fund's.
    mapping(address => uint256) public unpaid;

    event PublisherAllowed(address indexed publisher, bool allowed);
    event VenueWired(address venue);
    event FineCollected(address indexed publisher, uint256 amount, uint256 owed);

    error TermOutOfRange(bytes32 field, uint256 found, uint256 low, uint256 high);
    error AlreadyWired(address venue);
    error NotWired();

    constructor(IERC20Metadata token, Terms memory terms, address owner_) Ownable(owner_) {
        _within("window", terms.window, 1, 30 days);
        _within("fundShare", terms.fundShare, BPS / 2, BPS);
        _within("minimumBond", terms.minimumBond, 1, type(uint128).max);
        _within("heartbeat", terms.heartbeat, 1, 30 days);
        uint256 decimals = token.decimals();
        _within("decimals", decimals, 0, 18);
        TOKEN = token;
        _WINDOW = terms.window;
        FUND_SHARE = terms.fundShare;
        MINIMUM_BOND = terms.minimumBond;
        HEARTBEAT = terms.heartbeat;
        FINE_PER_SECOND = terms.finePerSecond;
        _SLASHABLE = uint256(terms.minimumBond) * terms.fundShare / BPS * 10 ** (18 - decimals);
    }

    /// @notice Name the venue whose insurance fund gets slashed bonds and fines; once.
    function wireVenue(IMarginVenue venue_) external onlyOwner {
        if (address(venue) != address(0)) revert AlreadyWired(address(venue));
        venue = venue_;
        emit VenueWired(address(venue_));
    }

    /// @notice Let an address publish, or no longer. One that was proven wrong never may again.
    function setPublisher(address who, bool allowed) external onlyOwner {
        Publisher storage theirs = _publishers[who];
        if (theirs.suspended) revert Suspended(who);
        if (allowed && !theirs.allowed) theirs.liableFrom = uint40(block.timestamp);
        theirs.allowed = allowed;
        emit PublisherAllowed(who, allowed);
    }

    /// @notice Add to the caller's bond; fines still owed are taken from what exceeds the minimum.
    function bond(uint256 amount) external {
        Publisher storage mine = _publishers[msg.sender];
        if (mine.suspended) revert Suspended(msg.sender);
        if (!mine.allowed) revert NotPublisher(msg.sender);
        if (mine.bond == 0) mine.liableFrom = uint40(block.timestamp);
        uint256 bonded = mine.bond + amount;
        _within("bond", bonded, 1, type(uint128).max);
        mine.bond = uint128(bonded);
        emit Bonded(msg.sender, amount, bonded);
        TOKEN.safeTransferFrom(msg.sender, address(this), amount);
        collect(msg.sender);
    }

    /// @notice Ask for the caller's bond back; it is free one window after the request and after every publication.
    function requestUnbond() external {
        Publisher storage mine = _publishers[msg.sender];
        if (mine.bond == 0) revert BondTooSmall(0, 1);
        mine.unbondRequestedAt = uint40(block.timestamp);
        emit UnbondRequested(msg.sender, _availableAt(mine));
    }

    /// @notice Take the caller's bond, less fines owed and those nobody has asked for yet, out.
    function finishUnbond() external {
        Publisher storage mine = _publishers[msg.sender];
        if (mine.bond == 0) revert BondTooSmall(0, 1);
        uint256 availableAt = _availableAt(mine);
        if (block.timestamp < availableAt) revert BondLocked(availableAt);
        _chargeAll(msg.sender);
        uint256 fines = mine.owed < mine.bond ? mine.owed : mine.bond;
        uint256 left = mine.bond - fines;
        mine.bond = 0;
        mine.owed -= uint128(fines);
        mine.unbondRequestedAt = 0;
        emit Unbonded(msg.sender, left);
        if (left > 0) TOKEN.safeTransfer(msg.sender, left);
        _toFund(msg.sender, fines);
    }

    /// @notice Move fines a publisher owes into the insurance fund, as far as his bond exceeds the minimum:
    /// the promise of `slashable` is never fined away. Anyone may call.
    function collect(address who) public {
        Publisher storage theirs = _publishers[who];
        if (theirs.bond <= MINIMUM_BOND) return;
        uint256 free = theirs.bond - MINIMUM_BOND;
        uint256 fines = theirs.owed < free ? theirs.owed : free;
        theirs.bond -= uint128(fines);
        theirs.owed -= uint128(fines);
        _toFund(who, fines);
    }

    /// @notice What is known of a publisher.
    function publisher(address who) external view returns (Publisher memory) {
        return _publishers[who];
    }

    /// @inheritdoc IRiskArrays
    function window() external view returns (uint256) {
        return _WINDOW;
    }

    /// @inheritdoc IRiskArrays
    function slashable() external view returns (uint256) {
        return _SLASHABLE;
    }

    /// @dev Charges a publisher for all lateness up to now.
    function _chargeAll(address who) internal virtual;

    function _checkMayPublish(address who) internal view {
        if (address(venue) == address(0)) revert NotWired();
        Publisher storage theirs = _publishers[who];
        if (theirs.suspended) revert Suspended(who);
        if (!theirs.allowed) revert NotPublisher(who);
        if (theirs.bond < MINIMUM_BOND) revert BondTooSmall(theirs.bond, MINIMUM_BOND);
    }

    /// @dev Bounds what a proof against the publisher costs: it voids his epochs on each.
    function _serve(address who, uint8 underlying) internal {
        uint256 served = _publishers[who].underlyings | 1 << underlying;
        if (LibBit.popCount(served) > MAX_SERVED_UNDERLYINGS) revert TooManyUnderlyings(who, MAX_SERVED_UNDERLYINGS);
        _publishers[who].underlyings = uint32(served);
    }

    function _owe(address who, uint8 underlying, uint256 lateSeconds) internal {
        uint256 amount = lateSeconds * FINE_PER_SECOND;
        uint256 owed = _publishers[who].owed + amount;
        _publishers[who].owed = owed > type(uint128).max ? type(uint128).max : uint128(owed);
        emit Fined(who, underlying, amount, lateSeconds);
    }

    /// @dev The whole bond. Fines owed die with the bond they would have come from. A proof does not wait for the token:
    /// while transfers fail, the share is only noted.
    function _slash(address who, address challenger) internal {
        Publisher storage theirs = _publishers[who];
        uint256 amount = theirs.bond;
        (theirs.bond, theirs.owed, theirs.suspended) = (0, 0, true);
        (uint256 toChallenger, uint256 toFund) = BondRules.split(amount, FUND_SHARE);
        emit Slashed(who, amount, toChallenger, toFund);
        if (toChallenger > 0 && !TOKEN.trySafeTransfer(challenger, toChallenger)) unpaid[challenger] += toChallenger;
        if (TOKEN.trySafeTransfer(address(venue), toFund)) venue.creditFund(toFund);
        else unpaid[address(venue)] += toFund;
    }

    /// @notice Pay what could not be paid at a proof: to a challenger, or to the insurance fund (the venue).
    function payUnpaid(address to) external {
        uint256 amount = unpaid[to];
        unpaid[to] = 0;
        if (to == address(venue)) _credit(amount);
        else TOKEN.safeTransfer(to, amount);
    }

    function _toFund(address from, uint256 fines) private {
        if (fines == 0) return;
        emit FineCollected(from, fines, _publishers[from].owed);
        _credit(fines);
    }

    function _credit(uint256 amount) private {
        if (amount == 0) return;
        TOKEN.safeTransfer(address(venue), amount);
        venue.creditFund(amount);
    }

    function _availableAt(Publisher storage theirs) private view returns (uint256) {
        return BondRules.freeFrom(theirs.unbondRequestedAt, theirs.publishedAt, _WINDOW);
    }

    function _within(bytes32 field, uint256 found, uint256 low, uint256 high) internal pure {
        if (found < low || found > high) revert TermOutOfRange(field, found, low, high);
    }
}
