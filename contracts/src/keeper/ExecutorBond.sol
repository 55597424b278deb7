// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {BoundedToken} from "./BoundedToken.sol";
import {ExecutorSteps} from "./ExecutorSteps.sol";
import {IPublisherBond} from "./interfaces/IPublisherBond.sol";

/// @title The bond behind Publish steps: the venue knows a publisher by who calls, so it must be this contract's own.
/// @dev Whoever may publish may lose the bond, so an operator can; only the admin moves it, and it ends at the receiver.
abstract contract ExecutorBond is ExecutorSteps, AccessControl, ReentrancyGuardTransient {
    using BoundedToken for address;

    /// @notice Bond `amount` of the admin's settlement tokens, which he has approved to this contract.
    function bond(uint256 amount) external onlyRole(DEFAULT_ADMIN_ROLE) nonReentrant {
        SETTLEMENT_TOKEN.transferFrom(msg.sender, amount);
        SETTLEMENT_TOKEN.approve(address(ARRAYS), amount);
        IPublisherBond(address(ARRAYS)).bond(amount);
        SETTLEMENT_TOKEN.revoke(address(ARRAYS));
        _clear(_settlementToken());
    }

    /// @notice Ask for the bond back. It stays liable for a window after the last publication, and an operator may go on
    /// publishing: revoke the operators first.
    function requestUnbond() external onlyRole(DEFAULT_ADMIN_ROLE) nonReentrant {
        IPublisherBond(address(ARRAYS)).requestUnbond();
    }

    /// @notice Send what is left of the bond to the receiver.
    function finishUnbond() external onlyRole(DEFAULT_ADMIN_ROLE) nonReentrant {
        IPublisherBond(address(ARRAYS)).finishUnbond();
        _clear(_settlementToken());
    }

    function _settlementToken() private view returns (address[] memory tokens) {
        tokens = new address[](1);
        tokens[0] = SETTLEMENT_TOKEN;
    }
}
