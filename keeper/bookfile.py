"""A book in a file: accounts, instruments and the market at one time, as JSON or CSV; docs/margin-engine.md has both.

A CSV is turned into the JSON form first, so both are checked by the same rules. Everything wrong with a file is
reported at once, each line with the place, what was expected and what was found.
"""

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain

import numpy as np
from pydantic import TypeAdapter, ValidationError

from engine.book import FUTURE, KINDS, OPTION, PERPETUAL, TOKEN, Book, Instruments
from engine.margin.base import MarginModel, MarginReport
from engine.margin.tail import Tail
from engine.market import Market
from engine.scenarios import Scenarios, user_defined
from engine.types import Floats
from keeper.bookschema import (
    AccountSection,
    BookSection,
    ExpirySection,
    InstrumentSection,
    faulty,
    named,
    worded,
)
from keeper.booktext import parsed
from keeper.errors import ConfigError, UsageError


@dataclass(frozen=True, slots=True)
class BookFile:
    """What a file holds, as the engine takes it."""

    time: float  # seconds since 1970
    book: Book
    market: Market
    parameters: Mapping[str, Mapping[str, object]]  # by model name
    scenarios: Scenarios | None  # the file's own, where it has any


def read_book(text: str, source: str) -> BookFile:
    """Return the book in `text`, JSON if it begins with a brace, CSV otherwise. `source` names it in messages.

    Raises ConfigError with every fault found.
    """
    try:
        sections = BookSection.model_validate(parsed(text, source))
    except ValidationError as error:
        raise faulty(source, [worded(detail) for detail in error.errors(include_url=False)]) from None
    instruments = {name: _completed(name, section) for name, section in sections.instruments.items()}
    expiries = {name: _dated(name, section) for name, section in sections.expiries.items()}
    faults = [
        *chain.from_iterable(_expiry_faults(name, section, sections) for name, section in expiries.items()),
        *chain.from_iterable(_instrument_faults(name, s, sections, expiries) for name, s in instruments.items()),
        *chain.from_iterable(_account_faults(name, held, instruments) for name, held in sections.accounts.items()),
    ]
    if faults:
        raise faulty(source, faults)
    try:
        columns = _instruments(sections, instruments, expiries)
        return BookFile(
            time=sections.time,
            book=_book(sections, columns),
            market=_market(sections, instruments, expiries),
            parameters=sections.parameters,
            scenarios=_scenarios(sections, columns.underlyings),
        )
    except (ValueError, IndexError) as error:
        raise ConfigError(f"{source}: {error}") from error


def model_of(models: Mapping[str, type[MarginModel]], name: str, file: BookFile, source: str) -> MarginModel:
    """Return the model of that name with the file's parameters for it, defaults where the file has none.

    A tail margin takes the file's own scenarios where it has some. Raises UsageError for an unknown name, ConfigError
    with every parameter that is unknown or out of range.
    """
    if name not in models:
        raise UsageError(f"--model: expected one of {', '.join(models)}, found {name}")
    strange = sorted(set(file.parameters) - set(models))
    if strange:
        raise ConfigError(f"{source}: parameters: expected any of {', '.join(models)}, found {', '.join(strange)}")
    given = file.parameters.get(name, {})
    adapter: TypeAdapter[MarginModel] = TypeAdapter(models[name])
    try:
        model = adapter.validate_python(given)
    except ValidationError as error:
        place = ("parameters", name)
        raise faulty(source, [worded(detail, place) for detail in error.errors(include_url=False)]) from None
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{source}: parameters.{name}: {error}") from error
    unknown = _unknown(given, adapter.dump_python(model), f"parameters.{name}")
    if unknown:
        raise faulty(source, unknown)
    return _TailUnder(model, file.scenarios) if isinstance(model, Tail) and file.scenarios is not None else model


@dataclass(frozen=True, slots=True)
class _TailUnder:
    """A tail margin over given scenarios instead of its own history."""

    tail: Tail
    scenarios: Scenarios

    def at(self, instruments: Instruments, market: Market) -> Callable[[Book], MarginReport]:
        return self.tail.under(self.scenarios, instruments, market)


