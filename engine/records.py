"""What every frozen record checks at its birth: finite, in range, of one length, and read-only from then on."""

from dataclasses import fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.types import Floats, Ints

Scalar = TypeVar("Scalar", bound=np.generic)


def freeze(record: object) -> None:
    """Make every array of the record read-only, in place: for results, whose arrays nobody else holds."""
    for field in fields(record):  # type: ignore[arg-type]
        column = getattr(record, field.name)
        if isinstance(column, np.ndarray):
            column.flags.writeable = False


def own(record: object) -> None:
    """Give the record a read-only copy of every array that somebody else could still write to."""
    for field in fields(record):  # type: ignore[arg-type]
        column = getattr(record, field.name)
        if isinstance(column, np.ndarray) and _writable(column):
            object.__setattr__(record, field.name, column.copy())
    freeze(record)


def require_finite(record: object, *names: str) -> None:
    """Raise ValueError naming column and row where a column holds NaN, infinity or what is no number."""
    for name in names:
        column = _numbers(record, name)
        bad = ~np.isfinite(column)
        if bad.any():
            row = tuple(int(i) for i in np.argwhere(bad)[0])
            raise ValueError(f"{_of(record, name)}: expected finite numbers, found {column[row]} in row {_row(row)}")


def require_range(record: object, name: str, low: float, high: float = float("inf")) -> None:
    """Raise ValueError naming column and row where a column leaves [low, high]; NaN or what is no number leaves it."""
    column = _numbers(record, name)
    bad = ~((column >= low) & (column <= high))
    if bad.any():
        row = tuple(int(i) for i in np.argwhere(bad)[0])
        expected = f"numbers from {low:g} to {high:g}" if np.isfinite(high) else f"numbers >= {low:g}"
        raise ValueError(f"{_of(record, name)}: expected {expected}, found {column[row]} in row {_row(row)}")


def require_length(record: object, length: int, *names: str) -> None:
    """Raise ValueError where a column is not one-dimensional with `length` rows."""
    for name in names:
        shape = np.shape(getattr(record, name))
        if shape != (length,):
            raise ValueError(f"{_of(record, name)}: expected {length} rows, found shape {shape}")


def require_rows(record: object, name: str, count: int, low: int = 0) -> None:
    """Raise IndexError where a column of row numbers points outside low..count − 1."""
    rows = _numbers(record, name)
    bad = (rows < low) | (rows >= count)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise IndexError(f"{_of(record, name)}: expected rows {low}..{count - 1}, found {rows[row]} in row {row}")


def require_slices(record: object, name: str, count: int) -> None:
    """Raise ValueError where slice starts do not rise from 0 to `count`."""
    starts: Ints = getattr(record, name)
    if starts.size == 0 or starts[0] != 0 or starts[-1] != count or (np.diff(starts) < 0).any():
        found = f"{starts[:4]}…{starts[-1:]}"
        raise ValueError(f"{_of(record, name)}: expected non-decreasing slice starts from 0 to {count}, found {found}")


def require_not_negative(record: object, *names: str) -> None:
    """Raise ValueError where a parameter is negative or not finite."""
    for name in names:
        number = getattr(record, name)
        if not 0.0 <= number < np.inf:
            raise ValueError(f"{type(record).__name__}.{name}: expected a finite number >= 0, found {number}")


def column(argument: NDArray[Scalar], shape: tuple[int, ...]) -> NDArray[Scalar]:
    """Return a contiguous view, or copy, that is read-only whatever the argument is: kernels compile once per type."""
    flat = np.ascontiguousarray(np.broadcast_to(argument, shape)).reshape(-1)
    flat.flags.writeable = False
    return flat


def _numbers(record: object, name: str) -> Any:
    """Return the column of real numbers; a masked one is not, since a check would pass over what is missing."""
    column = getattr(record, name)
    if not isinstance(column, np.ndarray) or isinstance(column, np.ma.MaskedArray):
        raise ValueError(f"{_of(record, name)}: expected an array of numbers, found {type(column).__name__}")
    if column.dtype.kind not in "fiub":
        missing = [row for row, cell in enumerate(column.flat) if cell is None]
        found = f"None in row {missing[0]}" if missing else str(column.dtype)
        raise ValueError(f"{_of(record, name)}: expected an array of numbers, found {found}")
    return column


def _writable(column: object) -> bool:
    """Tell whether an array or what it is a view of can be written to."""
    while isinstance(column, np.ndarray):
        if column.flags.writeable:
            return True
        column = column.base
    return False


def _of(record: object, name: str) -> str:
    return f"{type(record).__name__}.{name}"


def _row(row: tuple[int, ...]) -> str:
    return str(row[0]) if len(row) == 1 else str(row)


def floats(values: object) -> Floats:
    """Return a new contiguous float64 array."""
    return np.array(values, np.float64, order="C")
