"""The journal: what is written survives, what must be refused is refused, on SQLite and, if given, PostgreSQL."""

import math
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

import keeper.journal
from keeper.abi import transaction_hash
from keeper.chain import Block
from keeper.errors import ExitCode, JournalError
from keeper.journal import Journal, MarginRow, QuoteRow, TickRecord, Volatility, plan_text
from keeper.journal.schema import METADATA
from keeper.journal.slot_records import Closing, Mined, NewSlotAttempt, Outcome, Release
from keeper.plans import Held, Liquidate, SetParameters
from tests.ledger_world import FEE, GAS, KEY, NO_CAP, call, moment, opened, signed, trails_of

UINT256_MAX = 2**256 - 1
INT256_MIN = -(2**255)
ALICE, BOB = "0x" + "a1" * 20, "0x" + "b0" * 20
FEED = "0x" + "fe" * 20


def block(number, fork="a", base_fee=7):
    return Block(number, f"0x{fork}{number:063d}", f"0x{fork}{number - 1:063d}", 1_000 + 12 * number, base_fee)


def plan(account=ALICE, expires_at=99):
    return Liquidate("curie", account, "0x" + "33" * 20, 12.5, 1e6 / 3, expires_at)


def tick(number, fork="a", quotes=(), margins=(), holds=(), skipped=0):
    return TickRecord(block(number, fork), skipped, {"read": 1.5}, tuple(quotes), tuple(margins), tuple(holds))


def reserved(journal, *intents, sender=KEY):
    (slot,) = journal.reserve([call(*(intent.id for intent in intents), sender=sender)], 0, moment())
    return slot


def stored(journal, *intents, cap=NO_CAP, **fees):
    """Return the attempt stored for one call that carries out `intents`."""
    (attempt,) = journal.stored([signed(reserved(journal, *intents), **fees)], moment(), exposure_cap=cap)
    return attempt


def ended(journal, attempt, statuses, at=5):
    """Mine an attempt and make it final; `statuses` says how each intent ended."""
    journal.mined([Mined(attempt.slot_id, attempt.tx_hash, at, f"0x{at:x}")], moment(at))
    outcomes = {intent.id: Outcome(status, f"its {status}") for intent, status in statuses.items()}
    journal.final([Closing(attempt.slot_id, attempt.tx_hash, outcomes)], moment(at))


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'keeper.db'}"


@pytest.fixture
def journal(url):
    with opened(url) as journal:
        yield journal


def intended(journal, number=1, account=ALICE):
    (intent,) = journal.intend(tick(number), [plan(account)])
    return intent


# --- numbers ---------------------------------------------------------------------------------------


def test_a_tick_keeps_how_far_two_computations_were_apart(journal):
    seen = {"compared": 3, "apart": 1, "largest_usd": None}
    journal.intend(replace(tick(1), crosscheck=seen), [])
    assert journal.last_tick().crosscheck == seen
    journal.intend(tick(2), [])
    assert journal.last_tick().crosscheck == {}


def test_the_largest_and_smallest_integers_survive(journal):
    quotes = [
        QuoteRow("f1", "ETH", 2**255 - 1, 8, 900, 112, "good"),
        QuoteRow("f2", "BTC", INT256_MIN, 8, 900, 112, "bad", "negative"),
        QuoteRow("f3", "OP", None, 8, None, None, "bad", "not read"),
    ]
    record = TickRecord(block(1, base_fee=UINT256_MAX), 0, {}, tuple(quotes), (), ())
    (intent,) = journal.intend(record, [plan()])
    attempt = stored(journal, intent, max_fee=UINT256_MAX, cap=UINT256_MAX**2)

    last = journal.last_tick()
    assert last.block == record.block
    assert {quote.feed: quote for quote in journal.quotes(last.id)} == {quote.feed: quote for quote in quotes}
    assert journal.siblings(attempt.slot_id) == (attempt,)
    assert (attempt.max_fee, attempt.tip) == (UINT256_MAX, 1)


@pytest.mark.parametrize("max_fee", [2**256, 1.5, True])
def test_what_is_no_uint256_is_refused_and_nothing_stored(journal, max_fee):
    slot = reserved(journal, intended(journal))
    with pytest.raises(JournalError, match="expected an integer"):
        journal.stored([signed(slot), signed(slot, "replacement", max_fee=max_fee)], moment(), exposure_cap=NO_CAP)
    assert journal.siblings(slot.id) == ()


