"""Somebody else was faster: T10, T21."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from keeper.demo.transactions import GWEI
from keeper.journal.slot_records import Outcome
from keeper.rpc import Rpc
from tests.chain.lane_world import LaneKeeper
from tests.chaos_suite.judge import accounted, costs
from tests.chaos_suite.rival import RIVAL
from tests.chaos_suite.scenario import Figures, Run, hit, require
from tests.chaos_suite.stage import Stage
from tests.chaos_suite.world import ENDANGERED

MORE_BLOCKS = 3
MOST_MOVED = 12
CALLS_TRIED = """
SELECT i.subject, count(DISTINCT s.data) FROM slots s
JOIN slot_intents l ON l.slot_id = s.id JOIN intents i ON i.id = l.intent_id
WHERE i.kind = 'take_auction' GROUP BY i.subject
"""
DISCOUNT_S = 150
"""After which a take has a discount."""


class Optimist:
    """A ledger that calls everything that was mined a success."""

    def __init__(self, ledger: Any) -> None:
        self._ledger = ledger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def final(self, closing: Any, at: Any) -> None:
        self._ledger.final([replace(one, outcomes=_as_achieved(one.outcomes)) for one in closing], at)


def _as_achieved(outcomes: Mapping[int, Outcome]) -> dict[int, Outcome]:
    return {intent: replace(outcome, status="achieved") for intent, outcome in outcomes.items()}


def outbid(*, protected: bool) -> Run:
    """T10: a competitor with another key and a higher tip takes some of the accounts in the same block."""

    def run(stage: Stage, rng: random.Random) -> Figures:
        count = ENDANGERED
        keeper = stage.keeper(most=count, ledger=(lambda journal: journal) if protected else Optimist)
        seen = stage.tick(keeper)
        assert seen is not None, stage.errors
        wanted = [plan.subject for plan in seen.plans if plan.kind == "liquidate"]
        taken = rng.sample(wanted, rng.randint(1, count // 2))
        rpc = Rpc(stage.proxy.url)
        for raw in stage.site.rival(taken, tip=rng.randint(150, 300) * GWEI):
            rpc.call("eth_sendRawTransaction", "0x" + raw.hex())
        stage.mine()
        theirs = stage.effects(RIVAL.address)
        hit(stage.reverted() > 0, f"expected some of ours to revert, found none; the competitor took {len(theirs)}")
        lost = stage.reverted()
        for _ in range(MORE_BLOCKS):
            stage.tick(keeper)
            stage.mine()
        stage.settle(keeper)
        done = stage.effects()
        require(len(done) == count and max(done.values()) == 1, f"expected {count} done once each, found {len(done)}")
        _require_closed(stage, keeper)
        return accounted(stage, keeper) | {"taken": len(theirs), "lost_races": lost}

    return run


def state_moved(*, protected: bool) -> Run:
    """T21: every take passes its simulation; a stranger's deposits ahead of some in the block make those revert."""

    def run(stage: Stage, rng: random.Random) -> Figures:
        keeper = stage.keeper(ledger=(lambda journal: journal) if protected else Optimist)
        stage.tick(keeper)
        started = stage.mine()
        keeper.settle()
        stage.mine(timestamp=started.timestamp + DISCOUNT_S)
        keeper.world.heads.newest()  # a tick simulates as far ahead as blocks are apart
        stage.mine()
        seen = stage.tick(keeper)
        assert seen is not None, stage.errors
        taking = [plan.subject for plan in seen.plans if plan.kind == "take_auction"]
        hit(len(taking) > 1, f"expected takes under way, found {len(taking)}")
        moved = rng.sample(taking, rng.randint(1, min(MOST_MOVED, len(taking) // 2)))
        stage.mine(first=stage.site.rival(moved, tip=GWEI))
        reverts = stage.reverted()
        hit(reverts == len(moved), f"expected {len(moved)} reverts after {len(moved)} deposits, found {reverts}")
        for _ in range(MORE_BLOCKS):
            stage.tick(keeper)
            stage.mine()
        stage.settle(keeper)
        _require_tried_again(stage, keeper, moved, reverts)
        left = set(taking) - stage.effects(stage.site.address).keys()
        require(not left, f"expected all {len(taking)} auctions taken, found {len(left)} left")
        return accounted(stage, keeper) | {"moved": len(moved), "budget": len(moved)}

    return run


def _require_tried_again(stage: Stage, keeper: LaneKeeper, moved: Sequence[str], reverts: int) -> None:
    """Every revert is told from a success; every account is taken in the end, by another plan and without another."""
    causes = [cause for (cause,) in keeper.rows("SELECT cause FROM intents WHERE status = 'failed'")]
    require(len(causes) == reverts, f"expected {reverts} failures told apart, found {len(causes)}")
    require(all(cause.startswith("reverted") for cause in causes), f"expected them told as reverts, found {causes}")
    left = [account for account in moved if not stage.effects(stage.site.address)[account]]
    require(not left, f"expected all {len(moved)} tried again and taken, found {len(left)} left")
    tried = dict(keeper.rows(CALLS_TRIED))
    same = [account for account in moved if tried[account] != 2]
    require(not same, f"expected a first and another call for each, found {len(same)} without")
    require(stage.reverted() == reverts, f"expected no revert beyond the {reverts}, found {stage.reverted()}")


def _require_closed(stage: Stage, keeper: LaneKeeper) -> None:
    """At most one revert a job; the job is closed, says so, and what it cost is booked."""
    failed = {one.tx_hash: one for one in stage.sent() if not one.succeeded}
    rows = keeper.rows(
        "SELECT s.winner_hash, i.id, i.subject, i.status, o.cause FROM slots s "
        "JOIN slot_intents l ON l.slot_id = s.id JOIN intents i ON i.id = l.intent_id "
        "LEFT JOIN outcomes o ON o.intent_id = i.id"
    )
    found = {tx_hash: (intent, subject, status, cause) for tx_hash, intent, subject, status, cause in rows}
    accounts, booked = [found[tx_hash][1] for tx_hash in failed], costs(keeper)
    require(len(set(accounts)) == len(accounts), f"expected one revert a job, found {len(accounts)}")
    for tx_hash, one in failed.items():
        _, subject, status, cause = found[tx_hash]
        require(status == "failed", f"{subject}: expected its job closed as failed, found {status}")
        require("taken" in str(cause), f"{subject}: expected its job closed as taken, found {cause!r}")
        require(
            booked.get(tx_hash) == one.cost, f"{subject}: expected {one.cost} wei booked, found {booked.get(tx_hash)}"
        )
