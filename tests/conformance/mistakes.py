"""Faults to put into an adapter, one at a time: each wraps a venue of VENUES and leaves all else as it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from keeper.abi import interface, keccak256
from keeper.chain import Block, Call
from keeper.errors import ReadError
from keeper.portfolios import fresh_world, standing
from keeper.rpc import Rpc, RpcRefusal
from keeper.venues.base import Account, ExactMargin, VenueState
from keeper.venues.portfolio import PortfolioAccount
from tests.conformance.acting import NOBODY
from tests.conformance.contract import Make
from tests.conformance.faults import FaultyRpc
from tests.conformance.kinds import AnyAccount, State, emptied, name_of

MANY = 24
ONE_FACT: Final = (
    ("reference/Products", "marginParameters"),
    ("perp_curie/ClearingHouseConfig", "getMmRatio"),
    ("isolated/IsolatedPerpetual", "mmRatio"),
)
Real = Callable[[Rpc], Any]
Wrap = Callable[[Real], Make]


@dataclass(frozen=True, slots=True)
class Wrong:
    what: str
    rule: str  # the first that it breaks
    says: str  # a regular expression for its message
    wrap: Wrap
    where: frozenset[str] | None = None  # the venues that can be wrong in this; None: every one


CURIE: Final = frozenset({"perp_curie"})
REFERENCE: Final = frozenset({"reference"})
GUEST: Final = frozenset({"isolated"})


class Around:
    """A real adapter with some methods put in others' place; each is given the real one first."""

    def __init__(self, real: Any, rpc: Rpc, methods: dict[str, Callable[..., Any]]) -> None:
        self._real, self._rpc, self._methods = real, rpc, methods

    def __getattr__(self, name: str) -> Any:
        method = self._methods.get(name)
        if method is None:
            return getattr(self._real, name)
        return lambda *arguments: method(self._real, *arguments)


class Renamed(Around):
    name = "curie"


def instead(**methods: Callable[..., Any]) -> Wrap:
    return lambda real: lambda rpc: Around(real(rpc), rpc, methods)


def of_each(change: Callable[[AnyAccount], AnyAccount]) -> Wrap:
    """Change every account that was read."""
    return state_by(lambda state: replace(state, accounts=tuple(change(a) for a in state.accounts)))


def state_by(change: Callable[[State], State]) -> Wrap:
    return instead(read=lambda real, *asked: change(real.read(*asked)))


def call_by(change: Callable[[Call], Call]) -> Wrap:
    return instead(encode=lambda real, plan: change(real.encode(plan)))


# --- discovery ----------------------------------------------------------------------------------------


def forgetting_the_first(real: Any, logs: Sequence[Any]) -> tuple[str, ...]:
    """As an adapter that follows one event where there are two."""
    return tuple(a for a in real.introduced(logs) if keccak256(a.encode())[0] % 2)


def repeating(real: Any, logs: Sequence[Any]) -> tuple[str, ...]:
    return tuple(account for log in logs for account in real.introduced([log]))


def with_the_emitter(real: Any, logs: Sequence[Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*real.introduced(logs), *(log.address for log in logs))))


def remembering(real: Real) -> Make:
    """Tells of an account once in its life: after a reorg the journal asks again, in vain."""

    def make(rpc: Rpc) -> Around:
        told: set[tuple[str, int]] = set()

        def introduced(venue: Any, logs: Sequence[Any]) -> tuple[str, ...]:
            if len(logs) != 1:
                return tuple(venue.introduced(logs))
            new = [a for a in venue.introduced(logs) if (a, logs[0].block_number) not in told]
            told.update((a, logs[0].block_number) for a in new)
            return tuple(new)

        return Around(real(rpc), rpc, {"introduced": introduced})

    return make


# --- reading ------------------------------------------------------------------------------------------


def at_latest(real: Real) -> Make:
    def make(rpc: Rpc) -> Around:
        def read(venue: Any, block: Block, *asked: Any) -> State:
            return replace(venue.read(rpc.block(), *asked), block=block)

        return Around(real(rpc), rpc, {"read": read})

    return make


def from_memory(real: Real) -> Make:
    def make(rpc: Rpc) -> Around:
        seen: dict[tuple[str, ...], State] = {}

        def read(venue: Any, block: Block, accounts: Sequence[str], *asked: Any) -> State:
            kept = seen.setdefault(tuple(accounts), venue.read(block, accounts, *asked))
            return replace(kept, block=block)

        return Around(real(rpc), rpc, {"read": read})

    return make


def zero_on_failure(state: State) -> State:
    empty = (emptied(state.accounts[0], name) for name in state.unknown)
    found = sorted((*state.accounts, *empty), key=name_of)
    return replace(state, accounts=tuple(found), unknown={})


