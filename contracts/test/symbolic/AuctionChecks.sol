// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {AuctionMath} from "../../src/reference/AuctionMath.sol";
import {BPS, WAD} from "../../src/reference/Types.sol";
import {Test} from "../Vm.sol";

/// @title The discount only grows, to its cap; what a take pays adds up, and the fund gives no more than it has.
contract AuctionChecks is Test {
    uint256 private constant GROWTH = 900;
    uint256 private constant CAP = 3_000;

    struct Found {
        int128 equity;
        uint128 mm;
        uint16 discount;
        uint64 fraction;
        int128 part; // what the part taken is worth
        uint128 fund;
        uint128 left; // of the bonus
    }

    function check_discount_grows_to_its_cap(uint32 elapsed, uint32 later) public pure {
        _grown(elapsed, later, AuctionMath.grown);
    }

    function broken_discount_grows_to_its_cap_if_uncapped(uint32 elapsed, uint32 later) public pure {
        _grown(elapsed, later, _uncapped);
    }

    function broken_discount_grows_to_its_cap_if_it_starts_again(uint32 elapsed, uint32 later) public pure {
        _grown(elapsed, later, _again);
    }

    function _grown(
        uint256 elapsed,
        uint256 later,
        function(uint256, uint256, uint256) internal pure returns (uint256) grown
    ) private pure {
        vm.assume(elapsed <= later);
        uint256 share = grown(elapsed, CAP, GROWTH);
        assert(share <= CAP);
        assert(share <= grown(later, CAP, GROWTH));
    }

    function _uncapped(uint256 elapsed, uint256 cap, uint256 growth) private pure returns (uint256) {
        return cap * elapsed / growth;
    }

    function _again(uint256 elapsed, uint256 cap, uint256 growth) private pure returns (uint256) {
        return AuctionMath.grown(elapsed % growth, cap, growth);
    }

    function check_insolvent_take_adds_up(Found memory f) public pure {
        _adds(f, AuctionMath.payment);
    }

    function broken_insolvent_take_adds_up_if_the_fund_gives_all(Found memory f) public pure {
        f.mm = 0; // without a requirement there is no bonus: a counterexample there is one, and soon found
        _adds(f, _generous);
    }

    function broken_insolvent_take_adds_up_if_the_deficit_is_paid_twice(Found memory f) public pure {
        f.mm = 0;
        _adds(f, _twice);
    }

    function broken_insolvent_take_adds_up_if_the_bonus_has_no_limit(Found memory f) public pure {
        (f.mm, f.discount, f.fraction, f.equity) = (1e18, 1_000, uint64(WAD), 0); // a bonus of 0.1 USD
        _adds(f, _unlimited);
    }

    function _adds(
        Found memory f,
        function(AuctionMath.Terms memory, uint256, int256, uint256, uint256)
            internal
            pure returns (AuctionMath.Payment memory) payment
    ) private pure {
        vm.assume(f.discount < BPS && f.fraction > 0 && f.fraction <= WAD && f.equity <= 0);
        AuctionMath.Terms memory terms = AuctionMath.Terms(f.equity, f.mm, f.discount, 10);
        AuctionMath.Payment memory paid = payment(terms, f.fraction, f.part, f.fund, f.left);
        int256 worth = int256(f.part) + 1;
        int256 got = paid.price + int256(paid.fromFund + paid.shared); // by the account, for the part
        assert(got == (worth > 0 ? worth : int256(0)));
        assert(paid.fromFund <= f.fund && paid.bonus <= f.left);
        assert(paid.shared == 0 || (worth < 0 && paid.fromFund == f.fund));
    }

    function _generous(AuctionMath.Terms memory terms, uint256 fraction, int256 value, uint256 held, uint256 left)
        private
        pure
        returns (AuctionMath.Payment memory paid)
    {
        paid = AuctionMath.payment(terms, fraction, value, held, left);
        (paid.fromFund, paid.shared) = (paid.fromFund + paid.shared, 0);
    }

    function _unlimited(AuctionMath.Terms memory terms, uint256 fraction, int256 value, uint256 held, uint256)
        private
        pure
        returns (AuctionMath.Payment memory)
    {
        return AuctionMath.payment(terms, fraction, value, held, type(uint256).max);
    }

    function _twice(AuctionMath.Terms memory terms, uint256 fraction, int256 value, uint256 held, uint256 left)
        private
        pure
        returns (AuctionMath.Payment memory paid)
    {
        paid = AuctionMath.payment(terms, fraction, value, held, left);
        paid.price -= int256(paid.shared);
    }
}
