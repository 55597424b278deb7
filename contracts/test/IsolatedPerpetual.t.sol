// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IsolatedPerpetual} from "../src/demo/IsolatedPerpetual.sol";
import {MintableToken} from "../src/demo/MintableToken.sol";
import {SettableAggregator} from "../src/demo/SettableAggregator.sol";
import {Test} from "./Vm.sol";

contract IsolatedPerpetualTest is Test {
    address private constant TRADER = address(0xA11CE);
    address private constant LIQUIDATOR = address(0xB0B);
    int256 private constant PRICE = 3_000e8;

    MintableToken private token;
    SettableAggregator private feed;
    IsolatedPerpetual private venue;

    function setUp() public {
        token = new MintableToken("Dai", "DAI", 18);
        feed = new SettableAggregator("ETH / USD", 8);
        feed.push(PRICE);
        venue = new IsolatedPerpetual(token, feed);
        token.mint(address(this), 1e36);
        token.approve(address(venue), type(uint256).max);
    }

    function testFuzz_a_position_needs_its_initial_margin(uint96 cash, int96 size) public {
        venue.deposit(TRADER, cash);
        uint256 worth = uint256(size < 0 ? -int256(size) : int256(size)) * 3_000;
        bool enough = uint256(cash) * 10 >= worth; // a contract is 3,000 USD whole, so nothing is rounded but IM
        vm.prank(TRADER);
        if (!enough) vm.expectRevert();
        venue.trade(size);
        if (enough) assertEq(_size(TRADER), size);
    }

    function testFuzz_it_is_taken_over_at_maintenance_margin_and_not_above(int8 more) public {
        // At 2,700 USD three contracts have lost 900 and need 405: 1,305 is what both are covered by.
        _open(TRADER, uint256(1_305e18 + int256(more)), 3e18);
        venue.deposit(LIQUIDATOR, 10_000e18);
        feed.push(2_700e8);
        if (more > 0) {
            vm.expectRevert(
                abi.encodeWithSelector(IsolatedPerpetual.Healthy.selector, TRADER, 405e18 + int256(more), 405e18)
            );
        }
        vm.prank(LIQUIDATOR);
        venue.liquidate(TRADER);
        assertEq(_size(TRADER), more > 0 ? int256(3e18) : int256(0));
        assertEq(_size(LIQUIDATOR), more > 0 ? int256(0) : int256(3e18));
    }

    function testFuzz_a_takeover_creates_no_money(uint64 fall) public {
        _open(TRADER, 1_000e18, -3e18);
        venue.deposit(LIQUIDATOR, 10_000e18);
        feed.push(PRICE + 200e8 + int256(uint256(fall) % 1_000e8));
        (int256 before,,) = venue.margin(TRADER);
        (int256 own,,) = venue.margin(LIQUIDATOR);
        vm.prank(LIQUIDATOR);
        venue.liquidate(TRADER);
        (int256 left,,) = venue.margin(TRADER);
        (int256 gained,,) = venue.margin(LIQUIDATOR);
        assertEq(left + gained, before + own);
    }

    function testFuzz_only_the_owner_sets_the_ratio_within_its_bounds(uint256 ratio, address stranger) public {
        vm.assume(stranger != address(this));
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, stranger));
        venue.setMmRatio(ratio);
        bool within = ratio >= 20_000 && ratio <= 100_000;
        if (!within) {
            vm.expectRevert(abi.encodeWithSelector(IsolatedPerpetual.RatioOutOfRange.selector, ratio, 20_000, 100_000));
        }
        venue.setMmRatio(ratio);
        if (within) assertEq(venue.mmRatio(), ratio);
    }

    function testFuzz_without_a_price_there_is_no_margin(int192 answer) public {
        vm.assume(answer <= 0);
        feed.push(answer);
        vm.expectRevert(abi.encodeWithSelector(IsolatedPerpetual.NoPrice.selector, int256(answer)));
        venue.margin(TRADER);
    }

    function _open(address trader, uint256 cash, int256 size) private {
        venue.deposit(trader, cash);
        vm.prank(trader);
        venue.trade(size);
    }

    function _size(address trader) private view returns (int256 size) {
        (, size,) = venue.accounts(trader);
    }
}
