"""The signer process that a keeper started for itself, as the system shows it."""

import os
import signal
from pathlib import Path


def child() -> int:
    """Return the signer's process id; it is the only one of this process."""
    children = [pid for thread in Path("/proc/self/task").iterdir() for pid in _children(thread)]
    (signer,) = [int(c) for c in children if b"keeper.signer" in Path(f"/proc/{c}/cmdline").read_bytes()]
    return signer


def _children(thread: Path) -> list[str]:
    """Return the ids of the processes that one thread started."""
    try:
        return (thread / "children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):  # the thread has ended meanwhile
        return []


def end(number: signal.Signals) -> None:
    """Send it a signal and return once it has ended; its parent still finds out by itself."""
    signer = child()
    os.kill(signer, number)
    os.waitid(os.P_PID, signer, os.WEXITED | os.WNOWAIT)
