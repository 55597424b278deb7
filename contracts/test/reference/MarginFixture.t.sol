// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Book, Check, Legs, MarginParameters} from "../../src/reference/Types.sol";
import {AuctionMath} from "../../src/reference/AuctionMath.sol";
import {Fixture} from "./Fixture.sol";

/// Margin on the real stores and arrays as published through them.
contract MarginFixtureTest is Fixture {
    Book private _book;

    function setUp() public override {
        super.setUp();
        _book.cash = 100_000e18;
        for (uint256 i; i < 16; ++i) {
            uint128 id = _option(i < 8 ? ETH : BTC, i % 2, (i >> 1) % 2, (i >> 2) % 2 == 0);
            _book.legs.push(Legs.pack(id, int128(int256(1e18 + i * 1e15)) * (i % 3 == 0 ? int128(-1) : int128(1))));
        }
        _book.legs.push(Legs.pack(_perpetual(ETH), -3e18));
        _book.collateral.push(WETH_COLLATERAL << 128 | 5e18);
        _book.collateral.push(WBTC_COLLATERAL << 128 | 1e8);
        _book.collateral.push(DAI_COLLATERAL << 128 | 20_000e18);
    }

    /// Published arrays and recomputation agree on the equity to the last integer, and no row asks for more.
    function test_published_arrays_agree_with_recomputation() public view {
        Check memory c = margin.byArrays(_book);
        Check memory proof = margin.byScenario(_book, type(uint256).max);
        assertEq(c.equity, proof.equity);
        for (uint256 row; row < 18; ++row) {
            proof = margin.byScenario(_book, row | row << 8 | row << 16);
            assertEq(c.equity, proof.equity);
            assertLe(proof.im, c.im);
            assertLe(proof.mm, c.mm);
        }
        assertLe(c.mm, c.im);
    }

    /// What a part of the book is worth follows from its legs' values, to the last integer.
    function testFuzz_parts_are_worth_what_margin_says(uint256 fraction, uint8 row) public view {
        fraction = bound(fraction, 0, 1e18);
        uint256 rows = uint256(bound(row, 0, 17)) * 0x010101;
        (Check memory c, int256[] memory values) = margin.byScenarioAndValues(_book, rows);
        assertEq(abi.encode(c), abi.encode(margin.byScenario(_book, rows)));
        assertEq(abi.encode(values), abi.encode(margin.values(_book.legs)));
        uint256[] memory units = new uint256[](3);
        (units[0], units[1], units[2]) = (ETH_PRICE, BTC_PRICE * 1e10, 1e18);
        int256 worth = AuctionMath.worthOf(_book, values, units, fraction);
        assertEq(worth, margin.byMarks(AuctionMath.moved(_book, fraction)).equity);
    }

    /// After the window the epoch is settled, and says the same as the newest while it is the newest.
    function test_settled_epoch_is_the_newest_after_the_window() public {
        _skip(WINDOW);
        _report(ETH, ETH_PRICE);
        _report(BTC, BTC_PRICE);
        _report(DAI, 1e18);
        Check memory newest = margin.byArrays(_book);
        Check memory settled = margin.bySettledArrays(_book);
        assertEq(newest.equity, settled.equity);
        assertEq(newest.im, settled.im);
        assertEq(newest.mm, settled.mm);
    }

    function test_gas_16_options_2_coins_3_collaterals() public view {
        Book memory book = _book;
        uint256 spent = gasleft();
        margin.byArrays(book);
        spent -= gasleft();
        assertLe(spent, 280_000);
    }
}
