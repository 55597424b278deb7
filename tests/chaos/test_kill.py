"""SIGKILL at every step between an intent and its end: the next keeper carries on, and nothing happens twice.

Run as a script this file is a keeper that kills itself at a chosen step: the real application and its real loop, with
one method replaced. Its signer is a process of its own and dies with it. What happened is then asked of the chain, what
is remembered read from the database.
"""

import fcntl
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

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
from keeper.journal import Journal
from keeper.loop import run
from keeper.rpc import Rpc
from keeper.signer.client import SignerClient
from keeper.submit.endpoints import Endpoints

KEY = Account.from_key("0x" + "5e" * 32)
PASSWORD = "known to this test alone"
CRASH = ((0, 7_934.57), (3_600, 7_342.49), (7_200, 6_334.44))
STEP_S = 900  # of chain time a block
TICKED = "block "
"""How a line begins that says what was done at a block: of `keeper run`, and of the keeper that dies."""
PATIENCE_S = 60.0
"""Of wall time, for everything one keeper does here: an end for a test that hangs, nothing is timed by it."""

STEPS: dict[str, tuple[type, str, set[str], set[str], str]] = {
    "intents journalled": (Journal, "intend", {"intended"}, set(), "expired"),
    "nonces reserved": (Journal, "reserve", {"live"}, {"reserved"}, "expired"),
    "signed, not stored": (SignerClient, "sign", {"live"}, {"reserved"}, "achieved"),
    "stored, offers not noted": (Journal, "stored", {"live"}, {"signed"}, "achieved"),
    "offers noted, nothing sent": (Journal, "offering", {"live"}, {"offered"}, "achieved"),
    "sent, answers not written": (Endpoints, "offer", {"live"}, {"offered"}, "achieved"),
    "answers written": (Journal, "answered", {"live"}, {"offered"}, "achieved"),
    "mined, not final": (Journal, "mined", {"live"}, {"mined"}, "achieved"),
    "final": (Journal, "final", {"achieved"}, {"final"}, "achieved"),
}
"""Name → the method after whose first work the keeper dies; intents and slots it leaves; how its promises end."""


# --- the keeper that dies -----------------------------------------------------------------------------


def doom(owner: type, method: str) -> None:
    """Make the process die when the method has returned from its first call that had anything to do."""
    real = getattr(owner, method)

    def doomed(self: Any, work: Any, *given: Any, **named: Any) -> Any:
        answer = real(self, work, *given, **named)
        if answer if method == "intend" else work:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    setattr(owner, method, doomed)


def main(step: str, config: str) -> None:
    app = open_app(configured(Path(config)))
    doom(*STEPS[step][:2])
    run(app.world, lambda tick: print(f"{TICKED}{tick.head.block.number}"), lambda error: print(error))


# --- the world it dies in -----------------------------------------------------------------------------


@dataclass
class Chain:
    anvil: Anvil
    rpc: Rpc
    deployment: Deployment
    first_block: int
    first_nonce: int

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


class Keeper:
    """A keeper in a process of its own, which says when it is done with a block."""

    def __init__(self, *arguments: str) -> None:
        environment = {**os.environ, "KEEPER_KEYSTORE_PASSWORD": PASSWORD, "PYTHONUNBUFFERED": "1"}
        told: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        self._process = subprocess.Popen([sys.executable, *arguments], cwd=REPO, env=environment, **told)
        self._late = threading.Timer(PATIENCE_S, self._process.kill)
        self.said: list[str] = []

    def __enter__(self) -> Self:
        self._late.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:  # closes the pipe
            self._process.kill()
            self._rest()
        self._late.cancel()

    def ticks(self) -> Iterator[None]:
        """Yield after each block it is done with, until it ends."""
        for line in self._lines():
            if line.startswith(TICKED):
                yield
        self._process.wait()

    def end(self) -> int:
        """Tell it to end, and return its exit code."""
        self._process.terminate()
        return self._rest()

    def _rest(self) -> int:
        for _ in self._lines():
            pass
        return self._process.wait()

    def _lines(self) -> Iterator[str]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.said.append(line)
            yield line

    @property
    def code(self) -> int | None:
        return self._process.poll()

    @property
    def is_late(self) -> bool:
        """Say whether it was ended since it took too long."""
        return self._late.finished.is_set()


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{folder / 'keeper.db'}?mode=ro", uri=True)) as database:
        return database.execute(query).fetchall()


def at_rest(folder: Path) -> bool:
    """Say whether the newest tick left nothing to do and everything ever begun has ended."""
    ((live,),) = rows(folder, "SELECT count(*) FROM intents WHERE status IN ('intended', 'live')")
    ((last, newest),) = rows(folder, "SELECT max(id), (SELECT max(tick_id) FROM intents) FROM ticks")
    return not live and newest is not None and last >= newest + 3


def states(folder: Path, table: str, column: str) -> set[str]:
    return {state for (state,) in rows(folder, f"SELECT {column} FROM {table}")}


ATTEMPTS = "SELECT slot_id, kind, tx_hash, raw FROM slot_attempts ORDER BY id"


def is_free(lock: Path) -> bool:
    """Say whether no signer uses the store any more."""
    with lock.open("rb") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


@pytest.mark.parametrize("step", STEPS)
def test_a_killed_keeper_is_started_again_and_nothing_happens_twice(
    chain: Chain, config: Path, tmp_path: Path, step: str
) -> None:
    *_, intents_left, slots_left, end = STEPS[step]
    with Keeper(str(Path(__file__)), step, str(config)) as doomed:
        for _ in doomed.ticks():
            chain.rpc.call("evm_mine")
        assert (doomed.code, doomed.is_late) == (-signal.SIGKILL, False), "".join(doomed.said)
    # what the dead keeper must have left, or the test would not test what it says
    assert (states(tmp_path, "intents", "status"), states(tmp_path, "slots", "state")) == (intents_left, slots_left)
    promised = [intent for (intent,) in rows(tmp_path, "SELECT id FROM intents")]
    stored = rows(tmp_path, ATTEMPTS)

    with Keeper("-m", "keeper", "run", "--config", str(config)) as keeper:
        for _ in keeper.ticks():  # no block before it has ticked: what was promised for the next three is still due
            if at_rest(tmp_path):
                break
            chain.rpc.call("evm_mine")
        assert keeper.end() == 0, "".join(keeper.said)
    assert is_free(tmp_path / "keystore-signer" / "signer.db.lock")

    sent = chain.sent()
    # the same bytes; every nonce is in the journal, once, and on the chain, once
    assert rows(tmp_path, ATTEMPTS)[: len(stored)] == stored
    kept = rows(tmp_path, "SELECT nonce, state, winner_hash FROM slots WHERE state <> 'released' ORDER BY nonce")
    assert kept == [(nonce, "final", sent[nonce][0]) for nonce in sorted(sent)]
    assert sorted(sent) == list(range(chain.first_nonce, chain.rpc.nonce(KEY.address, chain.rpc.block())))
    assert all(succeeded for _, succeeded in sent.values())
    # one successful liquidation for each intent that claims one, and none besides
    achieved = rows(tmp_path, "SELECT subject FROM intents WHERE status = 'achieved' AND kind = 'liquidate'")
    assert Counter(subject for (subject,) in achieved) == chain.liquidations()
    assert len(chain.liquidations()) >= 15
    # what was promised before the death ended as the chain says
    ends = dict(rows(tmp_path, "SELECT id, status FROM intents"))
    assert {ends[intent] for intent in promised} == {end}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
