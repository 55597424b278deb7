// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {SSTORE2} from "solady/utils/SSTORE2.sol";
import {
    CollateralType,
    Instruments,
    MarginParameters,
    Report,
    ScanParameters,
    Slice,
    WORDS
} from "../../src/reference/Types.sol";
import {IMargin} from "../../src/reference/interfaces/IMargin.sol";
import {IPrices} from "../../src/reference/interfaces/IPrices.sol";
import {IProducts} from "../../src/reference/interfaces/IProducts.sol";
import {IRiskArrays} from "../../src/reference/interfaces/IRiskArrays.sol";
import {Margin} from "../../src/reference/Margin.sol";
import {Option} from "../../src/reference/math/Option.sol";
import {Packed} from "../../src/reference/math/Packed.sol";
import {Words} from "../../src/reference/math/Words.sol";
import {Test} from "../Vm.sol";

// The three contracts margin reads, with their storage but none of their rules: so that a test can say any price, any
// slice and any array.

contract PricesPeer {
    mapping(uint8 => bytes32[2]) private _newest;
    mapping(uint256 => bytes32[2]) private _newestSlice;
    mapping(bytes32 => Report) private _reports;
    mapping(bytes32 => Slice) private _slices;

    function setReport(Report calldata report) external {
        bytes32 id = keccak256(abi.encode(report));
        _newest[report.underlying] = [id, _newest[report.underlying][0]];
        _reports[id] = report;
    }

    function setSlice(Slice calldata slice) external {
        bytes32 id = keccak256(abi.encode(slice));
        uint256 key = uint256(slice.underlying) << 40 | slice.expiry;
        _newestSlice[key] = [id, _newestSlice[key][0]];
        _slices[id] = slice;
    }

    function newest(uint8 underlying) external view returns (Report memory, bytes32, bytes32) {
        bytes32[2] storage ids = _newest[underlying];
        if (ids[0] == 0) revert IPrices.NoReport(underlying);
        return (_reports[ids[0]], ids[0], ids[1]);
    }

    function quote(uint8 underlying) external view returns (uint128, uint128, uint40) {
        bytes32 id = _newest[underlying][0];
        if (id == 0) revert IPrices.NoReport(underlying);
        Report storage r = _reports[id];
        return (r.price, r.confidence, r.timestamp);
    }

    function newestSlice(uint8 underlying, uint40 expiry) external view returns (Slice memory, bytes32, bytes32) {
        bytes32[2] storage ids = _newestSlice[uint256(underlying) << 40 | expiry];
        if (ids[0] == 0) revert IPrices.NoSlice(underlying, expiry);
        return (_slices[ids[0]], ids[0], ids[1]);
    }
}

contract ProductsPeer {
    mapping(uint8 => uint32) public scanVersion;
    mapping(uint8 => mapping(uint32 => ScanParameters)) private _scans;
    mapping(uint8 => MarginParameters) private _margins;
    mapping(uint8 => MarginParameters) private _mms;
    CollateralType[] private _collaterals;
    mapping(uint256 => uint16) private _haircutsMm;

    function setScan(uint8 underlying, ScanParameters calldata p) external {
        _scans[underlying][++scanVersion[underlying]] = p;
    }

    function setMargin(uint8 underlying, MarginParameters calldata p) external {
        (_margins[underlying], _mms[underlying]) = (p, p);
    }

    /// MM's record while a tightening is on its way.
    function setMm(uint8 underlying, MarginParameters calldata p) external {
        _mms[underlying] = p;
    }

    function setHaircutMm(uint256 index, uint16 haircut) external {
        _haircutsMm[index] = haircut;
    }

    function addCollateral(CollateralType calldata kind) external {
        _collaterals.push(kind);
    }

    function mmParameters(uint8 underlying) external view returns (MarginParameters memory) {
        return _mms[underlying];
    }

    function packedParameters(uint8 underlying, uint32 version, uint256)
        external
        view
        returns (uint256, uint256, uint256, uint256, uint256)
    {
        uint256[3] memory scan = Packed.scan(_scans[underlying][version == 0 ? scanVersion[underlying] : version]);
        return (scan[0], scan[1], scan[2], Packed.rates(_margins[underlying]), Packed.rates(_mms[underlying]));
    }

    function collateralTerms(uint256 index) external view returns (uint8, uint8, uint16, uint16) {
        CollateralType storage kind = _collaterals[index];
        uint16 mm = _haircutsMm[index];
        return (kind.underlying, kind.decimals, kind.haircut, mm == 0 ? kind.haircut : mm);
    }
}

contract ArraysPeer {
    uint256 public constant window = 600;
    mapping(uint8 => IRiskArrays.Epoch[]) private _epochs; // index 0 is no epoch
    mapping(uint8 => uint256) private _settled;
    mapping(uint8 => mapping(uint256 => mapping(uint40 => address))) private _blobs;

    function open(uint8 underlying, IRiskArrays.Epoch calldata epoch) external {
        if (_epochs[underlying].length == 0) _epochs[underlying].push();
        _epochs[underlying].push(epoch);
    }

    function settle(uint8 underlying, uint256 id) external {
        _settled[underlying] = id;
    }

    function write(uint8 underlying, uint40 expiry, bytes calldata arrays) external {
        uint256 id = _epochs[underlying].length - 1;
        _blobs[underlying][id][expiry] = SSTORE2.write(bytes.concat(new bytes(96), arrays));
    }

    function newestId(uint8 underlying) external view returns (uint256) {
        return _epochs[underlying].length - 1;
    }

    function blobs(uint8 underlying, bool ofSettled, uint40[] calldata expiries)
        external
        view
        returns (uint256 id, IRiskArrays.Basis memory basis, address[] memory found)
    {
        uint256 n = _epochs[underlying].length;
        id = ofSettled ? _settled[underlying] : n == 0 ? 0 : n - 1;
        if (id == 0) revert IRiskArrays.NoEpoch(underlying);
        IRiskArrays.Epoch storage epoch = _epochs[underlying][id];
        basis = IRiskArrays.Basis(epoch.price, epoch.reportTimestamp, epoch.version);
        found = new address[](expiries.length);
        for (uint256 i; i < found.length; ++i) {
            found[i] = _blobs[underlying][id][expiries[i]];
        }
    }
}

