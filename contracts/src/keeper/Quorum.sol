// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "solady/utils/EIP712.sol";
import {StoreRules} from "../reference/StoreRules.sol";
import {RelayTime} from "./RelayTime.sol";
import {IQuorum} from "./interfaces/IQuorum.sol";

/// @title What both relays ask of an observation before they keep it: enough signers, and youth.
/// @dev Signers are keys, never contracts (ERC-1271): what a contract says of a signature may change with the hour.
abstract contract Quorum is IQuorum, StoreRules, EIP712 {
    uint256 public constant MAX_SIGNERS = 31;
    uint256 private constant _LEAST_AGE = 5;
    uint256 private constant _MOST_AGE = 1 hours;

    struct Thresholds {
        uint32 set; // how often signers were set
        uint8 signers;
        uint8 quorum;
        uint8 jumpQuorum;
    }

    /// @inheritdoc IQuorum
    uint256 public immutable MAX_AGE;

    Thresholds private _thresholds;
    mapping(address signer => uint32 set) private _set; // in which he was last named

    constructor(uint256 maxAge) {
        if (maxAge < _LEAST_AGE || maxAge > _MOST_AGE) revert AgeOutOfRange(maxAge, _LEAST_AGE, _MOST_AGE);
        MAX_AGE = maxAge;
    }

    /// @inheritdoc IQuorum
    function setSigners(address[] calldata signers, uint8 quorum, uint8 jumpQuorum) external onlyOwner {
        uint256 count = signers.length;
        if (count > MAX_SIGNERS) revert TooManySigners(count, MAX_SIGNERS);
        if (quorum <= count / 2 || quorum > count) revert QuorumOutOfRange(quorum, count / 2 + 1, count);
        if (jumpQuorum < quorum || jumpQuorum > count) revert QuorumOutOfRange(jumpQuorum, quorum, count);
        uint32 set = _thresholds.set + 1;
        _thresholds = Thresholds(set, uint8(count), quorum, jumpQuorum);
        address before; // zero, so that it is no signer
        for (uint256 i; i < count; ++i) {
            if (signers[i] <= before) revert NotAscending(signers[i], before);
            before = signers[i];
            _set[before] = set;
        }
        emit SignersSet(signers, quorum, jumpQuorum);
    }

    /// @inheritdoc IQuorum
    function isSigner(address who) public view returns (bool) {
        uint32 set = _set[who];
        return set != 0 && set == _thresholds.set;
    }

    /// @inheritdoc IQuorum
    function thresholds() external view returns (uint8 signers, uint8 quorum, uint8 jumpQuorum) {
        return (_thresholds.signers, _thresholds.quorum, _thresholds.jumpQuorum);
    }

    /// @dev How many signed: all that is given must count, or nothing is accepted.
    function _counted(bytes32 digest, bytes[] calldata signatures) internal view returns (uint256) {
        address before;
        for (uint256 i; i < signatures.length; ++i) {
            (address signer, ECDSA.RecoverError problem,) = ECDSA.tryRecover(digest, signatures[i]);
            if (problem != ECDSA.RecoverError.NoError) revert WrongSignature(i);
            if (!isSigner(signer)) revert NotASigner(signer);
            if (signer <= before) revert NotAscending(signer, before);
            before = signer;
        }
        return signatures.length;
    }

    /// @dev Reverts QuorumMissed; says whether as many signed as a jump needs.
    function _requireQuorum(uint256 signed, bool jump) internal view returns (bool enoughForJump) {
        Thresholds memory t = _thresholds;
        uint256 needed = jump ? t.jumpQuorum : t.quorum;
        if (signed < needed || t.set == 0) revert QuorumMissed(signed, needed);
        return signed >= t.jumpQuorum;
    }

    /// @dev As the store asks again, and youth.
    function _checkFresh(uint40 found, uint40 last) internal view {
        RelayTime.check(found, last, block.timestamp, MAX_AGE);
    }
}
