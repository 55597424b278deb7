// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {MintableToken} from "../../src/demo/MintableToken.sol";
import {MarginVenue} from "../../src/reference/MarginVenue.sol";
import {Book, Legs, WAD} from "../../src/reference/Types.sol";
import {VenueRules} from "../../src/reference/VenueRules.sol";
import {IAuctions} from "../../src/reference/interfaces/IAuctions.sol";
import {IMargin} from "../../src/reference/interfaces/IMargin.sol";
import {IMarginVenue} from "../../src/reference/interfaces/IMarginVenue.sol";
import {IRiskArrays} from "../../src/reference/interfaces/IRiskArrays.sol";
import {Fixture} from "./Fixture.sol";
import {StubArrays, StubAuctions, StubMargin} from "./VenueStubs.sol";

/// @notice The venue alone, on real prices and products and a margin rule one can work out by hand. `desk` is it.
abstract contract VenueBase is Fixture {
    using Legs for uint256;

    uint256 internal constant ALICE = 0xA11CE;
    uint256 internal constant BOB = 0xB0B;
    uint256 internal constant CAROL = 0xCA401;
    uint256 internal constant DAVE = 0xDA5E;
    uint256 internal constant FUND = 1;
    uint256 internal constant SCALE = 1e12;
    uint256 internal constant USDC = 0;
    uint256 internal constant WETH = 1;
    uint256 internal constant WBTC = 2;

    MarginVenue internal desk;
    StubMargin internal rule;
    StubArrays internal arrays;
    StubAuctions internal hall;
    uint64 internal nextNonce = 1;

    function setUp() public virtual override {
        super.setUp();
        rule = new StubMargin(prices, products);
        arrays = new StubArrays();
        hall = new StubAuctions();
        desk = new MarginVenue(
            address(this),
            VenueRules.Peers(prices, products, IRiskArrays(address(arrays)), IMargin(address(rule))),
            IERC20Metadata(address(usdc))
        );
        desk.wireAuctions(IAuctions(address(hall)));
        rule.setMark(_perpetual(ETH), ETH_PRICE);
        rule.setMark(_perpetual(BTC), BTC_PRICE);
        rule.setMark(_call(), 200e18);
    }

    // ---- accounts ----

    function _account(uint256 key) internal pure returns (uint256) {
        return uint256(uint160(vm.addr(key))) << 96;
    }

    function _call() internal view returns (uint128) {
        return _option(ETH, 0, 1, true);
    }

    function _tokenOf(uint256 asset) internal view returns (MintableToken) {
        return asset == USDC ? usdc : asset == WETH ? weth : asset == WBTC ? wbtc : dai;
    }

    function _put(uint256 account, uint256 asset, uint256 amount) internal {
        _putToken(account, asset, _tokenOf(asset), amount);
    }

    /// @dev As the owner does; the venue's own accounts have none.
    function _putToken(uint256 account, uint256 asset, MintableToken token, uint256 amount) internal {
        address owner = account < 1 << 96 ? address(this) : address(uint160(account >> 96));
        token.mint(owner, amount);
        vm.startPrank(owner);
        token.approve(address(desk), amount);
        desk.deposit(account, asset, amount);
        vm.stopPrank();
    }

    function _withdraw(uint256 key, uint256 asset, uint256 amount) internal {
        uint256 account = _account(key);
        uint64 sequence = desk.sequence(account);
        vm.prank(vm.addr(key));
        desk.withdraw(account, asset, amount, vm.addr(key), sequence);
    }

    function _cash(uint256 account) internal view returns (int256) {
        (Book memory b,) = desk.recorded(account);
        return b.cash;
    }

    function _size(uint256 account, uint128 id) internal view returns (int256) {
        (Book memory b,) = desk.recorded(account);
        for (uint256 i; i < b.legs.length; ++i) {
            if (b.legs[i].idOf() == id) return b.legs[i].sizeOf();
        }
        return 0;
    }

    function _collateral(uint256 account, uint256 index) internal view returns (uint256) {
        (Book memory b,) = desk.recorded(account);
        for (uint256 i; i < b.collateral.length; ++i) {
            if (b.collateral[i] >> 128 == index) return uint128(b.collateral[i]);
        }
        return 0;
    }

    // ---- orders ----

    function _order(uint256 key, uint128 id, int256 size, uint256 limit)
        internal
        returns (IMarginVenue.Order memory order)
    {
        order = IMarginVenue.Order({
            account: _account(key),
            instrument: id,
            size: int128(size),
            limitPrice: uint128(limit),
            nonce: nextNonce++,
            deadline: uint40(block.timestamp + 1 hours),
            reduceOnly: false
        });
    }

    function _sign(uint256 key, IMarginVenue.Order memory order) internal view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, desk.orderHash(order));
        return abi.encodePacked(r, s, v);
    }

    function _deal(uint256 buyer, uint256 seller, uint128 id, uint256 size, uint256 price) internal {
        IMarginVenue.Order memory buy = _order(buyer, id, int256(size), price);
        IMarginVenue.Order memory sell = _order(seller, id, -int256(size), price);
        (bytes memory buySignature, bytes memory sellSignature) = (_sign(buyer, buy), _sign(seller, sell));
        desk.matchOrders(buy, buySignature, sell, sellSignature, size, price);
    }

    /// @dev The next trade must revert so.
    function _tradeReverts(uint256 buyer, uint256 seller, uint128 id, uint256 size, uint256 price, bytes memory why)
        internal
    {
        IMarginVenue.Order memory buy = _order(buyer, id, int256(size), price);
        IMarginVenue.Order memory sell = _order(seller, id, -int256(size), price);
        (bytes memory buySignature, bytes memory sellSignature) = (_sign(buyer, buy), _sign(seller, sell));
        vm.expectRevert(why);
        desk.matchOrders(buy, buySignature, sell, sellSignature, size, price);
    }

    // ---- the identity ----

    /// @dev After a touch of every account: what is held, and the hole, is what is owed. Exact, dust included.
    function _assertClaimsCovered(uint256[] memory accounts) internal {
        int256 owed = desk.fund();
        for (uint256 i; i < accounts.length; ++i) {
            desk.touch(accounts[i]);
            owed += _cash(accounts[i]);
        }
        int256 backing = int256(desk.held(USDC) * SCALE + desk.badDebt());
        assertEq(backing * int256(WAD), owed * int256(WAD) + desk.dust());
        assertEq(desk.held(USDC), usdc.balanceOf(address(desk)));
    }

    function _three() internal pure returns (uint256[] memory list) {
        list = new uint256[](3);
        (list[0], list[1], list[2]) = (_account(ALICE), _account(BOB), _account(CAROL));
    }
}
