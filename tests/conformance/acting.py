"""The rules of acting: what is encoded, what shares a transaction, and what counts as done."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from keeper.abi import keccak256
from keeper.chain import Block, Call, Receipt
from keeper.plans import (
    EndAuction,
    Liquidate,
    Plan,
    PublishArrays,
    RelayReports,
    SetParameters,
    StartAuction,
    TakeAuction,
    WriteParameters,
)
from keeper.reverts import revert
from keeper.rpc import RpcRefusal
from keeper.venues.base import ForeignPlan
from tests.conformance.contract import Act, NotDecided, Rule, Trial
from tests.conformance.kinds import read
from tests.conformance.trying import GAS, ignored, sent, simulated

LEAST_GAS: Final = 21_000
NOBODY: Final = "0x" + "0" * 40
NO_ID: Final = "0x" + "0" * 64
EVERY_KIND: Final[tuple[Plan, ...]] = (
    Liquidate("any", NOBODY, NOBODY, 0.0, 0.0, 0),
    SetParameters("any", "mm_ratio_buffer", 1, 2, "", 0),
    StartAuction("any", NOBODY, 0, False, 0, 0, 0.0, 0, 0),
    EndAuction("any", NOBODY, 0, 0, 0, 0.0, 0, 0),
    TakeAuction("any", NOBODY, NOBODY, 0, 0, 0, 0, 0, False, 0, False, 0, 0.0, 0, 0),
    PublishArrays("any", 0, 0, NO_ID, NO_ID, 0, NO_ID, "0x", "", 0),
    RelayReports("any", NOBODY, "", "0x", 0),
    WriteParameters("any", "venue", "", "", 0),
)


@dataclass(frozen=True, slots=True)
class Done:
    """An act, what the adapter made of it, and what became of that."""

    act: Act
    call: Call
    again: Call  # encoded once more
    fits: bool  # it does not succeed with more gas only
    receipt: Receipt | None  # None: it reverted, or no node would take it
    refusal: str  # why, '' where it did not
    ignored: tuple[str, ...]  # limits of the plan that do not bind

    @property
    def what(self) -> str:
        return f"{self.act.plan.kind} of {self.act.plan.subject}"


def performed(trial: Trial) -> tuple[Done, ...]:
    """Carry out one act after the other by the adapter's own calls, up to the first that fails; once a trial."""
    if not trial.performed:
        try:
            for act in trial.world.acts(trial.venue):
                done = _perform(trial, act)
                trial.performed.append(done)
                if done.receipt is None:
                    break
        except NotDecided as error:
            trial.broken("a plan of every kind decided on what was read", error, "read what the decision rests on")
    if not trial.performed:
        trial.broken("acts of every kind", "none", "let the world's acts() yield a plan of every kind")
    return tuple(trial.performed)


def _perform(trial: Trial, act: Act) -> Done:
    rpc, call = trial.world.rpc, trial.venue.encode(act.plan)
    short, roomy = (simulated(rpc, replace(call, gas=gas), act.sender) for gas in (call.gas or GAS, GAS))
    fits = not isinstance(short, RpcRefusal) or isinstance(roomy, RpcRefusal)
    sendable = call.to in trial.world.targets and not isinstance(roomy, RpcRefusal)  # any call of no contract succeeds
    beyond = ignored(rpc, trial.venue.encode, act.plan, act.sender) if sendable else ()
    receipt = sent(rpc, replace(call, gas=GAS), act.sender) if sendable else None
    refusal = f"a revert, {revert(roomy.revert)}" if isinstance(roomy, RpcRefusal) and roomy.revert else "a revert"
    return Done(act, call, trial.venue.encode(act.plan), fits, receipt, "" if receipt else refusal, beyond)


def another(trial: Trial, plan: Plan) -> Plan:
    """Return the same plan about somebody or something else."""
    if isinstance(plan, SetParameters):
        return replace(plan, new=plan.new + 1)
    if isinstance(plan, PublishArrays):
        return replace(plan, expiry=plan.expiry + 1)
    if isinstance(plan, RelayReports):
        return replace(plan, newest=plan.newest + "0")
    if isinstance(plan, WriteParameters):
        return replace(plan, changes=plan.changes.replace(":0=", ":1="))
    return replace(plan, account=next(a for a in trial.world.accounts if a != plan.account))


def encodes_the_same_plan_the_same_way(trial: Trial) -> None:
    for done in performed(trial):
        same = (done.call, done.call.function) == (done.again, done.again.function)
        todo = "a call is its plan and nothing else: no clock, no counter, no read; recovery encodes it again"
        trial.require(same, f"{done.act.plan.kind} encoded alike twice", "two different calls", todo)


def calls_the_protocol_and_nobody_else(trial: Trial) -> None:
    for done in performed(trial):
        to, kind = done.call.to, done.act.plan.kind
        todo = "the signer allows the venue's own contracts only; take the address from the deployment"
        trial.require(to in trial.world.targets, f"{kind} to call one of the venue's contracts", to, todo)

    if trial.venue.kind == "portfolio":
        _require_relays(trial)


