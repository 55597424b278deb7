"""What a scenario is, and the two ways it can end badly on purpose."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tests.chaos_suite.stage import Stage

Figures = Mapping[str, int | float | str]
"""What was counted on the chain and in the proxy's log; wei as decimal text where it may exceed 2^53."""


class Failed(AssertionError):
    """A pass criterion does not hold."""


class Unhit(AssertionError):
    """The fault was not hit, so the run says nothing."""


Run = Callable[["Stage", random.Random], Figures]


class Make(Protocol):
    """Makes a scenario's run, with its protection or without."""

    def __call__(self, *, protected: bool) -> Run: ...


def both(make: Make) -> tuple[Run, Run]:
    return make(protected=True), make(protected=False)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row of the table; `off` is `run` without its protection and must raise Failed with the words `fails`."""

    name: str
    title: str
    run: Run
    off: Run
    fails: str = field(kw_only=True)
    world: str = "curie"  # a key of world.WORLDS
    geth_pool: bool = True  # False: the node's own pool, which is Anvil's


def require(holds: bool, criterion: str) -> None:
    """Raise Failed unless the pass criterion holds; `criterion` says what was expected and what was found."""
    if not holds:
        raise Failed(criterion)


def hit(struck: bool, fault: str) -> None:
    """Raise Unhit unless the fault was really there; `fault` says what was expected and what was found."""
    if not struck:
        raise Unhit(fault)
