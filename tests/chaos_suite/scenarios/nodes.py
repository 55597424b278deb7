"""What pools do with a line of nonces, and a call that never succeeds at its head: F10, F18, F19."""

import random
from dataclasses import dataclass, replace
from typing import Any

from keeper.chaos import Drop, Error, Limits, sends
from keeper.lanes.simulate import Simulated
from keeper.plans import Liquidate, Plan
from keeper.venues.base import Sending, each_alone
from tests.chain.lane_world import LaneKeeper
from tests.chaos_suite.judge import without_rescue
from tests.chaos_suite.scenario import Figures, Run, hit, require
from tests.chaos_suite.scenarios.outcome import CALM, answers_with, done_once, siblings, strike, trader_of
from tests.chaos_suite.stage import Stage
from tests.signer_desk import ADDRESS

NOWHERE = "0x00000000000000000000000000000000000000d1"
"""No market of the venue."""
OVERSHOT = "insufficient funds for gas * price + value: balance 9, queued cost 7, tx cost 5, overshot 3"
NODES = {
    "geth": Limits(),
    "short queue": Limits(account_queue=2),
    "no queue": Limits(queues_gaps=False),
}
POISONED_BLOCKS = 6
MOST_TRIES = 4
"""Of a call that always fails in simulation: so many are free (quarantine.UNPAID), then pauses begin and double."""


@dataclass
class Poisoned:
    """A venue on which one account, the first that is asked about, can never be liquidated."""

    venue: Any
    account: str = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.venue, name)

    def encode(self, plan: Plan) -> Any:
        self.account = self.account or plan.subject
        if plan.subject == self.account and isinstance(plan, Liquidate):
            plan = replace(plan, market=NOWHERE)
        return self.venue.encode(plan)

    def sendings(self, plans: Any, *_: Any) -> tuple[Sending, ...]:
        return each_alone(self, plans)


class NoSimulation:
    """Instead of the lane's simulation: everything is thought to succeed."""

    def simulate(self, *_: Any) -> Simulated:
        return Simulated({}, {})


def poison(*, protected: bool) -> Run:
    """F10: the first intent of the line always reverts in simulation; the lane goes on and the tries are few."""

    def run(stage: Stage, rng: random.Random) -> Figures:
        count = rng.randint(2, 4)
        stage.mine(base_fee=CALM)
        keeper = stage.keeper(most=count)
        venue = _poison(keeper)
        if not protected:
            keeper.lane._simulation = NoSimulation()  # type: ignore[attr-defined]
        for _ in range(POISONED_BLOCKS):
            stage.tick(keeper)
            stage.mine()
        stage.settle(keeper)
        asked = [
            (subject, status) for subject, status in keeper.rows("SELECT subject, status FROM intents ORDER BY id")
        ]
        hit(asked[0][0] == venue.account, f"expected the poison first in line, found {asked[0]}")
        offered = sum(int(trader_of(tx), 16) == int(venue.account, 16) for tx in _calls(stage))
        require(offered == 0, f"expected no bytes for the poison, found {offered} transactions")
        tries = _tried(stage, venue.account)
        require(tries <= MOST_TRIES, f"expected at most {MOST_TRIES} tries in {POISONED_BLOCKS} blocks, found {tries}")
        first = sum(one.block == stage.start.number + 2 for one in stage.sent())
        require(first == count - 1, f"expected {count - 1} others in the next block, found {first}")
        return done_once(stage, keeper, count * 2) | {"tries": tries}

    return run


def _tried(stage: Stage, account: str) -> int:
    """Return in how many blocks the node was asked to try the poison's call, by the proxy's log."""
    told = account.removeprefix("0x").lower() + 24 * "0" + NOWHERE.removeprefix("0x")
    asked = (e.params for e in stage.proxy.exchanges if e.method in ("eth_call", "eth_estimateGas"))
    return len({str(params[1:2]) for params in asked if told in str(params).lower()})


