"""Boards as nested tables, written as TOML, for tests of what a board file may say."""

import json
import tomllib
from collections.abc import Iterable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

from keeper.reference.board import Board, Collateral, Limits, Relays, Smile, Token, Underlying
from keeper.reference.boardrules import RANGES
from keeper.reference.reports import Signers
from keeper.twin.records import MarginParameters, ScanParameters

EXAMPLE = Path(__file__).parents[1] / "docs" / "examples" / "board.toml"
WAD = 10**18
HOUR = 3_600
Place = tuple[str | int, ...]
Change = tuple[Place, Any]

SIGNERS = {"addresses": [f"0x{n:040x}" for n in range(1, 4)], "quorum": 2, "jump_quorum": 3}
PLACES: dict[type, Place] = {
    Board: (),
    Token: ("settlement",),
    Collateral: ("collaterals", 0),
    Underlying: ("underlyings", 0),
    Smile: ("underlyings", 0, "smile"),
    ScanParameters: ("underlyings", 0, "scan"),
    MarginParameters: ("underlyings", 0, "margin"),
    Limits: ("limits",),
    Relays: ("relays",),
    Signers: ("signers",),
}
BOUNDS: dict[Place, tuple[int, int]] = {
    (*PLACES[kind], name): bounds for kind, fields in RANGES.items() for name, bounds in fields.items()
}


def small(*, signers: bool = False) -> dict[str, Any]:
    """Return the example with one underlying, four options and one collateral."""
    found = tomllib.loads(EXAMPLE.read_text())
    found["underlyings"], found["collaterals"] = found["underlyings"][:1], found["collaterals"][:1]
    found["underlyings"][0] |= {"expiries": [24 * HOUR, 48 * HOUR], "strikes": [900, 1_100]}
    return found | {"signers": SIGNERS} if signers else {key: found[key] for key in found if key != "signers"}


def changed(table: dict[str, Any], changes: Iterable[Change]) -> dict[str, Any]:
    """Return the table with other values at these places."""
    found = deepcopy(table)
    for place, value in changes:
        at: Any = found
        for key in place[:-1]:
            at = at[key]
        at[place[-1]] = value
    return found


def at(table: dict[str, Any], place: Place) -> Any:
    found: Any = table
    for key in place:
        found = found[key]
    return found


def named(place: Place) -> str:
    """Return a place as messages have it: `underlyings[0].scan.extreme`."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in place).removeprefix(".")


def sized(like: Any, size: int) -> Any:
    """Return the number itself, or a text or array of that size, as the field has it: numbers and addresses ascend."""
    if isinstance(like, str):
        return "x" * size
    if not isinstance(like, list):
        return size
    if isinstance(like[0], int):
        return [like[0] + 2 * HOUR * n for n in range(size)]
    return [f"0x{n + 1:040x}" if isinstance(like[0], str) else deepcopy(like[0]) for n in range(size)]


def beyond() -> Iterator[tuple[Place, int]]:
    """Yield each place with the values, or sizes, next to its bounds on the outside."""
    for place, (low, high) in BOUNDS.items():
        like = at(small(signers=True), place)
        yield from ((place, found) for found in (low - 1, high + 1) if type(like) is int or found >= 0)


def written(table: dict[str, Any], path: Path) -> Path:
    """Write the table as TOML; return `path`."""
    path.write_text("".join(f"{key} = {_toml(value)}\n" for key, value in table.items()), encoding="utf-8")
    return path


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)  # texts, booleans and integers are written alike
