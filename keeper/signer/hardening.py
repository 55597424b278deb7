"""What keeps the key inside the process: no core dump, no reading by other processes of the same user."""

import ctypes
import logging
import os
import resource
import signal
import sys

log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PR_SET_DUMPABLE = 4


def harden() -> bool:
    """Forbid core dumps and, on Linux, tracing and /proc/<pid>/mem to all but root. Return whether both hold."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform != "linux":
        log.warning("signer: expected Linux, found %s: other processes of this user may read its memory", sys.platform)
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        log.warning("signer: PR_SET_DUMPABLE was refused (errno %d)", ctypes.get_errno())
        return False
    return True


def end_with_parent(parent: int) -> None:
    """Be sent SIGTERM when the process of this id ends, however it ends. Does nothing where the system is not Linux.

    The parent says who it is: one that ended before this was called is no longer the parent of this process.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it ended before it could be watched
        os.kill(os.getpid(), signal.SIGTERM)
