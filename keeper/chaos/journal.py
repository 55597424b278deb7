"""The ordered log of what was asked, what was done to it, and what was answered."""

import itertools
import threading
from collections.abc import Callable
from typing import Any

from keeper.chaos.faultset import FaultSet
from keeper.chaos.requests import Exchange, Open, Request

Watch = Callable[[str], None]
SHOWN = 160  # characters of an answer in a line


class ExchangeLog:
    """Everything since the start, in order of arrival. Read by any thread, written by the proxy's own."""

    def __init__(self, faults: FaultSet, watch: Watch | None) -> None:
        self._faults = faults
        self._watch = watch
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._all: list[Open] = []

    def opened(self, request: Request) -> Open:
        with self._lock:
            exchange = Open(next(self._numbers), request)
            self._all.append(exchange)
        return exchange

    def exchanges(self) -> tuple[Exchange, ...]:
        """Return all of them, the unfinished included."""
        with self._lock:
            return tuple(exchange.closed() for exchange in self._all)

    def finished(self, exchange: Open) -> None:
        if self._watch is not None:
            self._watch(self.line(exchange))

    def line(self, exchange: Open) -> str:
        """Return one line for people. Signed bytes are named by hash, sender and nonce, never shown."""
        r = exchange.request
        tx = r.transaction()
        what = f"{tx.hash} from {tx.sender} nonce {tx.nonce}" if tx else _short(list(r.params))
        done = ", ".join(str(self._faults.named(key)) for key in exchange.faults) or "-"
        told = exchange.cut or _short(exchange.answer)
        return f"{exchange.n} /{r.endpoint} {r.transport} {r.method} {what} | {done} | {told}"


def _short(shown: Any) -> str:
    text = str(shown)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(text)} characters)"
