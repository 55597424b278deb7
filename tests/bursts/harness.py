"""One run: the real application behind Geth's pool, one block that endangers everybody, a tick a block until done."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import orjson

from keeper.app import App, configured, open_app
from keeper.chain import Receipt
from keeper.chaos import ChaosProxy
from keeper.chaos.requests import Exchange
from keeper.loop import tick
from keeper.sending.answers import AnswerClass, classify
from keeper.signer.keystore import PASSWORD
from tests.bursts.world import BLOCK_GAS, ETHER, Burst, undone

SECRET = "correct horse battery staple"
PATIENCE = 12
"""Blocks after which a burst counts as never finished."""
SEND = "eth_sendRawTransaction"
NONCE_ERRORS = frozenset({AnswerClass.NONCE_USED, AnswerClass.NONCE_GAP, AnswerClass.NONCE_AMBIGUOUS})


@dataclass(frozen=True, slots=True)
class Turn:
    """One tick. Milliseconds of a monotonic clock."""

    head_ms: float  # asking for the newest head
    stages: Mapping[str, float]
    first_ms: float | None  # from the head received to the first raw transaction at the proxy; None: nothing sent
    plans: int
    raw: int


@dataclass(frozen=True, slots=True)
class Run:
    """What one burst came to, by the chain and by the proxy's log."""

    venue: str
    size: int
    seed: int
    blocks: int | None  # after the one that endangered all, until done; None: not done in PATIENCE
    effects: Mapping[str, int]  # accounts by kind of effect
    mined: int  # the keeper's transactions
    reverts: int
    raw: int  # raw transactions at the proxy
    nonce_errors: int
    refusals: int  # any answer to a raw transaction but its hash
    gas_used: tuple[int, ...]  # by block
    turns: tuple[Turn, ...]


def run(burst: Burst, seed: int) -> Run:
    """Make one run from the burst's own state, which is as before afterwards."""
    with (
        undone(burst.rpc),
        TemporaryDirectory(prefix="burst-") as name,
        ChaosProxy(burst.url, seed=seed, geth_pool=True) as proxy,
    ):
        folder = Path(name)
        (folder / "keystore.json").write_bytes(orjson.dumps(burst.key.encrypt(SECRET, kdf="pbkdf2", iterations=10)))
        burst.rpc.call("anvil_setBalance", burst.key.address, hex(10_000 * ETHER))
        with patch.dict("os.environ", {PASSWORD: SECRET}):
            app = open_app(configured(burst.write_config(folder, proxy.url)))
        with app:
            return _fallen(burst, proxy, app, seed)


def _fallen(burst: Burst, proxy: ChaosProxy, app: App, seed: int) -> Run:
    before = turn(app, proxy)
    assert before.plans == 0, f"expected nothing to do before the fall, found {before.plans} plans"
    start = burst.endanger(proxy).number
    turns: list[Turn] = []
    while not done(burst, start) and len(turns) < PATIENCE:
        turns.append(turn(app, proxy))
        proxy.mine()
    effects, sent, mined = burst.effects(start), raw(proxy), keepers(burst, start)
    return Run(
        venue=burst.name,
        size=burst.size,
        seed=seed,
        blocks=len(turns) if done(burst, start) else None,
        effects=effects,
        mined=len(mined),
        reverts=sum(not receipt.succeeded for receipt in mined),
        raw=len(sent),
        nonce_errors=sum(_class(one) in NONCE_ERRORS for one in sent),
        refusals=sum(one.error is not None or one.answer is None for one in sent),
        gas_used=gas_used(burst, start),
        turns=tuple(turns),
    )


def done(burst: Burst, start: int) -> bool:
    """Whether everybody had every kind of effect, and the venue would let nobody be liquidated any more."""
    found = burst.effects(start)
    return all(count == burst.size for count in found.values()) and burst.endangered() == 0


def turn(app: App, proxy: ChaosProxy) -> Turn:
    before = len(raw(proxy))
    asked = time.monotonic_ns()
    head = app.world.heads.newest()
    received = time.monotonic_ns()
    seen = tick(head, app.world)
    sent = raw(proxy)[before:]
    first = min((one.received_ns for one in sent), default=None)
    return Turn(
        head_ms=(received - asked) / 1e6,
        stages=dict(seen.latency_ms),
        first_ms=None if first is None else (first - received) / 1e6,
        plans=len(seen.plans),
        raw=len(sent),
    )


def raw(proxy: ChaosProxy) -> Sequence[Exchange]:
    return [one for one in proxy.exchanges if one.method == SEND]


def _class(one: Exchange) -> AnswerClass | None:
    error = one.error
    return None if error is None else classify(error.get("code"), str(error.get("message")), None)


def keepers(burst: Burst, since: int) -> list[Receipt]:
    """Return the receipts of the key's transactions after block `since`."""
    key = int(burst.key.address, 16)
    found = (t["hash"] for block in blocks(burst, since) for t in block["transactions"] if int(t["from"], 16) == key)
    receipts = burst.rpc.receipts(list(found))
    return [receipt for receipt in receipts if isinstance(receipt, Receipt)]


def gas_used(burst: Burst, since: int) -> tuple[int, ...]:
    found = blocks(burst, since)
    assert all(int(block["gasLimit"], 16) == BLOCK_GAS for block in found)
    return tuple(int(block["gasUsed"], 16) for block in found)


def blocks(burst: Burst, since: int) -> list[dict[str, Any]]:
    """Return the blocks after `since`, oldest first, with their transactions."""
    numbers = range(since + 1, burst.rpc.block().number + 1)
    return [burst.rpc.call("eth_getBlockByNumber", hex(number), True) for number in numbers]
