"""The rules of terms: a plan offers what the protocol asks, and an executor makes the takes that it is to make."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from keeper.chain import Receipt
from keeper.errors import KeeperError
from keeper.plans import Plan, TakeAuction
from keeper.reverts import revert
from keeper.rpc import RpcRefusal
from tests.conformance.acting import NOBODY
from tests.conformance.contract import Act, NotDecided, Operated, Rule, Trial
from tests.conformance.trying import GAS, ignored, sent, simulated


def offers_what_the_protocol_asks(trial: Trial) -> None:
    """To the last integer, at the block of the decision: less is refused, more is paid for nothing."""
    for act in _decided(trial):
        for name, asked in act.asks.items():
            found = getattr(act.plan, name)
            todo = f"read all that {name} follows from at the block asked for: the rules, the fund, what it may spend"
            trial.require(found == asked, f"{_what(act.plan)} with {name} {asked}, as the protocol says", found, todo)
        answer = simulated(trial.world.rpc, replace(trial.venue.encode(act.plan), gas=GAS), act.sender)
        why = f"a revert, {revert(answer.revert)}" if isinstance(answer, RpcRefusal) else ""
        todo = "read all that it rests on at the block asked for, what is half done among it"
        trial.require(not why, f"{_what(act.plan)}, decided on what was read, to succeed", why, todo)
        _carried_out(trial, trial.venue, act.plan, act.sender)


def takes_through_an_executor(trial: Trial) -> None:
    """The first take of the world's terms. A perpetual venue has no `through`."""
    if trial.venue.kind == "perpetual":
        return
    _require_refused(trial, NOBODY)
    executor = trial.world.executor
    if executor is None:
        return
    for act in _decided(trial):
        if isinstance(act.plan, TakeAuction):
            _require_made(trial, executor, act.plan)
            return
        _carried_out(trial, trial.venue, act.plan, act.sender)


def _require_made(trial: Trial, executor: Operated, plan: TakeAuction) -> None:
    made, what = trial.venue.through(executor.address), _what(plan)
    to, direct = made.encode(plan).to, trial.venue.encode(plan).to
    todo = "encode takes as the executor's own calls: it, not the signer, is the taker's delegate"
    trial.require(to == executor.address, f"{what} as a call of the executor {executor.address}", to, todo)
    trial.require(direct in trial.world.targets, f"{what} without it as before", direct, "return another adapter")
    limits = ignored(trial.world.rpc, made.encode, plan, executor.operator)
    receipt = _carried_out(trial, made, plan, executor.operator)
    achieved = receipt is not None and made.confirm(plan, receipt).achieved
    trial.require(achieved, f"{what} made by the executor {executor.address}", "that it is not", todo)
    todo, limit = "put the plan's limits into the executor's call", "".join(limits[:1])
    trial.require(not limits, f"{what} refused to the executor with another {limit}", "that it succeeds", todo)


def _require_refused(trial: Trial, address: str) -> None:
    try:
        found = trial.venue.through(address)
    except KeeperError:
        return
    todo = "raise MissingContract, ReadError or ConfigError: the keeper is not started with an executor that is none"
    trial.broken(f"take_auction through {address}, where there is no executor, to be refused", f"{found!r:.80}", todo)


def _decided(trial: Trial) -> Iterator[Act]:
    """Yield the world's plans with terms; one that the adapter's state does not lead to is a broken rule."""
    try:
        yield from trial.world.terms(trial.venue)
    except NotDecided as error:
        trial.broken("a plan decided on what was read", error, "read what the decision rests on")


def _carried_out(trial: Trial, venue: Any, plan: Plan, sender: str) -> Receipt | None:
    return sent(trial.world.rpc, replace(venue.encode(plan), gas=GAS), sender)


def _what(plan: Plan) -> str:
    return f"{plan.kind} of {plan.subject}"


TERMS: Final[dict[str, Rule]] = {
    "terms": offers_what_the_protocol_asks,
    "executor": takes_through_an_executor,
}
