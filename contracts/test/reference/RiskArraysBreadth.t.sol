// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IRiskArrays} from "../../src/reference/interfaces/IRiskArrays.sol";
import {Fixture} from "./Fixture.sol";

/// What a proof costs against a publisher of many underlyings: it voids his unsettled epochs on every one.
contract RiskArraysBreadthTest is Fixture {
    function _add(uint8 many) private {
        for (uint8 u = DAI + 1; u <= DAI + many; ++u) {
            addOne(u);
        }
    }

    function _publishWrong() private returns (uint256 id, uint40 expiry) {
        _skip(60);
        bytes32 reportId = _report(ETH, ETH_PRICE);
        expiry = _expiries(ETH)[0];
        (, bytes32 sliceId,) = prices.newestSlice(ETH, expiry);
        bytes memory arrays = _arrays(ETH, expiry, reportId, sliceId);
        arrays[5] = bytes1(uint8(arrays[5]) ^ 1);
        id = _publish(PUBLISHER, ETH, expiry, reportId, arrays);
    }

    /// @dev Everything cold; execution alone.
    function _proof() private returns (uint256 used) {
        (uint256 id, uint40 expiry) = _publishWrong();
        address[6] memory cold = [
            address(riskArrays),
            address(prices),
            address(products),
            address(venue),
            address(usdc),
            address(riskArrays.RECOMPUTATION())
        ];
        for (uint256 i; i < cold.length; ++i) {
            vm.cool(cold[i]);
        }
        used = gasleft();
        riskArrays.challenge(ETH, id, expiry, 0);
        used -= gasleft();
    }

    /// The most a publisher may serve, and on each a history that it would take long to search.
    function test_the_dearest_proof_fits_its_budget_with_what_any_transaction_costs() public {
        _add(4);
        for (uint256 i; i < 40; ++i) {
            _skip(1);
            for (uint8 u = DAI + 1; u <= DAI + 4; ++u) {
                _report(u, ETH_PRICE);
                _publishAll(u);
            }
        }
        assertLe(_proof(), 400_000 - 25_000);
        vm.snapshotGasLastCall("RiskArrays", "challenge, six underlyings");
    }

    function test_a_long_history_costs_a_proof_nothing() public {
        _add(1);
        uint256 state = vm.snapshotState();
        uint256 short = _proof();
        vm.revertToState(state);
        for (uint256 i; i < 40; ++i) {
            _skip(1);
            _report(DAI + 1, ETH_PRICE);
            _publishAll(DAI + 1);
        }
        assertEq(_proof(), short);
    }

    function test_a_publisher_serves_no_seventh() public {
        _add(4);
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.TooManyUnderlyings.selector, PUBLISHER, 6));
        this.addOne(DAI + 5);
    }

    function addOne(uint8 u) public {
        uint64[] memory strikes = new uint64[](1);
        strikes[0] = 3_000e8;
        uint40 expiry = uint40(START + 7 days);
        products.addUnderlying(bytes32(uint256(u)), false, _scan(ETH), _margin(ETH));
        _report(u, ETH_PRICE);
        products.listExpiry(u, expiry);
        _fit(u, expiry);
        _list(u, expiry, strikes);
        _publishAll(u);
    }
}
