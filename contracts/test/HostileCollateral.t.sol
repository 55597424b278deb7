// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {HostileCollateral} from "../src/demo/HostileCollateral.sol";
import {Test} from "./Vm.sol";

contract HostileCollateralTest is Test {
    uint256 private constant PRICE = 2e18;
    uint256 private constant SIZE = 100_000;

    HostileCollateral private token;

    function setUp() public {
        token = new HostileCollateral(address(7), PRICE);
        vm.txGasPrice(1);
    }

    function test_it_spares_everybody_but_its_prey() public {
        token.turn(HostileCollateral.Mode.Revert, address(1), true, 0);
        assertEq(token.getPrice(0), PRICE);
    }

    function test_it_spares_its_prey_while_a_call_is_tried_unless_told_otherwise() public {
        vm.txGasPrice(0);
        token.turn(HostileCollateral.Mode.Revert, tx.origin, false, 0);
        assertEq(token.getPrice(0), PRICE);
        token.turn(HostileCollateral.Mode.Revert, tx.origin, true, 0);
        vm.expectRevert(bytes("not today"));
        token.getPrice(0);
    }

    function test_its_bombs_are_as_large_as_told() public {
        token.turn(HostileCollateral.Mode.ReturnBomb, tx.origin, false, SIZE);
        (bool returned, bytes memory answer) = asked(1_000_000);
        assertTrue(returned, "a bomb that returns");
        assertEq(answer.length, SIZE);
        assertEq(uint256(bytes32(answer)), PRICE);
        token.turn(HostileCollateral.Mode.RevertBomb, tx.origin, false, SIZE);
        (returned, answer) = asked(1_000_000);
        assertTrue(!returned, "a bomb that reverts");
        assertEq(answer.length, SIZE);
    }

    function test_it_burns_whatever_gas_it_is_given() public {
        token.turn(HostileCollateral.Mode.BurnGas, tx.origin, false, 0);
        uint256 before = gasleft();
        (bool returned,) = asked(300_000);
        assertTrue(!returned, "out of gas");
        assertLe(300_000, before - gasleft());
    }

    function asked(uint256 gas) private view returns (bool, bytes memory) {
        return address(token).staticcall{gas: gas}(abi.encodeCall(token.getPrice, (0)));
    }
}
