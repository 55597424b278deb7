// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {EIP712} from "solady/utils/EIP712.sol";
import {BPS, Book, Instruments, Legs, WAD} from "./Types.sol";
import {IMarginVenue} from "./interfaces/IMarginVenue.sol";
import {IProducts} from "./interfaces/IProducts.sol";
import {Admission} from "./Admission.sol";
import {Delegates} from "./Delegates.sol";

/// @title Signed orders, matched by anyone at any price both sides agreed to and the band allows.
abstract contract Orders is Admission, Delegates, EIP712 {
    using Instruments for uint128;
    using Legs for uint256;

    bytes32 private constant ORDER_TYPE = keccak256(
        "Order(uint256 account,uint128 instrument,int128 size,uint128 limitPrice,uint64 nonce,uint40 deadline,bool reduceOnly)"
    );

    /// One side of a match.
    struct Fill {
        uint256 account;
        bytes32 order;
        uint128 instrument;
        int256 size; // signed contracts, wad
        int256 cash; // signed USD, wad
        uint256 spot;
        bool reduceOnly;
    }

    mapping(bytes32 order => uint256) private _filled;
    mapping(uint256 account => uint64) public nonceFloor;

    /// @dev solady's: a kilobyte smaller than OpenZeppelin's.
    function _domainNameAndVersion() internal pure override returns (string memory name, string memory version) {
        return ("Reference Margin Venue", "1");
    }

    /// @inheritdoc IMarginVenue
    function matchOrders(
        Order calldata buy,
        bytes calldata buySignature,
        Order calldata sell,
        bytes calldata sellSignature,
        uint256 size,
        uint256 price
    ) external nonReentrant {
        if (size == 0) revert ZeroAmount();
        bytes32 buyHash = _admit(buy, buySignature, size);
        bytes32 sellHash = _admit(sell, sellSignature, size);
        _requireFitting(buy, buyHash, sell, sellHash, price);
        uint256 spot = _price(buy.instrument.underlyingOf());
        _requireInBand(buy.instrument, price, spot);
        int256 amount = int256(size * price / WAD); // the same floor on both sides: nothing is created
        _fill(Fill(buy.account, buyHash, buy.instrument, int256(size), -amount, spot, buy.reduceOnly));
        _fill(Fill(sell.account, sellHash, sell.instrument, -int256(size), amount, spot, sell.reduceOnly));
        emit Matched(buyHash, sellHash, buy.instrument, size, price);
    }

    /// @inheritdoc IMarginVenue
    function cancel(Order calldata order) external nonReentrant {
        _requireMayAct(order.account);
        bytes32 hash = orderHash(order);
        _filled[hash] = type(uint256).max;
        emit OrderCancelled(order.account, hash);
    }

    /// @inheritdoc IMarginVenue
    function raiseNonceFloor(uint256 account, uint64 floor) external nonReentrant {
        _requireMayAct(account);
        if (floor <= nonceFloor[account]) revert OrderRefused(bytes32(0), "floor");
        nonceFloor[account] = floor;
        emit NonceFloor(account, floor);
    }

    /// @inheritdoc IMarginVenue
    function filled(bytes32 order) external view returns (uint256) {
        return _filled[order];
    }

    /// @inheritdoc IMarginVenue
    function orderHash(Order calldata order) public view returns (bytes32) {
        return _hashTypedData(keccak256(abi.encode(ORDER_TYPE, order)));
    }

    /// @dev Is it alive, signed, and is there that much of it left? Counts the fill.
    function _admit(Order calldata order, bytes calldata signature, uint256 size) private returns (bytes32 hash) {
        hash = orderHash(order);
        if (block.timestamp > order.deadline) revert DeadlinePassed(order.deadline);
        if (order.nonce < nonceFloor[order.account]) revert OrderRefused(hash, "nonce");
        if (!_signed(order.account, hash, signature)) revert BadSignature(hash);
        uint256 done = _filled[hash];
        uint256 whole = uint256(order.size < 0 ? -int256(order.size) : int256(order.size));
        if (done > whole || size > whole - done) revert OrderRefused(hash, "filled");
        _filled[hash] = done + size;
    }

    /// @dev By the owner's or a delegate's key, or by the owner's contract (ERC-1271).
    function _signed(uint256 account, bytes32 hash, bytes calldata signature) private view returns (bool) {
        (address signer, ECDSA.RecoverError problem,) = ECDSA.tryRecover(hash, signature);
        if (problem == ECDSA.RecoverError.NoError && _mayAct(account, signer, msg.sig)) return true;
        address owner_ = _ownerOf(account);
        return owner_.code.length != 0 && SignatureChecker.isValidERC1271SignatureNow(owner_, hash, signature);
    }

    function _requireFitting(Order calldata buy, bytes32 buyHash, Order calldata sell, bytes32 sellHash, uint256 price)
        private
        view
    {
        uint128 id = buy.instrument;
        if (buy.size < 0) revert OrderRefused(buyHash, "side");
        if (sell.size > 0) revert OrderRefused(sellHash, "side");
        if (sell.instrument != id) revert OrderRefused(sellHash, "instrument");
        if (sell.account == buy.account) revert OrderRefused(sellHash, "own account");
        if (price > buy.limitPrice) revert OrderRefused(buyHash, "limit");
        if (price < sell.limitPrice) revert OrderRefused(sellHash, "limit");
        if (!PRODUCTS.listed(id)) revert IProducts.UnknownInstrument(id);
        if (id.isOption() && id.expiryOf() <= block.timestamp) revert OrderRefused(buyHash, "expired");
    }

    /// @dev Around the mark recomputed here, not the published one: a false array moves no price.
    function _requireInBand(uint128 id, uint256 price, uint256 spot) private view {
        uint256 mark = MARGIN.mark(id);
        uint256 band = Math.max(mark * limits.band, spot * limits.floorBand) / BPS;
        uint256 low = mark > band ? mark - band : 0;
        if (price < low || price > mark + band) revert PriceOutsideBand(price, low, mark + band);
    }

    function _fill(Fill memory f) private {
        _touch(f.account);
        Book memory before = _stored(f.account);
        uint256 at = _find(before.legs, before.legs.length, f.instrument);
        bool reduces = at < before.legs.length && Legs.reduces(before.legs[at].sizeOf(), f.size);
        if (f.reduceOnly && !reduces) revert OrderRefused(f.order, "reduceOnly");
        int256 size = _changeLeg(f.account, at, f.instrument, f.size, Cause.Trade);
        _changeCash(f.account, f.cash, Cause.Trade);
        _raiseSequence(f.account);
        _markActive(f.account);
        if (reduces) {
            _requireInitialOrNoWorse(f.account, before, _stored(f.account));
        } else {
            _requireOpeningAllowed(f.account);
            _requireLargeEnough(f, size);
            if (at == before.legs.length) _requireFewLegs(f.account);
            _requireInitial(f.account, _stored(f.account));
        }
    }

    function _requireLargeEnough(Fill memory f, int256 size) private view {
        uint256 notional = uint256(size < 0 ? -size : size) * f.spot / WAD;
        uint256 least = limits.leastNotional;
        if (notional < least) revert PositionTooSmall(f.account, f.instrument, notional, least);
    }
}
