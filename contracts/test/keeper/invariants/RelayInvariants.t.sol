// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Test} from "../../Vm.sol";
import {RelayHandler} from "./RelayHandler.sol";

/// @notice Whatever is signed and brought, in whatever order, under whatever set of signers.
contract RelayInvariants is Test {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    RelayHandler private _handler;

    function setUp() public {
        _handler = new RelayHandler();
        _handler.setUp();
        targetContract(address(_handler));
    }

    /// @notice Read by forge's invariant runner.
    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(_handler), _handler.actions());
    }

    function invariant_time_never_goes_back() public view {
        assertEq(_handler.backward(), 0);
        assertEq(_handler.late(), 0);
    }

    function invariant_no_quorum_is_accepted_twice() public view {
        assertLe(_handler.mostTimesOne(), 1);
    }

    function invariant_nothing_is_accepted_with_fewer_than_needed() public view {
        assertEq(_handler.tooFew(), 0);
    }

    function invariant_what_is_kept_stays_as_it_is() public view {
        assertTrue(_handler.stands(), "something kept changed, or the newest without a call");
    }
}

/// @notice The campaign is not idle: a plain run of it is accepted, refused and brought twice.
contract RelayCampaignTest is Test {
    function test_the_campaign_reaches_both_relays() public {
        RelayHandler handler = new RelayHandler();
        handler.setUp();
        handler.say(0, 3_000e18, 5, 31);
        handler.fit(0.2e18, 5, 31);
        assertEq(handler.accepted(), 2);
        handler.wait(30);
        handler.say(0, 3_001e18, 8, 7);
        handler.bringAgain(1);
        handler.fitAgain(0);
        handler.bringMany(0, 1);
        assertEq(handler.accepted(), 3);
        handler.rename(7, 2, 3);
        handler.wait(30);
        handler.say(0, 3_001e18, 5, 3);
        handler.say(0, 3_001e18, 5, 9);
        assertEq(handler.accepted(), 4);
        handler.wait(30);
        handler.sayDouble(3_001e18, 1);
        handler.fitDouble(0.2e18, 1);
        assertEq(handler.accepted(), 4);
        assertTrue(handler.stands(), "as said");
    }
}
