"""Whether the code at an address is what one of our contracts runs, its immutable numbers aside."""

import re
from typing import Final

from keeper.reference.artifacts import bare_code

HOLE: Final = re.compile(rb"\x7f\x00{32}")
"""PUSH32 of nothing: where the compiler leaves room for an immutable, and nowhere else (a zero is PUSH0)."""
ANCHOR: Final = 8
"""Bytes at the beginning of a runtime that hold no immutable."""


def is_runtime(path: str, found: bytes) -> bool:
    """Say whether `found` is the runtime inside the creation code of the contract stored under abis/.

    Immutables may be anything here; what they are is read from the contract's own views (keeper.reference.facts).
    """
    if len(found) < ANCHOR:
        return False
    code = bare_code(path)
    at = code.find(found[:ANCHOR])
    while at >= 0:
        if _filled(code[at : at + len(found)], found) == found:
            return True
        at = code.find(found[:ANCHOR], at + 1)
    return False


def _filled(template: bytes, found: bytes) -> bytes:
    """Return the template with its holes filled from `found`."""
    filled = bytearray(template)
    for hole in HOLE.finditer(template):
        place = slice(hole.start() + 1, hole.end())
        filled[place] = found[place]
    return bytes(filled)