def test_margins_keep_floats_infinite_health_and_unknown(journal):
    margins = (
        MarginRow(ALICE, -0.1, 0.2, 0.30000000000000004, -1 / 3, "endangered", "below MM", exact=True),
        MarginRow(BOB, 5e-324, 0.0, 0.0, math.inf, "healthy"),
        MarginRow("0xc", math.nan, None, math.nan, None, "unknown", "ETH: stale"),
        MarginRow("0xd", -3.0, 0.0, 0.0, -math.inf, "endangered"),
    )
    journal.intend(tick(1, margins=margins), [])
    tick_id = journal.last_tick().id
    unknown = MarginRow("0xc", None, None, None, None, "unknown", "ETH: stale")
    assert set(journal.margins(tick_id)) == {margins[0], margins[1], margins[3], unknown}
    assert journal.history(BOB, limit=5)[0].margin.health == math.inf
    assert (journal.last_tick().healthy, journal.last_tick().endangered, journal.last_tick().unknown) == (1, 2, 1)


@pytest.mark.parametrize("equity", [None, math.nan, math.inf])
def test_a_known_margin_needs_its_numbers(equity):
    with pytest.raises(ValueError, match="is unknown"):
        MarginRow(ALICE, equity, 1.0, 1.0, 1.0, "healthy")


def test_plans_come_back_as_they_were_decided(journal):
    move = SetParameters("curie", "collateral_ratio:0x" + "44" * 20, 900_000, 850_000, "σ 90 %", 77)
    intents = journal.intend(tick(1), [plan(), move])
    assert [intent.plan for intent in intents] == [plan(), move]
    assert journal.live_intents() == intents


# --- discovery -------------------------------------------------------------------------------------


def test_discovery_advances_and_rewinds_to_the_fork(journal):
    assert (journal.cursor(), journal.accounts()) == (None, ())
    journal.discovered({BOB: 3}, block(5))
    journal.discovered({ALICE: 8, BOB: 7}, block(10))
    journal.discovered({}, block(11))
    assert journal.cursor() == (11, block(11).hash)
    assert journal.scanned() == tuple((n, block(n).hash) for n in (11, 10, 5))
    assert journal.accounts() == (ALICE, BOB)

    assert journal.rewind(7) == 1  # Alice was first seen above, Bob before: his second event does not matter
    assert journal.cursor() == (5, block(5).hash)
    assert journal.accounts() == (BOB,)

    journal.discovered({ALICE: 9}, block(10, fork="b"))
    assert journal.cursor() == (10, block(10, fork="b").hash)
    assert journal.rewind(0) == 2
    assert journal.cursor() is None


def test_discovery_at_the_same_head_twice_is_harmless_but_another_head_needs_a_rewind(journal):
    journal.discovered({ALICE: 9}, block(10))
    journal.discovered({ALICE: 9}, block(10))
    for other in (block(10, fork="b"), block(9)):
        with pytest.raises(JournalError, match="rewind to the fork first"):
            journal.discovered({BOB: 9}, other)
    assert journal.accounts() == (ALICE,)


def test_only_the_last_256_scanned_heads_are_kept(journal):
    for number in range(1, 301):
        journal.discovered({}, block(number))
    assert [number for number, _ in journal.scanned()] == list(range(300, 44, -1))
    assert journal.cursor() == (300, block(300).hash)


# --- ticks and intents -----------------------------------------------------------------------------


def test_the_same_block_is_intended_once(journal):
    record = tick(1, margins=[MarginRow(ALICE, 1.0, 2.0, 3.0, 1 / 3, "endangered")], holds=[Held(BOB, "policy")])
    assert len(journal.intend(record, [plan()])) == 1
    before = journal.counts()
    assert journal.intend(record, [plan(), plan(BOB)]) == ()
    assert journal.counts() == before
    assert len(journal.decisions(BOB)) == 1


