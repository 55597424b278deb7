"""Changing a true JSON result at one place, and answers that are merely large."""

import copy
from typing import Any

MEBIBYTE = 1 << 20


class NoSuchPath(LookupError):
    """The result has no such place, so nothing was changed."""


def lied(result: Any, path: str, value: Any) -> Any:
    """Return `result` with `value` at `path` ("" is the whole, else keys and list indices joined by "/").

    A callable value gets what is there and returns what shall be. Raises NoSuchPath; `result` itself stays as it is.
    """
    if not path:
        return value(result) if callable(value) else value
    changed = copy.deepcopy(result)
    *above, last = path.split("/")
    place = changed
    for key in above:
        place = place[_key(place, key, path)]
    at = _key(place, last, path)
    place[at] = value(place[at]) if callable(value) else value
    return changed


def _key(place: Any, key: str, path: str) -> Any:
    if isinstance(place, dict) and key in place:
        return key
    if isinstance(place, list) and key.isdigit() and int(key) < len(place):
        return int(key)
    raise NoSuchPath(f"{path}: expected {key!r} in a {type(place).__name__}, found none")


def bloated(mebibytes: int) -> str:
    """Return a hex string of that many MiB."""
    return "0x" + "00" * (mebibytes * MEBIBYTE // 2 - 1)
