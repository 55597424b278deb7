// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Test} from "../Vm.sol";
import {Normal} from "../../src/reference/math/Normal.sol";

/// Tails and densities to fifty digits were computed elsewhere, in arbitrary precision.
contract NormalTest is Test {
    uint256 private constant WAD = 1e18;
    uint256 private constant SPLIT = 7071067811865475244;

    function test_tails_and_densities_to_sixteen_digits() public pure {
        _expect(0.1e18, 460172162722971019, 396952547477011766);
        _expect(1e18, 158655253931457051, 241970724519143350);
        _expect(1.96e18, 24997895148220434, 58440944333451460);
        _expect(2.5e18, 6209665325776135, 17528300493568537);
        _expect(4e18, 31671241833120, 133830225764885);
        _expect(5e18, 286651571879, 1486719514734);
        _expect(7e18, 1279813, 9134720);
        _expect(7.2e18, 301063, 2207990);
        _expect(8e18, 622, 5052);
        _expect(8.9e18, 0, 3);
    }

    function test_zero_is_exactly_a_half() public pure {
        (uint256 cumulative, uint256 density) = Normal.normal(0);
        assertEq(cumulative, WAD / 2);
        assertEq(density, 398942280401432678);
    }

    function test_beyond_nine_deviations_nothing_is_left() public pure {
        _beyond(9e18 + 1);
        _beyond(type(int256).max);
        (uint256 cumulative, uint256 density) = Normal.normal(type(int256).min);
        assertEq(cumulative, 0);
        assertEq(density, 0);
    }

    function test_the_two_approximations_meet() public pure {
        (uint256 hart,) = Normal.normal(-int256(SPLIT - 1));
        (uint256 fraction,) = Normal.normal(-int256(SPLIT));
        assertLe(_apart(hart, fraction), 1);
        assertTrue(hart > 0, "the tail at the seam is not nothing");
    }

    /// forge-config: default.fuzz.runs = 10000
    function testFuzz_both_tails_make_one(int256 x) public pure {
        int256 near = int256(bound(uint256(x), 0, 20e18)) - 10e18;
        _tails(x == type(int256).min ? int256(0) : x);
        _tails(near);
    }

    /// The slope between two points lies between the densities at them (one side of zero): density and cumulative
    /// come from different formulas.
    /// forge-config: default.fuzz.runs = 10000
    function testFuzz_density_is_the_slope(uint256 from, uint256 step) public pure {
        from = bound(from, 0, 9.5e18);
        step = bound(step, 0, 0.5e18);
        (uint256 na, uint256 da) = Normal.normal(-int256(from));
        (uint256 nb, uint256 db) = Normal.normal(-int256(from + step));
        assertTrue(na >= nb, "the tail falls");
        uint256 fall = (na - nb) * WAD;
        assertLe(fall, (da + 1) * step + 1000 * WAD);
        assertLe(db * step, fall + 1000 * WAD);
    }

    function _expect(uint256 z, uint256 tail, uint256 density) private pure {
        (uint256 below, uint256 d) = Normal.normal(-int256(z));
        (uint256 above, uint256 d2) = Normal.normal(int256(z));
        assertLe(_apart(below, tail), 100);
        assertLe(_apart(above, WAD - tail), 100);
        assertLe(_apart(d, density), 2);
        assertEq(d2, d);
        // In the tail what counts is the relative error.
        assertLe(_apart(below, tail), tail / 1e10 + 2);
    }

    function _beyond(int256 x) private pure {
        (uint256 above, uint256 density) = Normal.normal(x);
        (uint256 below,) = Normal.normal(-x);
        assertEq(above, WAD);
        assertEq(below, 0);
        assertEq(density, 0);
    }

    function _tails(int256 x) private pure {
        (uint256 above, uint256 d) = Normal.normal(x);
        (uint256 below, uint256 d2) = Normal.normal(-x);
        assertEq(above + below, WAD);
        assertEq(d, d2);
        assertTrue(x > 0 ? above >= below : above <= below, "more than half lies below a positive x");
    }

    function _apart(uint256 a, uint256 b) private pure returns (uint256) {
        return a > b ? a - b : b - a;
    }
}