def _require_relays(trial: Trial) -> None:
    """The signer's allow-list is made of them: a price relay and a surface relay, in this order."""
    relays = trial.venue.relays
    strangers = sorted(set(relays) - trial.world.targets)
    todo = "return the price relay and the surface relay, both from the deployment"
    ours = not strangers and len(set(relays)) == len(relays) == 2
    trial.require(ours, "relays that relay_reports may call, two of the venue's contracts", strangers or relays, todo)
    for done in performed(trial):
        if isinstance(done.act.plan, RelayReports):
            place = 0 if done.act.plan.subject == "reports" else 1
            named = f"relays[{place}] for relay_reports of {done.act.plan.subject}"
            trial.require(relays[place] == done.act.plan.relay, f"{done.act.plan.relay}, {named}", relays[place], todo)


def names_the_function_it_calls(trial: Trial) -> None:
    for done in performed(trial):
        call, kind = done.call, done.act.plan.kind
        todo = "encode by keeper.abi, which names the function: the signer's allow-list is written in names"
        trial.require(bool(call.function), f"{kind} with the function's name in the call", "none", todo)
        selector = "0x" + keccak256(types_only(call.function).encode())[:4].hex()
        shown = f"selector {call.selector} in the calldata"
        trial.require(call.selector == selector, f"{kind} to call {types_only(call.function)}, {selector}", shown, todo)


def types_only(function: str) -> str:
    """Return the signature of `f(address to,(uint256 a,bool b)[] calls)`: what its selector is the hash of."""
    return re.sub(r" \w+(?=[,)])", "", function)


def states_gas_that_is_enough(trial: Trial) -> None:
    todo = "state what the worst case needs, or None for as much as the signer allows"
    for done in performed(trial):
        gas, kind = done.call.gas, done.act.plan.kind
        if gas is not None:
            trial.require(LEAST_GAS < gas <= GAS, f"{kind} with a gas limit of {LEAST_GAS} to {GAS}", gas, todo)
        trial.require(done.fits, f"{kind} to succeed with the {gas} gas stated", "out of gas", todo)


def succeeds_where_it_should(trial: Trial) -> None:
    for done in performed(trial):
        todo = "run the call by hand; is it the function that the plan means, with its arguments in order and unit?"
        trial.require(done.receipt is not None, f"{done.what} to succeed as sent", done.refusal, todo)


def keeps_to_the_limits_of_the_plan(trial: Trial) -> None:
    for done in succeeded(trial):
        limit = done.ignored[0] if done.ignored else ""
        todo = f"put {limit} of the plan into the call: nothing else holds the chain to it once it is signed"
        trial.require(not limit, f"{done.what} to be refused with another {limit}", "that it succeeds", todo)


def reads_the_parameters_it_sets(trial: Trial) -> None:
    for done in succeeded(trial):
        assert done.receipt is not None
        block = trial.world.rpc.block(done.receipt.block_number)
        if isinstance(done.act.plan, SetParameters):
            _require_set(trial, done.act.plan, block)
        elif isinstance(done.act.plan, WriteParameters):
            _require_written(trial, done.act.plan, block)


def _require_set(trial: Trial, plan: SetParameters, block: Block) -> None:
    found = trial.venue.parameter(read(trial.venue, block, sorted(trial.world.accounts)), plan.parameter)
    todo = "return parts per million, by the name that plans carry; None only where the state does not hold it"
    trial.require(found == plan.new, f"{plan.kind} of {plan.parameter} read as {plan.new}", found, todo)


def _require_written(trial: Trial, plan: WriteParameters, block: Block) -> None:
    """The number in place before and after, each at its block: what the next write is a step from."""
    for row, at in enumerate((trial.world.rpc.block(block.number - 1), block)):
        read_there = trial.venue.steering(at, tuple(plan.numbers)).parameters
        for name, numbers in plan.numbers.items():
            found = read_there[name].number if name in read_there else None
            todo = "return the number last written, as the venue holds it, at the block asked for"
            when = f"{('before', 'after')[row]} it was written"
            trial.require(found == numbers[row], f"{plan.kind}: {name} read as {numbers[row]} {when}", found, todo)


def refuses_plans_of_other_venues(trial: Trial) -> None:
    ours = {done.act.plan.kind for done in performed(trial)}
    for plan in EVERY_KIND:
        if plan.kind in ours:
            continue
        for what, do in (("encode", trial.venue.encode), ("confirm", _confirming(trial))):
            try:
                found = do(plan)
            except ForeignPlan:
                continue
            todo = f"raise ForeignPlan for {plan.kind}: the journal may be another venue's"
            trial.broken(f"{what} to refuse {plan.kind}, which acts() never yields", f"{found!r:.80}", todo)


def _confirming(trial: Trial) -> Callable[[Plan], object]:
    receipt = succeeded(trial)[0].receipt
    return lambda plan: trial.venue.confirm(plan, receipt)


def succeeded(trial: Trial) -> list[Done]:
    return [done for done in performed(trial) if done.receipt is not None]


