// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {OptionBase} from "./OptionBase.t.sol";
import {Option} from "../../src/reference/math/Option.sol";
import {Words} from "../../src/reference/math/Words.sol";
import {Instruments, Report, Slice} from "../../src/reference/Types.sol";

/// Inside the averaging window: a share w of the settlement price is fixed at A, only the rest still moves.
contract OptionWindowTest is OptionBase {
    uint40 private constant SOON = NOW + 900;

    /// Half fixed at 88,000: half an option struck at (89,200 − 44,000) ÷ 0.5 = 90,400, in every word.
    function test_half_fixed_is_half_an_option_of_the_remaining_strike() public pure {
        int256[22] memory fixedHalf = Option.words(_fixing(0.5e18, 88_000e18), _at(89_200, true));
        int256[22] memory plain = Option.words(_fixing(0, 0), _at(90_400, true));
        assertTrue(plain[Words.MARK] > 50e6 && plain[Words.GAP] > 0, "an option with a worth and a gap");
        for (uint256 i; i < 22; ++i) {
            assertLe(2 * fixedHalf[i] - plain[i], int256(3));
            assertLe(plain[i] - 2 * fixedHalf[i], int256(3));
        }
    }

    /// The first moment of the window: nothing fixed yet, the strike is the strike and variance time has no jump.
    function test_nothing_fixed_yet() public pure {
        Option.Expiry memory e = _fixing(0, 0);
        Option.Terms memory t = Option.terms(e, _at(90_000, true));
        assertEq(t.strike, int256(90_000e18));
        assertEq(e.unfixed, uint256(1e18));
        assertEq(e.forward, uint256(90_000e18));
    }

    function test_wholly_fixed_is_intrinsic_whatever_the_price() public pure {
        Option.Expiry memory e = _fixing(1e18, 91_500e18);
        _settled(Option.words(e, _at(90_000, true)), 1500e6);
        _settled(Option.words(e, _at(90_000, false)), 0);
        _settled(Option.words(e, _at(94_000, true)), 0);
        _settled(Option.words(e, _at(94_000, false)), 2500e6);
        _settled(Option.words(e, _at(91_500, true)), 0);
        _settled(Option.words(e, _at(91_500, false)), 0);
    }

    /// 0.9 fixed at 91,000 is 81,900: a strike of 80,000 is used up. The call is 0.1 S + 1,900, linear; the put nothing.
    function test_a_strike_that_is_used_up_is_linear() public pure {
        _linear(0.9e18, 91_000e18, 80_000, 9_000e6, 10_900e6);
    }

    /// Strike exactly used up: 0.5 × 90,000 = 45,000.
    function test_a_strike_used_up_exactly_is_linear() public pure {
        _linear(0.5e18, 90_000e18, 45_000, 45_000e6, 45_000e6);
    }

    function test_another_expiry_s_fixing_counts_for_nothing() public pure {
        (Report memory r, Slice memory s) = (aReport(), aSlice());
        (r.fixingExpiry, r.fixedShare, r.fixedAverage) = (SOON, 0.5e18, 88_000e18);
        Option.Expiry memory e = Option.prepare(r, s, theParameters());
        assertEq(e.unfixed, uint256(1e18));
        assertEq(e.fixedPart, uint256(0));
    }

    /// The last second, almost all fixed: a call is worth no more than what the unfixed part can still add.
    /// forge-config: default.fuzz.runs = 10000
    function testFuzz_the_last_seconds_move_no_more_than_the_unfixed_share(uint64 share, uint40 left) public pure {
        (Report memory r, Slice memory s) = (aReport(), aSlice());
        s.expiry = NOW + uint40(bound(left, 1, 60));
        share = uint64(bound(share, 0.9e18, 1e18));
        (r.fixingExpiry, r.fixedShare, r.fixedAverage) = (s.expiry, share, 90_000e18);
        int256[22] memory w =
            Option.words(Option.prepare(r, s, theParameters()), Instruments.pack(0, s.expiry, 90_000e8, true, 0));
        int256 most = int256(90_000e6 * uint256(1e18 - share) / 1e18) + 1;
        assertLe(w[Words.DELTA], most);
        for (uint256 row; row < 16; ++row) {
            assertLe(w[Words.FIRST_ROW + row], most);
            assertLe(-w[Words.FIRST_ROW + row], most);
        }
    }

    function _linear(uint64 share, uint128 average, uint256 strike, int256 forward, int256 worth) private pure {
        int256[22] memory call = Option.words(_fixing(share, average), _at(strike, true));
        assertEq(call[Words.MARK], worth);
        assertEq(call[Words.DELTA], forward);
        assertEq(call[Words.BEND], int256(0));
        assertEq(call[Words.GAP], int256(0));
        assertEq(call[Words.FIRST_ROW + 2], forward * 5 / 100);
        assertEq(call[Words.FIRST_ROW + 5], -forward * 5 / 100);
        assertEq(call[Words.FIRST_ROW + 16], forward * 20375 / 10000);
        int256[22] memory put = Option.words(_fixing(share, average), _at(strike, false));
        for (uint256 i; i < 22; ++i) {
            assertEq(put[i], int256(0));
        }
    }

    function _settled(int256[22] memory w, int256 worth) private pure {
        assertEq(w[Words.MARK], worth);
        for (uint256 i = 1; i < 22; ++i) {
            assertEq(w[i], int256(0));
        }
    }

    function _fixing(uint64 share, uint128 average) private pure returns (Option.Expiry memory) {
        (Report memory r, Slice memory s) = (aReport(), aSlice());
        s.expiry = SOON;
        (r.fixingExpiry, r.fixedShare, r.fixedAverage) = (SOON, share, average);
        s.a = 4e18; // 200 %: wide enough for the far strike to matter
        return Option.prepare(r, s, theParameters());
    }

    function _at(uint256 strike, bool call) private pure returns (uint128) {
        return Instruments.pack(0, SOON, uint64(strike * 1e8), call, 0);
    }
}
