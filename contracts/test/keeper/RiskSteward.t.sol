// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {RiskSteward} from "../../src/keeper/RiskSteward.sol";
import {IRiskSteward} from "../../src/keeper/interfaces/IRiskSteward.sol";
import {IProducts} from "../../src/reference/interfaces/IProducts.sol";
import {ScanParameters} from "../../src/reference/Types.sol";
import {StewardBase} from "./StewardBase.sol";

contract RiskStewardTest is StewardBase {
    function setUp() public override {
        super.setUp();
        _skip(DAY);
    }

    // ---- what a write does ----

    function test_a_rise_counts_for_im_at_once_and_for_mm_late() public {
        vm.expectEmit();
        emit IRiskSteward.NumberWritten(IRiskSteward.Field.Haircut, 0, 1_000, 1_200);
        _write(IRiskSteward.Field.Haircut, 1_200);
        _expect(IRiskSteward.Field.Haircut, 1_200, 1_000);
        _skip(DAY + DAY / 2);
        _expect(IRiskSteward.Field.Haircut, 1_200, 1_100);
        _skip(DAY / 2);
        _expect(IRiskSteward.Field.Haircut, 1_200, 1_200);
        _write(IRiskSteward.Field.Haircut, 1_100);
        _expect(IRiskSteward.Field.Haircut, 1_100, 1_100);
    }

    function test_a_scan_range_has_one_number_late_either_way() public {
        _write(IRiskSteward.Field.Scan, 0.1e18);
        assertEq(steward.number(IRiskSteward.Field.Scan, 0), 0.1e18);
        _expect(IRiskSteward.Field.Scan, 0.15e18, 0.15e18);
        _skip(DAY + DAY / 2);
        _expect(IRiskSteward.Field.Scan, 0.125e18, 0.125e18);
    }

    /// So who writes them daily moves none.
    function test_any_write_of_a_scan_field_begins_the_day_of_all_again() public {
        _write(IRiskSteward.Field.Scan, 0.1e18);
        _skip(DAY);
        _write(IRiskSteward.Field.VolUp, steward.number(IRiskSteward.Field.VolUp, 0) - 1);
        _skip(DAY);
        _expect(IRiskSteward.Field.Scan, 0.15e18, 0.15e18);
        _skip(DAY);
        _expect(IRiskSteward.Field.Scan, 0.1e18, 0.1e18);
    }

    function test_fields_of_the_whole_venue_count_at_once() public {
        _write(IRiskSteward.Field.Cap, 950_000e18);
        _write(IRiskSteward.Field.Band, 450);
        _write(IRiskSteward.Field.LeastNotional, 5e18);
        _write(IRiskSteward.Field.Bonus, 4_000e18);
        (uint16 band, uint16 floorBand, uint128 least) = venue.limits();
        assertEq(uint256(band), 450);
        assertEq(uint256(floorBand), 25);
        assertEq(uint256(least), 5e18);
        assertEq(products.collateral(0).cap, 950_000e18);
        (uint256 most,,) = auctions.bonusAllowance();
        assertEq(most, 4_000e18);
        _expect(IRiskSteward.Field.Band, 450, 450);
    }

    /// Each field is written where it is read: no two alike, and every other number of the venue stays.
    function test_each_field_is_the_venues_own() public {
        bytes memory others = _everything();
        for (uint8 f; f <= uint8(type(IRiskSteward.Field).max); ++f) {
            IRiskSteward.Field field = IRiskSteward.Field(f);
            uint256 number = steward.number(field, 0);
            steward.setTerms(field, 0, IRiskSteward.Terms(0, type(uint128).max, 1, 1));
            _skip(1);
            uint256 up = field == IRiskSteward.Field.MmScalar ? number - 1 : number + 1;
            _write(field, up);
            assertEq(steward.number(field, 0), up);
            assertTrue(keccak256(_everything()) != keccak256(others), "written");
            _skip(1);
            _write(field, number);
            assertEq(_everything(), others);
        }
    }

    function _everything() private view returns (bytes memory) {
        (uint16 band, uint16 floorBand, uint128 least) = venue.limits();
        (uint256 most,,) = auctions.bonusAllowance();
        (, ScanParameters memory scan,) = products.scanRamp(ETH, products.scanVersion(ETH));
        return abi.encode(scan, products.marginParameters(ETH), products.collateral(0), band, floorBand, least, most);
    }

    function test_changes_of_one_record_are_one_write_of_it() public {
        IRiskSteward.Change[] memory changes = new IRiskSteward.Change[](4);
        changes[0] = _change(IRiskSteward.Field.Scan, 0.15e18, 0.2e18);
        changes[1] = _change(IRiskSteward.Field.Extreme, 0.45e18, 0.5e18);
        changes[2] = _change(IRiskSteward.Field.ImScalar, 12_500, 13_000);
        changes[3] = _change(IRiskSteward.Field.MmScalar, 9_000, 9_500);
        vm.prank(CONTROLLER);
        steward.write(changes);
        assertEq(products.scanVersion(ETH), 2);
        assertEq(products.marginParameters(ETH).mmScalar, 9_500);
        assertEq(products.marginParameters(ETH).imScalar, 13_000);
        (,, uint256 start) = products.scanRamp(ETH, 2);
        assertEq(start, block.timestamp + DAY);
    }

    function test_changes_are_written_all_or_none() public {
        IRiskSteward.Change[] memory changes = new IRiskSteward.Change[](2);
        changes[0] = _change(IRiskSteward.Field.Haircut, 1_000, 1_100);
        changes[1] = _change(IRiskSteward.Field.Scan, 0.15e18, 0.3e18);
        vm.prank(CONTROLLER);
        vm.expectRevert(abi.encodeWithSelector(IRiskSteward.StepTooLarge.selector, 0.15e18, 0.05e18));
        steward.write(changes);
        _expect(IRiskSteward.Field.Haircut, 1_000, 1_000);
        changes[1] = changes[0]; // the same once more
        vm.prank(CONTROLLER);
        vm.expectPartialRevert(IRiskSteward.NumberChanged.selector);
        steward.write(changes);
    }

    function test_a_write_keeps_to_its_terms() public {
        IRiskSteward.Field haircut = IRiskSteward.Field.Haircut;
        _refused(_change(haircut, 999, 1_100), abi.encodeWithSelector(IRiskSteward.NumberChanged.selector, 1_000, 999));
        _refused(_change(haircut, 1_000, 1_000), abi.encodeWithSelector(IRiskSteward.SameNumber.selector, 1_000));
        _refused(_change(haircut, 1_000, 1_201), abi.encodeWithSelector(IRiskSteward.StepTooLarge.selector, 201, 200));
        _refused(_change(haircut, 1_000, 799), abi.encodeWithSelector(IRiskSteward.StepTooLarge.selector, 201, 200));
        _refused(
            _change(haircut, 1_000, 499), abi.encodeWithSelector(IRiskSteward.OutOfBounds.selector, 499, 500, 4_000)
        );
        _write(haircut, 1_200);
        _skip(1 hours - 1);
        _refused(
            _change(haircut, 1_200, 1_100),
            abi.encodeWithSelector(IRiskSteward.TooEarly.selector, block.timestamp, block.timestamp + 1)
        );
        assertEq(steward.readyAt(haircut, 0), block.timestamp + 1);
        _skip(1);
        _write(haircut, 1_100);
    }

    /// What the venue refuses the steward cannot write: a haircut below what the largest incentive needs.
    function test_the_venues_own_bounds_hold_beneath_the_terms() public {
        steward.setTerms(IRiskSteward.Field.Haircut, 0, IRiskSteward.Terms(0, 10_000, 10_000, 1));
        IRiskSteward.Change[] memory one = _one(_change(IRiskSteward.Field.Haircut, 1_000, 476));
        vm.prank(CONTROLLER);
        vm.expectPartialRevert(IProducts.ParameterOutOfRange.selector);
        steward.write(one);
        steward.setTerms(IRiskSteward.Field.ImScalar, 0, IRiskSteward.Terms(0, type(uint128).max, 1e30, 1));
        one = _one(_change(IRiskSteward.Field.ImScalar, 12_500, 65_536)); // wider than its field
        vm.prank(CONTROLLER);
        vm.expectRevert();
        steward.write(one);
        assertEq(steward.number(IRiskSteward.Field.ImScalar, 0), 12_500);
    }

    // ---- terms ----

    function test_terms_stay_around_what_is_in_force() public {
        IRiskSteward.Field haircut = IRiskSteward.Field.Haircut;
        _write(haircut, 1_200);
        vm.expectRevert(abi.encodeWithSelector(IRiskSteward.OutOfBounds.selector, 1_000, 1_100, 4_000)); // MM still
        steward.setTerms(haircut, 0, IRiskSteward.Terms(1_100, 4_000, 200, 1 hours));
        vm.expectRevert(abi.encodeWithSelector(IRiskSteward.OutOfBounds.selector, 1_200, 500, 1_100));
        steward.setTerms(haircut, 0, IRiskSteward.Terms(500, 1_100, 200, 1 hours));
        _skip(2 * DAY);
        steward.setTerms(haircut, 0, IRiskSteward.Terms(1_100, 2_000, 200, 1 hours));
        vm.expectRevert(abi.encodeWithSelector(IRiskSteward.TermsIncomplete.selector, 0, 1 hours));
        steward.setTerms(haircut, 0, IRiskSteward.Terms(1_100, 2_000, 0, 1 hours));
        vm.expectRevert(abi.encodeWithSelector(IRiskSteward.TermsIncomplete.selector, 200, 0));
        steward.setTerms(haircut, 0, IRiskSteward.Terms(1_100, 2_000, 200, 0));
    }

    /// A number taken back while MM is on its way puts MM on a lower line from where it began: that too has to be inside.
    function test_terms_stay_around_where_mm_began() public {
        IRiskSteward.Field haircut = IRiskSteward.Field.Haircut;
        _write(haircut, 1_200);
        _skip(DAY + DAY / 2);
        _expect(haircut, 1_200, 1_100);
        vm.expectRevert(abi.encodeWithSelector(IRiskSteward.OutOfBounds.selector, 1_000, 1_080, 4_000));
        steward.setTerms(haircut, 0, IRiskSteward.Terms(1_080, 4_000, 200, 1 hours));
        steward.setTerms(haircut, 0, IRiskSteward.Terms(1_000, 4_000, 200, 1 hours));
        _write(haircut, 1_100);
        _expect(haircut, 1_100, 1_050);
        _skip(DAY / 2);
        steward.setTerms(haircut, 0, IRiskSteward.Terms(1_080, 4_000, 200, 1 hours)); // it has arrived
    }

    function test_terms_stay_around_where_a_rate_of_mm_began() public {
        IRiskSteward.Field from = IRiskSteward.Field.ConcentrationFrom; // tighter downward
        _write(from, 700e18);
        _skip(DAY + DAY / 2);
        _expect(from, 700e18, 850e18);
        vm.expectRevert(abi.encodeWithSelector(IRiskSteward.OutOfBounds.selector, 1_000e18, 100e18, 900e18));
        steward.setTerms(from, 0, IRiskSteward.Terms(100e18, 900e18, 200e18, 1 hours));
        steward.setTerms(IRiskSteward.Field.ImScalar, 0, IRiskSteward.Terms(12_500, 12_500, 1, 1 hours)); // IM's alone
    }

    function test_new_terms_do_not_begin_the_delay_again() public {
        _write(IRiskSteward.Field.Haircut, 1_100);
        _skip(30 minutes);
        steward.setTerms(IRiskSteward.Field.Haircut, 0, IRiskSteward.Terms(500, 4_000, 200, 31 minutes));
        assertEq(steward.readyAt(IRiskSteward.Field.Haircut, 0), block.timestamp + 1 minutes);
    }

    function test_without_terms_nothing_is_written() public {
        IRiskSteward.Change memory change = IRiskSteward.Change(IRiskSteward.Field.Haircut, 1, 1_000, 1_100);
        bytes memory reason = abi.encodeWithSelector(IRiskSteward.NoTerms.selector, IRiskSteward.Field.Haircut, 1);
        _refused(change, reason);
        vm.expectRevert(reason);
        steward.terms(IRiskSteward.Field.Haircut, 1);
        vm.expectRevert(abi.encodeWithSelector(IRiskSteward.NoTerms.selector, IRiskSteward.Field.Bonus, 1));
        steward.setTerms(IRiskSteward.Field.Bonus, 1, IRiskSteward.Terms(0, 1e22, 1, 1)); // the venue has one
        vm.expectRevert(abi.encodeWithSelector(IProducts.UnknownUnderlying.selector, 9));
        steward.setTerms(IRiskSteward.Field.Scan, 9, IRiskSteward.Terms(0, 1e18, 1, 1));
    }

    // ---- guardian ----

    function test_the_guardian_tightens_im_alone_and_the_controller_cannot_take_it_back() public {
        vm.expectEmit();
        emit IRiskSteward.Tightened(IRiskSteward.Field.ImScalar, 0, 12_500, 16_000);
        vm.prank(GUARDIAN);
        steward.tighten(IRiskSteward.Field.ImScalar, 0, 16_000); // more than a step
        assertEq(products.marginParameters(ETH).imScalar, 16_000);
        (bool guarded, uint128 guard) = steward.guarded(IRiskSteward.Field.ImScalar, 0);
        assertTrue(guarded && guard == 16_000, "guarded");
        _refused(
            _change(IRiskSteward.Field.ImScalar, 16_000, 15_999),
            abi.encodeWithSelector(IRiskSteward.LooserThanGuarded.selector, 15_999, 16_000)
        );
        _write(IRiskSteward.Field.ImScalar, 17_000);
        _skip(1 hours);
        _write(IRiskSteward.Field.ImScalar, 16_000); // as far as his
        _skip(1 hours);
        steward.lift(IRiskSteward.Field.ImScalar, 0);
        assertEq(products.marginParameters(ETH).imScalar, 16_000); // the number stays
        _write(IRiskSteward.Field.ImScalar, 15_000);
    }

    /// An upgraded token that no longer says its decimals: its cap and haircut must be movable then above all.
    function test_a_token_gone_bad_keeps_nobody_from_tightening() public {
        vm.etch(products.collateral(0).token, hex"fe");
        vm.prank(GUARDIAN);
        steward.tighten(IRiskSteward.Field.Cap, 0, 0);
        assertEq(products.collateral(0).cap, 0);
        _write(IRiskSteward.Field.Haircut, steward.number(IRiskSteward.Field.Haircut, 0) + 100);
    }

    function test_a_cap_tightens_downward() public {
        vm.startPrank(GUARDIAN);
        steward.tighten(IRiskSteward.Field.Cap, 0, 0); // the tightest there is
        vm.expectRevert(abi.encodeWithSelector(IRiskSteward.NotTighter.selector, 1, 0));
        steward.tighten(IRiskSteward.Field.Cap, 0, 1);
        vm.stopPrank();
        _refused(
            _change(IRiskSteward.Field.Cap, 0, 1), abi.encodeWithSelector(IRiskSteward.LooserThanGuarded.selector, 1, 0)
        );
    }

    function test_the_guardian_cannot_loosen_nor_leave_the_bounds_nor_touch_mm() public {
        _guardianRefused(
            IRiskSteward.Field.ImScalar,
            12_500,
            abi.encodeWithSelector(IRiskSteward.NotTighter.selector, 12_500, 12_500)
        );
        _guardianRefused(
            IRiskSteward.Field.ImScalar,
            20_001,
            abi.encodeWithSelector(IRiskSteward.OutOfBounds.selector, 20_001, 10_000, 20_000)
        );
        for (uint8 f; f <= uint8(type(IRiskSteward.Field).max); ++f) {
            IRiskSteward.Field field = IRiskSteward.Field(f);
            if (
                field == IRiskSteward.Field.ImScalar || field == IRiskSteward.Field.ShortImRate
                    || field == IRiskSteward.Field.Cap || field == IRiskSteward.Field.LeastNotional
            ) continue;
            _guardianRefused(field, 1, abi.encodeWithSelector(IRiskSteward.NotForGuardian.selector, field));
        }
    }

    function test_the_guardian_holds_what_is_on_its_way() public {
        _write(IRiskSteward.Field.Haircut, 1_200);
        _write(IRiskSteward.Field.MmScalar, 9_500);
        _skip(DAY + DAY / 2);
        vm.startPrank(GUARDIAN);
        steward.holdHaircut(0);
        steward.holdMargin(ETH);
        vm.stopPrank();
        _skip(30 * DAY);
        _expect(IRiskSteward.Field.Haircut, 1_200, 1_100);
        _expect(IRiskSteward.Field.MmScalar, 9_500, 9_250);
    }

    function test_stopped_writes_wait_for_the_owner() public {
        vm.prank(GUARDIAN);
        steward.stop();
        _refused(
            _change(IRiskSteward.Field.Haircut, 1_000, 1_100),
            abi.encodeWithSelector(IRiskSteward.WritesStopped.selector)
        );
        vm.prank(GUARDIAN);
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, GUARDIAN));
        steward.resume();
        vm.prank(GUARDIAN);
        steward.tighten(IRiskSteward.Field.ImScalar, 0, 13_000); // he goes on
        steward.resume();
        _write(IRiskSteward.Field.Haircut, 1_100);
    }

    // ---- any number, any time ----

    /// Within bounds and tighter: in force for IM at once and the controller's limit; else refused and nothing changed.
    function testFuzz_the_guardian_tightens_to_any_tighter_number(uint16 number) public {
        bool good = number > 12_500 && number <= 20_000;
        if (number > 12_500 && number % 2 == 0) (number, good) = (uint16(bound(number, 12_501, 20_000)), true);
        vm.prank(GUARDIAN);
        (bool done,) =
            address(steward).call(abi.encodeCall(IRiskSteward.tighten, (IRiskSteward.Field.ImScalar, 0, number)));
        assertTrue(done == good, "tighter and within bounds, or refused");
        assertEq(products.marginParameters(ETH).imScalar, good ? number : 12_500);
        (bool guarded,) = steward.guarded(IRiskSteward.Field.ImScalar, 0);
        assertTrue(guarded == good, "guarded");
        steward.lift(IRiskSteward.Field.ImScalar, 0);
        (guarded,) = steward.guarded(IRiskSteward.Field.ImScalar, 0);
        assertTrue(!guarded, "lifted");
    }

    function testFuzz_a_hold_stops_the_way_where_it_is(uint256 wait, uint256 longer) public {
        _write(IRiskSteward.Field.Haircut, 1_200);
        _write(IRiskSteward.Field.MmScalar, 9_500);
        _skip(bound(wait, 0, 2 * DAY - 1));
        (, uint256 haircut) = steward.inForce(IRiskSteward.Field.Haircut, 0);
        (, uint256 scalar) = steward.inForce(IRiskSteward.Field.MmScalar, 0);
        vm.startPrank(GUARDIAN);
        steward.holdHaircut(0);
        steward.holdMargin(ETH);
        vm.stopPrank();
        _skip(bound(longer, 0, 1_000 * DAY));
        _expect(IRiskSteward.Field.Haircut, 1_200, haircut);
        _expect(IRiskSteward.Field.MmScalar, 9_500, scalar);
    }

    /// Terms that hold every number in force are taken whole, others not at all.
    function testFuzz_terms_are_around_the_numbers_in_force(IRiskSteward.Terms memory tried, uint256 near) public {
        if (near % 4 != 0) (tried.low, tried.high) = (uint128(near % 1_400), uint128(800 + near % 700));
        _write(IRiskSteward.Field.Haircut, 1_200);
        bool good = tried.low <= 1_000 && tried.high >= 1_200 && tried.step > 0 && tried.delay > 0;
        bytes memory before = abi.encode(steward.terms(IRiskSteward.Field.Haircut, 0));
        (bool done,) =
            address(steward).call(abi.encodeCall(RiskSteward.setTerms, (IRiskSteward.Field.Haircut, 0, tried)));
        assertTrue(done == good, "around them, or refused");
        assertEq(abi.encode(steward.terms(IRiskSteward.Field.Haircut, 0)), good ? abi.encode(tried) : before);
    }

    function testFuzz_roles_are_those_named_last(address controller, address guardian) public {
        vm.assume(controller != CONTROLLER && guardian != GUARDIAN && guardian != address(this));
        steward.setController(controller);
        steward.setGuardian(guardian);
        IRiskSteward.Change[] memory none = new IRiskSteward.Change[](0);
        _notAuthorised(CONTROLLER, abi.encodeCall(IRiskSteward.write, (none)));
        _notAuthorised(GUARDIAN, abi.encodeCall(IRiskSteward.stop, ()));
        vm.prank(controller);
        steward.write(none);
        vm.prank(guardian);
        steward.stop();
        assertTrue(steward.stopped(), "stopped");
        steward.resume();
        assertTrue(!steward.stopped(), "resumed");
    }

    function testFuzz_ownership_moves_when_the_heir_accepts(address heir, address other) public {
        vm.assume(heir != address(0) && heir != address(this) && other != heir && other != address(this));
        steward.transferOwnership(heir);
        _callRefused(
            other,
            abi.encodeCall(Ownable2Step.acceptOwnership, ()),
            abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, other)
        );
        assertEq(steward.owner(), address(this));
        vm.prank(heir);
        steward.acceptOwnership();
        assertEq(steward.owner(), heir);
        _callRefused(
            address(this),
            abi.encodeCall(Ownable2Step.transferOwnership, (other)),
            abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, address(this))
        );
        vm.prank(heir);
        steward.renounceOwnership();
        assertEq(steward.owner(), address(0));
    }

    // ---- who ----

    function testFuzz_nobody_else_does_anything(address who) public {
        vm.assume(who != address(this) && who != CONTROLLER && who != GUARDIAN);
        _expectRoles(who);
        _expectRoles(address(this));
        _expectRoles(CONTROLLER);
        _expectRoles(GUARDIAN);
    }

    function _expectRoles(address who) private {
        IRiskSteward.Change[] memory none = new IRiskSteward.Change[](0);
        IRiskSteward.Field field = IRiskSteward.Field.ImScalar;
        if (who != CONTROLLER) _notAuthorised(who, abi.encodeCall(IRiskSteward.write, (none)));
        if (who != GUARDIAN) {
            _notAuthorised(who, abi.encodeCall(IRiskSteward.tighten, (field, 0, 13_000)));
            _notAuthorised(who, abi.encodeCall(IRiskSteward.holdMargin, (ETH)));
            _notAuthorised(who, abi.encodeCall(IRiskSteward.holdHaircut, (0)));
            if (who != address(this)) _notAuthorised(who, abi.encodeCall(IRiskSteward.stop, ()));
        }
        if (who == address(this)) return;
        bytes memory notOwner = abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, who);
        _callRefused(who, abi.encodeCall(RiskSteward.lift, (field, 0)), notOwner);
        _callRefused(who, abi.encodeCall(RiskSteward.setController, (who)), notOwner);
        _callRefused(who, abi.encodeCall(RiskSteward.setGuardian, (who)), notOwner);
        _callRefused(who, abi.encodeCall(RiskSteward.resume, ()), notOwner);
        _callRefused(who, abi.encodeCall(Ownable2Step.transferOwnership, (who)), notOwner);
        _callRefused(who, abi.encodeCall(Ownable.renounceOwnership, ()), notOwner);
        IRiskSteward.Terms memory wide = IRiskSteward.Terms(0, 1e30, 1e30, 1);
        _callRefused(who, abi.encodeCall(RiskSteward.setTerms, (field, 0, wide)), notOwner);
    }

    function _notAuthorised(address who, bytes memory call_) private {
        _callRefused(who, call_, abi.encodeWithSelector(IRiskSteward.NotAuthorised.selector, who, bytes4(call_)));
    }

    function _callRefused(address who, bytes memory call_, bytes memory reason) private {
        vm.prank(who);
        (bool done, bytes memory answer) = address(steward).call(call_);
        assertTrue(!done, "refused");
        assertEq(answer, reason);
    }

    function _guardianRefused(IRiskSteward.Field field, uint128 number, bytes memory reason) private {
        vm.prank(GUARDIAN);
        vm.expectRevert(reason);
        steward.tighten(field, 0, number);
    }
}