class ZeroWords(FaultyRpc):
    """Hears a word of zeros in every refusal: `or 0` around each read."""

    def batch(self, items: Sequence[tuple[str, Sequence[object]]]) -> list[Any | RpcRefusal]:
        answers = self._behind.batch(items)
        return ["0x" + "00" * 160 if isinstance(a, RpcRefusal) and not a.revert else a for a in answers]


class ZeroFact(FaultyRpc):
    """Hears zeros where one function of the venue's own is refused, which is about no account; when everything is
    refused, other calls still say so."""

    def batch(self, items: Sequence[tuple[str, Sequence[Any]]]) -> list[Any | RpcRefusal]:
        known = [interface(path).function(name).selector for path, name in ONE_FACT]
        return [
            "0x" + "00" * 32 * 12
            if isinstance(answer, RpcRefusal) and method == "eth_call" and _selector(params) in known
            else answer
            for (method, params), answer in zip(items, self._behind.batch(items), strict=True)
        ]


def _selector(params: Sequence[Any]) -> bytes:
    return bytes.fromhex(params[0]["data"][2:10])


def counting_dust(account: AnyAccount) -> AnyAccount:
    """Sizes that Curie takes for nothing, as its storage has them."""
    assert isinstance(account, Account)
    return replace(account, positions=tuple(replace(p, size=p.size or p.base) for p in account.positions))


def without_debt(account: AnyAccount) -> AnyAccount:
    """Balances as the protocol keeps them, though its IM is not the rule that the engine applies to them."""
    assert isinstance(account, Account)
    return replace(account, positions=tuple(replace(p, base=p.size, quote=p.open_notional) for p in account.positions))


def long_when_many(account: AnyAccount) -> AnyAccount:
    """A 25th position and all after it are read without their sign: nobody had tried so many."""
    assert isinstance(account, PortfolioAccount)
    book = account.book
    legs = (*book.legs[:MANY], *(replace(leg, size=abs(leg.size)) for leg in book.legs[MANY:]))
    return replace(account, book=replace(book, legs=legs))


class Recorded(FaultyRpc):
    """Reads what is on record of an account, not what time has made of it."""

    def batch(self, items: Sequence[tuple[str, Sequence[object]]]) -> list[Any | RpcRefusal]:
        asked = [self._asked(item) for item in items]
        answers = self._behind.batch(asked)
        return [
            answer if new is old or isinstance(answer, RpcRefusal) else f"0x{32:064x}{answer[2 + 128 :]}"
            for old, new, answer in zip(items, asked, answers, strict=True)
        ]

    def _asked(self, item: tuple[str, Sequence[Any]]) -> tuple[str, Sequence[Any]]:
        """Return the item, with `recorded` for `book`: its answer has the last activity before the same words."""
        venue = interface("reference/MarginVenue")
        book, recorded = (venue.function(name).selector.hex() for name in ("book", "recorded"))
        method, params = item
        if method != "eth_call" or params[0]["data"][2:10] != book:
            return item
        return method, ({**params[0], "data": f"0x{recorded}{params[0]['data'][10:]}"}, *params[1:])


def as_recorded(real: Real) -> Make:
    return lambda rpc: real(Recorded(rpc))


def empty_when_unreadable(real: Real) -> Make:
    def make(rpc: Rpc) -> Around:
        last: list[State] = []

        def read(venue: Any, *asked: Any) -> State:
            try:
                last[:] = [venue.read(*asked)]
            except ReadError:
                return replace(last[0], accounts=())
            return last[0]

        around = Around(real(rpc), rpc, {"read": read})
        around.read(rpc.block(), *([()] if around.kind == "perpetual" else [(), NOBODY]))
        return around

    return make


def liquidatable_when_equal(real: Real) -> Make:
    """As a protocol's `equity <= MM` taken over unconverted."""

    def exact(venue: Any, state: VenueState, account: Any) -> ExactMargin:
        found: ExactMargin = venue.exact(state, account)
        return replace(found, mm=found.mm + (found.equity == found.mm > 0))

    def read(venue: Any, *asked: Any) -> State:
        state = venue.read(*asked)
        if venue.kind == "perpetual":
            return state
        return replace(state, accounts=tuple(_lowered(a, state) for a in state.accounts))

    return instead(exact=exact, read=read)(real)


def _lowered(account: Any, state: Any) -> Any:
    found = standing(account, state.world, fresh_world(state))
    equal = any(check is not None and check.excess == 0 for check in (found.newest, found.settled, found.proof))
    return (
        replace(account, book=replace(account.book, cash=account.book.cash - 1))
        if equal and account.book.legs
        else account
    )
