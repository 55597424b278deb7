"""What should be written to a venue's steward: the rule from realised volatility, inside what the steward would take.

Pure: a state, what the steward says and the rules go in, at most one write of each underlying, collateral and the venue
comes out, and a reason for every parameter that stays.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from keeper.chain import Block
from keeper.decide import Known, Rule, move
from keeper.memory import Memory
from keeper.plans import Held, WriteParameters
from keeper.venues.portfolio import Steered, Steering

LESS_IS_TIGHTER: Final = ("cap",)
"""Of what the guardian may tighten; of the others more is."""


@dataclass(frozen=True, slots=True)
class SteeringPolicy:
    """What the operator allows."""

    on: bool
    rules: tuple[Rule, ...]
    controller: str  # the key that writes
    plan_lifetime_blocks: int


@dataclass(frozen=True, slots=True)
class Found:
    """What a block shows beside its state."""

    steering: Steering | None  # None: the venue has no steward
    volatility: Mapping[str, float]  # symbol → annualised; missing until enough quotes
    fault: str = ""  # why the steward could not be read


def writes(
    venue: str, block: Block, found: Found, policy: SteeringPolicy, memory: Memory
) -> tuple[list[WriteParameters], list[Held]]:
    """Return the writes due, and why every other parameter stays as it is."""
    holds: list[Held] = []
    by_record: dict[str, dict[str, tuple[int, int]]] = {}
    why: dict[str, list[str]] = {}
    for rule in policy.rules:
        answer = _change(rule, block, found, policy)
        if isinstance(answer, str):
            holds.append(Held(rule.parameter, answer))
            continue
        record, change = answer
        by_record.setdefault(record, {})[rule.parameter] = change
        why.setdefault(record, []).append(f"{rule.symbol} volatility {found.volatility[rule.symbol]:.1%} a year")
    plans = []
    for record, changes in by_record.items():
        text = ",".join(f"{name}={old}>{new}" for name, (old, new) in sorted(changes.items()))
        reason = "; ".join(dict.fromkeys(why[record]))
        plan = WriteParameters(venue, record, text, reason, block.number + policy.plan_lifetime_blocks)
        if left := _left(plan, memory):
            holds += [Held(name, left) for name in changes]
        else:
            plans.append(plan)
    return plans, holds


def _left(plan: WriteParameters, memory: Memory) -> str:
    """Return why the write waits although its numbers are right, or ''."""
    if plan.subject in memory.barred:
        return memory.barred[plan.subject]
    if plan.effect in memory.under_way:
        return "a write is under way"
    return "the chain refused a write a few blocks ago" if memory.missed(plan.effect) else ""


def _change(rule: Rule, block: Block, found: Found, policy: SteeringPolicy) -> tuple[str, tuple[int, int]] | str:
    """Return the record of one parameter and its (old, new), or why it stays."""
    if found.steering is None:
        return found.fault or "the venue has no steward: its owner has to wire one, before the keeper starts"
    there = found.steering.parameters.get(rule.parameter)
    if there is None:
        return found.steering.unknown.get(rule.parameter, "not known to the steward")
    known = Known(found.volatility, {rule.parameter: there.number}, {rule.parameter: there.ready_at - there.delay})
    wished = move(rule, block.timestamp, known)
    if isinstance(wished, str):
        return wished
    if not policy.on:
        return "policy.set_parameters is off"
    if found.steering.stopped:
        return "the steward is stopped: its owner resumes it"
    if found.steering.controller != policy.controller:
        return f"the steward's controller is {found.steering.controller}, the keeper's key {policy.controller}"
    if block.timestamp < there.ready_at:
        return f"TooEarly: the steward takes a write in {there.ready_at - block.timestamp} s"
    change = _within(rule.parameter, wished, there)
    return change if isinstance(change, str) else (there.record, change)


def _within(name: str, wished: tuple[int, int], there: Steered) -> tuple[int, int] | str:
    """Return the change as far as the steward takes it, or what stands in its way."""
    old, new = wished
    low, high = there.low, there.high
    if there.guarded is not None and name.partition(":")[0] in LESS_IS_TIGHTER:
        high = min(high, there.guarded)
    elif there.guarded is not None:
        low = max(low, there.guarded)
    stepped = max(old - there.step, min(old + there.step, new))
    taken = max(low, min(high, stepped))
    if low <= taken <= high and (taken - old) * (new - old) > 0 and abs(taken - old) <= there.step:
        return old, taken
    if there.guarded is not None and there.low <= stepped <= there.high:
        return f"guarded: at {old}, the guardian lets nothing be looser than {there.guarded}"
    return f"OutOfBounds: at {old}, the steward takes {there.low} to {there.high} and steps of {there.step}"
