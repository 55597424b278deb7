// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {AggregatorV3Interface} from "./AggregatorV3Interface.sol";

/// @title A perpetual with a margin of its own: one market, one token of 18 decimals, a pool that takes every other
/// side at the mark. The smallest protocol that the conformance kit can be tried on; nobody should hold money in it.
contract IsolatedPerpetual is Ownable {
    using SafeERC20 for IERC20;
    using SafeCast for int256;
    using SafeCast for uint256;

    /// @dev USD and contracts with 18 decimals; long > 0, notional owed < 0.
    struct Account {
        int256 cash;
        int256 size;
        int256 notional;
    }

    uint256 public constant IM_RATIO = 100_000; // parts per million, as all ratios
    uint256 public constant FEE_RATIO = 10_000; // of the notional taken over, for the liquidator
    uint256 public constant LEAST_MM_RATIO = 20_000;
    uint256 private constant _PPM = 1e6;
    int256 private constant _WAD = 1e18;

    IERC20 public immutable TOKEN;
    AggregatorV3Interface public immutable FEED;
    uint256 private immutable _FEED_SCALE;

    uint256 public mmRatio = 50_000;
    mapping(address trader => Account) public accounts;

    event Deposited(address indexed payer, address indexed trader, uint256 amount);
    event Traded(address indexed trader, int256 size, uint256 price);
    event Liquidated(address indexed liquidator, address indexed trader, int256 size, uint256 price, uint256 fee);
    event MmRatioSet(uint256 found, uint256 set);

    error NoPrice(int256 answer);
    error BelowInitialMargin(address trader, int256 equity, uint256 im);
    error Healthy(address trader, int256 equity, uint256 mm);
    error NothingHeld(address trader);
    error RatioOutOfRange(uint256 found, uint256 low, uint256 high);

    constructor(IERC20 token, AggregatorV3Interface feed) Ownable(msg.sender) {
        (TOKEN, FEED) = (token, feed);
        _FEED_SCALE = 10 ** (18 - feed.decimals());
    }

    /// @notice Bring tokens for a trader, who may be somebody else.
    function deposit(address trader, uint256 amount) external {
        accounts[trader].cash += amount.toInt256();
        emit Deposited(msg.sender, trader, amount);
        TOKEN.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @notice Change the position by `size` at the mark; equity must then be at least IM.
    function trade(int256 size) external {
        uint256 price = mark();
        _move(accounts[msg.sender], size, price);
        emit Traded(msg.sender, size, price);
        _requireInitial(msg.sender);
    }

    /// @notice Take over the whole position of a trader whose equity is not above MM, at the mark and for a fee from
    /// his cash; needs IM for it.
    function liquidate(address trader) external {
        (int256 equity,, uint256 mm) = margin(trader);
        int256 size = accounts[trader].size;
        if (size == 0) revert NothingHeld(trader);
        if (equity > mm.toInt256()) revert Healthy(trader, equity, mm);
        uint256 price = mark();
        uint256 fee = _ratioOf(_worth(size, price), FEE_RATIO);
        accounts[trader].cash -= fee.toInt256();
        accounts[msg.sender].cash += fee.toInt256();
        _move(accounts[trader], -size, price);
        _move(accounts[msg.sender], size, price);
        emit Liquidated(msg.sender, trader, size, price, fee);
        _requireInitial(msg.sender);
    }

    /// @notice Set the maintenance ratio, between its least and IM's.
    function setMmRatio(uint256 ratio) external onlyOwner {
        if (ratio < LEAST_MM_RATIO || ratio > IM_RATIO) revert RatioOutOfRange(ratio, LEAST_MM_RATIO, IM_RATIO);
        emit MmRatioSet(mmRatio, ratio);
        mmRatio = ratio;
    }

    /// @notice USD, 18 decimals.
    function mark() public view returns (uint256) {
        (, int256 answer,,,) = FEED.latestRoundData();
        if (answer <= 0) revert NoPrice(answer);
        return answer.toUint256() * _FEED_SCALE;
    }

    /// @notice Equity rounded down, IM and MM rounded up. At equity equal to MM the position may be taken over.
    function margin(address trader) public view returns (int256 equity, uint256 im, uint256 mm) {
        Account memory a = accounts[trader];
        uint256 price = mark();
        equity = a.cash + a.notional + _floored(a.size * price.toInt256());
        uint256 worth = _worth(a.size, price);
        return (equity, _ratioOf(worth, IM_RATIO), _ratioOf(worth, mmRatio));
    }

    function _move(Account storage a, int256 size, uint256 price) private {
        a.size += size;
        a.notional -= _floored(size * price.toInt256());
        if (a.size != 0) return;
        a.cash += a.notional;
        a.notional = 0;
    }

    function _requireInitial(address trader) private view {
        (int256 equity, uint256 im,) = margin(trader);
        if (equity < im.toInt256()) revert BelowInitialMargin(trader, equity, im);
    }

    /// @dev |size| × price, 36 decimals.
    function _worth(int256 size, uint256 price) private pure returns (uint256) {
        return FixedPointMathLib.abs(size) * price;
    }

    function _ratioOf(uint256 worth, uint256 ratio) private pure returns (uint256) {
        return FixedPointMathLib.divUp(worth * ratio, uint256(_WAD) * _PPM);
    }

    function _floored(int256 fine) private pure returns (int256 wad) {
        wad = fine / _WAD;
        if (fine % _WAD < 0) --wad;
    }
}
