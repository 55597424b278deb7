// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";
import {SSTORE2} from "solady/utils/SSTORE2.sol";
import {BondRules} from "./BondRules.sol";
import {Bonds} from "./Bonds.sol";
import {Epochs} from "./Epochs.sol";
import {IPrices} from "./interfaces/IPrices.sol";
import {IProducts} from "./interfaces/IProducts.sol";
import {IRiskArrays} from "./interfaces/IRiskArrays.sol";
import {Recomputation} from "./Recomputation.sol";
import {ARRAY_BYTES, HEADER_BYTES, Instruments, Report, ScanParameters, Slice} from "./Types.sol";

/// @title Risk arrays: publishing, challenging, and the fine for publishing late.
contract RiskArrays is Epochs {
    uint256 private constant _MOST_BYTES = 24_575; // EIP-170's limit less the STOP byte in front

    IPrices public immutable PRICES;
    IProducts public immutable PRODUCTS;
    Recomputation public immutable RECOMPUTATION;
    uint256 public immutable MAX_REPORT_AGE; // seconds, at publication
    uint256 public immutable MAX_SLICE_AGE;

    error NotOfOneExpiry(bytes32 reportId, bytes32 sliceId, uint128 instrument);
    error RecomputationFailed();

    constructor(
        IPrices prices,
        IProducts products,
        IERC20Metadata token,
        Terms memory terms,
        uint256 maxReportAge,
        uint256 maxSliceAge,
        address owner_
    ) Bonds(token, terms, owner_) {
        (PRICES, PRODUCTS) = (prices, products);
        RECOMPUTATION = new Recomputation();
        (MAX_REPORT_AGE, MAX_SLICE_AGE) = (maxReportAge, maxSliceAge);
    }

    /// @inheritdoc IRiskArrays
    function publish(
        uint8 underlying,
        uint40 expiry,
        bytes32 reportId,
        bytes32 sliceId,
        uint32 version,
        bytes32 listingId,
        bytes calldata arrays
    ) external returns (uint256 id) {
        _checkMayPublish(msg.sender);
        id = _draftOn(underlying, expiry, reportId, version);
        _checkRecentSlice(underlying, expiry, sliceId);
        _store(underlying, id, expiry, sliceId, listingId, arrays);
        _drafts[underlying][msg.sender].publishedTo = expiry;
        _publishers[msg.sender].publishedAt = uint40(block.timestamp);
        if (_nextWithOptions(underlying, expiry) == 0) _complete(underlying, id);
    }

    /// @inheritdoc IRiskArrays
    function challenge(uint8 underlying, uint256 id, uint40 expiry, uint256 index) external {
        address pointer = blob(underlying, id, expiry);
        Epoch memory questioned = _epochs[underlying][id];
        _checkChallengeable(questioned);
        uint256 count = (pointer.code.length - 1 - HEADER_BYTES) / ARRAY_BYTES;
        if (index >= count) revert NoArray(index, count);
        bytes memory published = _arrayAt(pointer, index);
        bytes memory correct = _correct(questioned, pointer, PRODUCTS.instrument(underlying, expiry, index));
        if (keccak256(published) == keccak256(correct)) revert ArrayCorrect(underlying, id, expiry, index);
        emit ArrayProvenWrong(underlying, id, expiry, index, published, correct, msg.sender);
        _voidUnsettled(questioned.publisher);
        _slash(questioned.publisher, msg.sender);
    }

    /// @notice Fine the publisher of the current epoch for every second past the heartbeat, counted from the first
    /// newer report, and collect what his bond can pay above the minimum. Anyone may call; the next completion charges
    /// what is left. Reverts NotLate.
    function fine(uint8 underlying) external {
        address late = _charge(underlying);
        if (late == address(0)) revert NotLate(underlying);
        collect(late);
    }

    /// @notice Who is late on an underlying, and seconds not charged yet. 0 where no newer report or no live option is
    /// there to publish on, or where the publisher may publish no more. Time counts only while it was possible to
    /// publish: not while the newest report, or the slice of a live expiry, was too old or missing.
    function lateness(uint8 underlying) public view returns (address late, uint256 time) {
        (late, time,) = _lateness(underlying);
    }

    function _lateness(uint8 underlying) private view returns (address late, uint256 time, uint256 resumed) {
        Line memory line = _lines[underlying];
        Epoch memory last = _newest(underlying);
        uint256 since = PRICES.supersededAt(last.reportId);
        if (last.openedAt == 0 || since == 0) return (address(0), 0, 0);
        late = last.publisher;
        Publisher memory duty = _publishers[late];
        if (!duty.allowed || duty.suspended || duty.bond == 0) return (late, 0, 0);
        since = _later(_later(since, last.completedAt), _later(line.excusedTo, duty.liableFrom)) + HEARTBEAT;
        since = _later(since, line.chargedTo);
        if (block.timestamp <= since) return (late, 0, 0);
        uint256 until;
        (resumed, until) = _publishable(underlying);
        since = _later(since, resumed + HEARTBEAT);
        if (until > since) time = until - since;
    }

    /// @dev The last stretch of time in which an epoch could be published. Where a stretch began is known as long as
    /// the report or slice before the gap is the one before the newest: whoever opens an epoch then writes it down.
    function _publishable(uint8 underlying) private view returns (uint256 resumed, uint256 until) {
        (Report memory report,, bytes32 before) = PRICES.newest(underlying);
        uint40 expiry = _nextWithOptions(underlying, report.timestamp);
        if (expiry == 0) return (0, 0);
        until = FixedPointMathLib.min(block.timestamp, report.timestamp + MAX_REPORT_AGE);
        if (before != 0) {
            uint256 at = PRICES.supersededAt(before);
            if (at > PRICES.report(before).timestamp + MAX_REPORT_AGE) resumed = at;
        }
        for (; expiry != 0; expiry = _nextWithOptions(underlying, expiry)) {
            (uint256 from, uint256 to) = _fitted(underlying, expiry);
            (resumed, until) = (_later(resumed, from), FixedPointMathLib.min(until, to));
        }
    }

    function _fitted(uint8 underlying, uint40 expiry) private view returns (uint256 from, uint256 until) {
        try PRICES.newestSlice(underlying, expiry) returns (Slice memory slice, bytes32, bytes32 before) {
            until = slice.timestamp + MAX_SLICE_AGE;
            if (before == 0 || slice.timestamp > PRICES.slice(before).timestamp + MAX_SLICE_AGE) {
                from = slice.timestamp;
            }
        } catch {} // none yet: no epoch can be completed
    }

    /// @inheritdoc IRiskArrays
    function recompute(bytes32 reportId, bytes32 sliceId, uint32 version, uint128 instrument)
        external
        view
        returns (bytes memory)
    {
        (Report memory report, Slice memory slice, ScanParameters memory scan) =
            _inputs(reportId, sliceId, version, instrument);
        return RECOMPUTATION.array(report, slice, scan, instrument);
    }

    /// @dev The caller's epoch on that report and version, opened if need be; `expiry` must be its next. A publisher
    /// names the version, or parameters set just before his transaction would make a right array wrong.
    function _draftOn(uint8 underlying, uint40 expiry, bytes32 reportId, uint32 version) private returns (uint256 id) {
        Report memory report = _recentReport(underlying, reportId);
        Draft storage mine = _drafts[underlying][msg.sender];
        id = mine.id;
        Epoch storage open = _epochs[underlying][id];
        if (id == 0 || open.reportId != reportId || open.version != version) {
            id = _open(underlying, reportId, report, version);
        }
        uint40 expected = _nextWithOptions(underlying, uint40(_later(mine.publishedTo, report.timestamp)));
        if (expiry != expected) revert WrongOrder(expiry, expected);
    }

    function _open(uint8 underlying, bytes32 reportId, Report memory report, uint32 version)
        private
        returns (uint256 id)
    {
        uint32 inForce = PRODUCTS.scanVersionAt(underlying, report.timestamp);
        if (version != inForce) revert VersionNotInForce(version, inForce);
        _serve(msg.sender, underlying);
        Line storage line = _lines[underlying];
        (,, uint256 resumed) = _lateness(underlying);
        if (resumed > line.excusedTo) line.excusedTo = uint40(resumed);
        id = ++line.opened;
        Draft storage mine = _drafts[underlying][msg.sender];
        (mine.id, mine.publishedTo) = (uint32(id), 0);
        _epochs[underlying][id] = Epoch({
            reportId: reportId,
            publisher: msg.sender,
            reportTimestamp: report.timestamp,
            openedAt: uint40(block.timestamp),
            completedAt: 0,
            version: version,
            price: report.price
        });
        emit EpochOpened(underlying, id, reportId, msg.sender);
    }

    /// @dev A blob's rows have no ids: their meaning is the listing's, which a reorganisation may change.
    function _store(
        uint8 underlying,
        uint256 id,
        uint40 expiry,
        bytes32 sliceId,
        bytes32 listingId,
        bytes calldata arrays
    ) private {
        if (HEADER_BYTES + arrays.length > _MOST_BYTES) {
            revert BlobTooLarge(HEADER_BYTES + arrays.length, _MOST_BYTES);
        }
        Epoch memory open = _epochs[underlying][id];
        (uint256 count, bytes32 listed) = PRODUCTS.listing(underlying, expiry, open.version);
        if (listingId != listed) revert ListingChanged(listingId, listed);
        if (arrays.length != count * ARRAY_BYTES) revert WrongLength(arrays.length, count * ARRAY_BYTES);
        bytes memory header = abi.encodePacked(
            open.reportId, sliceId, open.price, uint64(open.reportTimestamp), open.version, uint32(count)
        );
        address pointer = SSTORE2.write(bytes.concat(header, arrays));
        _blobs[underlying][id][expiry] = pointer;
        emit ArraysPublished(underlying, id, expiry, sliceId, pointer);
    }

    function _complete(uint8 underlying, uint256 id) private {
        (address late, uint256 time) = lateness(underlying);
        if (time > 0) _owe(late, underlying, time); // collected by `fine` or `collect`: publishing moves no money
        Draft storage mine = _drafts[underlying][msg.sender];
        (mine.id, mine.publishedTo, mine.completedAt) = (0, 0, uint40(block.timestamp));
        _append(underlying, id);
    }

    /// @dev Writes down what the publisher of the current epoch owes up to now; 0 where no one is late.
    function _charge(uint8 underlying) private returns (address) {
        (address late, uint256 time) = lateness(underlying);
        if (time == 0) return address(0);
        _lines[underlying].chargedTo = uint40(block.timestamp);
        _owe(late, underlying, time);
        return late;
    }

    /// @dev Only where the current epoch is his: another's lateness is not his to pay.
    function _chargeAll(address who) internal override {
        uint256 left = _publishers[who].underlyings;
        for (uint8 underlying; left != 0; (left >>= 1, ++underlying)) {
            if (left & 1 == 1 && _newest(underlying).publisher == who) _charge(underlying);
        }
    }

    /// @dev Strictly later than the current epoch's report: a second epoch on one report could only hide the first,
    /// and completion in order of report keeps the list searchable.
    function _recentReport(uint8 underlying, bytes32 reportId) private view returns (Report memory report) {
        bytes32 newestId;
        bytes32 before;
        (report, newestId, before) = PRICES.newest(underlying);
        if (reportId != newestId) {
            if (reportId != before || before == 0) revert ReportNotRecent(reportId, newestId, before);
            report = PRICES.report(reportId);
        }
        _checkAge(report.timestamp, MAX_REPORT_AGE);
        uint40 last = _newest(underlying).reportTimestamp;
        if (report.timestamp <= last) revert ReportNotLater(report.timestamp, last);
    }

    function _checkRecentSlice(uint8 underlying, uint40 expiry, bytes32 sliceId) private view {
        (Slice memory slice, bytes32 newestId, bytes32 before) = PRICES.newestSlice(underlying, expiry);
        if (sliceId != newestId) {
            if (sliceId != before || before == 0) revert SliceNotRecent(sliceId, newestId, before);
            slice = PRICES.slice(sliceId);
        }
        _checkAge(slice.timestamp, MAX_SLICE_AGE);
    }

    function _checkAge(uint256 timestamp, uint256 limit) private view {
        if (block.timestamp - timestamp > limit) revert TooOld(block.timestamp - timestamp, limit);
    }

    /// @dev Open from publication until the epoch settles, void and superseded ones too: settled at exactly the second
    /// the window is over.
    function _checkChallengeable(Epoch memory questioned) private view {
        if (_publishers[questioned.publisher].suspended) revert Suspended(questioned.publisher);
        uint256 closed = BondRules.closedFrom(questioned.openedAt, questioned.completedAt, _WINDOW);
        if (block.timestamp >= closed) revert WindowOver(closed);
    }

    /// @dev Inputs no array exists for (a word out of range) make every published array wrong: empty. A revert
    /// without a reason is the caller's lack of gas, and proves nothing.
    function _correct(Epoch memory questioned, address pointer, uint128 instrument)
        private
        view
        returns (bytes memory)
    {
        bytes32 sliceId = bytes32(SSTORE2.read(pointer, 32, 64));
        (Report memory report, Slice memory slice, ScanParameters memory scan) =
            _inputs(questioned.reportId, sliceId, questioned.version, instrument);
        try RECOMPUTATION.array(report, slice, scan, instrument) returns (bytes memory array) {
            return array;
        } catch (bytes memory reason) {
            if (reason.length == 0) revert RecomputationFailed();
            return "";
        }
    }

    function _inputs(bytes32 reportId, bytes32 sliceId, uint32 version, uint128 instrument)
        private
        view
        returns (Report memory report, Slice memory slice, ScanParameters memory scan)
    {
        (report, slice) = (PRICES.report(reportId), PRICES.slice(sliceId));
        uint8 underlying = Instruments.underlyingOf(instrument);
        if (
            report.underlying != underlying || slice.underlying != underlying
                || slice.expiry != Instruments.expiryOf(instrument)
        ) revert NotOfOneExpiry(reportId, sliceId, instrument);
        scan = PRODUCTS.scanParameters(underlying, version, report.timestamp);
    }

    function _arrayAt(address pointer, uint256 index) private view returns (bytes memory) {
        uint256 from = HEADER_BYTES + index * ARRAY_BYTES;
        return SSTORE2.read(pointer, from, from + ARRAY_BYTES);
    }

    /// @dev The first expiry after `after_` that has options, or 0: an expiry listed without any needs no arrays.
    function _nextWithOptions(uint8 underlying, uint40 after_) private view returns (uint40 expiry) {
        expiry = after_;
        do {
            expiry = PRODUCTS.nextExpiry(underlying, expiry);
        } while (expiry != 0 && PRODUCTS.count(underlying, expiry) == 0);
    }

    function _later(uint256 left, uint256 right) private pure returns (uint256) {
        return FixedPointMathLib.max(left, right);
    }
}
