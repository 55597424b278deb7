"""W3: VaR and expected shortfall of accounts with 8 positions over 10,240 scenarios. Ours checks its input too."""

import numpy as np

from engine.tail_scan import tail_risk
from tests.bench.harness import Record, cpu_seconds
from tests.bench.peers import csr_partition, scipy_csr

SIZES = (1_000, 2_000)
POSITIONS, INSTRUMENTS, SCENARIOS = 8, 400, 10_240
PROBABILITIES = (0.99, 0.975)


def book(accounts):
    rng = np.random.default_rng(4)
    start = np.arange(accounts + 1) * POSITIONS
    instrument = rng.integers(0, INSTRUMENTS, accounts * POSITIONS)
    return start, instrument, rng.standard_normal(accounts * POSITIONS)


def run() -> list[Record]:
    arrays = np.random.default_rng(5).standard_t(4, (INSTRUMENTS, SCENARIOS))
    records = []
    for accounts in SIZES:
        columns = book(accounts)
        positions = scipy_csr.book(*columns, INSTRUMENTS)
        for probability in PROBABILITIES:

            def ours(columns=columns, probability=probability):
                return tail_risk(*columns, arrays, probability)

            def theirs(positions=positions, probability=probability):
                return csr_partition.tail_risk(positions, arrays, probability)

            took = cpu_seconds({"ours": ours, "theirs": theirs})
            own, other = (took[name] / accounts * 1e6 for name in ("ours", "theirs"))
            gap = max(np.abs(a - b).max() for a, b in zip(ours(), theirs(), strict=True))
            name = f"scipy CSR, np.partition, {probability:.1%}"
            note = f"largest difference {gap:.1e} USD"
            records.append(Record("W3", name, accounts, own, other, other / own, "µs/account", note))
    return records
