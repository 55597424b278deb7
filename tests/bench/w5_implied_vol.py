"""W5: Black-76 implied vol of a million options from their out-of-the-money prices."""

import numpy as np
from mpmath import mp, mpf

from engine import black76
from engine.implied_vol import RESOLVED, implied_vol
from tests.bench.harness import Record, cpu_seconds
from tests.bench.peers import quantlib_iv, vollib_iv

SIZE = 1_000_000
SMALL = 10_000  # for the peer that takes microseconds an option
SAMPLE = 4_000


def options(size):
    """Return price, forward, strike, years, is_call, and the vol behind them.

    One hour to two years, vols of 5 % to 300 %, strikes within four standard deviations, prices from 1e-12 · forward.
    """
    random = np.random.default_rng(5)
    drawn = size + size // 20
    forward = random.uniform(100.0, 100_000.0, drawn)
    years = np.exp(random.uniform(np.log(1.0 / 8760.0), np.log(2.0), drawn))
    vol = random.uniform(0.05, 3.0, drawn)
    strike = forward * np.exp(random.uniform(-4.0, 4.0, drawn) * vol * np.sqrt(years))
    is_call = strike > forward
    price = black76.price(forward, strike, years, vol, is_call)
    kept = np.flatnonzero(price >= 1e-12 * forward)[:size]
    if kept.size < size:
        raise RuntimeError(f"expected {size} prices from 1e-12 · forward, found {kept.size}; draw more")
    return tuple(column[kept] for column in (price, forward, strike, years, is_call, vol))


def exact_price(forward, strike, years, vol):
    """Return the out-of-the-money price from 50 digits."""
    low, high = sorted((mpf(float(forward)), mpf(float(strike))))
    total = mpf(float(vol)) * mp.sqrt(mpf(float(years)))
    middle = mp.log(high / low) / total
    return float(low * mp.ncdf(total / 2 - middle) - high * mp.ncdf(-total / 2 - middle))


def accuracy(solve, sample):
    """Return the relative error that all but one vol in a thousand stay under, and the worst."""
    *columns, vol = sample
    errors = np.abs(np.asarray(solve(*columns)) / vol - 1.0)
    return f"p99.9 {np.quantile(errors, 0.999):.1e} worst {errors.max():.1e}"


def ours(*columns):
    return implied_vol(*columns).vol


def vollib(price, forward, strike, years, is_call):
    return vollib_iv.implied_vol(price, forward, strike, years, vollib_iv.signs(is_call))


def run() -> list[Record]:
    *large, vol = options(SIZE)
    if (implied_vol(*large).status != RESOLVED).any():
        raise RuntimeError("W5: expected every row to resolve")
    small = [column[:SMALL].copy() for column in large]
    sample = [column[:SAMPLE].copy() for column in (*large, vol)]
    with mp.workdps(50):
        sample[0] = np.array([exact_price(*row) for row in zip(*sample[1:4], sample[5], strict=True)])
    peers = {
        "py_vollib_vectorized, its compiled loop": (vollib, large),
        "QuantLib LiRS": (quantlib_iv.implied_vol, small),
    }
    contenders = {name: (lambda call=call, columns=columns: call(*columns)) for name, (call, columns) in peers.items()}
    took = cpu_seconds({"ours": lambda: ours(*large), **contenders})
    own = took["ours"] / SIZE * 1e9
    truth = accuracy(ours, sample)
    records = []
    for name, (call, columns) in peers.items():
        theirs = took[name] / columns[0].size * 1e9
        note = f"vol from prices of 50 digits, ours: {truth}; theirs: {accuracy(call, sample)}"
        records.append(Record("W5", name, SIZE, own, theirs, theirs / own, "ns/option", note))
    return records
