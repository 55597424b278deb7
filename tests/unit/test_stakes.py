"""What plans stand to lose, in wei, by hand; and that no price means nothing is stated."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.lanes.rescue import Stake
from keeper.plans import Liquidate, Plan, SetParameters, StartAuction, TakeAuction
from keeper.stakes import staked

ETHER = 10**18
MICRO = 10**6


def liquidation(shortfall: float) -> Liquidate:
    return Liquidate("v", "a", "m", shortfall, 5_000.0, 9)


def take(profit: float) -> TakeAuction:
    return TakeAuction("v", "a", "t", 1, 1, 1, ETHER, 0, False, 0, False, 1, profit, 99, 9)


START = StartAuction("v", "a", 1, False, 0, 1, 500.0, 99, 9)


def test_a_shortfall_is_lost_over_the_plans_lifetime_and_caps_nothing() -> None:
    stake = staked(2_000.0, 5)
    a_fifth = Stake(ETHER // 20, None, 500 * MICRO)  # a quarter of an ether over five blocks
    assert stake(liquidation(500.0)) == stake(START) == a_fifth


def test_a_take_is_worth_its_profit_and_one_at_a_loss_nothing() -> None:
    stake = staked(2_000.0, 2)
    assert stake(take(1_000.0)) == Stake(ETHER // 4, ETHER // 2, 1_000 * MICRO)
    assert stake(take(-1.0)) == Stake(0, 0)


def test_a_parameter_states_nothing() -> None:
    assert staked(2_000.0, 3)(SetParameters("v", "p", 1, 2, "why", 9)) == Stake(0, None)


@pytest.mark.parametrize(("plan", "usd"), [(liquidation(600.0), 600), (START, 500), (take(5.0), 5)])
def test_without_a_price_of_ether_only_the_order_is_stated(plan: Plan, usd: int) -> None:
    assert staked(None, 3)(plan) == Stake(0, None, usd * MICRO)


@given(st.floats(0.0, 1e12), st.floats(0.01, 1e6), st.integers(1, 100))
def test_never_more_than_the_shortfall_and_never_negative(shortfall: float, price: float, blocks: int) -> None:
    stake = staked(price, blocks)(liquidation(shortfall))
    whole = shortfall / price * ETHER
    assert 0 <= stake.per_block * blocks <= whole * (1 + 1e-12) + 1
    assert math.isclose(stake.per_block * blocks, whole, rel_tol=1e-12, abs_tol=blocks + 1)
