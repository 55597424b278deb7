"""Which bytes of a nonce were mined, and what a reorganisation makes of it: F3, F11, F12."""

import random
from dataclasses import replace

from keeper.chaos import Drop, Error, sends
from keeper.chaos.transactions import PoolTx
from keeper.demo.transactions import GWEI
from tests.chain.lane_world import LaneKeeper
from tests.chaos_suite.judge import Counted, Deaf
from tests.chaos_suite.scenario import Figures, Run, hit, require
from tests.chaos_suite.scenarios.blunders import OnlyNewest
from tests.chaos_suite.scenarios.outcome import CALM, done_once, is_cancel, labelled, siblings, strike, trader_of
from tests.chaos_suite.stage import Stage

RIVAL_TIP = 2 * GWEI
LIFETIME = 3
"""Blocks a plan lives: then its nonce is cancelled."""
UNDERPRICED = "transaction underpriced: gas tip cap 1, minimum needed 1000000"


def call_beside_cancel(*, protected: bool) -> Run:
    """F3: an original is mined although its cancel was accepted, and the reverse; the label follows the mined hash."""

    def run(stage: Stage, rng: random.Random) -> Figures:
        count = rng.randint(3, 6)
        stage.mine(base_fee=CALM)
        keeper = stage.keeper(most=count)
        if not protected:
            watch = keeper.lane.fleet.home._watch  # type: ignore[attr-defined]
            watch._ledger = OnlyNewest(watch._ledger)
        swallowed = strike(stage, Drop(), sends())
        stage.tick(keeper)
        for _ in range(LIFETIME):
            stage.mine(base_fee=CALM)
            keeper.settle()
        stage.proxy.remove(swallowed)
        stage.mine(base_fee=CALM)
        keeper.settle()
        offered = siblings(stage)
        cancels = {nonce: found[-1] for nonce, found in offered.items() if is_cancel(found[-1])}
        pooled = [tx for tx in cancels.values() if stage.proxy.pool().by_hash(tx.hash)]
        hit(len(pooled) == count, f"expected {count} cancels in the pool, found {len(pooled)}")
        back = sorted(rng.sample(sorted(offered), rng.randint(1, count - 1)))
        calls = {nonce: rng.choice([tx for tx in offered[nonce] if not is_cancel(tx)]) for nonce in back}
        stage.mine(base_fee=CALM, first=[calls[nonce].raw for nonce in back])
        mined = {one.nonce: one.tx_hash for one in stage.sent()}
        expected = {nonce: (calls.get(nonce) or cancels[nonce]).hash for nonce in offered}
        hit(mined == expected, f"expected {expected} mined, found {mined}")
        keeper.settle()
        labelled(keeper, mined)
        stage.settle(keeper)
        figures = done_once(stage, keeper, len(back))
        ends, wanted = keeper.intents(), {"achieved": len(back), "cancelled": count - len(back)}
        require(dict(ends) == wanted, f"expected intents {wanted}, found {dict(ends)}")
        return figures | {"calls_mined": len(back), "cancels_mined": count - len(back)}

    return run


def swapped_by_reorg(*, protected: bool) -> Run:
    """F11: at the same height another attempt, another status, another block; then a reorg past the confirmations."""

    def run(stage: Stage, rng: random.Random) -> Figures:
        count = rng.randint(4, 6)
        keeper = _waits_and_audits(stage, count) if protected else _believes_first(stage, count)
        firsts, seconds = _two_attempts(stage, keeper, count)
        moved, *others = seconds
        swapped = rng.randrange(len(others))
        flipped = (swapped + rng.randint(1, len(others) - 1)) % len(others)
        stage.mine(base_fee=CALM)
        keeper.settle()
        line = [firsts[1 + row] if row == swapped else tx for row, tx in enumerate(others)]
        (rival,) = stage.site.rival([trader_of(others[flipped])], RIVAL_TIP)
        stage.proxy.reorg(2, place=[(moved.raw, 0), (rival, 1), *((tx.raw, 1) for tx in line)], put_back=False)
        mined = {one.nonce: one for one in stage.sent()}
        hit(mined[line[swapped].nonce].tx_hash == firsts[1 + swapped].hash, "expected the first attempt mined instead")
        hit(not mined[others[flipped].nonce].succeeded, "expected a success turned into a revert, found it was not")
        hit(mined[moved.nonce].block == stage.head().number - 1, "expected one in another block, found it was not")
        keeper.settle()
        wrong = stage.nonces(keeper)
        require(not wrong, f"expected the ledger to follow a reorg at one height, found otherwise: {wrong}")
        stage.proxy.reorg(1, place=[(tx.raw, 0) for tx in line], put_back=False)
        hit(stage.reverted() == 0, "expected the revert turned into a success, found it was not")
        keeper.settle()
        stage.settle(keeper)
        done_once(stage, keeper, count)
        deep = stage.head().number - mined[moved.nonce].block
        stage.proxy.reorg(deep, place=[(tx.raw, 0) for tx in others], put_back=False)
        again = {one.nonce: one.tx_hash for one in stage.sent()}
        hit(len(again) == count, f"expected {count} nonces used as before, found {len(again)}")
        hit(again[line[swapped].nonce] == others[swapped].hash, "expected a final nonce's other attempt mined instead")
        _reopened(stage, keeper, count)
        gone = stage.head().number - mined[moved.nonce].block
        stage.proxy.rollback(gone)
        hit(len(stage.sent()) < count, "expected final transactions off the chain, found all there")
        keeper.settle()
        stage.mine(base_fee=CALM)
        return _reopened(stage, keeper, count) | {"deep_reorg": deep, "blocks_rolled_back": gone}

    return run


