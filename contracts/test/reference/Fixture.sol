// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {MintableToken} from "../../src/demo/MintableToken.sol";
import {Products} from "../../src/reference/Products.sol";
import {Auctions} from "../../src/reference/Auctions.sol";
import {Bonds} from "../../src/reference/Bonds.sol";
import {Margin} from "../../src/reference/Margin.sol";
import {MarginVenue} from "../../src/reference/MarginVenue.sol";
import {VenueRules} from "../../src/reference/VenueRules.sol";
import {RiskArrays} from "../../src/reference/RiskArrays.sol";
import {IAuctions} from "../../src/reference/interfaces/IAuctions.sol";
import {IMarginVenue} from "../../src/reference/interfaces/IMarginVenue.sol";
import {
    Book,
    CollateralType,
    Instruments,
    MarginParameters,
    Observation,
    Report,
    ScanParameters,
    Slice,
    WAD
} from "../../src/reference/Types.sol";
import {Signed} from "./Signed.sol";

/// @notice The whole venue, small: two underlyings with options and perpetuals, a stablecoin, tokens of 6, 8 and 18
/// decimals. The test contract owns everything. Override `_expiries` and `_strikes` for larger or smaller boards.
abstract contract Fixture is Signed {
    uint256 internal constant START = 1_800_000_000; // a whole minute
    uint8 internal constant ETH = 0;
    uint8 internal constant BTC = 1;
    uint8 internal constant DAI = 2; // a stablecoin: an underlying of its own, linear only
    uint256 internal constant ETH_PRICE = 3_000e18;
    uint256 internal constant BTC_PRICE = 60_000e18;
    uint16 internal constant MOST_INCENTIVE = 500;
    uint40 internal constant WINDOW = 600;
    uint16 internal constant FUND_SHARE = 6_000;
    uint128 internal constant MINIMUM_BOND = 1_000_000e6;
    uint40 internal constant HEARTBEAT = 60;
    uint64 internal constant FINE_PER_SECOND = 2e6;
    uint256 internal constant MAX_REPORT_AGE = 5 minutes;
    uint256 internal constant MAX_EPOCH_AGE = 30 minutes;
    uint256 internal constant MAX_SLICE_AGE = 1 hours;
    address internal constant PUBLISHER = address(0x9b);
    uint256 internal constant BONUS = 5_000e18;
    uint256 internal constant BONUS_PERIOD = 1 days;
    uint256 internal constant WETH_COLLATERAL = 0;
    uint256 internal constant WBTC_COLLATERAL = 1;
    uint256 internal constant DAI_COLLATERAL = 2;

    MintableToken internal usdc; // 6 decimals, the settlement token
    MintableToken internal weth; // 18
    MintableToken internal wbtc; // 8
    MintableToken internal dai; // 18
    Products internal products;
    RiskArrays internal riskArrays;
    Margin internal margin;
    MarginVenue internal venue;
    Auctions internal auctions;
    uint64 private _nonce;

    function setUp() public virtual {
        vm.warp(START);
        usdc = new MintableToken("USD Coin", "USDC", 6);
        weth = new MintableToken("Wrapped Ether", "WETH", 18);
        wbtc = new MintableToken("Wrapped BTC", "WBTC", 8);
        dai = new MintableToken("Dai", "DAI", 18);
        products = new Products(address(usdc), MOST_INCENTIVE, address(this));
        _deployRelays(products);
        _addUnderlyings();
        _addCollaterals();
        _report(ETH, ETH_PRICE);
        _report(BTC, BTC_PRICE);
        _report(DAI, WAD);
        _listBoards();
        riskArrays = new RiskArrays(prices, products, usdc, _terms(), MAX_REPORT_AGE, MAX_SLICE_AGE, address(this));
        _deployVenue();
        _wireSteward();
        _bond(PUBLISHER, MINIMUM_BOND + 10_000e6);
        _publishAll(ETH);
        _publishAll(BTC);
    }

    function _deployVenue() private {
        margin = new Margin(prices, products, riskArrays, MAX_REPORT_AGE, MAX_EPOCH_AGE, MAX_SLICE_AGE);
        venue = new MarginVenue(address(this), VenueRules.Peers(prices, products, riskArrays, margin), usdc);
        Auctions.Settings memory settings =
            Auctions.Settings(2_000, MOST_INCENTIVE, 600, 4_000_000, BONUS, BONUS_PERIOD);
        auctions = new Auctions(venue, margin, prices, products, settings, address(this));
        venue.wireAuctions(auctions);
        riskArrays.wireVenue(venue);
    }

    /// @dev The test changes parameters itself where they are not what it is about.
    function _wireSteward() internal virtual {
        products.wireSteward(address(this));
    }

    function _terms() internal pure returns (Bonds.Terms memory) {
        return Bonds.Terms(WINDOW, FUND_SHARE, MINIMUM_BOND, HEARTBEAT, FINE_PER_SECOND);
    }

    /// @dev Lets `who` publish and bonds `amount` for him.
    function _bond(address who, uint256 amount) internal {
        riskArrays.setPublisher(who, true);
        usdc.mint(who, amount);
        vm.startPrank(who);
        usdc.approve(address(riskArrays), amount);
        riskArrays.bond(amount);
        vm.stopPrank();
    }

    // ---- the board ----

    /// @dev Seconds from START, ascending.
    function _expiries(uint8 underlying) internal view virtual returns (uint40[] memory list) {
        list = new uint40[](3);
        list[0] = uint40(START + 1 days);
        list[1] = uint40(START + 7 days);
        list[2] = uint40(START + (underlying == ETH ? 30 days : 60 days));
    }

    /// @dev 10⁻⁸ USD; each is listed as call and put.
    function _strikes(uint8 underlying) internal view virtual returns (uint64[] memory list) {
        uint64 spot = uint64((underlying == ETH ? ETH_PRICE : BTC_PRICE) / 1e10);
        list = new uint64[](3);
        list[0] = spot * 9 / 10;
        list[1] = spot;
        list[2] = spot * 11 / 10;
    }

    function _scan(uint8 underlying) internal view virtual returns (ScanParameters memory) {
        bool stable = underlying == DAI;
        return ScanParameters({
            scan: stable ? 0.02e18 : 0.15e18,
            volUp: 0.45e18,
            volDown: 0.3e18,
            shortPower: 0.3e18,
            longPower: 0.13e18,
            extreme: stable ? 0.1e18 : 0.45e18,
            deepUp: stable ? 0.2e18 : 1e18,
            deepDown: stable ? 0.5e18 : 0.75e18,
            extremeCover: 3_500,
            deepUpCover: 2_000,
            deepDownCover: 3_000
        });
    }

    function _margin(uint8) internal view virtual returns (MarginParameters memory) {
        return MarginParameters({
            imScalar: 12_500,
            mmScalar: 9_000,
            shortImRate: 100,
            shortMmRate: 50,
            concentrationRate: 200,
            confidenceFactor: 10_000,
            concentrationFrom: 1_000e18
        });
    }

    function _addUnderlyings() private {
        products.addUnderlying("ETH", true, _scan(ETH), _margin(ETH));
        products.addUnderlying("BTC", true, _scan(BTC), _margin(BTC));
        products.addUnderlying("DAI", false, _scan(DAI), _margin(DAI));
        prices.setFundingLimits(ETH, 1e11, 1e11);
        prices.setFundingLimits(BTC, 1e11, 1e11);
        _limitJumps(ETH, 500);
        _limitJumps(BTC, 500);
        _limitJumps(DAI, 500);
    }

    function _addCollaterals() private {
        products.addCollateral(CollateralType(address(weth), 18, ETH, 1_000, 1_000_000e18));
        products.addCollateral(CollateralType(address(wbtc), 8, BTC, 1_000, 100_000e8));
        products.addCollateral(CollateralType(address(dai), 18, DAI, 600, 1_000_000_000e18));
    }

    function _listBoards() private {
        for (uint8 u = ETH; u <= BTC; ++u) {
            uint40[] memory expiries = _expiries(u);
            for (uint256 i; i < expiries.length; ++i) {
                products.listExpiry(u, expiries[i]);
                _fit(u, expiries[i]);
                _list(u, expiries[i], _strikes(u));
            }
        }
    }

    /// @dev A call and a put per strike: rows 2i and 2i + 1.
    function _list(uint8 underlying, uint40 expiry, uint64[] memory strikes) internal {
        uint64[] memory both = new uint64[](2 * strikes.length);
        bool[] memory calls = new bool[](2 * strikes.length);
        for (uint256 i; i < strikes.length; ++i) {
            (both[2 * i], both[2 * i + 1], calls[2 * i]) = (strikes[i], strikes[i], true);
        }
        products.listOptions(underlying, expiry, both, calls);
    }

    /// @dev Id of the call or put in row 2 · strikeIndex (+ 1) of the expiryIndex-th expiry.
    function _option(uint8 underlying, uint256 expiryIndex, uint256 strikeIndex, bool call)
        internal
        view
        returns (uint128)
    {
        return products.instrument(underlying, _expiries(underlying)[expiryIndex], 2 * strikeIndex + (call ? 0 : 1));
    }

    function _perpetual(uint8 underlying) internal pure returns (uint128) {
        return Instruments.pack(underlying, 0, 0, false, 0);
    }

    // ---- the world ----

    function _skip(uint256 time) internal {
        vm.warp(block.timestamp + time);
    }

    /// @dev A report now: no funding, confidence 0.05 %, whatever fixing is due.
    function _report(uint8 underlying, uint256 price) internal returns (bytes32) {
        return _report(underlying, price, 0);
    }

    function _report(uint8 underlying, uint256 price, int64 fundingRate) internal returns (bytes32) {
        return _relay(_observation(underlying, price, fundingRate));
    }

    /// @dev The average is that of the piecewise constant path in which each report's price held since the last.
    function _observation(uint8 underlying, uint256 price, int64 fundingRate)
        internal
        view
        returns (Observation memory)
    {
        (uint40 expiry, uint256 share) = prices.fixingAt(underlying, uint40(block.timestamp));
        uint256 average;
        if (share > 0) {
            (uint256 before, uint256 fixedBefore) = _fixedBefore(underlying, expiry);
            average = (fixedBefore + (share - before) * price) / share;
        }
        return Observation({
            underlying: underlying,
            timestamp: uint40(block.timestamp),
            price: uint128(price),
            confidence: uint128(price / 2_000),
            fundingRate: fundingRate,
            fixingExpiry: expiry,
            fixedShare: uint64(share),
            fixedAverage: uint128(average)
        });
    }

    function _fixedBefore(uint8 underlying, uint40 expiry) private view returns (uint256 share, uint256 fixedPart) {
        (Report memory last,,) = prices.newest(underlying);
        if (last.fixingExpiry != expiry) return (0, 0);
        return (last.fixedShare, uint256(last.fixedShare) * last.fixedAverage);
    }

    /// @dev A slice now, fitted at the newest price: 60 % at the money, a skew, forward half a percent above spot.
    function _fit(uint8 underlying, uint40 expiry) internal returns (bytes32) {
        (Report memory last,,) = prices.newest(underlying);
        return _relay(
            Slice({
                underlying: underlying,
                expiry: expiry,
                timestamp: uint40(block.timestamp),
                forward: last.price * 1_005 / 1_000,
                spot: last.price,
                a: 0.2e18,
                b: 0.4e18,
                rho: -0.3e18,
                m: 0.05e18,
                s: 0.4e18
            })
        );
    }

    function _fitAll(uint8 underlying) internal {
        uint40[] memory live = products.expiriesAfter(underlying, uint40(block.timestamp));
        for (uint256 i; i < live.length; ++i) {
            _fit(underlying, live[i]);
        }
    }

    // ---- publishing ----

    /// @dev A report at `price`, slices fitted to it, and correct arrays of every live expiry: a complete epoch.
    function _refresh(uint8 underlying, uint256 price) internal returns (uint256 epoch) {
        _report(underlying, price);
        _fitAll(underlying);
        return _publishAll(underlying);
    }

    /// @dev Correct arrays of every live expiry on the newest report and slices.
    function _publishAll(uint8 underlying) internal returns (uint256 epoch) {
        return _publishAll(PUBLISHER, underlying);
    }

    function _publishAll(address who, uint8 underlying) internal returns (uint256 epoch) {
        (Report memory last, bytes32 reportId,) = prices.newest(underlying);
        uint40[] memory live = products.expiriesAfter(underlying, last.timestamp);
        for (uint256 i; i < live.length; ++i) {
            if (products.count(underlying, live[i]) > 0) epoch = _publish(who, underlying, live[i], reportId);
        }
    }

    /// @dev Correct arrays of one expiry on its newest slice.
    function _publish(address who, uint8 underlying, uint40 expiry, bytes32 reportId) internal returns (uint256) {
        (, bytes32 sliceId,) = prices.newestSlice(underlying, expiry);
        return _publish(who, underlying, expiry, reportId, _arrays(underlying, expiry, reportId, sliceId));
    }

    function _publish(address who, uint8 underlying, uint40 expiry, bytes32 reportId, bytes memory arrays)
        internal
        returns (uint256)
    {
        (, bytes32 sliceId,) = prices.newestSlice(underlying, expiry);
        uint32 version = _version(underlying, reportId);
        bytes32 listingId = _listingId(underlying, expiry, version);
        vm.prank(who);
        return riskArrays.publish(underlying, expiry, reportId, sliceId, version, listingId, arrays);
    }

    /// @dev That the report is used with.
    function _version(uint8 underlying, bytes32 reportId) internal view returns (uint32) {
        return products.scanVersionAt(underlying, prices.report(reportId).timestamp);
    }

    function _listingId(uint8 underlying, uint40 expiry, uint32 version) internal view returns (bytes32 id) {
        (, id) = products.listing(underlying, expiry, version);
    }

    /// @dev What the contract itself computes for each option, in row order.
    function _arrays(uint8 underlying, uint40 expiry, bytes32 reportId, bytes32 sliceId)
        internal
        view
        returns (bytes memory arrays)
    {
        uint32 version = _version(underlying, reportId);
        uint128[] memory options = products.instruments(underlying, expiry);
        for (uint256 i; i < options.length; ++i) {
            arrays = bytes.concat(arrays, riskArrays.recompute(reportId, sliceId, version, options[i]));
        }
    }

    // ---- accounts and trades ----

    /// @dev Account `sub` of the owner with that private key.
    function _account(uint256 key, uint96 sub) internal pure returns (uint256) {
        return uint256(uint160(vm.addr(key))) << 96 | sub;
    }

    function _bookOf(uint256 key) internal view returns (Book memory) {
        return venue.book(_account(key, 0));
    }

    /// @dev Settlement token to this contract, by the owner.
    function _withdrawCash(uint256 key, uint256 amount) internal {
        uint64 sequence = venue.sequence(_account(key, 0));
        vm.prank(vm.addr(key));
        venue.withdraw(_account(key, 0), 0, amount, address(this), sequence);
    }

    /// @dev To end the auction the account is in now, whatever its sequence.
    function _ending(uint256 account) internal view returns (IAuctions.EndCall memory) {
        return IAuctions.EndCall(account, auctions.auction(account).id, type(uint64).max, uint40(block.timestamp));
    }

    /// @dev Mints and deposits, as the owner does; `asset` 0 is the settlement token, else collateral index + 1.
    function _deposit(uint256 account, uint256 asset, uint256 amount) internal {
        MintableToken token = asset == 0 ? usdc : MintableToken(products.collateral(asset - 1).token);
        address owner = account < 1 << 96 ? address(this) : address(uint160(account >> 96));
        token.mint(owner, amount);
        vm.startPrank(owner);
        token.approve(address(venue), amount);
        venue.deposit(account, asset, amount);
        vm.stopPrank();
    }

    /// @dev An order good for now at exactly that price, signed by the owner's key.
    function _order(uint256 key, uint256 account, uint128 instrument, int128 size, uint256 price, uint64 nonce)
        internal
        view
        returns (IMarginVenue.Order memory order, bytes memory signature)
    {
        order = IMarginVenue.Order({
            account: account,
            instrument: instrument,
            size: size,
            limitPrice: uint128(price),
            nonce: nonce,
            deadline: uint40(block.timestamp),
            reduceOnly: false
        });
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, venue.orderHash(order));
        signature = abi.encodePacked(r, s, v);
    }

    /// @dev Key `buyer` buys from key `seller`, both in sub-account 0.
    function _trade(uint256 buyer, uint256 seller, uint128 instrument, uint256 size, uint256 price) internal {
        uint64 nonce = ++_nonce;
        (IMarginVenue.Order memory buy, bytes memory buySignature) =
            _order(buyer, _account(buyer, 0), instrument, int128(int256(size)), price, nonce);
        (IMarginVenue.Order memory sell, bytes memory sellSignature) =
            _order(seller, _account(seller, 0), instrument, -int128(int256(size)), price, nonce);
        venue.matchOrders(buy, buySignature, sell, sellSignature, size, price);
    }
}
