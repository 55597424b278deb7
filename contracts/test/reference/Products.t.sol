// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {MintableToken} from "../../src/demo/MintableToken.sol";
import {Parameters} from "../../src/reference/Parameters.sol";
import {Products} from "../../src/reference/Products.sol";
import {IProducts} from "../../src/reference/interfaces/IProducts.sol";
import {CollateralType, Instruments, MarginParameters, ScanParameters} from "../../src/reference/Types.sol";
import {Group, Portfolios} from "../../src/reference/margin/Portfolios.sol";
import {Fixture} from "./Fixture.sol";

contract ProductsTest is Fixture {
    uint40 private constant FREE = uint40(START + 3 days);

    function test_listing_is_readable_in_row_order() public view {
        uint40 expiry = _expiries(ETH)[0];
        assertEq(products.count(ETH, expiry), 6);
        uint128[] memory all = products.instruments(ETH, expiry);
        for (uint256 i; i < 6; ++i) {
            assertEq(all[i], products.instrument(ETH, expiry, i));
            assertEq(Instruments.indexOf(all[i]), i);
            assertTrue(Instruments.isCall(all[i]) == (i % 2 == 0), "calls first");
            assertTrue(products.listed(all[i]), "listed");
            assertTrue(!products.listed(all[i] + 7), "another row of the same strike is not listed");
        }
        assertEq(Instruments.strikeOf(all[0]), 2_700e18);
    }

    function test_perpetual_is_listed_only_where_there_is_one() public view {
        assertTrue(products.listed(_perpetual(ETH)), "ETH");
        assertTrue(!products.listed(_perpetual(DAI)), "DAI has none");
        assertTrue(!products.listed(_perpetual(3)), "unknown underlying");
        assertTrue(!products.listed(_perpetual(ETH) | 1), "a perpetual has no row");
    }

    function test_expiries_are_ascending_whatever_the_order_of_listing() public {
        products.listExpiry(ETH, FREE);
        uint40[] memory all = products.expiriesAfter(ETH, 0);
        assertEq(all.length, 4);
        assertEq(all[1], FREE);
        for (uint256 i = 1; i < all.length; ++i) {
            assertLe(uint256(all[i - 1]) + 1, uint256(all[i]));
        }
        assertEq(products.nextExpiry(ETH, all[0] - 1), all[0]);
        assertEq(products.nextExpiry(ETH, all[0]), FREE);
        assertEq(products.nextExpiry(ETH, all[3]), 0);
        assertEq(products.expiriesAfter(ETH, all[0]).length, 3);
    }

    function test_expiry_rules_and_their_equality_cases() public {
        uint40 first = _expiries(ETH)[0];
        vm.expectRevert(abi.encodeWithSelector(IProducts.ParameterOutOfRange.selector, bytes32("expiryStep"), 1, 0, 0));
        products.listExpiry(ETH, FREE + 1);
        vm.expectRevert(abi.encodeWithSelector(Products.ExpiryTooClose.selector, first + 3_540, first, 1 hours));
        products.listExpiry(ETH, first + 3_540);
        vm.expectRevert(abi.encodeWithSelector(Products.ExpiryTooClose.selector, first - 3_540, first, 1 hours));
        products.listExpiry(ETH, first - 3_540);
        vm.expectRevert(abi.encodeWithSelector(Products.ExpiryTooClose.selector, first, first, 1 hours));
        products.listExpiry(ETH, first);
        vm.expectRevert(abi.encodeWithSelector(Products.ExpiryTooClose.selector, START + 3_540, START, 1 hours));
        products.listExpiry(ETH, uint40(START + 3_540));
        products.listExpiry(ETH, first + 1 hours);
        products.listExpiry(ETH, first - 1 hours);
        products.listExpiry(ETH, uint40(START + 1 hours));
    }

    function test_live_expiries_are_bounded_and_past_ones_make_room() public {
        for (uint256 i = 3; i < products.MAX_LIVE_EXPIRIES(); ++i) {
            products.listExpiry(ETH, uint40(START + 100 days + i * 1 days));
        }
        vm.expectPartialRevert(IProducts.ParameterOutOfRange.selector);
        products.listExpiry(ETH, uint40(START + 200 days));
        vm.warp(_expiries(ETH)[0]); // an expiry of now is over
        products.listExpiry(ETH, uint40(START + 200 days));
    }

    function test_options_no_duplicates_no_zero_strike_no_unknown_expiry() public {
        uint40 expiry = _expiries(ETH)[0];
        (uint64[] memory strikes, bool[] memory calls) = _one(3_000e8, true);
        uint128 id = Instruments.pack(ETH, expiry, 3_000e8, true, 6);
        vm.expectRevert(abi.encodeWithSelector(Products.AlreadyListed.selector, id));
        products.listOptions(ETH, expiry, strikes, calls);
        vm.expectRevert(abi.encodeWithSelector(Products.UnknownExpiry.selector, ETH, expiry + 60));
        products.listOptions(ETH, expiry + 60, strikes, calls);
        vm.expectRevert(abi.encodeWithSelector(Products.UnknownExpiry.selector, ETH, 0));
        products.listOptions(ETH, 0, strikes, calls);
        strikes[0] = 0;
        vm.expectPartialRevert(IProducts.ParameterOutOfRange.selector);
        products.listOptions(ETH, expiry, strikes, calls);
        strikes[0] = 1e16 + 1;
        vm.expectPartialRevert(IProducts.ParameterOutOfRange.selector);
        products.listOptions(ETH, expiry, strikes, calls);
        strikes[0] = 1e16;
        vm.expectPartialRevert(IProducts.ParameterOutOfRange.selector);
        products.listOptions(ETH, expiry, strikes, new bool[](2));
        vm.expectPartialRevert(IProducts.UnknownInstrument.selector);
        products.instrument(ETH, expiry, 6);
    }

    function test_options_are_listed_until_the_averaging_window_opens() public {
        uint40 expiry = _expiries(ETH)[0];
        (uint64[] memory strikes, bool[] memory calls) = _one(3_001e8, true);
        vm.warp(expiry - 30 minutes);
        vm.expectPartialRevert(Products.ExpiryTooClose.selector);
        products.listOptions(ETH, expiry, strikes, calls);
        vm.warp(expiry - 30 minutes - 1);
        products.listOptions(ETH, expiry, strikes, calls);
        assertEq(products.count(ETH, expiry), 7);
    }

    function test_a_blob_holds_185_options() public {
        assertEq(products.MAX_OPTIONS(), 185);
        products.listExpiry(ETH, FREE);
        uint64[] memory strikes = new uint64[](185);
        for (uint64 i; i < 185; ++i) {
            strikes[i] = 100e8 + i;
        }
        products.listOptions(ETH, FREE, strikes, new bool[](185));
        (strikes,) = _one(99e8, false);
        vm.expectRevert(abi.encodeWithSelector(IProducts.ParameterOutOfRange.selector, bytes32("options"), 186, 1, 185));
        products.listOptions(ETH, FREE, strikes, new bool[](1));
    }

    function test_each_scan_version_stays_readable() public {
        ScanParameters memory scan = _scan(ETH);
        scan.scan = 0.2e18;
        products.setScanParameters(ETH, scan);
        assertEq(products.scanVersion(ETH), 2);
        uint256 later = START + 2 days;
        assertEq(products.scanParameters(ETH, 1, later).scan, 0.15e18);
        assertEq(products.scanParameters(ETH, 2, later).scan, 0.2e18);
        vm.expectRevert(abi.encodeWithSelector(IProducts.UnknownVersion.selector, ETH, 3));
        products.scanParameters(ETH, 3, later);
        vm.expectRevert(abi.encodeWithSelector(IProducts.UnknownVersion.selector, ETH, 0));
        products.scanParameters(ETH, 0, later);
        vm.expectRevert(abi.encodeWithSelector(IProducts.UnknownUnderlying.selector, 3));
        products.scanParameters(3, 1, later);
    }

    /// Eighteen fields, no two alike: what margin unpacks is what was set.
    function test_packed_parameters_hold_every_field() public {
        ScanParameters memory scan =
            ScanParameters(0.2e18, 0.5e18, 0.4e18, 0.31e18, 0.14e18, 0.5e18, 1.5e18, 0.8e18, 3_100, 2_100, 1_100);
        MarginParameters memory rates = MarginParameters(13_000, 8_000, 120, 60, 210, 11_000, 900e18);
        products.setScanParameters(ETH, scan);
        products.setMarginParameters(ETH, rates);
        uint256 later = START + 2 days;
        vm.warp(later);
        Group memory g = _unpacked(2, later);
        assertEq(abi.encode(g.scan), abi.encode(scan));
        assertEq(abi.encode(g.rates), abi.encode(rates));
        assertEq(abi.encode(g.ratesMm), abi.encode(rates));
        assertEq(abi.encode(_unpacked(0, later).scan), abi.encode(scan));
        assertEq(abi.encode(_unpacked(1, later).scan), abi.encode(_scan(ETH)));
        vm.expectRevert(abi.encodeWithSelector(IProducts.UnknownVersion.selector, ETH, 3));
        products.packedParameters(ETH, 3, later);
        vm.expectRevert(abi.encodeWithSelector(IProducts.UnknownUnderlying.selector, 3));
        products.packedParameters(3, 0, later);
    }

    function _unpacked(uint32 version, uint256 time) private view returns (Group memory g) {
        (uint256 a, uint256 b, uint256 c, uint256 im, uint256 mm) = products.packedParameters(ETH, version, time);
        Portfolios.setParameters(g, a, b, c, im, mm);
    }

    function test_collateral_terms_are_those_of_the_type() public {
        for (uint256 i; i < products.collaterals(); ++i) {
            (uint8 underlying, uint8 decimals, uint16 haircut, uint16 haircutMm) = products.collateralTerms(i);
            CollateralType memory kind = products.collateral(i);
            assertEq(underlying, kind.underlying);
            assertEq(decimals, kind.decimals);
            assertEq(haircut, kind.haircut);
            assertEq(haircutMm, kind.haircut);
        }
        vm.expectRevert(abi.encodeWithSelector(IProducts.UnknownCollateral.selector, 3));
        products.collateralTerms(3);
    }

    function test_scan_bounds() public {
        ScanParameters memory scan = _scan(ETH);
        scan.scan = 0;
        _scanRefused(scan);
        scan.scan = 0.5e18;
        _scanRefused(scan);
        scan = _scan(ETH);
        scan.extreme = scan.scan;
        _scanRefused(scan);
        scan = _scan(ETH);
        scan.deepUp = scan.extreme;
        _scanRefused(scan);
        scan.deepUp = 10e18 + 1;
        _scanRefused(scan);
        scan = _scan(ETH);
        scan.volUp = 10e18 + 1;
        _scanRefused(scan);
        scan = _scan(ETH);
        scan.deepDown = scan.extreme;
        _scanRefused(scan);
        scan.deepDown = 1e18;
        _scanRefused(scan);
        scan = _scan(ETH);
        scan.volDown = 1e18;
        _scanRefused(scan);
        scan = _scan(ETH);
        scan.longPower = 1e18 + 1;
        _scanRefused(scan);
        scan = _scan(ETH);
        scan.shortPower = 1e18 + 1;
        _scanRefused(scan);
        scan = _scan(ETH);
        scan.extremeCover = 10_001;
        _scanRefused(scan);
        scan = _scan(ETH);
        scan.deepUpCover = 10_001;
        _scanRefused(scan);
        scan = _scan(ETH);
        scan.deepDownCover = 10_001;
        _scanRefused(scan);
        assertEq(products.scanVersion(ETH), 1);
    }

    /// Any accepted scan has the eighteen price factors of the specification above zero.
    function testFuzz_accepted_scans_keep_prices_positive(uint64 scan, uint64 extreme, uint64 deepDown) public {
        ScanParameters memory tried = _scan(ETH);
        (tried.scan, tried.extreme, tried.deepDown) = (scan, extreme, deepDown);
        try products.setScanParameters(ETH, tried) {
            uint256 left = uint256(1e18) - scan / 12;
            assertTrue((1e18 - uint256(scan)) * left / 1e18 > (1e18 - uint256(extreme)) * left / 1e18 - 1, "ordered");
            assertTrue((1e18 - uint256(deepDown)) * left / 1e18 > 0, "positive");
        } catch (bytes memory reason) {
            assertTrue(bytes4(reason) == IProducts.ParameterOutOfRange.selector, "named");
        }
    }

    function test_margin_bounds() public {
        MarginParameters memory margin = _margin(ETH);
        margin.imScalar = 9_999;
        _marginRefused(margin);
        margin = _margin(ETH);
        margin.mmScalar = 10_001;
        _marginRefused(margin);
        margin.mmScalar = 0;
        _marginRefused(margin);
        margin = _margin(ETH);
        margin.shortMmRate = margin.shortImRate + 1;
        _marginRefused(margin);
        margin = _margin(ETH);
        (margin.imScalar, margin.mmScalar, margin.shortMmRate) = (10_000, 10_000, margin.shortImRate);
        products.setMarginParameters(ETH, margin);
        assertEq(products.marginParameters(ETH).imScalar, 10_000);
    }

    /// (1 + incentive) × loan-to-value < 1: with 5 % the haircut must exceed 1 − 1/1.05 = 4.76…%.
    function test_haircut_leaves_room_for_the_incentive() public {
        CollateralType memory changed = products.collateral(DAI_COLLATERAL);
        changed.haircut = 476;
        vm.expectPartialRevert(IProducts.ParameterOutOfRange.selector);
        products.setCollateral(DAI_COLLATERAL, changed);
        changed.haircut = 477;
        products.setCollateral(DAI_COLLATERAL, changed);
        assertEq(products.collateral(DAI_COLLATERAL).haircut, 477);
        changed.haircut = 10_000;
        vm.expectPartialRevert(IProducts.ParameterOutOfRange.selector);
        products.setCollateral(DAI_COLLATERAL, changed);
    }

    function test_collateral_tokens_are_checked() public {
        CollateralType memory kind = products.collateral(DAI_COLLATERAL);
        vm.expectRevert(abi.encodeWithSelector(Products.AlreadyAccepted.selector, address(dai), DAI_COLLATERAL));
        products.addCollateral(kind);
        kind.token = address(usdc);
        kind.decimals = 6;
        vm.expectRevert(abi.encodeWithSelector(Products.AlreadyAccepted.selector, address(usdc), type(uint256).max));
        products.addCollateral(kind);
        kind.token = address(new MintableToken("Nineteen", "N", 19));
        kind.decimals = 19;
        vm.expectPartialRevert(IProducts.ParameterOutOfRange.selector);
        products.addCollateral(kind);
        kind.token = address(new MintableToken("Five", "F", 5));
        kind.decimals = 5;
        vm.expectPartialRevert(IProducts.ParameterOutOfRange.selector);
        products.addCollateral(kind);
        kind.token = address(new MintableToken("Six", "S", 6));
        kind.decimals = 8; // not the token's own
        vm.expectPartialRevert(IProducts.ParameterOutOfRange.selector);
        products.addCollateral(kind);
        (kind.decimals, kind.underlying) = (6, 3);
        vm.expectRevert(abi.encodeWithSelector(IProducts.UnknownUnderlying.selector, 3));
        products.addCollateral(kind);
        kind.underlying = ETH;
        assertEq(products.addCollateral(kind), 3);
        assertEq(products.collaterals(), 4);
    }

    function test_collateral_keeps_its_token_and_underlying() public {
        CollateralType memory changed = products.collateral(WETH_COLLATERAL);
        changed.underlying = BTC;
        vm.expectRevert(abi.encodeWithSelector(Parameters.CollateralFixed.selector, WETH_COLLATERAL));
        products.setCollateral(WETH_COLLATERAL, changed);
        changed = products.collateral(WETH_COLLATERAL);
        changed.token = address(dai);
        vm.expectRevert(abi.encodeWithSelector(Parameters.CollateralFixed.selector, WETH_COLLATERAL));
        products.setCollateral(WETH_COLLATERAL, changed);
        vm.expectRevert(abi.encodeWithSelector(IProducts.UnknownCollateral.selector, 3));
        products.setCollateral(3, changed);
        vm.expectRevert(abi.encodeWithSelector(IProducts.UnknownCollateral.selector, 3));
        products.collateral(3);
    }

    function test_at_most_thirty_underlyings() public {
        for (uint256 i = 3; i < 30; ++i) {
            products.addUnderlying("X", false, _scan(ETH), _margin(ETH));
        }
        vm.expectRevert(
            abi.encodeWithSelector(IProducts.ParameterOutOfRange.selector, bytes32("underlyings"), 30, 0, 29)
        );
        products.addUnderlying("X", false, _scan(ETH), _margin(ETH));
        assertEq(products.underlyings(), 30);
    }

    function test_only_the_owner_lists() public {
        CollateralType memory kind = products.collateral(DAI_COLLATERAL);
        (uint64[] memory strikes, bool[] memory calls) = _one(3_001e8, true);
        uint40 expiry = _expiries(ETH)[0];
        bytes memory refused = abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, address(1));
        vm.startPrank(address(1));
        vm.expectRevert(refused);
        products.addUnderlying("X", false, _scan(ETH), _margin(ETH));
        vm.expectRevert(refused);
        products.listExpiry(ETH, FREE);
        vm.expectRevert(refused);
        products.listOptions(ETH, expiry, strikes, calls);
        vm.expectRevert(refused);
        products.addCollateral(kind);
        vm.expectRevert(refused);
        products.wireSteward(address(1));
        vm.stopPrank();
    }

    function _one(uint64 strike, bool call) private pure returns (uint64[] memory strikes, bool[] memory calls) {
        (strikes, calls) = (new uint64[](1), new bool[](1));
        (strikes[0], calls[0]) = (strike, call);
    }

    function _scanRefused(ScanParameters memory scan) private {
        vm.expectPartialRevert(IProducts.ParameterOutOfRange.selector);
        products.setScanParameters(ETH, scan);
    }

    function _marginRefused(MarginParameters memory margin) private {
        vm.expectPartialRevert(IProducts.ParameterOutOfRange.selector);
        products.setMarginParameters(ETH, margin);
    }
}