def carries_out_every_plan_once(trial: Trial) -> None:
    plans = [plan for done in performed(trial) for plan in (done.act.plan, another(trial, done.act.plan))]
    sendings = trial.venue.sendings(plans, GAS, {})
    rows = [row for sending in sendings for row in sending.rows]
    lost = sorted(set(range(len(plans))) - set(rows))
    todo = "each plan is in one transaction; base.each_alone is enough where nothing is batched"
    trial.require(not lost, f"all {len(plans)} plans sent", f"{[plans[r].kind for r in lost][:3]} left out", todo)
    twice = sorted({row for row in rows if rows.count(row) > 1})
    trial.require(not twice, "each plan sent once", f"{[plans[r].kind for r in twice][:3]} sent twice", todo)
    firsts = [sending.rows[0] for sending in sendings]
    todo = "sort by the first row: plans come most urgent first, and some open the way for later ones"
    trial.require(firsts == sorted(firsts), "transactions in the order of their first plan", firsts, todo)
    for sending in sendings:
        _require_sending(trial, plans, sending.rows, sending.call)


def _require_sending(trial: Trial, plans: list[Plan], rows: tuple[int, ...], call: Call) -> None:
    if len(rows) == 1:
        kind = plans[rows[0]].kind
        alone = call == trial.venue.encode(plans[rows[0]])
        trial.require(alone, f"{kind}, alone, as encode() has it", "another call", "use encode() for one plan")
    trial.require((call.gas or 0) <= GAS, f"at most the {GAS} gas given", call.gas, "split it: the signer would refuse")
    trial.require(call.to in trial.world.targets, "a target of the venue's", call.to, "take it from the deployment")


def confirms_by_its_own_event_only(trial: Trial) -> None:
    for done in succeeded(trial):
        plan, receipt = done.act.plan, done.receipt
        assert receipt is not None
        effect = trial.venue.confirm(plan, receipt)
        todo = "find the event that this call emits, and what in it names the plan's subject"
        trial.require(effect.achieved, f"{done.what} confirmed by its receipt", effect.summary, todo)
        trial.require(bool(effect.summary), f"{done.what} summed up", "an empty summary", "say what was achieved")
        elsewhere = tuple(replace(log, address=NOBODY) for log in receipt.logs)
        for what, wrong, about in (
            ("a receipt without events", replace(receipt, logs=()), plan),
            ("events of another contract", replace(receipt, logs=elsewhere), plan),
            ("a reverted receipt", replace(receipt, succeeded=False), plan),
            ("the receipt of the same plan about another subject", receipt, another(trial, plan)),
        ):
            found = trial.venue.confirm(about, wrong)
            todo = "status 1 proves nothing: match emitter, topic and subject of a log of this receipt"
            trial.require(not found.achieved, f"{done.what} not confirmed by {what}", f"{found.summary!r}", todo)


def notices_what_anybody_did(trial: Trial) -> None:
    venue, first = trial.venue, trial.world.start_block
    seen, says = set[str](), {True: "noticed as done", False: "left to us alone"}
    performed(trial)
    head = trial.world.rpc.block().number
    for row, done in enumerate(succeeded(trial)):
        assert done.receipt is not None
        plan, mined = done.act.plan, done.receipt.block_number
        if plan.effect not in seen:
            todo = "look at the blocks first to last only, and at this plan's subject"
            early = venue.done(plan, first, mined - 1)
            trial.require(not early, f"{done.what} not done before it was", "done", todo)
        seen.add(plan.effect)
        again = any(later.act.plan.effect == plan.effect for later in succeeded(trial)[row + 1 :])
        if mined < head and not again:
            late = venue.done(plan, mined + 1, head)
            todo = "look at the blocks first to last only: what was done before is another plan's"
            trial.require(not late, f"{done.what} not done after it was", "done", todo)
        told = venue.done(plan, mined, mined)
        todo = "read the logs of whoever does it; only set `watched` false for plans that nobody else can carry out"
        trial.require(told == done.act.watched, f"{done.what} {says[done.act.watched]}", says[told], todo)
        other = venue.done(another(trial, plan), mined, mined)
        todo = "compare the subject named in the log with the plan's"
        trial.require(not other, f"{done.what} of another subject not done", "done", todo)
    _require_foreign_never_done(trial, head)


def _require_foreign_never_done(trial: Trial, head: int) -> None:
    ours = {done.act.plan.kind for done in performed(trial)}
    for plan in (plan for plan in EVERY_KIND if plan.kind not in ours):
        told = trial.venue.done(plan, trial.world.start_block, head)
        trial.require(told is False, f"{plan.kind} never done here", told, "return False for kinds of other venues")


ACTING: Final[dict[str, Rule]] = {
    "repeatable": encodes_the_same_plan_the_same_way,
    "target": calls_the_protocol_and_nobody_else,
    "function": names_the_function_it_calls,
    "gas": states_gas_that_is_enough,
    "succeed": succeeds_where_it_should,
    "limits": keeps_to_the_limits_of_the_plan,
    "parameter": reads_the_parameters_it_sets,
    "foreign": refuses_plans_of_other_venues,
    "sendings": carries_out_every_plan_once,
    "confirm": confirms_by_its_own_event_only,
    "done": notices_what_anybody_did,
}
