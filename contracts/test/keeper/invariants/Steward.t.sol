// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {StewardBase} from "../StewardBase.sol";
import {StewardHandler} from "./StewardHandler.sol";

/// Any sequence of anything owner, controller and guardian may do or try. A write that tightens MM, or a line that is not
/// one, stops the campaign in the handler.
contract StewardInvariants is StewardBase {
    StewardHandler private handler;

    function setUp() public override {
        super.setUp();
        handler = new StewardHandler(steward, products);
        steward.setController(address(handler));
        steward.setGuardian(address(handler));
        steward.transferOwnership(address(handler));
        vm.prank(address(handler));
        steward.acceptOwnership();
        targetContract(address(handler));
    }

    function invariant_every_number_in_force_is_within_its_bounds() public view {
        handler.checkBounds();
    }

    function invariant_mm_is_never_tighter_than_the_number_written() public view {
        handler.checkOrder();
    }

    /// Each write in the handler: from the number it named, by a step at most, the delay after the one before.
    function invariant_numbers_are_moved_by_writes_within_their_terms_alone() public view {
        handler.checkNumbers();
    }

    /// What the campaigns try is not all refused, nor all accepted.
    function test_tries_are_accepted_refused_held_and_guarded() public {
        for (uint256 i; i < 100; ++i) {
            uint256 seed = uint256(keccak256(abi.encode(i)));
            handler.write(seed >> 16, seed);
            handler.wait_(seed >> 32);
            handler.attempt(seed >> 48, 0, uint128(seed >> 64), true);
            handler.hold(seed % 2 == 0);
            if (i % 10 == 0) handler.tighten(seed >> 8, seed);
        }
        assertTrue(handler.accepted() > 50 && handler.refused() > 10, "writes");
        assertTrue(handler.held() > 0 && handler.guarded() > 0, "the guardian's");
        assertTrue(handler.ratesTightened() > 0 && handler.haircutTightened() > 0, "MM's");
    }
}
