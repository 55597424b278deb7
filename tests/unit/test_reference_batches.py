"""Which starts share a transaction: as many as its gas carries, each with the contract's own reserve behind it."""

from dataclasses import replace

import pytest

from keeper.plans import Plan, SetParameters, StartAuction
from keeper.venues.reference_batches import batches

START_GAS = 5_000_000
RESERVE = START_GAS * 64 // 63 + 20_000  # Auctions.startAuctions: `needed`
ALONE = 975_000


def start(number: int, legs: int = 1) -> StartAuction:
    return StartAuction("reference", f"0x{number:040x}", 7, False, 0, legs, 10.0, 1_960, 103)


def found(plans: list[Plan], gas: int, alone: int = ALONE) -> list[tuple[int, ...]]:
    return [batch.rows for batch in batches(plans, gas, START_GAS, [alone] * len(plans), {})]


def test_starts_of_one_block_go_together() -> None:
    assert found([start(n) for n in range(6)], 12_000_000) == [(0, 1, 2, 3, 4, 5)]


def test_other_plans_and_their_order_are_left_alone() -> None:
    other = SetParameters("reference", "x", 1, 2, "", 0)
    assert found([start(0), other, start(1), other], 12_000_000) == [(0, 2)]


@pytest.mark.parametrize("count", [0, 1])
def test_one_start_is_no_batch(count: int) -> None:
    assert found([start(n) for n in range(count)], 12_000_000) == []


def test_gas_that_has_no_room_for_two_leaves_every_start_alone() -> None:
    assert found([start(n) for n in range(9)], RESERVE + 600_000) == []


def test_a_start_the_batch_may_be_too_narrow_for_stays_alone() -> None:
    """In a batch it would end without a reason, block after block."""
    plans = [start(0), start(1, 128), start(2)]
    together = batches(plans, 12_000_000, START_GAS, [ALONE, START_GAS + 1, START_GAS], {})
    assert [batch.rows for batch in together] == [(0, 2)]


@pytest.mark.parametrize("gas", [6_000_000, 8_000_000, 12_000_000, 16_777_216, 30_000_000])
@pytest.mark.parametrize("legs", [1, 12, 50])
def test_every_start_finds_the_reserve_though_those_before_it_used_their_gas(gas: int, legs: int) -> None:
    plans: list[Plan] = [start(n, legs) for n in range(40)]
    whole = batches(plans, gas, START_GAS, [ALONE] * 40, {})
    for batch in whole:
        assert batch.gas <= gas
        used = (len(batch.rows) - 1) * (600_000 + 30_000 * legs)  # calldata of each included
        assert batch.gas - 21_000 - 3_000 - used >= RESERVE
    rows = [row for batch in whole for row in batch.rows]
    assert len(rows) == len(set(rows))
    if rows:
        assert rows == sorted(rows)
        assert 40 - len(rows) <= 1  # at most the last one is left over


def test_more_gas_means_fewer_transactions() -> None:
    plans: list[Plan] = [replace(start(n), legs=12) for n in range(40)]
    counts = [len(batches(plans, gas, START_GAS, [ALONE] * 40, {})) for gas in (8_000_000, 12_000_000, 16_777_216)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1]
