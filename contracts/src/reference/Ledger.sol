// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {
    ANY_SEQUENCE,
    Book,
    Instruments,
    Legs,
    MAX_COLLATERALS,
    MAX_EXPIRIES,
    MAX_HELD_UNDERLYINGS,
    MAX_LEGS,
    MAX_SIZE
} from "./Types.sol";
import {IMarginVenue} from "./interfaces/IMarginVenue.sol";
import {IProducts} from "./interfaces/IProducts.sol";
import {VenueRules} from "./VenueRules.sol";

/// @title Balances. They are private here, so that nothing changes one without the event that says so.
abstract contract Ledger is VenueRules, ReentrancyGuardTransient {
    using SafeCast for int256;
    using SafeCast for uint256;
    using Instruments for uint128;
    using Legs for uint256;

    /// One slot. `types` has a bit per collateral index held.
    struct Account {
        int128 cash; // USD, wad
        uint64 sequence;
        uint40 lastActivity;
        uint24 types;
    }

    uint256 internal constant FUND = 1;
    uint256 internal constant DUST = 2;
    uint256 internal constant BAD_DEBT = 3;
    uint256 private constant ASSETS = 1 << 128; // event subjects: instruments below
    uint256 private constant TYPES = 24;

    mapping(uint256 account => Account) private _accounts;
    mapping(uint256 account => uint256[]) private _legs;
    mapping(uint256 account => mapping(uint256 index => uint256)) private _collateral;
    mapping(uint256 account => mapping(uint8 underlying => int128)) private _paidIndex;
    int256 private _dust;

    // ---- changes ----

    function _changeCash(uint256 account, int256 delta, Cause cause) internal {
        if (delta == 0) return;
        Account storage a = _accounts[account];
        int256 balance = int256(a.cash) + delta;
        a.cash = balance.toInt128();
        emit BalanceChange(account, ASSETS, delta, balance, cause);
    }

    /// @dev Fine units, 10⁻³⁶ USD: what rounding kept from accounts.
    function _changeDust(int256 delta, Cause cause) internal {
        if (delta == 0) return;
        _dust += delta;
        emit BalanceChange(DUST, ASSETS, delta, _dust, cause);
    }

    function _changeCollateral(uint256 account, uint256 index, int256 delta, Cause cause) internal {
        if (index >= TYPES) revert IProducts.UnknownCollateral(index);
        uint256 before = _collateral[account][index];
        int256 balance = before.toInt256() + delta;
        if (balance < 0) revert Illiquid((-delta).toUint256(), before);
        _collateral[account][index] = uint256(balance);
        if (before == 0 || balance == 0) _setType(account, index, balance != 0);
        emit BalanceChange(account, ASSETS + 1 + index, delta, balance, cause);
    }

    function _setType(uint256 account, uint256 index, bool holds) private {
        Account storage a = _accounts[account];
        uint256 types = holds ? a.types | (1 << index) : a.types & ~(1 << index);
        uint256 count = _count(types);
        if (count > MAX_COLLATERALS) revert TooManyCollaterals(account, count, MAX_COLLATERALS);
        a.types = uint24(types);
    }

    /// @dev `at` is where the leg is (`_find`), or the number of legs for a new one. A leg that ends is replaced by
    /// the last one. Returns the size after.
    function _changeLeg(uint256 account, uint256 at, uint128 id, int256 delta, Cause cause)
        internal
        returns (int256 size)
    {
        uint256[] storage legs = _legs[account];
        uint256 count = legs.length;
        uint256 slot;
        // By slot: a take comes here 256 times, and each index would read the length again.
        assembly ("memory-safe") {
            mstore(0, legs.slot)
            slot := add(keccak256(0, 32), at)
            if lt(at, count) { size := signextend(15, sload(slot)) }
        }
        size += delta;
        if (size > int256(MAX_SIZE) || size < -int256(MAX_SIZE)) revert SizeOutOfRange(size);
        if (size == 0) {
            legs[at] = legs[count - 1];
            legs.pop();
        } else {
            uint256 leg = Legs.pack(id, int128(size));
            assembly ("memory-safe") {
                sstore(slot, leg)
                if eq(at, count) { sstore(legs.slot, add(count, 1)) }
            }
            if (at == count && !id.isOption()) {
                _setPaidIndex(account, id.underlyingOf(), _fundingIndex(id.underlyingOf()));
            }
        }
        emit BalanceChange(account, id, delta, size, cause);
    }

    function _setPaidIndex(uint256 account, uint8 underlying, int128 index) internal {
        _paidIndex[account][underlying] = index;
        emit FundingSettled(account, underlying, index);
    }

    /// @dev Deposits and the like: the sequence moves, the account stays idle.
    function _raiseSequence(uint256 account) internal {
        ++_accounts[account].sequence;
    }

    /// @dev Settlement: what was won on arrays may have become cash now.
    function _markActive(uint256 account) internal {
        _accounts[account].lastActivity = uint40(block.timestamp);
    }

    // ---- reading ----

    /// @dev The newest funding index of an underlying.
    function _fundingIndex(uint8 underlying) internal view virtual returns (int128);

    /// @dev 2⁶⁴ − 1 means any.
    function _expectSequence(uint256 account, uint64 expected) internal view {
        uint64 found = _accounts[account].sequence;
        if (found != expected && expected != ANY_SEQUENCE) revert UnexpectedSequence(account, found, expected);
    }

    function _cash(uint256 account) internal view returns (int256) {
        return _accounts[account].cash;
    }

    function _lastActivity(uint256 account) internal view returns (uint256) {
        return _accounts[account].lastActivity;
    }

    function _paid(uint256 account, uint8 underlying) internal view returns (int128) {
        return _paidIndex[account][underlying];
    }

    function _legsOf(uint256 account) internal view returns (uint256[] memory) {
        return _legs[account];
    }

    function _legCount(uint256 account) internal view returns (uint256) {
        return _legs[account].length;
    }

    /// @dev Packed as in Book.
    function _collateralOf(uint256 account) internal view returns (uint256[] memory held) {
        uint256 types = _accounts[account].types;
        held = new uint256[](_count(types));
        uint256 n;
        for (uint256 index; types >> index != 0; ++index) {
            if (types >> index & 1 == 1) held[n++] = index << 128 | _collateral[account][index];
        }
    }

    function _stored(uint256 account) internal view returns (Book memory) {
        return Book(_cash(account), _legsOf(account), _collateralOf(account));
    }

    /// @dev Where the leg of an instrument is among the first `count`; `count` if it is not.
    function _find(uint256[] memory legs, uint256 count, uint128 id) internal pure returns (uint256 at) {
        // In assembly because a take searches once a leg: 8,128 steps for two accounts of 128.
        assembly ("memory-safe") {
            let place := add(legs, 0x20)
            for {} lt(at, count) { at := add(at, 1) } {
                if eq(shr(128, mload(place)), id) { break }
                place := add(place, 0x20)
            }
        }
    }

    function _requireFewLegs(uint256 account) internal view {
        uint256[] memory legs = _legsOf(account);
        if (legs.length > MAX_LEGS) revert TooManyLegs(account, legs.length, MAX_LEGS);
        uint256[] memory seen = new uint256[](legs.length);
        uint256 count;
        uint256 underlyings;
        for (uint256 i; i < legs.length; ++i) {
            uint256 group = legs[i] >> 208; // underlying and expiry: one blob each
            underlyings |= 1 << (group >> 40);
            if (uint40(group) == 0) continue;
            group <<= 80;
            uint256 at = _find(seen, count, uint128(group));
            if (at == count) seen[count++] = group << 128;
        }
        if (count > MAX_EXPIRIES) revert TooManyExpiries(account, count, MAX_EXPIRIES);
        count = _count(underlyings);
        if (count > MAX_HELD_UNDERLYINGS) revert TooManyUnderlyings(account, count, MAX_HELD_UNDERLYINGS);
    }

    function _count(uint256 types) private pure returns (uint256 count) {
        for (; types != 0; types &= types - 1) {
            ++count;
        }
    }

    /// @inheritdoc IMarginVenue
    function sequence(uint256 account) external view returns (uint64) {
        return _accounts[account].sequence;
    }

    /// @inheritdoc IMarginVenue
    function recorded(uint256 account) external view returns (Book memory, uint40 lastActivity) {
        return (_stored(account), _accounts[account].lastActivity);
    }

    /// @inheritdoc IMarginVenue
    function fund() external view returns (int256) {
        return _cash(FUND);
    }

    /// @inheritdoc IMarginVenue
    function dust() external view returns (int256) {
        return _dust;
    }

    /// @inheritdoc IMarginVenue
    function badDebt() external view returns (uint256) {
        return _badDebt();
    }

    function _badDebt() internal view returns (uint256) {
        return uint256(-_cash(BAD_DEBT));
    }
}