/// Two coins and a stablecoin: 0 at 60,000 USD, 1 at 3,000 USD, 2 at 1 USD, whose scan is its depeg.
abstract contract MarginWorld is Test {
    uint8 internal constant BTC = 0;
    uint8 internal constant ETH = 1;
    uint8 internal constant USDX = 2;
    uint256 internal constant MAX_REPORT_AGE = 60;
    uint256 internal constant MAX_EPOCH_AGE = 900;
    uint256 internal constant MAX_SLICE_AGE = 1200;

    PricesPeer internal prices = new PricesPeer();
    ProductsPeer internal products = new ProductsPeer();
    ArraysPeer internal arrays = new ArraysPeer();
    Margin internal margin = new Margin(
        IPrices(address(prices)),
        IProducts(address(products)),
        IRiskArrays(address(arrays)),
        MAX_REPORT_AGE,
        MAX_EPOCH_AGE,
        MAX_SLICE_AGE
    );

    uint40 internal start = 1_800_000_000;
    uint32 private _sequence;
    mapping(uint8 => uint40[]) internal expiries;
    mapping(uint8 => mapping(uint40 => uint128[])) internal listed;

    function setUp() public virtual {
        vm.warp(start);
        for (uint8 u; u < 3; ++u) {
            products.setScan(u, coinScan());
            products.setMargin(u, plainMargin());
        }
        ScanParameters memory depeg = coinScan();
        (depeg.scan, depeg.extreme, depeg.deepUp, depeg.deepDown) = (0.06e18, 0.12e18, 0.24e18, 0.24e18);
        products.setScan(USDX, depeg);
        report(BTC, 60_000e18);
        report(ETH, 3_000e18);
        report(USDX, 1e18);
    }

    function coinScan() internal pure returns (ScanParameters memory p) {
        (p.scan, p.volUp, p.volDown, p.shortPower, p.longPower) = (0.15e18, 0.45e18, 0.3e18, 0.3e18, 0.13e18);
        (p.extreme, p.deepUp, p.deepDown) = (0.45e18, 1.2e18, 0.6e18);
        (p.extremeCover, p.deepUpCover, p.deepDownCover) = (3500, 1000, 1000);
    }

    /// Scan only: no short minimum, concentration or confidence.
    function plainMargin() internal pure returns (MarginParameters memory p) {
        (p.imScalar, p.mmScalar) = (12_000, 8_000);
    }

    function report(uint8 underlying, uint128 price) internal {
        Report memory r;
        (r.underlying, r.timestamp, r.sequence) = (underlying, uint40(block.timestamp), ++_sequence);
        (r.price, r.confidence) = (price, price / 2000);
        prices.setReport(r);
    }

    function slice(uint8 underlying, uint40 expiry) internal {
        uint128 spot = underlying == BTC ? 60_000e18 : 3_000e18;
        prices.setSlice(
            Slice(
                underlying, expiry, uint40(block.timestamp), spot / 100 * 101, spot, 0.2e18, 0.3e18, -0.3e18, 0, 0.2e18
            )
        );
    }

    /// An expiry with `count` options: calls and puts at strikes around the money, 4 % apart.
    function list(uint8 underlying, uint40 expiry, uint256 count) internal {
        expiries[underlying].push(expiry);
        uint64 spot = underlying == BTC ? 60_000e8 : 3_000e8;
        for (uint256 i; i < count; ++i) {
            uint64 strike = uint64(spot / 100 * (100 + 4 * (i / 2) - 4 * (count / 4)));
            listed[underlying][expiry].push(Instruments.pack(underlying, expiry, strike, i % 2 == 0, uint16(i)));
        }
        slice(underlying, expiry);
    }

    /// A complete epoch of correct arrays on the newest report and slices.
    function publish(uint8 underlying) internal {
        Report memory r = open(underlying);
        for (uint256 i; i < expiries[underlying].length; ++i) {
            uint40 expiry = expiries[underlying][i];
            (Slice memory s,,) = prices.newestSlice(underlying, expiry);
            Option.Expiry memory e = Option.prepare(r, s, coinScan());
            bytes memory blob;
            for (uint256 j; j < listed[underlying][expiry].length; ++j) {
                blob = bytes.concat(blob, Option.array(e, listed[underlying][expiry][j]));
            }
            arrays.write(underlying, expiry, blob);
        }
    }

    function open(uint8 underlying) internal returns (Report memory r) {
        bytes32 id;
        (r, id,) = prices.newest(underlying);
        uint40 time = uint40(block.timestamp);
        arrays.open(
            underlying,
            IRiskArrays.Epoch(id, address(this), time, time, r.timestamp, products.scanVersion(underlying), r.price)
        );
    }

    function publishWords(uint8 underlying, uint40 expiry, int256[WORDS][] memory words) internal {
        open(underlying);
        bytes memory blob;
        for (uint256 i; i < words.length; ++i) {
            blob = bytes.concat(blob, Words.encode(words[i]));
        }
        arrays.write(underlying, expiry, blob);
    }

    function perpetual(uint8 underlying) internal pure returns (uint128) {
        return Instruments.pack(underlying, 0, 0, false, 0);
    }
}
