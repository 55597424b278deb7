// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {BoundedCall} from "./BoundedCall.sol";
import {BoundedToken} from "./BoundedToken.sol";
import {IKeeperExecutor} from "./interfaces/IKeeperExecutor.sol";
import {IUniswapV3Factory, IUniswapV3Pool, IUniswapV3SwapCallback} from "./interfaces/IUniswapV3.sol";

/// @title Selling at Uniswap v3 pools themselves: no router to trust, and nobody is approved anything.
/// @dev A pool pays before it asks. It is paid only once what it has paid is here, once, and no more than was offered.
abstract contract ExecutorSwaps is IKeeperExecutor, IUniswapV3SwapCallback {
    using BoundedToken for address;
    using SafeCast for uint256;

    // One within TickMath.MIN_SQRT_RATIO and MAX_SQRT_RATIO: the price is bounded by what is bought instead.
    uint160 private constant _LOWEST = 4_295_128_740;
    uint160 private constant _HIGHEST = 1_461_446_703_485_210_103_287_273_052_203_988_822_378_723_970_341;

    IUniswapV3Factory public immutable FACTORY;

    mapping(address pool => mapping(address sold => address)) private _boughtFor;

    // The swap under way; no pool may draw outside of one.
    address private transient _pool;
    address private transient _sold;
    address private transient _bought;
    uint256 private transient _most;
    uint256 private transient _least;

    constructor(IUniswapV3Factory factory) {
        FACTORY = factory;
    }

    /// @dev Of the factory's own pools the code is known. `sold` is the one of its two tokens that may be sold there.
    function _setPool(IUniswapV3Pool pool, address sold, bool allowed) internal {
        (address token0, address token1) = (pool.token0(), pool.token1());
        bool known = FACTORY.getPool(token0, token1, pool.fee()) == address(pool);
        if (!known || (sold != token0 && sold != token1)) revert BadPool(address(pool), sold);
        _boughtFor[address(pool)][sold] = !allowed ? address(0) : sold == token0 ? token1 : token0;
        emit PoolAllowed(address(pool), sold, allowed);
    }

    function _swap(Step memory step, address[] memory tokens) internal returns (bool succeeded, bytes memory reason) {
        SwapStep memory s = abi.decode(step.arguments, (SwapStep));
        address bought = _boughtFor[s.pool][s.sold];
        if (bought == address(0)) revert PoolNotAllowed(s.pool, s.sold);
        _requireListed(s.sold, tokens);
        _requireListed(bought, tokens);
        if (s.amountIn == type(uint256).max) s.amountIn = s.sold.balanceOf(address(this));
        (_pool, _sold, _bought, _most) = (s.pool, s.sold, bought, s.amountIn);
        _least = bought.balanceOf(address(this)) + s.minOut;
        (succeeded, reason) = _sell(step.gas, s, s.sold < bought);
        if (succeeded && _pool != address(0)) {
            (succeeded, reason) = (false, abi.encodeWithSelector(CallbackMissing.selector, s.pool));
        }
        _pool = address(0);
    }

    function _sell(uint256 gas_, SwapStep memory s, bool zeroForOne) private returns (bool, bytes memory) {
        uint160 limit = zeroForOne ? _LOWEST : _HIGHEST;
        bytes memory input =
            abi.encodeCall(IUniswapV3Pool.swap, (address(this), zeroForOne, s.amountIn.toInt256(), limit, ""));
        BoundedCall.requireGas(gas_);
        return BoundedCall.tryCall(s.pool, gas_, input, BoundedCall.KEPT);
    }

    /// @inheritdoc IUniswapV3SwapCallback
    function uniswapV3SwapCallback(int256 amount0, int256 amount1, bytes calldata) external {
        if (msg.sender != _pool) revert UnexpectedCallback(msg.sender, _pool);
        _pool = address(0);
        uint256 found = _bought.balanceOf(address(this));
        if (found < _least) revert BoughtTooLittle(_bought, found, _least);
        int256 owed = amount0 > 0 ? amount0 : amount1;
        if (owed < 0 || uint256(owed) > _most) revert SoldTooMuch(_sold, owed, _most);
        _sold.transfer(msg.sender, uint256(owed));
    }

    function _requireListed(address token, address[] memory tokens) internal pure {
        for (uint256 i; i < tokens.length; ++i) {
            if (tokens[i] == token) return;
        }
        revert TokenNotListed(token);
    }
}
