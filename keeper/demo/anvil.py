"""Anvil as a child process: on 127.0.0.1, on a port of its own, stopped when its owner is done."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from keeper.errors import KeeperError, RpcUnreachable
from keeper.rpc import Rpc

HOST = "127.0.0.1"
REPO = Path(__file__).resolve().parents[2]
NPM_BINARY = Path("node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil")
BLOCK_GAS = 60_000_000
START_SECONDS = 20.0
STOP_SECONDS = 5.0
POLL_SECONDS = 0.02
STDERR_TAIL = 2_000


class AnvilError(KeeperError):
    """Anvil is not installed, did not start, or died while starting."""


def find_anvil() -> Path:
    """Return the anvil on PATH, else the one npm installed. Raises AnvilError when there is neither."""
    on_path = shutil.which("anvil")
    if on_path:
        return Path(on_path)
    from_npm = REPO / NPM_BINARY
    if from_npm.exists():
        return from_npm
    raise AnvilError(f"expected anvil on PATH or at {from_npm}, found neither; run 'make setup' or 'npm ci'")


def free_port() -> int:
    """Return a TCP port nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _require_free(port: int) -> None:
    """Raise AnvilError when something listens on `port`: its answers would be taken for our Anvil's."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise AnvilError(f"port {port}: expected it free, found it in use; leave it out") from error


class Anvil:
    """A running Anvil; a context manager that stops it. Two tests never share one by accident: each has its port."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, stderr: IO[bytes]) -> None:
        self._process = process
        self._stderr = stderr
        self.port = port

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        return self._process.pid

    def running(self) -> bool:
        return self._process.poll() is None

    def stderr_tail(self) -> str:
        """Return the end of what Anvil said on stderr."""
        self._stderr.seek(0)
        return self._stderr.read()[-STDERR_TAIL:].decode(errors="replace").strip()

    def stop(self) -> None:
        """End the process: asked first, killed after STOP_SECONDS. Calling it again is harmless."""
        if self.running():
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._stderr.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start_anvil(
    *,
    chain_id: int = 31_337,
    block_time_s: float | None = None,
    fork_url: str | None = None,
    gas_limit: int = BLOCK_GAS,
    timestamp: int | None = None,
    port: int | None = None,
    extra: Sequence[str] = (),
) -> Anvil:
    """Start Anvil and return once it answers.

    `block_time_s` None means a block per transaction; fractions of a second are allowed here, and only here:
    Anvil takes whole seconds at run time. `timestamp` is the genesis time, now by default.
    States of all blocks stay readable: Anvil keeps some in memory and the rest on disk unless told to prune.
    """
    chosen = port or free_port()
    _require_free(chosen)
    options = _options(chosen, chain_id, block_time_s, fork_url, gas_limit, timestamp)
    stderr = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process; Anvil.stop closes it
    process = subprocess.Popen(
        [str(find_anvil()), *options, *extra], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr
    )
    anvil = Anvil(process, chosen, stderr)
    try:
        _wait_until_it_answers(anvil)
    except BaseException:  # whatever it was, also an interrupt: no process is left behind; raised again
        anvil.stop()
        raise
    return anvil


def _options(
    port: int, chain_id: int, block_time_s: float | None, fork_url: str | None, gas_limit: int, timestamp: int | None
) -> list[str]:
    options = ["--host", HOST, "--port", str(port), "--chain-id", str(chain_id), "--gas-limit", str(gas_limit)]
    options += ["--quiet", "--no-request-size-limit"]
    if block_time_s is not None:
        options += ["--block-time", f"{block_time_s:g}"]
    if fork_url is not None:
        options += ["--fork-url", fork_url]
    if timestamp is not None:
        options += ["--timestamp", str(timestamp)]
    return options


def _wait_until_it_answers(anvil: Anvil) -> None:
    rpc = Rpc(anvil.url, timeout_s=1.0)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if not anvil.running():
            raise AnvilError(f"anvil ended while starting; it said: {anvil.stderr_tail() or 'nothing'}")
        try:
            rpc.chain_id()
            return
        except RpcUnreachable:
            time.sleep(POLL_SECONDS)
    raise AnvilError(f"anvil did not answer on {anvil.url} in {START_SECONDS:g} s; it said: {anvil.stderr_tail()}")
