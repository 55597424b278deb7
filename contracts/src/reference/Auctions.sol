// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {AuctionMath} from "./AuctionMath.sol";
import {Bonuses} from "./Bonuses.sol";
import {BookParts} from "./BookParts.sol";
import {IAuctions} from "./interfaces/IAuctions.sol";
import {IMargin} from "./interfaces/IMargin.sol";
import {IMarginVenue} from "./interfaces/IMarginVenue.sol";
import {IPrices} from "./interfaces/IPrices.sol";
import {IProducts} from "./interfaces/IProducts.sol";
import {ANY_SEQUENCE, BPS, Book, Check, WAD} from "./Types.sol";

/// @title Auctions
/// @notice Holds nothing but which account is in auction since when; the venue moves what a take moves.
contract Auctions is Bonuses {
    /// @dev Reason in AuctionRefused where the transaction has not enough gas left for one start.
    error GasTooLow(uint256 left, uint256 needed);

    uint256 private constant NO_SCENARIOS = type(uint256).max;
    uint256 private constant FIRST_ACCOUNT = 1 << 96; // ids below are the venue's own

    struct Settings {
        uint256 buffer; // above MM after a take, BPS
        uint256 discountCap; // share of MM, BPS
        uint256 growth; // seconds from 0 to the cap
        uint256 startGas; // for each start of startAuctions
        uint256 bonus; // most that the fund adds to discounts in a period, USD wad
        uint256 bonusPeriod; // seconds
    }

    struct Take {
        uint256 fraction;
        AuctionMath.Payment paid;
        bool restored;
    }

    IMarginVenue public immutable venue;
    IMargin public immutable margin;
    IPrices public immutable prices;
    IProducts public immutable products;
    uint256 public immutable buffer;
    uint256 public immutable discountCap;
    uint256 public immutable growth;
    uint256 public immutable startGas;

    mapping(uint256 account => Auction) private _auctions;
    /// The rows that proved the shortfall, as a complement: 0 where arrays did, which costs no slot.
    mapping(uint256 account => uint256) private _proof;
    uint64 private _lastId;

    constructor(
        IMarginVenue venue_,
        IMargin margin_,
        IPrices prices_,
        IProducts products_,
        Settings memory settings,
        address owner_
    ) Bonuses(settings.bonus, settings.bonusPeriod, owner_) {
        // A discount below MM is what keeps (1 + incentive) × loan-to-value below 1: at equity = MM an account of
        // worth V owes V − MM, the taker has V for V − D, and V ÷ (V − D) × (V − MM) ÷ V < 1 while D < MM. Products has
        // let no haircut in that its largest incentive would outweigh, so the cap is at most that.
        uint256 most = products_.MOST_INCENTIVE();
        _requireRange("discountCap", settings.discountCap, 1, most < BPS ? most : BPS - 1);
        _requireRange("buffer", settings.buffer, 1, BPS); // AuctionMath's slack counts on 1 + buffer ≤ 2
        _requireRange("growth", settings.growth, 1, 1 days);
        _requireRange("startGas", settings.startGas, 100_000, 30_000_000);
        venue = venue_;
        margin = margin_;
        prices = prices_;
        products = products_;
        buffer = settings.buffer;
        discountCap = settings.discountCap;
        growth = settings.growth;
        startGas = settings.startGas;
    }

    function _requireSteward() internal view override {
        address steward = products.steward();
        if (msg.sender != steward) revert IProducts.NotSteward(msg.sender, steward);
    }

    /// @inheritdoc IAuctions
    function auction(uint256 account) external view returns (Auction memory) {
        return _auctions[account];
    }

    /// @inheritdoc IAuctions
    function discount(uint256 account) public view returns (uint256) {
        uint256 since = _auctions[account].startedAt;
        if (since == 0) return 0;
        return AuctionMath.grown(block.timestamp - since, discountCap, growth);
    }

    // ---- start and end ----

    /// @inheritdoc IAuctions
    function startAuction(StartCall calldata call) public returns (uint64 auctionId) {
        _requireTime(call.deadline);
        uint64 sequence = _sequence(call.account, call.expectedSequence);
        if (call.account < FIRST_ACCOUNT) revert NothingToTake(call.account);
        auctionId = _auctions[call.account].id;
        if (auctionId != 0) revert AlreadyInAuction(call.account, auctionId);
        venue.touch(call.account);
        Book memory book = venue.book(call.account);
        (int256 equity, uint256 mm) = _shortfall(call.account, book, call.byArrays, call.scenarios);
        auctionId = ++_lastId;
        _auctions[call.account] = Auction(auctionId, uint40(block.timestamp));
        if (!call.byArrays) _proof[call.account] = ~call.scenarios;
        emit AuctionStarted(call.account, auctionId, sequence, equity, mm);
    }

    /// @inheritdoc IAuctions
    function startAuctions(StartCall[] calldata calls) external returns (uint256 started) {
        // An inner call gets at most 63/64 of what is left: with less, running out would look like a healthy account.
        uint256 needed = startGas * 64 / 63 + 20_000;
        for (uint256 i; i < calls.length; ++i) {
            if (gasleft() < needed) {
                emit AuctionRefused(calls[i].account, i, abi.encodeWithSelector(GasTooLow.selector, gasleft(), needed));
                continue;
            }
            try this.startAuction{gas: startGas}(calls[i]) returns (uint64) {
                ++started;
            } catch (bytes memory reason) {
                emit AuctionRefused(calls[i].account, i, reason);
            }
        }
    }

    /// @inheritdoc IAuctions
    function endAuction(EndCall calldata call) external {
        uint256 account = call.account;
        _requireExpected(account, call.auctionId, call.deadline);
        _sequence(account, call.expectedSequence);
        venue.touch(account);
        Book memory book = venue.book(account);
        // Both sets where both can be read, and what proved the shortfall, which no publisher can age or falsify: nothing
        // but a change of the account or of the world may restart the discount's clock.
        bool fresh = _requireAtMaintenance(account, IMargin.byArrays.selector, book);
        bool settledFresh = _requireAtMaintenance(account, IMargin.bySettledArrays.selector, book);
        if (!fresh && !settledFresh) _requireMaintenance(account, margin.byLegs(book));
        _requireMaintenance(account, margin.byScenario(book, ~_proof[account]));
        _close(account, call.auctionId, false);
    }

    function _close(uint256 account, uint64 id, bool byTake) private {
        delete _auctions[account];
        delete _proof[account];
        emit AuctionEnded(account, id, byTake);
    }

    function _requireMaintenance(uint256 account, Check memory check) private pure {
        if (check.equity < int256(check.mm)) revert StillBelowMaintenance(account, check.equity, check.mm);
    }

    /// @dev Whether the arrays can be read; reverts where they show less than MM.
    function _requireAtMaintenance(uint256 account, bytes4 path, Book memory book)
        private
        view
        returns (bool readable)
    {
        bytes memory answer;
        (readable, answer) = address(margin).staticcall(abi.encodeWithSelector(path, book));
        if (!readable) return false;
        _requireMaintenance(account, abi.decode(answer, (Check)));
    }

    // ---- take ----

    /// @inheritdoc IAuctions
    function take(TakeCall calldata call) external returns (uint256 fraction, int256 price) {
        uint64 sequence = _requireExpected(call);
        Take memory taken = _plan(call);
        _countBonus(call.account, call.auctionId, taken.paid.bonus);
        venue.seize(call.account, call.taker, taken.fraction, taken.paid.price, taken.paid.fromFund, taken.paid.shared);
        _requireInitialMargin(call.taker, call.takerByLegs && !call.byArrays);
        (fraction, price) = (taken.fraction, taken.paid.price);
        emit Taken(
            call.account, call.auctionId, sequence, call.taker, fraction, price, taken.paid.fromFund, taken.paid.shared
        );
        if (taken.restored) _close(call.account, call.auctionId, true);
    }

    function _requireExpected(TakeCall calldata call) private view returns (uint64 sequence) {
        _requireExpected(call.account, call.auctionId, call.deadline);
        if (call.account == call.taker) revert OwnAccount(call.account);
        if (!venue.mayAct(call.taker, msg.sender, IAuctions.take.selector)) {
            revert IMarginVenue.NotAuthorised(call.taker, msg.sender, IAuctions.take.selector);
        }
        sequence = _sequence(call.account, call.expectedSequence);
        _sequence(call.taker, call.takerSequence);
    }

    function _plan(TakeCall calldata call) private view returns (Take memory taken) {
        Book memory book = venue.book(call.account);
        (AuctionMath.Terms memory terms, int256[] memory values) = _terms(call, book);
        AuctionMath.Concentration[] memory parts;
        (parts, terms.grain) = BookParts.concentrations(book, products, prices);
        taken.fraction = AuctionMath.largest(terms, parts, buffer);
        if (call.maxFraction < taken.fraction) taken.fraction = call.maxFraction;
        if (!AuctionMath.meaningful(terms, taken.fraction)) revert NothingToTake(call.account);
        uint256[] memory units = BookParts.units(book, products, prices);
        taken.paid = _pay(terms, taken.fraction, AuctionMath.worthOf(book, values, units, taken.fraction));
        int256 quoted = AuctionMath.quote(terms, taken.fraction, taken.paid.unpaid);
        if (quoted > call.maxPrice) revert PriceAboveLimit(quoted, call.maxPrice);
        taken.restored = _restored(terms, parts, taken.fraction);
    }

    /// @dev Paid for at the marks of the newest report, whichever set has shown the shortfall.
    function _terms(TakeCall calldata call, Book memory book)
        private
        view
        returns (AuctionMath.Terms memory terms, int256[] memory values)
    {
        if (call.byArrays) (, terms.mm) = _shortfall(call.account, book, true, 0);
        Check memory check;
        (check, values) = margin.byScenarioAndValues(book, call.byArrays ? NO_SCENARIOS : call.scenarios);
        terms.equity = check.equity;
        if (!call.byArrays) terms.mm = check.mm;
        if (terms.equity >= int256(terms.mm)) revert NotBelowMaintenance(call.account, terms.equity, terms.mm);
        terms.discount = discount(call.account);
    }

    function _pay(AuctionMath.Terms memory terms, uint256 fraction, int256 value)
        private
        view
        returns (AuctionMath.Payment memory)
    {
        int256 held = venue.fund();
        return AuctionMath.payment(terms, fraction, value, held > 0 ? uint256(held) : 0, bonusLeft());
    }

    /// @dev Lower bound of equity after the take against an upper bound of MM.
    function _restored(AuctionMath.Terms memory terms, AuctionMath.Concentration[] memory parts, uint256 fraction)
        private
        pure
        returns (bool)
    {
        if (fraction == WAD) return true;
        if (terms.equity <= 0) return false;
        (, uint256 borne) = AuctionMath.discounts(terms);
        int256 equity = terms.equity - int256((fraction * borne + WAD - 1) / WAD);
        return equity >= int256(AuctionMath.requirementAfter(terms, parts, fraction));
    }

    /// @dev As the caller says, and only so: one way tried after another would make the dearest take too dear. Without
    /// arrays, so that a silent or lying publisher cannot stop liquidation.
    function _requireInitialMargin(uint256 taker, bool byLegs) private view {
        Book memory book = venue.book(taker);
        if (byLegs) return _requireMet(taker, margin.byLegs(book));
        _requireMet(taker, margin.byArrays(book));
        _requireMet(taker, margin.bySettledArrays(book));
    }

    function _requireMet(uint256 taker, Check memory check) private pure {
        if (check.equity < int256(check.im)) revert TakerBelowInitialMargin(taker, check.equity, check.im);
    }

    // ---- shared ----

    /// @dev Equity and MM by the path the caller chose; reverts where that is no shortfall. By arrays the newest and
    /// the settled set must agree, and the lower MM counts: no array newer than the challenge window can raise it.
    function _shortfall(uint256 account, Book memory book, bool byArrays, uint256 scenarios)
        private
        view
        returns (int256 equity, uint256 mm)
    {
        Check memory check = byArrays ? margin.byArrays(book) : margin.byScenario(book, scenarios);
        (equity, mm) = (check.equity, check.mm);
        if (equity >= int256(mm)) revert NotBelowMaintenance(account, equity, mm);
        if (!byArrays) return (equity, mm);
        check = margin.bySettledArrays(book);
        if (check.equity >= int256(check.mm)) revert NotBelowMaintenance(account, check.equity, check.mm);
        if (check.mm < mm) mm = check.mm;
    }

    function _requireExpected(uint256 account, uint64 auctionId, uint40 deadline) private view {
        _requireTime(deadline);
        uint64 id = _auctions[account].id;
        if (id == 0 || id != auctionId) revert UnexpectedAuction(account, id, auctionId);
    }

    function _requireTime(uint40 deadline) private view {
        if (block.timestamp > deadline) revert IMarginVenue.DeadlinePassed(deadline);
    }

    /// @dev The one found, which must be the one expected if one is.
    function _sequence(uint256 account, uint64 expected) private view returns (uint64 found) {
        found = venue.sequence(account);
        if (found != expected && expected != ANY_SEQUENCE) {
            revert IMarginVenue.UnexpectedSequence(account, found, expected);
        }
    }
}
