"""Logging that never holds up a signature: a full pipe or a slow disk loses lines, and says how many.

The durable record of every decision is in the store; the log is for people.
"""

import logging
import threading
from logging.handlers import QueueHandler
from queue import Full, Queue
from typing import Final

WAITING: Final = 10_000
"""Lines kept while the log cannot be written; newer ones are dropped then."""


class NeverBlocking(QueueHandler):
    """Hands lines to a thread of its own, which writes them."""

    def __init__(self, writer: logging.Handler, *, waiting: int = WAITING) -> None:
        self._lines: Queue[logging.LogRecord | None] = Queue(waiting)
        super().__init__(self._lines)
        self._writer = writer
        self.lost = 0
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self._lines.put_nowait(record)
        except Full:
            self.lost += 1

    def finish(self, timeout_s: float) -> None:
        """Write what waits, but for no longer than `timeout_s`: a process must be able to end."""
        try:
            self._lines.put(None, timeout=timeout_s)
        except Full:
            return
        self._thread.join(timeout_s)

    def _write(self) -> None:
        told = 0
        while (record := self._lines.get()) is not None:
            self._writer.handle(record)
            if self.lost > told:
                told = self.lost
                text = f"{told} log lines lost so far: the log could not be written fast enough"
                self._writer.handle(logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, None, None))


def log_to_stderr() -> NeverBlocking:
    writer = logging.StreamHandler()
    writer.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    handler = NeverBlocking(writer)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    return handler
