"""Sending with a journal on PostgreSQL: a keeper killed with fifty in flight, and a journal that another one locks."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from keeper.demo.transactions import GWEI
from tests.chaos_suite.interrupted import finish
from tests.chaos_suite.judge import kept_once
from tests.chaos_suite.killing import Point
from tests.chaos_suite.scenarios.kills import killed
from tests.chaos_suite.stage import Stage, staged
from tests.chaos_suite.world import ENDANGERED, Worlds

LOCKED_BLOCKS = 2
KILLS = (
    Point("reserve", 1, "inside", 10),
    Point("stored", 1, "inside", 4),
    Point("offer", 1, "after"),
)


@pytest.fixture(scope="module")
def worlds() -> Iterator[Worlds]:
    with Worlds() as opened:
        yield opened


@pytest.fixture
def stage(worlds: Worlds, tmp_path: Path) -> Iterator[Stage]:
    with worlds.undone("curie") as site, staged(site, tmp_path, seed=1, geth_pool=True) as on:
        yield on


@pytest.mark.parametrize("point", KILLS, ids=str)
def test_nothing_is_done_twice_and_nothing_forgotten(stage: Stage, postgres_url: str, point: Point) -> None:
    figures = killed(stage, point, GWEI, journal_url=postgres_url)
    assert figures["liquidated"] == ENDANGERED
    assert figures["reverted"] == 0


@pytest.mark.parametrize("table", ["intents", "offers"])
def test_a_locked_journal_stops_sending_with_an_alarm_and_it_resumes(
    stage: Stage, postgres_url: str, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    monkeypatch.setattr("keeper.journal.database.BUSY_TIMEOUT_MS", 100)
    keeper = stage.keeper(journal_url=postgres_url)
    engine = create_engine(postgres_url)
    with engine.begin() as other:
        other.exec_driver_sql(f"LOCK TABLE {table} IN EXCLUSIVE MODE")  # reads go on, as with SQLite
        for _ in range(LOCKED_BLOCKS):
            assert stage.tick(keeper) is None
            assert "lock timeout" in stage.errors[-1] and "stop the other process" in stage.errors[-1]
            stage.mine()
        assert stage.offered() == ()
    engine.dispose()
    stage.tick(keeper)
    finish(stage, keeper, ENDANGERED)
    assert stage.reverted() == 0
    kept_once(stage, keeper, ENDANGERED)
