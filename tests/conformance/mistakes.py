"""Faults to put into an adapter, one at a time: each wraps a venue of VENUES and leaves all else as it is."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from keeper.abi import keccak256
from keeper.chain import Block, Call, Receipt
from keeper.errors import ReadError
from keeper.plans import Plan, PublishArrays, RelayReports, SetParameters
from keeper.portfolios import fresh_world, standing
from keeper.rpc import Rpc, RpcRefusal
from keeper.venues.base import Effect, ExactMargin, ForeignPlan, VenueState
from tests.conformance.acting import NOBODY
from tests.conformance.contract import Make
from tests.conformance.faults import FaultyRpc
from tests.conformance.kinds import AnyAccount, State, emptied, name_of

Real = Callable[[Rpc], Any]
Wrap = Callable[[Real], Make]


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
        return replace(found, mm=found.mm + (found.equity == found.mm))

    def read(venue: Any, *asked: Any) -> State:
        state = venue.read(*asked)
        if venue.kind == "perpetual":
            return state
        return replace(state, accounts=tuple(_lowered(a, state) for a in state.accounts))

    return instead(exact=exact, read=read)(real)


def _lowered(account: Any, state: Any) -> Any:
    found = standing(account, state.world, fresh_world(state))
    equal = any(check is not None and check.excess == 0 for check in (found.newest, found.settled, found.proof))
    return replace(account, book=replace(account.book, cash=account.book.cash - 1)) if equal else account


# --- acting -------------------------------------------------------------------------------------------


def counting() -> Wrap:
    count = itertools.count()
    return call_by(lambda call: replace(call, data=call.data + next(count).to_bytes(32)))


def another_selector(call: Call) -> Call:
    return replace(call, data=keccak256(b"liquidate(uint256)")[:4] + call.data[4:])


def first_two_swapped(call: Call) -> Call:
    selector, first, second = call.data[:4], call.data[4:36], call.data[36:68]
    return replace(call, data=selector + second + first + call.data[68:])


def taking_any_plan(real: Any, plan: Plan) -> Call:
    try:
        call: Call = real.encode(plan)
    except ForeignPlan:
        return Call(NOBODY, b"")
    return call


def by_status(real: Any, plan: Plan, receipt: Receipt) -> Effect:
    effect = real.confirm(plan, receipt)
    return Effect(receipt.succeeded, effect.summary)


def by_any_emitter(real: Any, plan: Plan, receipt: Receipt) -> Effect:
    """Find the event wherever it comes from: anybody can emit one that looks like it."""
    found: list[Effect] = [real.confirm(plan, receipt)]
    for place in real.contracts.__slots__:
        ours = getattr(real.contracts, place)
        found.append(real.confirm(plan, replace(receipt, logs=tuple(replace(x, address=ours) for x in receipt.logs))))
    return next((effect for effect in found if effect.achieved), found[0])


def in_spite_of_a_revert(real: Any, plan: Plan, receipt: Receipt) -> Effect:
    effect: Effect = real.confirm(plan, replace(receipt, succeeded=True))
    return effect


def confirmed_for_anybody(real: Real) -> Make:
    """Finds the event, and does not look whom it names."""

    def make(rpc: Rpc) -> Around:
        def confirm(venue: Any, plan: Plan, receipt: Receipt) -> Effect:
            found: list[Effect] = [venue.confirm(other, receipt) for other in _about_everybody(venue, rpc, plan)]
            return next((effect for effect in found if effect.achieved), found[0])

        return Around(real(rpc), rpc, {"confirm": confirm})

    return make


def done_to_anybody(real: Real) -> Make:
    def make(rpc: Rpc) -> Around:
        def done(venue: Any, plan: Plan, first: int, last: int) -> bool:
            return any(venue.done(other, first, last) for other in _about_everybody(venue, rpc, plan))

        return Around(real(rpc), rpc, {"done": done})

    return make


def _about_everybody(venue: Any, rpc: Rpc, plan: Plan) -> list[Plan]:
    if isinstance(plan, SetParameters | PublishArrays | RelayReports):
        return [plan]
    addresses, topics = venue.events()
    logs = rpc.logs(addresses, topics, 0, rpc.block().number)
    return [plan, *(replace(plan, account=account) for account in venue.introduced(logs))]


def from_the_start(real: Any, plan: Plan, first: int, last: int) -> bool:  # noqa: ARG001 - that is the mistake
    """Looks at all blocks up to the last, so that what was done once is done for ever."""
    return bool(real.done(plan, 0, last))
