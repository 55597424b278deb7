// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Book, CollateralType} from "./Types.sol";
import {IMarginVenue} from "./interfaces/IMarginVenue.sol";
import {IProducts} from "./interfaces/IProducts.sol";
import {Delegates} from "./Delegates.sol";
import {Payouts} from "./Payouts.sol";

/// @title Tokens in and out.
/// Exact at all times, once every account is touched: held(0) · scale + bad debt = Σ cash + fund + dust.
abstract contract Custody is Payouts, Delegates {
    using Math for uint256;
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    IERC20 public immutable SETTLEMENT_TOKEN;
    /// Wad per base unit of the settlement token.
    uint256 public immutable SCALE;

    mapping(uint256 asset => uint256) private _held;

    constructor(IERC20Metadata settlementToken) {
        SETTLEMENT_TOKEN = settlementToken;
        SCALE = 10 ** (18 - settlementToken.decimals());
    }

    /// @inheritdoc IMarginVenue
    function deposit(uint256 account, uint256 asset, uint256 amount) external nonReentrant {
        if (amount == 0) revert ZeroAmount();
        if (!_mayAct(account, msg.sender, msg.sig)) _requireHelp(account, asset, amount);
        _receive(asset, amount);
        if (account == FUND) {
            _creditFund(amount * SCALE, Cause.Deposit);
        } else {
            _changeAsset(account, asset, amount.toInt256(), Cause.Deposit);
            _raiseSequence(account);
        }
    }

    /// @dev From a stranger only what helps: cash to the fund, or to an account an amount that is worth something. Other
    /// tokens would fill its collateral types and make it dearer to liquidate, and every deposit raises its sequence.
    function _requireHelp(uint256 account, uint256 asset, uint256 amount) private view {
        if (account == FUND && asset == 0) return;
        _requireAllowed(account, asset == 0 && _ownerOf(account) != address(0));
        uint256 least = limits.leastNotional;
        if (amount * SCALE < least) revert DepositTooSmall(account, amount * SCALE, least);
    }

    /// @inheritdoc IMarginVenue
    function withdraw(uint256 account, uint256 asset, uint256 amount, address to, uint64 expectedSequence)
        external
        nonReentrant
    {
        _requireMayAct(account);
        _expectSequence(account, expectedSequence);
        if (amount == 0) revert ZeroAmount();
        _requireWithdrawalsAllowed(account);
        _touch(account);
        uint256 paid = asset == 0 ? amount - _withhold(amount) : amount;
        _changeAsset(account, asset, -amount.toInt256(), Cause.Withdraw);
        _raiseSequence(account);
        Book memory afterwards = _stored(account);
        // Without positions and debt nothing is owed that margin could cover.
        if (afterwards.legs.length != 0 || afterwards.cash < 0) _requireInitialAtMarks(account, afterwards);
        if (!_idleAndEmpty(account)) _countPayout(_worth(asset, paid, true));
        _send(asset, to, paid);
    }

    /// @inheritdoc IMarginVenue
    function creditFund(uint256 tokenAmount) external nonReentrant {
        _requireCaller(address(RISK_ARRAYS));
        uint256 expected = _held[0] + tokenAmount;
        uint256 found = SETTLEMENT_TOKEN.balanceOf(address(this));
        if (found < expected) revert TransferMismatch(address(SETTLEMENT_TOKEN), found, expected);
        _held[0] = expected;
        _creditFund(tokenAmount * SCALE, Cause.Bond);
    }

    /// @dev What a withdrawal of settlement token leaves behind: its share of the bad debt, rounded up to a base unit.
    /// Of claims net of loans: cash of shorts and longs cancels in them, but so do loans against collateral. Everyone pays
    /// alike whenever he leaves as long as these stand, since debt and claims fall in proportion; who waits for them pays less.
    function _withhold(uint256 amount) private returns (uint256 withheld) {
        uint256 debt = _badDebt();
        if (debt == 0) return 0;
        int256 claims = (_held[0] * SCALE + debt).toInt256() - _cash(FUND);
        withheld = claims > 0 ? Math.min(amount, (amount * debt).ceilDiv(uint256(claims))) : amount;
        if (withheld == amount) revert Illiquid(amount, _held[0]);
        _creditFund(withheld * SCALE, Cause.SharedLoss);
    }

    /// @dev Bad debt first: it is the claim of those who were to be paid.
    function _creditFund(uint256 wad, Cause cause) private {
        uint256 repaid = Math.min(wad, _badDebt());
        if (repaid != 0) _changeCash(BAD_DEBT, repaid.toInt256(), cause);
        if (wad != repaid) _changeCash(FUND, (wad - repaid).toInt256(), cause);
    }

    /// @dev Base units of the asset.
    function _changeAsset(uint256 account, uint256 asset, int256 delta, Cause cause) internal {
        if (asset == 0) _changeCash(account, delta * int256(SCALE), cause);
        else _changeCollateral(account, asset - 1, delta, cause);
    }

    /// @dev USD, wad. The settlement token counts at 1. Amounts below 2¹²⁸, as prices: no product overflows.
    function _worth(uint256 asset, uint256 amount, bool up) internal view returns (uint256) {
        if (asset == 0) return amount * SCALE;
        CollateralType memory kind = PRODUCTS.collateral(asset - 1);
        uint256 unit = 10 ** kind.decimals;
        uint256 scaled = amount * _price(kind.underlying);
        return up ? scaled.ceilDiv(unit) : scaled / unit;
    }

    function _token(uint256 asset) internal view returns (IERC20) {
        return asset == 0 ? SETTLEMENT_TOKEN : IERC20(PRODUCTS.collateral(asset - 1).token);
    }

    function _receive(uint256 asset, uint256 amount) private {
        IERC20 token = _token(asset);
        uint256 expected = token.balanceOf(address(this)) + amount;
        token.safeTransferFrom(msg.sender, address(this), amount);
        _requireBalance(token, expected);
        _countIn(asset, amount);
    }

    /// @dev To the base unit: a token that takes a fee, either way, is refused.
    function _send(uint256 asset, address to, uint256 amount) internal {
        IERC20 token = _token(asset);
        uint256 own = _held[asset];
        if (amount > own) revert Illiquid(amount, own);
        _held[asset] = own - amount;
        uint256 expected = token.balanceOf(address(this)) - amount;
        uint256 received = token.balanceOf(to) + amount;
        token.safeTransfer(to, amount);
        _requireBalance(token, expected);
        if (token.balanceOf(to) != received) revert TransferMismatch(address(token), token.balanceOf(to), received);
    }

    function _requireBalance(IERC20 token, uint256 expected) internal view {
        uint256 found = token.balanceOf(address(this));
        if (found != expected) revert TransferMismatch(address(token), found, expected);
    }

    function _countIn(uint256 asset, uint256 amount) internal {
        uint256 own = _held[asset] + amount;
        _held[asset] = own;
        if (asset == 0) return;
        uint256 cap = PRODUCTS.collateral(asset - 1).cap;
        if (own > cap) revert IProducts.ParameterOutOfRange("cap", own, 0, cap);
    }

    /// @inheritdoc IMarginVenue
    function held(uint256 asset) external view returns (uint256) {
        return _held[asset];
    }
}