def _completed(name: str, section: InstrumentSection) -> InstrumentSection:
    """Return the section with what its name says where the section itself says nothing."""
    said = named(name)
    if said is None or section.kind not in (None, said.kind):
        return section
    read = {key: getattr(said, key) for key in ("kind", "underlying", "expiry", "strike", "type")}
    return section.model_copy(update={key: value for key, value in read.items() if getattr(section, key) is None})


def _dated(name: str, section: ExpirySection) -> ExpirySection:
    said = named(name)
    if said is None:
        return section
    read = {"underlying": said.underlying, "at": said.at}
    return section.model_copy(update={key: value for key, value in read.items() if getattr(section, key) is None})


def _expiry_faults(name: str, section: ExpirySection, file: BookSection) -> list[str]:
    where = f"expiries.{name}"
    faults = []
    if section.underlying not in file.underlyings:
        faults.append(f"{where}.underlying: {_one_of(section.underlying, file.underlyings)}")
    if section.at is None:
        faults.append(f"{where}.at: expected a time, found none, and the name is no date such as BTC-27MAR26")
    elif section.at < file.time:
        faults.append(
            f"{where}.at: expected a time from {_iso(file.time)} on, found {_iso(section.at)}: settle it first"
        )
    return faults


_FIELDS = {
    "option": ("underlying", "expiry", "strike", "type", "vol"),
    "future": ("underlying", "expiry"),
    "perpetual": ("underlying", "price"),
    "token": ("price",),
}


def _instrument_faults(
    name: str, section: InstrumentSection, file: BookSection, expiries: Mapping[str, ExpirySection]
) -> list[str]:
    where = f"instruments.{name}"
    if section.kind is None:
        return [f"{where}.kind: expected one of {', '.join(KINDS)}, found none, and the name does not say"]
    needed = _FIELDS[section.kind]
    allowed = (*needed, "underlying")
    faults = [f"{where}.{f}: expected one for this {section.kind}, found none" for f in needed if _lacks(section, f)]
    faults += [
        f"{where}.{f}: expected none for a {section.kind}, found {getattr(section, f)!r}"
        for f in ("expiry", "strike", "type", "vol", "price")
        if f not in allowed and not _lacks(section, f)
    ]
    if section.underlying is not None and section.underlying not in file.underlyings:
        faults.append(f"{where}.underlying: {_one_of(section.underlying, file.underlyings)}")
    if "expiry" in needed and section.expiry is not None:
        held = expiries.get(section.expiry)
        if held is None:
            faults.append(f"{where}.expiry: {_one_of(section.expiry, expiries)}")
        elif section.underlying is not None and held.underlying != section.underlying:
            faults.append(f"{where}.expiry: expected an expiry of {section.underlying}, found one of {held.underlying}")
    return faults


def _account_faults(name: str, account: AccountSection, instruments: Mapping[str, InstrumentSection]) -> list[str]:
    faults = []
    for index, position in enumerate(account.positions):
        where = f"accounts.{name}.positions[{index}]"
        held = instruments.get(position.instrument)
        if held is None:
            faults.append(f"{where}.instrument: {_one_of(position.instrument, instruments)}")
        elif held.kind in ("option", "token") and position.entry:
            faults.append(
                f"{where}.entry: expected none for what is paid for in cash ({held.kind}), found {position.entry}"
            )
        elif held.kind in ("perpetual", "future") and position.entry is None:
            faults.append(f"{where}.entry: expected the price a {held.kind} was last settled at, found none")
    return faults


