"""Where sending stops: caps on what is spent and on what is at stake, capacity kept for liquidations, the balance.

What counts is the worst case, gas limit times max fee. Of one nonce at most one attempt can be mined, so its siblings,
cancels included, count once, with the dearest. A stop is a value with its reason and alarm. Amounts are wei; hours and
days are measured in block time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

HOUR_S = 3600
DAY_S = 86_400
PPM = 10**6

Capped = Literal["transaction", "share of worth", "block", "hour", "day", "exposure", "balance", "loss budget"]


@dataclass(frozen=True, slots=True)
class Attempted:
    """A signed attempt that may still be mined, whatever it carries."""

    sender: str
    nonce: int
    gas: int  # limit
    max_fee: int  # wei per gas

    @property
    def worst(self) -> int:
        return self.gas * self.max_fee


@dataclass(frozen=True, slots=True)
class Spend:
    """What one nonce cost, or may cost at worst while it is open, booked at the block it was first signed for."""

    block_number: int
    timestamp: int  # of that block, seconds
    wei: int
    for_liquidation: bool


@dataclass(frozen=True, slots=True)
class SpendCaps:
    """Wei. An amount equal to its cap is allowed."""

    per_transaction: int
    per_block: int
    per_hour: int
    per_day: int
    exposure: int  # sum of worst cases of open nonces
    share_of_worth_ppm: int  # of what the job is worth
    reserved_ppm: int = 0  # of block, hour, day and exposure caps: for liquidations alone

    def __post_init__(self) -> None:
        caps = (self.per_transaction, self.per_block, self.per_hour, self.per_day, self.exposure)
        if min(*caps, self.share_of_worth_ppm) < 0 or not 0 <= self.reserved_ppm <= PPM:
            raise ValueError(f"expected caps of at least 0 and 0 <= reserved_ppm <= {PPM}, found {self}")


@dataclass(frozen=True, slots=True)
class Ask:
    """One attempt about to be signed. A replacement adds to its nonce only what it is dearer than its siblings."""

    worst: int  # wei
    siblings_worst: int = 0  # wei, the dearest stored sibling; 0 for a first attempt
    worth: int | None = None  # wei; None: a filler, a cancel or a job of no stated worth, no share of it binds
    for_liquidation: bool = False

    @property
    def added(self) -> int:
        return max(self.worst - self.siblings_worst, 0)


@dataclass(frozen=True, slots=True)
class Books:
    """What has been spent and is at stake as of one block."""

    block_number: int
    timestamp: int  # of the block, seconds
    spends: Sequence[Spend]  # a nonce each, open ones with their worst case; older than a day may be left out
    exposure: int  # wei, all open nonces
    liquidation_exposure: int  # wei, the part of it that liquidations hold


@dataclass(frozen=True, slots=True)
class Stop:
    """A cap is hit: nothing is signed. `alarm` is for a person; the next lower-priority job may still fit."""

    cap: Capped
    asked: int  # wei
    left: int  # wei
    alarm: str


def exposure(attempts: Iterable[Attempted]) -> int:
    """Return the sum over nonces of the dearest attempt: what is lost if every open nonce lands at its worst."""
    dearest: dict[tuple[str, int], int] = {}
    for attempt in attempts:
        key = (attempt.sender, attempt.nonce)
        dearest[key] = max(dearest.get(key, 0), attempt.worst)
    return sum(dearest.values())


def room(total: int, by_liquidations: int, by_others: int, reserved_ppm: int, *, for_liquidation: bool) -> int:
    """Return what is left of `total` (wei, gas or lanes) for this kind, never below 0.

    Liquidations may use all of it; others never what is reserved, used or not. The reserve is rounded up.
    """
    reserved = -(-total * reserved_ppm // PPM)
    held_back = by_liquidations if for_liquidation else max(reserved, by_liquidations)
    return max(total - held_back - by_others, 0)


def permit(ask: Ask, books: Books, caps: SpendCaps) -> Stop | None:
    """Return the first cap this attempt would break, None if it may be signed."""
    if ask.worst > caps.per_transaction:
        return _stop("transaction", ask.worst, caps.per_transaction)
    if ask.worth is not None:
        share = max(ask.worth, 0) * caps.share_of_worth_ppm // PPM
        if ask.worst > share:
            return _stop("share of worth", ask.worst, share)
    for cap, total, liquidations, others in _windows(books, caps):
        left = room(total, liquidations, others, caps.reserved_ppm, for_liquidation=ask.for_liquidation)
        if ask.added > left:
            return _stop(cap, ask.added, left)
    return None


def _windows(books: Books, caps: SpendCaps) -> Iterable[tuple[Capped, int, int, int]]:
    """Yield each rolling cap with what liquidations and others have used of it.

    A spend exactly an hour (a day) old no longer counts; one dated after the block, left by a reorg, does.
    """
    now = books.timestamp
    yield "block", caps.per_block, *_split(s for s in books.spends if s.block_number >= books.block_number)
    yield "hour", caps.per_hour, *_split(s for s in books.spends if s.timestamp > now - HOUR_S)
    yield "day", caps.per_day, *_split(s for s in books.spends if s.timestamp > now - DAY_S)
    yield "exposure", caps.exposure, books.liquidation_exposure, books.exposure - books.liquidation_exposure


def _split(spends: Iterable[Spend]) -> tuple[int, int]:
    """Return what liquidations and what others spent."""
    totals = [0, 0]
    for spend in spends:
        totals[0 if spend.for_liquidation else 1] += spend.wei
    return totals[0], totals[1]


def _stop(cap: Capped, asked: int, left: int) -> Stop:
    text = f"spend cap per {cap}" if cap not in ("exposure", "share of worth") else f"cap on {cap}"
    return Stop(cap, asked, left, f"{text}: expected at most {left} wei, found {asked}; raise the cap or wait")


@dataclass(frozen=True, slots=True)
class BalanceWatch:
    """Thresholds on the free balance, wei: what would be left of it if every open nonce landed at its worst."""

    alert_below: int
    stop_below: int

    def __post_init__(self) -> None:
        if not 0 <= self.stop_below <= self.alert_below:
            raise ValueError(f"expected 0 <= stop_below <= alert_below, found {self.stop_below}, {self.alert_below}")


@dataclass(frozen=True, slots=True)
class BalanceState:
    """`stop` opens no new intents; replacements and cancels of open nonces go on while there is money at all."""

    state: Literal["ok", "alert", "stop"]
    free: int  # wei, may be negative
    alarm: str  # empty when ok


def watch(balance: int, at_stake: int, thresholds: BalanceWatch) -> BalanceState:
    """Judge one key's balance against its exposure `at_stake`; a free balance equal to a threshold is not below it."""
    free = balance - at_stake
    if free < thresholds.stop_below:
        return BalanceState("stop", free, _short(free, thresholds.stop_below, "nothing new is sent"))
    if free < thresholds.alert_below:
        return BalanceState("alert", free, _short(free, thresholds.alert_below, "sending goes on for now"))
    return BalanceState("ok", free, "")


def affordable(ask: Ask, balance: BalanceState) -> Stop | None:
    """Return a stop when the balance cannot carry the attempt at its worst, or when a first attempt comes in a stop."""
    opens = ask.siblings_worst == 0
    if opens and balance.state == "stop":
        return Stop("balance", ask.added, max(balance.free, 0), balance.alarm)
    if ask.added > balance.free:
        return Stop("balance", ask.added, max(balance.free, 0), _short(balance.free, ask.added, "it is not sent"))
    return None


def _short(free: int, needed: int, then: str) -> str:
    return f"balance: expected {needed} wei beside what is at stake, found {free}; {then}, send ETH to the key"
