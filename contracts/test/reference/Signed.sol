// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {PriceRelay} from "../../src/keeper/PriceRelay.sol";
import {SurfaceRelay} from "../../src/keeper/SurfaceRelay.sol";
import {ISurfaceRelay} from "../../src/keeper/interfaces/ISurfaceRelay.sol";
import {IProducts} from "../../src/reference/interfaces/IProducts.sol";
import {Observation, Slice} from "../../src/reference/Types.sol";
import {Test} from "../Vm.sol";

/// @notice What the venue reads its prices from: relays with three signers, two of them a quorum, all three for a jump.
abstract contract Signed is Test {
    uint256 internal constant MAX_RELAY_AGE = 5 minutes;
    uint8 internal constant QUORUM = 2;
    uint8 internal constant SIGNERS = 3;
    uint256 private constant _FIRST_KEY = 0x51613; // the three that begin here are ascending by address

    PriceRelay internal prices;
    SurfaceRelay internal surface;

    function _deployRelays(IProducts products) internal {
        surface = new SurfaceRelay(products, MAX_RELAY_AGE, address(this));
        prices = new PriceRelay(surface, MAX_RELAY_AGE, address(this));
        address[] memory signers = new address[](SIGNERS);
        for (uint256 i; i < SIGNERS; ++i) {
            signers[i] = vm.addr(_FIRST_KEY + i);
        }
        prices.setSigners(signers, QUORUM, SIGNERS);
        surface.setSigners(signers, QUORUM, SIGNERS);
    }

    /// @dev `most`: BPS of a price, a volatility and a carry beyond which a change in five minutes is a jump.
    function _limitJumps(uint8 underlying, uint16 most) internal {
        prices.setPriceLimit(underlying, most, 5 minutes);
        surface.setSurfaceLimit(underlying, ISurfaceRelay.SurfaceLimit(most, most, 5 minutes));
    }

    /// @dev By as many as it needs.
    function _relay(Observation memory seen) internal returns (bytes32) {
        return prices.relay(seen, _signatures(seen, prices.isJump(seen) ? SIGNERS : QUORUM));
    }

    function _relay(Slice memory fitted) internal returns (bytes32) {
        return surface.relay(fitted, _signatures(fitted, surface.isJump(fitted) ? SIGNERS : QUORUM));
    }

    /// @dev Though all sign.
    function _refused(Observation memory seen, bytes memory reason) internal {
        bytes[] memory all = _signatures(seen, SIGNERS);
        vm.expectRevert(reason);
        prices.relay(seen, all);
    }

    function _refused(Slice memory fitted, bytes memory reason) internal {
        bytes[] memory all = _signatures(fitted, SIGNERS);
        vm.expectRevert(reason);
        surface.relay(fitted, all);
    }

    /// @dev By the first `count` signers.
    function _signatures(Observation memory seen, uint256 count) internal view returns (bytes[] memory) {
        return _signatures(prices.digest(seen), count);
    }

    function _signatures(Slice memory fitted, uint256 count) internal view returns (bytes[] memory) {
        return _signatures(surface.digest(fitted), count);
    }

    function _signatures(bytes32 digest, uint256 count) private pure returns (bytes[] memory list) {
        list = new bytes[](count);
        for (uint256 i; i < count; ++i) {
            (uint8 v, bytes32 r, bytes32 s) = vm.sign(_FIRST_KEY + i, digest);
            list[i] = abi.encodePacked(r, s, v);
        }
    }
}
