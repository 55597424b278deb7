"""The ledger's tables: the database itself keeps the rules, finds everything again, and says when it is locked."""

import sqlite3

import pytest

from keeper.errors import JournalError
from keeper.journal.lifecycle import fold
from keeper.journal.slot_records import (
    Loss,
    NewOffer,
    Outcome,
)
from tests.ledger_world import (
    dump,
    file_url,
    history_of,
    moment,
    offered,
    offers_of,
    opened,
)

DONE = Outcome("achieved", "took 3 ETH")


# --- the database itself -----------------------------------------------------------------------------


FORBIDDEN = {
    "INSERT INTO slots SELECT 99, {cells}, 'reserved', {nothing} FROM slots": "one_slot_per_nonce|slots.nonce",
    "INSERT INTO slots SELECT 99, {cells}, 'nonsense', {nothing} FROM slots": "ck_slots_state",
    "UPDATE slots SET state = 'mined'": "ck_slots_mined",
    "UPDATE slots SET state = 'mined', mined_number = 1, mined_hash = '0x'": "ck_slots_winner",
    "UPDATE slots SET nonce = -1": "ck_slots_range",
    "INSERT INTO offers (attempt_id, endpoint, block_number, wall_ms) VALUES (77, 'a', 1, 1)": "(?i)foreign key",
    "UPDATE offers SET answer_class = 'ACCEPTED'": "ck_offers_answer",
    "UPDATE steps SET cause = ''": "steps is append-only",
    "DELETE FROM steps": "steps is append-only",
    "UPDATE slot_attempts SET raw = NULL": "slot_attempts is append-only",
    "DELETE FROM slot_attempts": "slot_attempts is append-only|(?i:foreign key)",
    "UPDATE outcomes SET status = ''": "outcomes is append-only",
}
CELLS = "sender, nonce, purpose, target, data, gas, 'r', opened_block, deadline_block"
NOTHING = "NULL, NULL, NULL, NULL, NULL"


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_the_database_itself_keeps_the_rules(journal, statement):
    slot, attempt = offered(journal)
    journal.lost([Loss(slot.id, 1, None, "x")], moment())  # an outcome
    before = dump(journal)
    with pytest.raises(JournalError, match=FORBIDDEN[statement]), journal._database.writing() as connection:
        connection.exec_driver_sql(statement.format(cells=CELLS, nothing=NOTHING))
    assert dump(journal) == before
    assert journal.siblings(slot.id) == (attempt,)


def test_reopening_finds_everything_and_the_same_ledger_id(url):
    with opened(url) as journal:
        slot, attempt = offered(journal)
        ledger_id, steps = journal.ledger_id, history_of(journal, slot.id)
    with opened(url) as journal:
        assert (journal.slot(slot.id), journal.siblings(slot.id)) == (slot, (attempt,))
        assert (journal.ledger_id, history_of(journal, slot.id)) == (ledger_id, steps)
        assert len(bytes.fromhex(ledger_id)) == 16
        assert fold(steps) == slot.standing


def test_every_journal_has_its_own_ledger_id():
    with opened("sqlite://") as one, opened("sqlite://") as other:
        assert one.ledger_id != other.ledger_id


def test_a_locked_database_stops_before_anything_is_offered(tmp_path):
    with opened(file_url(tmp_path)) as journal:
        stops_while_locked(journal, tmp_path)


def stops_while_locked(journal, tmp_path):
    _, attempt = offered(journal)
    before = offers_of(journal, attempt.id)
    other = sqlite3.connect(tmp_path / "keeper.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with journal._database.reading() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 20")
    with pytest.raises(JournalError, match="locked"):
        journal.offering([NewOffer(attempt.id, "a")], moment())
    other.execute("ROLLBACK")
    other.close()
    assert offers_of(journal, attempt.id) == before
    assert len(journal.offering([NewOffer(attempt.id, "a")], moment())) == 1
