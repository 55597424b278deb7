// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Test} from "../Vm.sol";
import {StewardHandler} from "./StewardHandler.sol";

/// Any sequence of anything owner, controller and guardian may do or try.
contract StewardInvariants is Test {
    StewardHandler private handler;

    function setUp() public {
        vm.warp(1_583_971_200);
        handler = new StewardHandler();
        targetContract(address(handler));
    }

    function invariant_every_number_in_force_is_within_its_bounds() public view {
        handler.checkBounds();
    }

    function invariant_im_is_never_looser_than_mm() public view {
        handler.checkOrder();
    }

    function invariant_mm_never_tightens_within_the_grace_of_a_write() public view {
        handler.checkGrace();
    }

    /// Each write in the handler: from the number it named, by a step at most, the delay after the one before.
    function invariant_numbers_are_moved_by_the_controllers_steps_alone() public view {
        handler.checkNumbers();
    }

    /// What the campaigns try is not all refused, nor all accepted.
    function test_tries_are_accepted_refused_and_held() public {
        for (uint256 i; i < 100; ++i) {
            uint256 seed = uint256(keccak256(abi.encode(i)));
            handler.write(seed >> 16, seed);
            handler.wait_(seed >> 32);
            handler.attempt(seed >> 48, 0, uint104(seed >> 64), true);
            handler.hold(seed >> 16);
        }
        assertTrue(handler.accepted() > 0 && handler.refused() > 0 && handler.held() > 0, "a try that never happens");
    }
}
