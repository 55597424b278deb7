"""Somebody else uses the key, or its account becomes a delegated one: F15, F15-stranger."""

import random
from contextlib import nullcontext
from unittest import mock

from eth_account import Account

from keeper.chaos.transactions import decoded
from keeper.demo.transactions import GWEI
from keeper.lanes.watch import LOST_DEPTH
from tests.chain.lane_world import CHAIN_ID, LaneKeeper
from tests.chaos_suite.interrupted import finish
from tests.chaos_suite.judge import Deaf, must_fail
from tests.chaos_suite.scenario import Figures, Run, hit, require
from tests.chaos_suite.scenarios.outcome import CALM, answers_with, done_once, is_cancel, siblings
from tests.chaos_suite.stage import Stage
from tests.signer_desk import ADDRESS, SECRET

SINK = "0x00000000000000000000000000000000000051C1"
DELEGATION = "0xef0100" + SINK[2:].lower()
DELEGATED = "delegated accounts"
ONE_LOST = "expected one slot lost"
ONE_BY_ONE = 20
"""Blocks: a delegated account has one transaction in each, and plans that wait too long are cancelled."""


def taken_and_given_back(*, protected: bool) -> Run:
    """F15-stranger: a foreign transaction takes a reserved nonce, and a reorg deeper than finality gives it back.

    Unprotected: a nonce that somebody else used is not given up, which must fail; then one that was is not looked at
    again.
    """

    def run(stage: Stage, rng: random.Random) -> Figures:
        count = rng.randint(3, 5)
        stage.mine(base_fee=CALM)
        taken = stage.first_nonce + rng.randrange(count)
        if protected:
            keeper = stage.keeper(most=count)
            _mined_elsewhere(stage, keeper, taken)
        else:
            hopeful = stage.keeper(most=count, ledger=lambda journal: Deaf(journal, "lost"))
            must_fail(lambda: _mined_elsewhere(stage, hopeful, taken), ONE_LOST)
            stage.close(hopeful)
            keeper = stage.keeper(most=count, ledger=lambda journal: Deaf(journal, "orphaned"))
            keeper.settle()
            _require_one_lost(keeper)
        deep = _given_back(stage, keeper, taken)
        return done_once(stage, keeper, count) | {"deep_reorg": deep}

    return run


def used_elsewhere(*, protected: bool) -> Run:
    """F15: a foreign transaction is pooled at the next nonce before the keeper's own; then a delegation.

    Unprotected: a delegated account has as many in flight as any other.
    """

    def run(stage: Stage, rng: random.Random) -> Figures:
        count = rng.randint(3, 5)
        stage.mine(base_fee=CALM)
        keeper = stage.keeper(most=count)
        rule = nullcontext() if protected else mock.patch("keeper.lanes.rescue.one_in_flight", lambda _: False)
        with rule:
            foreign = [_pooled_elsewhere(stage, keeper, rng)]
            refused = _delegated(stage, keeper)
        finish(stage, keeper, 2 * count, ONE_BY_ONE)
        return done_once(stage, keeper, 2 * count, foreign) | {"refused_as_delegated": refused}

    return run


def _foreign(nonce: int, max_fee: int) -> bytes:
    fees = {"gas": 21_000, "maxFeePerGas": max_fee, "maxPriorityFeePerGas": 2 * GWEI}
    fields = {"type": 2, "chainId": CHAIN_ID, "nonce": nonce, "to": SINK, "value": 0, **fees}
    return bytes(Account.from_key(SECRET).sign_transaction(fields).raw_transaction)


def _mined_elsewhere(stage: Stage, keeper: LaneKeeper, nonce: int) -> None:
    """Let a foreign transaction take `nonce`, which is signed and offered, for good as far as anybody knows."""
    stage.tick(keeper)
    hit(nonce in siblings(stage), f"expected nonce {nonce} offered, found {sorted(siblings(stage))}")
    raw = _foreign(nonce, 100 * GWEI)
    stage.mine(base_fee=CALM, first=[raw])
    there = {one.nonce: one.tx_hash for one in stage.sent()}
    hit(there.get(nonce) == decoded(raw).hash, "expected the foreign transaction mined, found it was not")
    for _ in range(LOST_DEPTH + 1):
        keeper.settle()
        stage.mine(base_fee=CALM)
    keeper.settle()
    _require_one_lost(keeper)


def _require_one_lost(keeper: LaneKeeper) -> None:
    require(keeper.slots()["lost"] == 1, f"{ONE_LOST}, found {keeper.slots()}")


def _given_back(stage: Stage, keeper: LaneKeeper, nonce: int) -> int:
    """Let a reorg deeper than finality mine the lost bytes of `nonce` in place of the foreign transaction.

    Return how deep it was.
    """
    before = {one.nonce: one for one in stage.sent()}
    line = {n: [tx for tx in siblings(stage)[n] if not is_cancel(tx)][-1] for n in before}
    deep = stage.head().number - before[nonce].block + 1
    stage.proxy.reorg(deep, place=[(line[n].raw, 0) for n in sorted(line)], put_back=False)
    there = {one.nonce: one.tx_hash for one in stage.sent()}
    hit(there.get(nonce) == line[nonce].hash, "expected the lost bytes mined after the reorg, found they were not")
    keeper.settle()
    stage.settle(keeper)
    done_once(stage, keeper, len(line))
    return deep


def _pooled_elsewhere(stage: Stage, keeper: LaneKeeper, rng: random.Random) -> str:
    """Let a foreign transaction wait in the pool at the next nonce when the keeper's own arrive; return its hash."""
    nonce = stage.site.rpc.nonce(ADDRESS, stage.head())
    raw = _foreign(nonce, rng.randint(2, 4) * GWEI)
    stage.rpc_of("c").call("eth_sendRawTransaction", "0x" + raw.hex())
    stage.tick(keeper)
    hit(answers_with(stage, "replacement transaction underpriced") > 0, "expected ours refused for the foreign one")
    keeper.settle()
    alarms = str(keeper.lane.status()["alarms"])
    require("used elsewhere" in alarms, f"expected an alarm that the key is used elsewhere, found {alarms}")
    stage.mine(base_fee=CALM)
    keeper.settle()
    stage.settle(keeper)
    return decoded(raw).hash


def _delegated(stage: Stage, keeper: LaneKeeper) -> int:
    """Make the key a delegated account; return how many of the burst the pool refused, and none after it."""
    stage.site.rpc.call("anvil_setCode", ADDRESS, DELEGATION)
    stage.tick(keeper)
    refused = answers_with(stage, DELEGATED)
    hit(refused > 0, "expected a delegated account's burst refused, found it taken")
    for _ in range(3):
        stage.mine(base_fee=CALM)
        keeper.settle()
    later = answers_with(stage, DELEGATED) - refused
    require(later == 0, f"expected one in flight after the first answers, found {later} more refused")
    return refused
