// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {Allowance, Allowances} from "./Allowance.sol";
import {IAuctions} from "./interfaces/IAuctions.sol";

/// @title How much the insurance fund adds to discounts that equity cannot bear. An owner can aim at it, so it is
/// limited in time; debt is not, the fund covers it as far as it goes.
abstract contract Bonuses is IAuctions, Ownable2Step {
    using Allowances for Allowance;

    error ParameterOutOfRange(bytes32 field, uint256 found, uint256 low, uint256 high);

    uint256 private constant MOST_BONUS = 10_000_000e18;

    uint256 public immutable bonusPeriod;

    Allowance private _bonus;

    constructor(uint256 most, uint256 period, address owner_) Ownable(owner_) {
        _requireRange("bonusPeriod", period, 1 hours, 30 days);
        bonusPeriod = period;
        _setBonus(most, period);
    }

    /// @notice Steward: most that a period brings, USD wad: the fund grows and shrinks, and 0 still leaves every account takeable.
    function setBonus(uint256 most) external {
        _requireSteward();
        _setBonus(most, bonusPeriod);
    }

    function _setBonus(uint256 most, uint256 period) private {
        _requireRange("bonus", most, 0, MOST_BONUS);
        Allowance memory bonus = _bonus;
        bonus.spend(0, block.timestamp, period); // what came back until now came at the old rate
        bonus.most = uint104(most);
        _bonus = bonus;
        emit BonusSet(most);
    }

    /// @inheritdoc IAuctions
    function bonusAllowance() external view returns (uint256 most, uint256 spent, uint256 at) {
        Allowance memory bonus = _bonus;
        return (bonus.most, bonus.spent, bonus.at);
    }

    /// @inheritdoc IAuctions
    function bonusLeft() public view returns (uint256) {
        return _bonus.left(block.timestamp, bonusPeriod);
    }

    function _requireSteward() internal view virtual;

    function _countBonus(uint256 account, uint64 auctionId, uint256 amount) internal {
        if (amount == 0) return;
        Allowance memory bonus = _bonus;
        bonus.spend(amount, block.timestamp, bonusPeriod);
        _bonus = bonus;
        emit BonusPaid(account, auctionId, amount, bonus.most - bonus.spent);
    }

    function _requireRange(bytes32 field, uint256 found, uint256 low, uint256 high) internal pure {
        if (found < low || found > high) revert ParameterOutOfRange(field, found, low, high);
    }
}
