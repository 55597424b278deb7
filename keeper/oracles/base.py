"""What a price source returns: one quote per feed at one block, good or with the reason why not."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from keeper.chain import Block


@dataclass(frozen=True, slots=True)
class Feed:
    """One configured price feed and what is expected of it."""

    symbol: str
    address: str
    decimals: int
    heartbeat_s: int
    min_answer: float | None = None  # USD; at or below is absurd
    max_answer: float | None = None  # USD; at or above is absurd


@dataclass(frozen=True, slots=True)
class Quote:
    """One feed's answer at one block. `fault` is empty exactly when the price may be used."""

    symbol: str
    feed: str
    answer: int | None  # base units of `decimals`; None: not read
    decimals: int
    updated_at: int | None  # block time of the answer, seconds
    age_s: int | None  # block time minus updated_at
    fault: str


class Oracle(Protocol):
    def read(self, block: Block, feeds: Sequence[Feed]) -> tuple[Quote, ...]:
        """Return one quote per feed, in order; a feed that cannot be read is a quote with a fault."""
