"""What signers vouch for: observations and slices, signed as the relays' EIP-712 says, and calls that bring them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, Final, Self

from eth_abi.abi import encode
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_typing import Hash32

from keeper.abi import interface, keccak256
from keeper.chain import Call
from keeper.twin.records import MarginParameters, Report, ScanParameters, Slice

WAD = 10**18
AVERAGING = 1_800
PRICE_RELAY: Final = "keeper/PriceRelay"
SURFACE_RELAY: Final = "keeper/SurfaceRelay"
DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
OBSERVATION_TYPE = (
    "Observation(uint8 underlying,uint40 timestamp,uint128 price,uint128 confidence,int64 fundingRate,"
    "uint40 fixingExpiry,uint64 fixedShare,uint128 fixedAverage)"
)
SLICE_TYPE = (
    "Slice(uint8 underlying,uint40 expiry,uint40 timestamp,uint128 forward,uint128 spot,int128 a,int128 b,int128 rho,"
    "int128 m,int128 s)"
)


@dataclass(frozen=True, slots=True)
class Observation:
    """What signers say of one underlying at one time; sequence and funding index are the relay's own."""

    underlying: int
    timestamp: int
    price: int  # USD wad
    confidence: int  # half-width, USD wad
    funding_rate: int = 0  # share of the price a second, wad
    fixing_expiry: int = 0
    fixed_share: int = 0  # wad
    fixed_average: int = 0  # USD wad


Said = Observation | Slice


@dataclass(frozen=True, slots=True)
class Signers:
    """Whose signatures the relays count; their keys are elsewhere."""

    addresses: tuple[str, ...]  # ascending, as the relays want them
    quorum: int
    jump_quorum: int

    def set_signers(self, relay: str) -> Call:
        """Return the owner's call that names them; both relays take the same."""
        terms = interface(PRICE_RELAY).function("setSigners")
        return terms.packed(relay, self.addresses, self.quorum, self.jump_quorum)


@dataclass(frozen=True, slots=True)
class Reporters:
    """Keys that sign: for tests, the demo, and whoever runs all signers himself."""

    keys: tuple[LocalAccount, ...]  # ascending by address, as the relays want them
    quorum: int
    jump_quorum: int  # as many sign everything here, so that no change is too large

    @classmethod
    def of(cls, keys: Iterable[LocalAccount], quorum: int, jump_quorum: int) -> Self:
        return cls(tuple(sorted(keys, key=lambda key: int(key.address, 16))), quorum, jump_quorum)

    @classmethod
    def named(cls, name: str, count: int = 3, quorum: int = 2, jump_quorum: int = 2) -> Self:
        """Return the same keys for the same name, which is no secret: for chains that are thrown away."""
        return cls.of((Account.from_key(keccak256(f"{name} {n}".encode())) for n in range(count)), quorum, jump_quorum)

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(key.address for key in self.keys)

    def set_signers(self, relay: str) -> Call:
        return Signers(self.addresses, self.quorum, self.jump_quorum).set_signers(relay)

    def reports(self, relay: str, chain_id: int, observations: Iterable[Observation]) -> Call:
        """Return the call that records several signed reports at the price relay."""
        return relayed(relay, [(seen, self._signatures(seen, relay, chain_id)) for seen in observations])

    def slices(self, surface: str, chain_id: int, slices: Iterable[Slice]) -> Call:
        """Return the call that records several signed slices at the surface relay."""
        return relayed(surface, [(fitted, self._signatures(fitted, surface, chain_id)) for fitted in slices])

    def _signatures(self, said: Said, relay: str, chain_id: int) -> list[bytes]:
        hashed = digest(said, domain_of(said, relay, chain_id))
        return [signature(hashed, key) for key in self.keys[: self.jump_quorum]]


def relayed(relay: str, signed: Sequence[tuple[Said, Sequence[bytes]]]) -> Call:
    """Return the relayMany of records of one kind; each with its signatures, ascending by signer."""
    path = SURFACE_RELAY if signed and isinstance(signed[0][0], Slice) else PRICE_RELAY
    return interface(path).function("relayMany").packed(relay, [(fitted(said), list(by)) for said, by in signed])


def domain_of(said: Said, relay: str, chain_id: int) -> bytes:
    """Return the EIP-712 domain separator of the relay that takes such a record."""
    return _domain("SurfaceRelay" if isinstance(said, Slice) else "PriceRelay", relay, chain_id)


def digest(said: Said, domain: bytes) -> bytes:
    """Return what is signed: PriceRelay.digest or SurfaceRelay.digest."""
    type_ = SLICE_TYPE if isinstance(said, Slice) else OBSERVATION_TYPE
    words = [field.split()[0] for field in type_[type_.index("(") + 1 : -1].split(",")]
    body = keccak256(encode(["bytes32", *words], [keccak256(type_.encode()), *fitted(said)]))
    return keccak256(b"\x19\x01" + domain + body)


def signature(hashed: bytes, key: LocalAccount) -> bytes:
    """Return the 65 bytes r, s, v."""
    return bytes(key.unsafe_sign_hash(Hash32(hashed)).signature)


def fitted(record: Slice | ScanParameters | MarginParameters | Observation) -> tuple[Any, ...]:
    """Return a record's fields in its contract's order."""
    return tuple(getattr(record, f.name) for f in fields(record))


def observation(last: Report, expiry: int, timestamp: int, price: int, confidence: int) -> Observation:
    """Return the report that follows `last` at `timestamp`, with the share of the average that is due by then.

    `expiry` is the oldest expiry not settled yet, 0 for none (PriceRelay.fixingAt). The average is that of the path in
    which each price holds since the report before.
    """
    if expiry == 0 or timestamp + AVERAGING < expiry:
        return Observation(last.underlying, timestamp, price, confidence)
    share = WAD if timestamp >= expiry else (timestamp + AVERAGING - expiry) * WAD // AVERAGING
    going_on = last.fixing_expiry == expiry
    before, part = (last.fixed_share, last.fixed_share * last.fixed_average) if going_on else (0, 0)
    average = (part + (share - before) * price) // share if share else 0
    return Observation(last.underlying, timestamp, price, confidence, 0, expiry, share, average)


@lru_cache(maxsize=64)  # files name any chain and relay they like
def _domain(name: str, relay: str, chain_id: int) -> bytes:
    hashed = [keccak256(text.encode()) for text in (DOMAIN_TYPE, name, "1")]
    return keccak256(encode(["bytes32", "bytes32", "bytes32", "uint256", "address"], [*hashed, chain_id, relay]))
