"""The demo itself, shortened to thirteen hours: with nobody acting, with the keeper at work, with the keeper killed."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

from keeper.demo.replay import BLOCKS_AFTER, BLOCKS_PER_HOUR

COUNTS = (
    "blocks", "ticks", "skipped_heads", "accounts", "liquidatable", "liquidated", "missed", "reverted",
    "parameter_updates", "unknown",
)  # fmt: skip
"""The keys of summary.json that are integers."""
HOURS = 13
KILL_HOUR = 11  # the hour in which most accounts fall
AND_ON = 15  # leaves the restarted keeper some hours to work in
MISSED_AFTER = 4


def demo(folder: Path, *options: str, hours: int = HOURS) -> tuple[dict[str, Any], subprocess.CompletedProcess[str]]:
    command = [sys.executable, "-m", "keeper", "demo", "--venue", "curie", "--json", "--folder", str(folder)]
    command += ["--hours", str(hours)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False, timeout=300)
    assert done.stdout, done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    assert json.loads((folder / "summary.json").read_text()) == summary
    assert_complete(summary, hours)
    return summary, done


def ticks(folder: Path) -> list[tuple[int, int]]:
    """Return block and skipped heads of every tick in the journal, in order."""
    with closing(sqlite3.connect(folder / "keeper.db")) as database:
        return database.execute("SELECT block_number, skipped_heads FROM ticks ORDER BY id").fetchall()


def reverts(folder: Path, failed: int) -> list[int]:
    """Return for each of the `failed` intents how many others of its account were achieved in its lifetime."""
    with closing(sqlite3.connect(folder / "keeper.db")) as database:
        found = database.execute(
            "SELECT (SELECT count(*) FROM slots b JOIN slot_intents c ON c.slot_id = b.id"
            " JOIN intents j ON j.id = c.intent_id WHERE j.subject = i.subject AND j.status = 'achieved'"
            " AND b.mined_number > t.block_number AND b.mined_number <= a.mined_number)"
            " FROM slots a JOIN slot_intents s ON s.slot_id = a.id JOIN intents i ON i.id = s.intent_id"
            " JOIN ticks t ON t.id = i.tick_id WHERE i.status = 'failed'"
        ).fetchall()
    assert len(found) == failed
    return [count for (count,) in found]


def assert_complete(summary: dict[str, Any], hours: int) -> None:
    assert {type(summary[name]) for name in COUNTS} == {int}
    assert summary["blocks"] >= hours * BLOCKS_PER_HOUR + BLOCKS_AFTER
    assert summary["accounts"] == 64 + 3  # traders, market maker, arbitrageur, keeper
    assert summary["unknown"] == 0
    assert summary["comparisons"] >= summary["ticks"] * 60 * 3
    assert 0.0 <= summary["max_rel_diff"] <= 1e-9
    assert type(summary["bad_debt_usd"]) is float
    for stage in ("read", "margin", "decide", "journal", "total"):
        quantiles = summary["latency_ms"][stage]
        assert 0.0 < quantiles["p50"] <= quantiles["p95"] <= quantiles["p99"]


def test_with_sending_switched_off_accounts_are_missed(tmp_path: Path) -> None:
    summary, done = demo(tmp_path, "--mode", "observe", "--block-seconds", "0.2")
    assert done.returncode == 0, done.stderr
    assert summary["missed"] >= 10
    assert (summary["liquidated"], summary["reverted"], summary["parameter_updates"]) == (0, 0, 0)
    assert summary["most_liquidatable_in_one_hour"] >= 10


def test_a_keeper_at_work_misses_nobody(tmp_path: Path) -> None:
    summary, done = demo(tmp_path)
    assert done.returncode == 0, done.stderr
    assert (summary["missed"], summary["reverted"], summary["duplicates"]) == (0, 0, 0)
    assert summary["liquidated"] >= 15
    assert summary["parameter_updates"] >= 1


def test_a_keeper_killed_in_mid_crash_carries_on(tmp_path: Path) -> None:
    """Restarting takes longer than four blocks; whom it misses, it misses while it is not there, and nobody after."""
    summary, done = demo(tmp_path, "--kill-at-hour", str(KILL_HOUR), "--block-seconds", "0.6", hours=AND_ON)
    assert done.returncode == 0, done.stderr
    assert summary["duplicates"] == 0
    for successes_between in reverts(tmp_path, summary["reverted"]):
        assert successes_between == 0, "a revert may come of a price that moved, never of acting twice"
    assert summary["liquidated"] >= 15
    # who was not liquidated recovered by itself: while the keeper was away, or just before its transaction landed
    by_itself = json.loads((tmp_path / "observer.json").read_text())["reasons"]["recovered"]
    assert summary["liquidatable"] - summary["liquidated"] <= by_itself
    seen = ticks(tmp_path)
    gaps = [(last, now) for (last, _), (now, skipped) in pairwise(seen) if now - last > skipped + 1]
    assert len(gaps) == 1, "a process that lives counts the heads it skips: one gap is one death"
    ((last, again),) = gaps
    for streak in summary["missed_detail"]:
        watched = {block for block, _ in seen} & set(range(streak["first_block"], streak["last_block"]))
        assert len(watched) < MISSED_AFTER - 1 and last - 1 <= streak["last_block"] <= again + 1
    with closing(sqlite3.connect(tmp_path / "keeper.db")) as database:
        slots = database.execute("SELECT nonce, state FROM slots WHERE state <> 'released' ORDER BY nonce").fetchall()
    begun_last = sum(state != "final" for _, state in slots)
    first = slots[0][0]
    assert [nonce for nonce, _ in slots] == list(range(first, first + len(slots)))
    assert {state for _, state in slots[: len(slots) - begun_last]} <= {"final"}
    assert begun_last <= 2, "only what the very last block brought may be open, and that is parameters alone"