def test_a_live_effect_is_held_not_repeated(journal):
    first = intended(journal, 1)
    assert journal.intend(tick(2), [plan(expires_at=105), plan(BOB)])[0].plan == plan(BOB)
    newest, oldest = journal.decisions(ALICE)
    assert newest.hold == Held(ALICE, f"already live: intent {first.id}")
    assert (newest.intent, newest.block_number) == (None, 2)
    assert oldest.intent == first

    journal.close_intent(first.id, "expired", "too late", 3)
    assert len(journal.intend(tick(3), [plan()])) == 1


def test_one_effect_twice_in_one_tick_is_one_intent(journal):
    (only,) = journal.intend(tick(1), [plan(), plan(expires_at=50)])
    assert only.plan == plan()
    assert journal.decisions(ALICE)[1].hold == Held(ALICE, f"already live: intent {only.id}")


def test_a_reorged_block_of_the_same_number_is_another_tick(journal):
    intended(journal, 1)
    assert journal.intend(tick(1, fork="b"), [plan()]) == ()
    assert journal.counts().ticks == 2
    assert journal.last_tick().block == block(1, fork="b")


def test_two_connections_cannot_both_intend_one_effect(url):
    with opened(url) as left, opened(url) as right:
        barrier, won = threading.Barrier(8), []

        def race(journal, number):
            barrier.wait()
            won.extend(journal.intend(tick(number), [plan()]))

        threads = [threading.Thread(target=race, args=((left, right)[n % 2], n)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert left.live_intents() == right.live_intents() == tuple(won)
        assert left.counts().ticks == 8


def test_the_schema_itself_allows_one_live_intent_per_effect(journal, tmp_path):
    intended(journal)
    copy = (
        "INSERT INTO intents (tick_id, kind, effect, subject, plan, status, cause, expires_at) "
        "SELECT tick_id, kind, effect, subject, plan, ?, '', 9 FROM intents LIMIT 1"
    )
    connection = sqlite3.connect(tmp_path / "keeper.db")
    with connection:
        connection.execute(copy, ("failed",))
    with pytest.raises(sqlite3.IntegrityError, match=r"intents\.effect"):
        connection.execute(copy, ("live",))
    connection.close()


def test_a_failure_inside_a_tick_leaves_nothing(journal):
    twice = MarginRow(ALICE, 1.0, 2.0, 3.0, 1 / 3, "endangered")
    with pytest.raises(JournalError, match="nothing was written"):
        journal.intend(tick(1, margins=[twice, twice]), [plan()])
    assert journal.counts().ticks == 0
    assert journal.last_tick() is None


def test_later_stages_are_merged_into_the_latency(journal):
    for number in (1, 2):
        journal.intend(tick(number), [])
    journal.add_latency(block(2).hash, {"send": 3.25, "read": 2.0})
    assert journal.latency() == ({"read": 1.5}, {"read": 2.0, "send": 3.25})
    with pytest.raises(JournalError, match="found none"):
        journal.add_latency(block(9).hash, {})


# --- ledger ----------------------------------------------------------------------------------------


def test_an_intent_runs_from_intended_to_achieved_and_its_decision_tells_all_of_it(journal):
    intent = intended(journal)
    first = stored(journal, intent)
    assert journal.live_intents()[0].status == "live"
    assert "signed" not in repr(first)
    slot = journal.slot(first.slot_id)
    (second,) = journal.stored([signed(slot, "replacement")], moment(), exposure_cap=NO_CAP)
    ended(journal, second, {intent: "achieved"}, at=7)
    assert journal.live_intents() == ()
    assert journal.last_achieved(plan().effect) == block(1).timestamp
    assert journal.last_achieved(plan(BOB).effect) is None
    (decision,) = journal.decisions(ALICE)
    assert (decision.intent.status, decision.intent.closed_block) == ("achieved", 7)
    (trail,) = decision.trails
    assert trail.attempts == (first, second)
    assert trail.winner == second
    assert [trail.fate(one) for one in trail.attempts] == ["not taken", "final"]
    assert trails_of(journal, intent) == decision.trails
    assert (decision.older, decision.hold) == ((), None)


def test_what_waits_is_where_its_slot_is(journal):
    attempt = stored(journal, intended(journal))
    ((trail,),) = (decision.trails for decision in journal.decisions(ALICE))
    assert (trail.winner, trail.fate(attempt)) == (None, "signed")


def test_an_intent_closes_only_when_nothing_of_it_can_land(journal):
    intent, other = journal.intend(tick(1), [plan(), plan(BOB)])
    attempt = stored(journal, intent)
    with pytest.raises(JournalError, match="expected no open slot"):
        journal.close_intent(intent.id, "expired", "late", 9)
    ended(journal, attempt, {intent: "failed"})
    journal.close_intent(other.id, "refused", "x", 9)
    journal.close_intent(other.id, "refused", "again", 10)
    assert journal.decisions(BOB)[0].intent.cause == "x"
    for closed in (intent, other):
        with pytest.raises(JournalError, match="stays closed"):
            journal.close_intent(closed.id, "achieved", "no", 9)
        with pytest.raises(JournalError, match="expected it live"):
            reserved(journal, closed)
    with pytest.raises(JournalError, match="found nothing"):
        journal.close_intent(99, "lost", "", 1)


def test_one_transaction_may_carry_several_intents_and_each_ends_by_itself(journal):
    first, second = journal.intend(tick(1), [plan(), plan(BOB)])
    attempt = stored(journal, first, second)
    assert trails_of(journal, first) == trails_of(journal, second)
    assert journal.counts().attempts == 1
    ended(journal, attempt, {first: "achieved", second: "failed"}, at=9)
    assert (journal.failed_since(9), journal.failed_since(10)) == ({second.plan.effect}, frozenset())
    assert [journal.decisions(who)[0].intent.status for who in (ALICE, BOB)] == ["achieved", "failed"]


def test_bytes_stored_before_a_kill_are_there_after_it(url):
    script = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from test_journal import intended, opened, stored
journal = opened(sys.argv[1])
print(stored(journal, intended(journal)).tx_hash, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    here = Path(__file__)
    killed = subprocess.run(
        [sys.executable, "-c", script, url, str(here.parent)],
        cwd=here.parents[2],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(here.parents[2]), *sys.path])},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with opened(url) as journal:
        (found,) = journal.live_attempts(KEY)
        assert found.tx_hash == killed.stdout.strip() == transaction_hash(found.raw)
        assert (journal.slot(found.slot_id).state, journal.highest_nonce(KEY)) == ("signed", 0)
        assert journal.intend(tick(2), [plan()]) == ()


# --- reads -----------------------------------------------------------------------------------------


def quote(answer, updated_at, status="good"):
    return QuoteRow(FEED, "ETH", answer, 8, updated_at, 0, status)


def quotes_of(journal, feed):
    """Return block and answer of a feed's quotes, by tick, as the tables have them."""
    query = (
        "SELECT block_number, answer FROM quotes JOIN ticks ON ticks.id = tick_id WHERE feed = :feed ORDER BY tick_id"
    )
    with journal._database.reading() as connection:
        return [tuple(row) for row in connection.execute(sa.text(query), {"feed": feed})]


def test_quotes_by_tick_and_rounds_by_update(journal):
    journal.intend(tick(1, quotes=[quote(100, 900)]), [])
    journal.intend(tick(2, quotes=[quote(100, 900, "bad")]), [])
    journal.intend(tick(3, quotes=[quote(101, 950), QuoteRow("g", "X", 0, 8, 950, 0, "bad")]), [])
    assert quotes_of(journal, FEED) == [(1, "100"), (2, "100"), (3, "101")]
    assert [(r.updated_at, r.answer, r.status) for r in journal.rounds_of(FEED, 0)] == [
        (900, 100, "good"),
        (950, 101, "good"),
    ]
    assert [r.updated_at for r in journal.rounds_of(FEED, 901)] == [950]
    assert journal.rounds_of("g", 0) == ()


def test_the_latest_volatility(journal):
    assert journal.latest_volatility(FEED) is None
    newest = Volatility(FEED, 200, 0.8, 50)
    for measured in (newest, Volatility(FEED, 100, 0.5, 40), Volatility("other", 300, 0.1, 2)):
        journal.put_volatility(measured)
    assert journal.latest_volatility(FEED) == newest
    journal.put_volatility(Volatility(FEED, 200, 0.9, 51))
    assert journal.latest_volatility(FEED).annualised == 0.9


def test_history_is_newest_first_and_limited(journal):
    for number in range(1, 5):
        journal.intend(tick(number, margins=[MarginRow(ALICE, float(number), 1.0, 1.0, float(number), "healthy")]), [])
    assert [(at.block_number, at.margin.equity) for at in journal.history(ALICE, limit=2)] == [(4, 4.0), (3, 3.0)]


def test_counts(journal):
    journal.discovered({ALICE: 1}, block(1))
    unknown = MarginRow(ALICE, None, None, None, None, "unknown", "stale")
    journal.intend(tick(1, skipped=2, margins=[unknown]), [plan()])
    journal.intend(tick(2, skipped=1, margins=[unknown]), [plan(BOB)])
    attempt = stored(journal, journal.live_intents()[0])
    counts = journal.counts()
    assert (counts.ticks, counts.skipped_heads, counts.unknown, counts.endangered) == (2, 3, 2, 0)
    assert (counts.accounts, counts.intents, counts.live_intents) == (1, 2, 2)
    assert (counts.attempts, counts.open_attempts) == (1, 1)
    ended(journal, attempt, {journal.live_intents()[0]: "achieved"})
    assert (journal.counts().attempts, journal.counts().open_attempts) == (1, 0)


def test_prune_keeps_the_ledger_and_what_explains_it(journal):
    for number in range(1, 131):
        margins = [MarginRow(who, 1.0, 1.0, 2.0, 0.5, "endangered") for who in (ALICE, BOB)]
        holds = [Held(BOB, "policy")]
        plans = [plan()] if number == 2 else []
        journal.intend(tick(number, quotes=[quote(100 + number, number)], margins=margins, holds=holds), plans)
    (intent,) = journal.live_intents()
    ended(journal, stored(journal, intent), {intent: "achieved"})

    # 127 old ticks: 126 lose 1 tick, 2 margins, 1 hold, 1 quote; the intent's loses Bob's margin and hold
    assert journal.prune(3) == 126 * 5 + 2
    assert journal.prune(3) == 0
    counts = journal.counts()
    assert (counts.ticks, counts.intents, counts.attempts) == (4, 1, 1)
    (decision,) = journal.decisions(ALICE)
    assert decision.intent.status == "achieved"
    assert [len(trail.attempts) for trail in decision.trails] == [1]
    assert [at.block_number for at in journal.history(ALICE, 100)] == [130, 129, 128, 2]
    assert [at.block_number for at in journal.history(BOB, 100)] == [130, 129, 128]
    assert [number for number, _ in quotes_of(journal, FEED)] == [2, 128, 129, 130]
    assert len(journal.rounds_of(FEED, 0)) == 130
    with pytest.raises(ValueError, match="at least 1"):
        journal.prune(0)


def test_prune_forgets_prices_older_than_ninety_days(journal):
    old, new = 1_000, 1_000 + 91 * 86_400
    for stamp in (old, new):
        head = Block(stamp, f"0x{stamp:064x}", "0x", stamp, 1)
        journal.intend(TickRecord(head, 0, {}, (quote(5, stamp),), (), ()), [])
        journal.put_volatility(Volatility(FEED, stamp, 0.5, 3))
    journal.prune(1)
    assert [r.updated_at for r in journal.rounds_of(FEED, 0)] == [new]


# --- opening ---------------------------------------------------------------------------------------


def test_reopening_finds_everything(url):
    with opened(url) as journal:
        intent = intended(journal)
        journal.discovered({ALICE: 1}, block(1))
    with opened(url) as journal:
        assert journal.live_intents() == (intent,)
        assert journal.accounts() == (ALICE,)


@pytest.mark.parametrize(("chain_id", "venue"), [(1, "curie"), (10, "lyra")])
def test_another_chains_or_venues_journal_is_refused(url, chain_id, venue):
    opened(url).close()
    with pytest.raises(
        JournalError, match=f"expected the journal of {venue} on chain {chain_id}, found that of curie on chain 10"
    ) as refusal:
        Journal.open(url, chain_id=chain_id, venue=venue)
    assert refusal.value.exit_code == ExitCode.JOURNAL


def test_a_newer_schema_is_refused_and_left_alone(url, tmp_path):
    opened(url).close()
    connection = sqlite3.connect(tmp_path / "keeper.db")
    with connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(JournalError, match=r"found 9999, written by a newer keeper; upgrade"):
        opened(url)
    assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)
    connection.close()


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        ("nonsense", "expected a SQLAlchemy URL"),
        ("mysql://u:hunter2@host/db", "expected sqlite or postgresql, found mysql"),
        ("sqlite:////nonexistent/folder/keeper.db", "unable to open database file.*create the folder"),
        ("postgresql+pg8000://u:hunter2@127.0.0.1:1/db?password=hunter2", "driver"),
    ],
)
def test_what_cannot_be_opened(bad, complaint):
    with pytest.raises(JournalError, match=complaint) as refusal:
        opened(bad)
    assert "hunter2" not in str(refusal.value)


