"""A few of the random kill points of tests/chaos/kills.py, one for each kind of step; `kills.py 200` runs them all."""

from collections.abc import Iterator

import kills
import pytest

from tests.chaos_suite.world import Worlds


@pytest.fixture(scope="module")
def worlds() -> Iterator[Worlds]:
    with Worlds() as opened:
        yield opened


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_is_done_twice_and_nothing_forgotten(worlds: Worlds, seed: int) -> None:
    figures = kills.run(seed, worlds)
    assert figures["liquidated"] == 50
    assert figures["reverted"] == 0
