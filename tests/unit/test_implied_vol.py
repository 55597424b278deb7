"""Implied vols against prices computed to 50 digits, the status of every row that has none, and what is refused."""

import math

import mpmath
import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import ndtr

from engine.implied_vol import (
    ABOVE_BOUND,
    BELOW_INTRINSIC,
    BLOCK,
    NOT_RESOLVABLE,
    RESOLVED,
    implied_vol,
)
from engine.types import Flags, Floats

HOUR = 1.0 / 8760.0
HALF_ULP = 2.0**-53


def exact_otm(forward: float, strike: float, years: float, vol: float) -> mpmath.mpf:
    """Return the undiscounted out-of-the-money price to 50 digits by the textbook formula."""
    with mpmath.workdps(50):
        low, high = sorted((mpmath.mpf(forward), mpmath.mpf(strike)))
        total = mpmath.mpf(vol) * mpmath.sqrt(mpmath.mpf(years))
        middle = mpmath.log(high / low) / total

        def tail(x: mpmath.mpf) -> mpmath.mpf:
            return mpmath.erfc(x / mpmath.sqrt(2)) / 2

        return low * tail(middle - total / 2) - high * tail(middle + total / 2)


def book(
    rows: int, distance: float, seed: int, *, years: float = 2.0, floor: float = 1e-12
) -> tuple[Floats, Floats, Floats, Floats, Floats, Flags]:
    """Return out-of-the-money price, forward, strike, years, vol, is_call; years and vol are log-uniform.

    Strikes are uniform within `distance` standard deviations; prices under floor · forward are left out.
    """
    random = np.random.default_rng(seed)
    forward = np.exp(random.uniform(0.0, 11.0, rows))
    time = np.exp(random.uniform(math.log(HOUR), math.log(years), rows))
    vol = np.exp(random.uniform(math.log(0.05), math.log(3.0), rows))
    strike = forward * np.exp(random.uniform(-distance, distance, rows) * vol * np.sqrt(time))
    price = np.array([float(exact_otm(*row)) for row in zip(forward, strike, time, vol, strict=True)])
    kept = price >= floor * forward
    return price[kept], forward[kept], strike[kept], time[kept], vol[kept], (strike > forward)[kept]


@pytest.mark.parametrize(
    ("distance", "years", "floor", "quantile", "limit"),
    [
        (1.0, 2.0, 1e-12, 0.999, 3e-15),
        (6.0, 2.0, 1e-12, 0.999, 3e-15),
        (10.0, 2.0, 1e-300, 1.0, 4e-15),
        (37.0, 2.0, 1e-300, 1.0, 4e-15),
        (3.0, 0.001, 1e-12, 1.0, 4e-15),
    ],
)
def test_prices_of_50_digits_give_their_vol_back(
    distance: float, years: float, floor: float, quantile: float, limit: float
) -> None:
    price, forward, strike, time, vol, is_call = book(1000, distance, 20, years=years, floor=floor)
    found = implied_vol(price, forward, strike, time, is_call)
    assert (found.status == RESOLVED).all()
    assert np.quantile(np.abs(found.vol / vol - 1.0), quantile) < limit


@pytest.mark.parametrize("seed", [1, 2])
def test_in_the_money_the_error_is_the_rounding_of_the_price(seed: int) -> None:
    otm, forward, strike, time, vol, otm_call = book(800, 4.0, seed, years=30.0, floor=1e-9)
    discount = np.random.default_rng(seed).uniform(0.5, 1.0, otm.size)
    exact = [
        mpmath.mpf(float(d)) * (exact_otm(f, k, t, s) + abs(mpmath.mpf(float(f)) - mpmath.mpf(float(k))))
        for f, k, t, s, d in zip(forward, strike, time, vol, discount, strict=True)
    ]
    price = np.array([float(p) for p in exact])
    total = vol * np.sqrt(time)
    vega = forward * np.exp(-((np.log(forward / strike) / total + total / 2.0) ** 2) / 2.0) * np.sqrt(time / math.tau)
    allowed = 4.0 * HALF_ULP * (price / discount) / (vega * vol)
    found = implied_vol(price, forward, strike, time, ~otm_call, discount)
    sharp = allowed < 1e-3
    assert (found.status[sharp] == RESOLVED).all() and sharp.sum() > 500
    assert (np.abs(found.vol / vol - 1.0)[sharp] <= (4e-15 + 1.01 * allowed)[sharp]).all()


