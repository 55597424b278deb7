"""What keeps the key inside the process: no core dump, no reading by other processes of the same user."""

import ctypes
import logging
import resource
import sys

log = logging.getLogger(__name__)

_PR_SET_DUMPABLE = 4  # linux/prctl.h


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
