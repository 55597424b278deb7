"""A signer process of the keeper's own, for who runs no other: derived from keeper.toml, started and ended with it.

It is the same process as `keeper signer run` starts, with the same rules. Who wants the key under another user, or caps
that the keeper's file cannot raise, writes a signer.toml (this one is a start) and names its socket in signer.socket.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from keeper.allowed import AllowedCall, Bound, Counted, Named, Rows
from keeper.config import Config
from keeper.errors import ConfigError, ExitCode, KeeperError, KeystoreError, SignerUnreachable
from keeper.handover import Handover

log = logging.getLogger(__name__)

READY = "listening"
GWEI_DECIMALS = 9
END_S = 10.0
READY_S = 60.0
"""Longest that a start may take, most of which unlocks keystores; a tick waits as long for one started again."""
RESTARTS = 3
"""Most that it is started again within RESTART_WINDOW_S: what kills it again and again is for a person."""
RESTART_WINDOW_S = 3_600.0
ERROR = "error: "
LONGEST_SOCKET = 107
"""Bytes of a path that sun_path holds, without its closing zero (unix(7))."""

HEAD = """# written by `keeper`: {purpose}
[signer]
mode = "live"
chain_id = {chain_id}

{keys}
[fees]
max_gas = {max_gas}
max_fee_gwei = {max_fee_gwei}
max_tip_gwei = {max_tip_gwei}

[caps]                     # each key's, ether of worst case: gas limit times max fee
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
        keys="\n".join(_key(address, path) for address, path in signer.keystores.items()),
        max_gas=signer.max_gas,
        max_fee_gwei=signer.max_fee_gwei,
        max_tip_gwei=min(signer.tip_ceiling_gwei, signer.max_fee_gwei),
        per_transaction=signer.max_ether_per_transaction,
        per_hour=signer.max_ether_per_hour,
        per_day=signer.max_ether_per_day,
    )
    return head + "".join(_call(call) for call in calls)


def _key(address: str, keystore: Path) -> str:
    quoted = json.dumps(str(keystore.absolute()))  # a JSON string is a TOML string
    return f'[[key]]\naddress = "{address}"\nkeystore = {quoted}\n'


def _call(call: AllowedCall) -> str:
    text = f'\n[[call]]\nto = "{call.to}"\nfunction = "{call.function}"\n'
    return text + "".join(_argument(bound) for bound in call.bounds)


def _argument(bound: Bound) -> str:
    if isinstance(bound, Named):
        return f'[[call.argument]]\npath = "{bound.argument}"\none_of = ["{bound.address}"]\n'
    if isinstance(bound, Rows):
        rows = json.dumps(bound.rows)
        return f'[[call.argument]]\npath = "{bound.argument}"\nmax_items = {len(bound.rows)}\n' + (
            f'[[call.argument]]\npath = "{bound.argument}[*]"\nrows = {rows}\n'
        )
    if isinstance(bound, Counted):
        return f'[[call.argument]]\npath = "{bound.argument}"\nmax_items = {bound.most}\n'
    return f'[[call.argument]]\npath = "{bound.argument}"\nlow = {bound.low}\nhigh = {bound.high}\n'


class OwnSigner:
    """The child process. It ends with the keeper, also when that is killed; the keeper starts it again if it dies."""

    def __init__(
        self,
        folder: Path,
        text: str,
        environ: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
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
        self._handover = Handover(os.environ if environ is None else environ)
        self._clock = clock
        self._revived: list[float] = []  # when, by the clock
        self._process: subprocess.Popen[str] | None = None
        self._relay: threading.Thread | None = None

    def launch(self) -> None:
        """Start the process without waiting for it."""
        command = [sys.executable, "-P", "-m", "keeper.signer", "--with-parent", str(os.getpid()), str(self._file)]
        with self._handover.given() as (environ, descriptors):
            self._process = subprocess.Popen(
                command,
                env=environ,
                pass_fds=descriptors,
                stderr=subprocess.PIPE,
                text=True,
                process_group=0,  # Ctrl-C is the keeper's: it ends its signer after its last tick
            )

    def revive(self) -> None:
        """Start it again if it has died, and return once it listens; does nothing while it runs.

        Raises SignerUnreachable if it has been started again RESTARTS times within the window, or was told to end: who
        ends it wants it ended.
        """
        code = None if self._process is None else self._process.poll()
        if code is None:
            return
        if code == 0:
            raise SignerUnreachable("signer: expected it to run, found it was told to end; start the keeper again")
        if self._times() >= RESTARTS:
            raise SignerUnreachable(
                f"signer: expected it to run, found it ended with {code} after {RESTARTS} restarts within "
                f"{RESTART_WINDOW_S:.0f} s; look at its log, then start the keeper again"
            )
        self._revived.append(self._clock())
        log.error("the signer ended with %d and is started again", code)
        self._close_log()
        self.launch()
        self.await_ready()

    def alarm(self) -> str:
        """Return that it died lately, '' if it did not."""
        times = self._times()
        lately = f"within {RESTART_WINDOW_S:.0f} s and was started again"
        return f"the keeper's own signer died {times} times {lately}; look at its log" if times else ""

    def _times(self) -> int:
        self._revived = [at for at in self._revived if self._clock() - at < RESTART_WINDOW_S]
        return len(self._revived)

    def await_ready(self) -> None:
        """Return once it listens. Raises what it ended with, in its words; after READY_S it is killed."""
        process = self._process
        assert process is not None and process.stderr is not None
        said: list[str] = []
        late = threading.Timer(READY_S, process.kill)
        late.start()
        try:
            for line in process.stderr:
                if READY in line:
                    self._follow(process.stderr)
                    return
                said.append(line)
            _wait(process)  # it has closed its end
        finally:
            late.cancel()
        raise _ended(process.returncode, "".join(said))

    def _follow(self, lines: IO[str]) -> None:
        self._relay = threading.Thread(target=_relay, args=(lines,), name="signer log", daemon=True)
        self._relay.start()

    def start(self) -> Self:
        self.launch()
        try:
            self.await_ready()
        except KeeperError:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End it and wait for that; does nothing if it is not running."""
        self._handover.forget()
        process = self._process
        if process is None:
            return
        process.terminate()
        _wait(process)
        self._close_log()
        self._process = None

    def _close_log(self) -> None:
        relay, self._relay = self._relay, None
        if relay is not None:
            relay.join()  # it reads what was said last, and closes the pipe
        elif self._process is not None and self._process.stderr is not None:
            self._process.stderr.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _wait(process: subprocess.Popen[str]) -> None:
    """Return once it has ended, which a kill makes it do after END_S."""
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _ended(code: int, said: str) -> KeeperError:
    """Return the error a signer ended with before it listened: its own, where it told one."""
    _, marker, told = said.rpartition(ERROR)
    kind = {int(ExitCode.CONFIG): ConfigError, int(ExitCode.KEY): KeystoreError}.get(code)
    if marker and kind:
        return kind(told.strip())
    if code == -signal.SIGKILL:
        return SignerUnreachable(
            f"signer: expected it to listen within {READY_S:.0f} s, found it killed; look at its log"
        )
    return SignerUnreachable(f"signer: expected it to listen, found it ended with {code}: {said.strip()[-500:]}")


def _relay(lines: IO[str]) -> None:
    """Pass the signer's log on, so that its pipe never fills."""
    with lines:
        for line in lines:
            log.info("signer: %s", line.rstrip())
