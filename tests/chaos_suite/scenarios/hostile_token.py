"""Accounts whose collateral fights back, and answers that are merely large: T22, T23."""

import random
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any
from unittest import mock

from keeper.chaos import Bloat, Match
from keeper.chaos.transactions import PoolTx
from keeper.lanes.rules import LaneRules
from keeper.loop import Stages, look
from keeper.rpc_http import MAX_RESPONSE_BYTES
from keeper.sending.quarantine import QuarantineRule
from tests.chain.lane_world import GAS, LaneKeeper
from tests.chaos_suite.hostile import Hostile, Mode, hostile, left_alone
from tests.chaos_suite.judge import Counted, accounted, must_fail
from tests.chaos_suite.memory import forget_peak, held, peak
from tests.chaos_suite.reader import METHOD, grown_by_reading
from tests.chaos_suite.scenario import Figures, Run, hit, require
from tests.chaos_suite.scenarios.outcome import CALM, strike, trader_of
from tests.chaos_suite.stage import Stage
from tests.chaos_suite.world import ENDANGERED

STAY_BLOCKS = QuarantineRule().first_s // 12
TRIES = QuarantineRule().tolerated + 1
"""Transactions that a hostile account costs before it is left alone."""
TURNS: tuple[Mode, ...] = ("burn gas", "return bomb", "revert bomb")
SMALL, LARGE = 10, 80
"""MiB of an answer: below and above what the keeper reads of one."""
TOO_LARGE = f"an answer larger than {MAX_RESPONSE_BYTES >> 20} MiB"
MOST_READ = 2 * MAX_RESPONSE_BYTES
UNCAPPED = 1 << 40
HUGE_GAS = 30_000_000
MOST_GROWTH = 900 << 20
"""Bytes of memory. The proxy shares the process and holds each answer some five times."""


def always_reverts(*, protected: bool) -> Run:
    """T22: accounts whose collateral makes every liquidation revert, seen only on the chain."""

    def run(stage: Stage, rng: random.Random) -> Figures:
        with _quarantine(protected):
            keeper, token = _beset(stage, rng, rng.randint(2, 5))
            token.turn("revert")
            _attacked(stage, keeper, token)
            reverted = stage.reverted()
            told = (stage.folder / "keeper.log").read_text(encoding="utf-8")
            require("USD at risk stay undone" in told, "expected an alert with what stays undone, found none")
            undone = float(str(keeper.lane.status()["undone_usd"]))
            require(undone > 0, f"expected the exposure of those left alone, found {undone}")
            left = ENDANGERED - len(stage.effects())
            token.turn("behave")
            blocks = _until_done(stage, keeper)
        return _ended(stage, keeper, token) | {
            "reverted_by_hostile": reverted,
            "left_alone_at_first": left,
            "blocks_after_it_behaved": blocks,
        }

    return run


def bombs(*, protected: bool) -> Run:
    """T23: collateral that burns all gas or answers with megabytes, on the chain or when tried; large node answers.

    Unprotected: an answer of any size is read, which must fail; then neither keeper nor signer cap a job's gas.
    """

    def run(stage: Stage, rng: random.Random) -> Figures:
        if not protected:
            must_fail(lambda: _read(stage, cap=UNCAPPED), "more memory for one answer")
        read = _read(stage)
        with nullcontext() if protected else _without_gas_cap():
            keeper, token = _beset(stage, rng, rng.randint(2, 4), None if protected else _without_rule(stage))
            mode, size, tried = rng.choice(TURNS), rng.randint(100_000, 10_000_000), rng.random() < 0.3
            token.turn(mode, size=size, when_tried=tried)
            forget_peak()
            before = held()
            _attacked(stage, keeper, token)
            answers = _large_answers(stage, keeper)
            grown = peak() - before
            require(grown <= MOST_GROWTH, f"expected at most {MOST_GROWTH} bytes more memory, found {grown}")
            token.turn("behave")
            _until_done(stage, keeper)
        return _ended(stage, keeper, token) | {
            "mode": f"{mode}, {size} bytes{', when tried too' if tried else ''}",
            "dearest_gas_limit": max(tx.gas for tx in stage.offered()),
            "large_answers": answers,
            "memory_growth_bytes": grown,
            "memory_for_one_answer_bytes": read,
        }

    return run


def _quarantine(protected: bool) -> AbstractContextManager[Any]:
    return nullcontext() if protected else mock.patch("keeper.isolation.barred", lambda *_: {})


def _without_rule(stage: Stage) -> LaneRules:
    """Let the signer sign as much gas as a block may have a quarter of; return rules that allow it as well."""
    process = stage.signing.process  # type: ignore[attr-defined]
    text = process.config.read_text(encoding="utf-8")
    stage.signing.hang_up()
    process.stop()
    process.config.write_text(text.replace(f"max_gas = {GAS}", f"max_gas = {HUGE_GAS}"), encoding="utf-8")
    process.start()
    return replace(stage.site.rules, gas=HUGE_GAS)


