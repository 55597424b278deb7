"""What is sent first: value at risk times probability, per gas; liquidations before reports before parameters.

A report that a liquidation needs goes just before the first of those that need it. Two policies are named as data:
`protocol` puts solvency first and may lose money up to a budget, `profit` sends only what is expected to pay.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction
from typing import Final, Literal

PPM = 10**6

PolicyName = Literal["protocol", "profit"]


class Rank(IntEnum):
    """Lower goes first, whatever the scores."""

    LIQUIDATION = 0
    REPORT = 1
    PARAMETER = 2


RANKS: Final[Mapping[str, Rank]] = {
    "liquidate": Rank.LIQUIDATION,
    "start_auction": Rank.LIQUIDATION,
    "take_auction": Rank.LIQUIDATION,
    "end_auction": Rank.LIQUIDATION,  # its owner loses by every block it stays open
    "publish_arrays": Rank.REPORT,
    "relay_reports": Rank.REPORT,
    "set_parameters": Rank.PARAMETER,
    "write_parameters": Rank.PARAMETER,
}
"""By a plan's kind; one that is missing here is an error, not the last in line."""


@dataclass(frozen=True, slots=True)
class Job:
    """One transaction about to be planned: amounts in wei, or all in one other unit."""

    key: str  # effect key
    kind: str  # of its plan
    value_at_risk: int  # lost if it is not done, >= 0
    probability_ppm: int  # that it succeeds if sent
    gas: int  # expected to be used, > 0
    profit: int = 0  # expected before gas, signed
    cost: int = 0  # expected gas bill, >= 0
    serves: tuple[str, ...] = ()  # keys of jobs that can only succeed after this one

    def __post_init__(self) -> None:
        if self.kind not in RANKS:
            raise ValueError(f"{self.key}: expected a kind of {', '.join(RANKS)}, found {self.kind!r}")
        if min(self.value_at_risk, self.cost) < 0 or self.gas <= 0 or not 0 <= self.probability_ppm <= PPM:
            raise ValueError(
                f"{self.key}: expected value at risk and cost >= 0, gas > 0 and a probability up to {PPM} ppm, found "
                f"{self.value_at_risk}, {self.cost}, {self.gas} and {self.probability_ppm}"
            )

    @property
    def net(self) -> int:
        """Expected profit after gas; the gas is paid whether or not it succeeds."""
        return self.profit * self.probability_ppm // PPM - self.cost


@dataclass(frozen=True, slots=True)
class SendingPolicy:
    """What is worth sending at all."""

    name: PolicyName
    loss_budget: int = 0  # per day, >= 0: what jobs that do not pay may cost together; `protocol` only
    least_net: int = 0  # expected profit after gas a job must have; `profit` only

    def __post_init__(self) -> None:
        if self.loss_budget < 0 or (self.name == "profit" and self.loss_budget):
            raise ValueError(f"expected a loss budget of at least 0, and 0 for profit, found {self.loss_budget}")

    def refusal(self, job: Job, lost_today: int) -> str:
        """Return why the job is not sent, '' if it is. `lost_today` counts what was booked against the budget."""
        if self.name == "profit":
            if job.net >= self.least_net:
                return ""
            return f"policy profit: expected a net of {self.least_net} at least, found {job.net}"
        return self.over_budget(max(-job.net, 0), lost_today)

    def over_budget(self, loss: int, lost_today: int) -> str:
        """Return why so much more may not be lost today, '' if it may; what loses nothing passes a spent budget too.

        Policy `profit` has none: what its jobs may cost is bounded by their worth, and the line's upkeep by the caps.
        """
        if self.name == "profit" or loss == 0 or lost_today + loss <= self.loss_budget:
            return ""
        left = max(self.loss_budget - lost_today, 0)
        return f"policy protocol: expected a loss of at most {left}, the rest of the day's budget, found {loss}"

    def score(self, job: Job) -> Fraction:
        """Return what a unit of gas is expected to save (`protocol`) or to earn (`profit`), exactly."""
        if self.name == "profit":
            return Fraction(job.net, job.gas)
        return Fraction(job.value_at_risk * job.probability_ppm, job.gas * PPM)


def ordered(jobs: Sequence[Job], policy: SendingPolicy) -> tuple[Job, ...]:
    """Return the jobs in the order of sending. Equal ones keep their order.

    Who serves comes before everyone it serves, with their rank and the best of their scores, through any chain of
    servings. Jobs that serve each other in a circle keep the order of their own scores.
    """
    by_key = {job.key: job for job in jobs}
    places = {job.key: _place(job, by_key, policy, frozenset()) for job in jobs}
    return tuple(sorted(jobs, key=lambda job: places[job.key]))


Place = tuple[int, Fraction, int]
"""Rank, negative score, negative length of the chain it serves: smaller goes first."""


def _place(job: Job, by_key: Mapping[str, Job], policy: SendingPolicy, seen: frozenset[str]) -> Place:
    own: Place = (RANKS[job.kind], -policy.score(job), 0)
    trail = seen | {job.key}
    served = [_place(by_key[key], by_key, policy, trail) for key in job.serves if key in by_key and key not in trail]
    if not served:
        return own
    rank, score, _ = min(own, *served)
    return rank, score, min(depth for _, _, depth in served) - 1
