"""The gates of a burst: what is allowed follows the accounts first, and only for many the gas that was used."""

from collections.abc import Mapping
from types import MappingProxyType

import pytest

from tests.bursts.figures import allowed, faults
from tests.bursts.harness import Run

MILLION = 10**6
NONE: Mapping[str, int] = MappingProxyType({})


def burst(size: int, blocks: int | None, gas_used: tuple[int, ...], effects: Mapping[str, int] = NONE) -> Run:
    return Run("reference", size, 1, blocks, effects, 0, 0, 0, 0, 0, gas_used, ())


@pytest.mark.parametrize(("size", "blocks"), [(1, 2), (20, 2), (200, 5)])
def test_gas_of_its_own_excuses_no_block_of_a_small_burst(size: int, blocks: int) -> None:
    one = burst(size, 3, (28 * MILLION, 28 * MILLION, 28 * MILLION, 24 * MILLION))
    assert allowed(one) == blocks
    assert (faults(one) == ()) is (size == 200)


def test_an_account_that_no_take_restored_is_told() -> None:
    one = burst(20, 2, (), {"AuctionStarted": 20, "Taken": 20, "AuctionEnded": 19})
    assert faults(one) == ("expected AuctionEnded of 20 accounts, found 19",)
