// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IMarginVenue} from "../../src/reference/interfaces/IMarginVenue.sol";
import {IProducts} from "../../src/reference/interfaces/IProducts.sol";
import {IRiskArrays} from "../../src/reference/interfaces/IRiskArrays.sol";
import {Packed} from "../../src/reference/math/Packed.sol";
import {HELD} from "../../src/reference/math/Ramps.sol";
import {Products} from "../../src/reference/Products.sol";
import {CollateralType, MarginParameters, ScanParameters} from "../../src/reference/Types.sol";
import {VenueRules} from "../../src/reference/VenueRules.sol";
import {Fixture} from "./Fixture.sol";

/// @notice What the venue answers while its parameters are on their way. The test is the steward.
contract ParametersTest is Fixture {
    uint256 private constant DAY = 24 hours;

    // ---- who ----

    function testFuzz_only_the_steward_changes_what_is_listed(address caller) public {
        vm.assume(caller != address(this));
        CollateralType memory kind = products.collateral(0);
        bytes memory refused = abi.encodeWithSelector(IProducts.NotSteward.selector, caller, address(this));
        vm.startPrank(caller);
        vm.expectRevert(refused);
        products.setScanParameters(ETH, _scan(ETH));
        vm.expectRevert(refused);
        products.setMarginParameters(ETH, _margin(ETH));
        vm.expectRevert(refused);
        products.setCollateral(0, kind);
        vm.expectRevert(refused);
        products.holdMargin(ETH);
        vm.expectRevert(refused);
        products.holdHaircut(0);
        vm.expectRevert(refused);
        auctions.setBonus(0);
        vm.expectRevert(
            abi.encodeWithSelector(IMarginVenue.NotAuthorised.selector, 0, caller, VenueRules.setLimits.selector)
        );
        venue.setLimits(VenueRules.Limits(0, 0, 0));
        vm.stopPrank();
    }

    function test_the_steward_is_wired_once_and_the_owner_is_not_one() public {
        vm.expectRevert(abi.encodeWithSelector(IProducts.StewardKnown.selector, address(this)));
        products.wireSteward(address(1));
        Products bare = new Products(address(usdc), MOST_INCENTIVE, address(this));
        bare.addUnderlying("ETH", true, _scan(ETH), _margin(ETH));
        vm.expectRevert(abi.encodeWithSelector(IProducts.NotSteward.selector, address(this), address(0)));
        bare.setScanParameters(ETH, _scan(ETH));
        vm.expectRevert(abi.encodeWithSelector(IProducts.NotSteward.selector, address(this), address(0)));
        bare.setMarginParameters(ETH, _margin(ETH));
        vm.expectEmit();
        emit IProducts.StewardWired(address(2));
        bare.wireSteward(address(2));
        assertEq(bare.steward(), address(2));
        vm.expectRevert(abi.encodeWithSelector(IProducts.NotSteward.selector, address(this), address(2)));
        bare.setMarginParameters(ETH, _margin(ETH));
    }

    function testFuzz_the_steward_is_wired_once(address first, address second) public {
        vm.assume(first != address(0));
        Products bare = new Products(address(usdc), MOST_INCENTIVE, address(this));
        bare.wireSteward(first);
        assertEq(bare.steward(), first);
        vm.expectRevert(abi.encodeWithSelector(IProducts.StewardKnown.selector, first));
        bare.wireSteward(second);
    }

    // ---- rates ----

    function test_rates_count_for_im_at_once_and_for_mm_a_day_later_in_a_line() public {
        MarginParameters memory m = _margin(ETH);
        (m.imScalar, m.mmScalar, m.concentrationRate, m.concentrationFrom) = (13_000, 10_000, 300, 900e18);
        vm.expectEmit();
        emit IProducts.MarginParametersSet(ETH, m, _margin(ETH), block.timestamp + DAY);
        products.setMarginParameters(ETH, m);
        assertEq(abi.encode(products.marginParameters(ETH)), abi.encode(m));
        _expectMm(9_000, 200, 1_000e18);
        _skip(DAY);
        _expectMm(9_000, 200, 1_000e18);
        _skip(DAY / 4);
        _expectMm(9_250, 225, 975e18);
        _skip(3 * DAY / 4 - 1);
        _expectMm(9_999, 299, 900e18 + uint256(100e18) / DAY + 1); // each toward its looser end
        _skip(1);
        _expectMm(10_000, 300, 900e18);
        assertEq(abi.encode(products.mmParameters(ETH)), abi.encode(m));
    }

    function test_what_is_looser_counts_for_both_at_once_beside_what_is_tighter() public {
        MarginParameters memory m = _margin(ETH);
        (m.mmScalar, m.concentrationRate) = (10_000, 100);
        products.setMarginParameters(ETH, m);
        _expectMm(9_000, 100, 1_000e18);
        _skip(DAY + DAY / 2);
        _expectMm(9_500, 100, 1_000e18);
    }

    /// A looser write, or one of IM's own numbers, leaves what is under way as it is.
    function test_looser_writes_and_ims_own_do_not_begin_a_grace_again() public {
        MarginParameters memory m = _margin(ETH);
        m.mmScalar = 10_000;
        products.setMarginParameters(ETH, m);
        _skip(DAY + DAY / 2);
        (m.imScalar, m.shortImRate, m.confidenceFactor) = (14_000, 200, 9_000);
        products.setMarginParameters(ETH, m);
        _expectMm(9_500, 200, 1_000e18);
        assertEq(products.mmParameters(ETH).confidenceFactor, 9_000);
        assertEq(products.mmParameters(ETH).imScalar, 14_000);
        _skip(DAY / 2);
        _expectMm(10_000, 200, 1_000e18);
    }

    function test_any_tightening_begins_the_grace_of_all_again_from_where_they_are() public {
        MarginParameters memory m = _margin(ETH);
        m.mmScalar = 10_000;
        products.setMarginParameters(ETH, m);
        _skip(DAY + DAY / 2);
        m.concentrationRate = 300;
        products.setMarginParameters(ETH, m);
        _skip(DAY);
        _expectMm(9_500, 200, 1_000e18);
        _skip(DAY / 2);
        _expectMm(9_750, 250, 1_000e18);
        _skip(DAY / 2);
        _expectMm(10_000, 300, 1_000e18);
    }

    function test_held_rates_stay_until_one_is_tightened() public {
        vm.expectRevert(abi.encodeWithSelector(IProducts.NothingRunning.selector, ETH));
        products.holdMargin(ETH);
        MarginParameters memory m = _margin(ETH);
        m.mmScalar = 10_000;
        products.setMarginParameters(ETH, m);
        _skip(DAY + DAY / 2);
        products.holdMargin(ETH);
        assertEq(products.marginParameters(ETH).mmScalar, 10_000);
        (, uint256 start) = products.marginRamp(ETH);
        assertEq(start, HELD);
        vm.expectRevert(abi.encodeWithSelector(IProducts.NothingRunning.selector, ETH));
        products.holdMargin(ETH);
        _skip(30 * DAY);
        _expectMm(9_500, 200, 1_000e18);
        m.concentrationRate = 150;
        products.setMarginParameters(ETH, m); // looser: held as before
        _skip(3 * DAY);
        _expectMm(9_500, 150, 1_000e18);
        m.concentrationRate = 151;
        products.setMarginParameters(ETH, m);
        _skip(DAY);
        _expectMm(9_500, 150, 1_000e18);
        _skip(DAY);
        _expectMm(10_000, 151, 1_000e18);
        vm.expectRevert(abi.encodeWithSelector(IProducts.NothingRunning.selector, ETH));
        products.holdMargin(ETH);
    }

    // ---- haircuts and caps ----

    function test_a_haircut_counts_for_im_at_once_and_for_mm_late_and_a_cap_at_once() public {
        CollateralType memory kind = products.collateral(WETH_COLLATERAL);
        (kind.haircut, kind.cap) = (1_200, 5e18);
        products.setCollateral(WETH_COLLATERAL, kind);
        assertEq(products.collateral(WETH_COLLATERAL).cap, 5e18);
        _expectHaircuts(1_200, 1_000);
        _skip(DAY);
        _expectHaircuts(1_200, 1_000);
        _skip(DAY / 2);
        _expectHaircuts(1_200, 1_100);
        kind.cap = 4e18;
        products.setCollateral(WETH_COLLATERAL, kind); // the haircut goes its way
        _skip(DAY / 2);
        _expectHaircuts(1_200, 1_200);
        kind.haircut = 900;
        products.setCollateral(WETH_COLLATERAL, kind);
        _expectHaircuts(900, 900);
    }

    function test_a_held_haircut_stays_until_it_is_raised() public {
        CollateralType memory kind = products.collateral(WETH_COLLATERAL);
        kind.haircut = 1_200;
        products.setCollateral(WETH_COLLATERAL, kind);
        _skip(DAY + DAY / 2);
        products.holdHaircut(WETH_COLLATERAL);
        _skip(9 * DAY);
        kind.cap = 1;
        products.setCollateral(WETH_COLLATERAL, kind);
        _expectHaircuts(1_200, 1_100);
        kind.haircut = 1_300;
        products.setCollateral(WETH_COLLATERAL, kind);
        _skip(DAY + DAY / 2);
        _expectHaircuts(1_300, 1_200);
        vm.expectRevert(abi.encodeWithSelector(IProducts.NothingRunning.selector, WBTC_COLLATERAL));
        products.holdHaircut(WBTC_COLLATERAL);
    }

    // ---- inside arrays ----

    function test_a_scan_has_one_number_by_the_reports_time_either_way() public {
        ScanParameters memory p = _scan(ETH);
        (p.scan, p.volUp, p.extremeCover) = (0.2e18, 0.25e18, 4_500);
        vm.expectEmit();
        emit IProducts.ScanParametersSet(ETH, 2, p, _scan(ETH), START + DAY);
        products.setScanParameters(ETH, p);
        _expectScan(2, START - 300, 0.15e18, 0.45e18, 3_500); // a report from before the write
        _expectScan(2, START + DAY, 0.15e18, 0.45e18, 3_500);
        _expectScan(2, START + DAY + DAY / 2, 0.175e18, 0.35e18, 4_000);
        _expectScan(2, START + 2 * DAY, 0.2e18, 0.25e18, 4_500);
        _expectScan(1, START + 9 * DAY, 0.15e18, 0.45e18, 3_500);
        (ScanParameters memory from, ScanParameters memory to, uint256 start) = products.scanRamp(ETH, 2);
        assertEq(abi.encode(from, to, start), abi.encode(_scan(ETH), p, START + DAY));
    }

    function test_a_second_scan_starts_from_where_the_first_is() public {
        ScanParameters memory p = _scan(ETH);
        p.scan = 0.2e18;
        products.setScanParameters(ETH, p);
        _skip(DAY + DAY / 2);
        p.scan = 0.1e18;
        products.setScanParameters(ETH, p);
        _expectScan(3, START + 2 * DAY, 0.175e18, 0.45e18, 3_500);
        _expectScan(3, START + 3 * DAY, 0.1375e18, 0.45e18, 3_500);
        _expectScan(2, START + 3 * DAY, 0.2e18, 0.45e18, 3_500); // an epoch that named it
    }

    /// At any second the words margin reads are the records the other views show.
    function testFuzz_packed_words_are_the_views(uint16 mmScalar, uint64 scan, uint256 wait) public {
        MarginParameters memory m = _margin(ETH);
        m.mmScalar = uint16(bound(mmScalar, 1, 10_000));
        products.setMarginParameters(ETH, m);
        ScanParameters memory p = _scan(ETH);
        p.scan = uint64(bound(scan, 12, 0.45e18 - 1));
        products.setScanParameters(ETH, p);
        _skip(bound(wait, 0, 3 * DAY));
        (uint256 a, uint256 b, uint256 c, uint256 im, uint256 mm) = products.packedParameters(ETH, 0, block.timestamp);
        assertEq(im, Packed.rates(products.marginParameters(ETH)));
        assertEq(mm, Packed.rates(products.mmParameters(ETH)));
        assertEq(abi.encode(Packed.scan(a, b, c)), abi.encode(products.scanParameters(ETH, 2, block.timestamp)));
    }

    // ---- arrays ----

    /// One epoch in the middle of the way: published, read by margin, refused as proof of anything wrong.
    function test_an_epoch_on_the_way_is_right_by_its_reports_time() public {
        ScanParameters memory p = _scan(ETH);
        p.scan = 0.2e18;
        products.setScanParameters(ETH, p);
        _skip(DAY / 2 + DAY);
        listAgain();
        uint256 epoch = _refresh(ETH, ETH_PRICE);
        bytes memory published = _arrayOf(epoch, 3);
        ScanParameters memory half = products.scanParameters(ETH, 2, block.timestamp);
        assertEq(half.scan, 0.175e18);
        _skip(60); // later in the block's time, not in the report's
        (bytes32 reportId, bytes32 sliceId) = _newestOf(epoch);
        assertEq(riskArrays.recompute(reportId, sliceId, 2, _option(ETH, 1, 1, false)), published);
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.ArrayCorrect.selector, ETH, epoch, _expiries(ETH)[1], 3));
        riskArrays.challenge(ETH, epoch, _expiries(ETH)[1], 3);
    }

    function test_a_time_goes_with_the_version_written_last_by_then() public {
        assertEq(products.scanVersionAt(ETH, 0), 1);
        uint256 first = block.timestamp + 100;
        uint256 second = first + 3_600;
        for (uint256 at = first; at <= second; at += 3_600) {
            vm.warp(at);
            products.setScanParameters(ETH, _scan(ETH));
        }
        assertEq(products.scanVersionAt(ETH, first - 1), 1);
        assertEq(products.scanVersionAt(ETH, first), 2);
        assertEq(products.scanVersionAt(ETH, second - 1), 2);
        assertEq(products.scanVersionAt(ETH, second), 3);
        assertEq(products.scanVersionAt(ETH, second + 30 days), 3);
        vm.expectRevert(abi.encodeWithSelector(IProducts.UnknownUnderlying.selector, 9));
        products.scanVersionAt(9, second);
    }

    function listAgain() private {
        _report(BTC, BTC_PRICE);
        _report(DAI, 1e18);
    }

    function _newestOf(uint256 epoch) private view returns (bytes32 reportId, bytes32 sliceId) {
        reportId = riskArrays.epoch(ETH, epoch).reportId;
        (, sliceId,) = prices.newestSlice(ETH, _expiries(ETH)[1]);
    }

    function _arrayOf(uint256 epoch, uint256 index) private view returns (bytes memory array) {
        bytes memory code = riskArrays.blob(ETH, epoch, _expiries(ETH)[1]).code;
        array = new bytes(132);
        for (uint256 i; i < 132; ++i) {
            array[i] = code[97 + 132 * index + i];
        }
    }

    // ---- helpers ----

    function _expectMm(uint256 mmScalar, uint256 rate, uint256 from) private view {
        MarginParameters memory m = products.mmParameters(ETH);
        assertEq(m.mmScalar, mmScalar);
        assertEq(m.concentrationRate, rate);
        assertEq(m.concentrationFrom, from);
    }

    function _expectHaircuts(uint256 im, uint256 mm) private view {
        (,, uint16 haircut, uint16 haircutMm) = products.collateralTerms(WETH_COLLATERAL);
        assertEq(haircut, im);
        assertEq(haircutMm, mm);
    }

    function _expectScan(uint32 version, uint256 time, uint256 scan, uint256 volUp, uint256 cover) private view {
        ScanParameters memory p = products.scanParameters(ETH, version, time);
        assertEq(p.scan, scan);
        assertEq(p.volUp, volUp);
        assertEq(p.extremeCover, cover);
    }
}
