"""A signer process of the keeper's own, for who runs no other: derived from keeper.toml, started and ended with it.

It is the same process as `keeper signer run` starts, with the same rules. Who wants the key under another user, or caps
that the keeper's file cannot raise, writes a signer.toml (this one is a start) and names its socket in signer.socket.
"""

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from keeper.allowed import AllowedCall, Bound, Named
from keeper.config import Config
from keeper.errors import ConfigError, ExitCode, KeeperError, KeystoreError, SignerUnreachable

log = logging.getLogger(__name__)

READY = "listening"
GWEI_DECIMALS = 9
END_S = 10.0
ERROR = "error: "
LONGEST_SOCKET = 107
"""Bytes of a path that sun_path holds, without its closing zero (unix(7))."""

HEAD = """# written by `keeper`: {purpose}
[signer]
mode = "live"
chain_id = {chain_id}

[[key]]
address = "{address}"
keystore = {keystore}

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
        keystore=json.dumps(str(signer.keystore and signer.keystore.absolute())),  # a JSON string is a TOML string
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


def _argument(bound: Bound) -> str:
    if isinstance(bound, Named):
        return f'[[call.argument]]\npath = "{bound.argument}"\none_of = ["{bound.address}"]\n'
    return f'[[call.argument]]\npath = "{bound.argument}"\nlow = {bound.low}\nhigh = {bound.high}\n'


class OwnSigner:
    """The child process. It ends with the keeper, also when that is killed."""

    def __init__(self, folder: Path, text: str, environ: Mapping[str, str] | None = None) -> None:
        """`folder` is the keeper's alone (0700): sockets, the signer's database and its file live there.

        Raises ConfigError if its path is too long for a socket.
        """
        self.socket = folder / "run" / "signer.sock"
        longest = len(os.fsencode(folder.absolute() / "run" / "signer-admin.sock"))
        if longest > LONGEST_SOCKET:
            raise ConfigError(
                f"signer: expected socket paths of at most {LONGEST_SOCKET} bytes, found {longest} in {folder}; move "
                "the keystore to a shorter path, or run `keeper signer run` and name signer.socket"
            )
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = folder / "signer.toml"
        self._file.write_text(text, encoding="utf-8")
        self._environ = dict(os.environ if environ is None else environ)
        self._process: subprocess.Popen[str] | None = None
        self._relay: threading.Thread | None = None

    def launch(self) -> None:
        """Start the process without waiting for it, once: the environment with the password is not kept."""
        command = [sys.executable, "-P", "-m", "keeper.signer", "--with-parent", str(self._file)]
        self._process = subprocess.Popen(
            command,
            env=self._environ,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,  # Ctrl-C is the keeper's: it ends its signer after its last tick
        )
        self._environ.clear()

    def await_ready(self) -> None:
        """Return once it listens. Raises what it ended with, in its words."""
        process = self._process
        assert process is not None and process.stderr is not None
        said: list[str] = []
        for line in process.stderr:
            if READY in line:
                self._relay = threading.Thread(target=_relay, args=(process.stderr,), name="signer log", daemon=True)
                self._relay.start()
                return
            said.append(line)
        self.stop()
        raise _ended(process.returncode, "".join(said))

    def start(self) -> Self:
        self.launch()
        self.await_ready()
        return self

    def stop(self) -> None:
        """End it and wait for that; does nothing if it is not running."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._relay is not None:
            self._relay.join()  # it reads what was said last, and closes the pipe
        elif process.stderr is not None:
            process.stderr.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _ended(code: int, said: str) -> KeeperError:
    """Return the error a signer ended with before it listened: its own, where it told one."""
    _, marker, told = said.rpartition(ERROR)
    kind = {int(ExitCode.CONFIG): ConfigError, int(ExitCode.KEY): KeystoreError}.get(code)
    if marker and kind:
        return kind(told.strip())
    return SignerUnreachable(f"signer: expected it to listen, found it ended with {code}: {said.strip()[-500:]}")


def _relay(lines: IO[str]) -> None:
    """Pass the signer's log on, so that its pipe never fills."""
    with lines:
        for line in lines:
            log.info("signer: %s", line.rstrip())
