// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {HELD} from "../../src/keeper/Ramp.sol";
import {RiskSteward} from "../../src/keeper/RiskSteward.sol";
import {StewardRules, Terms} from "../../src/keeper/StewardRules.sol";
import {IRiskSteward} from "../../src/keeper/interfaces/IRiskSteward.sol";
import {Test} from "../Vm.sol";

contract RiskStewardTest is Test {
    address private constant CONTROLLER = address(0xC0);
    address private constant GUARDIAN = address(0x60);
    bytes32 private constant HAIRCUT = "haircut";
    bytes32 private constant DEPOSIT_CAP = "depositCap";
    bytes32 private constant SCAN = "scan";
    uint256 private constant T0 = 1_583_971_200;

    RiskSteward private steward;

    function setUp() public {
        vm.warp(T0);
        steward = new RiskSteward(address(this), CONTROLLER, GUARDIAN);
        steward.list(HAIRCUT, true, IRiskSteward.Counts.Both, Terms(500, 4_000, 200, 1 hours), 1_000);
        steward.list(DEPOSIT_CAP, false, IRiskSteward.Counts.Opening, Terms(0, 1e24, 1e23, 1 hours), 5e23);
        steward.list(SCAN, true, IRiskSteward.Counts.Ramped, Terms(0.05e18, 0.4e18, 0.05e18, 1 days), 0.15e18);
        vm.warp(T0 + 1 days);
    }

    // ---- what a write does ----

    function test_a_rise_counts_for_im_at_once_and_for_mm_late() public {
        _write(HAIRCUT, 1_000, 1_200);
        _expect(HAIRCUT, 1_200, 1_000);
        vm.warp(T0 + 2 days);
        _expect(HAIRCUT, 1_200, 1_000);
        vm.warp(T0 + 2 days + 12 hours);
        _expect(HAIRCUT, 1_200, 1_100);
        vm.warp(T0 + 3 days);
        _expect(HAIRCUT, 1_200, 1_200);
    }

    function test_a_reduction_counts_for_both_at_once() public {
        _write(HAIRCUT, 1_000, 800);
        _expect(HAIRCUT, 800, 800);
    }

    function test_a_cap_of_opening_counts_at_once_both_ways() public {
        _write(DEPOSIT_CAP, 5e23, 4e23);
        _expect(DEPOSIT_CAP, 4e23, 4e23);
        vm.warp(T0 + 2 days);
        _write(DEPOSIT_CAP, 4e23, 5e23);
        _expect(DEPOSIT_CAP, 5e23, 5e23);
    }

    /// One number for IM and MM, read at a report's timestamp.
    function test_a_scan_range_has_one_number_at_every_time() public {
        _write(SCAN, 0.15e18, 0.2e18);
        _expect(SCAN, 0.15e18, 0.15e18);
        assertEq(steward.rampedAt(SCAN, T0 + 1 days - 30), 0.15e18); // a report before the write
        assertEq(steward.rampedAt(SCAN, T0 + 2 days + 6 hours), 0.1625e18);
        vm.warp(T0 + 2 days + 12 hours);
        _expect(SCAN, 0.175e18, 0.175e18);
    }

    function test_changes_are_written_all_or_none() public {
        IRiskSteward.Change[] memory changes = new IRiskSteward.Change[](2);
        changes[0] = IRiskSteward.Change(HAIRCUT, 1_000, 1_100);
        changes[1] = IRiskSteward.Change(SCAN, 0.15e18, 0.3e18);
        vm.prank(CONTROLLER);
        vm.expectRevert(abi.encodeWithSelector(StewardRules.StepTooLarge.selector, 0.15e18, 0.05e18));
        steward.write(changes);
        _expect(HAIRCUT, 1_000, 1_000);
        // The same parameter twice in one call is two writes without the delay.
        changes[1] = IRiskSteward.Change(HAIRCUT, 1_100, 1_200);
        vm.prank(CONTROLLER);
        vm.expectPartialRevert(StewardRules.TooEarly.selector);
        steward.write(changes);
        changes[1] = IRiskSteward.Change(SCAN, 0.15e18, 0.2e18);
        vm.prank(CONTROLLER);
        steward.write(changes);
        assertEq(steward.parameter(SCAN).ramp.to, 0.2e18);
        assertEq(steward.parameter(HAIRCUT).ramp.to, 1_100);
    }

    function test_events_name_old_and_new_and_when() public {
        uint256 time = block.timestamp;
        vm.expectEmit();
        emit IRiskSteward.NumberWritten(HAIRCUT, 1_000, 1_200, 1_000, time + 24 hours, time + 48 hours);
        _write(HAIRCUT, 1_000, 1_200);
        vm.warp(time + 36 hours);
        vm.expectEmit();
        emit IRiskSteward.NumberWritten(HAIRCUT, 1_200, 1_050, 1_050, time + 36 hours, time + 36 hours);
        _write(HAIRCUT, 1_200, 1_050);
        vm.expectEmit();
        emit IRiskSteward.Tightened(HAIRCUT, 1_050, 3_000);
        vm.prank(GUARDIAN);
        steward.tighten(HAIRCUT, 3_000);
        vm.expectEmit();
        emit IRiskSteward.Lifted(HAIRCUT, 3_000, 1_050);
        steward.lift(HAIRCUT);
    }

    // ---- what is refused ----

    function test_a_write_names_the_number_it_found() public {
        _refused(HAIRCUT, 999, 1_100, abi.encodeWithSelector(StewardRules.NumberChanged.selector, 1_000, 999));
    }

    function test_steps_bounds_and_delay() public {
        _refused(HAIRCUT, 1_000, 1_201, abi.encodeWithSelector(StewardRules.StepTooLarge.selector, 201, 200));
        _refused(HAIRCUT, 1_000, 799, abi.encodeWithSelector(StewardRules.StepTooLarge.selector, 201, 200));
        _refused(HAIRCUT, 1_000, 4_001, abi.encodeWithSelector(StewardRules.OutOfBounds.selector, 4_001, 500, 4_000));
        _refused(HAIRCUT, 1_000, 499, abi.encodeWithSelector(StewardRules.OutOfBounds.selector, 499, 500, 4_000));
        _refused(HAIRCUT, 1_000, 1_000, abi.encodeWithSelector(StewardRules.SameNumber.selector, 1_000));
        _write(HAIRCUT, 1_000, 1_200);
        uint256 earliest = block.timestamp + 1 hours;
        assertEq(steward.readyAt(HAIRCUT), earliest);
        vm.warp(earliest - 1);
        _refused(HAIRCUT, 1_200, 1_400, abi.encodeWithSelector(StewardRules.TooEarly.selector, earliest - 1, earliest));
        vm.warp(earliest);
        _write(HAIRCUT, 1_200, 1_400);
    }

    function test_a_first_write_waits_from_the_listing() public {
        steward.list("new", true, IRiskSteward.Counts.Both, Terms(0, 10, 1, 1 hours), 5);
        _refused(
            "new",
            5,
            6,
            abi.encodeWithSelector(StewardRules.TooEarly.selector, block.timestamp, block.timestamp + 1 hours)
        );
    }

    function test_terms_stay_around_what_is_in_force() public {
        _write(HAIRCUT, 1_000, 1_200);
        vm.expectRevert(abi.encodeWithSelector(StewardRules.OutOfBounds.selector, 1_000, 1_100, 4_000)); // MM still
        steward.setTerms(HAIRCUT, Terms(1_100, 4_000, 200, 1 hours));
        vm.expectRevert(abi.encodeWithSelector(StewardRules.OutOfBounds.selector, 1_200, 500, 1_100));
        steward.setTerms(HAIRCUT, Terms(500, 1_100, 200, 1 hours));
        vm.prank(GUARDIAN);
        steward.tighten(HAIRCUT, 3_000);
        vm.expectRevert(abi.encodeWithSelector(StewardRules.OutOfBounds.selector, 3_000, 500, 2_000));
        steward.setTerms(HAIRCUT, Terms(500, 2_000, 200, 1 hours));
        steward.lift(HAIRCUT);
        steward.setTerms(HAIRCUT, Terms(500, 2_000, 200, 1 hours));
        vm.warp(T0 + 3 days);
        steward.setTerms(HAIRCUT, Terms(1_100, 2_000, 200, 1 hours));
        vm.expectPartialRevert(IRiskSteward.TermsIncomplete.selector);
        steward.setTerms(HAIRCUT, Terms(1_100, 2_000, 0, 1 hours));
        vm.expectPartialRevert(IRiskSteward.TermsIncomplete.selector);
        steward.setTerms(HAIRCUT, Terms(1_100, 2_000, 200, 0));
    }

    function test_listing_is_once_and_within_bounds() public {
        vm.expectRevert(abi.encodeWithSelector(IRiskSteward.AlreadyListed.selector, HAIRCUT));
        steward.list(HAIRCUT, true, IRiskSteward.Counts.Both, Terms(0, 10, 1, 1), 5);
        vm.expectRevert(abi.encodeWithSelector(StewardRules.OutOfBounds.selector, 11, 0, 10));
        steward.list("new", true, IRiskSteward.Counts.Both, Terms(0, 10, 1, 1), 11);
        vm.expectRevert(abi.encodeWithSelector(IRiskSteward.UnknownParameter.selector, bytes32("new")));
        steward.inForce("new");
    }

    // ---- guardian ----

    function test_the_guardian_tightens_im_alone_and_the_controller_goes_on_beneath() public {
        vm.prank(GUARDIAN);
        steward.tighten(HAIRCUT, 2_500); // more than a step
        _expect(HAIRCUT, 2_500, 1_000);
        vm.warp(T0 + 10 days);
        _expect(HAIRCUT, 2_500, 1_000);
        _write(HAIRCUT, 1_000, 900); // number and step are the controller's
        _expect(HAIRCUT, 2_500, 900);
        steward.lift(HAIRCUT);
        _expect(HAIRCUT, 900, 900);
    }

    function test_the_guardian_cannot_loosen_nor_leave_the_bounds_nor_touch_mm() public {
        _guardianRefused(
            HAIRCUT, 1_000, abi.encodeWithSelector(IRiskSteward.NotTighter.selector, HAIRCUT, 1_000, 1_000)
        );
        _guardianRefused(HAIRCUT, 900, abi.encodeWithSelector(IRiskSteward.NotTighter.selector, HAIRCUT, 900, 1_000));
        _guardianRefused(HAIRCUT, 4_001, abi.encodeWithSelector(StewardRules.OutOfBounds.selector, 4_001, 500, 4_000));
        _guardianRefused(
            DEPOSIT_CAP, 6e23, abi.encodeWithSelector(IRiskSteward.NotTighter.selector, DEPOSIT_CAP, 6e23, 5e23)
        );
        _guardianRefused(
            SCAN, 0.2e18, abi.encodeWithSelector(IRiskSteward.NotForGuardian.selector, SCAN, IRiskSteward.Counts.Ramped)
        );
        vm.prank(GUARDIAN);
        steward.tighten(DEPOSIT_CAP, 0); // the tightest there is
        _expect(DEPOSIT_CAP, 0, 5e23);
    }

    function test_a_held_ramp_stays_and_goes_on_with_the_next_write() public {
        _write(HAIRCUT, 1_000, 1_200);
        vm.warp(T0 + 2 days + 12 hours);
        vm.expectEmit();
        emit IRiskSteward.RampHeld(HAIRCUT, 1_100, 1_200);
        vm.prank(GUARDIAN);
        steward.hold(HAIRCUT);
        vm.warp(T0 + 30 days);
        _expect(HAIRCUT, 1_200, 1_100);
        vm.prank(GUARDIAN);
        vm.expectRevert(abi.encodeWithSelector(IRiskSteward.NothingRunning.selector, HAIRCUT));
        steward.hold(HAIRCUT);
        assertEq(steward.parameter(HAIRCUT).ramp.start, HELD);
        _write(HAIRCUT, 1_200, 1_200); // the same number, as nothing else lets it go on
        vm.warp(T0 + 31 days);
        _expect(HAIRCUT, 1_200, 1_100);
        vm.warp(T0 + 32 days);
        _expect(HAIRCUT, 1_200, 1_200);
    }

    function test_stopped_writes_wait_for_the_owner() public {
        vm.prank(GUARDIAN);
        steward.stop();
        _refused(HAIRCUT, 1_000, 1_100, abi.encodeWithSelector(IRiskSteward.WritesStopped.selector));
        vm.prank(GUARDIAN);
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, GUARDIAN));
        steward.resume();
        steward.resume();
        _write(HAIRCUT, 1_000, 1_100);
    }

    function test_nobody_else_does_anything() public {
        IRiskSteward.Change[] memory none = new IRiskSteward.Change[](0);
        address[3] memory others = [address(0xBAD), GUARDIAN, address(this)];
        for (uint256 i; i < 3; ++i) {
            vm.prank(others[i]);
            _expectNotAuthorised(others[i], IRiskSteward.write.selector);
            steward.write(none);
        }
        others[1] = CONTROLLER;
        for (uint256 i; i < 3; ++i) {
            vm.prank(others[i]);
            _expectNotAuthorised(others[i], IRiskSteward.tighten.selector);
            steward.tighten(HAIRCUT, 2_000);
            vm.prank(others[i]);
            _expectNotAuthorised(others[i], IRiskSteward.hold.selector);
            steward.hold(HAIRCUT);
        }
        vm.prank(CONTROLLER);
        _expectNotAuthorised(CONTROLLER, IRiskSteward.stop.selector);
        steward.stop();
        _ownerOnly(abi.encodeCall(RiskSteward.lift, HAIRCUT));
        _ownerOnly(abi.encodeCall(RiskSteward.setController, CONTROLLER));
        _ownerOnly(abi.encodeCall(RiskSteward.setGuardian, CONTROLLER));
        _ownerOnly(abi.encodeCall(RiskSteward.setTerms, (HAIRCUT, Terms(0, 1e4, 1e4, 1))));
        _ownerOnly(abi.encodeCall(RiskSteward.resume, ()));
        _ownerOnly(
            abi.encodeCall(RiskSteward.list, ("new", true, IRiskSteward.Counts.Both, Terms(0, 10, 1, 1), uint104(5)))
        );
    }

    // ---- helpers ----

    function _write(bytes32 key, uint104 expected, uint104 number) private {
        vm.prank(CONTROLLER);
        steward.write(_one(key, expected, number));
    }

    function _refused(bytes32 key, uint104 expected, uint104 number, bytes memory reason) private {
        vm.prank(CONTROLLER);
        vm.expectRevert(reason);
        steward.write(_one(key, expected, number));
    }

    function _guardianRefused(bytes32 key, uint104 number, bytes memory reason) private {
        vm.prank(GUARDIAN);
        vm.expectRevert(reason);
        steward.tighten(key, number);
    }

    function _one(bytes32 key, uint104 expected, uint104 number)
        private
        pure
        returns (IRiskSteward.Change[] memory one)
    {
        one = new IRiskSteward.Change[](1);
        one[0] = IRiskSteward.Change(key, expected, number);
    }

    function _expect(bytes32 key, uint256 im, uint256 mm) private view {
        (uint256 foundIm, uint256 foundMm) = steward.inForce(key);
        assertEq(foundIm, im);
        assertEq(foundMm, mm);
    }

    function _expectNotAuthorised(address who, bytes4 selector) private {
        vm.expectRevert(abi.encodeWithSelector(IRiskSteward.NotAuthorised.selector, who, selector));
    }

    function _ownerOnly(bytes memory call_) private {
        vm.prank(CONTROLLER);
        (bool done, bytes memory reason) = address(steward).call(call_);
        assertTrue(!done, "only the owner");
        assertEq(reason, abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, CONTROLLER));
    }
}
