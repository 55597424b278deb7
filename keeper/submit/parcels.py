"""What is given to a relay, and how a private route asks for it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

PREFIX: Final = "relay "
"""Of a relay's name in the journal, so that it is never taken for an endpoint."""


def is_relay(name: str) -> bool:
    return name.startswith(PREFIX)


@dataclass(frozen=True, slots=True)
class Parcel:
    """Signed transactions of one key, lowest nonce first, none of which may be left out before a later one."""

    id: str  # a UUID: a later parcel of the same id takes the place of this one
    raws: tuple[bytes, ...] = field(repr=False)
    hashes: tuple[str, ...]
    target: int  # block they are for
    last: int  # last block before they are public, >= target


@dataclass(frozen=True, slots=True)
class Request:
    """One call to a relay, and the transactions its answer is about."""

    method: str
    params: tuple[object, ...] = field(repr=False)
    hashes: tuple[str, ...]
    expects: Callable[[object], bool]  # whether a result is what this call returns


@dataclass(frozen=True, slots=True)
class PrivateRoute:
    """How one kind of relay is asked to take transactions, and to forget them."""

    offer: Callable[[Parcel], Sequence[Request]]
    withdraw: Callable[[Parcel], Sequence[Request]]


def hexed(raw: bytes) -> str:
    return "0x" + raw.hex()
