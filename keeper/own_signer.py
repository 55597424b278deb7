"""A signer process of the keeper's own, for who runs no other: derived from keeper.toml, started and ended with it.

It is the same process as `keeper signer run` starts, with the same rules. Who wants the key under another user, or caps
that the keeper's file cannot raise, writes a signer.toml (this one is a start) and names its socket in signer.socket.
"""

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from keeper.allowed import AllowedCall, Bounded
from keeper.config import Config
from keeper.errors import SignerUnreachable

log = logging.getLogger(__name__)

READY = "listening"
GWEI_DECIMALS = 9
END_S = 10.0

HEAD = """# written by `keeper`: {purpose}
[signer]
mode = "live"
chain_id = {chain_id}
lease_seconds = 60.0

[[key]]
address = "{address}"
keystore = "{keystore}"

[fees]
max_gas = {max_gas}
max_fee_gwei = {max_fee_gwei}
max_tip_gwei = {max_tip_gwei}

[caps]                     # ether of worst case: gas limit times max fee
per_transaction = {per_transaction}
per_hour = {per_hour}
per_day = {per_day}
"""


def signer_toml(config: Config, calls: Sequence[AllowedCall], purpose: str) -> str:
    """Return the file of a signer that may sign what this keeper can need, and nothing else."""
    signer = config.signer
    head = HEAD.format(
        purpose=purpose,
        chain_id=config.chain.chain_id,
        address=signer.address,
        keystore=signer.keystore,
        max_gas=signer.max_gas,
        max_fee_gwei=signer.max_fee_gwei,
        max_tip_gwei=min(signer.tip_ceiling_gwei, signer.max_fee_gwei),
        per_transaction=signer.max_ether_per_transaction,
        per_hour=signer.max_ether_per_hour,
        per_day=signer.max_ether_per_day,
    )
    return head + "".join(_call(call) for call in calls)


def _call(call: AllowedCall) -> str:
    text = f'\n[[call]]\nto = "{call.to}"\nfunction = "{call.function}"\n'
    return text + "".join(_argument(bound) for bound in call.bounds)


def _argument(bound: Bounded) -> str:
    return f'[[call.argument]]\npath = "{bound.argument}"\nlow = {bound.low}\nhigh = {bound.high}\n'


class OwnSigner:
    """The child process. It ends with the keeper, also when that is killed."""

    def __init__(self, folder: Path, text: str, environ: Mapping[str, str] | None = None) -> None:
        """`folder` is the keeper's alone (0700): sockets, the signer's database and its file live there."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.socket = folder / "run" / "signer.sock"
        self._file = folder / "signer.toml"
        self._file.write_text(text, encoding="utf-8")
        self._environ = dict(os.environ if environ is None else environ)
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> Self:
        """Return once it listens. Raises SignerUnreachable with its last words when it does not."""
        command = [sys.executable, "-P", "-m", "keeper.signer", "--with-parent", str(self._file)]
        self._process = subprocess.Popen(command, env=self._environ, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        last = ""
        for line in self._process.stderr:
            if READY in line:
                threading.Thread(target=_relay, args=(self._process.stderr,), name="signer log", daemon=True).start()
                return self
            last = line.strip() or last
        self.stop()
        raise SignerUnreachable(f"signer: expected it to listen at {self.socket}, found: {last}")

    def stop(self) -> None:
        """End it and wait for that; does nothing if it is not running."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _relay(lines: IO[str]) -> None:
    """Pass the signer's log on, so that its pipe never fills."""
    with lines:
        for line in lines:
            log.info("signer: %s", line.rstrip())
