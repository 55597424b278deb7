// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IRiskArrays} from "../../src/reference/interfaces/IRiskArrays.sol";
import {ScanParameters} from "../../src/reference/Types.sol";
import {RiskArraysBase} from "./RiskArraysBase.sol";

/// What a proof costs against a publisher of as many underlyings as one may serve: it voids his unsettled epochs on
/// every one. Each call is its own transaction, with what any costs included.
/// forge-config: default.isolate = true
contract RiskArraysBreadthTest is RiskArraysBase {
    uint40 private constant THIRD = uint40(START + 365 days);
    uint8 private constant LISTED = 30;

    function _expiries(uint8) internal pure override returns (uint40[] memory list) {
        list = new uint40[](3);
        (list[0], list[1], list[2]) = (FIRST, SECOND, THIRD);
    }

    /// @dev From deep in the money to deep out of it: recomputing takes longest somewhere between.
    function _strikes(uint8 underlying) internal pure override returns (uint64[] memory list) {
        uint64 spot = uint64((underlying == ETH ? ETH_PRICE : BTC_PRICE) / 1e10);
        list = new uint64[](9);
        for (uint64 i; i < 9; ++i) {
            list[i] = spot * (20 + 30 * i) / 100;
        }
    }

    function setUp() public override {
        super.setUp();
        for (uint8 u = 3; u < LISTED; ++u) {
            products.addUnderlying(bytes32(uint256(u)), false, _scan(ETH), _margin(ETH));
        }
    }

    /// One option and its epoch; the search for underlyings takes longest where their numbers are high.
    function serve(uint8 u) public {
        uint64[] memory strikes = new uint64[](1);
        strikes[0] = 3_000e8;
        _report(u, ETH_PRICE);
        products.listExpiry(u, SECOND);
        _fit(u, SECOND);
        _list(u, SECOND, strikes);
        _publishAll(u);
    }

    function _publishNonsense() private returns (uint256 id) {
        _skip(1);
        bytes32 reportId = _news(ETH, ETH_PRICE);
        bytes memory arrays = new bytes(18 * 132);
        for (uint256 i; i < arrays.length; ++i) {
            arrays[i] = 0x01;
        }
        id = _publish(PUBLISHER, ETH, FIRST, reportId, arrays);
        _publish(PUBLISHER, ETH, SECOND, reportId, arrays);
        _publish(PUBLISHER, ETH, THIRD, reportId, arrays);
    }

    function _proof(uint256 id, uint40 expiry, uint256 row, string memory name) private returns (uint256 used) {
        uint256 state = vm.snapshotState();
        vm.prank(CHALLENGER);
        riskArrays.challenge(ETH, id, expiry, row);
        used = vm.snapshotGasLastCall("RiskArrays", name);
        vm.revertToState(state);
    }

    /// Another bond stands, so that paying this one out clears no slot; and every scan parameter is on its way.
    function test_the_dearest_proof_fits_its_budget() public {
        serve(LISTED - 1);
        serve(LISTED - 2);
        _bond(RIVAL, MINIMUM_BOND);
        products.setScanParameters(
            ETH,
            ScanParameters(0.14e18, 0.4e18, 0.31e18, 0.31e18, 0.12e18, 0.44e18, 0.9e18, 0.7e18, 3_400, 1_900, 2_900)
        );
        uint256 id = _publishNonsense();
        uint256 most;
        uint40 at;
        uint256 which;
        uint40[] memory expiries = _expiries(ETH);
        for (uint256 e; e < 3; ++e) {
            for (uint256 row; row < 18; ++row) {
                uint256 used = _proof(id, expiries[e], row, "challenge, the dearest");
                if (used > most) (most, at, which) = (used, expiries[e], row);
            }
        }
        assertEq(_proof(id, at, which, "challenge, the dearest"), most); // the figure that is kept
        assertLe(most, 400_000);
    }

    function test_a_long_history_costs_a_proof_nothing() public {
        serve(LISTED - 1);
        uint256 state = vm.snapshotState();
        uint256 short = _proof(_publishNonsense(), FIRST, 0, "challenge, other epochs behind it");
        vm.revertToState(state);
        for (uint256 i; i < 40; ++i) {
            _skip(1);
            _report(LISTED - 1, ETH_PRICE);
            _publishAll(LISTED - 1);
        }
        assertLe(_proof(_publishNonsense(), FIRST, 0, "challenge, other epochs behind it"), short + 100); // a byte of calldata that is no longer zero
    }

    function test_a_publisher_serves_no_fifth() public {
        serve(LISTED - 1);
        serve(LISTED - 2);
        vm.expectRevert(abi.encodeWithSelector(IRiskArrays.TooManyUnderlyings.selector, PUBLISHER, 4));
        this.serve(LISTED - 3);
    }
}
