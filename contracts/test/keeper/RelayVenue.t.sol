// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IRiskArrays} from "../../src/reference/interfaces/IRiskArrays.sol";
import {RiskArraysBase} from "../reference/RiskArraysBase.sol";

/// @notice What arrays are built on outlives whoever said it: ids that a header names stay readable, and a proof against
/// them possible, whatever the relays and their owner do in the meantime.
contract RelayVenueTest is RiskArraysBase {
    /// A false array; then reports and slices until its last second, other signers, an owner who leaves.
    function testFuzz_a_proof_reads_what_was_said_under_former_signers(uint256 reports, bool gone, uint256 seed)
        public
    {
        _skip(1);
        _news(ETH, ETH_PRICE);
        uint256 id = _publishWrong(PUBLISHER, ETH, seed % 4, seed >> 8 & 15, 1);
        (bytes32 reportId, bytes32 sliceId) = (_newestId(ETH), _sliceId(ETH, FIRST));
        bytes memory kept = abi.encode(prices.report(reportId), prices.slice(sliceId));
        reports = bound(reports, 1, 5);
        for (uint256 i; i < reports; ++i) {
            _skip((WINDOW - 1) / reports);
            _news(ETH, ETH_PRICE + i);
        }
        _rename();
        if (gone) {
            prices.renounceOwnership();
            surface.renounceOwnership();
        }
        assertEq(abi.encode(prices.report(reportId), prices.slice(sliceId)), kept);
        vm.prank(CHALLENGER);
        riskArrays.challenge(ETH, id, FIRST, seed % 4);
        assertTrue(riskArrays.publisher(PUBLISHER).suspended, "proven");
    }

    function _rename() private {
        address[] memory other = new address[](1);
        other[0] = address(1);
        prices.setSigners(other, 1, 1);
        surface.setSigners(other, 1, 1);
    }

    /// An id the chain no longer has, or never had here, names nothing that arrays can be published on.
    function test_arrays_cannot_name_what_a_reorg_removed() public {
        _skip(20);
        uint256 fork = vm.snapshotState();
        bytes32 lost = _news(ETH, ETH_PRICE);
        bytes memory arrays = _right(ETH, FIRST);
        bytes32 fit = _sliceId(ETH, FIRST);
        bytes32 listingId = _listingId(ETH, FIRST, 1);
        vm.revertToState(fork);
        _news(ETH, ETH_PRICE + 1);
        vm.prank(PUBLISHER);
        vm.expectPartialRevert(IRiskArrays.ReportNotRecent.selector);
        riskArrays.publish(ETH, FIRST, lost, fit, 1, listingId, arrays);
    }
}
