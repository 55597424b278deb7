"""What passes between keeper and signer, as data."""

import hashlib
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["call", "cancel", "filler"]
"""call: carries out an intent; cancel and filler: a self-transfer of 0, over signed bytes or where nothing was."""
State = Literal["running", "drain", "killed"]
NONE_FINAL = -1
"""The highest final nonce of a key that never sent anything; also its watermark."""


@dataclass(frozen=True, slots=True)
class SignRequest:
    """One EIP-1559 transaction to sign, and why. The same request id always means the same request."""

    request_id: str
    nonce: int
    kind: Kind
    intent: str  # the slot's key: siblings of a nonce share it
    effects: tuple[str, ...]  # keys of what it is to do on chain, the same in every ledger: a new one learns them here
    chain_id: int
    to: str  # checksummed
    data: bytes = field(repr=False)
    gas: int
    max_fee: int  # wei per gas
    tip: int  # wei per gas
    value: int = 0  # wei; anything else is refused

    @property
    def worst_cost(self) -> int:
        """Wei the transaction can cost at most, whatever happens to it."""
        return self.gas * self.max_fee + self.value

    @property
    def payload(self) -> str:
        """What makes two call attempts the same call: SHA-256 over target, value and calldata."""
        return hashlib.sha256(f"{self.to}:{self.value}:".encode() + self.data).hexdigest()

    @property
    def fingerprint(self) -> str:
        """SHA-256 over everything asked, so that a request id cannot come back with another content."""
        words = (self.request_id, self.nonce, self.kind, self.intent, self.effects, self.chain_id, self.to)
        fees = (self.data.hex(), self.gas, self.max_fee, self.tip, self.value)
        return hashlib.sha256(repr((words, fees)).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class SignedBytes:
    """Bytes that exist and may be live until their nonce is final under another hash."""

    sequence: int  # order of signing, per store
    request_id: str
    nonce: int
    kind: Kind
    intent: str
    effects: tuple[str, ...]
    payload: str
    tx_hash: str
    raw: bytes = field(repr=False)
    worst_cost: int  # wei
    time_ms: int  # the signer's clock


@dataclass(frozen=True, slots=True)
class Refusal:
    rule: str
    reason: str  # expected, found, what to do

    def __str__(self) -> str:
        return f"{self.rule}: {self.reason}"


@dataclass(frozen=True, slots=True)
class LedgerState:
    """What a keeper's ledger knows of one key when it asks for the lease."""

    ledger_id: str
    chain_nonce: int  # the chain's transaction count: the lowest nonce no mined transaction has used
    next_nonce: int  # the lowest nonce the ledger never reserved
    final: int  # highest nonce it knows final, NONE_FINAL for none
    open_requests: frozenset[str]  # asked for, bytes not stored
    attempts: frozenset[tuple[int, str]]  # nonce and hash of all its signed bytes with a nonce above `final`


@dataclass(frozen=True, slots=True)
class Grant:
    """A lease: valid on the connection that asked, until `ttl_ms` after the answer, unless renewed."""

    token: int
    ttl_ms: int
    watermark: int  # highest nonce signed
    final: int  # highest nonce known final
    forgiven_to: int = NONE_FINAL  # up to here an operator accepted that the two stores know different bytes
    state: State = "running"


@dataclass(frozen=True, slots=True)
class Lane:
    """What the signer remembers of one (chain, address)."""

    chain_id: int
    address: str
    ledger_id: str | None  # the one ledger that may allocate nonces
    forgiven_to: int  # up to this nonce an operator accepted that the two stores know different bytes
    watermark: int
    final: int
    token: int  # rises with every grant, never falls
    holder: str | None
    expires_ms: int  # the lease is lost at this moment of the signer's clock, not after it
    state: State
