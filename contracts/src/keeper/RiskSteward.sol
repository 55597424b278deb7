// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {Ramp, Ramps, SLOPE} from "./Ramp.sol";
import {StewardRules, Terms} from "./StewardRules.sol";
import {IRiskSteward} from "./interfaces/IRiskSteward.sol";

/// @title Bounded parameters. The owner lists them and sets their terms, the controller writes within those, the
/// guardian tightens IM and opening or stops. No write and nothing the guardian does tightens MM within the grace.
contract RiskSteward is IRiskSteward, Ownable2Step {
    using Ramps for Ramp;

    address public controller;
    address public guardian;
    bool public stopped;
    mapping(bytes32 key => Parameter) private _parameters;

    constructor(address owner_, address controller_, address guardian_) Ownable(owner_) {
        _setController(controller_);
        _setGuardian(guardian_);
    }

    // ---- owner ----

    /// @notice Add a parameter with the number the venue has now. What it counts for and which way is tighter is fixed.
    function list(bytes32 key, bool up, Counts counts, Terms calldata terms, uint104 number) external onlyOwner {
        Parameter storage p = _parameters[key];
        if (p.listed) revert AlreadyListed(key);
        _checkTerms(key, terms);
        StewardRules.requireWithin(terms, number);
        (p.listed, p.up, p.counts, p.terms) = (true, up, counts, terms);
        (p.ramp, p.guarded, p.writtenAt) =
        (Ramps.settled(number, block.timestamp), _loosest(up), uint40(block.timestamp));
        emit ParameterListed(key, up, counts, terms, number);
    }

    /// @notice New terms, around every number in force: to narrow them further, move the number first.
    function setTerms(bytes32 key, Terms calldata terms) external onlyOwner {
        Parameter storage p = _known(key);
        _checkTerms(key, terms);
        StewardRules.requireWithin(terms, p.ramp.to);
        StewardRules.requireWithin(terms, p.ramp.at(block.timestamp));
        if (p.guarded != _loosest(p.up)) StewardRules.requireWithin(terms, p.guarded);
        p.terms = terms;
        emit TermsSet(key, terms);
    }

    /// @notice End the guardian's tightening of a parameter.
    function lift(bytes32 key) external onlyOwner {
        Parameter storage p = _known(key);
        uint256 previous = _im(p);
        p.guarded = _loosest(p.up);
        emit Lifted(key, previous, _im(p));
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
        for (uint256 i; i < changes.length; ++i) {
            _write(changes[i]);
        }
    }

    function _write(Change calldata change) private {
        Parameter storage p = _known(change.key);
        Ramp memory ramp =
            StewardRules.next(p.terms, p.ramp, p.writtenAt, change.expected, change.number, p.up, block.timestamp);
        if (p.counts == Counts.Opening) ramp = Ramps.settled(change.number, block.timestamp);
        (p.ramp, p.writtenAt) = (ramp, uint40(block.timestamp));
        uint256 end = ramp.from == ramp.to ? ramp.start : ramp.start + SLOPE;
        emit NumberWritten(change.key, change.expected, change.number, ramp.from, ramp.start, end);
    }

    // ---- guardian ----

    /// @inheritdoc IRiskSteward
    function tighten(bytes32 key, uint104 number) external {
        _requireAllowed(msg.sender == guardian);
        Parameter storage p = _known(key);
        if (p.counts == Counts.Ramped) revert NotForGuardian(key, p.counts);
        StewardRules.requireWithin(p.terms, number);
        uint256 previous = _im(p);
        if (!Ramps.tighter(number, previous, p.up)) revert NotTighter(key, number, previous);
        p.guarded = number;
        emit Tightened(key, previous, number);
    }

    /// @inheritdoc IRiskSteward
    function hold(bytes32 key) external {
        _requireAllowed(msg.sender == guardian);
        Parameter storage p = _known(key);
        Ramp memory ramp = p.ramp;
        if (!ramp.running(block.timestamp)) revert NothingRunning(key);
        p.ramp = ramp.held(block.timestamp);
        emit RampHeld(key, p.ramp.from, ramp.to);
    }

    /// @inheritdoc IRiskSteward
    function stop() external {
        _requireAllowed(msg.sender == guardian || msg.sender == owner());
        stopped = true;
        emit Stopped(msg.sender);
    }

    // ---- reading ----

    /// @inheritdoc IRiskSteward
    function inForce(bytes32 key) external view returns (uint256 im, uint256 mm) {
        Parameter storage p = _known(key);
        mm = p.ramp.at(block.timestamp);
        im = p.counts == Counts.Ramped ? mm : _im(p);
    }

    /// @inheritdoc IRiskSteward
    function rampedAt(bytes32 key, uint256 time) external view returns (uint256) {
        return _known(key).ramp.at(time);
    }

    /// @inheritdoc IRiskSteward
    function parameter(bytes32 key) external view returns (Parameter memory) {
        return _known(key);
    }

    /// @inheritdoc IRiskSteward
    function readyAt(bytes32 key) external view returns (uint256) {
        Parameter storage p = _known(key);
        return uint256(p.writtenAt) + p.terms.delay;
    }

    function _im(Parameter storage p) private view returns (uint256) {
        return Ramps.tightest(p.guarded, p.ramp.to, p.up);
    }

    function _known(bytes32 key) private view returns (Parameter storage p) {
        p = _parameters[key];
        if (!p.listed) revert UnknownParameter(key);
    }

    /// @dev A number that nothing is looser than: the guardian has not spoken.
    function _loosest(bool up) private pure returns (uint104) {
        return up ? 0 : type(uint104).max;
    }

    function _checkTerms(bytes32 key, Terms calldata terms) private pure {
        if (terms.step == 0 || terms.delay == 0) revert TermsIncomplete(key, terms.step, terms.delay);
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
