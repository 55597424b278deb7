// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {RelayTime} from "../../src/keeper/RelayTime.sol";
import {StoreTime} from "../../src/reference/StoreTime.sol";
import {Test} from "../Vm.sol";

/// @title What a relay accepts is later each time, so that nothing it accepted is accepted again, and never old nor ahead
/// of the chain. By induction over observations: `last` is any state, `first` and `second` what is brought to it.
contract RelayChecks is Test {
    struct Two {
        uint40 last; // 0: none yet
        uint40 first;
        uint64 firstAt; // block time
        uint40 second;
        uint64 secondAt;
        uint32 maxAge;
    }

    function check_relay_time_only_goes_on(Two memory t) public pure {
        _goesOn(t, RelayTime.check);
    }

    function broken_relay_time_only_goes_on_if_an_equal_time_passes(Two memory t) public pure {
        _goesOn(t, _notBefore);
    }

    function broken_relay_time_only_goes_on_if_time_is_not_compared(Two memory t) public pure {
        _goesOn(t, _anyOrder);
    }

    function check_relay_takes_only_what_is_young(Two memory t) public pure {
        _young(t, RelayTime.check);
    }

    function broken_relay_takes_only_what_is_young_if_age_is_forgotten(Two memory t) public pure {
        _young(t, _anyAge);
    }

    function broken_relay_takes_only_what_is_young_if_age_wraps(Two memory t) public pure {
        _young(t, _wrapping);
    }

    /// @dev Both are accepted, one block after the other or in one.
    function _goesOn(Two memory t, function(uint40, uint40, uint256, uint256) internal pure accepts) private pure {
        vm.assume(t.firstAt <= t.secondAt);
        accepts(t.first, t.last, t.firstAt, t.maxAge);
        accepts(t.second, t.first, t.secondAt, t.maxAge);
        assert(t.last < t.first && t.first < t.second);
    }

    function _young(Two memory t, function(uint40, uint40, uint256, uint256) internal pure accepts) private pure {
        accepts(t.first, t.last, t.firstAt, t.maxAge);
        assert(t.first <= t.firstAt && t.firstAt - t.first <= t.maxAge);
    }

    function _notBefore(uint40 found, uint40 last, uint256 nowTime, uint256 maxAge) private pure {
        if (found != last) RelayTime.check(found, last, nowTime, maxAge);
    }

    function _anyOrder(uint40 found, uint40, uint256 nowTime, uint256 maxAge) private pure {
        RelayTime.check(found, 0, nowTime, maxAge);
    }

    function _anyAge(uint40 found, uint40 last, uint256 nowTime, uint256) private pure {
        StoreTime.check(found, last, nowTime);
    }

    /// @dev As a 40-bit difference would be taken: an observation of the future has a young age again.
    function _wrapping(uint40 found, uint40 last, uint256 nowTime, uint256 maxAge) private pure {
        unchecked {
            if (found > last && uint40(uint256(found) - nowTime) <= maxAge) return;
        }
        RelayTime.check(found, last, nowTime, maxAge);
    }
}
