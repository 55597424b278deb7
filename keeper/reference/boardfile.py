"""A board as a TOML file: the fields of keeper.reference.board by their names, integers as the contracts take them.

Nothing is guessed: an unknown key, a missing one, a value of another type, or one that the contracts would refuse is
said by its place.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from keeper.config_fields import checksummed
from keeper.errors import ConfigError
from keeper.reference.board import Board
from keeper.reference.boardrules import require_range, require_rules, shown

ADDRESSES = ("address", "addresses", "operator", "receiver", "factory", "lender", "controller", "guardian")
"""Fields that hold addresses."""


def load_board(path: Path) -> Board:
    """Return the board that a file describes. Raises ConfigError with the place of what is wrong."""
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
        board: Board = _record(Board, found, "")
        require_rules(board)
    except OSError as error:
        raise ConfigError(f"{path}: expected a board, found {error.strerror}; see docs/examples/board.toml") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: {error}; see docs/examples/board.toml") from error
    return board


def _record(kind: Any, table: object, place: str) -> Any:
    if not isinstance(table, Mapping):
        raise ValueError(f"{place or 'the file'}: expected a table, found {shown(table)}")
    hints = get_type_hints(kind)
    known = {field.name: field for field in fields(kind)}
    for key in table:
        if key not in known:
            raise ValueError(f"{_at(place, key)}: expected no such key; there are {', '.join(known)}")
    missing = [name for name, field in known.items() if name not in table and _required(field)]
    if missing:
        raise ValueError(f"{_at(place, missing[0])}: expected a setting, found none")
    values = {key: _value(hints[key], found, _at(place, key)) for key, found in table.items()}
    for key, found in values.items():
        require_range(kind, key, found, _at(place, key))
    return kind(**values)


def _value(kind: Any, found: object, place: str) -> Any:
    if get_origin(kind) is UnionType:
        kind = next(one for one in get_args(kind) if one is not type(None))
    if get_origin(kind) is tuple:
        if not isinstance(found, list):
            raise ValueError(f"{place}: expected an array, found {shown(found)}")
        return tuple(_value(get_args(kind)[0], one, f"{place}[{n}]") for n, one in enumerate(found))
    if is_dataclass(kind):
        return _record(kind, found, place)
    if type(found) is not kind:
        raise ValueError(f"{place}: expected {kind.__name__}, found {shown(found)}")
    if isinstance(found, str) and place.rpartition(".")[2].partition("[")[0] in ADDRESSES:
        try:
            address = checksummed(found)
        except ValueError as error:
            raise ValueError(f"{place}: {error}; found {shown(found)}") from error
        if int(address, 16) == 0:
            raise ValueError(f"{place}: expected somebody's address, found the zero address")
        return address
    return found


def _required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _at(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key
