// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {MintableToken} from "../../src/demo/MintableToken.sol";
import {Products} from "../../src/reference/Products.sol";
import {IProducts} from "../../src/reference/interfaces/IProducts.sol";
import {CollateralType, MarginParameters, ScanParameters} from "../../src/reference/Types.sol";
import {RiskArraysBase} from "./RiskArraysBase.sol";

/// @notice The owner's own slips: whatever he writes is stored whole or refused by name, within the bounds the docs state.
contract ProductCallsTest is RiskArraysBase {
    function _withinBounds(MarginParameters memory m) private pure returns (bool) {
        return m.imScalar >= 1e4 && m.mmScalar >= 1 && m.mmScalar <= 1e4 && m.shortImRate <= 1e4
            && m.shortMmRate <= m.shortImRate && m.concentrationRate <= 1e4;
    }

    /// @dev Half of the fields drawn inside their bounds, the rest anywhere.
    function _shaped(MarginParameters memory m, uint256 edges) private pure returns (MarginParameters memory) {
        if (edges & 3 != 0) m.imScalar = uint16(bound(m.imScalar, 9_999, type(uint16).max));
        if (edges >> 2 & 3 != 0) m.mmScalar = uint16(bound(m.mmScalar, 0, 10_001));
        if (edges >> 4 & 3 != 0) m.shortImRate = uint16(bound(m.shortImRate, 0, 10_001));
        if (edges >> 6 & 3 != 0) m.shortMmRate = uint16(bound(m.shortMmRate, 0, uint256(m.shortImRate) + 1));
        if (edges >> 8 & 3 != 0) m.concentrationRate = uint16(bound(m.concentrationRate, 0, 10_001));
        return m;
    }

    function testFuzz_margin_parameters_within_their_bounds(MarginParameters memory tried, uint256 edges) public {
        _shaped(tried, edges);
        bool good = _withinBounds(tried);
        if (!good) vm.expectPartialRevert(IProducts.ParameterOutOfRange.selector);
        products.setMarginParameters(ETH, tried);
        MarginParameters memory left = good ? tried : _margin(ETH);
        assertEq(keccak256(abi.encode(products.marginParameters(ETH))), keccak256(abi.encode(left)));
    }

    function testFuzz_an_underlying_is_added_whole_or_not(
        bytes32 symbol,
        bool perpetual,
        MarginParameters memory tried,
        uint64 scan,
        uint256 edges
    ) public {
        _shaped(tried, edges);
        ScanParameters memory shape = _scan(ETH);
        shape.scan = edges >> 10 & 1 == 0 ? scan : uint64(bound(scan, 11, shape.extreme));
        bool good = _withinBounds(tried) && shape.scan >= 12 && shape.scan < 0.45e18;
        if (!good) vm.expectPartialRevert(IProducts.ParameterOutOfRange.selector);
        products.addUnderlying(symbol, perpetual, shape, tried);
        assertEq(products.underlyings(), good ? 4 : 3);
        if (!good) return;
        (bytes32 named, bool has) = products.describe(3);
        assertTrue(named == symbol && has == perpetual && products.listed(uint128(3) << 120) == perpetual, "added");
        assertEq(uint256(products.scanVersion(3)), 1);
    }

    function testFuzz_a_collateral_is_what_its_token_says_with_haircut_enough(
        uint8 decimals,
        uint8 said,
        uint8 underlying,
        uint16 haircut,
        uint128 cap
    ) public {
        decimals = uint8(bound(decimals, 0, 24));
        if (said % 4 != 3) said = decimals;
        underlying %= 4;
        if (haircut % 2 == 0) haircut = uint16(bound(haircut, 0, 10_000));
        address token = address(new MintableToken("T", "T", decimals));
        bool good = said == decimals && decimals >= 6 && decimals <= 18 && underlying < 3 && _enough(haircut);
        try products.addCollateral(CollateralType(token, said, underlying, haircut, cap)) returns (uint256 index) {
            assertTrue(good, "accepted");
            assertEq(index, 3);
            assertEq(products.collateral(3).token, token);
        } catch {
            assertTrue(!good, "refused");
            assertEq(products.collaterals(), 3);
        }
    }

    /// @dev (1 + 5 %) × (1 − haircut) < 1.
    function _enough(uint16 haircut) private pure returns (bool) {
        return haircut >= 477 && haircut < 10_000;
    }

    function testFuzz_of_a_collateral_only_haircut_and_cap_change(
        uint256 index,
        bool otherToken,
        uint8 underlying,
        uint16 haircut,
        uint128 cap
    ) public {
        index = bound(index, 0, 3);
        if (haircut % 2 == 0) haircut = uint16(bound(haircut, 0, 10_000));
        CollateralType memory changed;
        if (index < 3) changed = products.collateral(index);
        bytes32 before = keccak256(abi.encode(changed));
        bool fixedKept = !otherToken && (underlying % 2 == 0 || underlying % 3 == changed.underlying);
        if (otherToken) changed.token = address(usdc);
        if (underlying % 2 == 1) changed.underlying = underlying % 3;
        (changed.haircut, changed.cap) = (haircut, cap);
        bool good = index < 3 && fixedKept && _enough(haircut);
        try products.setCollateral(index, changed) {
            assertTrue(good, "changed");
            assertEq(keccak256(abi.encode(products.collateral(index))), keccak256(abi.encode(changed)));
        } catch {
            assertTrue(!good, "refused");
            if (index < 3) assertEq(keccak256(abi.encode(products.collateral(index))), before);
        }
    }

    function testFuzz_options_are_listed_once_and_in_range_or_not_at_all(
        uint64[3] memory strikes,
        bool[3] memory calls,
        uint40 expiry
    ) public {
        if (expiry % 4 != 3) expiry = FIRST;
        bool good = expiry == FIRST || expiry == SECOND;
        uint64[] memory wanted = new uint64[](3);
        bool[] memory kinds = new bool[](3);
        for (uint256 i; i < 3; ++i) {
            if (strikes[i] % 2 == 0) strikes[i] = uint64(bound(strikes[i], 0, 6)) * 1_000e8; // 3,000 is there
            (wanted[i], kinds[i]) = (strikes[i], calls[i]);
            if (strikes[i] == 0 || strikes[i] > 1e16 || strikes[i] == 3_000e8 || strikes[i] == 3_300e8) good = false;
            for (uint256 j; j < i; ++j) {
                if (strikes[j] == strikes[i] && calls[j] == calls[i]) good = false;
            }
        }
        try products.listOptions(ETH, expiry, wanted, kinds) {
            assertTrue(good, "listed");
            assertEq(products.count(ETH, expiry), 7);
            for (uint256 i; i < 3; ++i) {
                assertTrue(products.listed(products.instrument(ETH, expiry, 4 + i)), "in its row");
            }
        } catch (bytes memory reason) {
            bytes4 name = bytes4(reason);
            assertTrue(!good, "refused");
            assertTrue(
                name == IProducts.ParameterOutOfRange.selector || name == Products.UnknownExpiry.selector
                    || name == Products.AlreadyListed.selector,
                "named"
            );
            assertEq(products.count(ETH, FIRST), 4);
        }
    }
}
