"""How a wrong setting is told: the key, what was expected, what was found, and never a secret."""

import difflib
import re
from collections.abc import Mapping, Sequence

from pydantic_core import ErrorDetails

from keeper.config_fields import Section
from keeper.errors import redacted

_KEY_LIKE = re.compile(r"[0-9a-fA-F]{64}")


def fault(
    detail: ErrorDetails, overridden: Mapping[tuple[str, ...], str], sections: Mapping[str, type[Section]]
) -> str:
    """Return one line: key, what was expected, what was found. `sections` are the tables of a file by name."""
    place = detail["loc"]
    variable = overridden.get(tuple(str(part) for part in place))
    where = _dotted(place) + (f" (from {variable})" if variable else "")
    match detail["type"]:
        case "extra_forbidden":
            return f"{where}: expected no such key{_nearest(place, sections)}"
        case "missing":
            return f"{where}: expected a setting, found none"
        case "value_error":
            return _own_fault(where, detail)
        case "model_type" | "dict_type":
            return f"{where}: expected a table, found {_shown(place, detail['input'])}"
        case "tuple_type" if len(place) > 1:
            return f"{where}: expected an array, found {_shown(place, detail['input'])}"
        case "tuple_type":
            return f"{where}: expected tables [[{where}]], found {_shown(place, detail['input'])}"
    expected = re.sub(r"^(Input|String|Tuple) should (be )?", "", detail["msg"])
    return f"{where}: expected {expected}, found {_shown(place, detail['input'])}"


def _own_fault(where: str, detail: ErrorDetails) -> str:
    """Return a fault worded by a validator above; those of whole tables say themselves what they found."""
    said = str(detail["ctx"]["error"])
    found = "" if isinstance(detail["input"], dict) else f"; found {_shown(detail['loc'], detail['input'])}"
    return f"{where}: {said}{found}" if where else f"{said}{found}"


def _dotted(place: Sequence[str | int]) -> str:
    keys = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return keys.removeprefix(".")


def _nearest(place: Sequence[str | int], sections: Mapping[str, type[Section]]) -> str:
    section = sections.get(str(place[0])) if len(place) > 1 else None
    known = list(section.model_fields) if section else list(sections)
    close = difflib.get_close_matches(str(place[-1]), known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(known)}"


def _shown(place: Sequence[str | int], found: object) -> str:
    """Return what may be shown of a setting: no URL's secrets, nothing endless."""
    is_url = any(str(part).endswith(("url", "urls")) for part in place)
    if isinstance(found, str) and (is_url or "://" in found):
        return redacted(found)
    if isinstance(found, str) and _KEY_LIKE.search(found):
        return "something as long as a private key, not shown"
    if isinstance(found, int) and found.bit_length() > 256:
        return "an integer beyond 256 bits"
    if isinstance(found, dict | list):
        return "a table" if isinstance(found, dict) else "an array"
    shown = repr(found)
    return shown if len(shown) <= 80 else f"{shown[:77]}…"