def _instruments(
    file: BookSection, sections: Mapping[str, InstrumentSection], expiries: Mapping[str, ExpirySection]
) -> Instruments:
    codes = dict(zip(KINDS, (OPTION, PERPETUAL, FUTURE, TOKEN), strict=True))
    underlyings, dates = _rows(file.underlyings), _rows(expiries)
    every = list(sections.values())
    return Instruments(
        names=tuple(sections),
        underlyings=tuple(file.underlyings),
        expiries=tuple(expiries),
        kind=np.array([codes[s.kind or ""] for s in every], np.int8),
        underlying=np.array([-1 if s.underlying is None else underlyings[s.underlying] for s in every], np.int64),
        expiry=np.array([-1 if s.expiry is None else dates[s.expiry] for s in every], np.int64),
        strike=_column([s.strike or 0.0 for s in every]),
        is_call=np.array([s.type == "call" for s in every], np.bool_),
    )


def _market(
    file: BookSection, sections: Mapping[str, InstrumentSection], expiries: Mapping[str, ExpirySection]
) -> Market:
    underlyings = _rows(file.underlyings)
    spots, dates, every = list(file.underlyings.values()), list(expiries.values()), list(sections.values())
    return Market(
        spot=_column([s.spot for s in spots]),
        spot_confidence=_column([s.spot_confidence for s in spots]),
        expiry_underlying=np.array([underlyings[d.underlying or ""] for d in dates], np.int64),
        seconds=_column([(d.at or 0.0) - file.time for d in dates]),
        forward=_column([d.forward for d in dates]),
        forward_fixed=_column([d.forward_fixed for d in dates]),
        forward_confidence=_column([d.forward_confidence for d in dates]),
        rate=_column([d.rate for d in dates]),
        rate_confidence=_column([d.rate_confidence for d in dates]),
        price=_column([s.price or 0.0 for s in every]),
        vol=_column([s.vol or 0.0 for s in every]),
        confidence=_column([s.confidence for s in every]),
        stable_price=file.stable_price,
    )


def _book(file: BookSection, instruments: Instruments) -> Book:
    rows = _rows(instruments.names)
    positions = [position for account in file.accounts.values() for position in account.positions]
    sizes = [len(account.positions) for account in file.accounts.values()]
    return Book(
        instruments=instruments,
        accounts=tuple(file.accounts),
        cash=_column([account.cash for account in file.accounts.values()]),
        start=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        instrument=np.array([rows[p.instrument] for p in positions], np.int64),
        quantity=_column([p.quantity for p in positions]),
        entry=_column([p.entry or 0.0 for p in positions]),
        accrued=_column([p.accrued for p in positions]),
    )


def _scenarios(file: BookSection, underlyings: tuple[str, ...]) -> Scenarios | None:
    rows = [scenario.model_dump() for scenario in file.scenarios]
    return user_defined(rows, underlyings) if rows else None


def _column(values: list[float]) -> Floats:
    return np.array(values, np.float64)


def _rows(names: Iterable[str]) -> dict[str, int]:
    return {name: row for row, name in enumerate(names)}


def _lacks(section: InstrumentSection, field: str) -> bool:
    return getattr(section, field) is None


def _one_of(found: str | None, known: Collection[str]) -> str:
    """Return what was expected and found where a name must be one of the file's own."""
    close = difflib.get_close_matches(found or "", known, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    few = ", ".join(list(known)[:5]) + (", …" if len(known) > 5 else "") or "none are defined"
    return f"expected one of the file's own ({few}), found {found or 'none'}{hint}"


def _unknown(given: object, taken: object, place: str) -> list[str]:
    """Return a fault for every key given that the model did not take: a misspelt parameter must not go unnoticed."""
    if isinstance(given, Mapping) and isinstance(taken, Mapping):
        faults = [f"{place}.{key}: expected one of {', '.join(map(str, taken))}" for key in given if key not in taken]
        return faults + [f for key in given if key in taken for f in _unknown(given[key], taken[key], f"{place}.{key}")]
    if isinstance(given, list | tuple) and isinstance(taken, list | tuple):
        pairs = enumerate(zip(given, taken, strict=False))
        return [fault for index, (left, right) in pairs for fault in _unknown(left, right, f"{place}[{index}]")]
    return []


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
