"""The life of a slot as a pure function of its steps: which state may follow which, and what a history comes to.

    reserved → signed → offered → mined → final
                           ↑        ↓       ↓ (a reorg deeper than finality)
                           └──── orphaned ←─┴─ lost (another hash used the nonce at finality)
    reserved → released (never signed, by proof of the signer's watermark)

A step may also leave the state as it is: one more sibling stored, bytes imported, mined again in another block.
Nothing here knows a database: the slot's row is only a cache of `fold`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal

SlotState = Literal["reserved", "signed", "offered", "mined", "orphaned", "final", "lost", "released"]

FOLLOWS: Final[dict[SlotState | None, frozenset[SlotState]]] = {
    None: frozenset({"reserved"}),
    "reserved": frozenset({"signed", "lost", "released"}),
    "signed": frozenset({"signed", "offered", "mined", "lost"}),
    "offered": frozenset({"offered", "mined", "lost"}),
    "mined": frozenset({"mined", "orphaned", "final"}),
    "orphaned": frozenset({"orphaned", "offered", "mined", "lost"}),
    "final": frozenset({"final", "orphaned"}),
    "lost": frozenset({"lost", "orphaned"}),
    "released": frozenset(),
}
"""State → the states a step may lead to. Final and lost stay open to audit: a deep reorg leads back."""

CLOSED: Final[frozenset[SlotState]] = frozenset({"final", "lost", "released"})
OPEN: Final = frozenset(state for state in FOLLOWS if state is not None and state not in CLOSED)
OFFERABLE: Final[frozenset[SlotState]] = frozenset({"signed", "offered", "orphaned"})
STORABLE: Final[frozenset[SlotState]] = OFFERABLE | {"reserved"}


class IllegalStep(ValueError):
    """A step that no slot in that state can take."""


@dataclass(frozen=True, slots=True)
class Change:
    """What one step says. `mined_number` and `mined_hash` name the block that holds `tx_hash`, both or neither.

    `gas_used` and `gas_price` (wei per gas, as charged) are its receipt's there; None: stored by an older keeper.
    """

    state: SlotState
    cause: str
    tx_hash: str | None = None
    mined_number: int | None = None
    mined_hash: str | None = None
    gas_used: int | None = None
    gas_price: int | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What a slot's steps come to. `winner_hash` used the nonce: ours if mined or final, a stranger's if lost.

    Gas and its price are those of the block it is mined in: they leave the chain with it.
    """

    state: SlotState
    winner_hash: str | None = None
    mined_number: int | None = None
    mined_hash: str | None = None
    gas_used: int | None = None
    gas_price: int | None = None

    @property
    def cost(self) -> int | None:
        """Wei it was charged, reverted or not; None while it is not mined, or where that was not stored."""
        if self.state == "lost":
            return 0  # a stranger's transaction used the nonce
        return None if self.gas_used is None or self.gas_price is None else self.gas_used * self.gas_price


def after(standing: Standing | None, change: Change) -> Standing:
    """Return where a slot stands after one more step; None is a slot that does not exist yet.

    Raises IllegalStep for a state that cannot follow, or mined without its block.
    """
    before = standing.state if standing else None
    allowed = FOLLOWS[before]
    if change.state not in allowed:
        expected = " or ".join(sorted(allowed)) or "nothing"
        raise IllegalStep(f"after {before} expected {expected}, found {change.state}")
    mined = change.mined_number is not None and change.mined_hash is not None and change.tx_hash is not None
    if change.state == "mined" and mined:
        block = change.mined_number, change.mined_hash
        return Standing("mined", change.tx_hash, *block, change.gas_used, change.gas_price)
    if standing is not None and before == change.state:
        return standing  # a step for the record: bytes stored or imported
    if change.state == "mined":
        raise IllegalStep("a mined step names its hash and the block that holds it, number and hash")
    if change.state == "final" and standing is not None:
        return replace(standing, state="final")
    return Standing(change.state, change.tx_hash if change.state == "lost" else None)


def fold(changes: Iterable[Change]) -> Standing:
    """Return what a whole history comes to. Raises IllegalStep if it could not have happened, or is empty."""
    standing: Standing | None = None
    for change in changes:
        standing = after(standing, change)
    if standing is None:
        raise IllegalStep("expected at least the step that reserved the slot, found none")
    return standing
