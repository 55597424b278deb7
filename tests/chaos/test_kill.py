"""SIGKILL at every step between an intent and its end: the next keeper carries on, and nothing happens twice.

Run as a script this file is a keeper that kills itself at a chosen step: the real application and its real loop, with
one part of the executor wrapped. What happened is then asked of the chain, what is remembered read from the database.
"""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from eth_account import Account

from keeper.abi import interface, topic_address
from keeper.app import configured, open_app
from keeper.demo.anvil import REPO, Anvil, start_anvil
from keeper.demo.config import write_config
from keeper.demo.curie import deploy
from keeper.demo.deployment import Deployment
from keeper.demo.replay import replay
from keeper.demo.traders import open_book
from keeper.loop import run
from keeper.rpc import Rpc

KEY = Account.from_key("0x" + "5e" * 32)
PASSWORD = "known to this test alone"
CRASH = ((0, 7_934.57), (3_600, 7_342.49), (7_200, 6_334.44))
STEP_S = 900  # of chain time a block
BLOCK_S = 0.25
START_S, END_S = 60.0, 60.0

STEPS = {
    "intents journalled, nothing stored": ("_signer", "sign", 3, "after"),
    "bytes stored, nothing offered": ("_route", "send", 0, "before"),
    "offered, not marked": ("_route", "send", 0, "after"),
    "some marked": ("_ledger", "mark_broadcast", 2, "after"),
    "mined, not settled": ("_ledger", "settle", 0, "before"),
    "settled, its intent not closed": ("_ledger", "settle", 0, "after"),
    "some closed": ("_ledger", "close_intent", 1, "after"),
}
"""Name → part of the executor, its method, after how many calls, before or after the real one."""


# --- the keeper that dies -----------------------------------------------------------------------------


