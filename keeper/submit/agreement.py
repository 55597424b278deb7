"""Answers of several endpoints to one question. Disagreement is a value: no majority decides what a fact is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Agreed(Generic[T]):
    """As many endpoints as are required gave the same answer, and none another one."""

    answer: T
    by: tuple[str, ...]
    aside: tuple[str, ...] = ()  # who was not heard, for it contradicts all others on end


@dataclass(frozen=True, slots=True)
class Conflict:
    """At least two endpoints state different facts: nothing may rest on either, and a person should look."""

    answers: tuple[tuple[str, str], ...]  # endpoint, its answer cut short

    def __str__(self) -> str:
        return "endpoints disagree: " + "; ".join(f"{name} says {said}" for name, said in self.answers)


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Too few endpoints answered. It says nothing about the question."""

    expected: int
    found: int
    why: str  # what the others said

    def __str__(self) -> str:
        return f"expected {self.expected} answers that agree, found {self.found}{f': {self.why}' if self.why else ''}"


Reading = Agreed[T] | Conflict | Unanswered


def agree(answers: Mapping[str, T], needed: int, faults: Mapping[str, str]) -> Reading[T]:
    """Return what at least `needed` endpoints say alike while none says otherwise. `faults` are of the others."""
    kinds = list(answers.values())
    if any(kind != kinds[0] for kind in kinds):
        return Conflict(tuple((name, _short(kind)) for name, kind in answers.items()))
    if len(kinds) < max(needed, 1):
        return Unanswered(needed, len(kinds), "; ".join(f"{name}: {text}" for name, text in faults.items()))
    return Agreed(kinds[0], tuple(answers))


def agree_or_lag(answers: Mapping[str, T | None], needed: int, faults: Mapping[str, str]) -> Reading[T | None]:
    """As `agree`, where None is `not seen yet`: it contradicts nobody, and only counts when all say so."""
    seen = {name: answer for name, answer in answers.items() if answer is not None}
    if not seen:
        return agree(answers, needed, faults)
    behind = {name: "not seen yet" for name, answer in answers.items() if answer is None}
    found: Reading[T | None] = agree(seen, needed, {**behind, **faults})
    return found


def _short(answer: object) -> str:
    text = repr(answer)
    return text if len(text) <= 200 else f"{text[:199]}…"
