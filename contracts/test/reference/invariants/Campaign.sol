// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Test} from "../../Vm.sol";

/// @notice An invariant test whose handler is called at the named functions only.
abstract contract Campaign is Test {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    FuzzSelector private _target;

    function _aim(address handler, bytes4[] memory selectors) internal {
        targetContract(handler);
        _target = FuzzSelector(handler, selectors);
    }

    /// @notice Read by forge's invariant runner.
    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0] = _target;
    }
}
