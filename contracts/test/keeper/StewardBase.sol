// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {RiskSteward} from "../../src/keeper/RiskSteward.sol";
import {IRiskSteward} from "../../src/keeper/interfaces/IRiskSteward.sol";
import {Fixture} from "../reference/Fixture.sol";

/// The whole venue with a steward; the test owns it. Terms for fields of ETH, its collateral and the venue.
abstract contract StewardBase is Fixture {
    address internal constant CONTROLLER = address(0xC0);
    address internal constant GUARDIAN = address(0x60);
    uint256 internal constant DAY = 24 hours;

    RiskSteward internal steward;

    function _wireSteward() internal virtual override {
        steward = new RiskSteward(products, venue, auctions, address(this), CONTROLLER, GUARDIAN);
        products.wireSteward(address(steward));
        _terms(IRiskSteward.Field.Scan, 0.1e18, 0.3e18, 0.05e18);
        _terms(IRiskSteward.Field.Extreme, 0.3e18, 0.6e18, 0.1e18);
        _terms(IRiskSteward.Field.VolUp, 0.2e18, 0.9e18, 0.1e18);
        _terms(IRiskSteward.Field.VolDown, 0.1e18, 0.6e18, 0.1e18);
        _terms(IRiskSteward.Field.ExtremeCover, 1_000, 5_000, 500);
        _terms(IRiskSteward.Field.ImScalar, 10_000, 20_000, 1_000);
        _terms(IRiskSteward.Field.MmScalar, 7_000, 10_000, 500);
        _terms(IRiskSteward.Field.ShortImRate, 50, 500, 50);
        _terms(IRiskSteward.Field.ShortMmRate, 10, 100, 20);
        _terms(IRiskSteward.Field.ConcentrationRate, 0, 1_000, 100);
        _terms(IRiskSteward.Field.ConfidenceFactor, 5_000, 20_000, 2_500);
        _terms(IRiskSteward.Field.ConcentrationFrom, 100e18, 10_000e18, 300e18);
        _terms(IRiskSteward.Field.Haircut, 500, 4_000, 200);
        _terms(IRiskSteward.Field.Cap, 0, 2_000_000e18, 100_000e18);
        _terms(IRiskSteward.Field.Band, 300, 1_000, 100);
        _terms(IRiskSteward.Field.FloorBand, 10, 100, 10);
        _terms(IRiskSteward.Field.LeastNotional, 0, 100e18, 5e18);
        _terms(IRiskSteward.Field.Bonus, 0, 50_000e18, 1_000e18);
    }

    function _terms(IRiskSteward.Field field, uint128 low, uint128 high, uint128 step) internal {
        steward.setTerms(field, 0, IRiskSteward.Terms(low, high, step, 1 hours));
    }

    function _write(IRiskSteward.Field field, uint256 number) internal {
        _writeAs(_change(field, steward.number(field, 0), number));
    }

    function _writeAs(IRiskSteward.Change memory change) internal {
        vm.prank(CONTROLLER);
        steward.write(_one(change));
    }

    function _refused(IRiskSteward.Change memory change, bytes memory reason) internal {
        vm.prank(CONTROLLER);
        vm.expectRevert(reason);
        steward.write(_one(change));
    }

    function _change(IRiskSteward.Field field, uint256 expected, uint256 number)
        internal
        pure
        returns (IRiskSteward.Change memory)
    {
        return IRiskSteward.Change(field, 0, uint128(expected), uint128(number));
    }

    function _one(IRiskSteward.Change memory change) internal pure returns (IRiskSteward.Change[] memory one) {
        one = new IRiskSteward.Change[](1);
        one[0] = change;
    }

    function _expect(IRiskSteward.Field field, uint256 im, uint256 mm) internal view {
        (uint256 foundIm, uint256 foundMm) = steward.inForce(field, 0);
        assertEq(foundIm, im);
        assertEq(foundMm, mm);
    }
}
