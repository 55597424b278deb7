"""Black-76 against fifty-digit arithmetic, QuantLib and a textbook twin; its limits; what it refuses."""

import numpy as np
import pytest
import QuantLib as ql
from mpmath import mp, mpf
from scipy.special import ndtr

from engine import black76, normal
from engine.black76 import Greeks, greeks, price
from engine.compiled import fast_kernel

NAMES = ("price", "delta", "gamma", "vega", "theta", "vanna", "volga")
Options = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@fast_kernel
def _normal_columns(x: np.ndarray, y: np.ndarray, out: np.ndarray) -> None:
    for i in range(x.size):
        out[0, i] = normal.exp(x[i])
        out[1, i] = normal.log_ratio(y[i], 3.0)
        out[2, i] = normal.pdf(x[i])
        p, r = normal.mills_parts(min(abs(x[i]), 40.0))
        out[3, i] = p / (min(abs(x[i]), 40.0) * p + r)


def normal_columns(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    out = np.empty((4, x.size))
    _normal_columns(x, y, out)
    return out


def options(count: int, deepest: float, seed: int) -> Options:
    """One hour to five years, vols of 5 % to 300 %, strikes to `deepest` standard deviations away."""
    rng = np.random.default_rng(seed)
    forward = np.exp(rng.uniform(np.log(1e-2), np.log(2e5), count))
    years = np.exp(rng.uniform(np.log(1 / 8760), np.log(5.0), count))
    vol = np.exp(rng.uniform(np.log(0.05), np.log(3.0), count))
    strike = forward * np.exp(rng.uniform(-deepest, deepest, count) * vol * np.sqrt(years))
    return forward, strike, years, vol, rng.random(count) < 0.5


def exact_cdf(x: mpf) -> mpf:
    return mp.erfc(-x / mp.sqrt(2)) / 2


def exact_pdf(x: mpf) -> mpf:
    return mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi)


def exact(forward: float, strike: float, years: float, vol: float, is_call: bool) -> tuple[mpf, ...]:
    f, k, t, s = mpf(float(forward)), mpf(float(strike)), mpf(float(years)), mpf(float(vol))
    d1 = mp.log(f / k) / (s * mp.sqrt(t)) + s * mp.sqrt(t) / 2
    d2 = d1 - s * mp.sqrt(t)
    sign = 1 if is_call else -1
    value = sign * (f * exact_cdf(sign * d1) - k * exact_cdf(sign * d2))
    density = exact_pdf(d1)
    vega = f * density * mp.sqrt(t)
    return (
        value,
        sign * exact_cdf(sign * d1),
        density / (f * s * mp.sqrt(t)),
        vega,
        -f * density * s / (2 * mp.sqrt(t)),
        -density * d2 / s,
        vega * d1 * d2 / s,
    )


@pytest.fixture(autouse=True)
def fifty_digits():
    with mp.workdps(50):
        yield


@pytest.mark.parametrize(("deepest", "seed"), [(1.0, 1), (10.0, 2)])
def test_price_and_greeks_against_fifty_digits(deepest: float, seed: int) -> None:
    columns = options(700, deepest, seed)
    found = greeks(*columns)
    worst = dict.fromkeys(NAMES, 0.0)
    for i, (f, k, t, s, is_call) in enumerate(zip(*columns, strict=True)):
        truth = dict(zip(NAMES, exact(f, k, t, s, is_call), strict=True))
        scale = {name: abs(value) for name, value in truth.items()}
        scale["price"] = max(scale["price"], f)
        scale["vanna"] = max(scale["vanna"], truth["vega"] / f)
        scale["volga"] = max(scale["volga"], truth["vega"] / s)
        for name in NAMES:
            error = float(abs(mpf(float(getattr(found, name)[i])) - truth[name]) / scale[name])
            worst[name] = max(worst[name], error)
    assert worst.pop("price") < 2e-15
    assert max(worst.values()) < 1e-13, worst


