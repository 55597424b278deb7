"""W2n: worst of 31 scenarios, two of them skew, with a discount per expiry by the sign of its value (PMRM_2 kind).

Accounts hold 8 positions: a perpetual or collateral, and options of three expiries. Ours checks its input too.
"""

import numpy as np

from engine import scan
from tests.bench.harness import Record, cpu_seconds
from tests.bench.peers import c_scan, numba_scan

SIZES = (100_000, 1_000_000)
INSTRUMENTS, SCENARIOS, EXPIRIES = 400, 31, 10
GROUPS = np.array([1, 3, 2, 2])  # positions of the linear group and of three expiries


def book(accounts):
    rng = np.random.default_rng(3)
    groups = GROUPS.size * accounts
    group_start = np.concatenate(([0], np.cumsum(np.tile(GROUPS, accounts))))
    expiry = np.argsort(rng.random((accounts, EXPIRIES)), axis=1)[:, : GROUPS.size]
    expiry[:, 0] = scan.LINEAR
    values = rng.standard_normal((INSTRUMENTS, SCENARIOS + 3))
    skew = np.zeros(SCENARIOS, np.bool_)
    skew[-2:] = True
    return (
        np.arange(0, groups + 1, GROUPS.size),
        group_start,
        expiry.ravel(),
        rng.integers(0, INSTRUMENTS, group_start[-1]),
        rng.standard_normal(group_start[-1]),
        values,
        rng.uniform(0.3, 1.0, SCENARIOS),
        skew,
        rng.uniform(0.9, 1.0, EXPIRIES),
        rng.uniform(1.0, 1.1, EXPIRIES),
        rng.uniform(0.1, 0.5, EXPIRIES),
    )


def run() -> list[Record]:
    calls = {"plain numba": numba_scan.worst_by_expiry}
    if c_scan.available():
        calls["C -O3 -march=native"] = c_scan.worst_by_expiry(SCENARIOS)
    records = []
    for accounts in SIZES:
        columns = book(accounts)
        contenders = {name: (lambda call=call, columns=columns: call(*columns)) for name, call in calls.items()}
        took = cpu_seconds({"ours": lambda columns=columns: scan.worst_by_expiry(*columns), **contenders})
        own, found = took["ours"] * 1e3, scan.worst_by_expiry(*columns)[0]
        for name, call in calls.items():
            note = f"largest difference {np.abs(call(*columns)[0] - found).max():.1e} USD"
            records.append(Record("W2n", name, accounts, own, took[name] * 1e3, took[name] * 1e3 / own, "ms", note))
    return records
