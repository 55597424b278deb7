"""Blocks that leave the chain: T5, T6."""

import random
from collections import Counter
from dataclasses import replace
from typing import Any

from keeper.demo.transactions import GWEI
from keeper.journal import Journal
from tests.chain.lane_world import LaneKeeper
from tests.chaos_suite.judge import Deaf, costs, kept_once
from tests.chaos_suite.scenario import Figures, Run, hit, require
from tests.chaos_suite.stage import Stage
from tests.chaos_suite.world import ENDANGERED

DEPTH = 3
DEEPER = 6
"""Confirmations that a reorg of DEPTH does not reach."""


def _mined_three_deep(stage: Stage, count: int, confirmations: int, **parts: Any) -> LaneKeeper:
    keeper = stage.keeper(most=count, rules=replace(stage.site.rules, confirmations=confirmations), **parts)
    stage.tick(keeper)
    for _ in range(DEPTH):
        stage.mine()
        keeper.settle()
    confirmed = keeper.slots()
    wanted = "final" if confirmations < DEPTH else "mined"
    hit(confirmed == Counter({wanted: count}), f"expected {count} {wanted} before the reorg, found {confirmed}")
    return keeper


def removed(*, protected: bool) -> Run:
    """T5: a reorg of depth three removes confirmed liquidations, and their bytes are in no pool."""

    def run(stage: Stage, rng: random.Random) -> Figures:
        stage.mine(base_fee=rng.randint(GWEI // 10, 20 * GWEI))
        confirmations, count = rng.choice((1, DEEPER)), ENDANGERED
        ledger = (lambda journal: journal) if protected else (lambda journal: Deaf(journal, "orphaned"))
        keeper = _mined_three_deep(stage, count, confirmations, ledger=ledger)
        gone, spent = {one.nonce for one in stage.sent()}, stage.spent()
        hit(spent > 0 and sum(costs(keeper).values()) == spent, f"expected {spent} wei booked before the reorg")
        stage.proxy.reorg(DEPTH, put_back=False)
        hit(not stage.sent(), f"expected no transaction left on the chain, found {len(stage.sent())}")
        since = stage.now()
        keeper.settle()
        states = keeper.slots()
        require(states == Counter(offered=count), f"expected {count} pending again, found {states}")
        claimed = keeper.intents()["achieved"]
        require(not claimed, f"expected no effect counted any more, found {claimed}")
        booked = sum(costs(keeper).values())
        require(booked == 0, f"expected what it cost taken back with its block, found {booked} wei of {spent} booked")
        again = {tx.nonce for tx in stage.offered(since)}  # the head of line may get a dearer sibling at once
        require(gone <= again, f"expected {len(gone)} sent again, found {len(gone & again)}")
        stage.settle(keeper)
        _require_both_written(keeper)
        return kept_once(stage, keeper, count) | {"removed": len(gone), "confirmations": confirmations}

    return run


def _require_both_written(keeper: LaneKeeper) -> None:
    """The journal shows the block that left, that it left, and the block that stands."""
    told: dict[int, list[str]] = {}
    for slot, state in keeper.rows("SELECT slot_id, state FROM steps ORDER BY id"):
        told.setdefault(slot, []).append(state)
    for slot, states in told.items():
        after = states[states.index("orphaned") :] if "orphaned" in states else []
        require("mined" in states and "mined" in after, f"slot {slot}: expected mined, orphaned, mined, found {states}")


class FirstPlace:
    """A ledger that keeps the first block it was told of, whatever the chain says later."""

    def __init__(self, ledger: Journal) -> None:
        self._ledger = ledger
        self._known: set[int] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def mined(self, found: Any, at: Any) -> None:
        news = [one for one in found if one.slot_id not in self._known]
        self._known |= {one.slot_id for one in news}
        self._ledger.mined(news, at)

    def orphaned(self, *_: Any) -> tuple[int, ...]:
        return ()


def moved(*, protected: bool) -> Run:
    """T6: a reorg of depth three mines the same bytes in other blocks."""

    def run(stage: Stage, rng: random.Random) -> Figures:
        count = ENDANGERED
        ledger = (lambda journal: journal) if protected else FirstPlace
        keeper = _mined_three_deep(stage, count, DEEPER, ledger=ledger)
        before = {one.tx_hash: one.block for one in stage.sent()}
        places = [*sorted(rng.choices(range(DEPTH), k=count - 1)), DEPTH - 1]
        stage.proxy.reorg(DEPTH, keep=dict(zip(before, places, strict=True)))
        after = {one.tx_hash: one.block for one in stage.sent()}
        shifted = sum(after.get(tx_hash) != block for tx_hash, block in before.items())
        hit(after.keys() == before.keys() and shifted > 0, f"expected all there, some elsewhere, found {shifted}")
        keeper.settle()
        stage.settle(keeper)
        _require_canonical(stage, keeper)
        finals = keeper.rows("SELECT slot_id FROM steps WHERE state = 'final'")
        require(len(finals) == count, f"expected one execution counted of {count}, found {len(finals)}")
        sent = {tx.hash for tx in stage.offered()}
        require(sent == before.keys(), f"expected nothing signed anew, found {len(sent) - count} more hashes")
        return kept_once(stage, keeper, count) | {"moved": shifted}

    return run


def _require_canonical(stage: Stage, keeper: LaneKeeper) -> None:
    """Every block in the ledger is the chain's at its height."""
    for number, block_hash in keeper.rows("SELECT DISTINCT mined_number, mined_hash FROM slots"):
        found = stage.site.rpc.block(number).hash
        require(
            found == block_hash, f"expected the ledger's block {number} to be the chain's, {found}, found {block_hash}"
        )