def test_out_of_the_money_prices_keep_their_relative_accuracy() -> None:
    forward, strike, years, vol, _ = options(500, 37.0, 3)
    years[:100], vol[:100] = 1 / 8760, 0.05  # the shortest life, the lowest vol: two tails next to each other
    strike[:100] = forward[:100] * np.exp(np.linspace(-10.0, 10.0, 100) * 0.05 / np.sqrt(8760))
    found = price(forward, strike, years, vol, forward < strike)
    v = vol * np.sqrt(years)
    h = np.abs(np.log(forward / strike)) / v
    for i in range(forward.size):
        truth = exact(forward[i], strike[i], years[i], vol[i], bool(forward[i] < strike[i]))[0]
        if truth > 1e-290:
            assert abs(mpf(float(found[i])) / truth - 1) < 2e-15 * (1.0 + h[i] ** 2 + 1.0 / v[i]), i


def test_a_price_of_1e_298_is_still_a_price() -> None:
    forward, strike = 1000.0, 1000.0 * float(np.exp(3.7))
    truth = exact(forward, strike, 0.01, 1.0, True)[0]
    assert truth < 1e-297
    assert abs(mpf(float(price(forward, strike, 0.01, 1.0, True))) / truth - 1) < 1e-12


def test_against_quantlib() -> None:
    columns = options(400, 5.0, 4)
    found = greeks(*columns)
    for i, (f, k, t, s, is_call) in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
        payoff = ql.PlainVanillaPayoff(ql.Option.Call if is_call else ql.Option.Put, k)
        peer = ql.BlackCalculator(payoff, f, s * t**0.5, 1.0)
        assert found.price[i] == pytest.approx(peer.value(), abs=1e-13 * max(f, k))
        assert found.delta[i] == pytest.approx(peer.deltaForward(), abs=1e-12)
        assert found.gamma[i] == pytest.approx(peer.gammaForward(), rel=1e-10)
        assert found.vega[i] == pytest.approx(peer.vega(t), rel=1e-10)
        assert found.theta[i] == pytest.approx(peer.theta(f, t), rel=1e-10)
        # QuantLib's volga is per unit of total vol, hence not compared
        assert found.vanna[i] == pytest.approx(peer.vanna(f, t), rel=1e-10, abs=1e-10 * found.vega[i] / f)


def test_kernel_equals_the_textbook_twin() -> None:
    f, k, t, s, is_call = columns = options(20_000, 3.0, 5)
    d1 = np.log(f / k) / (s * np.sqrt(t)) + 0.5 * s * np.sqrt(t)
    sign = np.where(is_call, 1.0, -1.0)
    value = sign * (f * ndtr(sign * d1) - k * ndtr(sign * (d1 - s * np.sqrt(t))))
    found = greeks(*columns)
    assert (np.abs(found.price - value) <= 1e-14 * np.maximum(f, k)).all()
    np.testing.assert_allclose(found.delta, sign * ndtr(sign * d1), rtol=0.0, atol=1e-12)
    np.testing.assert_allclose(price(*columns), found.price, rtol=1e-11)


def test_price_one_is_what_the_columns_hold() -> None:
    f, k, t, s, is_call = columns = options(50, 10.0, 6)
    each = [black76.price_one(f[i], k[i], t[i], s[i], is_call[i]) for i in range(f.size)]
    np.testing.assert_allclose(each, price(*columns), rtol=1e-11)


def test_price_one_of_a_forward_shocked_below_zero() -> None:
    assert black76.price_one(-5.0, 100.0, 1.0, 0.5, True) == 0.0
    assert black76.price_one(-5.0, 100.0, 1.0, 0.5, False) == 105.0


