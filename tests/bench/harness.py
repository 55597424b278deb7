"""Interleaved measurement: the minimum CPU time of each contender over rounds that visit them in turn."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

Contenders = Mapping[str, Callable[[], object]]


@dataclass(frozen=True, slots=True)
class Record:
    """One comparison: `ratio` = theirs ÷ ours, both in `unit`."""

    workload: str  # W1, W2, W2n, W3, W4, W5
    peer: str
    size: int  # items ours was measured on
    ours: float
    theirs: float
    ratio: float
    unit: str
    accuracy: str  # how far both are from the truth or from each other

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def cpu_seconds(contenders: Contenders, rounds: int = 7, budget_s: float = 30.0) -> dict[str, float]:
    """Return the least CPU time of each contender in seconds; each runs once unmeasured, then in turn.

    A contender that is slow gets fewer rounds: it drops out once it has used its share of `budget_s`, never before
    its second measured round.
    """
    best = dict.fromkeys(contenders, float("inf"))
    spent = dict.fromkeys(contenders, 0.0)
    for run in contenders.values():
        run()
    for number in range(rounds):
        for name, run in contenders.items():
            if number >= 2 and spent[name] > budget_s / len(contenders):
                continue
            started = time.process_time()
            run()
            took = time.process_time() - started
            best[name] = min(best[name], took)
            spent[name] += took
    return best
