"""A keeper that is told to stop stops, whatever it was doing."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from keeper.cli.run import stop_on_signals

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture
def stop() -> Iterator[threading.Event]:
    before = [signal.getsignal(number) for number in SIGNALS]
    event = threading.Event()
    stop_on_signals(event)
    yield event
    for number, handler in zip(SIGNALS, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_in_the_middle_of_a_wait_does_not_deadlock(stop: threading.Event, number: int) -> None:
    with stop._cond:  # as in the moment in which `wait` looks at the flag
        os.kill(os.getpid(), number)
    assert stop.wait(5.0)
