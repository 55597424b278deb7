"""Transactions as data, and what a way to send them offers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from keeper.chain import Call
from keeper.units import Wei


@dataclass(frozen=True, slots=True)
class Unsigned:
    """An EIP-1559 transaction before its signature; no value is ever sent."""

    chain_id: int
    nonce: int
    call: Call
    gas: int
    max_fee: Wei  # per gas
    tip: Wei  # per gas


@dataclass(frozen=True, slots=True)
class Signed:
    tx_hash: str
    raw: bytes = field(repr=False)


class Route(Protocol):
    """A way to hand signed bytes to the network. An error proves nothing about the bytes: they may be live."""

    def send(self, signed: Sequence[bytes]) -> tuple[str, ...]:
        """Return per item '' when accepted or already known, else the answer in words."""
