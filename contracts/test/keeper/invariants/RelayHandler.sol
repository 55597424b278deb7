// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {RelayTime} from "../../../src/keeper/RelayTime.sol";
import {IPriceRelay} from "../../../src/keeper/interfaces/IPriceRelay.sol";
import {IQuorum} from "../../../src/keeper/interfaces/IQuorum.sol";
import {ISurfaceRelay} from "../../../src/keeper/interfaces/ISurfaceRelay.sol";
import {IPrices} from "../../../src/reference/interfaces/IPrices.sol";
import {Observation, Report, Slice} from "../../../src/reference/Types.sol";
import {RelayBase} from "../RelayBase.sol";

/// @notice Signers who sign anything recent, carriers who bring it late, twice and in any order, and an owner who changes
/// the set and the limits. What is refused must be refused by a name it can have.
contract RelayHandler is RelayBase {
    uint256 private constant ALL = 31;
    uint256 private constant AHEAD = 5; // seconds by which a signer's clock may be fast

    IPriceRelay.SignedObservation[] private _said;
    ISurfaceRelay.SignedSlice[] private _fits;
    mapping(bytes32 digest => uint256) private _times;

    // What the relays showed at the end of the last call.
    Report[2] private _last;
    Slice private _lastFit;
    bytes32[] private _ids;
    bytes32[] private _hashes; // of what each id held when it was new
    bytes32[] private _fitIds;
    bytes32[] private _fitHashes;

    uint256 public accepted; // by either relay
    uint256 public mostTimesOne; // how often one digest was accepted
    uint256 public backward; // reports or slices that were not later than the one before
    uint256 public tooFew; // accepted though fewer than needed of those now named signed it
    uint256 public late; // accepted though too old, or ahead of the chain
    uint8 private _quorum = QUORUM;
    uint8 private _jumpQuorum = JUMP_QUORUM;
    uint256 private _named = ALL;

    /// @notice ETH fixes and settles in the course of a campaign.
    function setUp() public override {
        super.setUp();
        vm.warp(EXPIRY - 40 minutes);
    }

    // ---- what happens ----

    function wait(uint256 time) external {
        _skip(bound(time, 0, 2 * MAX_AGE));
    }

    function say(uint256 underlying, uint256 price, uint256 age, uint256 who) external {
        uint8 u = uint8(underlying % 2);
        uint256 last = _last[u].price == 0 ? PRICE : _last[u].price;
        _skip(AHEAD);
        Observation memory seen =
            _seen(u, bound(price, last * 9 / 10, last * 11 / 10), bound(age, 0, MAX_AGE + 2 * AHEAD));
        vm.warp(block.timestamp - AHEAD);
        IPriceRelay.SignedObservation memory said = _signed(seen, _who(who));
        if (_said.length < 64) _said.push(said);
        else _said[age % 64] = said;
        _bring(said);
    }

    /// @notice Each signature comes twice, so that half of those needed look like all.
    function sayDouble(uint256 price, uint256 who) external {
        Observation memory seen = _seen(ETH, bound(price, PRICE * 99 / 100, PRICE * 101 / 100));
        _bring(IPriceRelay.SignedObservation(seen, _double(_signatures(relay.digest(seen), who & ALL))));
    }

    function fitDouble(uint256 a, uint256 who) external {
        if (block.timestamp >= EXPIRY) return;
        Slice memory fitted = _fitted(int128(int256(bound(a, 0.19e18, 0.21e18))));
        _bring(ISurfaceRelay.SignedSlice(fitted, _double(_signatures(surface.digest(fitted), who & ALL))));
    }

    /// @notice Something said before, at any time.
    function bringAgain(uint256 which) external {
        if (_said.length > 0) _bring(_said[which % _said.length]);
    }

    function bringMany(uint256 first, uint256 second) external {
        if (_said.length == 0) return;
        IPriceRelay.SignedObservation[] memory batch = new IPriceRelay.SignedObservation[](2);
        (batch[0], batch[1]) = (_said[first % _said.length], _said[second % _said.length]);
        bool[2] memory jumps = [relay.isJump(batch[0].seen), false];
        try relay.relayMany(batch) returns (bytes32[] memory ids) {
            if (ids[0] != 0) _kept(batch[0], ids[0], jumps[0]);
            // of the second it is not known what it was measured from: at least a quorum
            if (ids[1] != 0) _kept(batch[1], ids[1], false);
        } catch (bytes memory reason) {
            _named_(reason);
        }
    }

    function fit(uint256 a, uint256 age, uint256 who) external {
        if (block.timestamp + AHEAD >= EXPIRY) return;
        Slice memory fitted = _fitted(int128(int256(bound(a, 0.15e18, 0.25e18))));
        fitted.timestamp = uint40(block.timestamp + AHEAD - bound(age, 0, MAX_AGE + 2 * AHEAD));
        ISurfaceRelay.SignedSlice memory signed = _signed(fitted, _who(who));
        if (_fits.length < 64) _fits.push(signed);
        else _fits[age % 64] = signed;
        _bring(signed);
    }

    function fitAgain(uint256 which) external {
        if (_fits.length > 0) _bring(_fits[which % _fits.length]);
    }

    /// @notice Some of the five, with thresholds a majority.
    function rename(uint256 who, uint256 quorum, uint256 jumpQuorum) external {
        who &= ALL;
        uint256 count = _count(who);
        if (count == 0) return;
        address[] memory all = _addresses();
        address[] memory list = new address[](count);
        for (uint256 i; i < SIGNERS; ++i) {
            if (who >> i & 1 == 1) list[--count] = all[i];
        }
        count = list.length;
        for (uint256 i; i < count / 2; ++i) {
            (list[i], list[count - 1 - i]) = (list[count - 1 - i], list[i]);
        }
        _quorum = uint8(bound(quorum, count / 2 + 1, count));
        _jumpQuorum = uint8(bound(jumpQuorum, _quorum, count));
        _named = who;
        relay.setSigners(list, _quorum, _jumpQuorum);
        surface.setSigners(list, _quorum, _jumpQuorum);
    }

    function limit(uint16 most, uint40 period) external {
        relay.setPriceLimit(ETH, most % 5_001, uint40(bound(period, MAX_AGE, 1 days)));
        surface.setSurfaceLimit(
            ETH, ISurfaceRelay.SurfaceLimit(most % 5_001, most % 301, uint40(bound(period, MAX_AGE, 1 days)))
        );
    }

    function _double(bytes[] memory once) private pure returns (bytes[] memory list) {
        list = new bytes[](2 * once.length);
        for (uint256 i; i < list.length; ++i) {
            list[i] = once[i / 2];
        }
    }

    /// @dev Mostly all who are named, else any of the five.
    function _who(uint256 who) private view returns (uint256) {
        return who >> 8 & 3 != 0 ? _named : who & ALL;
    }

    function actions() external pure returns (bytes4[] memory list) {
        list = new bytes4[](10);
        list[0] = this.wait.selector;
        list[1] = this.say.selector;
        list[2] = this.bringAgain.selector;
        list[3] = this.bringMany.selector;
        list[4] = this.fit.selector;
        list[5] = this.fitAgain.selector;
        list[6] = this.rename.selector;
        list[7] = this.limit.selector;
        list[8] = this.sayDouble.selector;
        list[9] = this.fitDouble.selector;
    }

    // ---- what is noted ----

    function _bring(IPriceRelay.SignedObservation memory said) private {
        bool jump = relay.isJump(said.seen);
        try relay.relay(said.seen, said.signatures) returns (bytes32 id) {
            _kept(said, id, jump);
        } catch (bytes memory reason) {
            _named_(reason);
        }
    }

    function _kept(IPriceRelay.SignedObservation memory said, bytes32 id, bool jump) private {
        Report storage last = _last[said.seen.underlying];
        if (said.seen.timestamp <= last.timestamp) ++backward;
        _last[said.seen.underlying] = relay.report(id);
        _note(relay.digest(said.seen), said.seen.timestamp, said.signatures, jump);
        _ids.push(id);
        _hashes.push(keccak256(abi.encode(relay.report(id))));
    }

    function _bring(ISurfaceRelay.SignedSlice memory signed) private {
        bool jump = surface.isJump(signed.fitted);
        try surface.relay(signed.fitted, signed.signatures) returns (bytes32 id) {
            if (signed.fitted.timestamp <= _lastFit.timestamp) ++backward;
            _lastFit = surface.slice(id);
            _note(surface.digest(signed.fitted), signed.fitted.timestamp, signed.signatures, jump);
            _fitIds.push(id);
            _fitHashes.push(keccak256(abi.encode(surface.slice(id))));
        } catch (bytes memory reason) {
            _named_(reason);
        }
    }

    function _note(bytes32 digest, uint256 time, bytes[] memory signatures, bool jump) private {
        ++accepted;
        if (++_times[digest] > mostTimesOne) mostTimesOne = _times[digest];
        if (_count(_signers(digest, signatures) & _named) < (jump ? _jumpQuorum : _quorum)) ++tooFew;
        if (time > block.timestamp || time + MAX_AGE < block.timestamp) ++late;
    }

    /// @dev A bit for each of the five who signed.
    function _signers(bytes32 digest, bytes[] memory signatures) private view returns (uint256 who) {
        address[] memory all = _addresses();
        for (uint256 i; i < signatures.length; ++i) {
            address signer = ECDSA.recover(digest, signatures[i]);
            for (uint256 j; j < SIGNERS; ++j) {
                if (all[j] == signer) who |= 1 << j;
            }
        }
    }

    function _named_(bytes memory reason) private pure {
        bytes4 name = bytes4(reason);
        assertTrue(
            name == IQuorum.QuorumMissed.selector || name == IQuorum.NotAscending.selector
                || name == IQuorum.NotASigner.selector || name == RelayTime.TooOld.selector
                || name == IPrices.TimeInFuture.selector || name == IPrices.TimeNotLater.selector
                || name == IPrices.WrongFixing.selector || name == IPrices.OutOfRange.selector,
            "refused by a name it can have"
        );
    }

    /// @notice Whether the relays still say what they said at the end of the last call, and all they ever kept.
    function stands() external view returns (bool) {
        for (uint8 u; u < 2; ++u) {
            if (_last[u].timestamp == 0) continue;
            (Report memory found,,) = relay.newest(u);
            if (keccak256(abi.encode(found)) != keccak256(abi.encode(_last[u]))) return false;
        }
        for (uint256 i; i < _ids.length; ++i) {
            if (keccak256(abi.encode(relay.report(_ids[i]))) != _hashes[i]) return false;
        }
        for (uint256 i; i < _fitIds.length; ++i) {
            if (keccak256(abi.encode(surface.slice(_fitIds[i]))) != _fitHashes[i]) return false;
        }
        if (_fitIds.length == 0) return true;
        (, bytes32 newest,) = relay.newestSlice(ETH, EXPIRY);
        return newest == _fitIds[_fitIds.length - 1];
    }
}
