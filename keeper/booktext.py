"""The two texts of a book: JSON, and CSV with one row a position; a CSV becomes the JSON form here."""

import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from typing import Final

from keeper.bookschema import faulty, named
from keeper.errors import ConfigError

Object = dict[str, object]

FILE: Final = ("time", "stable_price")
ACCOUNT: Final = ("cash",)
POSITION: Final = ("quantity", "entry", "accrued")
INSTRUMENT: Final = ("kind", "underlying", "expiry", "strike", "type", "vol", "price", "confidence")
UNDERLYING: Final = ("spot", "spot_confidence")
EXPIRY: Final = ("at", "forward", "forward_fixed", "forward_confidence", "rate", "rate_confidence")
TABLES: Final = ("underlyings", "expiries", "instruments", "accounts")
DEPTH: Final = 1000
"""Calls deep that a text may nest, the interpreter's own default. A library that raises the limit for the process would
let the parser, written in C, overrun its stack."""
COLUMNS: Final = ("account", "instrument", *FILE, *ACCOUNT, *POSITION, *INSTRUMENT, *UNDERLYING, *EXPIRY)


def parsed(text: str, source: str) -> Object:
    """Return the JSON form of a book, unchecked but for its syntax. Raises ConfigError."""
    text = text.removeprefix("\ufeff")
    return _json(text, source) if text.lstrip().startswith("{") else _csv(text, source)


def _json(text: str, source: str) -> Object:
    try:
        with _shallow():
            found: Object = json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{source}: expected JSON, found: {error}") from error
    return found


@contextmanager
def _shallow() -> Iterator[None]:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(min(before, DEPTH))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def _distinct(pairs: list[tuple[str, object]]) -> Object:
    """Refuse a key that stands twice: the first would be lost without a word."""
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = sorted(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        raise ValueError(f"{', '.join(twice)} more than once in one object")
    return found


def _no_constant(name: str) -> object:
    raise ValueError(f"{name}, which is no number")


class _Rows:
    """What the rows say so far. A blank cell says nothing; a repeated one must agree."""

    def __init__(self) -> None:
        self.form: Object = {}
        self.tables: dict[str, dict[str, Object]] = {
            t: {} for t in ("underlyings", "expiries", "instruments", "accounts")
        }
        self.faults: list[str] = []

    def row(self, line: int, cells: dict[str, str]) -> None:
        """Take in one row, its blank cells left out."""
        account, instrument = cells.get("account"), cells.get("instrument")
        said = named(instrument) if instrument else None
        underlying = cells.get("underlying") or (said.underlying if said else None)
        expiry = cells.get("expiry") or (said.expiry if said else None)
        self._note(line, self.form, cells, FILE)
        for table, key, columns, needs in (
            ("underlyings", underlying, UNDERLYING, "an underlying"),
            ("expiries", expiry, EXPIRY, "an expiry"),
            ("instruments", instrument, INSTRUMENT, "an instrument"),
            ("accounts", account, ACCOUNT, "an account"),
        ):
            if key is not None:
                self._note(line, self.tables[table].setdefault(key, {}), cells, columns)
            elif stray := [column for column in columns if column in cells]:
                self.faults.append(f"line {line}, {stray[0]}: expected {needs} in the row, found none")
        if expiry is not None and underlying is not None:
            self._note(line, self.tables["expiries"][expiry], {"underlying": underlying}, ("underlying",))
        self._position(line, cells)

    def _position(self, line: int, cells: dict[str, str]) -> None:
        position: Object = {column: cells[column] for column in ("instrument", *POSITION) if column in cells}
        if "account" in cells and position:
            positions = self.tables["accounts"][cells["account"]].setdefault("positions", [])
            assert isinstance(positions, list)
            positions.append(position)
        elif set(position) & set(POSITION):
            self.faults.append(f"line {line}, account: expected the holder of {position}, found none")

    def _note(self, line: int, into: Object, cells: dict[str, str], columns: tuple[str, ...]) -> None:
        for column in columns:
            if column in cells:
                before = into.setdefault(column, cells[column])
                if not _same(str(before), cells[column]):
                    found = f"expected {before} as in a row before, found {cells[column]}"
                    self.faults.append(f"line {line}, {column}: {found}")


def _csv(text: str, source: str) -> Object:
    rows = _Rows()
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        header = reader.fieldnames or ()
        strange = [column for column in header if column not in COLUMNS]
        if strange or not header:
            found = ", ".join(strange) or "nothing"
            expected = f"a comma between columns, which are any of {', '.join(COLUMNS)}"
            raise ConfigError(f"{source}: expected JSON, or CSV with {expected}; found {found}")
        if len(set(header)) != len(header):
            raise ConfigError(f"{source}: expected each column once, found {', '.join(header)}")
        for cells in reader:
            if None in cells:
                rows.faults.append(f"line {reader.line_num}: expected {len(header)} cells, found more")
                continue
            stated = {column: cell.strip() for column, cell in cells.items() if cell and cell.strip()}
            rows.row(reader.line_num, stated)
    except csv.Error as error:
        raise ConfigError(f"{source}: expected CSV, found: {error}") from error
    if rows.faults:
        raise faulty(source, rows.faults)
    return {**rows.form, **rows.tables}


def _same(left: str, right: str) -> bool:
    try:
        return left == right or Decimal(left) == Decimal(right)
    except InvalidOperation:
        return False
