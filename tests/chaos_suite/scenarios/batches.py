"""Several actions in one transaction: T24."""

import random
from collections import Counter

from keeper.abi import interface
from keeper.chain import Log
from keeper.demo.transactions import GWEI
from tests.chain.lane_world import LaneKeeper
from tests.chaos_suite.all_or_nothing import without_partial_success
from tests.chaos_suite.judge import accounted
from tests.chaos_suite.reference_site import ReferenceSite
from tests.chaos_suite.scenario import Figures, Run, hit, require
from tests.chaos_suite.scenarios.outcome import CALM
from tests.chaos_suite.stage import Stage
from tests.chaos_suite.world import ENDANGERED


def one_bad(*, protected: bool) -> Run:
    """T24: one of fifty starts is refused inside its batch, since a stranger brought its account cash just before.

    Unprotected: a batch of which one start is refused reverts as a whole.
    """

    def run(stage: Stage, rng: random.Random) -> Figures:
        stage.mine(base_fee=CALM)
        if not protected:
            assert isinstance(stage.site, ReferenceSite)
            without_partial_success(stage.site)
        keeper = stage.keeper()
        seen = stage.tick(keeper)
        assert seen is not None, stage.errors
        plans = [plan.subject for plan in seen.plans if plan.kind == "start_auction"]
        hit(len(plans) == ENDANGERED, f"expected {ENDANGERED} starts planned, found {len(plans)}")
        sent = len({tx.nonce for tx in stage.offered()})
        hit(sent < ENDANGERED // 2, f"expected starts that share transactions, found {sent} transactions")
        bad = rng.choice(plans)
        stage.mine(base_fee=CALM, first=stage.site.rival([bad], 2 * GWEI))
        first = _events(stage, "AuctionStarted")
        hit(bad not in first, f"expected {bad} refused, found it started")
        started = len(first)
        require(started == ENDANGERED - 1, f"expected {ENDANGERED - 1} started beside the refused, found {started}")
        hit(list(_events(stage, "AuctionRefused")) == [bad], f"expected {bad} alone refused in its batch")
        stage.mine(base_fee=CALM)
        stage.tick(keeper)
        stage.settle(keeper)
        return _judged(stage, keeper) | {"started_at_first": len(first), "transactions_at_first": sent}

    return run


def _events(stage: Stage, name: str) -> Counter[str]:
    """Return how often each account has such an event of the auctions, by the chain's logs."""
    site, topic = stage.site, interface("reference/Auctions").event(name).topic
    assert isinstance(site, ReferenceSite)
    logs = [log for receipt, _ in stage.receipts() for log in receipt["logs"] if log["topics"][0] == topic]
    found = [Log(log["address"], tuple(log["topics"]), b"", 0, "", 0) for log in logs]
    return Counter(account for log in found for account in site.market.venue.introduced([log]))


def _judged(stage: Stage, keeper: LaneKeeper) -> dict[str, int | float | str]:
    rows = keeper.rows("SELECT subject FROM intents WHERE kind = 'start_auction' AND status = 'achieved'")
    claimed, there = Counter(subject for (subject,) in rows), _events(stage, "AuctionStarted")
    require(claimed == there, f"claimed and not started {claimed - there}, started and not claimed {there - claimed}")
    require(
        len(there) == ENDANGERED and max(there.values()) == 1,
        f"expected {ENDANGERED} started once each, found {len(there)}",
    )
    require(stage.reverted() == 0, f"expected no revert, found {stage.reverted()}")
    return accounted(stage, keeper) | {"started": len(there)}
