"""Keepers that are killed in the middle of their work: T7, T8, F2."""

import random
from collections.abc import Callable
from typing import Any, Final

from keeper.chaos import Drop, Fault, sends
from keeper.demo.transactions import GWEI
from keeper.rpc import Rpc
from keeper.signer.records import SignedBytes
from tests.chain.lane_world import LaneKeeper
from tests.chaos_suite.interrupted import finish
from tests.chaos_suite.judge import Counted, Deaf, imported, kept_once, without_rescue
from tests.chaos_suite.killing import Point, dies_at
from tests.chaos_suite.scenario import Figures, Run, hit, require
from tests.chaos_suite.stage import Stage
from tests.chaos_suite.world import ENDANGERED

SENDING: Final = {
    "after reserve": Point("reserve", 1, "after"),
    "after sign": Point("stored", 1, "before"),
    "after store": Point("stored", 1, "after"),
    "after write-ahead": Point("offering", 1, "after"),
    "after send": Point("answered", 1, "before"),
}
RECEIPT: Final = {
    "before mined": Point("mined", 1, "before"),
    "after mined": Point("mined", 1, "after"),
    "before final": Point("final", 1, "before"),
    "after final": Point("final", 1, "after"),
}
AFTER_SIGN: Final = "after sign"
"""Where only the signer knows of the bytes."""
AFTER_SEND: Final = "after send"


def at_fault_points(*, protected: bool) -> Run:
    """T7: killed once while sending and once while it learns what became of it; another one goes on each time.

    Unprotected: what the signer signed for the dead keeper is not taken into the ledger.
    """

    def run(stage: Stage, rng: random.Random) -> Figures:
        sending, receipt = rng.choice(sorted(SENDING)), rng.choice(sorted(RECEIPT))
        mined_meanwhile = rng.random() < 0.5
        sending = sending if protected else AFTER_SIGN
        dies_at(stage, SENDING[sending], 1, stage.mine)
        if mined_meanwhile:
            stage.mine()
        if not protected:
            return _ended(stage, stage.keeper(ledger=_deaf))
        dies_at(stage, RECEIPT[receipt], 6, stage.mine)
        return _ended(stage, stage.keeper()) | {"killed": f"{sending}, {receipt}"}

    return run


def _deaf(journal: Any) -> Deaf:
    return Deaf(journal, "imported")


def _ended(stage: Stage, keeper: LaneKeeper) -> Counted:
    stage.tick(keeper)
    imported(stage, keeper)
    blocks = finish(stage, keeper, ENDANGERED)
    require(stage.reverted() == 0, f"expected no transaction without effect, found {stage.reverted()} reverted")
    _require_known(stage, keeper)
    return kept_once(stage, keeper, ENDANGERED) | {"blocks_after_restart": blocks}


def _require_known(stage: Stage, keeper: LaneKeeper) -> None:
    """Every byte string that ever reached a node is in the ledger."""
    known = {tx_hash for (tx_hash,) in keeper.rows("SELECT tx_hash FROM slot_attempts")}
    strange = {tx.hash for tx in stage.offered()} - known
    require(not strange, f"expected every hash offered in the ledger, found {len(strange)} that are not")