def test_up_to_the_upper_bound_the_error_is_the_rounding_of_the_price() -> None:
    total = np.linspace(3.0, 15.0, 200)
    price = np.array([float(exact_otm(100.0, 120.0, 1.0, s)) for s in total])
    found = implied_vol(price, 100.0, 120.0, 1.0, True)
    vega = 100.0 * np.exp(-((np.log(100.0 / 120.0) / total + total / 2.0) ** 2) / 2.0) / math.sqrt(math.tau)
    allowed = 4.0 * HALF_ULP * price / (vega * total)
    assert (found.status == RESOLVED).all()
    assert (np.abs(found.vol / total - 1.0) <= 4e-15 + 1.01 * allowed).all()


@pytest.mark.parametrize("ratio", [1.0, 1.0 + 2.0**-50, 1.000001, 1.5, 1e3, 1e9, 1e30, 1e150])
def test_every_total_vol_from_the_least_to_the_greatest(ratio: float) -> None:
    total = np.geomspace(1e-7, 50.0, 120)
    price = np.array([float(exact_otm(1.0, ratio, 1.0, s)) for s in total])
    found = implied_vol(price, 1.0, ratio, 1.0, True)
    solved = (price > 1e-300) & (price < 0.999)
    assert (found.status[solved] == RESOLVED).all() and solved.sum() >= 2
    assert np.abs(found.vol / total - 1.0)[solved].max() < 1e-13


@pytest.mark.parametrize("price", [1e-299, 1e-200, 1e-155, 1e-100, 1e-30, 1e-9])
def test_at_the_money_the_vol_of_a_small_price_is_proportional_to_it(price: float) -> None:
    found = implied_vol(price, 1.0, 1.0, 1.0, True)
    assert found.status == RESOLVED
    assert found.vol == pytest.approx(price * math.sqrt(math.tau), rel=4e-15)


def test_a_bisection_on_the_textbook_formula_finds_the_same() -> None:
    price, forward, strike, years, vol, is_call = book(300, 2.0, 7, floor=1e-4)

    def excess(trial: float, row: int) -> float:
        low, high = min(forward[row], strike[row]), max(forward[row], strike[row])
        total = trial * math.sqrt(years[row])
        middle = math.log(high / low) / total
        return float(low * ndtr(total / 2.0 - middle) - high * ndtr(-total / 2.0 - middle) - price[row])

    plain = [brentq(excess, 1e-3, 10.0, (row,), xtol=1e-15, rtol=1e-15) for row in range(price.size)]
    assert implied_vol(price, forward, strike, years, is_call).vol == pytest.approx(plain, rel=1e-10)
    assert plain == pytest.approx(vol, rel=1e-10)


