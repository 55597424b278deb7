"""Answers in the wrong envelope, and endpoints that one bad transaction or a slow answer takes away: F24, F25."""

import random
import threading
from typing import Final

from keeper.chaos import DuplicateId, Error, Fault, Hold, Match, SingleForBatch, Slow, Status, Truncate, sends
from keeper.chaos.faults import Action
from keeper.chaos.requests import SEND
from keeper.submit.endpoints import Endpoints
from tests.chain.lane_world import LaneKeeper
from tests.chaos_suite.judge import kept_once, without_rescue
from tests.chaos_suite.scenario import Figures, Run, hit, require
from tests.chaos_suite.scenarios.nonces import same_bytes
from tests.chaos_suite.stage import Stage
from tests.chaos_suite.world import ENDANGERED

TRIES = 4
"""Offers of one block that are answered wrongly, each in another way."""
IN_BLOCKS = 2
"""All must be mined by then once answers are right again."""


def _envelopes(rng: random.Random, *, forward: bool) -> dict[str, Action]:
    """Return every wrong envelope; with `forward` the node has taken the bytes all the same."""
    gibberish = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz ", k=40))
    return {
        "nonce too low as -32603": Error(-32_603, "Internal error: nonce too low", forward=forward),
        "200 with HTML": Status(200, "<html><body>Welcome</body></html>", forward=forward),
        "429 that says already known": Status(429, "already known", "text/plain", forward=forward),
        "unknown words": Error(-32_000, gibberish, forward=forward),
        "cut words": Error(-32_000, "transaction underpr", forward=forward),
        "other tongue": Error(-32_000, "Die Nonce ist zu niedrig", forward=forward),
        "one id for all": DuplicateId(),
        "one error for all": SingleForBatch(),
        "half a body": Truncate(0.5),
    }


def wrong_envelopes(*, protected: bool) -> Run:
    """F24: what a node says comes in the wrong code, status, wording, number or body, for all of a batch or a part.

    Unprotected: what was answered so is not offered again.
    """

    def run(stage: Stage, rng: random.Random) -> Figures:
        count = ENDANGERED
        keeper = stage.keeper(most=count)
        if not protected:
            without_rescue(keeper)
        envelopes = _envelopes(rng, forward=protected and rng.random() < 0.5)
        names = rng.sample(sorted(envelopes), TRIES) if protected else ["unknown words"]
        wrongly = sum(_offered_once(stage, keeper, envelopes[name], rng.choice((1.0, 0.5)), name) for name in names)
        before = {tx.hash for tx in stage.offered()}
        for _ in range(IN_BLOCKS):
            keeper.settle()
            stage.mine()
        mined = {one.tx_hash for one in stage.sent()}
        require(mined <= before, f"expected no other bytes for an answer, found {len(mined - before)} signed anew")
        require(len(mined) == count, f"expected {count} mined in {IN_BLOCKS} blocks, found {len(mined)}")
        stage.settle(keeper)
        return kept_once(stage, keeper, count) | {
            "envelopes": ", ".join(names),
            "answered_wrongly": wrongly,
        }

    return run


def _offered_once(stage: Stage, keeper: LaneKeeper, action: Action, share: float, name: str) -> int:
    """Let the keeper offer while answers come in this envelope: all of a batch, or about a share of its items.

    Returns how many raw transactions the proxy answered so.
    """
    part = isinstance(action, Error) and share < 1.0
    fault = stage.proxy.add(Fault(action, Match(methods=(SEND,), probability=share if part else 1.0)))
    stage.tick(keeper)
    hit(stage.proxy.hits(fault) > 0, f"expected an answer with {name}, found none")
    stage.proxy.remove(fault)
    return stage.proxy.hits(fault)


# --- endpoints that are taken away -------------------------------------------------------------------

PAUSING: Final = (
    Error(-32_005, "daily request count exceeded, request rate limited"),
    Error(429, "Too Many Requests"),
    Error(-32_603, "internal error"),
)
SLOW: Final = Slow(pieces=100, pause_s=0.3)
"""An answer after thirty seconds, a piece at a time."""
FREED_WITHIN = 5


def paused_by_one(*, protected: bool) -> Run:
    """F25: every endpoint complains of its limits whenever it is offered one certain transaction; one of them drips its
    answers, and never answers what is asked of it.

    Unprotected: the bad transaction is never replaced.
    """

    def run(stage: Stage, rng: random.Random) -> Figures:
        count = ENDANGERED
        bad = stage.first_nonce + rng.randint(0, count - 1)
        keeper = stage.keeper(most=count, endpoints=("b", "c"))
        if not protected:
            without_rescue(keeper)
        paused = stage.proxy.add(Fault(rng.choice(PAUSING), sends(where=same_bytes(bad))))
        drips = stage.proxy.add(Fault(SLOW, Match(methods=(SEND,), endpoint="c")))
        _owes_an_answer(stage, keeper, "c")
        stage.tick(keeper)
        complained = stage.proxy.hits(paused)
        hit(complained >= 2, f"expected every endpoint to complain, found {complained} complaints")
        stage.mine()
        below = set(range(stage.first_nonce, bad))
        mined = {one.nonce for one in stage.sent()}
        require(mined == below, f"expected all below the bad transaction mined at once, found {len(mined)}")
        blocks = _freed(stage, keeper, count)
        dripped = stage.proxy.hits(drips)
        hit(dripped > 0, "expected an endpoint that drips, found none")
        stage.settle(keeper)
        return kept_once(stage, keeper, count) | {"paused": stage.proxy.hits(paused), "blocks_until_freed": blocks}

    return run


def _owes_an_answer(stage: Stage, keeper: LaneKeeper, name: str) -> None:
    """Let an endpoint be silent from here on; one question of the keeper's waits there already.

    So nothing here waits for a clock: the keeper waits its patience for an endpoint only as long as that owes nothing.
    """
    silent = stage.proxy.add(Fault(Hold(), Match(methods=("eth_chainId",), endpoint=name)))
    endpoints: Endpoints = keeper.lane.fleet.home._facts._endpoints  # type: ignore[attr-defined]
    threading.Thread(target=endpoints.ask, args=((name,), lambda _, rpc: rpc.chain_id()), daemon=True).start()
    hit(stage.proxy.wait(silent), f"expected {name} to keep a question, found that it was not asked")


def _freed(stage: Stage, keeper: LaneKeeper, count: int) -> int:
    """Return in which block the bad transaction's nonce and all behind it were mined."""
    for block in range(1, FREED_WITHIN + 1):
        keeper.settle()
        stage.mine()
        if len(stage.sent()) == count:
            return block
    require(False, f"expected {count} mined in {FREED_WITHIN} blocks, found {len(stage.sent())}")
    raise AssertionError
