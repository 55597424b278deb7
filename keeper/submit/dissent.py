"""Who has contradicted all the others for so long that it is no accident.

Its word is set aside only where waiting for it would stop a key: one endpoint of several must not be able to do that.
"""

from collections import Counter
from collections.abc import Hashable, Mapping

PERSISTENT = 3
"""Blocks at which an endpoint has to be outvoted, with no agreement in between."""


class Dissent:
    """Remembers who was outvoted, by subject. Not thread-safe: one thread asks."""

    def __init__(self, needed: int) -> None:
        """`needed` endpoints make a fact: as many are never set aside, and never by fewer."""
        self._needed = needed
        self._outvoted: dict[tuple[str, str], tuple[int, int]] = {}  # subject, name -> last block, blocks so far

    def aside(self, subject: str, number: int, answers: Mapping[str, Hashable]) -> tuple[str, ...]:
        """Note what endpoints (name → answer) say of `subject` at block `number`; return who is not to be heard."""
        outvoted = self._minority(answers)
        for name in answers:
            if name not in outvoted:
                self._outvoted.pop((subject, name), None)
                continue
            last, blocks = self._outvoted.get((subject, name), (-1, 0))
            self._outvoted[subject, name] = number, blocks + (number != last)
        return tuple(name for name in outvoted if self._outvoted[subject, name][1] >= PERSISTENT)

    def _minority(self, answers: Mapping[str, Hashable]) -> tuple[str, ...]:
        """Return who says otherwise than at least `needed`, where these are more and the others too few for a fact."""
        if not answers:
            return ()
        ((most, votes),) = Counter(answers.values()).most_common(1)
        others = tuple(name for name, answer in answers.items() if answer != most)
        return others if votes >= self._needed and len(others) < min(votes, self._needed) else ()
