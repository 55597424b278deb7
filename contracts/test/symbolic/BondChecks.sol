// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {BondRules} from "../../src/reference/BondRules.sol";
import {BPS} from "../../src/reference/Types.sol";
import {Test} from "../Vm.sol";

/// @title A bond stays until the last array it backs is out of its window, and challenging oneself does not pay.
contract BondChecks is Test {
    /// What the chain records of an epoch and its publisher: an epoch is opened, added to and completed by
    /// publications, so the last publication is never before those.
    struct Times {
        uint40 openedAt;
        uint40 completedAt; // 0: never
        uint40 publishedAt;
        uint40 requestedAt; // 0: not asked
        uint40 time; // of a challenge
        uint40 window;
    }

    function check_bond_stays_while_it_can_be_slashed(Times memory t) public pure {
        _locked(t, BondRules.freeFrom);
    }

    function broken_bond_stays_while_it_can_be_slashed_if_a_publication_is_forgotten(Times memory t) public pure {
        _locked(t, _freeFromRequest);
    }

    function broken_bond_stays_while_it_can_be_slashed_if_it_leaves_a_second_early(Times memory t) public pure {
        _locked(t, _freeASecondEarly);
    }

    function check_slashed_bond_goes_out_whole(uint104 bond, uint16 fundShare) public pure {
        _whole(bond, fundShare, BondRules.split);
    }

    function broken_slashed_bond_goes_out_whole_if_both_are_rounded_down(uint8 bond, uint16 fundShare) public pure {
        _whole(bond, fundShare, _splitLosing);
    }

    function check_challenger_gets_at_most_half(uint16 bond, uint16 fundShare) public pure {
        _half(bond, fundShare, BondRules.split);
    }

    function broken_challenger_gets_at_most_half_if_rounded_up(uint16 bond, uint16 fundShare) public pure {
        _half(bond, fundShare, _splitUp);
    }

    function _locked(Times memory t, function(uint256, uint256, uint256) internal pure returns (uint256) freeFrom)
        private
        pure
    {
        vm.assume(0 < t.openedAt && t.openedAt <= t.publishedAt && t.window > 0);
        vm.assume(t.completedAt == 0 || (t.openedAt <= t.completedAt && t.completedAt <= t.publishedAt));
        vm.assume(t.time >= t.publishedAt && t.time < BondRules.closedFrom(t.openedAt, t.completedAt, t.window));
        assert(t.time < freeFrom(t.requestedAt, t.publishedAt, t.window));
    }

    function _whole(
        uint256 bond,
        uint256 fundShare,
        function(uint256, uint256) internal pure returns (uint256, uint256) split
    ) private pure {
        vm.assume(fundShare >= BPS / 2 && fundShare <= BPS);
        (uint256 toChallenger, uint256 toFund) = split(bond, fundShare);
        assert(toChallenger + toFund == bond);
    }

    /// @dev Bonds below BPS stand for all: a multiple of BPS is split without a remainder, so what is added to both
    /// sides by it keeps their order.
    function _half(
        uint256 bond,
        uint256 fundShare,
        function(uint256, uint256) internal pure returns (uint256, uint256) split
    ) private pure {
        vm.assume(bond < BPS && fundShare >= BPS / 2 && fundShare <= BPS);
        (uint256 toChallenger, uint256 toFund) = split(bond, fundShare);
        assert(toChallenger <= toFund);
    }

    function _freeFromRequest(uint256 requestedAt, uint256, uint256 window) private pure returns (uint256) {
        return requestedAt == 0 ? type(uint256).max : requestedAt + window;
    }

    function _freeASecondEarly(uint256 requestedAt, uint256 publishedAt, uint256 window)
        private
        pure
        returns (uint256)
    {
        return BondRules.freeFrom(requestedAt, publishedAt, window - 1);
    }

    function _splitUp(uint256 bond, uint256 fundShare) private pure returns (uint256 toChallenger, uint256 toFund) {
        toChallenger = (bond * (BPS - fundShare) + BPS - 1) / BPS;
        toFund = bond - toChallenger;
    }

    function _splitLosing(uint256 bond, uint256 fundShare) private pure returns (uint256, uint256) {
        return (bond * (BPS - fundShare) / BPS, bond * fundShare / BPS);
    }
}
