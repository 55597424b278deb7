// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {PriceRelay} from "../../src/keeper/PriceRelay.sol";
import {SurfaceRelay} from "../../src/keeper/SurfaceRelay.sol";
import {IPriceRelay} from "../../src/keeper/interfaces/IPriceRelay.sol";
import {IQuorum} from "../../src/keeper/interfaces/IQuorum.sol";
import {ISurfaceRelay} from "../../src/keeper/interfaces/ISurfaceRelay.sol";
import {Observation, Report, Slice} from "../../src/reference/Types.sol";
import {RelayBase} from "./RelayBase.sol";

/// @notice Signatures made for elsewhere, under other signers or in a history that is no more; and who may bring them.
contract RelayReplayTest is RelayBase {
    uint256 private constant ALL = 31;
    uint256 private constant THREE = 7;
    bytes32 private constant OBSERVATION = keccak256(
        "Observation(uint8 underlying,uint40 timestamp,uint128 price,uint128 confidence,int64 fundingRate,uint40 fixingExpiry,uint64 fixedShare,uint128 fixedAverage)"
    );
    bytes32 private constant SLICE = keccak256(
        "Slice(uint8 underlying,uint40 expiry,uint40 timestamp,uint128 forward,uint128 spot,int128 a,int128 b,int128 rho,int128 m,int128 s)"
    );

    // ---- where ----

    function _digest(string memory name, string memory version, uint256 chain, address contract_, bytes32 content)
        private
        pure
        returns (bytes32)
    {
        bytes32 kind = keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
        bytes memory domain = abi.encode(kind, keccak256(bytes(name)), keccak256(bytes(version)), chain, contract_);
        return keccak256(abi.encodePacked(hex"1901", keccak256(domain), content));
    }

    /// Of the four parts of a domain any one is another's: the other relay's, a later version's, another chain's, a
    /// relay's beside it.
    function testFuzz_a_domain_that_differs_in_one_part_voids_the_signatures(uint256 part, uint256 other) public {
        part = bound(part, 0, 4); // 4: none
        uint256 chain = part == 2 ? bound(other, block.chainid + 1, type(uint64).max) : block.chainid;
        address beside = address(uint160(bound(other, 1, type(uint96).max)));
        Observation memory seen = _seen(ETH, PRICE);
        bytes32 digest = _digest(
            part == 0 ? "SurfaceRelay" : "PriceRelay",
            part == 1 ? "2" : "1",
            chain,
            part == 3 ? beside : address(relay),
            keccak256(abi.encode(OBSERVATION, seen))
        );
        bytes[] memory signatures = _signatures(digest, ALL);
        if (part < 4) vm.expectPartialRevert(IQuorum.NotASigner.selector);
        relay.relay(seen, signatures);

        Slice memory fitted = _fitted(0.2e18);
        digest = _digest(
            part == 0 ? "PriceRelay" : "SurfaceRelay",
            part == 1 ? "2" : "1",
            chain,
            part == 3 ? beside : address(surface),
            keccak256(abi.encode(SLICE, fitted))
        );
        signatures = _signatures(digest, ALL);
        if (part < 4) vm.expectPartialRevert(IQuorum.NotASigner.selector);
        surface.relay(fitted, signatures);
    }

    /// A chain that splits: what was signed before counts on the side that keeps its number, on the other no more.
    function testFuzz_after_a_split_signatures_count_on_one_side_only(uint256 chain) public {
        chain = bound(chain, 1, type(uint32).max);
        vm.assume(chain != block.chainid);
        Observation memory seen = _seen(ETH, PRICE);
        Slice memory fitted = _fitted(0.2e18);
        bytes[] memory ofPrice = _signatures(relay.digest(seen), ALL);
        bytes[] memory ofSlice = _signatures(surface.digest(fitted), ALL);
        vm.chainId(chain);
        vm.expectPartialRevert(IQuorum.NotASigner.selector);
        relay.relay(seen, ofPrice);
        vm.expectPartialRevert(IQuorum.NotASigner.selector);
        surface.relay(fitted, ofSlice);
        _relay(seen, ALL);
        _relay(fitted, ALL);
    }

    /// 65 bytes of anything, as the last signature of enough.
    function testFuzz_noise_is_no_signer(bytes32 r, bytes32 s, uint8 v) public {
        Observation memory seen = _seen(ETH, PRICE);
        bytes[] memory signatures = _signatures(relay.digest(seen), 15);
        bytes[] memory more = new bytes[](5);
        for (uint256 i; i < 4; ++i) {
            more[i] = signatures[i];
        }
        more[4] = abi.encodePacked(r, s, v % 2 == 0 ? 27 + v / 2 % 2 : v);
        try relay.relay(seen, more) {
            assertTrue(false, "noise counted");
        } catch (bytes memory reason) {
            bytes4 name = bytes4(reason);
            assertTrue(name == IQuorum.WrongSignature.selector || name == IQuorum.NotASigner.selector, "named");
        }
    }

    // ---- under whom ----

    /// Signed by three when three were enough; brought when four are, or when one of the three is gone.
    function testFuzz_the_set_at_the_block_counts_not_that_of_the_signing(bool raised, uint256 gone) public {
        _relay(_seen(ETH, PRICE), ALL);
        _relay(_fitted(0.2e18), ALL);
        _skip(1);
        Observation memory seen = _seen(ETH, PRICE);
        Slice memory fitted = _fitted(0.2e18);
        bytes[] memory ofPrice = _signatures(relay.digest(seen), THREE);
        bytes[] memory ofSlice = _signatures(surface.digest(fitted), THREE);
        gone = bound(gone, 0, 2);
        address[] memory left = raised ? _addresses() : _without(gone);
        relay.setSigners(left, raised ? 4 : QUORUM, JUMP_QUORUM);
        surface.setSigners(left, raised ? 4 : QUORUM, JUMP_QUORUM);
        bytes memory refused = raised
            ? abi.encodeWithSelector(IQuorum.QuorumMissed.selector, 3, 4)
            : abi.encodeWithSelector(IQuorum.NotASigner.selector, vm.addr(keys[gone]));
        vm.expectRevert(refused);
        relay.relay(seen, ofPrice);
        vm.expectRevert(refused);
        surface.relay(fitted, ofSlice);
    }

    function _without(uint256 gone) private view returns (address[] memory left) {
        address[] memory all = _addresses();
        left = new address[](SIGNERS - 1);
        for (uint256 i; i < SIGNERS - 1; ++i) {
            left[i] = all[i < gone ? i : i + 1];
        }
    }

    /// A quorum of one relay is none of the other: each has its own signers.
    function test_signers_of_one_relay_are_not_those_of_the_other() public {
        surface.setSigners(_without(0), QUORUM, JUMP_QUORUM);
        Slice memory fitted = _fitted(0.2e18);
        bytes[] memory signatures = _signatures(surface.digest(fitted), ALL);
        vm.expectRevert(abi.encodeWithSelector(IQuorum.NotASigner.selector, vm.addr(keys[0])));
        surface.relay(fitted, signatures);
        _relay(_seen(ETH, PRICE), ALL);
    }

    // ---- in which history ----

    /// What a reorg removed may come again: alone under the same id, after another report under another.
    function testFuzz_after_a_reorg_an_id_is_that_of_the_same_history(bool another, uint256 price, uint256 back)
        public
    {
        _relay(_seen(ETH, PRICE), ALL);
        _skip(20);
        uint256 fork = vm.snapshotState();
        IPriceRelay.SignedObservation memory said = _signed(_seen(ETH, PRICE), ALL);
        ISurfaceRelay.SignedSlice memory fit = _signed(_fitted(0.2e18), ALL);
        bytes32 id = relay.relay(said.seen, said.signatures);
        bytes32 fitId = surface.relay(fit.fitted, fit.signatures);
        vm.revertToState(fork);
        if (another) _relay(_seen(ETH, bound(price, 1e18, 1e22), bound(back, 1, 19)), ALL);
        _skip(12);
        assertTrue((relay.relay(said.seen, said.signatures) == id) != another, "the report's number is in its id");
        assertEq(surface.relay(fit.fitted, fit.signatures), fitId);
        (Report memory last,,) = relay.newest(ETH);
        assertEq(last.sequence, another ? 3 : 2);
    }

    // ---- by whom ----

    function testFuzz_anyone_may_bring_what_is_signed(address who) public {
        IPriceRelay.SignedObservation[] memory seen = new IPriceRelay.SignedObservation[](1);
        ISurfaceRelay.SignedSlice[] memory fits = new ISurfaceRelay.SignedSlice[](1);
        (seen[0], fits[0]) = (_signed(_seen(ETH, PRICE), ALL), _signed(_fitted(0.2e18), ALL));
        vm.startPrank(who);
        relay.relay(seen[0].seen, seen[0].signatures);
        surface.relay(fits[0].fitted, fits[0].signatures);
        vm.stopPrank();
        _skip(1);
        (seen[0], fits[0]) = (_signed(_seen(ETH, PRICE), THREE), _signed(_fitted(0.2e18), THREE));
        vm.startPrank(who);
        assertTrue(relay.relayMany(seen)[0] != 0, "a report");
        assertTrue(surface.relayMany(fits)[0] != 0, "a slice");
        vm.stopPrank();
    }
}
