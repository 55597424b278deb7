"""What a person has to look at: logged as an error at once, and shown by the heartbeat as long as it lasts."""

import logging

log = logging.getLogger(__name__)


class Alarms:
    """The alarms of one block. Another thread may read them: what it sees is one block's, never a part."""

    def __init__(self) -> None:
        self._now: tuple[str, ...] = ()
        self._standing: frozenset[str] = frozenset()  # what is told of, in this block
        self._before: frozenset[str] = frozenset()  # and in the last one

    def begin(self) -> None:
        """Forget the last block's; what still holds is raised again."""
        self._now = ()
        self._standing, self._before = frozenset(), self._standing

    def tell(self, text: str, about: str = "") -> None:
        """`about` names a cause that many nonces or plans may share and that lasts while the figures in `text` change:
        it is told once a block, and logged when it begins only."""
        if text in self._now or about in self._standing:
            return
        if about not in self._before:
            log.error("%s", text)
        self._now = (*self._now, text)
        self._standing |= {about} - {""}

    def now(self) -> tuple[str, ...]:
        return self._now
