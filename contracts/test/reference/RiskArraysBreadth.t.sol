// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Fixture} from "./Fixture.sol";

/// What a proof costs against a publisher of many underlyings: it voids his unsettled epochs on every one.
contract RiskArraysBreadthTest is Fixture {
    function _add(uint8 many) private {
        uint64[] memory strikes = new uint64[](1);
        strikes[0] = 3_000e8;
        uint40 expiry = uint40(START + 7 days);
        for (uint8 u = DAI + 1; u <= DAI + many; ++u) {
            products.addUnderlying(bytes32(uint256(u)), false, _scan(ETH), _margin(ETH));
            _report(u, ETH_PRICE);
            products.listExpiry(u, expiry);
            _fit(u, expiry);
            _list(u, expiry, strikes);
            _publishAll(u);
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
    function _proof(uint8 more) private returns (uint256 used) {
        uint256 state = vm.snapshotState();
        _add(more);
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
        vm.revertToState(state);
    }

    /// 13,000 for each: six underlyings of one publisher fit in 400,000 with what any transaction costs, all 30 take 0.7M.
    function test_a_proof_pays_for_each_underlying_of_its_publisher() public {
        uint256 two = _proof(0);
        uint256 six = _proof(4);
        assertLe(six, 400_000 - 25_000);
        assertLe(six - two, 4 * 13_000);
        assertLe(4 * 12_000, six - two);
        assertLe(_proof(27), 700_000);
    }
}
