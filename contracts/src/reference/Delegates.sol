// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IMarginVenue} from "./interfaces/IMarginVenue.sol";
import {Ledger} from "./Ledger.sol";

/// @title Who may act for an account: its owner, and whom he named, for one function each, until a time.
abstract contract Delegates is Ledger {
    /// @dev Raised by revokeDelegates: every older grant is under a key nobody reads again.
    mapping(uint256 account => uint256) private _generation;
    mapping(bytes32 grant => uint40) private _until;

    /// @inheritdoc IMarginVenue
    function setDelegate(uint256 account, address delegate, bytes4 selector, uint40 until) external nonReentrant {
        _requireOwner(account);
        _until[_grant(account, delegate, selector)] = until;
        _raiseSequence(account);
        emit DelegateSet(account, delegate, selector, until);
    }

    /// @inheritdoc IMarginVenue
    function revokeDelegates(uint256 account) external nonReentrant {
        _requireOwner(account);
        ++_generation[account];
        _raiseSequence(account);
        emit DelegatesRevoked(account);
    }

    /// @inheritdoc IMarginVenue
    function mayAct(uint256 account, address caller, bytes4 selector) external view returns (bool) {
        return _mayAct(account, caller, selector);
    }

    function _mayAct(uint256 account, address caller, bytes4 selector) internal view returns (bool) {
        if (caller == address(0)) return false; // the venue's own accounts have no owner
        return caller == _ownerOf(account) || _until[_grant(account, caller, selector)] >= block.timestamp;
    }

    function _requireMayAct(uint256 account) internal view {
        _requireAllowed(account, _mayAct(account, msg.sender, msg.sig));
    }

    /// @dev Never a delegate: one who could name others would outlive his own term.
    function _requireOwner(uint256 account) private view {
        _requireAllowed(account, msg.sender == _ownerOf(account));
    }

    function _ownerOf(uint256 account) internal pure returns (address) {
        return address(uint160(account >> 96));
    }

    function _grant(uint256 account, address delegate, bytes4 selector) private view returns (bytes32) {
        return keccak256(abi.encode(account, _generation[account], delegate, selector));
    }
}
