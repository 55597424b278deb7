"""Answers that are lost or wrong about what a node did: F1, F4, F5."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from keeper.chaos import Drop, Error, Lie, Match, Reset, Status, sends
from keeper.chaos.faults import Action
from keeper.submit.endpoints import Endpoints, Offered
from tests.chain.lane_world import LaneKeeper
from tests.chaos_suite.scenario import Figures, Run, hit, require
from tests.chaos_suite.scenarios.blunders import BelievesAnswers, asks_one, gives_up_unseen
from tests.chaos_suite.scenarios.outcome import CALM, done_once, siblings, strike
from tests.chaos_suite.stage import Stage
from tests.signer_desk import ADDRESS

LOST: dict[str, Action] = {
    "reset": Reset(forward=True),
    "502": Status(502, "<html>Bad Gateway</html>", forward=True),
    "504": Status(504, "<html>Gateway Time-out</html>", forward=True),
}
TIME_OUT = "time-out"
TAKEN = Lie("", lambda result: result)
"""No lie at all: it is hit once the node has answered."""
RECEIPT = "eth_getTransactionReceipt"
SPIKE = 4  # of the base fee: beyond the headroom of what was sent before


@dataclass
class Impatient:
    """Outlets that hang up before the answer while they are told to: a time-out without waiting for one."""

    endpoints: Endpoints
    hangs_up: bool = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.endpoints, name)

    def offer(self, signed: Sequence[bytes], to: Any = None) -> tuple[Offered, ...]:
        before = self.endpoints._patience
        self.endpoints._patience = 0.0 if self.hangs_up else before
        try:
            return self.endpoints.offer(signed, to)
        finally:
            self.endpoints._patience = before


def lost_answer(*, protected: bool) -> Run:
    """F1: the node took the bytes and its answer is lost, of a first send and of a bump; the action stays single."""

    def run(stage: Stage, rng: random.Random) -> Figures:
        count = rng.randint(2, 4)
        kinds = rng.sample([*LOST, TIME_OUT], 3)  # of first sends, then of bumps and of first sends beside them
        parts: dict[str, Any] = {"outlets": Impatient}
        if not protected:
            parts["ledger"] = lambda journal: BelievesAnswers(journal, ("NODE_UNAVAILABLE", "UNKNOWN"))
        fee, lost = CALM, 0
        stage.mine(base_fee=fee)
        keeper = stage.keeper(most=count, **parts)
        outlets = keeper.lane._outlets  # type: ignore[attr-defined]
        for kind in kinds:
            lost += _without_answers(stage, keeper, outlets, kind)
            dead = keeper.slots()["lost"]
            require(dead == 0, f"expected no nonce given up for an answer that was lost, found {dead}")
            fee *= SPIKE
            stage.mine(base_fee=fee)
        require(not stage.sent(), f"expected nothing mined above its fees, found {len(stage.sent())}")
        bumped = sum(len(found) > 1 for found in siblings(stage).values())
        keeper.settle()
        stage.mine(base_fee=fee)
        keeper.settle()
        stage.settle(keeper)
        figures = done_once(stage, keeper, len(kinds) * count)
        hit(bumped > 0, "expected the answer of a bump lost, found no bump")
        return figures | {"answers_lost": lost, "bumped": bumped}

    return run


def _without_answers(stage: Stage, keeper: LaneKeeper, outlets: Impatient, kind: str) -> int:
    """Tick while no answer to raw transactions arrives; return how many were lost, all of them taken by the pool."""
    seen, offers = len(stage.offered()), _offers(keeper)
    fault = strike(stage, LOST.get(kind, TAKEN), sends())
    outlets.hangs_up = kind == TIME_OUT
    stage.tick(keeper)
    outlets.hangs_up = False
    wanted = _offers(keeper) - offers if kind == TIME_OUT else 1  # a connection is lost once, with all it carries
    hit(
        stage.proxy.wait(fault, hits=wanted), f"{kind}: expected {wanted} answers lost, found {stage.proxy.hits(fault)}"
    )
    stage.proxy.remove(fault)
    struck = [e for e in stage.proxy.exchanges if e.method == "eth_sendRawTransaction"][seen:]
    hit(
        bool(struck) and all(e.forwarded for e in struck),
        f"{kind}: expected every transaction taken by the node, found some that were not",
    )
    return len(struck)


def _offers(keeper: LaneKeeper) -> int:
    """Return how often bytes were handed to the one endpoint, each time before its socket was written to."""
    ((count,),) = keeper.rows("SELECT count(*) FROM offers")
    return int(count)


def lagging_receipt(*, protected: bool) -> Run:
    """F4: the nonce is used and a replica has no receipt, or says that it is indexing; neither is `not found`."""

    def run(stage: Stage, rng: random.Random) -> Figures:
        count, lag = rng.randint(2, 5), rng.randint(3, 5)
        silent = Error(-32_000, "transaction indexing is in progress")
        kinds: list[Action] = [silent, Lie("", None)]
        rng.shuffle(kinds)
        stage.mine(base_fee=CALM)
        keeper = stage.keeper(most=count, endpoints=("b", "c"))
        if not protected:
            asks_one(stage, keeper, "b")
        for_ever = strike(stage, kinds[0], Match(methods=(RECEIPT,), endpoint="b"))
        stage.tick(keeper)
        stage.mine()
        keeper.settle()
        require(keeper.slots()["mined"] == count, f"expected {count} mined by two of three, found {keeper.slots()}")
        stage.settle(keeper)
        first = done_once(stage, keeper, count)
        lagging = strike(stage, kinds[1], Match(methods=(RECEIPT,), endpoint="c"))
        stage.tick(keeper)
        for _ in range(lag):
            stage.mine()
            keeper.settle()
        used = stage.site.rpc.nonce(ADDRESS, stage.head()) - stage.first_nonce
        hit(used == 2 * count, f"expected {2 * count} nonces used while receipts lag, found {used}")
        states = keeper.slots()
        require(states["offered"] == count, f"expected {count} still open without two receipts, found {states}")
        stage.proxy.remove(lagging)
        stage.settle(keeper)
        hit(min(stage.proxy.hits(for_ever), stage.proxy.hits(lagging)) > 0, "expected receipts withheld, found none")
        withheld = stage.proxy.hits(for_ever) + stage.proxy.hits(lagging)
        return done_once(stage, keeper, 2 * count) | {"receipts_withheld": withheld, "first": first["liquidated"]}

    return run


def unknown_after_accept(*, protected: bool) -> Run:
    """F5: a replica says `unknown` right after it accepted; the bytes stay live and nothing else is signed."""

    def run(stage: Stage, rng: random.Random) -> Figures:
        count, waits = rng.randint(2, 5), rng.randint(1, 2)
        stage.mine(base_fee=CALM)
        keeper = stage.keeper(most=count, endpoints=("b", "c"))
        unknown = [
            strike(stage, Lie("", None), Match(methods=("eth_getTransactionByHash", RECEIPT), endpoint="b")),
            strike(stage, Drop(), sends(endpoint="b")),
        ]
        stage.tick(keeper)
        hit(stage.proxy.hits(unknown[1]) == count, f"expected {count} accepted and forgotten by b")
        if not protected:
            gives_up_unseen(stage, keeper, "b")
        keeper.settle()
        states = keeper.slots()
        require(dict(states) == {"offered": count}, f"expected {count} waited for as before, found {dict(states)}")
        signed = {nonce: len(found) for nonce, found in siblings(stage).items()}
        require(
            sorted(signed) == list(range(stage.first_nonce, stage.first_nonce + count)) and set(signed.values()) == {1},
            f"expected {count} nonces with one transaction each, found {signed}",
        )
        for _ in range(waits):
            stage.mine()
            keeper.settle()
        hit(stage.proxy.hits(unknown[0]) > 0, "expected b asked for what it does not know, found it was not")
        stage.settle(keeper)
        return done_once(stage, keeper, count) | {"unknown_at_b": stage.proxy.hits(unknown[0])}

    return run
