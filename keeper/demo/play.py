"""What differs between the demo's venues: who is deployed, which witness looks, and what must be seen."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Prepared:
    """A world that stands, with <folder>/deployment.json and <folder>/keeper.toml written."""

    chain_id: int
    said: str  # one line for whoever watches


@dataclass(frozen=True, slots=True)
class Play:
    """One venue's demo."""

    name: str
    venue: str  # as the journal calls it
    observer: str  # its script
    replay: str  # its module
    start: int  # chain time at which the path begins
    preparation_s: int  # what building the world may take of it before
    setup_gas: int  # of a block while the world is built
    block_gas: int  # of one afterwards
    block_seconds: float  # wall time between blocks
    calm_block_s: float  # wall time of a tick before the path begins, where that pace is enough
    blocks_per_hour: int
    prepare: Callable[[str, Path, str, str], Prepared]
    """URL, folder, the signer's mode and address to a world. Raises TransactionFailed."""
    replayed_with: Callable[[Path, str], list[str]]
    """Folder and the signer's mode to further arguments of the replay."""
    counted: tuple[str, ...]
    """What the summary takes from the witness beside what all venues have."""
    at_least: Mapping[str, int]
    """The counts that a full live run must reach."""
