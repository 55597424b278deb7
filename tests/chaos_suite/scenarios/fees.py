"""Fees that run away: T1, T2."""

import random
from dataclasses import replace

from keeper.demo.transactions import GWEI
from tests.chain.lane_world import LaneKeeper
from tests.chaos_suite.judge import kept_once, without_rescue
from tests.chaos_suite.scenario import Failed, Figures, Run, hit, require
from tests.chaos_suite.scenarios.outcome import siblings
from tests.chaos_suite.stage import Stage
from tests.chaos_suite.world import ENDANGERED

SPIKE = 20
LEAST_STEP = 2.3
"""More than the twofold headroom of what was sent a block before."""
BLOCKS_AFTER = 6
CAPPED = "spend cap per"
NOTICED_WITHIN = 2
"""Blocks in which what the node dropped must be back."""


def spike(*, protected: bool) -> Run:
    """T1: the base fee rises twentyfold within three blocks while fifty liquidations wait.

    The caps on an hour and a day have no room for all replacements at once.
    """

    def run(stage: Stage, rng: random.Random) -> Figures:
        calm = rng.randint(GWEI // 10, GWEI)
        stage.close(_sent_at(stage, calm, ENDANGERED))
        cap = _day_cap(stage, calm * SPIKE)
        windows = replace(stage.site.rules.windows, per_hour=cap, per_day=cap)
        keeper = stage.keeper(rules=replace(stage.site.rules, windows=windows))
        if not protected:
            without_rescue(keeper)
        for fee in _rising(calm, rng):
            stage.mine(base_fee=fee)
            stage.tick(keeper)
            _require_within(stage, cap)
        told = (stage.folder / "keeper.log").read_text(encoding="utf-8")
        hit(
            CAPPED in told or not protected,
            f"expected the cap of {cap} wei to hold replacements back, found it did not",
        )
        left = ENDANGERED - len(stage.sent())
        hit(left > 0, "expected transactions that the spike left in the pool, found all mined")
        took = _mined_within(stage, keeper, calm * SPIKE, cap)
        stage.settle(keeper)
        return kept_once(stage, keeper, ENDANGERED) | {
            "blocks_after_spike": took,
            "left_by_the_spike": left,
            "cap_wei": str(cap),
        }

    return run


def _day_cap(stage: Stage, fee: int) -> int:
    """Return a cap on an hour and a day, wei, that all of them fit in as charged and not all at their worst.

    The worst is twice the base fee and more; what is charged is the base fee and a tip for four fifths of the gas.
    """
    return sum(tx.gas for tx in stage.offered()) * fee * 3 // 2


def _require_within(stage: Stage, cap: int) -> None:
    """Require that what was charged and the worst of what was offered and still waits are within the cap."""
    mined = {one.nonce: one.cost for one in stage.sent()}
    worst = {nonce: max(tx.gas * tx.fee_cap for tx in found) for nonce, found in siblings(stage).items()}
    committed = sum((worst | mined).values())
    require(committed <= cap, f"expected at most {cap} wei spent and at stake, found {committed}")


def _sent_at(stage: Stage, calm: int, count: int, *, protected: bool = True) -> LaneKeeper:
    """Return a keeper that has sent `count` liquidations at a calm base fee."""
    stage.mine(base_fee=calm)
    keeper = stage.keeper(most=count)
    if not protected:
        without_rescue(keeper)
    stage.tick(keeper)
    waiting = {tx.nonce for tx in stage.offered()}
    hit(len(waiting) == count, f"expected {count} transactions sent before the spike, found {len(waiting)}")
    return keeper


def _rising(calm: int, rng: random.Random) -> list[int]:
    """Return the spike's three base fees, each LEAST_STEP times the one before or more."""
    first = rng.uniform(LEAST_STEP, SPIKE / LEAST_STEP**2)
    second = rng.uniform(LEAST_STEP, SPIKE / LEAST_STEP / first)
    return [round(calm * first), round(calm * first * second), calm * SPIKE]


def _mined_within(stage: Stage, keeper: LaneKeeper, fee: int, cap: int) -> int:
    """Mine at `fee` until every account was liquidated; return how many blocks that took."""
    for block in range(1, BLOCKS_AFTER + 1):
        stage.mine(base_fee=fee)
        stage.tick(keeper)
        _require_within(stage, cap)
        if len(stage.effects()) == ENDANGERED:
            return block
    raise Failed(f"expected {ENDANGERED} liquidated in {BLOCKS_AFTER} blocks, found {len(stage.effects())}")


def drops(*, protected: bool) -> Run:
    """T2: the same, but the node deletes what the base fee has left behind and tells nobody (Anvil's own pool)."""

    def run(stage: Stage, rng: random.Random) -> Figures:
        calm, count = rng.randint(GWEI // 10, GWEI), ENDANGERED
        keeper = _sent_at(stage, calm, count, protected=protected)
        sent = {tx.hash: tx.nonce for tx in stage.offered()}
        fee = round(calm * rng.uniform(LEAST_STEP, SPIKE))
        stage.mine(base_fee=fee)
        dropped = {n for h, n in sent.items() if stage.site.rpc.call("eth_getTransactionByHash", h) is None}
        hit(len(dropped) == count, f"expected {count} transactions dropped by the node, found {len(dropped)}")
        noticed = _sent_again(stage, keeper, dropped, fee)
        stage.settle(keeper)
        used = {one.nonce for one in stage.sent()}
        require(used == dropped, f"expected the same nonces again, found {sorted(used ^ dropped)} besides")
        return kept_once(stage, keeper, count) | {"dropped": len(dropped), "noticed_after_blocks": noticed}

    return run


def _sent_again(stage: Stage, keeper: LaneKeeper, dropped: set[int], fee: int) -> int:
    """Return after how many blocks, the one that dropped them included, all nonces were sent again."""
    since = stage.now()
    for block in range(1, NOTICED_WITHIN + 1):
        keeper.settle()
        again = {tx.nonce for tx in stage.offered(since)}
        if dropped <= again:
            return block
        stage.mine(base_fee=fee)
    raise Failed(f"expected {sorted(dropped)} sent again in {NOTICED_WITHIN} blocks, found {sorted(again)}")
