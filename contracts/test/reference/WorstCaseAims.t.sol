// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IAuctions} from "../../src/reference/interfaces/IAuctions.sol";
import {IMargin} from "../../src/reference/interfaces/IMargin.sol";
import {IMarginVenue} from "../../src/reference/interfaces/IMarginVenue.sol";
import {Check} from "../../src/reference/Types.sol";
import {Fixture} from "./Fixture.sol";

/// Asks what any contract would: the account's positions from the venue, then the margin rules.
contract Asker {
    function check(IMarginVenue venue, IMargin margin, uint256 account) external view returns (Check memory) {
        return margin.byArrays(venue.book(account));
    }
}

/// @notice What the design set out to reach, cold, positions and collateral read from the venue: a check of 16 options
/// and of 126, and the liquidation of 12 from arrays.
contract WorstCaseAimsTest is Fixture {
    uint256 private constant TRADER = 0xa11ce;
    uint256 private constant MAKER = 0xb0b;
    uint256 private constant TAKER = 0xca401;
    uint64 private constant ANY = type(uint64).max;
    Asker private asker = new Asker();

    function _expiries(uint8) internal pure override returns (uint40[] memory list) {
        list = new uint40[](6);
        for (uint256 i; i < 6; ++i) {
            list[i] = uint40(START + 2 days + 14 days * i);
        }
    }

    /// Six strikes: 12 options an expiry.
    function _strikes(uint8 underlying) internal pure override returns (uint64[] memory list) {
        uint64 spot = uint64((underlying == BTC ? BTC_PRICE : ETH_PRICE) / 1e10);
        list = new uint64[](6);
        for (uint64 i; i < 6; ++i) {
            list[i] = spot * (75 + 10 * i) / 100;
        }
    }

    function setUp() public override {
        super.setUp();
        _refreshBoth(WINDOW, 1_000);
        _deposit(_account(MAKER, 0), 0, 100_000_000e6);
        _deposit(_account(TAKER, 0), 0, 100_000_000e6);
        _deposit(_account(TRADER, 0), 0, 500_000e6);
    }

    function _refreshBoth(uint256 time, uint256 permille) private {
        _skip(time);
        _refresh(ETH, ETH_PRICE * permille / 1_000);
        _refresh(BTC, BTC_PRICE * permille / 1_000);
    }

    /// @dev Over the expiries in turn, ETH's first; every third is bought, the rest sold.
    function _open(uint256 options, uint256 expiries) private {
        for (uint256 i; i < options; ++i) {
            (uint256 e, uint256 row) = (i % expiries, i / expiries);
            uint128 id = _option(e < 6 ? ETH : BTC, e % 6, row / 2, row % 2 == 0);
            (uint256 buyer, uint256 seller) = i % 3 == 0 ? (TRADER, MAKER) : (MAKER, TRADER);
            _trade(buyer, seller, id, 1e17, margin.mark(id));
        }
    }

    function _cool() private {
        for (uint8 u = ETH; u <= BTC; ++u) {
            for (uint256 i; i < 6; ++i) {
                vm.cool(riskArrays.blob(u, 1, _expiries(u)[i]));
                vm.cool(riskArrays.blob(u, 2, _expiries(u)[i]));
            }
        }
        address[7] memory all = [
            address(venue),
            address(margin),
            address(riskArrays),
            address(prices),
            address(surface),
            address(products),
            address(auctions)
        ];
        for (uint256 i; i < all.length; ++i) {
            vm.cool(all[i]);
        }
    }

    function _check(uint256 options, uint256 expiries, string memory what) private returns (uint256) {
        _open(options, expiries);
        _cool();
        asker.check(venue, margin, _account(TRADER, 0));
        return vm.snapshotGasLastCall("WorstCase", what);
    }

    function test_gas_of_a_check_of_16_options() public {
        assertLe(_check(16, 4, "aims: check of 16 options in 4 expiries, with position reads"), 150_000);
    }

    function test_gas_of_a_check_of_126_options() public {
        assertLe(_check(126, 11, "aims: check of 126 options in 11 expiries, with position reads"), 1_000_000);
    }

    function test_gas_of_liquidating_12_options_from_arrays() public {
        uint256 trader = _account(TRADER, 0);
        _open(12, 3);
        Check memory check = margin.byArrays(venue.book(trader));
        uint256 spare = uint256(check.equity - int256(check.im)) / 1e12;
        uint64 sequence = venue.sequence(trader);
        vm.prank(vm.addr(TRADER));
        venue.withdraw(trader, 0, spare - 1e6, vm.addr(TRADER), sequence);
        _refreshBoth(60, 1_500);
        _refreshBoth(WINDOW, 1_500);
        _cool();
        auctions.startAuction(IAuctions.StartCall(trader, ANY, type(uint40).max, true, 0));
        uint256 used = vm.snapshotGasLastCall("WorstCase", "aims: start of 12 options, by arrays");
        _skip(60);
        _report(ETH, ETH_PRICE * 15 / 10);
        IAuctions.TakeCall memory call;
        (call.account, call.taker, call.byArrays) = (trader, _account(TAKER, 0), true);
        (call.auctionId, call.expectedSequence, call.takerSequence) = (auctions.auction(trader).id, ANY, ANY);
        (call.maxFraction, call.maxPrice, call.deadline) = (0.5e18, type(int256).max, type(uint40).max);
        _cool();
        vm.prank(vm.addr(TAKER));
        auctions.take(call);
        used += vm.snapshotGasLastCall("WorstCase", "aims: take of 12 options, by arrays");
        assertEq(venue.book(call.taker).legs.length, 12);
        assertLe(used, 1_350_000); // the aim was 1M: 12 new positions alone are 0.36M of storage and events
    }
}
