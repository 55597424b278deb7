// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Rounding} from "../../src/reference/math/Rounding.sol";
import {Legs, WAD} from "../../src/reference/Types.sol";
import {Test} from "../Vm.sol";

/// @title Which trades only reduce, and what rounding keeps from an account.
contract PositionChecks is Test {
    function check_reducing_ends_nearer_to_zero(int128 size, int192 delta) public pure {
        _reduces(size, delta, Legs.reduces);
    }

    function broken_reducing_ends_nearer_to_zero_if_a_long_may_flip(int128 size, int192 delta) public pure {
        _reduces(size, delta, _reducesBySign);
    }

    function broken_reducing_ends_nearer_to_zero_if_closing_is_none(int128 size, int192 delta) public pure {
        _reduces(size, delta, _reducesPart);
    }

    /// @custom:halmos --solver yices
    function check_dust_is_never_owed(int64 fine) public pure {
        _dust(fine, Rounding.wadBelow);
    }

    /// @custom:halmos --solver yices
    function broken_dust_is_never_owed_if_rounded_toward_zero(int64 fine) public pure {
        _dust(fine, _wadTowardZero);
    }

    function _reduces(int256 size, int256 delta, function(int256, int256) internal pure returns (bool) reduces)
        private
        pure
    {
        int256 left = size + delta;
        bool nearer = size > 0 ? left >= 0 && left < size : left <= 0 && left > size;
        assert(reduces(size, delta) == nearer);
    }

    function _dust(int256 fine, function(int256) internal pure returns (int256) wadBelow) private pure {
        int256 wad = wadBelow(fine);
        int256 dust = fine - wad * int256(WAD);
        assert(dust >= 0 && dust < int256(WAD));
    }

    function _reducesBySign(int256 size, int256 delta) private pure returns (bool) {
        return size > 0 ? delta < 0 : delta > 0 && size + delta <= 0;
    }

    function _reducesPart(int256 size, int256 delta) private pure returns (bool) {
        return size > 0 ? delta < 0 && size + delta > 0 : delta > 0 && size + delta < 0;
    }

    function _wadTowardZero(int256 fine) private pure returns (int256) {
        return fine / int256(WAD);
    }
}
