"""What a person has to look at: logged as an error at once, and shown by the heartbeat as long as it lasts."""

import logging

log = logging.getLogger(__name__)


class Alarms:
    """The alarms of one block. Another thread may read them: what it sees is one block's, never a part."""

    def __init__(self) -> None:
        self._now: tuple[str, ...] = ()

    def begin(self) -> None:
        """Forget the last block's; what still holds is raised again."""
        self._now = ()

    def tell(self, text: str) -> None:
        if text not in self._now:
            log.error("%s", text)
            self._now = (*self._now, text)

    def now(self) -> tuple[str, ...]:
        return self._now
