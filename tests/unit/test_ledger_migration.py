"""Revision 0004 with transactions in flight: nothing is forgotten on the way up, nothing under way on the way down."""

from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

import keeper.journal
from keeper.journal.database import _begin_sqlite, _configure_sqlite
from keeper.journal.schema import METADATA
from keeper.journal.slot_records import Closing, Mined, NewOffer
from tests.ledger_world import KEY, NO_CAP, call, intend, moment, opened, signed

OLD = (
    ("meta", "10, 'curie', '2026-01-01T00:00:00+00:00'"),
    ("ticks", "1000, 8, '0xb', '0xa', 1000, '7', 0, 0, 0, 0, 0, '{{}}', {false}"),
    ("intents", "1000, 1000, 'liquidate', 'curie:liquidate:0xa', '0xa', '{plan}', 'live', '', NULL, 9"),
    ("attempts", "1000, 1000, '{key}', 4, '0x11', {raw}, 9, '7', '1', 'broadcast', '', NULL, NULL, NULL, NULL"),
)
PLAN = (
    '{"account": "0xa", "expires_at": 9, "kind": "liquidate", "market": "0xm", "notional": 2.0, "shortfall": 1.0, '
    '"venue": "curie"}'
)


@contextmanager
def migrating(url):
    """Give a connection and what moves its schema to a revision, as the journal's own opening does."""
    engine = sa.create_engine(url)
    config = Config()
    config.set_main_option("script_location", str(Path(keeper.journal.__file__).parent / "migrations"))
    try:
        if engine.dialect.name == "sqlite":
            sa.event.listen(engine, "connect", _configure_sqlite)
            sa.event.listen(engine, "begin", _begin_sqlite)
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            yield connection, config
    finally:
        engine.dispose()


def written_by_an_older_keeper(url):
    with migrating(url) as (connection, config):
        command.upgrade(config, "0003")
        lite = connection.dialect.name == "sqlite"
        cells = {
            "plan": PLAN,
            "key": KEY,
            "false": "0" if lite else "false",
            "raw": "x'0102'" if lite else "'\\x0102'::bytea",
        }
        for table, row in OLD:
            statement = f"INSERT INTO {table} VALUES ({row.format(**cells)})"
            connection.execute(sa.text(statement.replace(":", "\\:")))


def test_what_is_in_flight_is_kept_and_gets_a_ledger_id(url):
    written_by_an_older_keeper(url)
    with opened(url) as journal:
        (old,) = journal.open_attempts()
        assert (old.nonce, old.raw, old.status, old.intent_id) == (4, b"\x01\x02", "broadcast", 1000)
        assert len(bytes.fromhex(journal.ledger_id)) == 16
        (intent,) = intend(journal, 9, (1,))
        (slot,) = journal.reserve([call(intent.id)], 0, moment())
        assert slot.nonce == 5  # beyond what the older keeper had signed
        with journal._database.reading() as connection:
            assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_the_way_down_waits_for_open_slots_and_keeps_the_rest(url):
    written_by_an_older_keeper(url)
    with opened(url) as journal:
        (intent,) = intend(journal, 9, (1,))
        (slot,) = journal.reserve([call(intent.id)], 0, moment())
        stored = journal.stored([signed(slot), signed(slot, "cancel")], moment(), exposure_cap=NO_CAP)
        journal.offering([NewOffer(stored[1].id, "a")], moment())
    with pytest.raises(RuntimeError, match="found 1 open slots"), migrating(url) as (_, config):
        command.downgrade(config, "0003")
    with opened(url) as journal:
        cancel = stored[1].tx_hash
        journal.mined([Mined(slot.id, cancel, 5, "0x5")], moment())
        journal.final([Closing(slot.id, cancel, {})], moment())
    with migrating(url) as (connection, config):
        command.downgrade(config, "0003")
        ended = dict(connection.exec_driver_sql("SELECT id, status FROM intents").all())
        assert ended == {1000: "live", intent.id: "failed"}  # an older keeper knows no cancelled
        assert connection.exec_driver_sql("SELECT nonce, tx_hash FROM attempts").all() == [(4, "0x11")]
        assert connection.exec_driver_sql("SELECT * FROM meta").all() == [(10, "curie", "2026-01-01T00:00:00+00:00")]
    with opened(url) as journal:  # and up again
        assert len(journal.open_attempts()) == 1
