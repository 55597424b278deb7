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
}
