// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {PriceRelay} from "../../src/keeper/PriceRelay.sol";
import {SurfaceRelay} from "../../src/keeper/SurfaceRelay.sol";
import {RiskArrays} from "../../src/reference/RiskArrays.sol";
import {Observation, Report, Slice} from "../../src/reference/Types.sol";
import {IRiskArrays} from "../../src/reference/interfaces/IRiskArrays.sol";
import {Fixture} from "../reference/Fixture.sol";

/// @notice The venue's own contracts over the relays: arrays that name a relay's ids are those of the owner-set store.
contract RelayVenueTest is Fixture {
    uint256 private constant KEY = 7;
    PriceRelay private _relay;
    SurfaceRelay private _surface;
    RiskArrays private _overRelay;

    function setUp() public override {
        super.setUp();
        _surface = new SurfaceRelay(products, 60, address(this));
        _relay = new PriceRelay(_surface, 60, address(this));
        address[] memory one = new address[](1);
        one[0] = vm.addr(KEY);
        _relay.setSigners(one, 1, 1);
        _surface.setSigners(one, 1, 1);
        _overRelay = new RiskArrays(_relay, products, usdc, _terms(), MAX_REPORT_AGE, MAX_SLICE_AGE, address(this));
        _overRelay.wireVenue(venue);
    }

    function testFuzz_arrays_over_the_relay_are_those_over_the_store(uint256 price, uint256 wait, uint256 which)
        public
    {
        _skip(bound(wait, 1, 12 hours));
        bytes32 kept = _report(ETH, bound(price, 1_000e18, 9_000e18));
        uint40 expiry = _expiries(ETH)[which % 3];
        bytes32 keptFit = _fit(ETH, expiry);
        (bytes32 id, bytes32 fit) = (_bring(prices.report(kept)), _bring(prices.slice(keptFit)));
        assertTrue(id != kept && fit != keptFit, "an id is of one store");
        uint128 option = products.instrument(ETH, expiry, which % 6);
        assertEq(_overRelay.recompute(id, fit, 1, option), riskArrays.recompute(kept, keptFit, 1, option));
    }

    function test_a_publisher_publishes_on_the_relay() public {
        _skip(1);
        bytes32 kept = _report(ETH, ETH_PRICE);
        bytes32 id = _bring(prices.report(kept));
        uint40[] memory expiries = _expiries(ETH);
        for (uint256 i; i < expiries.length; ++i) {
            _bring(prices.slice(_fit(ETH, expiries[i])));
        }
        RiskArrays over = riskArrays;
        (riskArrays, _overRelay) = (_overRelay, over);
        _bond(PUBLISHER, MINIMUM_BOND);
        for (uint256 i; i < expiries.length; ++i) {
            (, bytes32 fit,) = _relay.newestSlice(ETH, expiries[i]);
            uint32 version = products.scanVersion(ETH);
            bytes memory arrays = _arrays(ETH, expiries[i], id, fit);
            bytes32 listingId = _listingId(ETH, expiries[i], version);
            vm.prank(PUBLISHER);
            riskArrays.publish(ETH, expiries[i], id, fit, version, listingId, arrays);
        }
        (, IRiskArrays.Epoch memory epoch) = riskArrays.current(ETH);
        assertEq(epoch.reportId, id);
    }

    function _bring(Report memory r) private returns (bytes32) {
        Observation memory seen = Observation(
            r.underlying,
            r.timestamp,
            r.price,
            r.confidence,
            r.fundingRate,
            r.fixingExpiry,
            r.fixedShare,
            r.fixedAverage
        );
        return _relay.relay(seen, _one(_relay.digest(seen)));
    }

    function _bring(Slice memory fitted) private returns (bytes32) {
        return _surface.relay(fitted, _one(_surface.digest(fitted)));
    }

    function _one(bytes32 digest) private pure returns (bytes[] memory list) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(KEY, digest);
        list = new bytes[](1);
        list[0] = abi.encodePacked(r, s, v);
    }
}
