// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {PriceRelay} from "../../src/keeper/PriceRelay.sol";
import {Quorum} from "../../src/keeper/Quorum.sol";
import {SurfaceRelay} from "../../src/keeper/SurfaceRelay.sol";
import {ISurfaceRelay} from "../../src/keeper/interfaces/ISurfaceRelay.sol";
import {Bonds} from "../../src/reference/Bonds.sol";
import {Parameters} from "../../src/reference/Parameters.sol";
import {Products} from "../../src/reference/Products.sol";
import {ReportStore} from "../../src/reference/ReportStore.sol";
import {VenueRules} from "../../src/reference/VenueRules.sol";
import {CollateralType} from "../../src/reference/Types.sol";
import {Fixture} from "./Fixture.sol";

/// @notice Everything the owner may do is refused to everyone else, and ownership moves only with the heir's consent.
contract OwnershipTest is Fixture {
    struct OwnersCall {
        address target;
        bytes data;
    }

    OwnersCall[] private _calls;

    function _owned() private view returns (Ownable2Step[6] memory) {
        return [
            Ownable2Step(venue),
            Ownable2Step(auctions),
            Ownable2Step(riskArrays),
            Ownable2Step(prices),
            Ownable2Step(surface),
            Ownable2Step(products)
        ];
    }

    function testFuzz_only_the_owner_may(address caller, address any, uint256 seed) public {
        vm.assume(caller != address(this) && caller != address(0));
        _listVenueAndArrays(any, seed);
        _listRelays(seed);
        _listProducts(any, seed);
        bytes memory refused = abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, caller);
        for (uint256 i; i < _calls.length; ++i) {
            vm.prank(caller);
            (bool done, bytes memory answer) = _calls[i].target.call(_calls[i].data);
            assertTrue(!done, "a stranger set something");
            assertEq(answer, refused);
        }
    }

    function _listVenueAndArrays(address any, uint256 seed) private {
        bool yes = seed % 2 == 0;
        _add(address(venue), abi.encodeCall(VenueRules.setGuardian, (any)));
        _add(address(venue), abi.encodeCall(VenueRules.setSwapper, (any, yes)));
        _add(address(venue), abi.encodeWithSelector(VenueRules.wireAuctions.selector, any));
        _add(address(riskArrays), abi.encodeCall(Bonds.setPublisher, (any, yes)));
        _add(address(riskArrays), abi.encodeWithSelector(Bonds.wireVenue.selector, any));
        Ownable2Step[6] memory owned = _owned();
        for (uint256 i; i < 6; ++i) {
            _add(address(owned[i]), abi.encodeCall(Ownable2Step.transferOwnership, (any)));
            _add(address(owned[i]), abi.encodeCall(Ownable.renounceOwnership, ()));
            _add(address(owned[i]), abi.encodeCall(Ownable2Step.acceptOwnership, ()));
        }
    }

    function _listRelays(uint256 seed) private {
        (uint8 u, uint16 most, uint40 period) = (uint8(seed), uint16(seed >> 8), uint40(seed >> 24));
        bytes memory signers = abi.encodeCall(Quorum.setSigners, (new address[](seed % 3), u, u));
        _add(address(prices), signers);
        _add(address(surface), signers);
        _add(address(prices), abi.encodeCall(ReportStore.setFundingLimits, (u, uint64(seed), uint64(seed >> 64))));
        _add(address(prices), abi.encodeCall(PriceRelay.setPriceLimit, (u, most, period)));
        ISurfaceRelay.SurfaceLimit memory limit = ISurfaceRelay.SurfaceLimit(most, most, period);
        _add(address(surface), abi.encodeCall(SurfaceRelay.setSurfaceLimit, (u, limit)));
    }

    function _listProducts(address any, uint256 seed) private {
        uint8 u = uint8(seed);
        CollateralType memory kind = CollateralType(any, 18, u, uint16(seed), uint128(seed));
        _add(
            address(products),
            abi.encodeCall(Products.addUnderlying, (bytes32(seed), seed % 2 == 0, _scan(u), _margin(u)))
        );
        _add(address(products), abi.encodeCall(Products.listExpiry, (u, uint40(seed))));
        _add(
            address(products),
            abi.encodeCall(Products.listOptions, (u, uint40(seed), new uint64[](seed % 3), new bool[](seed % 3)))
        );
        _add(address(products), abi.encodeCall(Parameters.wireSteward, (any)));
        _add(address(products), abi.encodeCall(Products.addCollateral, (kind)));
    }

    function _add(address target, bytes memory data) private {
        _calls.push(OwnersCall(target, data));
    }

    function testFuzz_ownership_moves_when_the_heir_accepts(address heir, address other) public {
        vm.assume(heir != address(0) && heir != address(this) && other != heir && other != address(this));
        Ownable2Step[6] memory owned = _owned();
        for (uint256 i; i < 6; ++i) {
            owned[i].transferOwnership(other);
            owned[i].transferOwnership(heir); // the last one named
            assertEq(owned[i].owner(), address(this));
            vm.prank(other);
            vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, other));
            owned[i].acceptOwnership();
            vm.prank(heir);
            owned[i].acceptOwnership();
            assertEq(owned[i].owner(), heir);
            assertEq(owned[i].pendingOwner(), address(0));
            vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, address(this)));
            owned[i].transferOwnership(other);
        }
    }

    function testFuzz_who_renounces_leaves_no_heir(address heir) public {
        vm.assume(heir != address(0));
        Ownable2Step[6] memory owned = _owned();
        for (uint256 i; i < 6; ++i) {
            owned[i].transferOwnership(heir);
            owned[i].renounceOwnership();
            assertEq(owned[i].owner(), address(0));
            vm.prank(heir);
            vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, heir));
            owned[i].acceptOwnership();
        }
    }
}
