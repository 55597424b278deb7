// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {BPS, Book, Check, Instruments, Legs, NO_SCENARIO, ROWS, Report, Slice, UNIT, WAD, WORDS} from "./Types.sol";
import {IMargin} from "./interfaces/IMargin.sol";
import {IPrices} from "./interfaces/IPrices.sol";
import {IProducts} from "./interfaces/IProducts.sol";
import {IRiskArrays} from "./interfaces/IRiskArrays.sol";
import {ArraySums} from "./margin/ArraySums.sol";
import {ALL_ROWS, Expiry, Group, LEGS_ALONE, Portfolio, Portfolios} from "./margin/Portfolios.sol";
import {Requirements} from "./margin/Requirements.sol";
import {Option} from "./math/Option.sol";
import {Rounding} from "./math/Rounding.sol";
import {Scan} from "./math/Scan.sol";
import {Words} from "./math/Words.sol";

/// @title The margin rules of docs/risk-arrays.md, "Margin of an account".
contract Margin is IMargin {
    using Portfolios for Portfolio;

    /// Which epoch is read, and how strictly.
    enum Source {
        Newest,
        Settled,
        NewestRegardless,
        SettledRegardless
    }

    IPrices public immutable PRICES;
    IProducts public immutable PRODUCTS;
    IRiskArrays public immutable RISK_ARRAYS;
    uint256 public immutable MAX_REPORT_AGE;
    uint256 public immutable MAX_EPOCH_AGE;
    uint256 public immutable MAX_SLICE_AGE;

    constructor(
        IPrices prices,
        IProducts products,
        IRiskArrays riskArrays,
        uint256 maxReportAge,
        uint256 maxEpochAge,
        uint256 maxSliceAge
    ) {
        (PRICES, PRODUCTS, RISK_ARRAYS) = (prices, products, riskArrays);
        (MAX_REPORT_AGE, MAX_EPOCH_AGE, MAX_SLICE_AGE) = (maxReportAge, maxEpochAge, maxSliceAge);
    }

    /// @inheritdoc IMargin
    function byArrays(Book calldata book) external view returns (Check memory) {
        return _byArrays(book, Source.Newest);
    }

    /// @inheritdoc IMargin
    function bySettledArrays(Book calldata book) external view returns (Check memory) {
        return _byArrays(book, Source.Settled);
    }

    /// @inheritdoc IMargin
    function byArraysRegardless(Book calldata book) external view returns (Check memory) {
        return _byArrays(book, Source.NewestRegardless);
    }

    /// @inheritdoc IMargin
    function bySettledArraysRegardless(Book calldata book) external view returns (Check memory) {
        return _byArrays(book, Source.SettledRegardless);
    }

    /// @inheritdoc IMargin
    function byScenario(Book calldata book, uint256 scenarios) external view returns (Check memory check) {
        (check,) = _byScenario(book, scenarios);
    }

    /// @inheritdoc IMargin
    function byScenarioAndValues(Book calldata book, uint256 scenarios)
        external
        view
        returns (Check memory check, int256[] memory fine)
    {
        return _byScenario(book, scenarios);
    }

    /// @inheritdoc IMargin
    function byMarks(Book calldata book) external view returns (Check memory check) {
        (check,) = _byScenario(book, type(uint256).max);
    }

    function _byScenario(Book calldata book, uint256 scenarios)
        private
        view
        returns (Check memory, int256[] memory fine)
    {
        Portfolio memory p = Portfolios.gather(book.legs, book.collateral.length);
        _addCollateral(p, book.collateral);
        for (uint256 i; i < p.groups.length; ++i) {
            p.groups[i].row = _row(p.groups[i], scenarios);
        }
        fine = _addProven(p, book.legs);
        return (_check(p, book.cash), fine);
    }

    /// @inheritdoc IMargin
    function byLegs(Book calldata book) external view returns (Check memory) {
        Portfolio memory p = Portfolios.gather(book.legs, book.collateral.length);
        _addCollateral(p, book.collateral);
        for (uint256 i; i < p.groups.length; ++i) {
            p.groups[i].row = LEGS_ALONE;
        }
        _addAlone(p, book.legs);
        return _check(p, book.cash);
    }

    /// @inheritdoc IMargin
    function mark(uint128 instrument) external view returns (uint256) {
        uint8 underlying = Instruments.underlyingOf(instrument);
        (Report memory report,,) = PRICES.newest(underlying);
        _requireFresh(underlying, report.timestamp);
        uint40 expiry = Instruments.expiryOf(instrument);
        if (expiry == 0) return report.price;
        return Option.mark(Option.prepare(report, _freshSlice(report, expiry)), instrument);
    }

    /// @inheritdoc IMargin
    function values(uint256[] calldata legs) external view returns (int256[] memory fine) {
        Portfolio memory p = Portfolios.gather(legs, 0);
        Option.Expiry[] memory prepared = _prepare(p, false);
        fine = new int256[](legs.length);
        for (uint256 i; i < legs.length; ++i) {
            uint128 id = Legs.idOf(legs[i]);
            uint256 at = p.expiryOf[i];
            uint256 price = at == 0
                ? p.groups[p.group(Instruments.underlyingOf(id))].price
                : Option.mark(prepared[at - 1], id) / UNIT * UNIT;
            fine[i] = Legs.sizeOf(legs[i]) * int256(price);
        }
    }

    // ---- by arrays ----

    function _byArrays(Book calldata book, Source source) private view returns (Check memory) {
        Portfolio memory p = Portfolios.gather(book.legs, book.collateral.length);
        _addCollateral(p, book.collateral);
        for (uint256 i; i < p.groups.length; ++i) {
            _open(p, p.groups[i], source);
        }
        ArraySums.addAll(p, book.legs);
        for (uint256 i; i < p.groups.length; ++i) {
            Requirements.setDrift(p.groups[i]);
        }
        return _check(p, book.cash);
    }

    /// Prices of a group; where it has options, its epoch and their blobs.
    function _open(Portfolio memory p, Group memory g, Source source) private view {
        uint8 underlying = uint8(g.underlying);
        uint256 timestamp = _quote(g);
        g.row = ALL_ROWS;
        if (g.expiries == 0) {
            _setParameters(g, 0, timestamp);
            return;
        }
        uint40[] memory expiries = p.expiriesOf(g);
        (uint256 id, IRiskArrays.Basis memory epoch, address[] memory blobs) =
            RISK_ARRAYS.blobs(underlying, source == Source.Settled || source == Source.SettledRegardless, expiries);
        g.epochPrice = epoch.price;
        _setParameters(g, epoch.version, epoch.reportTimestamp);
        g.factors = Scan.prices(g.scan);
        if (source < Source.NewestRegardless) _requireUsable(g, epoch, source);
        _attach(p, g, timestamp, id, blobs);
    }

    function _requireUsable(Group memory g, IRiskArrays.Basis memory epoch, Source source) private view {
        bool settled = source == Source.Settled;
        uint256 limit = settled ? MAX_EPOCH_AGE + RISK_ARRAYS.window() : MAX_EPOCH_AGE;
        uint256 age = block.timestamp - epoch.reportTimestamp;
        if (age > limit) revert StaleEpoch(uint8(g.underlying), age, limit);
        limit = settled ? g.scan.scan / 2 : Scan.moveLimit(g.scan);
        uint256 moved = g.price > g.epochPrice ? g.price - g.epochPrice : g.epochPrice - g.price;
        if (moved * WAD > g.epochPrice * limit) revert MovedTooFar(uint8(g.underlying), g.price, g.epochPrice, limit);
    }

    /// @dev `blobs` in the order of `expiriesOf(g)`.
    function _attach(Portfolio memory p, Group memory g, uint256 timestamp, uint256 epoch, address[] memory blobs)
        private
        view
    {
        uint256 n;
        for (uint256 i; n < blobs.length; ++i) {
            Expiry memory e = p.expiries[i];
            if (e.key >> 40 != g.underlying) continue;
            if (uint40(e.key) <= timestamp) revert Unsettled(uint8(g.underlying), uint40(e.key));
            (e.epoch, e.blob) = (epoch, blobs[n++]);
            e.arrays = ArraySums.count(e.blob);
        }
    }

    // ---- by one scenario ----

    function _row(Group memory g, uint256 scenarios) private pure returns (uint256 row) {
        row = uint8(scenarios >> 8 * g.underlying);
        if (row >= ROWS && row != NO_SCENARIO) revert UnknownRow(uint8(g.underlying), row);
    }

    /// Prices of every group, and what the options of every expiry share; for marks alone the rows are left out.
    function _prepare(Portfolio memory p, bool rows) private view returns (Option.Expiry[] memory prepared) {
        uint256 n = p.expiries.length;
        assembly ("memory-safe") {
            // Every place is filled below; `new` would fill each with an empty struct first.
            prepared := mload(0x40)
            mstore(prepared, n)
            mstore(0x40, add(prepared, shl(5, add(n, 1))))
        }
        for (uint256 i; i < p.groups.length; ++i) {
            Group memory g = p.groups[i];
            if (g.expiries != 0) {
                _prepareOptions(p, g, rows, prepared);
            } else {
                uint256 timestamp = _quote(g);
                if (rows) _setParameters(g, 0, timestamp);
            }
        }
    }

    function _prepareOptions(Portfolio memory p, Group memory g, bool rows, Option.Expiry[] memory prepared)
        private
        view
    {
        (Report memory report,,) = PRICES.newest(uint8(g.underlying));
        (g.price, g.confidence, g.epochPrice) = (report.price, report.confidence, report.price);
        _requireFresh(uint8(g.underlying), report.timestamp);
        if (rows) {
            _setParameters(g, 0, report.timestamp);
            g.factors = Scan.prices(g.scan);
        }
        if (g.row == LEGS_ALONE) (g.coverUp, g.coverDown) = Scan.deepCovers(g.scan);
        for (uint256 i; i < prepared.length; ++i) {
            uint256 key = p.expiries[i].key;
            if (key >> 40 != g.underlying) continue;
            Slice memory slice = _freshSlice(report, uint40(key));
            prepared[i] = rows ? Option.prepare(report, slice, g.scan, g.factors) : Option.prepare(report, slice);
        }
    }

    /// The words that the proof needs, recomputed leg by leg. Returns what each leg is worth.
    function _addProven(Portfolio memory p, uint256[] calldata legs) private view returns (int256[] memory fine) {
        Option.Expiry[] memory prepared = _prepare(p, true);
        Group[] memory groupOf = p.groupOfExpiry();
        fine = new int256[](legs.length);
        for (uint256 i; i < legs.length; ++i) {
            (uint256 leg, uint256 at) = (legs[i], p.expiryOf[i]);
            if (at == 0) fine[i] = Legs.sizeOf(leg) * int256(p.groups[p.group(leg >> 248)].price);
            else fine[i] = _addProvenLeg(groupOf[at - 1], prepared[at - 1], leg);
        }
    }

    /// @dev Unchecked: |size| <= 2¹²⁷, and words of forwards below 2¹²⁸ wad are below 2⁸⁹ units.
    function _addProvenLeg(Group memory g, Option.Expiry memory e, uint256 leg) private pure returns (int256) {
        (int256 marked, int256 delta, int256 atRow) = Option.leg(e, Legs.idOf(leg), g.row);
        int256 size = Legs.sizeOf(leg);
        int256[WORDS] memory words = g.words;
        unchecked {
            words[Words.MARK] += size * marked;
            words[Words.DELTA] += size * delta;
            if (g.row != NO_SCENARIO) words[Words.FIRST_ROW + g.row] += size * (atRow - marked);
            return size * marked * int256(UNIT);
        }
    }

    /// What each option can lose with nothing beside it, leg by leg.
    function _addAlone(Portfolio memory p, uint256[] calldata legs) private view {
        Option.Expiry[] memory prepared = _prepare(p, true);
        Group[] memory groupOf = p.groupOfExpiry();
        for (uint256 i; i < legs.length; ++i) {
            uint256 at = p.expiryOf[i];
            if (at != 0) _addLegAlone(groupOf[at - 1], prepared[at - 1], legs[i]);
        }
    }

    /// @dev Unchecked: as above, and a loss is at most its cover, 2¹⁶, times a word.
    function _addLegAlone(Group memory g, Option.Expiry memory e, uint256 leg) private pure {
        int256 size = Legs.sizeOf(leg);
        uint128 id = Legs.idOf(leg);
        uint256 deepCover = Instruments.isCall(id) ? g.coverUp : g.coverDown;
        (int256 marked, int256 delta, uint256 loss) = Option.alone(e, id, size < 0, deepCover);
        int256[WORDS] memory words = g.words;
        unchecked {
            words[Words.MARK] += size * marked;
            words[Words.DELTA] += size * delta;
            words[Words.FIRST_ROW] += (size < 0 ? -size : size) * int256(loss);
        }
    }

    // ---- both ----

    function _addCollateral(Portfolio memory p, uint256[] calldata collateral) private view {
        for (uint256 i; i < collateral.length; ++i) {
            (uint8 underlying, uint8 decimals, uint16 haircut, uint16 haircutMm) =
                PRODUCTS.collateralTerms(collateral[i] >> 128);
            uint256 amount = uint128(collateral[i]) * 10 ** (18 - decimals);
            Group memory g = p.groups[p.group(underlying)];
            g.linear += int256(amount);
            g.haircut += haircut * amount;
            g.haircutMm += haircutMm * amount;
        }
    }

    function _check(Portfolio memory p, int256 cash) private pure returns (Check memory check) {
        int256 worth = cash * int256(WAD);
        for (uint256 i; i < p.groups.length; ++i) {
            Group memory g = p.groups[i];
            int256 marked = Requirements.markValue(g);
            (uint256 im, uint256 mm) = Requirements.charge(g, Requirements.worstLoss(g, marked));
            worth += marked;
            check.im += im;
            check.mm += mm;
        }
        check.equity = Rounding.fdiv(worth, int256(WAD));
        check.im = Rounding.cdiv(check.im, WAD * BPS * BPS);
        check.mm = Rounding.cdiv(check.mm, WAD * BPS * BPS);
    }

    /// @dev `version` 0: the one in force. `time` is the report's that the rows are for.
    function _setParameters(Group memory g, uint32 version, uint256 time) private view {
        (uint256 a, uint256 b, uint256 c, uint256 im, uint256 mm) =
            PRODUCTS.packedParameters(uint8(g.underlying), version, time);
        Portfolios.setParameters(g, a, b, c, im, mm);
    }

    /// Price and confidence of the newest report, and the price as its own reference until an epoch says another.
    function _quote(Group memory g) private view returns (uint256 timestamp) {
        (g.price, g.confidence, timestamp) = PRICES.quote(uint8(g.underlying));
        g.epochPrice = g.price;
        _requireFresh(uint8(g.underlying), timestamp);
    }

    function _freshSlice(Report memory report, uint40 expiry) private view returns (Slice memory slice) {
        if (expiry <= report.timestamp) revert Unsettled(report.underlying, expiry);
        (slice,,) = PRICES.newestSlice(report.underlying, expiry);
        uint256 age = block.timestamp - slice.timestamp;
        if (age > MAX_SLICE_AGE) revert StaleSlice(report.underlying, expiry, age, MAX_SLICE_AGE);
    }

    function _requireFresh(uint8 underlying, uint256 timestamp) private view {
        uint256 age = block.timestamp - timestamp;
        if (age > MAX_REPORT_AGE) revert StaleReport(underlying, age, MAX_REPORT_AGE);
    }
}
