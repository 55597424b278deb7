"""Periodic jobs: what they write, that they survive failure, and that the real scheduler runs them."""

import json
import logging
import threading
from pathlib import Path

import pytest
from apscheduler.events import EVENT_JOB_MAX_INSTANCES

from keeper.chain import Block
from keeper.config import load
from keeper.errors import JournalError
from keeper.jobs import Jobs
from keeper.journal import Journal, MarginRow, TickRecord

EXAMPLE = Path(__file__).parents[2] / "keeper.example.toml"


def record(number):
    margins = (MarginRow("0xa", None, None, None, None, "unknown", "stale"),)
    return TickRecord(Block(number, f"0x{number:064x}", "0x", 1_000 + number, 1), 1, {}, (), margins, ())


@pytest.fixture
def journal(tmp_path):
    with Journal.open(f"sqlite:///{tmp_path / 'keeper.db'}", chain_id=10, venue="perp_curie") as journal:
        yield journal


@pytest.fixture
def heartbeat_file(tmp_path):
    return tmp_path / "beat.json"


@pytest.fixture
def config(heartbeat_file):
    config = load(EXAMPLE, environ={})
    fast = {"heartbeat_seconds": 0.01, "volatility_seconds": 0.01, "prune_seconds": 0.01}
    jobs = config.jobs.model_copy(update={**fast, "heartbeat_file": heartbeat_file})
    kept = config.journal.model_copy(update={"keep_ticks": 2})
    return config.model_copy(update={"jobs": jobs, "journal": kept})


def nothing():
    pass


def test_the_heartbeat_before_any_tick(journal, config, heartbeat_file):
    Jobs(journal, config, nothing, clock=lambda: 5_000.0).heartbeat()
    beat = json.loads(heartbeat_file.read_text())
    assert (beat["at"], beat["block"], beat["age_s"]) == (5_000.0, None, None)


def test_the_heartbeat_says_block_age_and_totals(journal, config, heartbeat_file):
    for number in (7, 8):
        journal.intend(record(number), [])
    jobs = Jobs(journal, config, nothing, clock=lambda: 1_010.5)
    jobs.heartbeat()
    beat = json.loads(heartbeat_file.read_text())
    assert (beat["block"], beat["age_s"], beat["unknown"]) == (8, 2.5, 1)
    assert (beat["counts"]["ticks"], beat["counts"]["skipped_heads"]) == (2, 2)
    assert beat["failed_jobs"] == {"heartbeat": 0, "volatility": 0, "prune": 0}
    assert sorted(path.name for path in heartbeat_file.parent.glob("*beat*")) == ["beat.json"]


def test_the_heartbeat_says_how_sending_stands(journal, config, heartbeat_file):
    stands = {"alarms": ["spend cap per hour"], "left_alone": {"0xa": "quarantined"}, "unknown_answers": 0.25}
    Jobs(journal, config, nothing, sending=lambda: stands, clock=lambda: 0.0).heartbeat()
    assert json.loads(heartbeat_file.read_text())["sending"] == stands


def test_a_heartbeat_that_cannot_be_written_leaves_the_old_one(journal, config, heartbeat_file, monkeypatch):
    jobs = Jobs(journal, config, nothing, clock=lambda: 1.0)
    jobs.heartbeat()
    before = heartbeat_file.read_text()

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    jobs.heartbeat()
    assert heartbeat_file.read_text() == before
    assert jobs.failures["heartbeat"] == 1


def test_prune_keeps_what_the_configuration_says(journal, config):
    for number in range(1, 6):
        journal.intend(record(number), [])
    Jobs(journal, config, nothing).prune()
    assert journal.counts().ticks == 2


def test_a_failing_job_is_logged_and_counted(journal, config, caplog):
    def fail():
        raise JournalError("expected a database, found none")

    jobs = Jobs(journal, config, fail)
    with caplog.at_level(logging.ERROR, "keeper.jobs"):
        jobs.volatility()
        jobs.volatility()
    assert jobs.failures == {"heartbeat": 0, "volatility": 2, "prune": 0}
    assert "job volatility failed" in caplog.text
    assert "found none" in caplog.text


def test_the_scheduler_runs_them_without_overlap_and_past_failures(journal, config, heartbeat_file):
    journal.intend(record(1), [])
    running, overlapped, runs, enough = threading.Lock(), [], [], threading.Event()
    due_again = threading.Semaphore(0)

    def measure():
        if not running.acquire(blocking=False):
            overlapped.append(True)
            return
        try:
            runs.append(True)
            if not enough.is_set():
                assert due_again.acquire(timeout=20)  # so long that the scheduler would have run it once more
            if len(runs) >= 4:
                enough.set()
            raise RuntimeError("fails every time")
        finally:
            running.release()

    before = set(threading.enumerate())
    jobs = Jobs(journal, config, measure)
    with jobs:
        jobs._scheduler.add_listener(lambda _: due_again.release(), EVENT_JOB_MAX_INSTANCES)
        assert enough.wait(20)
        assert set(threading.enumerate()) - before
        with pytest.raises(RuntimeError, match="found them running"):
            jobs.start()
    assert not overlapped
    assert jobs.failures["volatility"] == len(runs)
    assert jobs.failures["heartbeat"] == jobs.failures["prune"] == 0
    assert json.loads(heartbeat_file.read_text())["block"] == 1

    assert not set(threading.enumerate()) - before  # nobody is left who could run one
    jobs.stop()  # once more does nothing
