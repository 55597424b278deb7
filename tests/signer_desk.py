"""A signer without sockets for tests: a temporary store, clocks the test moves, and the usual requests."""

from dataclasses import dataclass, field
from pathlib import Path

from eth_abi.abi import encode
from eth_account import Account
from eth_utils.address import to_checksum_address

from keeper.signer.bounds import bound
from keeper.signer.clock import Clock
from keeper.signer.core import Core
from keeper.signer.database import Database
from keeper.signer.keystore import Key
from keeper.signer.leases import Session
from keeper.signer.policy import CallRule, Policy
from keeper.signer.records import NONE_FINAL, LedgerState, SignedBytes, SignRequest
from keeper.signer.service import Service
from keeper.signer.signature import parse
from keeper.signer.switch import Switch

# The first account of "test test test test test test test test test test test junk", as Hardhat and Anvil print it.
SECRET = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
ADDRESS = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
HOUSE, STRANGER = (to_checksum_address(digits * 20) for digits in ("c1", "c3"))
CHAIN = 31_337
GWEI = 10**9

TAKE = parse("take((uint256 account,uint256 taker,int256 maxPrice,uint40 deadline)[] calls,bool byArrays)")
TOUCH = parse("touch(uint256)")
TAKERS = (7, 9)

POLICY = Policy(
    mode="live",
    chain_id=CHAIN,
    calls=(
        CallRule(
            HOUSE,
            TAKE,
            (
                bound(TAKE, "calls", max_items=3),
                bound(TAKE, "0[*].taker", one_of=TAKERS),
                bound(TAKE, "calls[*].maxPrice", low=-1_000, high=1_000),
            ),
        ),
        CallRule(HOUSE, TOUCH),
    ),
    max_gas=1_000_000,
    max_fee=200 * GWEI,
    max_tip=2 * GWEI,
    per_transaction=10**17,
    per_hour=10**19,
    per_day=10**20,
)


def take(*calls: tuple[int, int, int, int], by_arrays: bool = True) -> bytes:
    return TAKE.selector + encode(TAKE.types, (calls, by_arrays))


def touch(number: int) -> bytes:
    return TOUCH.selector + encode(TOUCH.types, (number,))


def call(nonce: int, name: str = "", **changes: object) -> SignRequest:
    """An allowed call of its own intent; `name` tells apart requests for one nonce."""
    fields: dict[str, object] = {
        "request_id": f"{nonce}{name}",
        "nonce": nonce,
        "kind": "call",
        "intent": f"slot {nonce}",
        "effects": (f"effect {nonce}",),
        "chain_id": CHAIN,
        "to": HOUSE,
        "data": touch(nonce),
        "gas": 100_000,
        "max_fee": 100 * GWEI,
        "tip": GWEI,
    }
    return SignRequest(**{**fields, **changes})  # type: ignore[arg-type]


def transfer(nonce: int, name: str, kind: str = "cancel", **changes: object) -> SignRequest:
    fields: dict[str, object] = {
        "kind": kind,
        "to": ADDRESS,
        "data": b"",
        "gas": 21_000,
        "intent": "none",
        "effects": (),
    }
    return call(nonce, name, **{**fields, **changes})


def ledger(name: str = "ledger one", **changes: object) -> LedgerState:
    """A ledger of a key that never sent anything."""
    fields: dict[str, object] = {
        "ledger_id": name,
        "chain_nonce": 0,
        "next_nonce": 0,
        "final": NONE_FINAL,
        "open_requests": frozenset(),
        "attempts": frozenset(),
    }
    return LedgerState(**{**fields, **changes})  # type: ignore[arg-type]


@dataclass
class Clocks:
    wall: float = 1_700_000_000.0  # seconds
    steady: float = 50.0  # seconds

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


@dataclass
class Desk:
    """A signer that can be stopped and started again over the same store."""

    folder: Path
    policy: Policy = POLICY
    lease_ms: int = 15_000
    clocks: Clocks = field(default_factory=Clocks)
    busy_timeout_ms: int = 1

    def __post_init__(self) -> None:
        self.database: Database | None = None
        self.start()

    def start(self) -> None:
        if self.database is not None:
            self.database.close()
        self.database = Database(self.folder / "signer.db", busy_timeout_ms=self.busy_timeout_ms)
        clock = Clock(wall=lambda: self.clocks.wall, steady=lambda: self.clocks.steady)
        core = Core(self.database, self.policy, (ADDRESS,), clock, Switch(self.folder / "KILL"))
        self.service = Service(core, {ADDRESS: Key(Account.from_key(SECRET))}, lease_ms=self.lease_ms)

    def stop(self) -> None:
        if self.database is not None:
            self.database.close()
            self.database = None

    def session(self, state: LedgerState | None = None, holder: str = "keeper one") -> tuple[Session, int]:
        """Return a connection that holds the lease, and its token."""
        session = Session()
        grant = self.service.leases.hello(session, ADDRESS, holder, state or ledger())
        assert not hasattr(grant, "rule"), grant
        return session, grant.token  # type: ignore[union-attr]

    def ask(self, held: tuple[Session, int], *requests: SignRequest) -> list[str]:
        """Return per request the hash it was signed under, or the rule that refused it."""
        answers = self.service.sign(held[0], ADDRESS, held[1], requests)
        return [answer.tx_hash if isinstance(answer, SignedBytes) else answer.rule for answer in answers]

    def signed(self) -> list[SignedBytes]:
        found = self.service.signed(ADDRESS, 0, 0, 10_000)
        assert isinstance(found, list)
        return found


def is_hash(answer: str) -> bool:
    return answer.startswith("0x")


def attempts(desk: Desk) -> frozenset[tuple[int, str]]:
    """Return nonce and hash of all that the desk has signed, as a ledger that lacks nothing would."""
    return frozenset((one.nonce, one.tx_hash) for one in desk.signed())
