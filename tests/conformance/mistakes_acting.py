"""Faults of acting, as in mistakes.py: what is encoded, sent together, confirmed and taken for done."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from keeper.abi import keccak256
from keeper.chain import Call, Receipt
from keeper.plans import ANY_SEQUENCE, Plan, PublishArrays, RelayReports, SetParameters, WriteParameters
from keeper.rpc import Rpc
from keeper.venues.base import Effect, ForeignPlan, Sending
from tests.conformance.acting import NOBODY
from tests.conformance.contract import Make
from tests.conformance.mistakes import Around, Real, Wrap, call_by, state_by

UNLIMITED: Final = {
    "max_price": 2**126,
    "max_fraction": 10**18,
    "deadline": 2**40 - 1,
    "sequence": ANY_SEQUENCE,
    "taker_sequence": ANY_SEQUENCE,
}


def counting() -> Wrap:
    count = itertools.count()
    return call_by(lambda call: replace(call, data=call.data + next(count).to_bytes(32)))


def another_selector(call: Call) -> Call:
    return replace(call, data=keccak256(b"liquidate(uint256)")[:4] + call.data[4:])


def first_two_swapped(call: Call) -> Call:
    selector, first, second = call.data[:4], call.data[4:36], call.data[36:68]
    return replace(call, data=selector + second + first + call.data[68:])


def ignoring(limit: str) -> Callable[[Any, Plan], Call]:
    """Encode plans as if one of their limits were none."""
    return lambda real, plan: real.encode(_without(limit, plan))


def batched_ignoring(limit: str) -> Callable[..., Any]:
    return lambda real, plans, gas, limits: real.sendings([_without(limit, plan) for plan in plans], gas, limits)


def _without(limit: str, plan: Plan) -> Plan:
    return replace(plan, **{limit: UNLIMITED[limit]}) if hasattr(plan, limit) else plan


def misread(**changes: Callable[[Any], Any]) -> Wrap:
    """Put another value in place of some of what a state says: each is made of the right one."""
    return state_by(lambda s: replace(s, **{name: change(getattr(s, name)) for name, change in changes.items()}))


def each_line(**changes: Any) -> Callable[[Any], Any]:
    return lambda lines: tuple(replace(line, **changes) for line in lines)


class WithRelays(Around):
    def __init__(self, real: Any, rpc: Rpc, relays: tuple[str, ...]) -> None:
        super().__init__(real, rpc, {})
        self.relays = relays


def with_relays(change: Callable[[tuple[str, ...]], tuple[str, ...]]) -> Wrap:
    """Name other relays than those that the deployment has."""

    def wrap(real: Real) -> Make:
        def make(rpc: Rpc) -> WithRelays:
            venue = real(rpc)
            return WithRelays(venue, rpc, change(venue.relays))

        return make

    return wrap


def posing_as_executor(real: Any, executor: str) -> Any:
    """Looks at the executor, and goes on by itself."""
    real.through(executor)
    return real


def executing_without(limit: str) -> Callable[[Any, str], Any]:
    """An executor's take without one of the plan's limits."""
    return lambda real, executor: Around(real.through(executor), real, {"encode": ignoring(limit)})


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
    contracts = getattr(real, "contracts", None)
    for ours in {*real.events()[0], *(getattr(contracts, place) for place in getattr(contracts, "__slots__", ()))}:
        found.append(real.confirm(plan, replace(receipt, logs=tuple(replace(x, address=ours) for x in receipt.logs))))
    return next((effect for effect in found if effect.achieved), found[0])


def in_basis_points(real: Any, state: Any, name: str) -> int | None:
    found: int | None = real.parameter(state, name)
    return None if found is None else found // 100


def steering_at_latest(real: Real) -> Make:
    """Asks the steward at the newest block, whichever is asked for."""

    def make(rpc: Rpc) -> Around:
        return Around(real(rpc), rpc, {"steering": lambda venue, _, names: venue.steering(rpc.block(), names)})

    return make


def confirmed_by_field(real: Any, plan: Plan, receipt: Receipt) -> Effect:
    """Finds what was written, and does not look of which underlying."""
    told = replace(plan, changes=plan.changes.replace(":1=", ":0=")) if isinstance(plan, WriteParameters) else plan
    effect: Effect = real.confirm(told, receipt)
    return effect


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
    if isinstance(plan, SetParameters | PublishArrays | RelayReports | WriteParameters):
        return [plan]
    addresses, topics = venue.events()
    logs = rpc.logs(addresses, topics, 0, rpc.block().number)
    return [plan, *(replace(plan, account=account) for account in venue.introduced(logs))]


def from_the_start(real: Any, plan: Plan, first: int, last: int) -> bool:  # noqa: ARG001 - that is the mistake
    """Looks at all blocks up to the last, so that what was done once is done for ever."""
    return bool(real.done(plan, 0, last))


# --- sending together ---------------------------------------------------------------------------------


def without_limits(real: Any, plans: Sequence[Plan], gas: int, limits: Any) -> Any:
    """Takes a guess where simulations have said what each plan needs."""
    found = real.sendings(plans, gas, limits)
    if not limits:
        return found
    return tuple(replace(s, call=replace(s.call, gas=600_000 * len(s.rows))) for s in found)


def all_by_the_first(real: Any, plans: Sequence[Plan], gas: int, limits: Any) -> tuple[Sending, ...]:  # noqa: ARG001
    """One transaction for all, which carries out the first only."""
    return (Sending(tuple(range(len(plans))), real.encode(plans[0])),)


def all_or_nothing(real: Any, plans: Sequence[Plan], gas: int, limits: Any) -> tuple[Sending, ...]:
    """A batch that one bad plan sinks: here by a deadline that is over."""
    found = []
    for sending in real.sendings(plans, gas, limits):
        doomed = sending
        if len(sending.rows) > 1:
            doomed = replace(sending, call=replace(sending.call, data=sending.call.data[:4]))
        found.append(doomed)
    return tuple(found)
