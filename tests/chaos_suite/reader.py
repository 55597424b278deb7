"""A keeper's reading of one answer, in a process of its own so that nothing else counts in its memory.

    python -m tests.chaos_suite.reader http://127.0.0.1:8545 [bytes]

prints by how many bytes its memory grew at most. `bytes` is the cap on an answer, instead of the keeper's own.
"""

import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress

from keeper import rpc_http
from keeper.errors import ChainError
from keeper.rpc import Rpc
from tests.chaos_suite.memory import held, peak

METHOD = "web3_clientVersion"
TIMEOUT_S = 120.0


def main(arguments: Sequence[str]) -> None:
    url, *cap = arguments
    if cap:
        rpc_http.MAX_RESPONSE_BYTES = int(cap[0])
    rpc, before = Rpc(url, TIMEOUT_S), held()
    with suppress(ChainError):  # too large; what counts is how much of it was held
        rpc.call(METHOD)
    sys.stdout.write(str(peak() - before))


def grown_by_reading(url: str, cap: int | None = None) -> int:
    """Return by how many bytes a process grew that asked METHOD of `url` once; `cap` bytes instead of the keeper's."""
    more = [] if cap is None else [str(cap)]
    command = [sys.executable, "-m", "tests.chaos_suite.reader", url, *more]
    return int(subprocess.run(command, check=True, capture_output=True, text=True, timeout=TIMEOUT_S).stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