def _without_gas_cap() -> AbstractContextManager[Any]:
    """Let every transaction have all the gas that the rules allow."""
    return mock.patch("keeper.lanes.simulate.gas_limit", lambda step, *_: step.gas)


def _beset(stage: Stage, rng: random.Random, count: int, rules: LaneRules | None = None) -> tuple[LaneKeeper, Hostile]:
    """Return a keeper before its first block and the token that `count` of the endangered accounts hold."""
    stage.mine(base_fee=CALM)
    keeper = stage.keeper(rules=rules)
    endangered = [plan.subject for plan in look(keeper.world.heads.newest(), keeper.world, Stages()).plans]
    hit(len(endangered) == ENDANGERED, f"expected {ENDANGERED} endangered accounts, found {len(endangered)}")
    return keeper, hostile(stage, rng.sample(endangered, count))


def _attacked(stage: Stage, keeper: LaneKeeper, token: Hostile) -> None:
    """Let blocks pass until the hostile accounts are left alone, and as long as they must be."""
    stage.tick(keeper)
    _require_gas_cap(stage)
    stage.mine(base_fee=CALM)
    others = set(stage.effects()) - set(token.holders)
    wanted = ENDANGERED - len(token.holders)
    require(len(others) == wanted, f"expected {wanted} unaffected in the next block, found {len(others)}")
    for _ in range(2 * TRIES + STAY_BLOCKS):
        stage.tick(keeper)
        stage.mine(base_fee=CALM)
    stage.settle(keeper)
    fought = _about(stage, token)
    hit(
        bool(fought) or bool(keeper.intents()["refused"]), "expected the hostile accounts tried, found them never tried"
    )
    left = set(token.holders) - set(stage.effects())
    most = len(token.holders) * (TRIES + 1)
    require(
        stage.reverted() <= most, f"expected at most {most} reverts until they are left alone, found {stage.reverted()}"
    )
    stage.tick(keeper)
    require(
        left_alone(keeper) <= set(token.holders), f"expected only the hostile left alone, found {left_alone(keeper)}"
    )
    _require_gas_cap(stage)
    require(left <= left_alone(keeper), f"expected {sorted(left)} left alone, found {sorted(left_alone(keeper))}")
    stage.settle(keeper)


def _require_gas_cap(stage: Stage) -> None:
    dearest, cap = max(tx.gas for tx in stage.offered()), stage.site.rules.gas
    require(dearest <= cap, f"expected no gas limit above {cap}, found {dearest}")


def _about(stage: Stage, token: Hostile) -> list[PoolTx]:
    holders = {holder.lower() for holder in token.holders}
    return [tx for tx in stage.offered() if tx.data and trader_of(tx) in holders]


def _until_done(stage: Stage, keeper: LaneKeeper) -> int:
    """Tick until quarantine has expired and everybody was liquidated; return how many blocks that took."""
    for blocks in range(4 * STAY_BLOCKS):
        if len(stage.effects()) == ENDANGERED:
            stage.settle(keeper)
            return blocks
        stage.tick(keeper)
        stage.mine(base_fee=CALM)
    require(False, f"expected {ENDANGERED} liquidated once quarantine expired, found {len(stage.effects())}")
    raise AssertionError


def _large_answers(stage: Stage, keeper: LaneKeeper) -> int:
    """Let calls and headers be answered by megabytes; the tick fails or is done without, and nothing else happens."""
    found = 0
    for mebibytes in (SMALL, LARGE):
        fault = strike(stage, Bloat(mebibytes), Match(methods=("eth_call",), last=2))
        stage.tick(keeper)
        stage.tick(keeper)
        stage.proxy.remove(fault)
        hit(stage.proxy.hits(fault) > 0, f"expected answers of {mebibytes} MiB, found none")
        found += stage.proxy.hits(fault)
    refused = [error for error in stage.errors if TOO_LARGE in error]
    require(bool(refused), f"expected {TOO_LARGE!r} among the errors, found {stage.errors}")
    stage.settle(keeper)
    return found


def _read(stage: Stage, cap: int | None = None) -> int:
    """Let a keeper's process read a large answer; return by how much it grew, bytes. `cap` instead of the keeper's."""
    fault = strike(stage, Bloat(LARGE), Match(methods=(METHOD,)))
    grown = grown_by_reading(stage.proxy.url, cap)
    hit(stage.proxy.hits(fault) == 1, f"expected an answer of {LARGE} MiB, found {stage.proxy.hits(fault)}")
    stage.proxy.remove(fault)
    require(grown <= MOST_READ, f"expected at most {MOST_READ} bytes more memory for one answer, found {grown}")
    return grown


def _ended(stage: Stage, keeper: LaneKeeper, token: Hostile) -> Counted:
    done = stage.effects(stage.site.address)
    require(len(done) == ENDANGERED and max(done.values()) == 1, f"expected {ENDANGERED} once each, found {len(done)}")
    return accounted(stage, keeper) | {"hostile": len(token.holders)}
