// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {AuctionMath} from "./AuctionMath.sol";
import {IPrices} from "./interfaces/IPrices.sol";
import {IProducts} from "./interfaces/IProducts.sol";
import {BPS, Book, Instruments, Legs, MarginParameters, WAD} from "./Types.sol";

/// @title What a take needs to know of a book beside equity and MM: concentration, the grain of truncation, prices.
library BookParts {
    using Instruments for uint128;
    using Legs for uint256;

    // Truncating one size by 1 wei, or one amount by a base unit, moves MM by less than 20 × price of it: scan (at most
    // the deep tail, eleven times the epoch's price), gap, concentration and confidence are at most one price each.
    uint256 private constant GRAIN_PRICES = 20;

    /// The convex part of MM per underlying (docs/risk-arrays.md, conc), and what truncation can change MM by.
    function concentrations(Book memory book, IProducts products, IPrices prices)
        internal
        view
        returns (AuctionMath.Concentration[] memory parts, uint256 grain)
    {
        uint256 underlyings = products.underlyings();
        uint256[] memory held = new uint256[](underlyings);
        uint256[] memory grains = new uint256[](underlyings); // amounts of the underlying, wad
        uint256[] memory legs = book.legs;
        for (uint256 i; i < legs.length; ++i) {
            uint8 underlying = legs[i].idOf().underlyingOf();
            int256 size = legs[i].sizeOf();
            // Unchecked: sizes are int128.
            unchecked {
                held[underlying] += uint256(size < 0 ? -size : size);
                grains[underlying] += 1;
            }
        }
        for (uint256 i; i < book.collateral.length; ++i) {
            (uint8 underlying, uint8 decimals,,) = products.collateralTerms(book.collateral[i] >> 128);
            grains[underlying] += 10 ** (18 - decimals);
        }
        parts = new AuctionMath.Concentration[](underlyings);
        grain = 10; // cash, payment and the statements' own roundings
        for (uint256 u; u < underlyings; ++u) {
            if (grains[u] == 0) continue;
            (uint128 price,,) = prices.quote(uint8(u));
            grain += GRAIN_PRICES * price * grains[u] / WAD + 1;
            parts[u] = _concentration(products.mmParameters(uint8(u)), held[u], price);
        }
    }

    /// Price of one base unit of each collateral, 10⁻³⁶ USD.
    function units(Book memory book, IProducts products, IPrices prices) internal view returns (uint256[] memory list) {
        list = new uint256[](book.collateral.length);
        for (uint256 i; i < list.length; ++i) {
            (uint8 underlying, uint8 decimals,,) = products.collateralTerms(book.collateral[i] >> 128);
            (uint128 price,,) = prices.quote(underlying);
            list[i] = price * 10 ** (18 - decimals);
        }
    }

    function _concentration(MarginParameters memory rates, uint256 held, uint256 price)
        private
        pure
        returns (AuctionMath.Concentration memory part)
    {
        uint256 from = rates.concentrationFrom;
        if (held <= from) return part;
        uint256 rate = price * rates.concentrationRate; // per contract, BPS; both parts rounded up, toward a smaller take
        part.charge = ((held - from) * rate + WAD * BPS - 1) / (WAD * BPS);
        part.free = (from * rate + WAD * BPS - 1) / (WAD * BPS);
    }
}
