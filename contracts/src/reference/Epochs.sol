// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Bonds} from "./Bonds.sol";
import {IRiskArrays} from "./interfaces/IRiskArrays.sol";

/// @title Which epochs count. Complete ones form a list per underlying, later in completion and in report's time from
/// entry to entry; a proof cuts the list back to its settled part.
abstract contract Epochs is Bonds {
    struct Line {
        uint32 opened; // epochs opened so far = the newest id
        uint32 current; // id of the last entry, 0: none
        uint32 complete; // entries
        uint32 settled; // entries known to be settled
        uint40 excusedTo; // no one was late before
        uint40 chargedTo; // late seconds are paid for up to here
        uint40 voidedAt; // entries not settled then are void; 0: no proof since the last completion
    }

    /// A publisher's progress on an underlying.
    struct Draft {
        uint32 id; // his open epoch, 0: none
        uint40 publishedTo; // its last expiry
        uint40 completedAt; // when his last complete epoch was
    }

    mapping(uint8 underlying => Line) internal _lines;
    mapping(uint8 underlying => mapping(uint256 id => Epoch)) internal _epochs;
    mapping(uint8 underlying => mapping(uint256 id => mapping(uint40 expiry => address))) internal _blobs;
    mapping(uint8 underlying => mapping(address publisher => Draft)) internal _drafts;
    /// Entry: report's time (from bit 104) | completed at (64) | id.
    mapping(uint8 underlying => mapping(uint256 place => uint256)) private _entries;

    event EpochsVoided(uint8 indexed underlying);

    /// @inheritdoc IRiskArrays
    function current(uint8 underlying) external view returns (uint256 id, Epoch memory) {
        id = _currentId(underlying);
        return (id, _epochs[underlying][id]);
    }

    /// @inheritdoc IRiskArrays
    function settled(uint8 underlying) external view returns (uint256 id, Epoch memory) {
        id = _settledId(underlying);
        return (id, _epochs[underlying][id]);
    }

    /// @inheritdoc IRiskArrays
    function epoch(uint8 underlying, uint256 id) external view returns (Epoch memory found) {
        found = _epochs[underlying][id];
        if (found.openedAt == 0) revert NoEpoch(underlying);
    }

    /// @inheritdoc IRiskArrays
    function valid(uint8 underlying, uint256 id) external view returns (bool) {
        uint256 time = _epochs[underlying][id].reportTimestamp;
        (uint256 low, uint256 high) = (0, _places(underlying, _lines[underlying]));
        while (low < high) {
            uint256 middle = (low + high) / 2;
            uint256 entry = _entries[underlying][middle];
            if (entry >> 104 == time) return uint64(entry) == id && id != 0;
            if (entry >> 104 < time) low = middle + 1;
            else high = middle;
        }
        return false;
    }

    /// @inheritdoc IRiskArrays
    function blob(uint8 underlying, uint256 epochId, uint40 expiry) public view returns (address pointer) {
        pointer = _blobs[underlying][epochId][expiry];
        if (pointer == address(0)) revert UnknownBlob(underlying, epochId, expiry);
    }

    /// @inheritdoc IRiskArrays
    function blobs(uint8 underlying, bool ofSettled, uint40[] calldata expiries)
        external
        view
        returns (uint256 id, Basis memory basis, address[] memory pointers)
    {
        id = ofSettled ? _settledId(underlying) : _currentId(underlying);
        Epoch storage found = _epochs[underlying][id];
        (basis.price, basis.reportTimestamp, basis.version) = (found.price, found.reportTimestamp, found.version);
        mapping(uint40 expiry => address) storage pointed = _blobs[underlying][id];
        pointers = new address[](expiries.length);
        for (uint256 i; i < expiries.length; ++i) {
            pointers[i] = pointed[expiries[i]];
        }
    }

    /// @notice A publisher's progress on an underlying.
    function draft(uint8 underlying, address who) external view returns (Draft memory) {
        return _drafts[underlying][who];
    }

    function _currentId(uint8 underlying) private view returns (uint256 id) {
        id = _newestId(underlying);
        if (id == 0) revert NoEpoch(underlying);
    }

    function _settledId(uint8 underlying) private view returns (uint256 id) {
        id = _idAt(underlying, _settledPlaces(underlying, _lines[underlying]));
        if (id == 0) revert NoEpoch(underlying);
    }

    /// @dev The last epoch in force, all zero where there is none.
    function _newest(uint8 underlying) internal view returns (Epoch storage) {
        return _epochs[underlying][_newestId(underlying)];
    }

    function _newestId(uint8 underlying) private view returns (uint256) {
        Line memory line = _lines[underlying];
        return line.voidedAt == 0 ? line.current : _idAt(underlying, _places(underlying, line));
    }

    /// @dev Entries in force.
    function _places(uint8 underlying, Line memory line) private view returns (uint256) {
        return line.voidedAt == 0 ? line.complete : _settledPlaces(underlying, line);
    }

    function _idAt(uint8 underlying, uint256 places) private view returns (uint256) {
        return places == 0 ? 0 : uint64(_entries[underlying][places - 1]);
    }

    /// @dev Makes an epoch the last entry.
    function _append(uint8 underlying, uint256 id) internal {
        Epoch storage done = _epochs[underlying][id];
        done.completedAt = uint40(block.timestamp);
        Line memory line = _lines[underlying];
        line.complete = uint32(_places(underlying, line));
        line.voidedAt = 0;
        _entries[underlying][line.complete] = uint256(done.reportTimestamp) << 104 | block.timestamp << 64 | id;
        line.settled = uint32(_settledPlaces(underlying, line));
        line.current = uint32(id);
        ++line.complete;
        _lines[underlying] = line;
        emit EpochCompleted(underlying, id);
    }

    /// @dev Cuts back every underlying on which `who` has completed an unsettled epoch. Epochs of others that came
    /// between go too: they rest on the same minutes, and the next publication replaces them. Only the time is noted:
    /// a search here would let a publisher of many short epochs make the proof against him dear.
    function _voidUnsettled(address who) internal {
        uint256 left = _publishers[who].underlyings;
        for (uint8 underlying; left != 0; (left >>= 1, ++underlying)) {
            if (left & 1 == 0) continue;
            if (_drafts[underlying][who].completedAt + _WINDOW <= block.timestamp) continue;
            Line storage line = _lines[underlying];
            if (line.voidedAt == 0) line.voidedAt = uint40(block.timestamp);
            line.excusedTo = uint40(block.timestamp);
            emit EpochsVoided(underlying);
        }
    }

    /// @dev Number of entries completed a window ago or more, or a window before a proof voided the later ones.
    /// `line.settled` was exact at the last completion, so doubling steps from there and a bisection read at most
    /// 2·log₂(n) + 2 entries, n those of about one window.
    function _settledPlaces(uint8 underlying, Line memory line) private view returns (uint256 low) {
        uint256 at = line.voidedAt == 0 ? block.timestamp : line.voidedAt;
        low = line.settled;
        uint256 high = line.complete;
        for (uint256 step = 1; low < high; step *= 2) {
            uint256 probe = low + step < high ? low + step - 1 : high - 1;
            if (!_isSettled(_entries[underlying][probe], at)) {
                high = probe;
                break;
            }
            low = probe + 1;
        }
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if (_isSettled(_entries[underlying][middle], at)) low = middle + 1;
            else high = middle;
        }
    }

    function _isSettled(uint256 entry, uint256 at) private view returns (bool) {
        return uint40(entry >> 64) + uint256(_WINDOW) <= at;
    }
}
