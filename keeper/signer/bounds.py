"""Bounds on one decoded argument: one of a set, a range, a number of elements."""

from dataclasses import dataclass
from typing import Any

from keeper.signer.signature import Function, Node, Step, resolve, values

Literal = int | str | bool
Row = tuple[tuple[int, int], ...]
"""Lowest and highest, both included, of each field of a struct of numbers."""


@dataclass(frozen=True, slots=True)
class Bound:
    """`low` and `high` are both included; `max_items` counts an array's elements or a byte string's bytes; a struct
    must fit one of `rows` in every field."""

    path: str
    steps: tuple[Step, ...]
    one_of: frozenset[Literal] | None = None
    low: int | None = None
    high: int | None = None
    max_items: int | None = None
    rows: tuple[Row, ...] | None = None

    def fault(self, arguments: tuple[Any, ...]) -> str:
        """Return '' when every value the path leads to is inside, else what was expected and found."""
        try:
            found = list(values(arguments, self.steps))
        except IndexError:
            return f"{self.path}: expected such an element, found a shorter array"
        return next((fault for value in found if (fault := self._fault(value))), "")

    def _fault(self, value: Any) -> str:
        if self.max_items is not None and len(value) > self.max_items:
            return f"{self.path}: expected at most {self.max_items} elements, found {len(value)}"
        if self.one_of is not None and _comparable(value) not in self.one_of:
            return f"{self.path}: expected one of {_listed(self.one_of)}, found {_shown(value)}"
        if self.low is not None and value < self.low:
            return f"{self.path}: expected at least {self.low}, found {value}"
        if self.high is not None and value > self.high:
            return f"{self.path}: expected at most {self.high}, found {value}"
        if self.rows is not None and not any(_fits(value, row) for row in self.rows):
            return f"{self.path}: expected one of {len(self.rows)} rows of bounds, found {_shown(value)}"
        return ""


def bound(
    function: Function,
    path: str,
    *,
    one_of: tuple[Literal, ...] | None = None,
    low: int | None = None,
    high: int | None = None,
    max_items: int | None = None,
    rows: tuple[Row, ...] | None = None,
) -> Bound:
    """Return a bound that fits the argument it names. Raises ValueError when it does not, or bounds nothing."""
    steps, node = resolve(function, path)
    if all(given is None for given in (one_of, low, high, max_items, rows)):
        raise ValueError(f"path {path!r}: expected one_of, low, high, max_items or rows, found none")
    if low is not None and high is not None and low > high:
        raise ValueError(f"path {path!r}: expected low <= high, found {low} and {high}")
    whole = node.element is not None or bool(node.fields)
    if (one_of is not None or low is not None or high is not None) and whole:
        raise ValueError(f"path {path!r}: expected a path to a single argument, found one to {node.type}")
    if (low is not None or high is not None) and "int" not in node.type:
        raise ValueError(f"path {path!r}: expected low and high on a number, found {node.type}")
    if max_items is not None and node.element is None and node.type not in ("bytes", "string"):
        raise ValueError(f"path {path!r}: expected max_items on an array or bytes, found {node.type}")
    if rows is not None:
        _check_rows(path, node, rows)
    chosen = None if one_of is None else frozenset(_fitting(path, node, value) for value in one_of)
    return Bound(path, steps, chosen, low, high, max_items, rows)


def _check_rows(path: str, node: Node, rows: tuple[Row, ...]) -> None:
    if not node.fields or not all("int" in field.type and field.element is None for field in node.fields):
        raise ValueError(f"path {path!r}: expected rows on a struct of numbers, found {node.type or 'the call'}")
    for row in rows:
        if len(row) != len(node.fields) or any(low > high for low, high in row):
            raise ValueError(f"path {path!r}: expected rows of {len(node.fields)} pairs low <= high, found {row}")


def _fits(value: Any, row: Row) -> bool:
    return all(low <= found <= high for found, (low, high) in zip(value, row, strict=True))


def _fitting(path: str, node: Node, value: Literal) -> Literal:
    """Return a configured value as a decoded one compares: addresses and bytes as lower-case hexadecimal text."""
    if node.type == "bool":
        fits = isinstance(value, bool)
    elif "int" in node.type:
        fits = isinstance(value, int) and not isinstance(value, bool)
    elif node.type == "string":
        fits = isinstance(value, str)
    else:
        fits = isinstance(value, str) and value.startswith("0x") and _is_hex(value[2:])
        value = value.lower() if isinstance(value, str) else value
        if node.type == "address":
            fits = fits and len(str(value)) == 42
    if not fits:
        raise ValueError(f"path {path!r}: expected values of type {node.type}, found {value!r}")
    return value


def _is_hex(text: str) -> bool:
    try:
        bytes.fromhex(text)
    except ValueError:
        return False
    return True


def _comparable(value: Any) -> Any:
    return "0x" + value.hex() if isinstance(value, bytes) else value


def _listed(values: frozenset[Literal]) -> str:
    shown = sorted(str(value) for value in values)
    return ", ".join(shown[:5]) + (f" and {len(shown) - 5} more" if len(shown) > 5 else "")


def _shown(value: Any) -> str:
    shown = str(_comparable(value))
    return shown if len(shown) <= 80 else shown[:77] + "…"
