"""W2: worst of 27 scenarios (SPAN kind) of accounts with 8 positions in 400 instruments. Ours checks its input too."""

import numpy as np

from engine import scan
from tests.bench.harness import Record, cpu_seconds
from tests.bench.peers import c_scan, loop_grid, numba_scan, scipy_csr

SIZES = (100_000, 1_000_000)
POSITIONS, INSTRUMENTS, SCENARIOS = 8, 400, 27


def book(accounts):
    rng = np.random.default_rng(2)
    start = np.arange(accounts + 1) * POSITIONS
    instrument = rng.integers(0, INSTRUMENTS, accounts * POSITIONS)
    quantity = rng.standard_normal(accounts * POSITIONS)
    return start, instrument, quantity, rng.standard_normal((INSTRUMENTS, SCENARIOS))


def peers(columns):
    """Return a call per peer; the loop over accounts only where it takes seconds, not tens of them."""
    start, instrument, quantity, arrays = columns
    positions = scipy_csr.book(start, instrument, quantity, INSTRUMENTS)
    calls = {
        "scipy CSR @ dense, min": lambda: scipy_csr.worst(positions, arrays),
        "plain numba": lambda: numba_scan.worst(*columns)[0],
    }
    if start.size <= SIZES[0] + 1:
        calls["Python loop over a shared grid"] = lambda: loop_grid.worst(*columns)
    if c_scan.available():
        compiled = c_scan.worst(SCENARIOS)
        calls["C -O3 -march=native"] = lambda: compiled(*columns)[0]
    return calls


def run() -> list[Record]:
    records = []
    for accounts in SIZES:
        columns = book(accounts)
        calls = peers(columns)
        found = scan.worst(*columns)[0]
        took = cpu_seconds({"ours": lambda columns=columns: scan.worst(*columns), **calls}, budget_s=20.0)
        own = took["ours"] * 1e3
        for name, call in calls.items():
            note = f"largest difference {np.abs(call() - found).max():.1e} USD"
            records.append(Record("W2", name, accounts, own, took[name] * 1e3, took[name] * 1e3 / own, "ms", note))
    return records
