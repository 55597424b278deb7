// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {MintableToken} from "../../../src/demo/MintableToken.sol";
import {IMarginVenue} from "../../../src/reference/interfaces/IMarginVenue.sol";
import {Book, Check, Legs, NO_SCENARIO, ROWS, WAD} from "../../../src/reference/Types.sol";
import {Fixture} from "../Fixture.sol";

/// @notice A small market with a few traders: what handlers of invariant tests share. Board: ETH with two strikes, BTC
/// with one, an expiry each.
abstract contract Market is Fixture {
    using Legs for uint256;

    struct Payout {
        uint256 time;
        uint256 amount; // USD, wad
    }

    uint256 internal constant NO_SCENARIOS = type(uint256).max;
    uint256 internal constant TRADERS = 4; // keys 1..4; key 5 is the liquidator, who never trades
    uint256 internal constant LIQUIDATOR = 5;

    mapping(bytes32 action => uint256) public successes;
    uint128[] internal instruments;
    int256 internal netDeposits; // USD, wad: settlement token of everyone, fines and slashes included
    uint256[3] internal price; // newest reported, by underlying
    uint40 internal boardExpiry = uint40(START + 20 days);
    uint256 internal roomBefore; // for payouts, before the action at hand
    uint64 private _orderNonce;
    Payout[] private _payouts; // of accounts that were not idle and empty

    function setUp() public virtual override {
        super.setUp();
        price = [ETH_PRICE, BTC_PRICE, WAD];
        _readBoard();
        // Everyone has a start, and the first arrays settle, so that the first action can be a trade.
        for (uint256 key = 1; key <= TRADERS; ++key) {
            _pay(_account(key, 0), 0, 200_000e6);
        }
        _pay(_account(LIQUIDATOR, 0), 0, 20_000_000e6);
        _tick(WINDOW / 2, price[ETH], price[BTC], 0);
        _publishBoth();
        _tick(WINDOW / 2, price[ETH], price[BTC], 0);
        _publishBoth();
    }

    /// @notice What the campaign may call.
    function actions() external pure virtual returns (bytes4[] memory);

    /// @notice Whatever has happened, each action can still succeed; what chance left out is done now.
    function checkAlive() external virtual;

    function _expiries(uint8) internal view override returns (uint40[] memory list) {
        list = new uint40[](1);
        list[0] = boardExpiry;
    }

    function _readBoard() internal {
        delete instruments;
        for (uint8 u = ETH; u <= BTC; ++u) {
            instruments.push(_perpetual(u));
            uint128[] memory listed = products.instruments(u, boardExpiry);
            for (uint256 i; i < listed.length; ++i) {
                instruments.push(listed[i]);
            }
        }
    }

    function _strikes(uint8 underlying) internal pure override returns (uint64[] memory list) {
        list = new uint64[](underlying == ETH ? 2 : 1);
        list[0] = uint64((underlying == ETH ? ETH_PRICE : BTC_PRICE) / 1e10);
        if (underlying == ETH) list[1] = list[0] * 11 / 10;
    }

    // ---- the world's moves ----

    /// @dev Time passes and every price is reported.
    function _tick(uint256 time, uint256 ethPrice, uint256 btcPrice, int64 fundingRate) internal virtual {
        _skip(time);
        (price[ETH], price[BTC]) = (ethPrice, btcPrice);
        _report(ETH, ethPrice, fundingRate);
        _report(BTC, btcPrice, -fundingRate);
        _report(DAI, WAD);
    }

    /// @dev The honest publisher.
    function _publishBoth() internal {
        for (uint8 u = ETH; u <= BTC; ++u) {
            if (products.expiriesAfter(u, uint40(block.timestamp)).length == 0) continue;
            _fitAll(u);
            _publishAll(u);
        }
    }

    // ---- deeds ----

    function _pay(uint256 account, uint256 asset, uint256 amount) internal {
        _deposit(account, asset, amount);
        if (asset == 0) netDeposits += int256(amount * 1e12);
    }

    /// @dev False where the venue refuses.
    function _match(uint256 buyer, uint256 seller, uint128 id, uint256 size, uint256 at) internal returns (bool) {
        uint64 nonce = ++_orderNonce;
        (IMarginVenue.Order memory buy, bytes memory buySignature) =
            _order(buyer, _account(buyer, 0), id, int128(int256(size)), at, nonce);
        (IMarginVenue.Order memory sell, bytes memory sellSignature) =
            _order(seller, _account(seller, 0), id, -int128(int256(size)), at, nonce);
        try venue.matchOrders(buy, buySignature, sell, sellSignature, size, at) {
            return true;
        } catch {
            return false;
        }
    }

    /// @dev What left an account that is not idle and empty: the room of this window is smaller by it, at least.
    function _notePayout(uint256 amount) internal {
        assertLe(amount, roomBefore - venue.payoutLeft());
        _payouts.push(Payout(block.timestamp, amount));
    }

    function _requireSuccesses(string[] memory names) internal view {
        for (uint256 i; i < names.length; ++i) {
            assertTrue(successes[bytes32(bytes(names[i]))] > 0, names[i]);
        }
    }

    // ---- views ----

    function _sizeOf(Book memory book, uint128 id) internal pure returns (int256) {
        for (uint256 i; i < book.legs.length; ++i) {
            if (book.legs[i].idOf() == id) return book.legs[i].sizeOf();
        }
        return 0;
    }

    function _amountOf(Book memory book, uint256 index) internal pure returns (uint256) {
        for (uint256 i; i < book.collateral.length; ++i) {
            if (book.collateral[i] >> 128 == index) return uint128(book.collateral[i]);
        }
        return 0;
    }

    function _equity(Book memory book) internal view returns (int256) {
        return margin.byScenario(book, NO_SCENARIOS).equity;
    }

    function _excess(Check memory check) internal pure returns (int256) {
        return check.equity - int256(check.mm);
    }

    /// @dev The row of each underlying that asks most: on this board always one of the outer ones.
    function _worst(Book memory book) internal view returns (uint256 scenarios) {
        scenarios = NO_SCENARIOS ^ uint256(NO_SCENARIO) << 8 * DAI | (ROWS - 1) << 8 * DAI;
        for (uint8 u = ETH; u <= BTC; ++u) {
            uint256 cleared = NO_SCENARIOS ^ uint256(NO_SCENARIO) << 8 * u;
            uint256 most;
            uint256 worst = NO_SCENARIO;
            for (uint256 row = 10; row < ROWS; ++row) {
                uint256 mm = margin.byScenario(book, cleared | row << 8 * u).mm;
                if (mm > most) (most, worst) = (mm, row);
            }
            scenarios = scenarios ^ uint256(NO_SCENARIO) << 8 * u | worst << 8 * u;
        }
    }

    /// @dev Whether newest and settled arrays both say IM; false where they say nothing.
    function _meetsInitial(Book memory book) internal view returns (bool) {
        try margin.byArrays(book) returns (Check memory check) {
            if (check.equity < int256(check.im)) return false;
        } catch {
            return false;
        }
        try margin.bySettledArrays(book) returns (Check memory check) {
            return check.equity >= int256(check.im);
        } catch {
            return false;
        }
    }

    // ---- sums ----

    function _everyone() internal pure returns (uint256[] memory accounts) {
        accounts = new uint256[](TRADERS + 1);
        for (uint256 key = 1; key <= TRADERS + 1; ++key) {
            accounts[key - 1] = _account(key, 0);
        }
    }

    /// @notice Tokens held, and those the ledger says, cover every claim to the last unit; cash, fund and dust are what
    /// was paid in and not out, bad debt added; every instrument is held as much long as short.
    function checkSums() external {
        uint256[] memory accounts = _everyone();
        int256 cash;
        uint256[3] memory collateral;
        int256[] memory open = new int256[](instruments.length);
        for (uint256 i; i < accounts.length; ++i) {
            venue.touch(accounts[i]);
            (Book memory book,) = venue.recorded(accounts[i]);
            cash += book.cash;
            for (uint256 j; j < 3; ++j) {
                collateral[j] += _amountOf(book, j);
            }
            for (uint256 j; j < instruments.length; ++j) {
                open[j] += _sizeOf(book, instruments[j]);
            }
        }
        _checkCollateral(collateral);
        for (uint256 j; j < open.length; ++j) {
            assertEq(open[j], 0);
        }
        int256 claims = (cash + venue.fund()) * 1e18 + venue.dust();
        assertEq(claims, (int256(venue.held(0) * 1e12) + int256(venue.badDebt())) * 1e18);
        assertEq(claims, (netDeposits + int256(venue.badDebt())) * 1e18);
        assertLe(venue.held(0), usdc.balanceOf(address(venue)));
        assertLe(0, venue.fund());
        assertLe(0, venue.dust());
    }

    function _checkCollateral(uint256[3] memory owned) private view {
        MintableToken[3] memory tokens = [weth, wbtc, dai];
        for (uint256 j; j < 3; ++j) {
            assertEq(owned[j], venue.held(j + 1));
            assertLe(owned[j], tokens[j].balanceOf(address(venue)));
        }
    }

    /// @notice In any window, what accounts with positions or recent trades took out is at most the slashable part.
    function checkPayouts() external view {
        uint256 most = riskArrays.slashable();
        for (uint256 i; i < _payouts.length; ++i) {
            uint256 sum;
            for (uint256 j = i; j < _payouts.length && _payouts[j].time < _payouts[i].time + WINDOW; ++j) {
                sum += _payouts[j].amount;
            }
            assertLe(sum, most);
        }
    }
}
