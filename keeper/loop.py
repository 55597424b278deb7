"""One tick, from a block to transactions. Read this file first: the rest of the keeper fills in its lines."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from keeper.accounts import Accounts
from keeper.chain import Block
from keeper.errors import KeeperError
from keeper.heads import Head, Heads
from keeper.journal.records import Intent, MarginRow, QuoteRow, TickRecord
from keeper.oracles.base import Feed, Oracle, Quote
from keeper.plans import Held, Plan
from keeper.snapshot import Part, Verdict
from keeper.stages import Stages

log = logging.getLogger(__name__)


class Memory(Protocol):
    """What a tick needs of the journal beside the ledger."""

    def intend(self, tick: TickRecord, plans: Sequence[Plan]) -> tuple[Intent, ...]: ...
    def add_latency(self, block_hash: str, latency_ms: Mapping[str, float]) -> None: ...


class Executor(Protocol):
    """What carries plans out: a lane with a signer behind it, or one that only says what it would have done."""

    def settle(self, block: Block) -> int:
        """Bring what is under way up to date with the chain at `block`; return how many transactions still wait."""

    def execute(self, intents: Sequence[Intent], head: Head, stage: Stages) -> None:
        """Carry out new intents; each ends under way or closed with its cause. `stage` times the steps."""

    def status(self) -> Mapping[str, object]:
        """Return what an operator should see of sending: alarms, who is left alone, answers nobody knew."""


class Sight(Protocol):
    """What a venue is at one block, as its line sees it: read once, then asked twice."""

    @property
    def venue(self) -> str: ...

    def verdicts(self) -> tuple[Verdict, ...]:
        """Return one verdict per account, unknown ones included."""

    def decisions(self, verdicts: Sequence[Verdict]) -> tuple[tuple[Plan, ...], tuple[Held, ...]]:
        """Return what should be done, most urgent first, and why the rest is left alone."""

    def crosscheck(self) -> Mapping[str, object]:
        """Return how far two computations of the verdicts are apart; empty where there is only one."""

    def faults(self) -> tuple[str, ...]:
        """Return why prices the venue rests on may not be used; empty when all may."""

    def parts(self, account: str) -> tuple[Part, ...]:
        """Return what adds up to the account's equity; empty for an account that was not read."""


class Line(Protocol):
    """What kinds of venue do differently: how one is read, judged and acted on. One file a kind."""

    def read(self, block: Block, accounts: Sequence[str], quotes: tuple[Quote, ...]) -> Sight:
        """Read the venue at `block`. Raises ReadError when the venue itself cannot be read."""


@dataclass(frozen=True, slots=True)
class World:
    """Everything a tick touches, wired once in keeper/app.py."""

    heads: Heads
    accounts: Accounts
    line: Line
    oracle: Oracle
    feeds: tuple[Feed, ...]
    journal: Memory
    executor: Executor


@dataclass(frozen=True, slots=True)
class Tick:
    """What one tick saw and meant to do."""

    head: Head
    sight: Sight
    quotes: tuple[Quote, ...]
    verdicts: tuple[Verdict, ...]
    plans: tuple[Plan, ...]
    holds: tuple[Held, ...]
    latency_ms: Mapping[str, float]  # by stage; the record of a tick in progress
    stands: bool = True  # False: the block was replaced, or could not be found again; nothing was written or sent


def tick(head: Head, world: World) -> Tick:
    """Carry one block from its header to transactions. Raises KeeperError when it cannot be read or journalled."""
    stage = Stages()
    with stage("settle"):
        world.executor.settle(head.block)
    seen = look(head, world, stage)
    if not world.heads.stands(head.block):
        return replace(seen, stands=False)
    with stage("journal"):
        intents = world.journal.intend(_record(seen), seen.plans)
    with stage("send"):
        world.executor.execute(intents, head, stage)
    world.journal.add_latency(head.block.hash, stage.total())
    return seen


def look(head: Head, world: World, stage: Stages) -> Tick:
    """Return what stands at `head` and what should be done about it. Changes nothing on the chain.

    Once more if the head moved on meanwhile, or a feed seems to come from the future: see Heads.passed.
    """
    seen = _look_once(head, world, stage)
    if world.heads.passed(head.block) or any(q.age_s is not None and q.age_s < 0 for q in seen.quotes):
        seen = _look_once(head, world, stage)
    return seen


def _look_once(head: Head, world: World, stage: Stages) -> Tick:
    with stage("read"):
        quotes = world.oracle.read(head.block, world.feeds)
        sight = world.line.read(head.block, world.accounts.at(head.block), quotes)
    with stage("margin"):
        verdicts = sight.verdicts()
    with stage("decide"):
        plans, holds = sight.decisions(verdicts)
    return Tick(head, sight, quotes, verdicts, plans, holds, stage.spent)


def run(world: World, on_tick: Callable[[Tick], None], on_error: Callable[[KeeperError], None]) -> None:
    """Tick on every new head until stopped. A tick that fails sends nothing; the next head is a new chance."""
    for head in world.heads.follow():
        try:
            on_tick(tick(head, world))
        except KeeperError as e:
            log.error("block %d: %s", head.block.number, e)
            on_error(e)
        except Exception as e:  # a keeper that dies of one block's surprise misses all the next ones
            log.exception("block %d: not foreseen; nothing more was done for this block", head.block.number)
            on_error(KeeperError(f"block {head.block.number}: {type(e).__name__}, see the log"))


def _record(seen: Tick) -> TickRecord:
    return TickRecord(
        block=seen.head.block,
        skipped_heads=seen.head.skipped,
        latency_ms=dict(seen.latency_ms),
        quotes=tuple(
            QuoteRow(
                q.feed, q.symbol, q.answer, q.decimals, q.updated_at, q.age_s, "bad" if q.fault else "good", q.fault
            )
            for q in seen.quotes
        ),
        margins=tuple(
            MarginRow(v.account, v.equity, v.im, v.mm, v.health, v.status, v.reason, v.exact) for v in seen.verdicts
        ),
        holds=seen.holds,
        crosscheck=seen.sight.crosscheck(),
    )
