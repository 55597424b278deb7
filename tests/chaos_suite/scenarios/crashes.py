"""Keepers that are killed in the middle of their work: T7, T8, F2."""

import random
from dataclasses import dataclass
from typing import Final

from keeper.chaos import Drop, Fault, sends
from keeper.demo.transactions import GWEI
from keeper.rpc import Rpc
from keeper.signer.records import SignedBytes
from tests.chain.lane_world import LaneKeeper
from tests.chaos_suite.interrupted import Interrupted, When, dies, finish, must_die
from tests.chaos_suite.judge import Counted, Deaf, kept_once, without_rescue
from tests.chaos_suite.scenario import Figures, Run, hit, require
from tests.chaos_suite.stage import Stage
from tests.chaos_suite.world import ENDANGERED


@dataclass(frozen=True, slots=True)
class Point:
    """A fault point: before or after one call to the ledger."""

    name: str
    method: str
    when: When


SENDING: Final = (
    Point("after reserve", "reserve", "after"),
    Point("after sign", "stored", "before"),
    Point("after store", "stored", "after"),
    Point("after write-ahead", "offering", "after"),
    Point("after send", "answered", "before"),
)
RECEIPT: Final = (
    Point("before mined", "mined", "before"),
    Point("after mined", "mined", "after"),
    Point("before final", "final", "before"),
    Point("after final", "final", "after"),
)
AFTER_SIGN: Final = SENDING[1]
"""Where only the signer knows of the bytes."""


def at_fault_points(*, protected: bool) -> Run:
    """T7: killed once while sending and once while it learns what became of it; another one goes on each time.

    Unprotected: what the signer signed for the dead keeper is not taken into the ledger.
    """

    def run(stage: Stage, rng: random.Random) -> Figures:
        sending, receipt, count = rng.choice(SENDING), rng.choice(RECEIPT), rng.randint(20, ENDANGERED)
        mined_meanwhile = rng.random() < 0.5
        sending = sending if protected else AFTER_SIGN
        must_die(stage, _doomed(stage, sending, count))
        if mined_meanwhile:
            stage.mine()
        if not protected:
            return _ended(stage, stage.keeper(most=count, ledger=lambda journal: Deaf(journal, "imported")), count)
        second = _doomed(stage, receipt, count)
        while not dies(stage, second):
            hit(stage.head().number < stage.start.number + 6, f"expected a death {receipt.name}, found none")
            stage.mine()
        third = stage.keeper(most=count)
        return _ended(stage, third, count) | {"killed": f"{sending.name}, {receipt.name}"}

    return run


def _doomed(stage: Stage, point: Point, count: int) -> LaneKeeper:
    return stage.keeper(most=count, ledger=lambda journal: Interrupted(journal, point.method, point.when))


def _ended(stage: Stage, keeper: LaneKeeper, count: int) -> Counted:
    stage.tick(keeper)
    blocks = finish(stage, keeper, count)
    liquidated = len(stage.effects())
    require(liquidated >= count, f"expected at least {count} liquidated, found {liquidated}")
    require(stage.reverted() == 0, f"expected no transaction without effect, found {stage.reverted()} reverted")
    _require_known(stage, keeper)
    return kept_once(stage, keeper, liquidated) | {"blocks_after_restart": blocks}


def _require_known(stage: Stage, keeper: LaneKeeper) -> None:
    """Every byte string that ever reached a node is in the ledger."""
    known = {tx_hash for (tx_hash,) in keeper.rows("SELECT tx_hash FROM slot_attempts")}
    strange = {tx.hash for tx in stage.offered()} - known
    require(not strange, f"expected every hash offered in the ledger, found {len(strange)} that are not")


