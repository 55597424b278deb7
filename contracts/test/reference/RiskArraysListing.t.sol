// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IProducts} from "../../src/reference/interfaces/IProducts.sol";
import {IRiskArrays} from "../../src/reference/interfaces/IRiskArrays.sol";
import {ScanParameters} from "../../src/reference/Types.sol";
import {RiskArraysBase} from "./RiskArraysBase.sol";

/// @notice What a publication was computed for is what it is stored for, whatever a reorganisation changes between.
contract RiskArraysListingTest is RiskArraysBase {
    /// The rows were read, a reorganisation put others in their place: refused, though count and length are the same.
    function test_another_row_order_never_makes_an_honest_array_wrong() public {
        uint64[] memory strikes = new uint64[](2);
        (strikes[0], strikes[1]) = (2_000e8, 2_500e8);
        uint256 fork = vm.snapshotState();
        _list(ETH, FIRST, strikes);
        (bytes32 reportId, bytes32 read, bytes memory arrays) = _readForFirst();
        vm.revertToState(fork);
        (strikes[0], strikes[1]) = (2_500e8, 2_000e8);
        _list(ETH, FIRST, strikes);
        (bytes32 same, bytes32 found, bytes memory right) = _readForFirst();
        assertEq(same, reportId);
        assertEq(arrays.length, right.length);
        assertTrue(keccak256(arrays) != keccak256(right), "other words");
        _refusedAs(reportId, read, arrays, abi.encodeWithSelector(IRiskArrays.ListingChanged.selector, read, found));
        _publish(PUBLISHER, ETH, FIRST, reportId, right);
    }

    /// The same for what a version number stands for.
    function test_other_parameters_under_one_version_never_make_an_honest_array_wrong() public {
        ScanParameters memory scan = _scan(ETH);
        uint256 fork = vm.snapshotState();
        scan.scan = 0.2e18;
        products.setScanParameters(ETH, scan);
        (bytes32 reportId, bytes32 read, bytes memory arrays) = _readForFirst();
        vm.revertToState(fork);
        scan.scan = 0.21e18;
        products.setScanParameters(ETH, scan);
        (bytes32 same, bytes32 found,) = _readForFirst();
        assertEq(same, reportId);
        _refusedAs(reportId, read, arrays, abi.encodeWithSelector(IRiskArrays.ListingChanged.selector, read, found));
    }

    function test_an_option_listed_later_changes_the_listing_and_nothing_else_does() public {
        bytes32 before = _listingId(ETH, FIRST, 1);
        bytes32 second = _listingId(ETH, SECOND, 1);
        uint64[] memory strikes = new uint64[](1);
        strikes[0] = 2_000e8;
        _list(ETH, FIRST, strikes);
        assertTrue(_listingId(ETH, FIRST, 1) != before, "longer");
        assertEq(_listingId(ETH, SECOND, 1), second);
    }

    /// The same numbers written a second later are on their way a second later.
    function test_another_start_of_the_same_parameters_is_another_listing() public {
        uint256 fork = vm.snapshotState();
        products.setScanParameters(ETH, _scan(ETH));
        bytes32 read = _listingId(ETH, FIRST, 2);
        assertTrue(read != _listingId(ETH, FIRST, 1), "another start");
        vm.revertToState(fork);
        _skip(1);
        products.setScanParameters(ETH, _scan(ETH));
        assertTrue(_listingId(ETH, FIRST, 2) != read, "a second later");
    }

    function test_a_listing_needs_a_known_version() public {
        vm.expectRevert(abi.encodeWithSelector(IProducts.UnknownVersion.selector, ETH, 0));
        products.listing(ETH, FIRST, 0);
        vm.expectRevert(abi.encodeWithSelector(IProducts.UnknownVersion.selector, ETH, 2));
        products.listing(ETH, FIRST, 2);
        vm.expectRevert(abi.encodeWithSelector(IProducts.UnknownUnderlying.selector, 9));
        products.listing(9, FIRST, 1);
    }

    /// As the specification says it, by hand.
    function test_a_listing_is_the_hash_of_rows_in_order_and_parameters() public view {
        bytes32 rolled;
        uint128[] memory rows = products.instruments(ETH, FIRST);
        for (uint256 i; i < rows.length; ++i) {
            rolled = keccak256(bytes.concat(rolled, bytes32(uint256(rows[i]))));
        }
        (uint256 count, bytes32 id) = products.listing(ETH, FIRST, 1);
        assertEq(count, rows.length);
        assertEq(id, keccak256(bytes.concat(rolled, keccak256(abi.encode(_scan(ETH), _scan(ETH), uint256(0))))));
    }

    function _readForFirst() private returns (bytes32 reportId, bytes32 listingId, bytes memory arrays) {
        _skip(10);
        reportId = _news(ETH, ETH_PRICE);
        return (reportId, _listingId(ETH, FIRST, products.scanVersion(ETH)), _right(ETH, FIRST));
    }

    function _refusedAs(bytes32 reportId, bytes32 listingId, bytes memory arrays, bytes memory reason) private {
        bytes32 sliceId = _sliceId(ETH, FIRST);
        uint32 version = products.scanVersion(ETH);
        vm.prank(PUBLISHER);
        vm.expectRevert(reason);
        riskArrays.publish(ETH, FIRST, reportId, sliceId, version, listingId, arrays);
    }
}
