"""Why a call reverts, in words: custom errors of the contracts we know, Error(string), Panic, nothing, or a selector.

What reverts chooses its own words, so they are cut, and shown without line breaks and control characters.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

from keeper.abi import ABIS, CustomError, decoded, interface

RevertKind = Literal["error", "message", "panic", "empty", "unknown"]
LONGEST: Final = 200
DEEPEST: Final = 8
"""Reverts passed on in reverts: a loan's, a step's and a venue's are three."""
WORD: Final = 32
SELECTOR: Final = 4
MESSAGE: Final = bytes.fromhex("08c379a0")  # Error(string)
PANIC: Final = bytes.fromhex("4e487b71")  # Panic(uint256)
PANICS: Final = {
    0x01: "assertion failed",
    0x11: "arithmetic overflow",
    0x12: "division by zero",
    0x21: "no such enum value",
    0x22: "damaged storage",
    0x31: "pop of an empty array",
    0x32: "index out of range",
    0x41: "too much memory",
    0x51: "call of a function that was never set",
}
"""Solidity's own codes."""


@dataclass(frozen=True, slots=True)
class Revert:
    """`error`: a custom error of a known contract; `unknown`: a payload whose selector no contract we know declares."""

    kind: RevertKind
    text: str

    def __str__(self) -> str:
        return self.text


def revert(payload: bytes) -> Revert:
    """Return what a revert's payload says. A payload cut short, or one that lies, shows what can be read of it."""
    return _revert(payload, DEEPEST)


def _revert(payload: bytes, deep: int) -> Revert:
    """Return what a payload says, with those passed on in it down to `deep` more."""
    if not payload:
        return Revert("empty", "reverted without a reason")
    selector, arguments = payload[:4], payload[4:]
    try:
        if selector == MESSAGE:
            return Revert("message", _readable(decoded(["string"], arguments)[0]) or "an empty message")
        if selector == PANIC:
            code = decoded(["uint256"], arguments)[0]
            return Revert("panic", f"panic {code:#x}: {PANICS.get(code, 'of no known kind')}"[:LONGEST])
    except ValueError:
        return Revert("unknown", _hex(selector))
    known = _known_errors().get(selector)
    return Revert("error", _named(known, arguments, deep)) if known else Revert("unknown", _hex(selector))


def _named(error: CustomError, arguments: bytes, deep: int) -> str:
    """Return `Insufficient(5, 6)`, or the name alone when the arguments are not of its types."""
    try:
        values = decoded(error.types, arguments)
    except ValueError:
        return error.name
    return _readable(f"{error.name}({', '.join(_shown(value, deep) for value in values)})")


def _shown(value: object, deep: int) -> str:
    if isinstance(value, bytes):
        return _revert(value, deep - 1).text if deep and _is_passed_on(value) else _hex(value)
    if isinstance(value, tuple | list):
        return f"({', '.join(_shown(one, deep) for one in value)})"
    return str(value)


def _is_passed_on(value: bytes) -> bool:
    """Say whether an argument is the payload of another revert, as StepFailed and LoanRefused carry one."""
    return len(value) % WORD == SELECTOR and (
        value[:SELECTOR] in (MESSAGE, PANIC) or value[:SELECTOR] in _known_errors()
    )


def _hex(raw: bytes) -> str:
    return "0x" + raw.hex()


def _readable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text[:LONGEST])


@cache
def _known_errors() -> Mapping[bytes, CustomError]:
    """Return the errors of every contract under abis/; one selector is one signature, whoever declares it."""
    paths = sorted(path.relative_to(ABIS).with_suffix("") for path in ABIS.glob("*/*.json"))
    return {selector: error for path in paths for selector, error in interface(path.as_posix()).errors.items()}
