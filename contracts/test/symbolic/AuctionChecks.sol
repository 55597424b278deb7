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

    /// @custom:halmos --solver z3
    function check_discount_only_grows_and_never_beyond_its_cap(uint32 elapsed, uint32 later) public pure {
        _grown(elapsed, later, AuctionMath.grown);
    }

    /// @custom:halmos --solver z3
    function check_broken_discount_is_not_capped(uint32 elapsed, uint32 later) public pure {
        _grown(elapsed, later, _uncapped);
    }

    /// @custom:halmos --solver z3
    function check_broken_discount_starts_again(uint32 elapsed, uint32 later) public pure {
        _grown(elapsed, later, _again);
    }

    function _grown(
        uint256 elapsed,
        uint256 later,
        function(uint256, uint256, uint256) internal pure returns (uint256) grown
    ) private pure {
        vm.assume(elapsed <= later);
        uint256 share = grown(elapsed, CAP, GROWTH);
        assert(share <= grown(later, CAP, GROWTH));
        assert(share <= CAP);
    }

    function _uncapped(uint256 elapsed, uint256 cap, uint256 growth) private pure returns (uint256) {
        return cap * elapsed / growth;
    }

    function _again(uint256 elapsed, uint256 cap, uint256 growth) private pure returns (uint256) {
        return AuctionMath.grown(elapsed % growth, cap, growth);
    }

    function check_what_a_take_of_an_insolvent_account_pays_adds_up(Found memory f) public pure {
        _adds(f, AuctionMath.payment);
    }

    function check_broken_the_fund_gives_the_whole_deficit(Found memory f) public pure {
        _adds(f, _generous);
    }

    function check_broken_the_deficit_is_paid_twice(Found memory f) public pure {
        _adds(f, _twice);
    }

    function check_broken_the_bonus_has_no_limit(Found memory f) public pure {
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

    /// @custom:halmos --solver z3
    function check_a_solvent_account_bears_its_part_of_the_discount_and_no_more(uint32 equity, uint32 mm, int64 part)
        public
        pure
    {
        _borne(equity, mm, part, AuctionMath.payment);
    }

    function _borne(
        uint32 equity,
        uint32 mm,
        int64 part,
        function(AuctionMath.Terms memory, uint256, int256, uint256, uint256)
            internal
            pure returns (AuctionMath.Payment memory) payment
    ) private pure {
        vm.assume(equity > 0 && equity < mm);
        AuctionMath.Terms memory terms = AuctionMath.Terms(int256(uint256(equity)), mm, CAP, 10);
        AuctionMath.Payment memory paid = payment(terms, WAD / 2, part, 0, 0);
        int256 worth = int256(part) + 1;
        assert(paid.shared == 0 && paid.fromFund == 0);
        assert(paid.price <= worth);
        assert(2 * (worth - paid.price) <= int256(uint256(mm)) * 3 / 10);
        assert(2 * (worth - paid.price) <= int256(uint256(equity)));
    }
}
