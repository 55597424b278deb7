"""SIGKILL of a keeper with fifty in flight, at the five fault points of a ledger; random ones: `make chaos`, kills."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from keeper.demo.transactions import GWEI
from tests.chaos_suite.killing import Point
from tests.chaos_suite.scenarios.kills import NAMED, killed
from tests.chaos_suite.stage import staged
from tests.chaos_suite.world import ENDANGERED, Worlds


@pytest.fixture(scope="module")
def worlds() -> Iterator[Worlds]:
    with Worlds() as opened:
        yield opened


@pytest.mark.parametrize("point", NAMED.values(), ids=NAMED)
def test_nothing_is_done_twice_and_nothing_forgotten(worlds: Worlds, tmp_path: Path, point: Point) -> None:
    with worlds.undone("curie") as site, staged(site, tmp_path, seed=1, geth_pool=True) as on:
        figures = killed(on, point, GWEI)
    assert figures["liquidated"] == ENDANGERED
    assert figures["reverted"] == 0
