// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {MintableToken} from "../../src/demo/MintableToken.sol";
import {IAuctions} from "../../src/reference/interfaces/IAuctions.sol";
import {IMarginVenue} from "../../src/reference/interfaces/IMarginVenue.sol";
import {
    Book,
    Check,
    CollateralType,
    Instruments,
    MAX_COLLATERALS,
    MAX_EXPIRIES,
    MAX_HELD_UNDERLYINGS,
    MAX_LEGS,
    MarginParameters,
    ScanParameters,
    WAD
} from "../../src/reference/Types.sol";
import {Fixture} from "./Fixture.sol";

/// @notice The most expensive legal account: 128 legs in 12 expiries, a perpetual of every underlying it has options
/// on, funding due on each, 8 collaterals in 8 more underlyings; every option short, which costs most where arrays are
/// not believed; taken by an account that holds none of it. Cold, as in a transaction of its own, which costs 21,000 and
/// its calldata more; and no call is given more than the limit.
abstract contract WorstCaseBase is Fixture {
    uint256 private constant VICTIM = 0xa11ce;
    uint256 private constant MAKER = 0xb0b;
    uint256 private constant TAKER = 0xca401;
    uint256 private constant LIMIT = 10_000_000 - 50_000; // less a transaction's own 21,000 and calldata
    uint64 private constant ANY = type(uint64).max;
    uint256 private constant ROW = 12; // the fall of the whole scan range, volatility up
    uint256 private constant FIRST_COLLATERAL = 2; // the fixture's third, in a stablecoin
    uint256 private _level = WAD; // of every coin, share of the fixture's price

    /// @dev How many underlyings have options.
    function _spread() internal pure virtual returns (uint8);
    function _name() internal pure virtual returns (string memory);

    // ---- the board ----

    function _hasOptions(uint8 underlying) internal pure returns (bool) {
        return underlying != DAI && underlying < _firstLinear();
    }

    /// @dev The stablecoin is among the numbers below.
    function _firstLinear() internal pure returns (uint8) {
        return _spread() + 1;
    }

    function _underlyings() internal pure returns (uint8) {
        return _firstLinear() + uint8(MAX_COLLATERALS) - 1;
    }

    function _expiries(uint8) internal pure override returns (uint40[] memory list) {
        list = new uint40[](MAX_EXPIRIES / _spread());
        for (uint256 i; i < list.length; ++i) {
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

    function _spot(uint8 underlying) private view returns (uint256) {
        if (underlying == DAI) return WAD;
        return (underlying == BTC ? BTC_PRICE : ETH_PRICE) * _level / WAD;
    }

    function setUp() public override {
        super.setUp();
        for (uint8 u = 3; u < _underlyings(); ++u) {
            products.addUnderlying("X", _hasOptions(u), _scan(u), _margin(u));
            prices.setFundingLimits(u, 1e11, 1e11);
            _report(u, _spot(u));
            if (_hasOptions(u)) _listAll(u);
        }
        for (uint8 u = _firstLinear(); u < _underlyings(); ++u) {
            address token = address(new MintableToken("T", "T", 18));
            products.addCollateral(CollateralType(token, 18, u, 1_000, 1e30));
        }
        _prepare();
        _publishEach(1);
        _publishEach(WINDOW);
        _open();
    }

    /// @dev What happens between listing and trading.
    function _prepare() internal virtual {}

    function _listAll(uint8 u) private {
        uint40[] memory expiries = _expiries(u);
        for (uint256 i; i < expiries.length; ++i) {
            products.listExpiry(u, expiries[i]);
            _fit(u, expiries[i]);
            _list(u, expiries[i], _strikes(u));
        }
    }

    /// @dev A report and slices of every underlying, and funding, so that the next touch has something to pay.
    function _world(uint256 time) private {
        _skip(time);
        for (uint8 u; u < _underlyings(); ++u) {
            _report(u, _spot(u), u == DAI ? int64(0) : int64(1e10));
            _fitAll(u);
        }
    }

    function _publishEach(uint256 time) private {
        _world(time);
        for (uint8 u; u < _firstLinear(); ++u) {
            if (_hasOptions(u)) _publishAll(u);
        }
    }

    // ---- the accounts ----

    /// @dev Perpetuals, then options, of every expiry in turn.
    function _instruments() private view returns (uint128[] memory ids) {
        ids = new uint128[](MAX_LEGS);
        uint256 n;
        for (uint8 u; u < _firstLinear(); ++u) {
            if (_hasOptions(u)) ids[n++] = _perpetual(u);
        }
        for (uint256 row; n < MAX_LEGS; ++row) {
            for (uint8 u; u < _firstLinear(); ++u) {
                if (!_hasOptions(u)) continue;
                for (uint256 e; e < MAX_EXPIRIES / _spread() && n < MAX_LEGS; ++e) {
                    ids[n++] = _option(u, e, row / 2, row % 2 == 0);
                }
            }
        }
    }

    function _open() private {
        uint256 victim = _account(VICTIM, 0);
        _deposit(_account(MAKER, 0), 0, 100_000_000e6);
        _deposit(_account(TAKER, 0), 0, 100_000_000e6);
        _deposit(victim, 0, 500_000e6);
        for (uint256 i; i < MAX_COLLATERALS; ++i) {
            _deposit(victim, FIRST_COLLATERAL + i + 1, 1e6);
        }
        uint128[] memory ids = _instruments();
        for (uint256 i; i < MAX_LEGS; ++i) {
            bool option = Instruments.isOption(ids[i]);
            _trade(option ? MAKER : VICTIM, option ? VICTIM : MAKER, ids[i], 1e16, margin.mark(ids[i]));
        }
        Check memory check = margin.byArrays(venue.book(victim));
        uint256 spare = uint256(check.equity - int256(check.im)) / 1e12;
        uint64 sequence = venue.sequence(victim);
        vm.prank(vm.addr(VICTIM));
        venue.withdraw(victim, 0, spare - 10e6, vm.addr(VICTIM), sequence);
        Book memory book = venue.book(victim);
        assertEq(book.legs.length, MAX_LEGS);
        assertEq(book.collateral.length, MAX_COLLATERALS);
    }

    /// @dev Every coin at a share of its first price; arrays stay where they were.
    function _move(uint256 level) private {
        _level = level;
        _world(60);
    }

    /// @dev The same, and arrays that follow and settle.
    function _moveWithArrays(uint256 level) private {
        _level = level;
        _publishEach(60);
        _publishEach(WINDOW);
    }

    // ---- calls ----

    /// @dev As the next transaction would find everything.
    function _cool() private {
        for (uint8 u; u < _firstLinear(); ++u) {
            if (_hasOptions(u)) _coolBlobs(u);
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

    function _coolBlobs(uint8 underlying) private {
        (uint256 newest,) = riskArrays.current(underlying);
        uint40[] memory expiries = _expiries(underlying);
        for (uint256 i; i < expiries.length; ++i) {
            for (uint256 epoch = 1; epoch <= newest; ++epoch) {
                vm.cool(riskArrays.blob(underlying, epoch, expiries[i]));
            }
        }
    }

    function _start(bool byArrays) private {
        IAuctions.StartCall memory call =
            IAuctions.StartCall(_account(VICTIM, 0), ANY, type(uint40).max, byArrays, _rows());
        _cool();
        auctions.startAuction{gas: LIMIT}(call);
        _note(byArrays ? "start, by arrays" : "start, by scenario");
    }

    function _take(bool byArrays, bool byLegs, uint256 most, string memory what) private {
        IAuctions.TakeCall memory call;
        (call.account, call.taker) = (_account(VICTIM, 0), _account(TAKER, 0));
        (call.auctionId, call.expectedSequence, call.takerSequence) = (auctions.auction(call.account).id, ANY, ANY);
        (call.maxFraction, call.maxPrice, call.deadline) = (uint128(most), type(int256).max, type(uint40).max);
        (call.byArrays, call.scenarios, call.takerByLegs) = (byArrays, _rows(), byLegs);
        _cool();
        vm.prank(vm.addr(TAKER));
        auctions.take{gas: LIMIT}(call);
        _note(what);
        assertEq(venue.book(call.taker).legs.length, MAX_LEGS);
    }

    function _note(string memory what) private {
        uint256 used = vm.snapshotGasLastCall("WorstCase", string.concat(_name(), ": ", what));
        assertLe(used, LIMIT);
    }

    function _rows() private pure returns (uint256 rows) {
        for (uint256 u; u < 32; ++u) {
            rows |= ROW << 8 * u;
        }
    }

    function test_gas_of_a_check_by_arrays() public {
        _cool();
        Book memory book = venue.book{gas: LIMIT}(_account(VICTIM, 0));
        _note("book");
        _cool();
        margin.byArrays{gas: LIMIT}(book);
        _note("check, by arrays");
    }

    /// Arrays are stale: the taker is checked without them.
    function test_gas_of_an_auction_by_scenario() public {
        _move(0.55e18);
        _start(false);
        _world(60);
        _take(false, true, 0.3e18, "take, by scenario, arrays stale");
    }

    function test_gas_of_an_auction_by_arrays() public {
        _moveWithArrays(0.55e18);
        _start(true);
        _world(60);
        uint256 snapshot = vm.snapshotState();
        _take(false, false, 0.3e18, "take, by scenario, taker by arrays");
        vm.revertToState(snapshot);
        _take(true, true, 0.3e18, "take, by arrays");
    }

    /// The whole of an insolvent account: the fund, shared loss, and no refund counted on.
    function test_gas_of_taking_all_of_an_insolvent_account() public {
        _deposit(1, 0, 1e6);
        _move(0.1e18);
        assertTrue(margin.byMarks(venue.book(_account(VICTIM, 0))).equity < 0, "insolvent");
        _start(false);
        _world(60);
        uint256 snapshot = vm.snapshotState();
        _take(false, true, WAD, "take of all, by scenario, insolvent");
        vm.revertToState(snapshot);
        _deposit(1, 0, 1e15);
        _take(false, true, WAD, "take of all, by scenario, insolvent, with a bonus");
        assertTrue(auctions.bonusLeft() < BONUS, "with a bonus");
    }
}

/// Options on two underlyings, six expiries each.
contract WorstCaseTest is WorstCaseBase {
    function _spread() internal pure override returns (uint8) {
        return 2;
    }

    function _name() internal pure override returns (string memory) {
        return "two underlyings";
    }
}

/// Options on as many underlyings as an account may be in.
contract WorstCaseWideTest is WorstCaseBase {
    function _spread() internal pure override returns (uint8) {
        return uint8(MAX_HELD_UNDERLYINGS);
    }

    function _name() internal pure override returns (string memory) {
        return "four underlyings";
    }
}

/// The same while every number of every underlying and collateral is on its way.
contract WorstCaseMovingTest is WorstCaseBase {
    function _spread() internal pure override returns (uint8) {
        return uint8(MAX_HELD_UNDERLYINGS);
    }

    function _name() internal pure override returns (string memory) {
        return "four underlyings, all moving";
    }

    function _prepare() internal override {
        for (uint8 u; u < _underlyings(); ++u) {
            products.setScanParameters(
                u,
                ScanParameters(0.14e18, 0.4e18, 0.31e18, 0.31e18, 0.12e18, 0.44e18, 0.9e18, 0.7e18, 3_400, 1_900, 2_900)
            );
            products.setMarginParameters(u, MarginParameters(13_000, 9_200, 110, 60, 210, 10_100, 990e18));
        }
        for (uint256 i; i < products.collaterals(); ++i) {
            CollateralType memory kind = products.collateral(i);
            kind.haircut += 100;
            products.setCollateral(i, kind);
        }
        _skip(36 hours);
    }
}

/// What keeps an account from being spread wider.
contract WorstCaseLimitsTest is Fixture {
    uint256 private constant BUYER = 0xa11ce;
    uint256 private constant SELLER = 0xb0b;

    function trade(uint8 underlying, uint256 size) external {
        _trade(BUYER, SELLER, _perpetual(underlying), size, ETH_PRICE);
    }

    function test_a_fifth_underlying_is_refused() public {
        for (uint8 u = 3; u < 7; ++u) {
            products.addUnderlying("X", true, _scan(u), _margin(u));
            _report(u, ETH_PRICE);
        }
        _deposit(_account(BUYER, 0), 0, 1_000_000e6);
        _deposit(_account(SELLER, 0), 0, 1_000_000e6);
        for (uint8 u = 3; u < 7; ++u) {
            this.trade(u, WAD);
        }
        vm.expectRevert(abi.encodeWithSelector(IMarginVenue.TooManyUnderlyings.selector, _account(BUYER, 0), 5, 4));
        this.trade(ETH, WAD);
    }
}
