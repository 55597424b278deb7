"""What several runs of one burst come to: the gates, and quantiles of the time from a block to its first offer."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from tests.bursts.harness import Run, Turn
from tests.bursts.world import BLOCK_GAS

MOST_BLOCKS = 2
FEW = 20
"""Accounts that two blocks hold by far, so that no gas of the run's own excuses a third."""
STAGES = (
    "head", "settle", "read", "margin", "decide", "journal", "simulate", "price", "reserve", "sign", "store", "offer",
)  # fmt: skip
"""In their order; `offer` ends with the answers, and so after the first transaction has left."""


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Milliseconds."""

    p50: float
    p99: float


@dataclass(frozen=True, slots=True)
class Figures:
    """Runs of one burst. `stages` and `first` are of the first tick that sends, `any_first` of all that do."""

    venue: str
    size: int
    runs: int
    blocks: int | None  # the most of any run; None: one was never done
    allowed: int
    effects: dict[str, int]  # accounts by kind of event, the least of any run
    transactions: int  # the most of any run
    raw: int
    reverts: int  # of all runs, as are the next two
    nonce_errors: int
    refusals: int
    gas_used: tuple[int, ...]  # by block, of the first run
    first: Quantiles  # from the head received to the first raw transaction at the proxy
    any_first: Quantiles
    stages: dict[str, Quantiles]
    faults: tuple[str, ...]  # gates missed; empty when all are met

    def as_json(self) -> dict[str, object]:
        return asdict(self)

    def text(self) -> str:
        """Return it for people, one run set a few lines."""
        head = f"{self.venue} {self.size}, {self.runs} runs: {self.blocks} blocks (at most {self.allowed})"
        counts = f"{self.transactions} transactions, {self.reverts} reverts, {self.nonce_errors} nonce errors"
        gas = " ".join(f"{gas / 1e6:.1f}M" for gas in self.gas_used)
        times = "  ".join(f"{name} {q.p50:.0f}/{q.p99:.0f}" for name, q in self.stages.items())
        sent = f"first transaction {self.first.p50:.0f}/{self.first.p99:.0f} ms, p50/p99"
        verdict = "; ".join(self.faults) or "all gates met"
        return f"{head}, {counts}, {self.refusals} refusals, gas {gas}\n  {sent}\n  {times}\n  {verdict}"


def figures(runs: Sequence[Run]) -> Figures:
    """Return what `runs`, of one burst and at least one, come to."""
    first = runs[0]
    sending = [[turn for turn in one.turns if turn.first_ms is not None] for one in runs]
    begun = [turns[0] for turns in sending if turns]
    counts = [one.blocks for one in runs]
    done = [count for count in counts if count is not None]
    return Figures(
        venue=first.venue,
        size=first.size,
        runs=len(runs),
        blocks=max(done) if len(done) == len(runs) else None,
        allowed=max(allowed(one) for one in runs),
        effects={kind: min(one.effects[kind] for one in runs) for kind in first.effects},
        transactions=max(one.mined for one in runs),
        raw=max(one.raw for one in runs),
        reverts=sum(one.reverts for one in runs),
        nonce_errors=sum(one.nonce_errors for one in runs),
        refusals=sum(one.refusals for one in runs),
        gas_used=first.gas_used,
        first=quantiles([first_ms(turn) for turn in begun]),
        any_first=quantiles([first_ms(turn) for turns in sending for turn in turns]),
        stages={name: quantiles([stage_ms(turn, name) for turn in begun]) for name in STAGES},
        faults=tuple(f"run {one.seed}: {fault}" for one in runs for fault in faults(one)),
    )


def allowed(one: Run) -> int:
    """Return in how many blocks a run must be done: two for `FEW`, for more those that its gas fills and one more."""
    if one.size <= FEW:
        return MOST_BLOCKS
    return max(MOST_BLOCKS, -(-sum(one.gas_used) // BLOCK_GAS) + 1)


def faults(one: Run) -> tuple[str, ...]:
    """Return the gates that a run missed."""
    found = []
    if one.blocks is None or one.blocks > allowed(one):
        found.append(f"expected at most {allowed(one)} blocks, found {one.blocks or 'no end'}")
    for what, count in (("reverts", one.reverts), ("nonce errors", one.nonce_errors), ("refusals", one.refusals)):
        if count:
            found.append(f"expected no {what}, found {count}")
    for kind, count in one.effects.items():
        if count != one.size:
            found.append(f"expected {kind} of {one.size} accounts, found {count}")
    return tuple(found)


def first_ms(turn: Turn) -> float:
    return float("nan") if turn.first_ms is None else turn.first_ms


def stage_ms(turn: Turn, name: str) -> float:
    return turn.head_ms if name == "head" else turn.stages.get(name, 0.0)


def quantiles(times: Sequence[float]) -> Quantiles:
    if not times:
        return Quantiles(float("nan"), float("nan"))
    p50, p99 = np.percentile(times, [50, 99])
    return Quantiles(round(float(p50), 1), round(float(p99), 1))
