// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Test} from "../Vm.sol";
import {Black76} from "../../src/reference/math/Black76.sol";

/// Prices to fifty digits were computed elsewhere; the first, third and fourth are also QuantLib's.
contract Black76Test is Test {
    uint256 private constant WAD = 1e18;

    function test_vectors() public pure {
        _expect(90_000, 100_000, 129010990293224073, 1426704122256711040789, 225973480989745893);
        _expect(90_000, 80_000, 157680099247273867, 11760992448619619147173, 795545390576581527);
        _expect(3_000, 3_000, 83090971766137720, 99416905065463057466, 516569484177577176);
        _expect(100, 100, 0.2e18, 7965567455405796293, 539827837277028981);
    }

    function test_deep_tails_and_last_minutes() public pure {
        _expect(90_000, 110_000, 0.05e18, 33482997539986980, 33258266669016);
        _expect(90_000, 110_000, 0.028e18, 143878215, 425095);
        _expect(90_000, 60_000, 0.05e18, 30000000000000000112035, 999999999999999793);
        _expect(90_000, 90_010, 0.0001e18, 604237117122842712, 133284306519200101);
        _expect(90_000, 100_000, 3e18, 77329367565137958995748, 928523146390319758);
        _expect(90_000, 90_000, 12e18, 89999999822414223893214, 999999999013412355);
    }

    function test_no_deviation_is_intrinsic() public pure {
        for (uint256 sd; sd < 1e8; sd += 1e8 - 1) {
            _exactly(100e18, 90e18, sd, 10e18, WAD);
            _exactly(90e18, 100e18, sd, 0, 0);
            _exactly(100e18, 100e18, sd, 0, 0);
        }
        // From 10⁻¹⁰ on the distribution counts: half the time in the money.
        (, uint256 n1) = Black76.black(100e18, 100e18, 1e8);
        assertLe(n1 - 0.5e18, 1e9);
    }

    function test_clamps() public pure {
        _exactly(0, 1, 0.5e18, 0, 0);
        _exactly(1, 1e18 + 1, 0.5e18, 0, 0); // moneyness rounds to nothing
        _exactly(100e18, 1, 0.5e18, 100e18 - 1, WAD);
        _exactly(100e18, 100e18, 1000e18, 100e18, WAD); // any strike is nothing to so wide a distribution
        _exactly(2 ** 135, 2 ** 97, 2 ** 223, 2 ** 135, WAD); // the stated bounds
        _exactly(2 ** 135, 2 ** 97, 1e8, 2 ** 135 - 2 ** 97, WAD);
    }

    /// A call struck at K on F and one struck at F on K differ by F − K: exchange of the two legs.
    /// forge-config: default.fuzz.runs = 10000
    function testFuzz_exchange_parity(uint256 forward, uint256 strike, uint256 sd) public pure {
        (forward, strike, sd) = _some(forward, strike, sd);
        (uint256 one,) = Black76.black(forward, strike, sd);
        (uint256 other,) = Black76.black(strike, forward, sd);
        _close(one + strike, other + forward, (forward + strike) / 1e14 + 2);
    }

    /// The same option in other coins: forward and strike scaled, price scaled.
    /// forge-config: default.fuzz.runs = 10000
    function testFuzz_homogeneous(uint256 forward, uint256 strike, uint256 sd, uint256 by) public pure {
        (forward, strike, sd) = _some(forward, strike, sd);
        by = bound(by, 2, 1000);
        (uint256 one, uint256 n1) = Black76.black(forward, strike, sd);
        (uint256 many, uint256 n2) = Black76.black(forward * by, strike * by, sd);
        _close(one * by, many, by);
        assertEq(n1, n2);
    }

    /// The price moves with the forward by at least N(d1) before and at most N(d1) after: convex, and the two
    /// outputs belong together.
    /// forge-config: default.fuzz.runs = 10000
    function testFuzz_convex_in_the_forward(uint256 forward, uint256 strike, uint256 sd, uint256 step) public pure {
        (forward, strike, sd) = _some(forward, strike, sd);
        step = bound(step, 0, forward / 2);
        (uint256 here, uint256 slope) = Black76.black(forward, strike, sd);
        (uint256 there, uint256 steeper) = Black76.black(forward + step, strike, sd);
        uint256 slack = (forward + strike) / 1e14 + 2;
        assertLe(here + step * slope / WAD, there + slack);
        assertLe(there, here + step * steeper / WAD + slack);
    }

    /// forge-config: default.fuzz.runs = 10000
    function testFuzz_rises_with_volatility_between_intrinsic_and_forward(
        uint256 forward,
        uint256 strike,
        uint256 sd,
        uint256 more
    ) public pure {
        (forward, strike, sd) = _some(forward, strike, sd);
        (uint256 calm, uint256 n1) = Black76.black(forward, strike, sd);
        (uint256 wild,) = Black76.black(forward, strike, sd + bound(more, 0, 3e18));
        assertLe(calm, wild + (forward + strike) / 1e14 + 2);
        assertLe(forward > strike ? forward - strike : 0, calm);
        assertLe(wild, forward);
        assertLe(n1, WAD);
    }

    /// A butterfly is never worth less than nothing, a call never rises with its strike.
    /// forge-config: default.fuzz.runs = 10000
    function testFuzz_convex_in_the_strike(uint256 forward, uint256 strike, uint256 sd, uint256 wing) public pure {
        (forward, strike, sd) = _some(forward, strike, sd);
        wing = bound(wing, 0, strike / 2);
        (uint256 low,) = Black76.black(forward, strike - wing, sd);
        (uint256 body,) = Black76.black(forward, strike, sd);
        (uint256 high,) = Black76.black(forward, strike + wing, sd);
        uint256 slack = (forward + strike) / 1e14 + 2;
        assertLe(2 * body, low + high + slack);
        assertLe(body, low + slack);
    }

    /// Forward 0.01 … 10⁶ USD, strike a fifth to five times it, deviation from the least that counts to 300 %.
    function _some(uint256 forward, uint256 strike, uint256 sd) private pure returns (uint256, uint256, uint256) {
        forward = bound(forward, 0.01e18, 1e24);
        strike = bound(strike, forward / 5, forward * 5);
        // Small deviations as often as large ones.
        sd = bound(sd >> 8, 1, 10 ** (8 + sd % 11));
        return (forward, strike, sd < 1e8 ? 1e8 : sd * 3);
    }

    function _expect(uint256 forward, uint256 strike, uint256 sd, uint256 call, uint256 n1) private pure {
        (uint256 c, uint256 n) = Black76.black(forward * WAD, strike * WAD, sd);
        _close(c, call, forward * WAD / 1e15);
        _close(n, n1, 1000 + WAD / sd); // moneyness is known to a wei
    }

    function _exactly(uint256 forward, uint256 strike, uint256 sd, uint256 call, uint256 n1) private pure {
        (uint256 c, uint256 n) = Black76.black(forward, strike, sd);
        assertEq(c, call);
        assertEq(n, n1);
    }

    function _close(uint256 a, uint256 b, uint256 slack) private pure {
        assertLe(a, b + slack);
        assertLe(b, a + slack);
    }
}
