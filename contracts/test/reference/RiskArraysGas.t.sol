// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {RiskArraysBase} from "./RiskArraysBase.sol";

/// @notice What publishing and challenging cost, execution alone (calldata: 16 gas a byte more at most).
contract RiskArraysGasTest is RiskArraysBase {
    /// Eighteen strikes: 36 instruments an expiry.
    function _strikes(uint8 underlying) internal pure override returns (uint64[] memory list) {
        uint64 spot = uint64((underlying == ETH ? ETH_PRICE : BTC_PRICE) / 1e10);
        list = new uint64[](18);
        for (uint64 i; i < 18; ++i) {
            list[i] = spot * (60 + 5 * i) / 100;
        }
    }

    function test_publishing_36_instruments() public {
        _skip(1);
        uint256 used = _publishMeasured(36);
        assertLe(used, 1_300_000);
    }

    /// 400 arrays in four expiries of 100, three transactions apart from the last.
    function test_publishing_400_arrays() public {
        uint40 expiry = SECOND;
        uint64[] memory strikes = new uint64[](50);
        for (uint256 i; i < 4; ++i) {
            expiry += 7 days;
            products.listExpiry(DAI, expiry);
            _fit(DAI, expiry);
            for (uint64 k; k < 50; ++k) {
                strikes[k] = 0.9e8 + k * 1e5;
            }
            _list(DAI, expiry, strikes);
        }
        _skip(1);
        bytes32 reportId = _news(DAI, 1e18);
        uint256 used;
        expiry = SECOND;
        for (uint256 i; i < 4; ++i) {
            expiry += 7 days;
            used += _publishGas(DAI, expiry, reportId, new bytes(100 * 132));
        }
        assertEq(_currentId(DAI), 1);
        assertLe(used, 15_000_000 - 400 * 132 * 16); // with every byte of calldata at full price
    }

    function test_challenging_one_of_36() public {
        _skip(1);
        _news(ETH, ETH_PRICE);
        uint256 id = _publishWrong(PUBLISHER, ETH, 17, 3, 1);
        _coolAll(); // a proof is the first to touch anything in its transaction
        vm.prank(CHALLENGER);
        riskArrays.challenge(ETH, id, FIRST, 17);
        uint256 used = vm.snapshotGasLastCall("RiskArrays", "challenge");
        assertLe(used, 400_000 - 25_000); // what any transaction costs, and its calldata
    }

    function _coolAll() private {
        vm.cool(address(riskArrays));
        vm.cool(address(riskArrays.RECOMPUTATION()));
        vm.cool(address(prices));
        vm.cool(address(surface));
        vm.cool(address(products));
        vm.cool(address(venue));
        vm.cool(address(usdc));
    }

    function test_reading_the_settled_epoch() public {
        _skip(WINDOW);
        riskArrays.settled(ETH);
        assertLe(vm.snapshotGasLastCall("RiskArrays", "settled"), 20_000);
    }

    function test_reading_the_current_epoch() public {
        riskArrays.current(ETH);
        assertLe(vm.snapshotGasLastCall("RiskArrays", "current"), 15_000);
    }

    function _publishMeasured(uint256 count) private returns (uint256 used) {
        bytes32 reportId = _news(ETH, ETH_PRICE);
        bytes memory arrays = _right(ETH, FIRST);
        assertEq(arrays.length, count * 132);
        used = _publishGas(ETH, FIRST, reportId, arrays);
    }

    function _publishGas(uint8 underlying, uint40 expiry, bytes32 reportId, bytes memory arrays)
        private
        returns (uint256)
    {
        bytes32 sliceId = _sliceId(underlying, expiry);
        bytes32 listingId = _listingId(underlying, expiry, 1);
        vm.prank(PUBLISHER);
        riskArrays.publish(underlying, expiry, reportId, sliceId, 1, listingId, arrays);
        return vm.snapshotGasLastCall("RiskArrays", string.concat("publish ", vm.toString(arrays.length / 132)));
    }
}
