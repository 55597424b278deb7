// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {PriceRelay} from "../../src/keeper/PriceRelay.sol";
import {Quorum} from "../../src/keeper/Quorum.sol";
import {SurfaceRelay} from "../../src/keeper/SurfaceRelay.sol";
import {IPriceRelay} from "../../src/keeper/interfaces/IPriceRelay.sol";
import {ISurfaceRelay} from "../../src/keeper/interfaces/ISurfaceRelay.sol";
import {Products} from "../../src/reference/Products.sol";
import {MarginParameters, Observation, Report, ScanParameters, Slice, WAD} from "../../src/reference/Types.sol";
import {Test} from "../Vm.sol";

/// @notice Both relays over two listed underlyings: five signers, three of them a quorum, four for a jump.
abstract contract RelayBase is Test {
    uint256 internal constant START = 1_800_000_000; // a whole minute
    uint8 internal constant ETH = 0;
    uint8 internal constant BTC = 1;
    uint40 internal constant EXPIRY = uint40(START + 7 days);
    uint256 internal constant PRICE = 3_000e18;
    uint256 internal constant MAX_AGE = 60;
    uint16 internal constant MOST = 200;
    uint40 internal constant PERIOD = 300;
    uint256 internal constant SIGNERS = 5;
    uint8 internal constant QUORUM = 3;
    uint8 internal constant JUMP_QUORUM = 4;

    Products internal products;
    PriceRelay internal relay;
    SurfaceRelay internal surface;
    uint256[] internal keys; // ascending by address

    function setUp() public virtual {
        vm.warp(START);
        products = new Products(address(this), 500, address(this));
        _addUnderlying("ETH");
        _addUnderlying("BTC");
        products.listExpiry(ETH, EXPIRY);
        products.listExpiry(BTC, EXPIRY + 1 days);
        surface = new SurfaceRelay(products, MAX_AGE, address(this));
        relay = new PriceRelay(surface, MAX_AGE, address(this));
        _makeKeys();
        relay.setSigners(_addresses(), QUORUM, JUMP_QUORUM);
        surface.setSigners(_addresses(), QUORUM, JUMP_QUORUM);
        relay.setFundingLimits(ETH, 1e11, 1e11);
        relay.setPriceLimit(ETH, MOST, PERIOD);
        relay.setPriceLimit(BTC, MOST, PERIOD);
        surface.setSurfaceLimit(ETH, ISurfaceRelay.SurfaceLimit(1_000, 100, PERIOD));
    }

    function _addUnderlying(bytes32 symbol) private {
        ScanParameters memory scan = ScanParameters({
            scan: 0.15e18,
            volUp: 0.45e18,
            volDown: 0.3e18,
            shortPower: 0.3e18,
            longPower: 0.13e18,
            extreme: 0.45e18,
            deepUp: 1e18,
            deepDown: 0.75e18,
            extremeCover: 3_500,
            deepUpCover: 2_000,
            deepDownCover: 3_000
        });
        products.addUnderlying(symbol, true, scan, MarginParameters(12_500, 9_000, 100, 50, 200, 10_000, 1_000e18));
    }

    function _makeKeys() private {
        for (uint256 i = 1; i <= SIGNERS; ++i) {
            keys.push(i);
            for (uint256 j = i - 1; j > 0 && vm.addr(keys[j]) < vm.addr(keys[j - 1]); --j) {
                (keys[j], keys[j - 1]) = (keys[j - 1], keys[j]);
            }
        }
    }

    function _addresses() internal view returns (address[] memory list) {
        list = new address[](SIGNERS);
        for (uint256 i; i < SIGNERS; ++i) {
            list[i] = vm.addr(keys[i]);
        }
    }

    // ---- what is seen ----

    function _seen(uint8 underlying, uint256 price) internal view returns (Observation memory) {
        return _seen(underlying, price, 0);
    }

    /// @dev Seen `age` seconds ago; the price held since the report before, and that is what is fixed.
    function _seen(uint8 underlying, uint256 price, uint256 age) internal view returns (Observation memory seen) {
        seen.underlying = underlying;
        seen.timestamp = uint40(block.timestamp - age);
        seen.price = uint128(price);
        seen.confidence = uint128(price / 2_000);
        (uint40 expiry, uint256 share) = relay.fixingAt(underlying, seen.timestamp);
        (seen.fixingExpiry, seen.fixedShare) = (expiry, uint64(share));
        if (share > 0) seen.fixedAverage = uint128(_average(underlying, price, expiry, share));
    }

    function _average(uint8 underlying, uint256 price, uint40 expiry, uint256 share) private view returns (uint256) {
        if (relay.idAt(underlying, 1) == 0) return price;
        (Report memory last,,) = relay.newest(underlying);
        if (last.fixingExpiry != expiry || last.fixedShare >= share) return price;
        return (uint256(last.fixedShare) * last.fixedAverage + (share - last.fixedShare) * price) / share;
    }

    function _fitted(int128 a) internal view returns (Slice memory) {
        uint40 now_ = uint40(block.timestamp);
        return
            Slice(
                ETH, EXPIRY, now_, uint128(PRICE * 1_005 / 1_000), uint128(PRICE), a, 0.4e18, -0.3e18, 0.05e18, 0.4e18
            );
    }

    // ---- who signs ----

    /// @dev Bit i of `who`: the i-th signer by address.
    function _signatures(bytes32 digest, uint256 who) internal view returns (bytes[] memory list) {
        uint256 count;
        for (uint256 i; i < SIGNERS; ++i) {
            count += who >> i & 1;
        }
        list = new bytes[](count);
        uint256 at;
        for (uint256 i; i < SIGNERS; ++i) {
            if (who >> i & 1 == 1) list[at++] = _signature(digest, keys[i]);
        }
    }

    function _signature(bytes32 digest, uint256 key) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    function _count(uint256 who) internal pure returns (uint256 count) {
        for (uint256 i; i < SIGNERS; ++i) {
            count += who >> i & 1;
        }
    }

    function _signed(Observation memory seen, uint256 who)
        internal
        view
        returns (IPriceRelay.SignedObservation memory)
    {
        return IPriceRelay.SignedObservation(seen, _signatures(relay.digest(seen), who));
    }

    function _signed(Slice memory fitted, uint256 who) internal view returns (ISurfaceRelay.SignedSlice memory) {
        return ISurfaceRelay.SignedSlice(fitted, _signatures(surface.digest(fitted), who));
    }

    function _relay(Observation memory seen, uint256 who) internal returns (bytes32) {
        return relay.relay(seen, _signatures(relay.digest(seen), who));
    }

    function _relay(Slice memory fitted, uint256 who) internal returns (bytes32) {
        return surface.relay(fitted, _signatures(surface.digest(fitted), who));
    }

    function _skip(uint256 time) internal {
        vm.warp(block.timestamp + time);
    }
}
