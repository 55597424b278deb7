"""A power cut at any byte: what SQLite's write-ahead log held when an offer was made is what recovery needs.

The log is cut at the end of every frame and inside it, from the last commit before an offer on, and the database is
opened again from what is left; that the lane itself goes on from there is in test_cut_recovery.py. Frames:
sqlite.org/fileformat2.html#the_write_ahead_log, 32 bytes of header, then per frame 24 bytes and a page.
"""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from keeper.errors import JournalError
from keeper.journal import Journal, durability
from keeper.journal.lifecycle import Change, Standing, fold
from keeper.journal.slot_records import Answer, Mined, NewOffer
from tests.ledger_world import FEE, KEY, NO_CAP, call, file_url, intend, moment, opened, signed
from tests.signer_desk import Desk
from tests.signer_desk import call as request

WAL_HEADER, FRAME_HEADER = 32, 24


@dataclass(frozen=True)
class Cut:
    """The log's size when something had just become durable, and what the world outside may know by then."""

    size: int
    done: str
    offered: frozenset[bytes]  # bytes that were handed to a socket


class Machine:
    """A keeper's folder, and the moments at which the outside world learnt something."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal = opened(file_url(folder))
        with self.journal._database.reading() as connection:
            connection.exec_driver_sql("PRAGMA wal_autocheckpoint = 0")
        with closing(sqlite3.connect(folder / "keeper.db")) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # the schema is on the disk, the log is empty
        self.cuts: list[Cut] = []
        self.offered: set[bytes] = set()

    @property
    def size(self) -> int:
        return (self.folder / "keeper.db-wal").stat().st_size

    def note(self, done: str) -> None:
        self.cuts.append(Cut(self.size, done, frozenset(self.offered)))

    def offer(self, attempts, endpoint):
        """Write the offers and then, as a socket would, let the bytes out."""
        written = self.journal.offering([NewOffer(a.id, endpoint) for a in attempts], moment(2))
        self.offered |= {a.raw for a in attempts}
        self.note(f"offered to {endpoint}")
        return written

    def cut(self, size: int, into: Path) -> Path:
        """Return a folder with the database as a power cut leaves it when `size` bytes of the log were on the disk."""
        into.mkdir()
        shutil.copy(self.folder / "keeper.db", into / "keeper.db")
        (into / "keeper.db-wal").write_bytes((self.folder / "keeper.db-wal").read_bytes()[:size])
        return into


@pytest.fixture
def machine(tmp_path):
    folder = tmp_path / "before"
    folder.mkdir()
    machine = Machine(folder)
    yield machine
    machine.journal.close()


def a_block_s_work(machine):
    """Three slots, a replacement, answers and a block: what one tick writes, with offers in between."""
    journal = machine.journal
    intents = intend(journal, 1, (1, 2, 3))
    slots = journal.reserve([call(intent.id) for intent in intents], 0, moment())
    attempts = journal.stored([signed(slot) for slot in slots], moment(), exposure_cap=NO_CAP)
    machine.note("stored")
    one, *_ = machine.offer(attempts, "first")
    journal.answered([Answer(one.id, "ACCEPTED", "yes")], 9)
    dearer = signed(slots[0], "replacement", 1, 2 * FEE)
    (bump,) = journal.stored([dearer], moment(), exposure_cap=NO_CAP)
    machine.note("bumped")
    machine.offer([bump], "second")
    journal.mined([Mined(slots[0].id, bump.tx_hash, 3, "0x3")], moment(3))
    machine.note("mined")


def frame_ends(log):
    """Return the offsets at which frames of a log end, and the size of a page."""
    page = int.from_bytes(log[8:12], "big")
    return list(range(WAL_HEADER + FRAME_HEADER + page, len(log) + 1, FRAME_HEADER + page)), page


def require_invariants(folder, offered):
    """I3, I4 and I7 on the rows, read without the code that wrote them."""
    connection = sqlite3.connect(folder / "keeper.db")
    try:
        stored = {raw for (raw,) in connection.execute("SELECT raw FROM slot_attempts")}
        assert offered <= stored
        offers = connection.execute(
            "SELECT DISTINCT a.raw FROM offers o JOIN slot_attempts a ON a.id = o.attempt_id"
        ).fetchall()
        assert offered <= {raw for (raw,) in offers}
        taken = "SELECT count(*) FROM slots WHERE state <> 'released' GROUP BY sender, nonce"
        assert all(count == 1 for (count,) in connection.execute(taken))
        told = "SELECT state, cause, tx_hash, mined_number, mined_hash FROM steps WHERE slot_id = ? ORDER BY id"
        rows = connection.execute("SELECT id, state, winner_hash, mined_number, mined_hash FROM slots").fetchall()
        for slot_id, *standing in rows:
            assert fold(Change(*step) for step in connection.execute(told, (slot_id,))) == Standing(*standing)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    finally:
        connection.close()


def cuts_of(ends, page):
    """Return the offsets at every frame's end and at five places inside it: header, seam and page."""
    frame = FRAME_HEADER + page
    places = (1 - frame, -page - 1, -page, -page // 2, -1, 0)
    return sorted({end + place for end in ends for place in places})


def test_recovery_from_a_cut_at_and_inside_every_frame(machine, tmp_path):
    a_block_s_work(machine)
    ends, page = frame_ends((machine.folder / "keeper.db-wal").read_bytes())
    offsets = [at for at in cuts_of(ends, page) if at >= machine.cuts[0].size]
    assert len([end for end in ends if end > machine.cuts[0].size]) >= 10
    for number, size in enumerate(offsets):
        folder = machine.cut(size, tmp_path / f"cut{number}")
        known = max((cut for cut in machine.cuts if cut.size <= size), key=lambda cut: cut.size)
        with opened(file_url(folder)) as recovered:
            nonces = [slot.nonce for slot in recovered.open_slots(KEY)]
            (fresh,) = intend(recovered, 9, (9,))
            (slot,) = recovered.reserve([call(fresh.id)], 0, moment(9))
            assert slot.nonce == max(nonces) + 1  # nothing that was promised is given again
        require_invariants(folder, known.offered)
        shutil.rmtree(folder)


def test_the_cut_itself_can_lose_what_was_not_yet_committed(machine, tmp_path):
    """The test's own fault is real: a log cut before the commit of an offer does not have that offer."""
    a_block_s_work(machine)
    stored, offered = machine.cuts[:2]
    ends, _ = frame_ends((machine.folder / "keeper.db-wal").read_bytes())
    before_its_commit = max(end for end in ends if end < offered.size)
    assert before_its_commit >= stored.size
    folder = machine.cut(before_its_commit, tmp_path / "cut")
    with pytest.raises(AssertionError):
        require_invariants(folder, offered.offered)
    require_invariants(folder, stored.offered)


def test_without_a_synced_log_an_offer_outlives_its_row(machine, tmp_path):
    """With the protection off, the bytes leave and the row does not survive: what synchronous=FULL is for."""
    a_block_s_work(machine)
    folder = machine.cut(WAL_HEADER, tmp_path / "unsynced")  # nothing of the log had reached the disk
    with pytest.raises(AssertionError):
        require_invariants(folder, machine.cuts[-1].offered)


# --- the signer's store ---------------------------------------------------------------------------------


def test_a_signature_that_left_the_signer_survives_any_cut_after_it(tmp_path):
    """Its watermark and bytes are on the disk when the answer leaves; a cut before that takes both, never one."""
    folder = tmp_path / "signer"
    folder.mkdir()
    desk = Desk(folder)
    with closing(sqlite3.connect(folder / "signer.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    held = desk.session()
    left = []  # the log's size when an answer left, and its hash
    for requests in ([request(0), request(1)], [request(1, "-bump", gas=200_000)], [request(2)]):
        hashes = desk.ask(held, *requests)
        left += [((folder / "signer.db-wal").stat().st_size, tx_hash) for tx_hash in hashes]
    log = (folder / "signer.db-wal").read_bytes()
    for number, size in enumerate(cuts_of(*frame_ends(log))):
        cut = tmp_path / f"cut{number}"
        cut.mkdir()
        shutil.copy(folder / "signer.db", cut / "signer.db")
        (cut / "signer.db-wal").write_bytes(log[:size])
        recovered = Desk(cut)
        remembered = recovered.signed()
        lane = recovered.service.orders.status()[0]
        recovered.stop()
        assert {one.tx_hash for one in remembered} >= {tx_hash for at, tx_hash in left if at <= size}
        assert lane["watermark"] == max((one.nonce for one in remembered), default=-1)
        shutil.rmtree(cut)
    desk.stop()
    assert len(left) == 4 and all(tx_hash.startswith("0x") for _, tx_hash in left)


# --- what the database promises, read back -------------------------------------------------------------


@pytest.mark.parametrize(
    ("pragma", "complaint"),
    [
        ("synchronous = OFF", "expected synchronous 2 .FULL. or more, found 0"),
        ("synchronous = NORMAL", "expected synchronous 2 .FULL. or more, found 1"),
        ("journal_mode = DELETE", "expected journal_mode wal, found delete; put the file on a local disk"),
        ("journal_mode = OFF", "expected journal_mode wal, found off"),
    ],
)
def test_a_sqlite_that_could_forget_a_commit_is_refused(tmp_path, monkeypatch, pragma, complaint):
    def weakened(connection, _entry):
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA {pragma}")

    monkeypatch.setattr("keeper.journal.database._configure_sqlite", weakened)
    with pytest.raises(JournalError, match=complaint):
        Journal.open(file_url(tmp_path), chain_id=10, venue="curie")


class Server:
    """A PostgreSQL that answers SHOW: the border we do not own."""

    def __init__(self, **settings):
        self.dialect = SimpleNamespace(name="postgresql")
        self.settings = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"} | settings

    def exec_driver_sql(self, statement):
        return SimpleNamespace(scalar_one=lambda: self.settings[statement.removeprefix("SHOW ")])


def test_a_journal_in_memory_is_refused_where_bytes_are_sent(tmp_path):
    with opened("sqlite://") as journal, pytest.raises(JournalError, match=r"expected a database on a disk.*in memory"):
        journal.require_lasting()
    with opened(file_url(tmp_path)) as journal:
        journal.require_lasting()


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes", "synchronous_commit"])
def test_a_postgresql_that_could_forget_a_commit_is_refused(setting):
    durability.require_durable(Server(), "postgresql://h/k", in_memory=False)
    durability.require_durable(Server(synchronous_commit="remote_apply"), "postgresql://h/k", in_memory=False)
    with pytest.raises(JournalError, match=f"expected {setting} on.*found off.*set {setting} = on"):
        durability.require_durable(Server(**{setting: "off"}), "postgresql://h/k", in_memory=False)