class Doomed:
    """Passes everything on to the real part until its time has come."""

    def __init__(self, part: Any, method: str, calls: int, when: str) -> None:
        self._part, self._method, self._left, self._when = part, method, calls, when

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._part, name)
        return real if name != self._method else lambda *given, **named: self._call(real, given, named)

    def _call(self, real: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        last, self._left = self._left == 0, self._left - 1
        if last and self._when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = real(*given, **named)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer


def main(step: str, config: str) -> None:
    app = open_app(configured(Path(config)))
    part, method, calls, when = STEPS[step]
    executor = app.world.executor
    setattr(executor, part, Doomed(getattr(executor, part), method, calls, when))
    run(app.world, lambda _: None, lambda error: print(error, file=sys.stderr))


# --- the world it dies in -----------------------------------------------------------------------------


@dataclass
class Chain:
    anvil: Anvil
    rpc: Rpc
    deployment: Deployment
    first_block: int
    first_nonce: int

    def mine_until(self, process: subprocess.Popen[bytes], done: Any, within: float) -> None:
        """Mine blocks at a fixed interval, keeper or no keeper, until `done()`."""
        deadline = time.monotonic() + within
        while not done():
            assert time.monotonic() < deadline, "it took too long"
            if process.poll() is None:
                self.rpc.call("evm_mine")
            time.sleep(BLOCK_S)

    def liquidations(self) -> Counter[str]:
        """Return how often each account was liquidated, as the chain's events say."""
        topic = interface("perp_curie/ClearingHouse").event("PositionLiquidated").topic
        house = self.deployment.contracts.clearing_house
        logs = self.rpc.logs([house], [topic], self.first_block + 1, self.rpc.block().number)
        return Counter(topic_address(log.topics[1]) for log in logs)

    def sent(self) -> dict[int, tuple[str, bool]]:
        """Return the keeper's mined transactions: nonce → hash, success. Read block by block."""
        found = {}
        for number in range(self.first_block + 1, self.rpc.block().number + 1):
            for transaction in self.rpc.call("eth_getBlockByNumber", hex(number), True)["transactions"]:
                if int(transaction["from"], 16) == int(KEY.address, 16):
                    receipt = self.rpc.call("eth_getTransactionReceipt", transaction["hash"])
                    succeeded = int(receipt["status"], 16) == 1
                    found[int(transaction["nonce"], 16)] = (transaction["hash"], succeeded)
        return found


@pytest.fixture
def chain() -> Iterator[Chain]:
    """After the fall, twenty accounts are liquidatable; nothing is mined unless asked for."""
    with start_anvil() as anvil:
        deployment = open_book(anvil.url, deploy(anvil.url, keeper_address=KEY.address))
        replay(anvil.url, deployment, CRASH, block_seconds=0.0)
        rpc = Rpc(anvil.url, timeout_s=30.0)
        rpc.call("evm_setAutomine", False)
        head = rpc.block()
        yield Chain(anvil, rpc, deployment, head.number, rpc.nonce(KEY.address, head))


@pytest.fixture
def config(chain: Chain, tmp_path: Path) -> Path:
    keystore = Account.encrypt(KEY.key, PASSWORD, kdf="pbkdf2", iterations=1)
    (tmp_path / "keystore.json").write_bytes(orjson.dumps(keystore))
    return write_config(tmp_path, chain.anvil.url, chain.deployment, "live")


def start(folder: Path, name: str, *arguments: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "KEEPER_KEYSTORE_PASSWORD": PASSWORD, "PYTHONUNBUFFERED": "1"}
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen([sys.executable, *arguments], stdout=log, stderr=log, cwd=REPO, env=environment)


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{folder / 'keeper.db'}?mode=ro", uri=True)) as database:
        return database.execute(query).fetchall()


def at_rest(folder: Path) -> bool:
    """Say whether the newest tick left nothing to do and everything ever begun has ended."""
    ((live,),) = rows(folder, "SELECT count(*) FROM intents WHERE status IN ('intended', 'live')")
    ((last, newest),) = rows(folder, "SELECT max(id), (SELECT max(tick_id) FROM intents) FROM ticks")
    return not live and newest is not None and last >= newest + 3


def states(folder: Path, table: str) -> Counter[str]:
    return Counter(status for (status,) in rows(folder, f"SELECT status FROM {table}"))


FOUND = {  # what the dead keeper must have left, or the test would not test what it says
    "intents journalled, nothing stored": ({"intended"}, set()),
    "bytes stored, nothing offered": ({"live"}, {"signed"}),
    "offered, not marked": ({"live"}, {"signed"}),
    "some marked": ({"live"}, {"signed", "broadcast"}),
    "mined, not settled": ({"live"}, {"broadcast"}),
    "settled, its intent not closed": ({"live"}, {"broadcast", "mined"}),
    "some closed": ({"live", "achieved"}, {"broadcast", "mined"}),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_killed_keeper_is_started_again_and_nothing_happens_twice(
    chain: Chain, config: Path, tmp_path: Path, step: str
) -> None:
    doomed = start(tmp_path, "doomed", str(Path(__file__)), step, str(config))
    chain.mine_until(doomed, lambda: doomed.poll() is not None, START_S)
    assert doomed.returncode == -signal.SIGKILL, (tmp_path / "doomed.log").read_text()
    assert (set(states(tmp_path, "intents")), set(states(tmp_path, "attempts"))) == FOUND[step]
    promised = rows(tmp_path, "SELECT id, subject FROM intents")
    stored = rows(tmp_path, "SELECT id, intent_id, nonce, tx_hash, raw FROM attempts")

    keeper = start(tmp_path, "keeper", "-m", "keeper", "run", "--config", str(config))
    try:
        chain.mine_until(keeper, lambda: keeper.poll() is not None or at_rest(tmp_path), END_S)
        keeper.terminate()
        assert keeper.wait(END_S) == 0, (tmp_path / "keeper.log").read_text()
    finally:
        keeper.kill()
        keeper.wait()

    sent = chain.sent()
    attempts = rows(tmp_path, "SELECT id, intent_id, nonce, tx_hash, raw FROM attempts")
    # the same bytes, never others for the same intent; every nonce is in the journal, once, and on the chain, once
    assert attempts[: len(stored)] == stored
    assert len({intent for _, intent, *_ in attempts}) == len(attempts)
    assert {nonce: tx_hash for _, _, nonce, tx_hash, _ in attempts} == {n: h for n, (h, _) in sent.items()}
    assert sorted(sent) == list(range(chain.first_nonce, chain.rpc.nonce(KEY.address, chain.rpc.block())))
    assert all(succeeded for _, succeeded in sent.values())
    # one successful liquidation for each intent that claims one, and none besides
    achieved = rows(tmp_path, "SELECT subject FROM intents WHERE status = 'achieved' AND kind = 'liquidate'")
    assert Counter(subject for (subject,) in achieved) == chain.liquidations()
    assert len(chain.liquidations()) >= 15
    # what was promised before the death ended as the chain says
    ends = dict(rows(tmp_path, "SELECT id, status FROM intents"))
    signed = {intent for _, intent, *_ in stored}
    assert {ends[i] for i, _ in promised if i in signed} <= {"achieved"}
    assert {ends[i] for i, _ in promised if i not in signed} <= {"expired"}
    assert states(tmp_path, "attempts") == Counter(mined=len(sent))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
