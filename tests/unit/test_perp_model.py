"""Perpetuals over the common book: Perp Curie's figures by hand, and what the rule does not know."""

import numpy as np
import pytest
from pydantic import TypeAdapter

from engine.book import FUTURE, PERPETUAL, TOKEN, Book, Instruments
from engine.margin.base import MarginReport, margin
from engine.margin.perp_model import Perp
from engine.market import Market
from engine.types import ENDANGERED, HEALTHY

ETH, BTC, WETH, JUNK, DATED = range(5)
INSTRUMENTS = Instruments(
    names=("ETH-PERP", "BTC-PERP", "WETH", "JUNK", "ETH-30D"),
    underlyings=("ETH", "BTC"),
    expiries=("30D",),
    kind=np.array([PERPETUAL, PERPETUAL, TOKEN, TOKEN, FUTURE], np.int8),
    underlying=np.array([0, 1, 0, -1, 0]),
    expiry=np.array([-1, -1, -1, -1, 0]),
    strike=np.zeros(5),
    is_call=np.zeros(5, np.bool_),
)
MARKET = Market(
    spot=np.array([1_100.0, 50_000.0]),
    spot_confidence=np.ones(2),
    expiry_underlying=np.zeros(1, np.int64),
    seconds=np.ones(1),
    forward=np.array([1_100.0]),
    forward_fixed=np.zeros(1),
    forward_confidence=np.ones(1),
    rate=np.zeros(1),
    rate_confidence=np.ones(1),
    price=np.array([1_100.0, 50_000.0, 1_100.0, 5.0, 0.0]),
    vol=np.zeros(5),
    confidence=np.ones(5),
)


def book(*accounts: tuple[float, list[tuple[int, float, float]]], accrued: float = 0.0) -> Book:
    """Accounts as cash and positions of instrument, quantity and entry."""
    rows = [position for _, held in accounts for position in held]
    return Book(
        instruments=INSTRUMENTS,
        accounts=tuple(f"account {a}" for a in range(len(accounts))),
        cash=np.array([cash for cash, _ in accounts]),
        start=np.cumsum([0] + [len(held) for _, held in accounts]),
        instrument=np.array([row for row, _, _ in rows], np.int64),
        quantity=np.array([quantity for _, quantity, _ in rows]),
        entry=np.array([entry for _, _, entry in rows]),
        accrued=np.full(len(rows), accrued),
    )


def report(
    cash: float, *held: tuple[int, float, float], model: Perp | None = None, accrued: float = 0.0
) -> MarginReport:
    return margin(model or Perp(), book((cash, list(held)), accrued=accrued), MARKET)


def figures(found: MarginReport) -> list[float]:
    return [float(found.equity[0]), float(found.mm[0]), float(found.im[0])]


def test_a_long_owes_its_cost_and_is_margined_on_it() -> None:
    # Bought 2 at 1,000, now 1,100: 200 gained; MM 6.25 % of 2,200, IM 10 % of the 2,000 owed.
    assert figures(report(500.0, (ETH, 2.0, 1_000.0))) == pytest.approx([700.0, 137.5, 200.0])


def test_a_short_owes_its_size_at_the_mark() -> None:
    assert figures(report(500.0, (ETH, -2.0, 1_000.0))) == pytest.approx([300.0, 137.5, 220.0])


def test_one_market_nets_whatever_the_number_of_fills() -> None:
    # 3 bought at 1,000, 1 sold at 1,100: long 2, 1,900 owed.
    found = report(0.0, (ETH, 3.0, 1_000.0), (ETH, -1.0, 1_100.0))
    assert figures(found) == pytest.approx([300.0, 137.5, 190.0])


def test_markets_do_not_net_but_their_quote_does() -> None:
    # Long 50 ETH for 50,000 owed, short 1 BTC for 50,000 held: quotes cancel, the BTC owed is left.
    found = report(0.0, (ETH, 50.0, 1_000.0), (BTC, -1.0, 50_000.0))
    assert figures(found) == pytest.approx([5_000.0, 0.0625 * 105_000, 0.1 * 50_000])


def test_tokens_count_by_their_share_and_unknown_ones_not_at_all() -> None:
    found = report(0.0, (WETH, 1.0, 0.0), (JUNK, 9.0, 0.0))
    assert figures(found) == pytest.approx([880.0, 0.0, 0.0])
    assert found.mark_to_market[0] == pytest.approx(1_145.0)
    shared = report(0.0, (JUNK, 9.0, 0.0), model=Perp(collateral={"JUNK": 0.5}))
    assert shared.equity[0] == pytest.approx(22.5)


def test_what_has_accrued_is_cash() -> None:
    assert report(500.0, (ETH, 2.0, 1_000.0), accrued=-30.0).equity[0] == pytest.approx(670.0)


def test_equity_equal_to_the_margin_is_healthy() -> None:
    found = margin(Perp(), book((-62.5, [(ETH, 2.0, 1_000.0)]), (-62.6, [(ETH, 2.0, 1_000.0)])), MARKET)
    assert found.status.tolist() == [HEALTHY, ENDANGERED]
    assert (found.health[0], bool(found.undecided[0]), bool(found.undecided[1])) == (1.0, True, False)


def test_accounts_keep_their_own_perpetuals_and_tokens() -> None:
    accounts = (
        (1.0, [(WETH, 1.0, 0.0), (ETH, 1.0, 1_100.0)]),
        (2.0, []),
        (3.0, [(ETH, 2.0, 1_100.0), (WETH, 2.0, 0.0)]),
    )
    found = margin(Perp(), book(*accounts), MARKET)
    np.testing.assert_allclose(found.equity, [881.0, 2.0, 1_763.0])
    np.testing.assert_allclose(found.mm, [68.75, 0.0, 137.5])


def test_a_venue_may_floor_equity_to_its_decimals() -> None:
    assert report(1.23456789, model=Perp(equity_decimals=6)).equity[0] == 1.234567


def test_what_the_rule_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="perpetuals and tokens, found 1 of future ETH-30D in account account 1"):
        Perp().at(INSTRUMENTS, MARKET)(book((0.0, []), (0.0, [(DATED, 1.0, 1_000.0)])))
    with pytest.raises(ValueError, match="no token owed, found -2 of token WETH in account account 0"):
        report(0.0, (WETH, -2.0, 0.0))


@pytest.mark.parametrize(
    "wrong",
    [
        {"im_ratio": 0.05},
        {"mm_ratio": 0.0},
        {"im_ratio": 1.1},
        {"mm_ratio": float("nan")},
        {"collateral": {"WETH": 1.1}},
        {"other": -0.1},
        {"equity_decimals": 19},
    ],
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        TypeAdapter(Perp).validate_python(wrong)
