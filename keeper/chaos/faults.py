"""Faults as data: which requests they meet and what happens to those. Nothing here does I/O."""

from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from keeper.chaos.requests import SEND, Request

RATE_LIMITED = 429


@dataclass(frozen=True, slots=True)
class Match:
    """Which requests. An empty field matches all; the occurrences are counted among those that match the rest."""

    methods: tuple[str, ...] = ()  # names, or patterns such as "eth_get*"
    endpoint: str | None = None
    sender: str | None = None  # of the transaction sent, or the account asked for
    nonce: int | None = None  # of the transaction sent
    tx_hash: str | None = None  # of the transaction sent or asked for
    to: str | None = None
    selector: str | None = None  # first four bytes of the calldata, 0x…
    subscription: str | None = None  # what a notification is about: "newHeads", "logs"
    first: int = 1  # first occurrence met
    last: int | None = None  # last one; None: no end
    probability: float = 1.0  # of meeting each of them, drawn from the proxy's seed
    where: Callable[[Request], bool] | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.probability <= 1.0:
            raise ValueError(f"probability: expected 0 to 1, found {self.probability}")
        if self.first < 1 or (self.last is not None and self.last < self.first):
            raise ValueError(f"occurrences: expected 1 <= first <= last, found {self.first} to {self.last}")

    def meets(self, request: Request) -> bool:
        """Whether the request is of this kind, whichever occurrence it is."""
        if self.endpoint not in (None, request.endpoint):
            return False
        if self.subscription is not None and self.subscription != request.subscription():
            return False
        if self.methods and not any(fnmatchcase(request.method, pattern) for pattern in self.methods):
            return False
        return self._subject(request) and (self.where is None or self.where(request))

    def _subject(self, request: Request) -> bool:
        if self.sender is not None and request.sender() != self.sender.lower():
            return False
        if self.tx_hash is not None and request.tx_hash() != self.tx_hash.lower():
            return False
        tx = request.transaction() if self.nonce is not None else None
        if self.nonce is not None and (tx is None or tx.nonce != self.nonce):
            return False
        if self.to is None and self.selector is None:
            return True
        target, sent = request.target()
        right = self.to is None or target == self.to.lower()
        return right and (self.selector is None or "0x" + sent[:4].hex() == self.selector.lower())


def sends(**more: Any) -> Match:
    """Return a match of raw transactions: `sends(nonce=7)`."""
    return Match(methods=(SEND,), **more)


# --- what happens to one request -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hold:
    """Keep it back until released. A transaction's hash is answered meanwhile; another request waits for its answer."""


@dataclass(frozen=True, slots=True)
class Delay:
    """Hold, released by itself after `blocks` more blocks, or after `seconds` of wall time."""

    blocks: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Drop:
    """Swallow it: a transaction's hash is answered and the bytes are gone; another request is answered null."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Forward it `times` times; the client gets the first answer."""

    times: int = 2


@dataclass(frozen=True, slots=True)
class Stale:
    """Answer as the node was `blocks` blocks ago: heads, tags, receipts, and refusals of what is newer."""

    blocks: int = 1


@dataclass(frozen=True, slots=True)
class Error:
    """Answer a JSON-RPC error, after forwarding the request if `forward`."""

    code: int = -32_000
    message: str = "internal error"
    data: Any = None
    forward: bool = False


@dataclass(frozen=True, slots=True)
class Lie:
    """Put `value` at `path` of the true result: "status", "logs/0/address"; "" replaces the result itself.

    A callable gets what is there and returns what shall be. A path that is not there is left alone, and no hit.
    """

    path: str = ""
    value: Any = None


@dataclass(frozen=True, slots=True)
class Bloat:
    """Answer a hex string of so many MiB."""

    mebibytes: int = 10


# --- what happens to the answer as a whole ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reorder:
    """Shuffle a batch: its items are forwarded, and answered, in another order."""


@dataclass(frozen=True, slots=True)
class WrongId:
    """Answer with an id that nobody asked for."""


@dataclass(frozen=True, slots=True)
class DuplicateId:
    """Answer every item of a batch with the id of its first."""


@dataclass(frozen=True, slots=True)
class SingleForBatch:
    """Answer a whole batch with one error object."""

    code: int = -32_600
    message: str = "batch limit exceeded"


@dataclass(frozen=True, slots=True)
class Status:
    """An HTTP error page instead of an answer, after forwarding the request if `forward`."""

    code: int = RATE_LIMITED
    body: str = "<html><body>Too Many Requests</body></html>"
    content_type: str = "text/html"
    retry_after: int | None = None  # seconds
    forward: bool = False


@dataclass(frozen=True, slots=True)
class Truncate:
    """End the connection after this share of the body."""

    keep: float = 0.5


@dataclass(frozen=True, slots=True)
class Reset:
    """Reset the connection: before the request is forwarded, or after, so that the answer alone is lost."""

    forward: bool = False


@dataclass(frozen=True, slots=True)
class Slow:
    """Send the body in pieces, with a pause (wall time) before each."""

    pieces: int = 10
    pause_s: float = 0.05


@dataclass(frozen=True, slots=True)
class Cut:
    """Close the websocket that carries it; on HTTP, reset the connection."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Swallow what the node sends unasked (method eth_subscription); the websocket stays open."""


ItemAction = Hold | Delay | Drop | Duplicate | Stale | Error | Lie | Bloat
EnvelopeAction = Reorder | WrongId | DuplicateId | SingleForBatch
TransportAction = Status | Truncate | Reset | Slow | Cut | Silence
Action = ItemAction | EnvelopeAction | TransportAction
ACTIONS: dict[str, type[Action]] = {
    "hold": Hold,
    "delay": Delay,
    "drop": Drop,
    "duplicate": Duplicate,
    "stale": Stale,
    "error": Error,
    "lie": Lie,
    "bloat": Bloat,
    "reorder": Reorder,
    "wrong-id": WrongId,
    "duplicate-id": DuplicateId,
    "single-for-batch": SingleForBatch,
    "status": Status,
    "truncate": Truncate,
    "reset": Reset,
    "slow": Slow,
    "cut": Cut,
    "silence": Silence,
}


@dataclass(frozen=True, slots=True)
class Fault:
    action: Action
    match: Match = field(default_factory=Match)
    name: str = ""

    def __str__(self) -> str:
        return self.name or type(self.action).__name__.lower()
