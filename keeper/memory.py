"""What decisions about a portfolio venue rest on beside the block they are made at: the ledger."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Memory:
    """Effects, of the intents that are live and of those that came to nothing a few blocks ago."""

    under_way: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()  # before they were sent: by the simulation, say
    failed: frozenset[str] = frozenset()  # mined without their effect
    barred: Mapping[str, str] = field(default_factory=dict)  # account or arrays -> why it is left alone for a while

    def missed(self, effect: str) -> bool:
        """Whether the last try came to nothing, for whatever reason: a reverted transaction does not tell it.

        The next try then expects no particular sequence, or an owner who deposits a unit in every block would be
        ahead of every one of them.
        """
        return effect in self.refused or effect in self.failed
