"""The signer's clock: it never runs backwards, over restarts and steps of the wall clock.

The wall clock is asked once, at start; after that a clock which counts suspended time but cannot be set goes on.
A wall clock that is behind at start is ignored in favour of the highest time ever stored. One that is ahead at
start is believed, for a long stop looks the same: it can free the rolling caps early, once.
"""

import time
from collections.abc import Callable


def boot_seconds() -> float:
    """Seconds since boot, suspension included where the system counts it (Linux)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Clock:
    def __init__(
        self, *, wall: Callable[[], float] = time.time, steady: Callable[[], float] = boot_seconds, seen_ms: int = 0
    ) -> None:
        """`seen_ms` is the highest time the store ever recorded."""
        self._steady = steady
        self._started = steady()
        self._base_ms = max(seen_ms, int(wall() * 1000))
        self._highest_ms = self._base_ms

    def now_ms(self) -> int:
        """Milliseconds since 1970 by this clock; never less than it said before."""
        passed = int((self._steady() - self._started) * 1000)
        self._highest_ms = max(self._highest_ms, self._base_ms + passed)
        return self._highest_ms

    def not_before(self, seen_ms: int) -> None:
        """Go on from `seen_ms` if this clock is behind it."""
        now_ms = self.now_ms()
        self._base_ms += max(0, seen_ms - now_ms)
