"""Fees that run away: T1, T2."""

import random
from dataclasses import dataclass
from typing import Any

from keeper.demo.transactions import GWEI
from tests.chain.lane_world import LaneKeeper
from tests.chaos_suite.scenario import Figures, Run, hit, require
from tests.chaos_suite.stage import RULES, Stage
from tests.chaos_suite.world import ENDANGERED

SPIKE = 20
LEAST_STEP = 2.3
BLOCKS_AFTER = 6


@dataclass(frozen=True, slots=True)
class NoRescue:
    """Instead of the lane's rescue: what waits is left to wait."""

    def carry_on(self, *_: Any) -> None:
        return


def without_rescue(keeper: LaneKeeper) -> None:
    keeper.lane._rescue = NoRescue()  # type: ignore[attr-defined]


def base_fee_spike(*, protected: bool) -> Run:
    """T1: the base fee rises twentyfold within three blocks while fifty liquidations wait."""

    def run(stage: Stage, rng: random.Random) -> Figures:
        calm = rng.randint(GWEI // 10, GWEI)
        stage.mine(base_fee=calm)
        keeper = stage.keeper()
        if not protected:
            without_rescue(keeper)
        stage.tick(keeper)
        pooled = len(set(stage.offered()))
        hit(pooled == ENDANGERED, f"expected {ENDANGERED} transactions in the pool before the spike, found {pooled}")
        for fee in _rising(calm, rng):
            stage.mine(base_fee=fee)
            stage.tick(keeper)
        left = ENDANGERED - len(stage.sent())
        hit(left > 0, "expected transactions that the spike left in the pool, found all mined")
        took = _mined_within(stage, keeper, calm * SPIKE)
        stage.settle(keeper)
        return _judged(stage, keeper, took) | {"left_by_the_spike": left}

    return run


def _rising(calm: int, rng: random.Random) -> list[int]:
    """Return the spike's base fees: each step more than the twofold headroom of what was sent just before it."""
    first = rng.uniform(LEAST_STEP, SPIKE / LEAST_STEP**2)
    second = rng.uniform(LEAST_STEP, SPIKE / LEAST_STEP / first)
    return [round(calm * first), round(calm * first * second), calm * SPIKE]


def _mined_within(stage: Stage, keeper: LaneKeeper, fee: int) -> int:
    """Mine at `fee` until every account was liquidated; return how many blocks that took."""
    for block in range(1, BLOCKS_AFTER + 1):
        stage.mine(base_fee=fee)
        stage.tick(keeper)
        if len(stage.effects()) == ENDANGERED:
            return block
    require(False, f"expected {ENDANGERED} liquidated in {BLOCKS_AFTER} blocks, found {len(stage.effects())}")
    raise AssertionError


def _judged(stage: Stage, keeper: LaneKeeper, took: int) -> dict[str, int | float | str]:
    wrong, spent = stage.nonces(keeper), stage.spent()
    require(not wrong, wrong)
    cap = RULES.exposure_cap
    require(spent <= cap, f"expected at most {cap} wei spent, found {spent}")
    differs = stage.unfulfilled(keeper)
    require(not differs, f"expected each promise kept once, found {differs}")
    require(max(stage.effects().values()) == 1, f"expected nobody liquidated twice, found {stage.effects()}")
    require(not keeper.app.journal.open_slots(), "expected no open nonce, found some")
    return {
        "blocks_after_spike": took,
        "liquidated": len(stage.effects()),
        "spent_wei": str(spent),
        "cap_wei": str(cap),
        "reverted": stage.reverted(),
        "nonce_errors": stage.nonce_errors(),
    }