@pytest.mark.parametrize(
    ("price", "forward", "strike", "years", "is_call", "discount", "status"),
    [
        (19.9, 120.0, 100.0, 1.0, True, 1.0, BELOW_INTRINSIC),
        (9.9, 120.0, 100.0, 1.0, True, 0.5, BELOW_INTRINSIC),
        (0.0, 100.0, 120.0, 1.0, False, 1.0, BELOW_INTRINSIC),
        (0.0, 100.0, 120.0, 0.0, False, 1.0, BELOW_INTRINSIC),
        (100.0, 100.0, 120.0, 1.0, True, 1.0, ABOVE_BOUND),
        (120.0, 120.0, 100.0, 1.0, True, 1.0, ABOVE_BOUND),
        (100.0, 120.0, 100.0, 1.0, False, 1.0, ABOVE_BOUND),
        (120.0, 100.0, 120.0, 1.0, False, 1.0, ABOVE_BOUND),
        (math.nextafter(100.0, 0.0), 100.0, 120.0, 1.0, True, 1.0, ABOVE_BOUND),
        (0.3 * 100.0, 100.0, 120.0, 1.0, True, 0.3, ABOVE_BOUND),
        (1e300, 100.0, 120.0, 1.0, True, 1.0, ABOVE_BOUND),
        (20.0, 120.0, 100.0, 1.0, True, 1.0, NOT_RESOLVABLE),
        (math.nextafter(20.0, 30.0), 120.0, 100.0, 1.0, True, 1.0, NOT_RESOLVABLE),
        (math.nextafter(20.0, 0.0), 120.0, 100.0, 1.0, True, 1.0, NOT_RESOLVABLE),
        (0.7 * 20.0, 120.0, 100.0, 1.0, True, 0.7, NOT_RESOLVABLE),
        (0.0, 100.0, 120.0, 1.0, True, 1.0, NOT_RESOLVABLE),
        (0.0, 100.0, 100.0, 1.0, True, 1.0, NOT_RESOLVABLE),
        (1e-303, 1.0, 1.0, 1.0, True, 1.0, NOT_RESOLVABLE),
        (1e-300, 1e9, 1e9, 1.0, True, 1.0, NOT_RESOLVABLE),
        (5e-324, 5e-324, 1.0, 1.0, False, 1.0, BELOW_INTRINSIC),
        (3.0, 100.0, 120.0, 0.0, True, 1.0, NOT_RESOLVABLE),
        (3.0, 100.0, 120.0, 1.0, True, 1.0, RESOLVED),
        (1.5, 100.0, 120.0, 1.0, True, 0.5, RESOLVED),
    ],
)
def test_status(
    price: float, forward: float, strike: float, years: float, is_call: bool, discount: float, status: int
) -> None:
    found = implied_vol(price, forward, strike, years, is_call, discount)
    assert found.status == status
    assert math.isnan(found.vol) == (status != RESOLVED)


def test_a_row_without_a_vol_leaves_its_neighbours_alone() -> None:
    price, forward, strike, years, _, is_call = book(64, 2.0, 3)
    alone = implied_vol(price, forward, strike, years, is_call).vol
    for spoiled in (0.0, 1e9):
        mixed = price.copy()
        mixed[::3] = spoiled
        found = implied_vol(mixed, forward, strike, years, is_call)
        assert np.isnan(found.vol[::3]).all()
        assert (np.delete(found.vol, np.s_[::3]) == np.delete(alone, np.s_[::3])).all()


@pytest.mark.parametrize("rows", [0, 1, 7, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5])
def test_every_row_is_filled_whatever_their_number(rows: int) -> None:
    vol = np.linspace(0.2, 2.0, rows)
    price = 100.0 * (2.0 * ndtr(vol / 2.0) - 1.0)
    found = implied_vol(price, np.full(rows, 100.0), 100.0, 1.0, False)
    assert found.vol.shape == found.status.shape == (rows,)
    assert found.vol == pytest.approx(vol, rel=1e-14)


def test_a_chain_of_expiries_by_strikes_and_a_single_option() -> None:
    strikes = np.array([90.0, 100.0, 110.0])
    years = np.array([[0.1], [0.5]])
    price = np.array([[float(exact_otm(100.0, k, t, 0.8)) for k in strikes] for (t,) in years])
    found = implied_vol(price, 100.0, strikes, years, strikes > 100.0)
    assert found.vol == pytest.approx(np.full((2, 3), 0.8), rel=1e-14)
    assert found.vol[1, 2] == implied_vol(price[1, 2], 100, 110, 0.5, True).vol
    assert implied_vol(price.T, 100.0, strikes[:, None], years.T, strikes[:, None] > 100.0).vol.T.tolist() == (
        found.vol.tolist()
    )


