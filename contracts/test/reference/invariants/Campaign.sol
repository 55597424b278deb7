// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Test} from "../../Vm.sol";
import {Market} from "./Market.sol";

/// @notice An invariant test whose handler is called at its own actions only, none of which may revert.
abstract contract Campaign is Test {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    Market internal handler;

    function _newHandler() internal virtual returns (Market);

    function setUp() public {
        handler = _newHandler();
        handler.setUp();
        targetContract(address(handler));
    }

    /// @notice Read by forge's invariant runner.
    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(handler), handler.actions());
    }

    /// @notice Every run has seen every action succeed.
    function afterInvariant() public {
        handler.checkAlive();
    }
}
