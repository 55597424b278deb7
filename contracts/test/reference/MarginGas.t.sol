// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Book, CollateralType, Legs, MarginParameters} from "../../src/reference/Types.sol";
import {MarginWorld} from "./MarginPeers.sol";

/// What a check costs as a call from another contract, nothing warm: 16 options in 4 expiries, 126 in 11 over both
/// coins, and the most expensive legal account.
contract MarginGasTest is MarginWorld {
    Book private _sixteen;
    Book private _many;
    Book private _most;

    function setUp() public override {
        super.setUp();
        MarginParameters memory p = plainMargin();
        (p.shortImRate, p.shortMmRate, p.confidenceFactor, p.concentrationRate) = (500, 300, 10_000, 10);
        for (uint8 u; u < 3; ++u) {
            products.setMargin(u, p);
        }
        for (uint40 i = 1; i <= 6; ++i) {
            list(BTC, start + i * 7 days, 12);
            list(ETH, start + i * 7 days, 12);
        }
        publish(BTC);
        publish(ETH);
        for (uint8 i; i < 8; ++i) {
            uint8 underlying = i < 3 ? i : 10 + i;
            if (i > 2) {
                products.setScan(underlying, coinScan());
                products.setMargin(underlying, p);
                report(underlying, 1e18);
            }
            products.addCollateral(CollateralType(address(1), 6, underlying, 300, type(uint128).max));
        }
        _fill(_sixteen, 16, 4, 0);
        _fill(_many, 126, 11, 0);
        _fill(_most, 128, 12, 8);
    }

    /// `over` expiries in turn, BTC's first then ETH's, so that neighbouring legs never share one.
    function _fill(Book storage book, uint256 options, uint256 over, uint256 collaterals) private {
        book.cash = 1_000_000e18;
        for (uint256 i; i < options; ++i) {
            uint256 at = i % over;
            uint8 u = at < 6 ? BTC : ETH;
            uint128 id = listed[u][expiries[u][at % 6]][i / over];
            book.legs.push(Legs.pack(id, int128(int256(1e18 + i * 1e15)) * (i % 3 == 0 ? int128(-1) : int128(1))));
        }
        for (uint256 i; i < collaterals; ++i) {
            book.collateral.push(i << 128 | 1_000e6);
        }
    }

    function _byArrays(Book memory book) private view returns (uint256 spent) {
        spent = gasleft();
        margin.byArrays(book);
        spent -= gasleft();
    }

    function _byScenario(Book memory book) private view returns (uint256 spent) {
        spent = gasleft();
        margin.byScenario(book, 0x0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c);
        spent -= gasleft();
    }

    function test_gas_16_options() public view {
        assertLe(_byArrays(_sixteen), 135_000);
    }

    function test_gas_126_options() public view {
        assertLe(_byArrays(_many), 475_000);
    }

    function test_gas_128_options_8_collaterals() public view {
        assertLe(_byArrays(_most), 805_000);
    }

    function test_gas_scenario_16_options() public view {
        assertLe(_byScenario(_sixteen), 425_000);
    }

    function test_gas_scenario_128_options_8_collaterals() public view {
        assertLe(_byScenario(_most), 2_650_000);
    }
}
