"""Where a tick's time goes: milliseconds of a monotonic clock, stage by stage."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Stages:
    """Time spent in each stage. A stage may lie within another one; entered again, its times add up."""

    spent: dict[str, float] = field(default_factory=dict)
    begun: float = field(default_factory=time.perf_counter)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        self.spent[stage] = self.spent.get(stage, 0.0) + (time.perf_counter() - begun) * 1e3

    def total(self) -> Mapping[str, float]:
        self.spent["total"] = (time.perf_counter() - self.begun) * 1e3
        return self.spent
