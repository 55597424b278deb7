"""What the transaction ledger takes and gives back: frozen records, checked at birth.

A slot is one nonce of one sender with one payload. Its attempts are siblings: signed bytes of that nonce, of which the
chain takes one at most. An offer is one attempt handed to one endpoint. Fees are in wei per gas.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from keeper.abi import transaction_hash
from keeper.journal.lifecycle import CLOSED, SlotState, Standing
from keeper.journal.records import require_checksum

Purpose = Literal["call", "filler"]
AttemptKind = Literal["original", "replacement", "cancel", "filler"]
CALLS: frozenset[AttemptKind] = frozenset({"original", "replacement"})
"""Kinds whose bytes carry the slot's payload; in a filler's slot a replacement is the filler again."""

OutcomeStatus = Literal["achieved", "failed", "cancelled", "lost", "refused", "expired", "shadow", "live"]


@dataclass(frozen=True, slots=True)
class Moment:
    """When something was written: the head of the chain as the caller saw it, and its clock in ms since 1970, UTC."""

    block_number: int
    block_hash: str
    wall_ms: int


@dataclass(frozen=True, slots=True)
class NewSlot:
    """What is to get a nonce: one call that carries out `intents`, or a filler, a self-transfer of 0.

    Raises ValueError for a call without intents, or a filler that does anything.
    """

    sender: str  # checksummed
    purpose: Purpose
    to: str  # checksummed
    data: bytes = field(repr=False)
    gas: int  # limit
    intents: tuple[int, ...]
    deadline_block: int  # last block it is meant for

    def __post_init__(self) -> None:
        require_checksum(self.sender)
        require_checksum(self.to)
        if self.gas <= 0:
            raise ValueError(f"expected a gas limit above 0, found {self.gas}")
        if self.purpose == "filler" and (self.intents or self.data or self.to != self.sender):
            raise ValueError("expected a filler to be an empty transfer to its own sender, found a call or intents")
        if self.purpose == "call" and (not self.intents or len(set(self.intents)) != len(self.intents)):
            raise ValueError(f"expected a call to carry each of its intents once, found {self.intents}")


def filler(sender: str, deadline_block: int) -> NewSlot:
    """Return a self-transfer of 0, which keeps a nonce from holding up those behind it."""
    return NewSlot(sender, "filler", sender, b"", 21_000, (), deadline_block)


@dataclass(frozen=True, slots=True)
class Adopted:
    """A nonce whose slot nobody remembers, and what the signer knows of it: its call, or a filler's own transfer.

    It carries no intents: they are forgotten with the slot. What they were to do, the signer knows.
    """

    nonce: int
    purpose: Purpose
    to: str  # checksummed
    data: bytes = field(repr=False)
    gas: int  # limit
    request_id: str | None  # of the forgotten slot; None: nothing was signed, so the slot gets one of its own
    effects: tuple[str, ...]  # effect keys of its call


@dataclass(frozen=True, slots=True)
class Slot:
    """One nonce of one sender, with the payload it was reserved for and where it stands."""

    id: int
    sender: str
    nonce: int
    purpose: Purpose
    to: str
    data: bytes = field(repr=False)
    gas: int
    request_id: str
    standing: Standing
    opened_block: int
    deadline_block: int
    intents: tuple[int, ...]
    effects: tuple[str, ...]  # effect keys of its call: of its intents, or as adopted without them

    @property
    def state(self) -> SlotState:
        return self.standing.state

    @property
    def is_open(self) -> bool:
        """Whether the nonce is still to be seen through; equality with finality is closed."""
        return self.state not in CLOSED

    def request(self, ordinal: int) -> str:
        """Return the id to ask the signer with for the sibling `ordinal`, counted from 0.

        It is the same before and after a crash, so that the signer gives the same bytes again.
        """
        return f"{self.request_id}-{ordinal}"


@dataclass(frozen=True, slots=True)
class NewSlotAttempt:
    """Signed bytes to be stored. Raises ValueError unless `tx_hash` is the hash of `raw` and tip <= max_fee."""

    slot_id: int
    kind: AttemptKind
    tx_hash: str
    raw: bytes = field(repr=False)
    gas: int  # limit
    max_fee: int
    tip: int

    def __post_init__(self) -> None:
        expected = transaction_hash(self.raw)
        if not self.raw or self.tx_hash != expected:
            raise ValueError(f"expected the hash of the signed bytes, {expected}, found {self.tx_hash}; do not send it")
        if not (self.gas > 0 and 0 <= self.tip <= self.max_fee):
            raise ValueError(
                f"{self.tx_hash}: expected gas above 0 and 0 <= tip <= max_fee, found gas {self.gas}, tip {self.tip}, "
                f"max_fee {self.max_fee}"
            )

    @property
    def worst_cost(self) -> int:
        """Most that mining it can cost, wei."""
        return self.gas * self.max_fee


@dataclass(frozen=True, slots=True)
class SlotAttempt:
    """Signed bytes as stored. `imported`: the signer had them and the ledger did not, so they may have been offered."""

    id: int
    slot_id: int
    ordinal: int  # among its siblings, from 0
    kind: AttemptKind
    imported: bool
    tx_hash: str
    raw: bytes = field(repr=False)
    gas: int
    max_fee: int
    tip: int


@dataclass(frozen=True, slots=True)
class Earlier:
    """A call's bytes that were given up for an effect, and that a reorg could still let land."""

    effect: str
    tx_hash: str
    failed_in: str | None  # hash of the block in which they came to nothing; None: no block is known to hold them


@dataclass(frozen=True, slots=True)
class NewOffer:
    attempt_id: int
    endpoint: str  # its configured name, never its URL


@dataclass(frozen=True, slots=True)
class Offer:
    """One attempt handed to one endpoint. Without an answer it may or may not have arrived: assume it did."""

    id: int
    attempt_id: int
    endpoint: str
    block_number: int
    wall_ms: int
    answer_class: str | None
    answer_text: str | None
    answered_ms: int | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint said to an offer: its class, and its words (cut to ANSWER_LENGTH when stored)."""

    offer_id: int
    answer_class: str
    text: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an intent ended, and why."""

    status: OutcomeStatus
    cause: str


@dataclass(frozen=True, slots=True)
class Mined:
    """A sibling found in a block of the chain, and what its receipt there says it was charged."""

    slot_id: int
    tx_hash: str
    block_number: int
    block_hash: str
    gas_used: int | None = None
    gas_price: int | None = None  # wei per gas


@dataclass(frozen=True, slots=True)
class Closing:
    """A slot whose mined sibling is final.

    `outcomes` (intent → achieved or failed, as its own effect at finality says) covers every intent of the slot if the
    winner carries its call, and is empty if the winner is a cancel or a filler.
    """

    slot_id: int
    winner: str
    outcomes: Mapping[int, Outcome]


@dataclass(frozen=True, slots=True)
class Loss:
    """A slot whose nonce another hash used: proven by the sender's nonce count at a final block."""

    slot_id: int
    final_count: int
    winner: str | None  # None: not known which
    cause: str


@dataclass(frozen=True, slots=True)
class Release:
    """A slot given back unsigned. Intents in `closes` (refused, expired, shadow) end; the others may get a new slot."""

    slot_id: int
    cause: str
    closes: Mapping[int, Outcome]


@dataclass(frozen=True, slots=True)
class Exposure:
    """Most that a sender's open slots can still cost, wei: per slot the dearest sibling. Mined ones may be orphaned."""

    waiting: int
    mined: int

    @property
    def total(self) -> int:
        return self.waiting + self.mined