def test_results_are_read_only() -> None:
    found = implied_vol(np.array([8.0]), 100.0, 100.0, 1.0, True)
    with pytest.raises(ValueError, match="read-only"):
        found.vol[0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        found.status[0] = 1


@pytest.mark.parametrize(
    ("column", "wrong", "message"),
    [
        ("price", -1.0, r"price: expected finite numbers >= 0, found -1.0 in row 1"),
        ("price", math.nan, r"price: expected finite numbers >= 0, found nan in row 1"),
        ("price", math.inf, r"price: expected finite numbers >= 0, found inf in row 1"),
        ("forward", 0.0, r"forward: expected finite numbers > 0, found 0.0 in row 1"),
        ("forward", math.inf, r"forward: expected finite numbers > 0, found inf in row 1"),
        ("forward", 1.7e308, r"forward: expected finite numbers > 0 and <= 2\^1022, found 1.7e\+308 in row 1"),
        ("strike", 1.7e308, r"strike: expected finite numbers > 0 and <= 2\^1022, found 1.7e\+308 in row 1"),
        ("strike", -5.0, r"strike: expected finite numbers > 0, found -5.0 in row 1"),
        ("strike", math.nan, r"strike: expected finite numbers > 0, found nan in row 1"),
        ("years", -0.1, r"years: expected finite numbers >= 0, found -0.1 in row 1"),
        ("years", math.nan, r"years: expected finite numbers >= 0, found nan in row 1"),
        ("discount", 0.0, r"discount: expected finite numbers > 0, found 0.0 in row 1"),
        ("discount", -1.0, r"discount: expected finite numbers > 0, found -1.0 in row 1"),
        ("discount", math.inf, r"discount: expected finite numbers > 0, found inf in row 1"),
        ("discount", math.nan, r"discount: expected finite numbers > 0, found nan in row 1"),
        ("discount", 1e-308, r"price / discount: expected finite numbers >= 0, found inf in row 1"),
    ],
)
def test_what_is_not_finite_or_out_of_range_is_refused(column: str, wrong: float, message: str) -> None:
    columns = {
        "price": np.full(3, 8.0),
        "forward": np.full(3, 100.0),
        "strike": np.full(3, 100.0),
        "years": np.full(3, 1.0),
        "discount": np.full(3, 0.9),
    }
    columns[column][1] = wrong
    with pytest.raises(ValueError, match=message):
        implied_vol(is_call=True, **columns)


def test_a_single_number_that_is_refused_is_row_0() -> None:
    with pytest.raises(ValueError, match=r"discount: expected finite numbers > 0, found -1.0 in row 0"):
        implied_vol(np.full(3, 8.0), 100.0, 100.0, 1.0, True, -1.0)
    with pytest.raises(ValueError, match=r"strike: expected finite numbers > 0, found 0.0 in row 1, 0"):
        implied_vol(8.0, 100.0, np.array([[90.0], [0.0]]), np.ones(4), True)


def test_a_flag_that_is_not_boolean_is_refused() -> None:
    with pytest.raises(ValueError, match="is_call: expected booleans, found int64"):
        implied_vol(8.0, 100.0, 100.0, 1.0, np.array([1]))


def test_lengths_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="shape mismatch"):
        implied_vol(np.ones(3), np.ones(2), 1.0, 1.0, True)


def test_the_arguments_stay_writable_and_unchanged() -> None:
    price, strike = np.array([8.0, 4.0]), np.array([100.0, 110.0])
    implied_vol(price, 100.0, strike, 1.0, strike >= 100.0, 0.9)
    assert price.flags.writeable and strike.flags.writeable
    assert price.tolist() == [8.0, 4.0] and strike.tolist() == [100.0, 110.0]
