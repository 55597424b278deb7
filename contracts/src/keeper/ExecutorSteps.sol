// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC3156FlashLender} from "@openzeppelin/contracts/interfaces/IERC3156FlashLender.sol";
import {Book} from "../reference/Types.sol";
import {IAuctions} from "../reference/interfaces/IAuctions.sol";
import {IMarginVenue} from "../reference/interfaces/IMarginVenue.sol";
import {IProducts} from "../reference/interfaces/IProducts.sol";
import {IRiskArrays} from "../reference/interfaces/IRiskArrays.sol";
import {BoundedCall} from "./BoundedCall.sol";
import {BoundedToken} from "./BoundedToken.sol";
import {ExecutorSwaps} from "./ExecutorSwaps.sol";

/// @title What a job may do, step by step.
/// @dev Every approval is for the exact amount, for one call, and gone before the next step.
abstract contract ExecutorSteps is ExecutorSwaps {
    using BoundedToken for address;

    uint256 internal constant ALL = type(uint256).max;
    uint256 private constant BOOK_BYTES = 8_192; // 128 legs and 8 collaterals take 4,500
    uint256 private constant READ_GAS = 1_000_000; // 128 legs take 0.4M

    address public immutable RECEIVER;
    IMarginVenue public immutable VENUE;
    IAuctions public immutable AUCTIONS;
    IRiskArrays public immutable ARRAYS;
    IProducts public immutable PRODUCTS;
    address public immutable SETTLEMENT_TOKEN;
    IERC3156FlashLender public immutable LENDER;

    Relay[] private _relays;

    constructor(address receiver, Peers memory peers, Relay[] memory relays) ExecutorSwaps(peers.factory) {
        if (receiver == address(0) || receiver == address(this)) revert BadPeer(receiver);
        RECEIVER = receiver;
        VENUE = peers.venue;
        AUCTIONS = peers.auctions;
        ARRAYS = peers.arrays;
        PRODUCTS = peers.products;
        SETTLEMENT_TOKEN = peers.settlementToken;
        LENDER = peers.lender;
        for (uint256 i; i < relays.length; ++i) {
            _requireOutside(relays[i].to, peers);
            _relays.push(relays[i]);
        }
    }

    /// @dev A relay takes any arguments: as one of these it could move what the typed steps guard.
    function _requireOutside(address relay, Peers memory peers) private view {
        bool inside = relay == address(this) || relay == address(peers.venue) || relay == address(peers.lender)
            || relay == address(peers.arrays) || relay == address(peers.auctions) || relay == peers.settlementToken;
        if (inside || relay.code.length == 0) revert BadPeer(relay);
    }

    function _perform(Step[] memory steps, address[] memory tokens) internal {
        for (uint256 i; i < steps.length; ++i) {
            (bool succeeded, bytes memory reason) = _one(steps[i], tokens);
            if (succeeded) continue;
            if (!steps[i].optional) revert StepFailed(i, steps[i].kind, reason);
            emit StepRefused(i, steps[i].kind, reason);
        }
    }

    function _one(Step memory step, address[] memory tokens) private returns (bool, bytes memory) {
        if (step.kind == Kind.Deposit) return _deposit(step, tokens);
        if (step.kind == Kind.Withdraw) return _withdraw(step, tokens);
        if (step.kind == Kind.Swap) return _swap(step, tokens);
        (address to, bytes4 selector) = _target(step);
        return _call(step, to, bytes.concat(selector, step.arguments));
    }

    function _target(Step memory step) private view returns (address to, bytes4 selector) {
        if (step.kind == Kind.Publish) return (address(ARRAYS), IRiskArrays.publish.selector);
        if (step.kind == Kind.Start) return (address(AUCTIONS), IAuctions.startAuction.selector);
        if (step.kind == Kind.Take) return (address(AUCTIONS), IAuctions.take.selector);
        if (step.kind == Kind.End) return (address(AUCTIONS), IAuctions.endAuction.selector);
        if (step.relay >= _relays.length) revert UnknownRelay(step.relay, _relays.length);
        Relay memory relay = _relays[step.relay];
        return (relay.to, relay.selector);
    }

    function _call(Step memory step, address to, bytes memory input) private returns (bool, bytes memory) {
        BoundedCall.requireGas(step.gas);
        return BoundedCall.tryCall(to, step.gas, input, BoundedCall.KEPT);
    }

    /// @dev With an approval for this call alone, gone again whether it succeeds or not.
    function _callWith(Step memory step, address to, bytes memory input, address token, uint256 amount)
        private
        returns (bool succeeded, bytes memory reason)
    {
        token.approve(to, amount);
        (succeeded, reason) = _call(step, to, input);
        token.revoke(to);
    }

    // ---- the venue ----

    /// @dev Elsewhere than into the receiver's hands tokens could leave for good; from an account of our own too, which
    /// nobody could trade out of.
    function _deposit(Step memory step, address[] memory tokens) private returns (bool, bytes memory) {
        DepositStep memory d = abi.decode(step.arguments, (DepositStep));
        address owner = address(uint160(d.account >> 96));
        if (owner != RECEIVER) revert ForeignAccount(d.account, RECEIVER);
        address token = _tokenOf(d.asset);
        _requireListed(token, tokens);
        if (d.amount == ALL) d.amount = token.balanceOf(address(this));
        bytes memory input = abi.encodeCall(IMarginVenue.deposit, (d.account, d.asset, d.amount));
        return _callWith(step, address(VENUE), input, token, d.amount);
    }

    function _withdraw(Step memory step, address[] memory tokens) private returns (bool, bytes memory) {
        WithdrawStep memory w = abi.decode(step.arguments, (WithdrawStep));
        _requireListed(_tokenOf(w.asset), tokens);
        if (w.amount == ALL) w.amount = _recorded(w.account, w.asset);
        return _call(
            step,
            address(VENUE),
            abi.encodeCall(IMarginVenue.withdraw, (w.account, w.asset, w.amount, address(this), w.expectedSequence))
        );
    }

    /// @dev How much a take has moved is known only after it.
    function _recorded(uint256 account, uint256 asset) private view returns (uint256) {
        if (asset == 0) revert AllOfCash(account); // what of it may leave depends on all the account holds
        bytes memory answer = _ask(address(VENUE), abi.encodeCall(IMarginVenue.recorded, (account)), BOOK_BYTES);
        (Book memory book,) = abi.decode(answer, (Book, uint40));
        for (uint256 i; i < book.collateral.length; ++i) {
            if (book.collateral[i] >> 128 == asset - 1) return uint128(book.collateral[i]);
        }
        return 0;
    }

    function _tokenOf(uint256 asset) private view returns (address token) {
        if (asset == 0) return SETTLEMENT_TOKEN;
        // The token is the first word of a collateral type.
        bytes memory answer = _ask(address(PRODUCTS), abi.encodeCall(IProducts.collateral, (asset - 1)), 32);
        return abi.decode(answer, (address));
    }

    function _ask(address whom, bytes memory question, uint256 most) private view returns (bytes memory answer) {
        bool succeeded;
        (succeeded, answer) = BoundedCall.tryRead(whom, READ_GAS, question, most);
        if (!succeeded) revert PeerUnreadable(whom, answer);
    }

    // ---- the end ----

    /// @dev What is left goes to the receiver. Then only questions: nobody gets a turn to change the answers.
    function _clear(address[] memory tokens) internal {
        for (uint256 i; i < tokens.length; ++i) {
            uint256 left = tokens[i].balanceOf(address(this));
            if (left != 0) tokens[i].transfer(RECEIVER, left);
        }
        for (uint256 i; i < tokens.length; ++i) {
            uint256 found = tokens[i].balanceOf(address(this));
            if (found != 0) revert BalanceLeft(tokens[i], found);
            tokens[i].requireNoApproval(address(VENUE));
            tokens[i].requireNoApproval(address(LENDER));
        }
    }
}
