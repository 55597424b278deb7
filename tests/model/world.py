"""Chain, endpoints, signer and keepers together, and everything the adversary may do to them between two calls."""

import atexit
import os
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import sqlalchemy as sa

from keeper.errors import JournalError
from keeper.lanes import offering
from keeper.signer.records import Refusal
from tests.ledger_world import file_url, opened
from tests.model.chain import Chain, count
from tests.model.endpoints import SENDS, Head, Node, endpoints
from tests.model.keepers import EXPOSURE_CAP, RULES, Crash, Keeper
from tests.model.reader import CLOSED, Broken, Reader
from tests.signer_desk import ADDRESS, GWEI, POLICY, Desk

CAPS = replace(POLICY, max_gas=100_000, max_tip=100 * GWEI)
WRITES = frozenset({"close_intent", "close_intents", "reserve", "stored", "imported", "offering", "answered"})
WRITES |= frozenset({"mined", "orphaned", "final", "lost", "released", "sign"})
CALM_BLOCKS = 60
"""Blocks within which an honest world must have seen everything through."""
AGREEING = 2
"""Endpoints that make a fact, of three."""
MEMORY = "/dev/shm"


@cache
def _compiled() -> sa.Engine:
    """Return the engine whose dialect and compiled statements all others share: compiling takes half of a run."""
    engine = sa.create_engine("sqlite://")
    engine.connect().close()
    return engine


def _engine(url: str, **given: Any) -> sa.Engine:
    engine = sa.create_engine(url, **given)
    engine.dialect = _compiled().dialect
    engine._compiled_cache = _compiled()._compiled_cache
    return engine


