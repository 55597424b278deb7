"""The faults in force: which of them meet a request, and how often each was applied."""

import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from keeper.chaos.faults import Action, Fault
from keeper.chaos.requests import Open


@dataclass(frozen=True, slots=True)
class Chosen:
    """A fault that met a request and is still to be applied."""

    id: int
    action: Action


@dataclass(slots=True)
class _Active:
    fault: Fault
    chance: random.Random
    seen: int = 0
    hits: int = 0
    removed: bool = field(default=False)


class FaultSet:
    """Any thread may add and remove. Same seed, same faults, same requests: same choices."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._lock = threading.Condition()
        self._faults: dict[int, _Active] = {}

    def add(self, fault: Fault) -> int:
        """Return the fault's id, by which it is removed and its hits are asked for; ids count from 1."""
        with self._lock:
            key = len(self._faults) + 1
            self._faults[key] = _Active(fault, random.Random(f"{self._seed}/{key}"))
            return key

    def remove(self, key: int) -> None:
        """End a fault; its hits stay known. Ending it twice is harmless."""
        self._faults[key].removed = True

    def hits(self, key: int) -> int:
        """Return how often it was applied; meeting a request to which it means nothing does not count."""
        return self._faults[key].hits

    def wait(self, key: int, hits: int, timeout_s: float) -> bool:
        """Return True as soon as it was applied so often, False after `timeout_s` of wall time."""
        with self._lock:
            return self._lock.wait_for(lambda: self._faults[key].hits >= hits, timeout_s)

    def seen(self, key: int) -> int:
        """Return how many requests were of its kind, met or not."""
        return self._faults[key].seen

    def named(self, key: int) -> Fault:
        return self._faults[key].fault

    def choose(self, asked: Open) -> list[Chosen]:
        """Return the faults that meet this request, in the order of their adding, and count the occurrence."""
        with self._lock:
            return [
                Chosen(key, active.fault.action) for key, active in self._faults.items() if self._met(active, asked)
            ]

    def _met(self, active: _Active, asked: Open) -> bool:
        match = active.fault.match
        if active.removed or not match.meets(asked.request):
            return False
        active.seen += 1
        if active.seen < match.first or (match.last is not None and active.seen > match.last):
            return False
        return match.probability >= 1.0 or active.chance.random() < match.probability

    def applied(self, chosen: Chosen, asked: Sequence[Open]) -> None:
        """Count one application and note it at every request it changed."""
        with self._lock:
            self._faults[chosen.id].hits += 1
            self._lock.notify_all()
        for exchange in asked:
            exchange.faults.append(chosen.id)

    def shuffled(self, chosen: Chosen, count: int) -> list[int]:
        """Return 0…count−1 in another order, by the fault's own generator; the same one only if count < 2."""
        order = list(range(count))
        chance = self._faults[chosen.id].chance
        while count > 1 and order == sorted(order):
            chance.shuffle(order)
        return order
