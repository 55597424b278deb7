// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {MintableToken} from "../../src/demo/MintableToken.sol";
import {Book, Check, CollateralType, Instruments, Legs, WAD} from "../../src/reference/Types.sol";
import {IAuctions} from "../../src/reference/interfaces/IAuctions.sol";
import {IMargin} from "../../src/reference/interfaces/IMargin.sol";
import {IMarginVenue} from "../../src/reference/interfaces/IMarginVenue.sol";
import {IPrices} from "../../src/reference/interfaces/IPrices.sol";
import {IProducts} from "../../src/reference/interfaces/IProducts.sol";
import {ISwapper} from "../../src/reference/interfaces/ISwapper.sol";

/// @notice A margin rule simple enough to work out by hand: IM is so many USD a contract, MM half of it, collateral
/// counts in full. The two sets of arrays can be told apart and made stale.
contract StubMargin {
    using Instruments for uint128;
    using Legs for uint256;

    IPrices private immutable _PRICES;
    IProducts private immutable _PRODUCTS;
    mapping(uint128 instrument => uint256) public mark;
    uint256 public newestRate = 100e18;
    uint256 public settledRate = 100e18;
    bool public newestStale;
    bool public settledStale;

    constructor(IPrices prices, IProducts products) {
        (_PRICES, _PRODUCTS) = (prices, products);
    }

    function setMark(uint128 instrument, uint256 price) external {
        mark[instrument] = price;
    }

    function setRates(uint256 newest, uint256 settled) external {
        (newestRate, settledRate) = (newest, settled);
    }

    function setStale(bool newest, bool settled) external {
        (newestStale, settledStale) = (newest, settled);
    }

    function byArrays(Book calldata b) external view returns (Check memory) {
        if (newestStale) revert IMargin.StaleEpoch(0, 2, 1);
        return _check(b, newestRate);
    }

    function bySettledArrays(Book calldata b) external view returns (Check memory) {
        if (settledStale) revert IMargin.StaleEpoch(0, 2, 1);
        return _check(b, settledRate);
    }

    function byArraysRegardless(Book calldata b) external view returns (Check memory) {
        return _check(b, newestRate);
    }

    function bySettledArraysRegardless(Book calldata b) external view returns (Check memory) {
        return _check(b, settledRate);
    }

    function byMarks(Book calldata b) external view returns (Check memory) {
        return _check(b, 0);
    }

    function _check(Book calldata b, uint256 rate) private view returns (Check memory check) {
        check.equity = b.cash;
        uint256 contracts;
        for (uint256 i; i < b.legs.length; ++i) {
            uint128 id = b.legs[i].idOf();
            if (id.isOption() && id.expiryOf() <= block.timestamp) {
                revert IMargin.Unsettled(id.underlyingOf(), id.expiryOf());
            }
            int256 size = b.legs[i].sizeOf();
            check.equity += size * int256(mark[id]) / int256(WAD);
            contracts += uint256(size < 0 ? -size : size);
        }
        for (uint256 i; i < b.collateral.length; ++i) {
            CollateralType memory kind = _PRODUCTS.collateral(b.collateral[i] >> 128);
            (uint128 price,,) = _PRICES.quote(kind.underlying);
            check.equity += int256(uint256(uint128(b.collateral[i])) * price / 10 ** kind.decimals);
        }
        check.im = contracts * rate / WAD;
        check.mm = check.im / 2;
    }
}

/// @notice Window and slashable part, and the inflow of a slashed bond.
contract StubArrays {
    uint256 public window = 600;
    uint256 public slashable = 1e30;

    function setSlashable(uint256 amount) external {
        slashable = amount;
    }

    function slash(IMarginVenue venue, MintableToken token, uint256 transferred, uint256 told) external {
        require(token.transfer(address(venue), transferred));
        venue.creditFund(told);
    }
}

/// @notice Auctions that are on when a test says so, and take what it says.
contract StubAuctions {
    mapping(uint256 account => uint64) private _id;

    function setAuction(uint256 account, uint64 id) external {
        _id[account] = id;
    }

    function auction(uint256 account) external view returns (IAuctions.Auction memory) {
        return IAuctions.Auction(_id[account], 1);
    }

    function seize(
        IMarginVenue venue,
        uint256 from,
        uint256 to,
        uint256 fraction,
        int256 payment,
        uint256 fromFund,
        uint256 shared
    ) external {
        venue.seize(from, to, fraction, payment, fromFund, shared);
    }
}

/// @notice Pays a fixed amount for whatever it gets, and may call back first, keep some of it or send some of it home.
contract DemoSwapper is ISwapper {
    uint256 public pays;
    uint256 public refund;
    address public callee;
    bytes public callback;
    bool public calledBack;
    bytes public reply;

    function setPays(uint256 amount) external {
        pays = amount;
    }

    function setRefund(uint256 amount) external {
        refund = amount;
    }

    function setCallback(address to, bytes calldata payload) external {
        (callee, callback) = (to, payload);
    }

    function swap(address sell, address buy, uint256, uint256, bytes calldata) external {
        if (callee != address(0)) (calledBack, reply) = callee.call(callback);
        if (refund != 0) require(ERC20(sell).transfer(msg.sender, refund));
        require(ERC20(buy).transfer(msg.sender, pays));
    }
}

/// @notice Keeps one base unit of every transfer once told to.
contract FeeToken is ERC20("Fee", "FEE") {
    bool public fee;

    function decimals() public pure override returns (uint8) {
        return 18;
    }

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function setFee(bool on) external {
        fee = on;
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (fee && from != address(0) && to != address(0)) super._update(to, address(0), 1);
    }
}

/// @notice An owner that is a contract: one digest is good (ERC-1271).
contract ContractOwner {
    bytes32 public good;

    function approve(bytes32 digest) external {
        good = digest;
    }

    function isValidSignature(bytes32 digest, bytes calldata) external view returns (bytes4) {
        return digest == good ? bytes4(0x1626ba7e) : bytes4(0);
    }
}