LIMITS = (  # forward, strike, years, vol, call, put
    (110.0, 100.0, 0.0, 0.5, 10.0, 0.0),
    (90.0, 100.0, 0.0, 0.5, 0.0, 10.0),
    (110.0, 100.0, 1.0, 0.0, 10.0, 0.0),
    (90.0, 100.0, 1.0, 0.0, 0.0, 10.0),
    (100.0, 100.0, 0.0, 0.0, 0.0, 0.0),
    (100.0, 0.0, 1.0, 0.5, 100.0, 0.0),
    (0.0, 100.0, 1.0, 0.5, 0.0, 100.0),
    (0.0, 0.0, 1.0, 0.5, 0.0, 0.0),
    (100.0, 150.0, 1.0, 24.0, 100.0, 150.0),
    (150.0, 100.0, 1.0, 24.0, 150.0, 100.0),
    (100.0, 100.0, 1e6, 1e150, 100.0, 100.0),
    (100.0, 90.0, 1e-300, 1e-200, 10.0, 0.0),
    (1e300, 1e-300, 1.0, 0.5, 1e300, 0.0),
    (1e-300, 1e300, 1.0, 0.5, 0.0, 1e300),
)


@pytest.mark.parametrize(("forward", "strike", "years", "vol", "call", "put"), LIMITS)
def test_limits(forward: float, strike: float, years: float, vol: float, call: float, put: float) -> None:
    found = greeks(forward, strike, years, vol, [True, False])
    assert found.price.tolist() == [call, put]
    assert price(forward, strike, years, vol, [True, False]).tolist() == [call, put]
    for name in NAMES:
        assert np.isfinite(getattr(found, name)).all(), name
    assert (found.gamma >= 0.0).all()
    assert (found.vega >= 0.0).all()
    assert (found.theta <= 0.0).all()


@pytest.mark.parametrize(
    ("forward", "delta"), [(110.0, [1.0, 0.0]), (100.0, [0.5, -0.5]), (90.0, [0.0, -1.0]), (0.0, [0.0, -1.0])]
)
@pytest.mark.parametrize(("years", "vol"), [(0.0, 0.5), (1.0, 0.0), (0.0, 0.0)])
def test_at_expiry_only_the_slope_is_left(forward: float, delta: list[float], years: float, vol: float) -> None:
    found = greeks(forward, 100.0, years, vol, [True, False])
    np.testing.assert_allclose(found.delta, delta, rtol=0.0, atol=2e-16)
    for name in ("gamma", "vega", "theta", "vanna", "volga"):
        assert (getattr(found, name) == 0.0).all(), name


def test_a_discount_scales_every_result() -> None:
    columns = options(30, 3.0, 7)
    discount = np.linspace(0.5, 1.0, 30)
    plain, found = greeks(*columns), greeks(*columns, discount)
    for name in NAMES:
        np.testing.assert_array_equal(getattr(found, name), getattr(plain, name) * discount)
    np.testing.assert_array_equal(price(*columns, 0.25), price(*columns) * 0.25)


def test_arguments_broadcast() -> None:
    strikes = np.array([80.0, 100.0, 120.0])
    found = price(100.0, strikes, np.array([[0.5], [1.0]]), 0.3, True)
    assert found.shape == (2, 3)
    assert found[1, 2] == price(100.0, 120.0, 1.0, 0.3, True)
    assert greeks(100.0, strikes[::2], 1.0, 0.3, [True, False]).delta.shape == (2,)
    assert price([], 100.0, 1.0, 0.3, True).shape == (0,)
    assert price(100.0, 100.0, 1.0, 0.3, True).shape == ()


def test_results_are_read_only() -> None:
    found = greeks(100.0, 100.0, 1.0, 0.3, True)
    assert isinstance(found, Greeks)
    with pytest.raises(ValueError, match="read-only"):
        found.delta[...] = 0.0


@pytest.mark.parametrize("name", ["forward", "strike", "years", "vol", "discount"])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, -1.0])
@pytest.mark.parametrize("function", [price, greeks])
def test_refuses_bad_input_by_argument_and_row(function, name: str, wrong: float) -> None:
    arguments = {name: np.full(5, 1.0) for name in ("forward", "strike", "years", "vol", "discount")}
    arguments[name][3] = wrong
    with pytest.raises(ValueError, match=rf"^{name}: expected finite numbers >= 0, found {wrong} in row 3$"):
        function(is_call=True, **arguments)


