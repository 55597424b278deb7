"""The market between an attempt and its replacement: F17, F20."""

import random
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import pairwise
from typing import Any
from unittest import mock

from keeper.chaos import Drop, Error, Lie, Match, sends
from keeper.chaos.requests import Request
from keeper.chaos.transactions import PoolTx
from keeper.demo.transactions import GWEI
from tests.chain.lane_world import ETHER, LaneKeeper
from tests.chaos_suite.judge import without_rescue
from tests.chaos_suite.scenario import Figures, Run, hit, require
from tests.chaos_suite.scenarios.outcome import CALM, answers_with, done_once, siblings, strike
from tests.chaos_suite.stage import Stage
from tests.signer_desk import ADDRESS

NODE_CAP = ETHER // 10
SPIKE = 20


def one_sided_moves(*, protected: bool) -> Run:
    """F17: tips alone rise, the base fee alone, then all falls; then the cap, and a node that caps the fee."""

    def run(stage: Stage, rng: random.Random) -> Figures:
        count = rng.randint(2, 4)
        stage.mine(base_fee=CALM)
        rule = nullcontext() if protected else mock.patch("keeper.sending.fees.bumped", lambda fee: fee + 1)
        with rule:
            keeper = stage.keeper(most=count, endpoints=("b",), rules=replace(stage.site.rules, patience=1))
            moves = _moves(stage, keeper, rng, count)
            capped = _cap(stage, keeper, rng)
        stage.settle(keeper)
        pairs = [pair for found in siblings(stage).values() for pair in pairwise(found)]
        _require_rises(pairs)
        refused = stage.nonce_errors()
        require(refused == 0, f"expected no replacement refused, found {refused}")
        return done_once(stage, keeper, count) | moves | capped | {"replacements": len(pairs)}

    return run


def _moves(stage: Stage, keeper: LaneKeeper, rng: random.Random, count: int) -> dict[str, int]:
    """Move the market while the lowest nonce is swallowed, so that the whole line waits."""
    swallowed = strike(stage, Drop(), sends(nonce=stage.first_nonce))
    stage.tick(keeper)
    tip = rng.randint(2, 4) * GWEI
    moves: list[Any] = [("tip", tip), ("base", tip * 3 + CALM * rng.randint(2, 6))]
    found: dict[str, int] = {}
    for name, fee in rng.sample(moves, 2):
        dearer = _tips(stage, fee) if name == "tip" else None
        before = _attempts(stage)
        stage.mine(base_fee=fee if name == "base" else CALM)
        keeper.settle()
        if dearer is not None:
            stage.proxy.remove(dearer)
        found[f"replaced_as_{name}_rose"] = _attempts(stage) - before
    hit(found["replaced_as_base_rose"] >= count, f"expected {count} replacements after the base fee, found {found}")
    stage.proxy.remove(swallowed)
    before = _attempts(stage)
    stage.mine(base_fee=CALM // 4)
    keeper.settle()
    hit(_attempts(stage) > before, "expected a replacement while the market falls, found none")
    stage.mine(base_fee=CALM // 4)
    stage.settle(keeper)
    return found | {"replaced_as_all_fell": _attempts(stage) - before}


def _tips(stage: Stage, tip: int) -> int:
    """Let every recent block have paid this tip, wei per gas, from now on."""

    def dearer(history: dict[str, Any]) -> dict[str, Any]:
        blocks = len(history["gasUsedRatio"])
        return {**history, "gasUsedRatio": [0.5] * blocks, "reward": [[hex(tip)]] * blocks}

    return strike(stage, Lie("", dearer), Match(methods=("eth_feeHistory",)))


def _attempts(stage: Stage) -> int:
    return sum(len(found) for found in siblings(stage).values())


def _cap(stage: Stage, keeper: LaneKeeper, rng: random.Random) -> dict[str, int]:
    """Drive the base fee above the cap, where the head must wait as it is, and back to where one node still refuses."""
    stage.mine(base_fee=CALM)
    stage.tick(keeper)
    cap = stage.site.rules.fees.max_fee
    before = _attempts(stage)
    stage.mine(base_fee=cap * 5 // 4 + rng.randint(1, 100) * GWEI)  # the next block asks an eighth less
    keeper.settle()
    require(_attempts(stage) == before, "expected nothing signed while the base fee is above the cap, found more")
    refusal = f"tx fee (0.27 ether) exceeds the configured cap ({NODE_CAP / ETHER:.2f} ether)"
    capped = strike(stage, Error(-32_000, refusal), sends(endpoint="b", where=_dear))
    high = rng.randint(cap // 2, cap * 3 // 4)
    stage.mine(base_fee=high)
    keeper.settle()
    stage.mine(base_fee=high)
    hit(stage.proxy.hits(capped) > 0, "expected bumps above a node's fee cap, found none")
    dearest = max(tx.fee_cap for found in siblings(stage).values() for tx in found)
    require(dearest <= cap, f"expected no max fee above {cap}, found {dearest}")
    return {"refused_by_node_cap": stage.proxy.hits(capped), "dearest_max_fee": dearest}


def _dear(request: Request) -> bool:
    tx = request.transaction()
    return tx is not None and tx.gas * tx.fee_cap > NODE_CAP


def _require_rises(pairs: Sequence[tuple[PoolTx, PoolTx]]) -> None:
    for old, new in pairs:
        both = ((old.fee_cap, new.fee_cap), (old.tip_cap, new.tip_cap))
        require(
            all(8 * after >= 9 * before and after > before for before, after in both),
            f"nonce {old.nonce}: expected both fees up by an eighth, found {both}",
        )


def dear_and_poor(*, protected: bool) -> Run:
    """F20: the base fee ×20 in one block of 12 s; the price offered suffices, the balance does not."""

    def run(stage: Stage, rng: random.Random) -> Figures:
        count, waits = rng.randint(3, 6), rng.randint(0, 1)
        stage.mine(base_fee=CALM)
        keeper = stage.keeper(most=count)
        if not protected:
            without_rescue(keeper)
        stage.tick(keeper)
        first = [tx for found in siblings(stage).values() for tx in found]
        balance = round(sum(tx.cost for tx in first) * rng.uniform(1.2, 2.0))
        dear = CALM * SPIKE
        hit(balance < sum(tx.gas for tx in first) * dear, "expected too little for the dear block, found enough")
        stage.site.rpc.call("anvil_setBalance", ADDRESS, hex(balance))
        stage.mine(base_fee=dear)
        stage.tick(keeper)
        for _ in range(waits):
            stage.mine(base_fee=dear)
            stage.tick(keeper)
        short, alarms = answers_with(stage, "insufficient funds"), str(keeper.lane.status()["alarms"])
        nonces = len(siblings(stage))
        require(nonces == count, f"expected no new nonce without money, found {nonces - count}")
        require("send ETH to the key" in alarms, f"expected an alarm for the funds, found {alarms}")
        stage.site.rpc.call("anvil_setBalance", ADDRESS, hex(1_000 * ETHER))
        keeper.settle()
        stage.mine(base_fee=dear)
        keeper.settle()
        stage.settle(keeper)
        left = count - len(stage.sent())
        require(left == 0, f"expected what waited for money offered again with it, found {left} not mined")
        figures = done_once(stage, keeper, count)
        require(short > 0, "expected dearer siblings refused for want of money, found none")
        return figures | {"refused_for_funds": short}

    return run
