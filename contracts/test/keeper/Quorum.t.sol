// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {PriceRelay} from "../../src/keeper/PriceRelay.sol";
import {RelayTime} from "../../src/keeper/RelayTime.sol";
import {SurfaceRelay} from "../../src/keeper/SurfaceRelay.sol";
import {IQuorum} from "../../src/keeper/interfaces/IQuorum.sol";
import {ISurfaceRelay} from "../../src/keeper/interfaces/ISurfaceRelay.sol";
import {IPrices} from "../../src/reference/interfaces/IPrices.sol";
import {Observation, Slice} from "../../src/reference/Types.sol";
import {RelayBase} from "./RelayBase.sol";

/// @notice Who counts, how many, how old, and that nothing counts twice.
contract QuorumTest is RelayBase {
    uint256 private constant ALL = 31;

    // ---- signatures ----

    function testFuzz_as_many_as_needed_and_no_fewer(uint256 who, bool jump) public {
        _relay(_seen(ETH, PRICE), ALL);
        _skip(1);
        who &= ALL;
        Observation memory seen = _seen(ETH, jump ? PRICE * 10_201 / 10_000 : PRICE * 10_200 / 10_000);
        assertTrue(relay.isJump(seen) == jump, "a jump begins beyond the limit");
        uint256 needed = jump ? JUMP_QUORUM : QUORUM;
        bytes[] memory signatures = _signatures(relay.digest(seen), who);
        if (_count(who) < needed) {
            vm.expectRevert(abi.encodeWithSelector(IQuorum.QuorumMissed.selector, _count(who), needed));
        }
        relay.relay(seen, signatures);
    }

    function testFuzz_any_changed_field_voids_the_signatures(uint256 field, uint256 by) public {
        Observation memory seen = _seen(ETH, PRICE);
        bytes[] memory signatures = _signatures(relay.digest(seen), ALL);
        field = bound(field, 0, 7);
        if (field == 0) seen.underlying = BTC;
        if (field == 1) seen.timestamp -= uint40(bound(by, 1, MAX_AGE));
        if (field == 2) seen.price += uint128(bound(by, 1, 1e24));
        if (field == 3) seen.confidence += uint128(bound(by, 1, 1e18));
        if (field == 4) seen.fundingRate += int64(int256(bound(by, 1, 1e11)));
        if (field == 5) seen.fixingExpiry += uint40(bound(by, 1, 1e9));
        if (field == 6) seen.fixedShare += uint64(bound(by, 1, 1e18));
        if (field == 7) seen.fixedAverage += uint128(bound(by, 1, 1e24));
        vm.expectPartialRevert(IQuorum.NotASigner.selector);
        relay.relay(seen, signatures);
    }

    function testFuzz_any_changed_field_of_a_slice_voids_the_signatures(uint256 field, uint256 by) public {
        Slice memory fitted = _fitted(0.2e18);
        bytes[] memory signatures = _signatures(surface.digest(fitted), ALL);
        field = bound(field, 0, 7);
        by = bound(by, 1, 1e15);
        if (field == 0) (fitted.underlying, fitted.expiry) = (BTC, EXPIRY + 1 days);
        if (field == 1) fitted.timestamp -= uint40(bound(by, 1, MAX_AGE));
        if (field == 2) fitted.forward += uint128(by);
        if (field == 3) fitted.spot += uint128(by);
        if (field == 4) fitted.a += int128(int256(by));
        if (field == 5) fitted.b += int128(int256(by));
        if (field == 6) fitted.rho += int128(int256(by));
        if (field == 7) (fitted.m, fitted.s) = (fitted.m + int128(int256(by)), fitted.s + 1);
        vm.expectPartialRevert(IQuorum.NotASigner.selector);
        surface.relay(fitted, signatures);
    }

    function testFuzz_signers_come_in_order_and_once(uint256 first, uint256 second) public {
        Observation memory seen = _seen(ETH, PRICE);
        (first, second) = (bound(first, 0, SIGNERS - 1), bound(second, 0, SIGNERS - 1));
        bytes[] memory signatures = _signatures(relay.digest(seen), ALL);
        if (first > second) (first, second) = (second, first);
        (signatures[first], signatures[second]) = (signatures[second], signatures[first]);
        if (first == second) signatures[first] = signatures[first == 0 ? 1 : first - 1]; // one comes twice
        vm.expectPartialRevert(IQuorum.NotAscending.selector);
        relay.relay(seen, signatures);
    }

    function testFuzz_a_stranger_does_not_count(uint256 key) public {
        key = bound(key, SIGNERS + 1, type(uint128).max);
        Observation memory seen = _seen(ETH, PRICE);
        bytes[] memory signatures = _signatures(relay.digest(seen), ALL);
        signatures[4] = _signature(relay.digest(seen), key);
        vm.expectRevert(abi.encodeWithSelector(IQuorum.NotASigner.selector, vm.addr(key)));
        relay.relay(seen, signatures);
    }

    /// The same signature in its other form, s in the upper half, and what is none at all.
    function testFuzz_malformed_signatures_are_refused(bytes memory noise, bool flip) public {
        Observation memory seen = _seen(ETH, PRICE);
        bytes32 hash = relay.digest(seen);
        bytes[] memory signatures = _signatures(hash, ALL);
        if (noise.length == 65) noise = "";
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(keys[2], hash);
        uint256 order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
        signatures[2] = flip ? abi.encodePacked(r, order - uint256(s), v ^ 7) : noise;
        vm.expectRevert(abi.encodeWithSelector(IQuorum.WrongSignature.selector, 2));
        relay.relay(seen, signatures);
    }

    function test_signatures_for_another_relay_or_chain_do_not_count() public {
        PriceRelay other = new PriceRelay(surface, MAX_AGE, address(this));
        other.setSigners(_addresses(), QUORUM, JUMP_QUORUM);
        Observation memory seen = _seen(ETH, PRICE);
        bytes[] memory signatures = _signatures(other.digest(seen), ALL);
        vm.expectPartialRevert(IQuorum.NotASigner.selector);
        relay.relay(seen, signatures);
        other.relay(seen, signatures);
    }

    /// Typed data as EIP-712 spells it, by hand.
    function test_digest_is_that_of_the_published_type() public view {
        Observation memory seen = _seen(ETH, PRICE);
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("PriceRelay"),
                keccak256("1"),
                block.chainid,
                address(relay)
            )
        );
        bytes32 kind = keccak256(
            "Observation(uint8 underlying,uint40 timestamp,uint128 price,uint128 confidence,int64 fundingRate,uint40 fixingExpiry,uint64 fixedShare,uint128 fixedAverage)"
        );
        bytes32 struct_ = keccak256(
            abi.encode(
                kind, ETH, seen.timestamp, PRICE, seen.confidence, seen.fundingRate, uint40(0), uint64(0), uint128(0)
            )
        );
        assertEq(relay.digest(seen), keccak256(abi.encodePacked(hex"1901", domain, struct_)));
    }

    // ---- replay and age ----

    function testFuzz_no_quorum_is_accepted_twice(uint256 first, uint256 second, uint256 wait) public {
        first = bound(first, 16, ALL) | 15; // four at least
        second = bound(second, 16, ALL) | 15;
        Observation memory seen = _seen(ETH, PRICE);
        _relay(seen, first);
        vm.warp(block.timestamp + bound(wait, 0, MAX_AGE));
        bytes[] memory signatures = _signatures(relay.digest(seen), second);
        vm.expectRevert(abi.encodeWithSelector(IPrices.TimeNotLater.selector, START, START));
        relay.relay(seen, signatures);
        Slice memory fitted = _fitted(0.2e18);
        _relay(fitted, first);
        signatures = _signatures(surface.digest(fitted), second);
        vm.expectPartialRevert(IPrices.TimeNotLater.selector);
        surface.relay(fitted, signatures);
    }

    function testFuzz_age_with_equality(uint256 age) public {
        age = bound(age, 0, 2 * MAX_AGE);
        Observation memory seen = _seen(ETH, PRICE);
        bytes[] memory signatures = _signatures(relay.digest(seen), ALL);
        _skip(age);
        if (age > MAX_AGE) {
            vm.expectRevert(abi.encodeWithSelector(RelayTime.TooOld.selector, START, START + age - MAX_AGE));
        }
        relay.relay(seen, signatures);
    }

    function testFuzz_nothing_comes_from_the_future(uint256 ahead) public {
        Observation memory seen = _seen(ETH, PRICE);
        seen.timestamp += uint40(bound(ahead, 1, 1e9));
        bytes[] memory signatures = _signatures(relay.digest(seen), ALL);
        vm.expectRevert(abi.encodeWithSelector(IPrices.TimeInFuture.selector, seen.timestamp, START));
        relay.relay(seen, signatures);
    }

    // ---- the set ----

    function testFuzz_only_the_owner_sets(address caller, uint8 quorum) public {
        vm.assume(caller != address(this));
        address[] memory list = _addresses();
        bytes memory refused = abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, caller);
        vm.startPrank(caller);
        vm.expectRevert(refused);
        relay.setSigners(list, quorum, quorum);
        vm.expectRevert(refused);
        surface.setSigners(list, quorum, quorum);
        vm.expectRevert(refused);
        relay.setPriceLimit(ETH, quorum, PERIOD);
        vm.expectRevert(refused);
        relay.setFundingLimits(ETH, 0, 0);
        vm.expectRevert(refused);
        surface.setSurfaceLimit(ETH, ISurfaceRelay.SurfaceLimit(0, 0, 0));
        vm.stopPrank();
    }

    function testFuzz_thresholds_are_a_majority_at_least(uint256 count, uint8 quorum, uint8 jumpQuorum) public {
        count = bound(count, 0, 33);
        (quorum, jumpQuorum) = (quorum % 36, jumpQuorum % 36);
        address[] memory list = new address[](count);
        for (uint256 i; i < count; ++i) {
            list[i] = address(uint160(i + 1));
        }
        bool good = count <= 31 && 2 * uint256(quorum) > count && quorum <= jumpQuorum && jumpQuorum <= count;
        if (!good) vm.expectRevert();
        relay.setSigners(list, quorum, jumpQuorum);
        (uint8 signers, uint8 least, uint8 forJump) = relay.thresholds();
        assertEq(signers, good ? count : SIGNERS);
        assertEq(least, good ? quorum : QUORUM);
        assertEq(forJump, good ? jumpQuorum : JUMP_QUORUM);
    }

    function test_signers_are_named_in_order_and_zero_is_none() public {
        address[] memory list = new address[](2);
        (list[0], list[1]) = (address(2), address(2));
        vm.expectRevert(abi.encodeWithSelector(IQuorum.NotAscending.selector, address(2), address(2)));
        relay.setSigners(list, 2, 2);
        list[0] = address(0);
        vm.expectRevert(abi.encodeWithSelector(IQuorum.NotAscending.selector, address(0), address(0)));
        relay.setSigners(list, 2, 2);
    }

    function testFuzz_who_is_no_longer_named_no_longer_counts(uint256 gone) public {
        gone = bound(gone, 0, SIGNERS - 1);
        Observation memory seen = _seen(ETH, PRICE);
        bytes[] memory signatures = _signatures(relay.digest(seen), ALL);
        address[] memory all = _addresses();
        address[] memory left = new address[](SIGNERS - 1);
        for (uint256 i; i < SIGNERS - 1; ++i) {
            left[i] = all[i < gone ? i : i + 1];
        }
        relay.setSigners(left, QUORUM, JUMP_QUORUM);
        assertTrue(!relay.isSigner(all[gone]), "gone");
        vm.expectRevert(abi.encodeWithSelector(IQuorum.NotASigner.selector, all[gone]));
        relay.relay(seen, signatures);
        _relay(seen, 31 ^ 1 << gone);
    }

    function test_before_signers_are_set_nothing_is_accepted() public {
        PriceRelay fresh = new PriceRelay(surface, MAX_AGE, address(this));
        Observation memory seen = _seen(ETH, PRICE);
        vm.expectRevert(abi.encodeWithSelector(IQuorum.QuorumMissed.selector, 0, 0));
        fresh.relay(seen, new bytes[](0));
    }

    function testFuzz_age_limit_within_its_bounds(uint256 age) public {
        if (age < 5 || age > 1 hours) {
            vm.expectRevert(abi.encodeWithSelector(IQuorum.AgeOutOfRange.selector, age, 5, 3600));
        }
        new SurfaceRelay(products, age, address(this));
    }
}
