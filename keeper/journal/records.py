"""What the journal takes and gives back: frozen records, checked at birth."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from keeper.abi import address_at
from keeper.chain import Block
from keeper.plans import Held, Plan

MarginStatus = Literal["healthy", "endangered", "unknown"]
IntentStatus = Literal["intended", "live", "achieved", "failed", "refused", "expired", "shadow", "lost", "cancelled"]
ClosedStatus = Literal["achieved", "failed", "refused", "expired", "shadow", "lost", "cancelled"]
AttemptStatus = Literal["signed", "broadcast", "mined", "reverted", "lost"]


@dataclass(frozen=True, slots=True)
class QuoteRow:
    """One source's price as a tick used it; a price that could not be read has `answer` None, never 0."""

    feed: str
    symbol: str
    answer: int | None  # `decimals`, signed as the source gave it
    decimals: int
    updated_at: int | None  # seconds, the source's own time
    age_s: int | None  # block timestamp - updated_at
    status: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class MarginRow:
    """One account's margin in one tick, in USD. Numbers of an unknown account may be None or NaN and are kept as None.

    `health` is equity / mm; when mm is 0, ±inf by the sign of equity. Raises ValueError when a known account lacks a
    number.
    """

    account: str
    equity: float | None
    im: float | None
    mm: float | None
    health: float | None
    status: MarginStatus
    reason: str = ""
    exact: bool = False  # True: decided by the venue's own integers

    def __post_init__(self) -> None:
        if self.status == "unknown":
            return
        finite = all(amount is not None and math.isfinite(amount) for amount in (self.equity, self.im, self.mm))
        if not finite or self.health is None or math.isnan(self.health):
            raise ValueError(
                f"{self.account}: expected finite equity, IM and MM and a health for status {self.status}, found "
                f"{self.equity}, {self.im}, {self.mm}, {self.health}; an account without them is unknown"
            )


@dataclass(frozen=True, slots=True)
class TickRecord:
    """Everything one tick saw and decided not to do; its plans stand beside it."""

    block: Block
    skipped_heads: int  # heads passed over since the previous tick
    latency_ms: Mapping[str, float]  # stage -> milliseconds
    quotes: tuple[QuoteRow, ...]
    margins: tuple[MarginRow, ...]
    holds: tuple[Held, ...]
    crosscheck: Mapping[str, object] = field(default_factory=dict)  # plain values; empty: margins were computed once

    def count(self, status: MarginStatus) -> int:
        return sum(margin.status == status for margin in self.margins)


@dataclass(frozen=True, slots=True)
class StoredTick:
    """A tick as the journal holds it."""

    id: int
    block: Block
    accounts: int
    healthy: int
    endangered: int
    unknown: int
    skipped_heads: int
    latency_ms: Mapping[str, float]  # stage -> milliseconds
    crosscheck: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Intent:
    """A plan the journal promised to see through; live while `intended` or `live`."""

    id: int
    tick_id: int
    plan: Plan
    status: IntentStatus
    cause: str  # why it has its status; empty while live
    closed_block: int | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One signed transaction of a keeper from before the slots; one that carried out several intents is one of each."""

    id: int
    intent_id: int
    plan: Plan
    sender: str
    nonce: int
    tx_hash: str
    raw: bytes = field(repr=False)
    gas_limit: int
    max_fee: int  # wei per gas
    tip: int  # wei per gas
    status: AttemptStatus
    cause: str
    block_number: int | None
    block_hash: str | None
    gas_used: int | None
    gas_price: int | None  # wei per gas, as charged

    @property
    def is_open(self) -> bool:
        """Whether the bytes may still land without us having seen it."""
        return self.status in ("signed", "broadcast")


@dataclass(frozen=True, slots=True)
class MarginAt:
    """An account's margin with the block it was computed at."""

    tick_id: int
    block_number: int
    timestamp: int
    margin: MarginRow


@dataclass(frozen=True, slots=True)
class Round:
    """One update of a feed, kept once."""

    feed: str
    updated_at: int  # seconds
    answer: int  # `decimals`, > 0
    decimals: int
    status: str  # of the first quote that carried it


@dataclass(frozen=True, slots=True)
class Volatility:
    feed: str
    computed_at: int  # block timestamp, seconds
    annualised: float  # decimal: 0.8 is 80 % a year
    observations: int


@dataclass(frozen=True, slots=True)
class Counts:
    """Totals over what the journal still holds; `unknown` and `endangered` are summed over ticks.

    `attempts` counts signed bytes, each once; `open_attempts` those whose nonce is not final yet.
    """

    ticks: int
    skipped_heads: int
    endangered: int
    unknown: int
    accounts: int
    intents: int
    live_intents: int
    attempts: int
    open_attempts: int


def require_checksum(sender: str) -> None:
    """Raise ValueError unless `sender` is checksummed: two spellings of one key would be two nonce sequences."""
    try:
        spelled = address_at(bytes(12) + bytes.fromhex(sender.removeprefix("0x")))
    except ValueError:
        spelled = None
    if sender != spelled:
        raise ValueError(f"expected a checksummed sender address, found {sender!r}")
