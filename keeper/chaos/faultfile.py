"""Faults from a TOML file: one [[fault]] table each, its keys those of Match and of the action."""

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

from keeper.chaos.faults import ACTIONS, Action, Fault, Match
from keeper.errors import ConfigError

NOT_IN_FILES = frozenset({"where"})
SHARED = frozenset({"action", "name"})
PLACES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "str | None": (str,),
    "int": (int,),
    "int | None": (int,),
    "float": (float, int),
    "bool": (bool,),
    "tuple[str, ...]": (list,),
    "Any": (object,),
}


def load_faults(path: Path) -> tuple[Fault, ...]:
    """Return the file's faults in order. Raises ConfigError naming file, fault and key."""
    try:
        document = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as e:
        raise ConfigError(f"{path}: expected a TOML file of faults, found {type(e).__name__}: {e}") from e
    tables = document.get("fault")
    unknown = sorted(set(document) - {"fault"})
    if unknown or not isinstance(tables, list) or not tables:
        found = f"{unknown}" if unknown else "none"
        raise ConfigError(f"{path}: expected one or more [[fault]] tables and nothing else, found {found}")
    return tuple(_fault(table, f"{path}, fault {n}") for n, table in enumerate(tables, start=1))


def _fault(table: Mapping[str, Any], where: str) -> Fault:
    kind = ACTIONS.get(str(table.get("action")))
    if kind is None:
        raise ConfigError(f"{where}: action: expected one of {', '.join(ACTIONS)}, found {table.get('action')!r}")
    matching, acting = _keys(Match), _keys(kind)
    unknown = sorted(set(table) - SHARED - set(matching) - set(acting))
    if unknown:
        known = ", ".join(sorted({*SHARED, *matching, *acting}))
        raise ConfigError(f"{where}: {unknown[0]}: unknown key; {table['action']} knows {known}")
    match = _built(Match, {k: v for k, v in table.items() if k in matching}, matching, where)
    # no action shares a key with Match, so a table may be flat
    action: Action = _built(kind, {k: v for k, v in table.items() if k in acting}, acting, where)
    return Fault(action, match, str(table.get("name", "")))


def _keys(kind: type) -> dict[str, Field[Any]]:
    return {f.name: f for f in fields(kind) if f.name not in NOT_IN_FILES}


def _built(kind: type, given: Mapping[str, Any], known: Mapping[str, Field[Any]], where: str) -> Any:
    for key, found in given.items():
        kind_of = known[key].type
        wanted = kind_of.__name__ if isinstance(kind_of, type) else str(kind_of)
        if not isinstance(found, PLACES[wanted]) or (isinstance(found, bool) and wanted not in ("bool", "Any")):
            raise ConfigError(f"{where}: {key}: expected {wanted}, found {found!r}")
    missing = [k for k, f in known.items() if f.default is MISSING and f.default_factory is MISSING and k not in given]
    if missing:
        raise ConfigError(f"{where}: {missing[0]}: expected a value, found none")
    try:
        return kind(**{k: tuple(v) if isinstance(v, list) and k == "methods" else v for k, v in given.items()})
    except ValueError as e:
        raise ConfigError(f"{where}: {e}") from e
