// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {MintableToken} from "../src/demo/MintableToken.sol";
import {Test} from "./Vm.sol";

contract MintableTokenTest is Test {
    MintableToken private token;

    function setUp() public {
        token = new MintableToken("USD Coin", "USDC", 6);
    }

    function test_decimals_are_those_given() public view {
        assertEq(token.decimals(), 6);
    }

    function testFuzz_minting_raises_balance_and_supply_alike(address to, uint128 amount) public {
        vm.assume(to != address(0));
        token.mint(to, amount);
        assertEq(token.balanceOf(to), amount);
        assertEq(token.totalSupply(), amount);
    }

    function test_only_the_owner_mints() public {
        vm.prank(address(1));
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, address(1)));
        token.mint(address(1), 1);
    }
}
