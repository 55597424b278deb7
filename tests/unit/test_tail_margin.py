"""Tail margin: its conventions by hand, its parts, and a normal distribution's closed form."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from pydantic import TypeAdapter
from scipy.special import ndtri

from engine.book import FUTURE, PERPETUAL, TOKEN, Book, Instruments
from engine.margin.base import MarginReport, margin
from engine.margin.tail import Tail, components, tail_count
from engine.market import Market
from engine.revalue import risk_arrays
from engine.scenarios import Scenarios, historical, user_defined
from engine.types import DAY

BTC, ETH, DATED, USDC, JUNK = range(5)
INSTRUMENTS = Instruments(
    names=("BTC-PERP", "ETH-PERP", "BTC-30D", "USDC", "JUNK"),
    underlyings=("BTC", "ETH"),
    expiries=("30D",),
    kind=np.array([PERPETUAL, PERPETUAL, FUTURE, TOKEN, TOKEN], np.int8),
    underlying=np.array([0, 1, 0, -1, -1]),
    expiry=np.array([-1, -1, 0, -1, -1]),
    strike=np.zeros(5),
    is_call=np.zeros(5, np.bool_),
)
MARKET = Market(
    spot=np.array([100.0, 100.0]),
    spot_confidence=np.ones(2),
    expiry_underlying=np.zeros(1, np.int64),
    seconds=np.array([30.0]) * DAY,
    forward=np.array([100.0]),
    forward_fixed=np.zeros(1),
    forward_confidence=np.ones(1),
    rate=np.zeros(1),
    rate_confidence=np.ones(1),
    price=np.array([100.0, 100.0, 0.0, 1.0, 2.0]),
    vol=np.zeros(5),
    confidence=np.ones(5),
)
TEN = historical([str(k) for k in range(1, 11)], np.array([[-k / 100, k / 50] for k in range(1, 11)]))
"""BTC loses 1 to 10 USD a unit, ETH gains twice as much."""


def book(*accounts: dict[int, float], cash: float = 0.0) -> Book:
    rows = [row for held in accounts for row in held]
    return Book(
        instruments=INSTRUMENTS,
        accounts=tuple(str(a) for a in range(len(accounts))),
        cash=np.full(len(accounts), cash),
        start=np.cumsum([0, *map(len, accounts)]),
        instrument=np.array(rows, np.int64),
        quantity=np.array([quantity for held in accounts for quantity in held.values()], np.float64),
        entry=np.where(np.isin(rows, (BTC, ETH, DATED)), 100.0, 0.0),
        accrued=np.zeros(len(rows)),
    )


def report(held: dict[int, float], model: Tail, scenarios: Scenarios = TEN) -> MarginReport:
    return model.under(scenarios, INSTRUMENTS, MARKET)(book(held))


@pytest.mark.parametrize(
    ("measure", "p", "expected"),
    [
        ("es", 0.75, (10 + 9 + 0.5 * 8) / 2.5),
        ("var", 0.75, 8.0),
        ("es", 0.80, 9.5),
        ("var", 0.80, 8.0),  # whole n: the largest loss outside the average
        ("es", 0.90, 10.0),
        ("es", 0.99, 10.0),  # a tenth of one scenario
        ("var", 0.99, 10.0),
        ("es", 0.10, (55 - 1) / 9),
    ],
)
def test_the_average_of_the_worst_with_the_boundary_by_its_fraction(measure: str, p: float, expected: float) -> None:
    model = TypeAdapter(Tail).validate_python({"measure": measure, "p_im": p, "p_mm": p})
    found = report({BTC: 1.0}, model)
    assert (found.im[0], found.mm[0]) == pytest.approx((expected, expected), rel=1e-14)
    assert found.scenarios[found.worst[0]] == "10"


def test_im_and_mm_are_the_same_measure_at_two_probabilities() -> None:
    found = report({BTC: 1.0}, Tail(p_im=0.9, p_mm=0.8))
    assert (found.im[0], found.mm[0]) == pytest.approx((10.0, 9.5))
    assert (found.contingencies["tail MM"][0], found.contingencies["tail IM"][0]) == pytest.approx((9.5, 0.5))


def test_a_book_that_gains_in_every_scenario_needs_no_margin() -> None:
    found = report({BTC: -1.0}, Tail())
    assert (found.im[0], found.mm[0], found.worst[0]) == (0.0, 0.0, -1)


def test_a_weight_scales_the_loss_of_a_scenario_and_not_its_probability() -> None:
    rows = [{"name": "deep", "spot": -0.5, "weight": 0.1}, {"name": "flat"}]
    found = report({BTC: 1.0}, Tail(p_im=0.5, p_mm=0.5), user_defined(rows, INSTRUMENTS.underlyings))
    assert found.mm[0] == pytest.approx(5.0)


def test_a_normal_distribution_has_its_closed_form() -> None:
    # ES of the standard normal at 97.5 % is φ(1.959964) / 0.025 = 2.337803, VaR at 99 % is 2.326348.
    quantiles = ndtri((np.arange(20_000) + 0.5) / 20_000) / 100
    scenarios = historical([str(k) for k in range(20_000)], np.column_stack((quantiles, quantiles)))
    assert report({BTC: 1.0}, Tail(), scenarios).mm[0] == pytest.approx(2.337803, rel=3e-4)
    assert report({BTC: 1.0}, Tail(measure="var"), scenarios).im[0] == pytest.approx(2.326348, rel=1e-3)


def test_equity_is_cash_and_marks_and_tokens_count_after_their_haircut() -> None:
    found = Tail().at(INSTRUMENTS, MARKET)(book({USDC: 100.0, JUNK: 10.0}, cash=5.0))
    assert (found.equity[0], found.mm[0], found.im[0]) == (125.0, 20.0, 20.0)


def test_a_token_owed_again_has_no_haircut() -> None:
    lent = book({JUNK: 10.0}, cash=5.0)
    rows = {name: np.tile(getattr(lent, name), 2) for name in ("instrument", "entry", "accrued")}
    found = Tail().at(INSTRUMENTS, MARKET)(
        replace(lent, start=np.array([0, 2]), quantity=np.array([10.0, -4.0]), **rows)
    )
    assert (found.equity[0], found.mm[0]) == (17.0, 12.0)


def test_the_default_shape_loses_a_tenth_of_bitcoin_once_in_a_hundred_days() -> None:
    found = margin(Tail(measure="var"), book({BTC: 1.0}, {ETH: 1.0}), MARKET)
    np.testing.assert_allclose(found.im, [10.0, 12.5], rtol=0.03)


def test_an_underlying_without_history_moves_a_multiple_of_the_first_and_falls_to_nothing_at_most() -> None:
    set_ = Tail(history={"BTC": (-0.6, 0.1)}, other_multiple=3.0, days=2.0).scenarios(("ETH", "BTC"))
    np.testing.assert_allclose(set_.spot, [[-1.0, -0.6], [0.3, 0.1]])
    assert set_.days.tolist() == [2.0, 2.0]


def test_vol_history_moves_the_vols_it_names() -> None:
    set_ = Tail(history={"BTC": (0.1, 0.2)}, vol_history={"ETH": (0.5, -0.5)}).scenarios(("BTC", "ETH"))
    assert set_.vol.tolist() == [[0.0, 0.5], [0.0, -0.5]]


def test_parts_add_up_to_the_expected_shortfall_and_a_hedge_has_a_negative_one() -> None:
    pnl = risk_arrays(INSTRUMENTS, MARKET, TEN).pnl
    held = book({BTC: 3.0, ETH: 1.0}, {}, {DATED: -1.0, USDC: 5.0, ETH: -2.0})
    parts = components(held, pnl, 0.75)
    # Account 0 loses 3k − 2k = k: by scenarios 10, 9 and half of 8, where BTC loses 3 · 9.2 and ETH gains 2 · 9.2.
    np.testing.assert_allclose(parts.position[:2], [27.6, -18.4])
    np.testing.assert_allclose(parts.underlying, [[27.6, -18.4, 0], [0, 0, 0], [-9.2, 36.8, 0]], atol=1e-13)
    np.testing.assert_allclose(parts.expiry, [[0, 9.2], [0, 0], [-9.2, 36.8]], atol=1e-13)
    found = Tail(p_im=0.75, p_mm=0.75).under(TEN, INSTRUMENTS, MARKET)(held)
    np.testing.assert_allclose(parts.underlying.sum(axis=1), found.mm)


def test_a_part_over_its_quantity_is_the_slope_of_the_expected_shortfall() -> None:
    rng = np.random.default_rng(7)
    pnl = rng.standard_normal((5, 301))
    held = {BTC: 1.3, ETH: -2.0, DATED: 0.7}
    parts = components(book(held), pnl, 0.9).position
    step = 1e-7
    for k, row in enumerate(held):
        more, less = ({**held, row: held[row] + d} for d in (step, -step))
        up, down = (components(book(h), pnl, 0.9).position.sum() for h in (more, less))
        assert parts[k] / held[row] == pytest.approx((up - down) / (2 * step), rel=1e-6)


def test_of_equal_losses_the_first_scenarios_count() -> None:
    # All hundred lose 1 in sum, the first ten through BTC and the rest through ETH; ES averages ten.
    pnl = np.zeros((5, 100))
    pnl[BTC, :10], pnl[ETH, 10:] = -1.0, -1.0
    assert components(book({BTC: 1.0, ETH: 1.0}), pnl, 0.9).position.tolist() == pytest.approx([1.0, 0.0])


def test_parts_do_not_depend_on_how_many_accounts_are_explained_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pnl = np.random.default_rng(3).standard_normal((5, 50))
    held = book(*({BTC: float(k), ETH: 1.0 - k} for k in range(9)))
    whole = components(held, pnl, 0.95)
    monkeypatch.setattr("engine.margin.tail.CELLS", 100)
    np.testing.assert_array_equal(components(held, pnl, 0.95).position, whole.position)


@pytest.mark.parametrize(("scenarios", "p", "n"), [(1000, 0.99, 10.0), (10_240, 0.975, 256.0), (500, 0.975, 12.5)])
def test_a_whole_number_of_scenarios_stays_whole(scenarios: int, p: float, n: float) -> None:
    assert tail_count(scenarios, p) == pytest.approx(n, rel=1e-12)
    assert (tail_count(scenarios, p) == n) or n % 1


def test_expected_shortfall_rises_with_its_probability() -> None:
    ladder = [report({BTC: 1.0}, Tail(p_im=p, p_mm=p)).mm[0] for p in (0.05, 0.3, 0.55, 0.71, 0.9, 0.97)]
    assert all(low <= high for low, high in pairwise(ladder))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Tail(history={}),
        lambda: Tail(history={"BTC": (0.1, 0.2), "ETH": (0.1,)}),
        lambda: Tail(history={"BTC": (0.1, -1.2)}),
        lambda: Tail(history={"BTC": (0.1, float("nan"))}),
        lambda: Tail(history={"BTC": (0.1, 0.2)}, vol_history={"ETH": (float("inf"), 0.0)}),
        lambda: Tail(days=-1.0),
        lambda: Tail(p_im=0.9, p_mm=0.99),
        lambda: Tail(p_im=1.0),
        lambda: Tail(measure="cvar"),  # type: ignore[arg-type]
        lambda: Tail(other_multiple=0.0),
        lambda: Tail(other_haircut=-0.1),
    ],
)
def test_parameters_out_of_range_are_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        wrong()  # type: ignore[operator]
