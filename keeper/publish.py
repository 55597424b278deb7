"""What risk arrays should stand on the chain, and when to publish them: pure functions from a state to plans.

Arrays are those of the integer twin, so that no word can be proven wrong. One computation serves a whole block:
what is published is also what accounts are judged by while the arrays on the chain are old.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from keeper.abi import keccak256
from keeper.marks import shift_of
from keeper.plans import Held, Plan, PublishArrays
from keeper.twin.fixed import WAD
from keeper.twin.ramps import ScanRamp
from keeper.twin.records import Instrument, Report, ScanParameters, Slice, listing_id
from keeper.twin.words import NoArray, WordOutOfRange, Words, expiry_words, packed, terms
from keeper.venues.portfolio import Line, PortfolioState

PPM: Final = 10**6
MEMO: Final = 512
"""Expiries whose arrays are remembered; a memo of a pure function, so a reorg cannot make it wrong."""


@dataclass(frozen=True, slots=True)
class Publishing:
    """When the operator publishes."""

    on: bool
    after_move: int  # share of the move limit at which a move of the price is published, parts per million
    after_shift: int  # of a mark by its slice alone, as a share of the price, parts per million
    after_seconds: int  # age of the current epoch's report
    only: frozenset[int] = frozenset()  # underlyings by number; empty: all


@lru_cache(maxsize=MEMO)
def arrays_of(
    report: Report, slice_: Slice, parameters: ScanParameters, instruments: tuple[Instrument, ...]
) -> tuple[Words, ...]:
    """Return the words of an expiry's options. Raises NoArray or WordOutOfRange as the contract reverts."""
    return expiry_words(terms(report, slice_, parameters), instruments)


@lru_cache(maxsize=MEMO)
def listing_of(instruments: tuple[Instrument, ...], scan: ScanRamp) -> bytes:
    """Return the id of what was read: where a reorg changes rows or parameters meanwhile, `publish` reverts."""
    return listing_id(instruments, scan.words, keccak256)


def publications(state: PortfolioState, rules: Publishing, lifetime_blocks: int) -> tuple[list[Plan], list[Held]]:
    """Return the publications due, expiries ascending, and why every other underlying is left as it is."""
    plans: list[Plan] = []
    holds: list[Held] = [Held(f"arrays:{u}", fault) for u, fault in state.faults.items()]
    for line in state.lines:
        if not line.series:
            continue
        reason = _due(state, line, rules)
        waits = "" if reason else "arrays are recent and the price is near theirs"
        waits = waits or _left_alone(state, line) or _not_ours(line, rules)
        if waits:
            holds.append(Held(f"arrays:{line.underlying}", waits))
            continue
        try:
            plans += _epoch(state, line, reason, state.block.number + lifetime_blocks)
        except (NoArray, WordOutOfRange) as error:
            holds.append(Held(f"arrays:{line.underlying}", f"no array: {error}"))
    return plans, holds


def _not_ours(line: Line, rules: Publishing) -> str:
    """Return why another publisher is to publish, or ''."""
    if not rules.on:
        return "portfolio.publish is off"
    return "portfolio.publish_underlyings does not name it" if rules.only and line.underlying not in rules.only else ""


def _due(state: PortfolioState, line: Line, rules: Publishing) -> str:
    """Return why arrays should be published now, or ''."""
    known = state.world.underlyings[line.underlying]
    current = line.current
    if current is None:
        return "no epoch yet"
    if line.draft is not None and line.draft.report_id == line.report_id:
        return f"epoch {line.draft.epoch} is not complete"
    held = known.current.arrays if known.current is not None else {}
    if any(len(held.get(s.expiry, ())) < len(s.instruments) for s in line.series):
        return "an option has no array"
    moved = abs(known.report.price - current.price)
    if moved * WAD * PPM >= rules.after_move * known.scan.move * current.price:
        return f"price moved {moved / current.price:.2%} since epoch {current.epoch}"
    shift = shift_of(known.report, known.slices, known.current, _rows(line)) if known.current is not None else 0
    if shift * PPM > rules.after_shift * current.price:
        return f"slices or fixings moved a mark by {shift / current.price:.2%} of the price since epoch {current.epoch}"
    age = state.block.timestamp - current.reported_at
    if age >= rules.after_seconds:
        return f"epoch {current.epoch} rests on a report {age} s old"
    return ""


def _rows(line: Line) -> dict[int, tuple[Instrument, ...]]:
    return {series.expiry: series.instruments for series in line.series}


def _left_alone(state: PortfolioState, line: Line) -> str:
    """Return why nothing can be published although it may be due, or ''."""
    known = state.world.underlyings[line.underlying]
    current = line.current
    if current is not None and known.report.timestamp <= current.reported_at:
        return f"epoch {current.epoch} rests on the newest report already"
    if state.block.timestamp - known.report.timestamp > state.world.limits.report_age:
        return f"the newest report is {state.block.timestamp - known.report.timestamp} s old; report first"
    if line.unfitted:
        return f"no slice of expiry {line.unfitted[0]}: no epoch completes without it"
    ages = {s.expiry: state.block.timestamp - known.slices[s.expiry].timestamp for s in line.series}
    old = [f"{expiry} is {age} s old" for expiry, age in ages.items() if age > state.world.limits.slice_age]
    return f"the slice of expiry {old[0]}; fit again first" if old else ""


def _epoch(state: PortfolioState, line: Line, reason: str, expires_at: int) -> Sequence[Plan]:
    """Return one plan an expiry that the epoch on the newest report still lacks."""
    known = state.world.underlyings[line.underlying]
    done_to = line.draft_to if _goes_on(line) else 0
    plans = []
    for series in line.series:
        if series.expiry <= done_to:
            continue
        words = arrays_of(known.report, known.slices[series.expiry], known.scan, series.instruments)
        plans.append(
            PublishArrays(
                venue=state.venue,
                underlying=line.underlying,
                expiry=series.expiry,
                report_id="0x" + line.report_id.hex(),
                slice_id="0x" + series.slice_id.hex(),
                version=line.version,
                listing_id="0x" + listing_of(series.instruments, line.scan).hex(),
                arrays="0x" + b"".join(map(packed, words)).hex(),
                reason=reason,
                expires_at=expires_at,
            )
        )
    return plans


def _goes_on(line: Line) -> bool:
    """Say whether the draft rests on the newest report and the parameters in force: only then are their words right."""
    return line.draft is not None and (line.draft.report_id, line.draft.version) == (line.report_id, line.version)
