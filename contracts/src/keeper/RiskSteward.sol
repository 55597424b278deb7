// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {Bonuses} from "../reference/Bonuses.sol";
import {IProducts} from "../reference/interfaces/IProducts.sol";
import {VenueRules} from "../reference/VenueRules.sol";
import {IRiskSteward} from "./interfaces/IRiskSteward.sol";
import {StewardRules} from "./StewardRules.sol";
import {VenueRecords} from "./VenueRecords.sol";

/// @title The owner sets terms, the controller writes within them, the guardian tightens IM and opening, holds MM or stops.
/// No write and nothing the guardian does tightens MM within the grace: the venue's own ramps see to that.
contract RiskSteward is IRiskSteward, VenueRecords, Ownable2Step {
    struct Parameter {
        Terms terms;
        uint40 writtenAt; // by the controller, or when it first had terms
        bool guarded;
        uint128 guard; // the guardian's number
    }

    address public controller;
    address public guardian;
    bool public stopped;
    mapping(Field field => mapping(uint8 id => Parameter)) private _parameters;

    constructor(
        IProducts products,
        VenueRules venue,
        Bonuses auctions,
        address owner_,
        address controller_,
        address guardian_
    ) VenueRecords(products, venue, auctions) Ownable(owner_) {
        _setController(controller_);
        _setGuardian(guardian_);
    }

    // ---- owner ----

    /// @notice First or new terms, around every number in force and, while MM is on its way, around where it began: to
    /// narrow them further, move the number first.
    function setTerms(Field field, uint8 id, Terms calldata terms_) external onlyOwner {
        if (terms_.step == 0 || terms_.delay == 0) revert TermsIncomplete(terms_.step, terms_.delay);
        (uint256 im, uint256 mm) = inForce(field, id);
        StewardRules.requireWithin(terms_, number(field, id));
        StewardRules.requireWithin(terms_, im);
        StewardRules.requireWithin(terms_, mm);
        if (mm != im) StewardRules.requireWithin(terms_, _began(field, id));
        Parameter storage p = _parameters[field][id];
        if (p.terms.step == 0) p.writtenAt = uint40(block.timestamp);
        p.terms = terms_;
        emit TermsSet(field, id, terms_);
    }

    /// @notice End the guardian's hold on a number: the controller may loosen it again. The number stays.
    function lift(Field field, uint8 id) external onlyOwner {
        _known(field, id).guarded = false;
        emit Lifted(field, id);
    }

    function setController(address controller_) external onlyOwner {
        _setController(controller_);
    }

    function setGuardian(address guardian_) external onlyOwner {
        _setGuardian(guardian_);
    }

    function resume() external onlyOwner {
        stopped = false;
        emit Resumed();
    }

    // ---- controller ----

    /// @inheritdoc IRiskSteward
    function write(Change[] calldata changes) external {
        _requireAllowed(msg.sender == controller);
        if (stopped) revert WritesStopped();
        uint256 next;
        while (next < changes.length) {
            next = _writeRecord(changes, next);
        }
    }

    /// @dev From `first` all changes of the same record. Returns the first that is not.
    function _writeRecord(Change[] calldata changes, uint256 first) private returns (uint256 next) {
        (Record record, uint8 id) = (_recordOf(changes[first].field), changes[first].id);
        uint256[] memory numbers = _read(record, id);
        for (next = first; next < changes.length; ++next) {
            if (_recordOf(changes[next].field) != record || changes[next].id != id) break;
            _change(changes[next], numbers);
        }
        _write(record, id, numbers);
    }

    function _change(Change calldata change, uint256[] memory numbers) private {
        Parameter storage p = _known(change.field, change.id);
        uint256 place = _placeOf(change.field);
        StewardRules.check(p.terms, p.writtenAt, numbers[place], change.expected, change.number, block.timestamp);
        if (p.guarded && _tighter(change.field, p.guard, change.number)) {
            revert LooserThanGuarded(change.number, p.guard);
        }
        (numbers[place], p.writtenAt) = (change.number, uint40(block.timestamp));
        emit NumberWritten(change.field, change.id, change.expected, change.number);
    }

    // ---- guardian ----

    /// @inheritdoc IRiskSteward
    function tighten(Field field, uint8 id, uint128 number_) external {
        _requireAllowed(msg.sender == guardian);
        if (field != Field.ImScalar && field != Field.ShortImRate && field != Field.Cap && field != Field.LeastNotional)
        {
            revert NotForGuardian(field);
        }
        Parameter storage p = _known(field, id);
        StewardRules.requireWithin(p.terms, number_);
        uint256[] memory numbers = _read(_recordOf(field), id);
        uint256 previous = numbers[_placeOf(field)];
        if (!_tighter(field, number_, previous)) revert NotTighter(number_, previous);
        (numbers[_placeOf(field)], p.guarded, p.guard) = (number_, true, number_);
        _write(_recordOf(field), id, numbers);
        emit Tightened(field, id, previous, number_);
    }

    /// @inheritdoc IRiskSteward
    function holdMargin(uint8 underlying) external {
        _requireAllowed(msg.sender == guardian);
        PRODUCTS.holdMargin(underlying);
    }

    /// @inheritdoc IRiskSteward
    function holdHaircut(uint8 index) external {
        _requireAllowed(msg.sender == guardian);
        PRODUCTS.holdHaircut(index);
    }

    /// @inheritdoc IRiskSteward
    function stop() external {
        _requireAllowed(msg.sender == guardian || msg.sender == owner());
        stopped = true;
        emit Stopped(msg.sender);
    }

    // ---- reading ----

    /// @inheritdoc IRiskSteward
    function number(Field field, uint8 id) public view returns (uint256) {
        return _read(_recordOf(field), id)[_placeOf(field)];
    }

    /// @inheritdoc IRiskSteward
    function terms(Field field, uint8 id) external view returns (Terms memory) {
        return _known(field, id).terms;
    }

    /// @inheritdoc IRiskSteward
    function readyAt(Field field, uint8 id) external view returns (uint256) {
        Parameter storage p = _known(field, id);
        return uint256(p.writtenAt) + p.terms.delay;
    }

    /// @inheritdoc IRiskSteward
    function guarded(Field field, uint8 id) external view returns (bool, uint128) {
        Parameter storage p = _known(field, id);
        return (p.guarded, p.guard);
    }

    function _known(Field field, uint8 id) private view returns (Parameter storage p) {
        p = _parameters[field][id];
        if (p.terms.step == 0) revert NoTerms(field, id);
    }

    /// @dev Of the guardian's fields.
    function _tighter(Field field, uint256 left, uint256 right) private pure returns (bool) {
        return field == Field.Cap ? left < right : left > right;
    }

    function _requireAllowed(bool allowed) private view {
        if (!allowed) revert NotAuthorised(msg.sender, msg.sig);
    }

    function _setController(address controller_) private {
        controller = controller_;
        emit ControllerSet(controller_);
    }

    function _setGuardian(address guardian_) private {
        guardian = guardian_;
        emit GuardianSet(guardian_);
    }
}
