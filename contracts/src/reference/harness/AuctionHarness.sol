// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {AuctionMath} from "../AuctionMath.sol";

/// @title The auction's mathematics in batches, for comparing it with the integer twin. Never deployed with a venue.
contract AuctionHarness {
    struct Situation {
        AuctionMath.Terms terms;
        AuctionMath.Concentration[3] parts;
        uint256 buffer;
        uint256 most; // of the account
        uint256 share; // the part's worth as a share of equity, wad; some states have parts out of proportion
        uint256 fund;
        uint256 bonusLeft;
    }

    /// @return y Discount, the account's part of it, fraction, whether it is meaningful, price, from fund, shared,
    /// unpaid, bonus, quote, requirement afterwards.
    function takes(Situation[] calldata x) external pure returns (int256[11][] memory y) {
        y = new int256[11][](x.length);
        for (uint256 i; i < x.length; ++i) {
            _take(x[i], y[i]);
        }
    }

    function _take(Situation memory x, int256[11] memory y) private pure {
        AuctionMath.Concentration[] memory parts = new AuctionMath.Concentration[](3);
        (parts[0], parts[1], parts[2]) = (x.parts[0], x.parts[1], x.parts[2]);
        (uint256 whole, uint256 borne) = AuctionMath.discounts(x.terms);
        (y[0], y[1]) = (int256(whole), int256(borne));
        uint256 fraction = AuctionMath.largest(x.terms, parts, x.buffer);
        if (x.most < fraction) fraction = x.most;
        y[2] = int256(fraction);
        if (!AuctionMath.meaningful(x.terms, fraction)) return;
        y[3] = 1;
        int256 worth = x.terms.equity * int256(x.share) / 1e18;
        AuctionMath.Payment memory paid = AuctionMath.payment(x.terms, fraction, worth, x.fund, x.bonusLeft);
        (y[4], y[5]) = (paid.price, int256(paid.fromFund));
        (y[6], y[7]) = (int256(paid.shared), int256(paid.unpaid));
        y[8] = int256(paid.bonus);
        y[9] = AuctionMath.quote(x.terms, fraction, paid.unpaid);
        y[10] = int256(AuctionMath.requirementAfter(x.terms, parts, fraction));
    }
}
