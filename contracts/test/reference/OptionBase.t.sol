// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Test} from "../Vm.sol";
import {Option} from "../../src/reference/math/Option.sol";
import {Instruments, Report, ScanParameters, Slice} from "../../src/reference/Types.sol";

/// Bitcoin at 90,000 with 30 days of variance time and a flat 45 %, and what varies it.
abstract contract OptionBase is Test {
    uint40 internal constant NOW = 1_800_000_000;
    // 30 days, and the 2Δ/3 by which averaging shortens variance time.
    uint40 internal constant EXPIRY = NOW + 30 days + 1200;

    function aReport() internal pure returns (Report memory r) {
        r.timestamp = NOW;
        r.sequence = 1;
        r.price = 90_000e18;
        r.confidence = 9e18;
    }

    function aSlice() internal pure returns (Slice memory s) {
        s.expiry = EXPIRY;
        s.timestamp = NOW;
        s.forward = 90_000e18;
        s.spot = 90_000e18;
        s.a = 0.2025e18;
        s.s = 0.1e18;
    }

    function theParameters() internal pure returns (ScanParameters memory p) {
        p.scan = 0.15e18;
        p.volUp = 0.5e18;
        p.volDown = 0.3e18;
        p.shortPower = 0.3e18;
        p.longPower = 0.13e18;
        p.extreme = 0.45e18;
        p.deepUp = 2e18;
        p.deepDown = 0.66e18;
        p.extremeCover = 3500;
        p.deepUpCover = 700;
        p.deepDownCover = 3300;
    }

    /// The option struck at whole USD.
    function id(uint256 strike, bool call) internal pure returns (uint128) {
        return Instruments.pack(0, EXPIRY, uint64(strike * 1e8), call, 0);
    }

    /// Any option of any expiry from a second to two years, with smile, basis and a share of it fixed when inside the
    /// averaging window; price 1 to 879,000 USD.
    function anyInputs(uint256 seed) internal pure returns (Report memory r, Slice memory s, uint128 instrument) {
        (r, s) = (aReport(), aSlice());
        uint256 tau = _draw(seed, 1, 1, 10 ** _draw(seed, 2, 1, 7) * 6);
        r.price = uint128(_draw(seed, 3, 1, 10 ** _draw(seed, 4, 1, 6)) * 0.879e18);
        s.expiry = NOW + uint40(tau);
        s.spot = uint128(r.price * _draw(seed, 5, 95, 105) / 100);
        s.forward = uint128(s.spot * _draw(seed, 6, 90, 110) / 100);
        s.a = int128(int256(_draw(seed, 7, 0, 1e18)));
        s.b = int128(int256(_draw(seed, 8, 0, 0.5e18)));
        s.rho = int128(int256(_draw(seed, 9, 0, 1.8e18))) - 0.9e18;
        s.m = int128(int256(_draw(seed, 10, 0, 0.4e18))) - 0.2e18;
        s.s = int128(int256(_draw(seed, 11, 0.01e18, 0.5e18)));
        if (tau < 1800) {
            r.fixingExpiry = s.expiry;
            r.fixedShare = uint64((1800 - tau) * 1e18 / 1800);
            r.fixedAverage = uint128(r.price * _draw(seed, 12, 80, 120) / 100);
        }
        uint256 strike = uint256(r.price) * _draw(seed, 13, 0.5e6, 2e6) / 1e16 + 1;
        instrument = Instruments.pack(0, s.expiry, uint64(strike), seed % 2 == 1, 0);
    }

    function anyOption(uint256 seed) internal pure returns (Option.Expiry memory e, uint128 instrument) {
        Report memory r;
        Slice memory s;
        (r, s, instrument) = anyInputs(seed);
        e = Option.prepare(r, s, theParameters());
    }

    function _draw(uint256 seed, uint256 salt, uint256 low, uint256 high) private pure returns (uint256) {
        return bound(uint256(keccak256(abi.encode(seed, salt))), low, high);
    }
}
