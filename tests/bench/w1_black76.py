"""W1: Black-76 price with delta, gamma, vega and theta of a million options. Ours computes vanna and volga as well.

Freed memory stays with the process for every contender alike: whether glibc hands 50 MB back after a call and takes
page faults in the next one is chance, and would measure the system more than any of them.
"""

import ctypes

import numpy as np
from mpmath import mp, mpf

from engine import black76
from tests.bench.harness import Record, cpu_seconds
from tests.bench.peers import c_black76, numpy_black76, quantlib_black, vollib_greeks

SIZE = 1_000_000
SMALL = 20_000  # for the peers that take microseconds an option
SAMPLE = 400
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def options(size):
    """One hour to two years, vols of 5 % to 300 %, strikes within four standard deviations."""
    rng = np.random.default_rng(1)
    forward = rng.uniform(100.0, 100_000.0, size)
    years = np.exp(rng.uniform(np.log(1.0 / 8760.0), np.log(2.0), size))
    vol = rng.uniform(0.05, 3.0, size)
    strike = forward * np.exp(rng.uniform(-4.0, 4.0, size) * vol * np.sqrt(years))
    return forward, strike, years, vol, rng.random(size) < 0.5


def exact(forward, strike, years, vol, is_call):
    """Return price, delta, gamma, vega, theta to 50 digits."""
    f, k, t, s = (mpf(float(number)) for number in (forward, strike, years, vol))
    sign = 1 if is_call else -1
    d1 = mp.log(f / k) / (s * mp.sqrt(t)) + s * mp.sqrt(t) / 2
    density = mp.npdf(d1)
    delta = sign * mp.ncdf(sign * d1)
    price = f * delta - sign * k * mp.ncdf(sign * (d1 - s * mp.sqrt(t)))
    vega = f * density * mp.sqrt(t)
    return price, delta, density / (f * s * mp.sqrt(t)), vega, -vega * s / (2 * t)


def accuracy(results, columns):
    """Return the errors on a sample: of the price per max(forward, price), of the Greeks relative to themselves."""
    price, greeks = [], []
    with mp.workdps(50):
        for i in range(SAMPLE):
            row = [column[i] for column in columns]
            truth = exact(*row)
            errors = [float(abs(mpf(float(found[i])) - true)) for found, true in zip(results, truth, strict=True)]
            price.append(errors[0] / max(row[0], float(truth[0])))
            greeks += [error / float(abs(true)) for error, true in zip(errors[1:], truth[1:], strict=True)]
    return f"price {max(price):.1e}, Greeks median {np.median(greeks):.1e} worst {max(greeks):.1e}"


def keep_freed_memory():
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(TRIM_THRESHOLD, 1 << 30)
        mallopt(MMAP_THRESHOLD, 1 << 30)


def ours(*columns):
    found = black76.greeks(*columns)
    return found.price, found.delta, found.gamma, found.vega, found.theta


def run() -> list[Record]:
    keep_freed_memory()
    large = options(SIZE)
    small = tuple(column[:SMALL].copy() for column in large)
    peers = {
        "numpy + scipy.special.ndtr": (numpy_black76.greeks, large),
        "py_vollib_vectorized": (vollib_greeks.greeks, small),
        "QuantLib BlackCalculator": (quantlib_black.greeks, small),
    }
    if c_black76.available():
        peers["C -O3 -march=native, same algorithm"] = (c_black76.compiled(), large)
    contenders = {name: (lambda call=call, columns=columns: call(*columns)) for name, (call, columns) in peers.items()}
    took = cpu_seconds({"ours": lambda: ours(*large), **contenders})
    own = took["ours"] / SIZE * 1e9
    truth = accuracy(ours(*small), small)
    records = []
    for name, (call, columns) in peers.items():
        theirs = took[name] / columns[0].size * 1e9
        note = f"against 50 digits, ours: {truth}; theirs: {accuracy(call(*small)[:5], small)}"
        records.append(Record("W1", name, SIZE, own, theirs, theirs / own, "ns/option", note))
    return records
