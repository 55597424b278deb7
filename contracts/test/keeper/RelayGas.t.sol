// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPriceRelay} from "../../src/keeper/interfaces/IPriceRelay.sol";
import {ISurfaceRelay} from "../../src/keeper/interfaces/ISurfaceRelay.sol";
import {Observation, Slice} from "../../src/reference/Types.sol";
import {Fixture} from "../reference/Fixture.sol";

/// @notice What a quorum of two costs, everything cold, execution alone: the third report or slice and on.
contract RelayGasTest is Fixture {
    function setUp() public override {
        super.setUp();
        _skip(60);
        for (uint8 u; u <= DAI; ++u) {
            (uint128 price,,) = prices.quote(u);
            _report(u, price);
            _fitAll(u);
        }
        _skip(60);
    }

    function test_gas_of_one_report() public {
        IPriceRelay.SignedObservation memory one = _seen(ETH);
        _cool();
        prices.relay(one.seen, one.signatures);
        assertLe(vm.snapshotGasLastCall("Relays", "report"), 250_000);
    }

    function test_gas_of_a_jump() public {
        Observation memory seen = _observation(ETH, 2 * ETH_PRICE, 0);
        bytes[] memory all = _signatures(seen, SIGNERS);
        _cool();
        prices.relay(seen, all);
        assertLe(vm.snapshotGasLastCall("Relays", "report, a jump of three signers"), 300_000);
    }

    function test_gas_of_three_reports() public {
        IPriceRelay.SignedObservation[] memory batch = new IPriceRelay.SignedObservation[](3);
        for (uint8 u; u <= DAI; ++u) {
            batch[u] = _seen(u);
        }
        _cool();
        prices.relayMany(batch);
        assertLe(vm.snapshotGasLastCall("Relays", "three reports"), 700_000);
    }

    function test_gas_of_one_slice() public {
        ISurfaceRelay.SignedSlice memory one = _fitted(_expiries(ETH)[0]);
        _cool();
        surface.relay(one.fitted, one.signatures);
        assertLe(vm.snapshotGasLastCall("Relays", "slice"), 300_000);
    }

    function test_gas_of_three_slices() public {
        ISurfaceRelay.SignedSlice[] memory batch = new ISurfaceRelay.SignedSlice[](3);
        for (uint256 i; i < 3; ++i) {
            batch[i] = _fitted(_expiries(ETH)[i]);
        }
        _cool();
        surface.relayMany(batch);
        assertLe(vm.snapshotGasLastCall("Relays", "three slices"), 900_000);
    }

    function _seen(uint8 underlying) private view returns (IPriceRelay.SignedObservation memory) {
        (uint128 price,,) = prices.quote(underlying);
        Observation memory seen = _observation(underlying, price * 1_001 / 1_000, 0);
        return IPriceRelay.SignedObservation(seen, _signatures(seen, QUORUM));
    }

    function _fitted(uint40 expiry) private view returns (ISurfaceRelay.SignedSlice memory) {
        (Slice memory fitted,,) = prices.newestSlice(ETH, expiry);
        (fitted.timestamp, fitted.a) = (uint40(block.timestamp), fitted.a + 1e15);
        return ISurfaceRelay.SignedSlice(fitted, _signatures(fitted, QUORUM));
    }

    function _cool() private {
        vm.cool(address(prices));
        vm.cool(address(surface));
        vm.cool(address(products));
    }
}
