"""How one endpoint has been doing: lag, faults, how long it asked to be left alone. Time is a monotonic clock's."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

FIRST_BACK_OFF_S = 1.0
LONGEST_BACK_OFF_S = 60.0
LONGEST_RETRY_AFTER_S = 300.0
"""A limiter that asks for more is asked again after this."""
MOST_IN_FLIGHT = 4
"""Requests without an answer; beyond that nothing more is put on a connection that swallows them."""


@dataclass(frozen=True, slots=True)
class HealthView:
    """One endpoint at one moment, for metrics and people."""

    name: str
    head: int | None  # newest block it told of
    lag: int | None  # blocks behind what enough endpoints have reached, >= 0
    requests: int
    faults: int
    faults_in_a_row: int
    backed_off_s: float  # until it is asked again, 0 when it may be now
    wrong_chain: int | None  # chain id it answers for, where it is not ours
    in_flight: int
    last_fault: str


class Health:
    """Thread-safe: answers arrive on other threads."""

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        self.name = name
        self._clock = clock
        self._lock = threading.Lock()
        self._head: int | None = None
        self._lag: int | None = None
        self._requests = self._faults = self._in_a_row = self._in_flight = 0
        self._left_alone_until = float("-inf")
        self._left_alone_s = 0.0
        self._wrong_chain: int | None = None
        self._last_fault = ""

    def begin(self) -> bool:
        """Count a request about to be made; False, and nothing counted, when too many are unanswered."""
        with self._lock:
            if self._in_flight >= MOST_IN_FLIGHT:
                return False
            self._in_flight += 1
            self._requests += 1
            return True

    def end(self) -> None:
        with self._lock:
            self._in_flight -= 1

    def answered(self) -> None:
        with self._lock:
            self._in_a_row = 0

    def faulted(self, text: str) -> None:
        """Count an answer that cannot be used: a lie, garbage, no answer."""
        with self._lock:
            self._fault(text)

    def busy(self, text: str, retry_after_s: float | None) -> None:
        """Leave it alone for as long as it asks, else for twice as long with every fault in a row."""
        with self._lock:
            doubled = min(LONGEST_BACK_OFF_S, FIRST_BACK_OFF_S * 2.0 ** min(self._in_a_row, 30))
            wait = doubled if retry_after_s is None else min(retry_after_s, LONGEST_RETRY_AFTER_S)
            now = self._clock()
            if now + wait > self._left_alone_until:
                self._left_alone_until, self._left_alone_s = now + wait, wait
            self._fault(text)

    def on_chain(self, expected: int, found: int) -> bool:
        """Note the chain it answers for; say whether it is the expected one."""
        with self._lock:
            self._wrong_chain = None if found == expected else found
            if found != expected:
                self._fault(f"expected chain id {expected}, found {found}")
        return found == expected

    def at_head(self, number: int) -> None:
        with self._lock:
            self._head = number

    def lags_behind(self, reached: int) -> None:
        with self._lock:
            self._lag = None if self._head is None else max(reached - self._head, 0)

    def is_ready(self, *, urgent: bool) -> bool:
        """Say whether it may be asked now. What can wait leaves it alone twice as long as it asked for.

        So when a limiter lets requests through again, liquidations are the first to use them.
        """
        with self._lock:
            until = self._left_alone_until + (0.0 if urgent else self._left_alone_s)
            return self._wrong_chain is None and self._clock() >= until

    def view(self) -> HealthView:
        with self._lock:
            return HealthView(
                name=self.name,
                head=self._head,
                lag=self._lag,
                requests=self._requests,
                faults=self._faults,
                faults_in_a_row=self._in_a_row,
                backed_off_s=max(self._left_alone_until - self._clock(), 0.0),
                wrong_chain=self._wrong_chain,
                in_flight=self._in_flight,
                last_fault=self._last_fault,
            )

    def _fault(self, text: str) -> None:
        self._faults += 1
        self._in_a_row += 1
        self._last_fault = text[:200]