def _poison(keeper: LaneKeeper) -> Poisoned:
    venue = Poisoned(keeper.app.venue)
    for part in (keeper.lane._simulation, keeper.lane.fleet.home.issue):  # type: ignore[attr-defined]
        part._venue = venue
    return venue


def _calls(stage: Stage) -> list[Any]:
    return [tx for found in siblings(stage).values() for tx in found if tx.data]


def holes_in_the_pool(*, protected: bool) -> Run:
    """F18: a nonce is evicted below pooled ones, one is refused for queued cost, one for its type."""

    def run(stage: Stage, rng: random.Random) -> Figures:
        count = rng.randint(5, 9)
        stage.mine(base_fee=CALM)
        keeper = stage.keeper(most=count)
        if not protected:
            without_rescue(keeper)
        rows = rng.sample(range(count), 3)
        evicted, overshot, conflict = (stage.first_nonce + row for row in rows)
        faults = [
            strike(stage, Error(-32_000, OVERSHOT), sends(nonce=overshot, last=rng.randint(1, 2))),
            strike(stage, Error(-32_000, "address already reserved"), sends(nonce=conflict, last=rng.randint(1, 2))),
        ]
        stage.tick(keeper)
        pool, (gone,) = stage.proxy.pool(), siblings(stage)[evicted]
        hit(
            pool.by_hash(gone.hash) is not None, "expected the transaction pooled before it is evicted, found it is not"
        )
        pool.drop(gone.hash)
        for _ in range(3):
            stage.mine(base_fee=CALM)
            keeper.settle()
        hit(all(stage.proxy.hits(fault) for fault in faults), "expected both refusals, found one missing")
        stage.settle(keeper)
        mined = {one.nonce for one in stage.sent()}
        holes = sorted({evicted, overshot, conflict} - mined)
        require(not holes, f"expected what the pool would not hold offered again, found {holes} not mined")
        used = sorted(siblings(stage))
        lowest = list(range(stage.first_nonce, stage.first_nonce + count))
        require(used == lowest, f"expected nonces {lowest} and no other, found {used}")
        return done_once(stage, keeper, count) | {
            "refused": sum(stage.proxy.hits(fault) for fault in faults),
            "evicted": sum(one.hash == gone.hash for one in pool.dropped),
        }

    return run


def future_nonces(*, protected: bool) -> Run:
    """F19: a burst with one lost in it, on a node that queues what is behind, on one that queues little, on none."""

    def run(stage: Stage, rng: random.Random) -> Figures:
        count, figures, done = rng.randint(4, 7), {}, 0
        stage.mine(base_fee=CALM)
        keeper = stage.keeper(most=count)
        if not protected:
            without_rescue(keeper)
        for kind in rng.sample(sorted(NODES), len(NODES)):
            stage.proxy.pool().limits = NODES[kind]
            first = stage.site.rpc.nonce(ADDRESS, stage.head())
            lost = strike(stage, Drop(), sends(nonce=first + rng.randrange(count - 3), last=1))
            stage.tick(keeper)
            hit(stage.proxy.hits(lost) == 1, f"{kind}: expected one of the burst lost, found {stage.proxy.hits(lost)}")
            done += count
            figures[f"blocks_{kind.replace(' ', '_')}"] = _blocks_until(stage, keeper, done)
        offered = siblings(stage)
        again = {nonce: len(found) for nonce, found in offered.items() if len(found) > 1}
        require(not again, f"expected one transaction a nonce, found {again}")
        hit(answers_with(stage, "nonce too high") > 0, "expected future nonces refused by one kind, found none")
        stage.settle(keeper)
        return done_once(stage, keeper, done) | figures

    return run


def _blocks_until(stage: Stage, keeper: LaneKeeper, done: int) -> int:
    for blocks in (1, 2):
        stage.mine(base_fee=CALM)
        keeper.settle()
        if len(stage.effects()) == done:
            return blocks
    require(False, f"expected {done} liquidated within two blocks of the burst, found {len(stage.effects())}")
    raise AssertionError
