// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {OptionBase} from "./OptionBase.t.sol";
import {Option} from "../../src/reference/math/Option.sol";
import {Black76} from "../../src/reference/math/Black76.sol";
import {Report, ScanParameters, Slice} from "../../src/reference/Types.sol";

event Gas(string what, uint256 gas);

/// What one recompute costs: a challenge must stay far below 400k gas, a proven start reads two revaluations a leg.
contract OptionGasTest is OptionBase {
    function test_black() public {
        uint256 left = gasleft();
        Black76.black(90000e18, 100000e18, 0.129e18);
        uint256 used = left - gasleft();
        emit Gas("black", used);
        assertLe(used, 6_000);
        left = gasleft();
        Black76.black(90000e18, 100000e18, 0.014e18);
        used = left - gasleft();
        emit Gas("black, deep tail", used);
        assertLe(used, 6_000);
    }

    function test_option() public {
        (Report memory report, Slice memory slice, ScanParameters memory p) = (aReport(), aSlice(), theParameters());
        uint256 left = gasleft();
        Option.Expiry memory e = Option.prepare(report, slice, p);
        uint256 prepared = left - gasleft();
        left = gasleft();
        Option.mark(e, id(100_000, true));
        uint256 mark = left - gasleft();
        left = gasleft();
        Option.leg(e, id(100_000, false), 12);
        uint256 leg = left - gasleft();
        left = gasleft();
        Option.array(e, id(100_000, false));
        uint256 array = left - gasleft();
        emit Gas("prepare", prepared);
        emit Gas("mark", mark);
        emit Gas("leg", leg);
        emit Gas("array", array);
        assertLe(prepared, 16_000);
        assertLe(mark, 9_000);
        assertLe(leg, 16_000);
        assertLe(prepared + array, 150_000);
    }
}