def in_flight(*, protected: bool) -> Run:
    """T8: killed with fifty on their way, at any point of sending; after the last, the node has lost some of them.

    Unprotected: the next keeper does not offer again what it finds under way.
    """

    def run(stage: Stage, rng: random.Random) -> Figures:
        name = rng.choice(sorted(SENDING)) if protected else AFTER_SEND
        drops = rng.sample(range(1, ENDANGERED), rng.randint(1, 12)) if name == AFTER_SEND else []
        faults = [stage.proxy.add(Fault(Drop(), sends(nonce=stage.first_nonce + row, last=1))) for row in sorted(drops)]
        dies_at(stage, SENDING[name], 1, stage.mine)
        swallowed = sum(stage.proxy.hits(fault) for fault in faults)
        hit(swallowed == len(drops), f"expected {len(drops)} lost by the node, found {swallowed}")
        before = _under_way(stage, name)
        if rng.random() < 0.5 or not before:
            stage.mine()
        keeper = stage.keeper()
        if not protected:
            without_rescue(keeper)
        stage.tick(keeper)
        stage.mine()
        mined = {one.tx_hash for one in stage.sent()}
        require(
            len(mined) == ENDANGERED, f"expected {ENDANGERED} mined one block after the restart, found {len(mined)}"
        )
        require(not before - mined, f"expected the {len(before)} of before mined, found {len(mined & before)}")
        stage.settle(keeper)
        siblings = keeper.rows("SELECT count(*) FROM slot_attempts")[0][0]
        require(siblings == ENDANGERED, f"expected nothing cancelled or replaced, found {siblings} attempts")
        return kept_once(stage, keeper, ENDANGERED) | {"killed": name, "lost_by_the_node": len(drops)}

    return run


def _under_way(stage: Stage, name: str) -> set[str]:
    """Return the hashes that the signer has signed; what of them reached a node is as the point says, or Unhit."""
    known = {one.tx_hash for one in stage.signing.client("reader").signed(stage.first_nonce)}
    signed = 0 if name == "after reserve" else ENDANGERED
    hit(len(known) == signed, f"{name}: expected {signed} signed, found {len(known)}")
    there, sent = {tx.hash for tx in stage.offered()}, known if name == AFTER_SEND else set()
    hit(there == sent, f"{name}: expected {len(sent)} at the node, found {len(there)}")
    return known


BUMPING: Final = {
    "after bump-sign": Point("stored", 2, "before"),
    "after bump-store": Point("stored", 2, "after"),
    "after bump-send": Point("answered", 2, "before"),
}


def while_bumping(*, protected: bool) -> Run:
    """F2: killed between signing a replacement, storing it, sending it and noting that; mined while it is down.

    Unprotected: what the signer signed for the dead keeper is not taken into the ledger.
    """

    def run(stage: Stage, rng: random.Random) -> Figures:
        calm, count = rng.randint(GWEI // 10, GWEI), ENDANGERED
        name = rng.choice(sorted(BUMPING)) if protected else "after bump-sign"
        stage.mine(base_fee=calm)
        spike = calm * rng.randint(60, 90)
        originals: set[str] = set()
        dies_at(stage, BUMPING[name], 2, _spiked(stage, spike, count, originals), most=count)
        bumped = _newest(stage)
        hit(not originals & {one.tx_hash for one in bumped}, "expected a replacement signed for every nonce")
        landed = rng.randint(1, count)
        Rpc(stage.proxy.url).send_raw([one.raw for one in bumped[:landed]])
        stage.mine(base_fee=spike)
        mined = {one.tx_hash for one in stage.sent()}
        hit({one.tx_hash for one in bumped[:landed]} <= mined, f"expected {landed} replacements mined, found others")
        ledger = (lambda journal: journal) if protected else _deaf
        second = stage.keeper(most=count, ledger=ledger)
        return _ended(stage, second) | {"killed": name, "in_flight": count, "mined_while_down": len(mined)}

    return run


def _spiked(stage: Stage, spike: int, count: int, originals: set[str]) -> Callable[[], None]:
    """Return what mines a block that is too dear for all that was sent, whose hashes it notes."""

    def mine() -> None:
        originals.update(tx.hash for tx in stage.offered())
        hit(len(originals) == count, f"expected {count} originals sent, found {len(originals)}")
        stage.mine(base_fee=spike)
        hit(not stage.sent(), f"expected the spike to leave all in the pool, found {len(stage.sent())} mined")

    return mine


def _newest(stage: Stage) -> list[SignedBytes]:
    """Return the newest bytes the signer has for each nonce, lowest first: what somebody else may have sent on."""
    signed = stage.signing.client("reader").signed(stage.first_nonce)
    newest = {one.nonce: one for one in signed}
    return [newest[nonce] for nonce in sorted(newest)]
