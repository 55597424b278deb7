"""Which starts share one startAuctions transaction, as far as its gas goes.

The contract gives each start at most `start_gas` and does not begin one with less than that in hand, so that running
out of gas never looks like a healthy account: a batch must carry `start_gas` beyond what its other starts use.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from keeper.plans import Plan, StartAuction

EACH: Final = (600_000, 30_000)
"""What one start and each of its legs may use in a batch where no simulation has said it. Too little costs a block: the
contract refuses the last ones by GasTooLow, and they are planned again."""
FLAT: Final = 100_000
"""Of the transaction itself."""


@dataclass(frozen=True, slots=True)
class StartBatch:
    rows: tuple[int, ...]  # of the plans
    gas: int


def batches(
    plans: Sequence[Plan], gas: int, start_gas: int, alone_gas: Sequence[int], limits: Mapping[int, int]
) -> tuple[StartBatch, ...]:
    """Return the batches of two starts and more, most urgent first, none above `gas`.

    `alone_gas` is what each plan may use as a transaction of its own; a start that `start_gas` may not be enough for
    stays alone. `limits` are such limits, by row, of the plans that were simulated: a start uses no more in a batch,
    where what others have touched is warm.
    """
    starts = [
        (row, limits.get(row) or EACH[0] + EACH[1] * plan.legs)
        for row, plan in enumerate(plans)
        if isinstance(plan, StartAuction) and alone_gas[row] <= start_gas
    ]
    found = []
    while starts:
        taken, needed = _filled([each for _, each in starts], gas, FLAT + _in_hand(start_gas))
        found.append(StartBatch(tuple(row for row, _ in starts[:taken]), needed))
        starts = starts[taken:]
    return tuple(batch for batch in found if len(batch.rows) > 1)


def _filled(each: Sequence[int], gas: int, needed: int) -> tuple[int, int]:
    """Return how many of the first starts fit, one at least, and their gas; `needed` is the last one's."""
    taken = 1
    for before in each[:-1]:
        if needed + before > gas:
            break
        taken, needed = taken + 1, needed + before
    return taken, needed


def _in_hand(start_gas: int) -> int:
    """Return what the contract wants left before each start: Auctions.startAuctions."""
    return start_gas * 64 // 63 + 20_000