def in_flight(*, protected: bool) -> Run:
    """T8: killed with fifty in flight, of which the node has lost some and a block some.

    Unprotected: the next keeper does not offer again what it finds under way.
    """

    def run(stage: Stage, rng: random.Random) -> Figures:
        lost = sorted(rng.sample(range(1, ENDANGERED), rng.randint(1, 12)))
        faults = [stage.proxy.add(Fault(Drop(), sends(nonce=stage.first_nonce + row, last=1))) for row in lost]
        must_die(stage, _doomed(stage, rng.choice(SENDING[-1:]), ENDANGERED))
        swallowed = sum(stage.proxy.hits(fault) for fault in faults)
        hit(swallowed == len(lost), f"expected {len(lost)} lost by the node, found {swallowed}")
        before = {tx.hash for tx in stage.offered()}
        hit(len(before) == ENDANGERED, f"expected {ENDANGERED} in flight, found {len(before)}")
        if rng.random() < 0.5:
            stage.mine()
        keeper = stage.keeper()
        if not protected:
            without_rescue(keeper)
        stage.tick(keeper)
        stage.mine()
        mined = {one.tx_hash for one in stage.sent()}
        require(mined == before, f"expected the {len(before)} of before mined, found {len(mined & before)}")
        stage.settle(keeper)
        siblings = keeper.rows("SELECT count(*) FROM slot_attempts")[0][0]
        require(siblings == ENDANGERED, f"expected nothing cancelled or replaced, found {siblings} attempts")
        return kept_once(stage, keeper, ENDANGERED) | {"lost_by_the_node": len(lost)}

    return run


BUMPING: Final = (
    Point("after bump-sign", "stored", "before"),
    Point("after bump-store", "stored", "after"),
    Point("after bump-send", "answered", "before"),
)


def while_bumping(*, protected: bool) -> Run:
    """F2: killed between signing a replacement, storing it, sending it and noting that; mined while it is down.

    Unprotected: what the signer signed for the dead keeper is not taken into the ledger.
    """

    def run(stage: Stage, rng: random.Random) -> Figures:
        calm, count = rng.randint(GWEI // 10, GWEI), rng.randint(10, ENDANGERED)
        point = rng.choice(BUMPING) if protected else BUMPING[0]
        stage.mine(base_fee=calm)
        doomed: list[Interrupted] = []
        keeper = stage.keeper(most=count, ledger=lambda journal: _kept(doomed, Interrupted, journal, point))
        stage.tick(keeper)
        originals = {tx.hash for tx in stage.offered()}
        hit(len(originals) == count, f"expected {count} originals sent, found {len(originals)}")
        spike = calm * rng.randint(60, 90)
        stage.mine(base_fee=spike)
        hit(not stage.sent(), f"expected the spike to leave all in the pool, found {len(stage.sent())} mined")
        doomed[0].armed = True
        must_die(stage, keeper)
        bumped = _newest(stage)
        hit(not originals & {one.tx_hash for one in bumped}, "expected a replacement signed for every nonce")
        landed = rng.randint(1, count)
        Rpc(stage.proxy.url).send_raw([one.raw for one in bumped[:landed]])
        stage.mine(base_fee=spike)
        mined = {one.tx_hash for one in stage.sent()}
        hit({one.tx_hash for one in bumped[:landed]} <= mined, f"expected {landed} replacements mined, found others")
        ledger = (lambda journal: journal) if protected else (lambda journal: Deaf(journal, "imported"))
        second = stage.keeper(most=count, ledger=ledger)
        return _ended(stage, second, count) | {"killed": point.name, "mined_while_down": len(mined)}

    return run


def _kept(doomed: list[Interrupted], make: type[Interrupted], journal: object, point: Point) -> Interrupted:
    doomed.append(make(journal, point.method, point.when, armed=False))
    return doomed[-1]


def _newest(stage: Stage) -> list[SignedBytes]:
    """Return the newest bytes the signer has for each nonce, lowest first: what somebody else may have sent on."""
    signed = stage.signing.client("reader").signed(stage.first_nonce)
    newest = {one.nonce: one for one in signed}
    return [newest[nonce] for nonce in sorted(newest)]
