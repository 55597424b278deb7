"""The rule of sending together: what shares a transaction lands, and one that fails does not take the others down."""

from dataclasses import replace
from typing import Final

from keeper.chain import Receipt
from keeper.demo.transactions import Batch, receipts
from keeper.plans import EndAuction, Liquidate, Plan, StartAuction, TakeAuction
from keeper.venues.base import Sending
from tests.conformance.contract import NotDecided, Rule, Trial
from tests.conformance.trying import GAS, beyond, simulated

LIMITS: Final = ("deadline", "sequence")
"""Each of them is broken for one plan, where plans have it."""
ROOMY: Final = 1_000_000
"""Gas that one plan may have been found to need: eleven fit into a transaction, twelve do not."""


def shares_transactions_safely(trial: Trial) -> None:
    try:
        acts = trial.world.together(trial.venue)
    except NotDecided as error:
        trial.broken("plans to send together, decided on what was read", error, "read what the decision rests on")
    good, bad = _with_some_to_fail(trial, [act.plan for act in acts])
    tried = [good[0], *bad, *good[1:]]
    sendings = trial.venue.sendings(tried, GAS, {})
    landed = _sent(trial, sendings, acts[0].sender)
    for sending, receipt in zip(sendings, landed, strict=True):
        for row in sending.rows:
            shown = f"{tried[row].kind} of {tried[row].subject}, one of {len(sending.rows)} in its transaction"
            _require_outcome(trial, tried[row], receipt, shown, fails=tried[row] in bad)
    _require_limits_kept(trial, tried)


def _with_some_to_fail(trial: Trial, plans: list[Plan]) -> tuple[list[Plan], list[Plan]]:
    """Return the plans that can succeed, and others: about a healthy account, and by a limit of their own."""
    good, bad, block = list(plans), [_impossible(trial, plans[0])], trial.world.rpc.block()
    for limit in LIMITS:
        if len(good) > 2 and limit in (broken := beyond(good[-1], block)):
            good.pop()
            bad.append(broken[limit])
    return good, bad


def _require_outcome(trial: Trial, plan: Plan, receipt: Receipt | None, shown: str, *, fails: bool) -> None:
    achieved = receipt is not None and trial.venue.confirm(plan, receipt).achieved
    if not fails:
        todo = (
            "share a transaction only where one that fails leaves the others untouched; base.each_alone is "
            "enough where the protocol has no such call"
        )
        trial.require(achieved, f"{shown}, to be carried out beside one that fails", "that it was not", todo)
        return
    todo = "a batch may succeed with plans in it undone: look for this plan's own event; its limits bind there too"
    happened = receipt is not None and trial.venue.done(plan, receipt.block_number, receipt.block_number)
    trial.require(not (achieved or happened), f"{shown}, not carried out: it could not succeed", "that it was", todo)


def _require_limits_kept(trial: Trial, plans: list[Plan]) -> None:
    """Limits are what simulations of the plans alone have found: a batch brings at least as much for each."""
    limits = {row: ROOMY + row for row in range(len(plans))}
    for sending in trial.venue.sendings(plans, GAS, limits):
        if len(sending.rows) < 2:
            continue
        least, gas = sum(limits[row] for row in sending.rows), sending.call.gas or 0
        kinds = sorted({plans[row].kind for row in sending.rows})
        todo = "add up the limits given; a guess is for the plans that nobody has simulated"
        expected = f"{len(sending.rows)} of {', '.join(kinds)} in one transaction with at least {least} gas"
        trial.require(gas >= least, expected, gas, todo)
    crowded = plans * (GAS // ROOMY)
    for sending in trial.venue.sendings(crowded, GAS, dict.fromkeys(range(len(crowded)), ROOMY)):
        gas, todo = sending.call.gas or 0, "split it: the signer refuses more, and then nothing is sent"
        trial.require(gas <= GAS, f"transactions of at most the {GAS} gas given", f"one with {gas}", todo)


def _impossible(trial: Trial, plan: Plan) -> Plan:
    """Return the plan about somebody who is in good health, or who does not exist."""
    assert isinstance(plan, Liquidate | StartAuction | EndAuction | TakeAuction), "together() is about accounts"
    return replace(plan, account=trial.world.accounts[-1])


def _sent(trial: Trial, sendings: tuple[Sending, ...], sender: str) -> list[Receipt | None]:
    """Send all that a simulation does not refuse, as the keeper does, into one block; None: it never was sent."""
    rpc = trial.world.rpc
    batch, going = Batch(rpc), []
    for row, sending in enumerate(sendings):
        if isinstance(simulated(rpc, sending.call, sender), bytes):
            batch.add(sender, sending.call, f"sending {row}", gas=sending.call.gas or GAS // len(sendings))
            going.append(row)
    sent = batch.send()
    rpc.call("evm_mine")
    found = dict(zip(going, receipts(rpc, sent), strict=True))
    return [found.get(row) for row in range(len(sendings))]


TOGETHER: Final[dict[str, Rule]] = {"together": shares_transactions_safely}