def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / "keeper.db").write_text("this is not a database, but it is long enough to have a header " * 20)
    with pytest.raises(JournalError, match=r"not a database.*name another file"):
        opened(f"sqlite:///{tmp_path / 'keeper.db'}")


def test_a_locked_database_says_so(url, tmp_path, monkeypatch):
    monkeypatch.setattr("keeper.journal.database.BUSY_TIMEOUT_MS", 50)
    with opened(url) as journal:
        other = sqlite3.connect(tmp_path / "keeper.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalError, match=r"locked.*stop the other process"):
            journal.discovered({}, block(1))
        assert journal.cursor() is None  # readers do not wait for a writer
        other.execute("ROLLBACK")
        other.close()
        journal.discovered({}, block(1))


def test_a_full_disk_says_so_and_loses_nothing_stored(journal):
    intent = intended(journal)
    slot = reserved(journal, intent)
    with journal._database.reading() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    raw = b"x" * 1_000_000
    huge = NewSlotAttempt(slot.id, "original", transaction_hash(raw), raw, GAS, FEE, 1)
    with pytest.raises(JournalError, match=r"full.*free disk space") as refusal:
        journal.stored([huge], moment(), exposure_cap=NO_CAP)
    assert "xxx" not in str(refusal.value)
    assert (journal.live_attempts(), journal.slot(slot.id)) == ((), slot)
    assert [live.id for live in journal.live_intents()] == [intent.id]


def test_sqlite_is_set_up_to_survive_power_loss(journal):
    with journal._database.reading() as connection:
        pragma = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragma == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5_000}