@cache
def _folder() -> Path:
    """Return the folder of every world of this process, in memory where possible: a lost page is not tested here."""
    folder = Path(tempfile.mkdtemp(prefix="keeper-model-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def template() -> bytes:
    """Return an empty journal's file: its migrations take longer than a whole run."""
    with tempfile.TemporaryDirectory() as folder:
        opened(file_url(folder)).close()
        return (Path(folder) / "keeper.db").read_bytes()


def template_without(index: str) -> bytes:
    """Return an empty journal's file whose database no longer keeps one of its rules."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "keeper.db"
        path.write_bytes(template())
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"DROP INDEX {index}")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return path.read_bytes()


class World:
    def __init__(self, files: Mapping[str, bytes] | None = None, chain: Chain | None = None) -> None:
        """`files`: what is on the disk when it begins, by name; `chain` as it is then. New ones if not given."""
        self.folder = _folder()
        shutil.rmtree(self.folder)
        self.folder.mkdir()
        self._wall_ms = 1_700_000_000_000
        self._patches: list[Any] = [
            mock.patch.object(offering, "wall_ms", lambda: self._wall_ms),
            mock.patch("keeper.journal.database.create_engine", _engine),
            mock.patch("keeper.signer.database.create_engine", _engine),
        ]
        for patch in self._patches:
            patch.start()
        for name, held in (files or {"keeper.db": template()}).items():
            (self.folder / name).write_bytes(held)
        self.chain = chain or Chain()
        self.head = Head(self.chain)
        self.desk = Desk(self.folder, policy=CAPS)
        self.reader = Reader(
            self.folder / "keeper.db", self.folder / "signer.db", self.chain, EXPOSURE_CAP, RULES.confirmations
        )
        self.nodes = [Node(name, self.chain, self.reader.offered) for name in "abc"]
        self.alarms: set[str] = set()  # all that sounded
        self._left: int | None = None  # calls until `_blow`
        self._blow: Callable[[], None] = self._crash
        self._refused = ""  # method of the ledger that finds its disk full, once
        self._loses = ""  # operation whose answer the signer's connection loses
        self.keeper = self._started()
        self.is_broken = False
        self.said: list[str] = []  # what ended blocks early
        self.last_said = ""  # what ended the last block early

    def close(self) -> None:
        self.keeper.die()
        self.desk.stop()
        self.reader.close()
        for patch in self._patches:
            patch.stop()

    # --- the keeper's life ---------------------------------------------------------------------------

    def _started(self) -> Keeper:
        outlets = endpoints(self.nodes, lambda: self.desk.clocks.steady, AGREEING)
        return Keeper(file_url(self.folder), self.head, outlets, self.desk, self._tap, self._lost)

    def restart_keeper(self) -> None:
        self.keeper.die()
        self.keeper = self._started()

    def _tap(self, name: str, done: bool) -> None:
        if done and name in WRITES:
            self.reader.check()
        if name == self._refused and not done:
            self._refused = ""
            self._refuse()
        if self._left is None or (self._blow == self._refuse and (done or name not in WRITES)):
            return
        self._left -= 1
        if self._left < 0:
            self._left = None
            self._blow()

    def _lost(self, op: str) -> bool:
        lost = self._loses == op
        self._loses = "" if lost else self._loses
        return lost

    def _crash(self) -> None:
        raise Crash

    def refuse(self, method: str) -> None:
        """Let the journal's disk be full at the next call of one method."""
        self._refused = method

    def _refuse(self) -> None:
        raise JournalError("journal: expected a database that answers, found 'database or disk is full'")

    def block(self, accounts: list[int]) -> None:
        keeper, self.last_said = self.keeper, ""
        try:
            said = self.last_said = keeper.block(self.chain.endangered(accounts, self.head.block()))
        except Broken:
            self.is_broken = True
            raise
        except Crash:
            keeper.die()
            self.keeper = self._started()
        else:
            if keeper is not self.keeper:
                keeper.die()  # it was taken over from, and found out
            if said:
                self.said.append(said)
        self.alarms.update(keeper.alarms)
        self.reader.check()

    def arm(self, calls: int, kind: str) -> None:
        """Let the keeper die, be suspended while another takes over, or find its disk full, after so many calls."""
        self._left = calls
        blows = {"crash": self._crash, "takeover": self._taken_over, "disk": self._refuse}
        self._blow = blows[kind]

    def _taken_over(self) -> None:
        """The process stops for longer than its lease; another one on the same journal takes its place meanwhile."""
        self.desk.clocks.pass_(20.0)
        self.keeper = self._started()
        self.said.append(self.keeper.block([]))

    # --- the adversary -------------------------------------------------------------------------------

    def trouble(self, choice: random.Random, reads: str) -> None:
        """Any endpoint may mistreat offers, at most one of three may answer questions wrongly."""
        for node in self.nodes:
            node.sends, node.reads = choice.choice(SENDS), "true"
            node.choice = random.Random(choice.random())
        liar = choice.choice(self.nodes)
        liar.reads, liar.lag = reads, choice.randint(1, 4)
        self.head.lag = choice.choice((0, 0, 0, 1, 3))
        self.head.is_down = choice.random() < 0.1

    def calm(self) -> None:
        for node in self.nodes:
            node.sends, node.reads = "accept", "true"
        self.head.lag = 0
        self.head.is_down = False

    def jump(self, seconds: float) -> None:
        """The wall clocks of keeper and signer are set; the signer's is read when it starts."""
        self._wall_ms += int(1_000 * seconds)
        self.desk.clocks.wall += seconds

    def lose_answer(self, op: str) -> None:
        self._loses = op

    def restart_signer(self) -> None:
        self.desk.start()

    def backup(self, name: str) -> bytes:
        """Return a copy of a database as an operator's backup makes it."""
        copy = self.folder / "backup.db"
        with closing(sqlite3.connect(self.folder / name)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        found = copy.read_bytes()
        copy.unlink()
        return found

    def restore(self, name: str, backup: bytes) -> None:
        """Stop keeper and signer, put the copy in place of the database, start both again."""
        self.keeper.die()
        self.desk.stop()
        for path in self.folder.glob(f"{name}*"):
            path.unlink()
        (self.folder / name).write_bytes(backup)
        self.reader.restored()
        self.desk.start()
        self.keeper = self._started()

    def stranger(self, choice: random.Random) -> None:
        """Another program with the key uses a nonce that the ledger has bytes for."""
        waiting = "SELECT nonce FROM slots WHERE state IN ('signed', 'offered', 'orphaned')"
        if nonces := [nonce for (nonce,) in self.reader.rows(waiting)]:
            self.chain.stranger(choice.choice(nonces))

    def stranger_alone(self, choice: random.Random) -> None:
        """It uses the next nonces, which nothing is signed for as long as the key is idle."""
        first = count(self.chain.links)
        for nonce in range(first, first + choice.choice((1, 1, 2))):
            self.chain.stranger(nonce)

    def operator(self) -> None:
        """Where the keeper asks for it because of a stranger: the reconcile command, beyond all the chain has used."""
        if "chain_nonce" not in self.last_said:
            return
        ((ledger,),) = self.reader.rows("SELECT ledger_id FROM meta")
        said = self.desk.service.orders.reconcile(ADDRESS, ledger, count(self.chain.links), first=False)
        assert not isinstance(said, Refusal), said

    def rival_ledger(self) -> None:
        """A second keeper with the same key and another database is refused, and hands nothing to anybody."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            opened(file_url(folder)).close()
            before = self.reader.offers_seen
            rival = Keeper(file_url(folder), self.head, endpoints(self.nodes, lambda: 0.0), self.desk, _deaf, _keeps)
            said = rival.block([1])
            rival.die()
        if self.reader.rows("SELECT 1 FROM slot_attempts LIMIT 1") and not said:
            raise Broken("I4", f"a second ledger was let in: {said!r}")
        if before != self.reader.offers_seen:
            raise Broken("I3", "a second ledger offered bytes")

    # --- the end -------------------------------------------------------------------------------------

    def see_through(self) -> None:
        """With an honest world and cheap blocks everything ends, and ends as the chain says."""
        self.calm()
        self._left, self._loses = None, ""
        self.chain.base_fee = GWEI
        choice = random.Random(0)
        for _ in range(CALM_BLOCKS):
            self.desk.clocks.pass_(12.0)
            self.chain.mine(choice, most=8)
            self.operator()
            self.block([])
            if all(state in CLOSED for state, *_ in self.reader.standing.values()):
                break
        self.reader.at_the_end(self.alarms)


def _deaf(_name: str, _done: bool) -> None:
    """Nobody listens to what a rival does."""


def _keeps(_op: str) -> bool:
    return False
