"""A transaction to be as a job: what it is for, what it is worth, how likely it succeeds, what needs it."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from keeper.lanes.rescue import Stake
from keeper.plans import Plan, PublishArrays
from keeper.sending.priority import PPM, Job


def job_of(
    plans: Sequence[Plan],
    at_risk: int,
    worth: int | None,
    gas: int,
    cost: int,
    strikes: int,
    serves: Mapping[str, str],
) -> Job:
    """Return the job of one transaction that carries out `plans`, known by the effect of the first.

    `at_risk` is micro-USD, `worth` and `cost` wei. After n failures in a row the next try is given 1 in n + 1.
    """
    served = tuple(serves[plan.effect] for plan in plans if plan.effect in serves)
    return Job(
        key=plans[0].effect,
        kind=plans[0].kind,
        value_at_risk=at_risk,
        probability_ppm=PPM // (1 + strikes),
        gas=gas,
        profit=worth or 0,
        cost=cost,
        serves=served,
    )


def serving(plans: Sequence[Plan]) -> dict[str, str]:
    """Return effect → the effect that succeeds only after it: the expiries of one epoch, each before the next."""
    epochs: dict[str, list[str]] = {}
    for plan in plans:
        if isinstance(plan, PublishArrays):
            epochs.setdefault(plan.epoch, []).append(plan.effect)
    return {before: after for effects in epochs.values() for before, after in pairwise(effects)}


def stated(stakes: Sequence[Stake]) -> int | None:
    """Return what several plans are worth together, wei; None where one of them does not say."""
    worths = [stake.worth for stake in stakes if stake.worth is not None]
    return sum(worths) if len(worths) == len(stakes) else None
