"""A journal's PostgreSQL killed between its steps: what had returned is there, what had not is gone as a whole."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.schema import CreateSchema

from keeper.errors import JournalError
from keeper.journal import Journal
from keeper.journal.lifecycle import fold
from keeper.journal.slot_records import Answer, Closing, Mined, NewOffer, Outcome
from tests.ledger_world import KEY, NO_CAP, call, dump, history_of, intend, moment, opened, signed
from tests.postgres_server import Private, private

RECOVERED_S, ASKED_EVERY_S = 10.0, 0.05


@pytest.fixture(scope="module")
def server() -> Iterator[Private]:
    with private() as owned:
        yield owned


def steps(journal: Journal) -> Iterator[str]:
    """Do a slot's whole life; yield after each call that has returned. All is read back, nothing is kept in memory."""
    (intent,) = intend(journal, 1, (1,))
    yield "intend"
    (slot,) = journal.reserve([call(intent.id)], 0, moment())
    yield "reserve"
    (attempt,) = journal.stored([signed(slot)], moment(), exposure_cap=NO_CAP)
    yield "stored"
    (offer,) = journal.offering([NewOffer(attempt.id, "a")], moment())
    yield "offering"
    journal.answered([Answer(offer.id, "ACCEPTED", "")], 1)
    yield "answered"
    journal.mined([Mined(slot.id, attempt.tx_hash, 2, "0x2")], moment(2))
    yield "mined"
    journal.final([Closing(slot.id, attempt.tx_hash, {intent.id: Outcome("achieved", "")})], moment(9))
    yield "final"


def whole_server(server: Private, _journal: Journal) -> None:
    server.kill()
    server.start()


def backend(_server: Private, journal: Journal) -> None:
    """SIGKILL for the process behind the journal's connection; the server ends all others and recovers by itself."""
    with journal._database.reading() as connection:
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("killed", [whole_server, backend])
def test_every_step_that_returned_survives_a_kill_of_the_server(
    server: Private, killed: Callable[[Private, Journal], None]
) -> None:
    url = schema_of(server, killed.__name__)
    with opened(url) as journal:
        for _ in steps(journal):
            before = dump(journal)
            with suppress(JournalError):  # its connection died under it, as it should
                killed(server, journal)
            found = answered(lambda: dump(journal))
            assert found == before
            for slot in journal.slots_from(KEY, 0):
                assert fold(history_of(journal, slot.id)) == slot.standing
        assert [slot.state for slot in journal.slots_from(KEY, 0)] == ["final"]


def test_a_step_cut_off_before_its_commit_leaves_nothing(server: Private) -> None:
    with opened(schema_of(server, "cut")) as journal:
        (intent,) = intend(journal, 1, (1,))
        before = dump(journal)
        with pytest.raises(JournalError), journal._database.writing() as connection:
            connection.execute(text("UPDATE intents SET status = 'live'"))
            whole_server(server, journal)
            connection.execute(text("SELECT 1"))
        assert answered(lambda: dump(journal)) == before
        (slot,) = journal.reserve([call(intent.id)], 0, moment())
        assert slot.nonce == 0


def schema_of(server: Private, name: str) -> str:
    engine = create_engine(server.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(CreateSchema(name))
    engine.dispose()
    own = make_url(server.url).update_query_dict({"options": f"-c search_path={name}"})
    return own.render_as_string(hide_password=False)


def answered(question: Callable[[], dict[str, object]]) -> dict[str, object]:
    """Ask until the server has recovered: it refuses connections meanwhile, and says so."""
    until = time.monotonic() + RECOVERED_S
    while True:
        try:
            return question()
        except Exception:  # dump speaks SQL itself, so drivers' errors come as they are
            if time.monotonic() > until:
                raise
            time.sleep(ASKED_EVERY_S)  # a server tells nobody that it has recovered, it refuses until it has
