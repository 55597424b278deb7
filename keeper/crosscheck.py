"""The twin's statements beside the float model's: each number that decides is computed twice, from the same reads.

The proof is priced anew, options and all; the statements by arrays are margined from the published words. An account
whose two numbers lie further apart than the band is unknown until somebody has looked: one of them is wrong.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite
from typing import Final

import numpy as np

from engine.book import OPTION, Book, account_sums
from engine.margin.arrays import UNIT, UNITS, ArraysAt
from engine.types import Floats
from keeper.columns import Columns
from keeper.twin.records import Check
from keeper.twin.world import World
from keeper.units import WAD_DECIMALS, to_float
from keeper.venues.portfolio import PortfolioAccount

NOTIONAL: Final = 1e-9
"""The band: this share of gross notional, UNITS array units a contract for what the venue's words round away, one more,
and what float64 cannot hold of the cash."""
CASH: Final = 1e-15


@dataclass(frozen=True, slots=True)
class Distance:
    """How far the twin's statement of one account is from the float model's, in equity, IM or MM, whichever is most."""

    account: str
    statement: str
    usd: float
    band: float

    @property
    def beyond(self) -> bool:
        return not self.usd <= self.band  # NaN is beyond

    def __str__(self) -> str:
        return f"{self.statement}: twin and float model {self.usd:.3g} USD apart, expected at most {self.band:.3g}"


@dataclass(frozen=True, slots=True)
class Crosscheck:
    """What comparing one block's statements has shown."""

    compared: int  # statements
    apart: Mapping[str, str]  # account → what is wrong with its statements
    largest: Distance | None  # in shares of its band; None: nothing could be compared

    def summary(self) -> dict[str, object]:
        """Return plain values for the journal; numbers that are not finite are None."""
        found: dict[str, object] = {"compared": self.compared, "apart": len(self.apart)}
        if self.largest is not None:
            usd = self.largest.usd if isfinite(self.largest.usd) else None
            where = {"account": self.largest.account, "statement": self.largest.statement}
            found |= {"largest_usd": usd, "its_band_usd": self.largest.band, **where}
        return found


Stated = Mapping[str, Mapping[str, Check]]
"""Name of a statement → account → what the twin says; accounts that it refuses are missing."""
PROOF: Final = "proof"
NEWEST: Final = "newest arrays"
SETTLED: Final = "settled arrays"


def crosschecked(world: World, accounts: Sequence[PortfolioAccount], stated: Stated) -> Crosscheck:
    """Compare every statement. Nothing is believed of an account that the engine refuses, and of nobody where it
    refuses the world itself."""
    said = [a for a in accounts if any(a.name in checks for checks in stated.values())]
    try:
        found, refused = _together(world, said, stated), dict[str, ValueError]()
    except ValueError as error:
        found, refused = _isolated(world, said, stated, error)
    apart = {name: f"the float model says nothing: {error}" for name, error in refused.items()}
    apart |= {distance.account: str(distance) for distance in found if distance.beyond}
    largest = max(found, key=lambda d: d.usd / d.band if isfinite(d.usd) else inf, default=None)
    return Crosscheck(len(found), apart, largest)


def _together(world: World, accounts: Sequence[PortfolioAccount], stated: Stated) -> list[Distance]:
    """Raises ValueError where the engine refuses anything that the accounts hold, or the world."""
    held = {leg.instrument for a in accounts for leg in a.book.legs if leg.instrument.is_option}
    columns = Columns(world, tuple(sorted(held, key=lambda i: i.id)))
    book = columns.book([a.name for a in accounts], [a.book for a in accounts])
    return [d for name, checks in stated.items() for d in _distances(name, _model(columns, name), book, checks)]


def _isolated(
    world: World, accounts: Sequence[PortfolioAccount], stated: Stated, error: ValueError
) -> tuple[list[Distance], dict[str, ValueError]]:
    """Return the distances of the accounts that the engine takes, and why it refuses the others: all of them where it
    refuses an empty book. They are halved until each refusal is one account's, so that one costs few margins."""
    try:
        _together(world, (), stated)
    except ValueError:
        return [], dict.fromkeys((a.name for a in accounts), error)
    found: list[Distance] = []
    refused: dict[str, ValueError] = {}
    parts = [accounts]
    while parts:
        part = parts.pop()
        try:
            found += _together(world, part, stated)
        except ValueError as why:
            half = len(part) // 2
            if half:
                parts += [part[half:], part[:half]]
            else:
                refused[part[0].name] = why
    return found, refused


def _model(columns: Columns, name: str) -> ArraysAt:
    known = columns.world.underlyings
    if name == PROOF:
        priced = columns.priced()
        return replace(priced, words=replace(priced.words, gap=np.zeros(priced.words.gap.size)))
    return columns.published({u: k.settled if name == SETTLED else k.current for u, k in known.items()})


def _distances(name: str, model: ArraysAt, book: Book, checks: Mapping[str, Check]) -> list[Distance]:
    ours = book.take(np.array([row for row, account in enumerate(book.accounts) if account in checks], np.int64))
    report = model(ours)
    theirs = [checks[account] for account in ours.accounts]
    apart = np.max(
        [
            np.abs(column - np.array([to_float(getattr(check, which), WAD_DECIMALS) for check in theirs]))
            for which, column in (("equity", report.equity), ("im", report.im), ("mm", report.mm))
        ],
        axis=0,
    )
    band = _band(model, ours)
    return [Distance(a, name, float(apart[row]), float(band[row])) for row, a in enumerate(ours.accounts)]


def _band(model: ArraysAt, book: Book) -> Floats:
    size = np.abs(book.quantity)
    option = model.instruments.kind[book.instrument] == OPTION
    spot = model.market.spot[model.instruments.underlying[book.instrument]]
    each = NOTIONAL * size * spot + np.where(option, UNITS * UNIT * size, 0.0)
    return account_sums(book, each) + CASH * np.abs(book.cash) + UNIT