def _waits_and_audits(stage: Stage, count: int) -> LaneKeeper:
    return stage.keeper(most=count, rules=replace(stage.site.rules, confirmations=2))


def _believes_first(stage: Stage, count: int) -> LaneKeeper:
    """Return a keeper for which the first block that holds a transaction is the last word on it."""
    at_once = replace(stage.site.rules, confirmations=0)
    return stage.keeper(most=count, rules=at_once, ledger=lambda journal: Deaf(journal, "orphaned"))


def _reopened(stage: Stage, keeper: LaneKeeper, count: int) -> Counted:
    """Require that what was final and left the chain is open again, and in the end as the chain has it."""
    before = _orphaned(keeper)
    keeper.settle()
    require(_orphaned(keeper) > before, "expected final slots open again, found none")
    stage.settle(keeper)
    return done_once(stage, keeper, count)


def _orphaned(keeper: LaneKeeper) -> int:
    """Return how many steps of the journal say that a block left the chain."""
    ((count,),) = keeper.rows("SELECT count(*) FROM steps WHERE state = 'orphaned'")
    return int(count)


def _two_attempts(stage: Stage, keeper: LaneKeeper, count: int) -> tuple[list[PoolTx], list[PoolTx]]:
    """Return the first attempts, which every node refused, and the second ones, which are in the pool; by nonce."""
    for _ in range(2):
        stage.mine(base_fee=CALM)
    refused = strike(stage, Error(-32_000, UNDERPRICED), sends())
    stage.tick(keeper)
    stage.proxy.remove(refused)
    keeper.settle()
    found = [found for _, found in sorted(siblings(stage).items())]
    hit(
        len(found) == count and all(len(pair) == 2 for pair in found),
        f"expected {count} nonces with two attempts, found {[len(pair) for pair in found]}",
    )
    return [pair[0] for pair in found], [pair[1] for pair in found]


def reverted_then_succeeded(*, protected: bool) -> Run:
    """F12: reverted with a block on top, since a stranger was first; after a reorg the same bytes succeed."""

    def run(stage: Stage, rng: random.Random) -> Figures:
        count = rng.randint(2, 5)
        stage.mine(base_fee=CALM)
        keeper = _waits_and_audits(stage, count) if protected else _believes_first(stage, count)
        stage.tick(keeper)
        ours = [found[-1] for _, found in sorted(siblings(stage).items())]
        taken = rng.sample(ours, rng.randint(1, count - 1))
        stage.mine(base_fee=CALM, first=stage.site.rival([trader_of(tx) for tx in taken], RIVAL_TIP))
        keeper.settle()
        stage.mine()
        keeper.settle()
        reverts = stage.reverted()
        hit(reverts == len(taken), f"expected {len(taken)} reverted, found {reverts}")
        stage.proxy.reorg(2, place=[(tx.raw, 0) for tx in ours], put_back=False)
        hit(stage.reverted() == 0, "expected all of them to succeed after the reorg, found reverts")
        keeper.settle()
        still = keeper.intents()["failed"]
        require(still == 0, f"expected no revert counted that its block took with it, found {still}")
        stage.settle(keeper)
        return done_once(stage, keeper, count) | {"reverted_at_first": reverts}

    return run