def test_in_memory_serves_several_threads():
    with opened("sqlite://") as journal:
        threads = [threading.Thread(target=journal.intend, args=(tick(n), [plan()])) for n in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (journal.counts().ticks, journal.counts().live_intents) == (5, 1)


# --- migrations ------------------------------------------------------------------------------------


def ddl(connection):
    rows = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").all()
    return {
        name: sorted(sql.replace(",", " ").split())  # columns added later stand on one line
        for name, sql in rows
        if name != "alembic_version"
    }


def test_migrations_build_exactly_the_declared_tables(journal, tmp_path):
    with journal._database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
        migrated = ddl(connection)
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'declared.db'}")
    with engine.begin() as connection:
        METADATA.create_all(connection)
        declared = ddl(connection)
    engine.dispose()
    assert migrated == declared  # what the comparison above does not see: checks, partial indexes


def test_a_journal_of_the_first_schema_keeps_its_rows(tmp_path):
    """Written by an older keeper, opened by this one: every account and margin is still there."""
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'old.db'}")
    config = Config()
    config.set_main_option("script_location", str(Path(keeper.journal.__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for table, row in OLD_ROWS.items():
            connection.execute(sa.text(f"INSERT INTO {table} VALUES ({', '.join(map(repr, row))})"))
    engine.dispose()
    with opened(f"sqlite:///{tmp_path / 'old.db'}") as journal:
        assert journal.accounts() == ("0xa11ce",)
        (margin,) = journal.margins(1)
    assert (margin.account, margin.equity, margin.status) == ("0xa11ce", 5.5, "healthy")


def test_attempts_of_an_older_schema_are_kept_and_told(tmp_path):
    """Upgraded with a transaction in flight: it is still there, still open, its nonce and its effect stay taken."""
    url = f"sqlite:///{tmp_path / 'old.db'}"
    engine = sa.create_engine(url)
    config = Config()
    config.set_main_option("script_location", str(Path(keeper.journal.__file__).parent / "migrations"))
    row = (1, 1, KEY, 4, "0x" + "11" * 32, b"signed bytes", 9, "7", "1", "broadcast", "", None, None, None, None)
    intent = (1, 1, "liquidate", plan().effect, ALICE, plan_text.encode(plan()), "live", "", None, 9)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        for table, cells in (("ticks", OLD_ROWS["ticks"]), ("intents", intent), ("attempts", row)):
            marks = ", ".join("?" * len(cells))
            connection.exec_driver_sql(f"INSERT INTO {table} VALUES ({marks})", cells)
    engine.dispose()
    with opened(url) as journal:
        (kept,) = journal.open_attempts()
        assert (kept.intent_id, kept.nonce, kept.raw, kept.status) == (1, 4, b"signed bytes", "broadcast")
        (decision,) = journal.decisions(ALICE)
        assert (decision.older, decision.trails) == ((kept,), ())
        assert (journal.counts().attempts, journal.counts().open_attempts) == (1, 1)
        assert (journal.intents_without_slot(), journal.effects_under_way()) == ((), {plan().effect})
        with pytest.raises(JournalError, match="may still land"):
            journal.close_intent(1, "expired", "", 9)
        (other,) = journal.intend(tick(9), [plan(BOB)])
        assert reserved(journal, other).nonce == 5
        journal.released([Release(1, "the test is over", {})], -1, moment())
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0002")
        assert connection.exec_driver_sql("SELECT id, tx_hash FROM attempts").all() == [(1, kept.tx_hash)]
    engine.dispose()


OLD_ROWS = {
    "accounts": ("0xa11ce", 7),
    "ticks": (1, 8, "0xb", "0xa", 1_000, "7", 1, 1, 0, 0, 0, "{}", 0),
    "margins": (1, "0xa11ce", 5.5, 3.0, 2.0, 2.75, "healthy", "", 0),
}


class TestPostgres:
    """The same truths on PostgreSQL, in a schema of its own that is dropped afterwards."""

    @pytest.fixture
    def url(self, postgres_url):
        return postgres_url

    @pytest.fixture
    def journal(self, url):
        with opened(url) as journal:
            yield journal

    def test_migrations_build_the_declared_tables(self, journal):
        with journal._database.reading() as connection:
            assert compare_metadata(MigrationContext.configure(connection), METADATA) == []

    test_integers = staticmethod(test_the_largest_and_smallest_integers_survive)
    test_margins = staticmethod(test_margins_keep_floats_infinite_health_and_unknown)
    test_discovery = staticmethod(test_discovery_advances_and_rewinds_to_the_fork)
    test_heads = staticmethod(test_only_the_last_256_scanned_heads_are_kept)
    test_idempotent = staticmethod(test_the_same_block_is_intended_once)
    test_held = staticmethod(test_a_live_effect_is_held_not_repeated)
    test_intent = staticmethod(test_an_intent_runs_from_intended_to_achieved_and_its_decision_tells_all_of_it)
    test_closing = staticmethod(test_an_intent_closes_only_when_nothing_of_it_can_land)
    test_shared = staticmethod(test_one_transaction_may_carry_several_intents_and_each_ends_by_itself)
    test_atomic = staticmethod(test_a_failure_inside_a_tick_leaves_nothing)
    test_rounds = staticmethod(test_quotes_by_tick_and_rounds_by_update)
    test_counts = staticmethod(test_counts)
    test_prune = staticmethod(test_prune_keeps_the_ledger_and_what_explains_it)

    test_two_connections = staticmethod(test_two_connections_cannot_both_intend_one_effect)
    test_reopening = staticmethod(test_reopening_finds_everything)
    test_kill = staticmethod(test_bytes_stored_before_a_kill_are_there_after_it)
    test_latency = staticmethod(test_later_stages_are_merged_into_the_latency)
    test_volatility = staticmethod(test_the_latest_volatility)

    def test_another_chain(self, url):
        test_another_chains_or_venues_journal_is_refused(url, 1, "curie")