def test_refuses_a_scalar_and_a_table_alike() -> None:
    with pytest.raises(ValueError, match=r"^vol: .* found -0\.5 in row 0$"):
        price(100.0, 100.0, 1.0, -0.5, True)
    with pytest.raises(ValueError, match=r"^strike: .* found nan in row 1, 0$"):
        price(100.0, [[1.0], [np.nan]], 1.0, 0.5, True)


@pytest.mark.parametrize("name", ["forward", "strike"])
def test_numbers_whose_ratio_leaves_float64_are_refused(name: str) -> None:
    """Up to 2^1022 the formula holds: 1.3e308 over 1.2e308 is past it, where a sum of the two is infinite."""
    arguments = {"forward": 4e307, "strike": 3.2e307}
    found = price(**arguments, years=1.0, vol=0.5, is_call=True)
    assert found / 1e306 == pytest.approx(float(price(40.0, 32.0, 1.0, 0.5, True)), rel=1e-14)
    arguments[name] = 1.7e308
    for function in (price, greeks):
        with pytest.raises(ValueError, match=rf"^{name}: expected .* >= 0 and <= 2\^1022, found 1\.7e\+308 in row 0$"):
            function(**arguments, years=1.0, vol=0.5, is_call=True)


def test_a_negative_zero_is_a_zero() -> None:
    assert price(100.0, 90.0, -0.0, 0.5, True) == 10.0


def test_refuses_what_is_not_a_flag() -> None:
    with pytest.raises(ValueError, match=r"^is_call: expected booleans, found <U1$"):
        price(100.0, 100.0, 1.0, 0.5, ["C", "P"])


def test_refuses_shapes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="shape mismatch"):
        price(np.ones(3), np.ones(4), 1.0, 0.5, True)


def test_normal_functions_against_fifty_digits() -> None:
    rng = np.random.default_rng(8)
    x = np.concatenate([rng.uniform(-37.4, 37.4, 400), rng.uniform(-1.0, 1.0, 200)])
    y = np.concatenate([np.exp(rng.uniform(-700.0, 700.0, 400)), 3.0 + rng.uniform(-1e-6, 1e-6, 200)])
    found = normal_columns(x, y)
    for i in range(x.size):
        a, b = mpf(float(x[i])), mpf(float(y[i]))
        mills = exact_cdf(-abs(a)) / exact_pdf(a)
        truth = (mp.exp(a), mp.log(b / 3), exact_pdf(a), mills)
        for column, (value, bound) in enumerate(zip(truth, (1.0, 2.0, 3.0, 3.0), strict=True)):
            assert abs(mpf(float(found[column, i])) - value) <= bound * 2.0**-52 * abs(value), (column, x[i], y[i])


def test_normal_functions_saturate() -> None:
    x = np.array([-1e300, -1e3, -709.0, 0.0, 1e3])
    found = normal_columns(x, np.array([0.0, -1.0, 1e-310, 1.0, 3.0]))
    assert found[0, :4].tolist() == [0.0, 0.0, 0.0, 1.0]
    assert 1.2e308 < found[0, 4] < np.inf
    assert found[2].tolist()[:3] == [0.0, 0.0, 0.0]
    np.testing.assert_allclose(found[1, :3], -1022.0 * np.log(2.0) - np.log(3.0), rtol=1e-15)
    assert found[1, 4] == 0.0


def test_normal_functions_equal_their_plain_twins() -> None:
    rng = np.random.default_rng(9)
    x, y = rng.uniform(-37.0, 37.0, 2_000), np.exp(rng.uniform(-300.0, 300.0, 2_000))
    found = normal_columns(x, y)
    np.testing.assert_allclose(found[0], [normal._exp_py(each) for each in x], rtol=4e-16)
    np.testing.assert_allclose(found[1], [normal._log_ratio_py(each, 3.0) for each in y], rtol=4e-16)
