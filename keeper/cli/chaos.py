"""`keeper chaos`: a proxy between a keeper and its node that misbehaves as a file says."""

import signal
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, TextIO

import typer

from keeper.chaos import ChaosProxy, Fault
from keeper.chaos.faultfile import load_faults
from keeper.errors import ConfigError, UsageError, redacted

MAX_PORT = 65_535
Node = Annotated[str, typer.Option("--upstream", help="The node behind, an http:// or https:// URL.")]
Listen = Annotated[str, typer.Option("--listen", help="Loopback address and port; port 0 is any free one.")]
FaultsFile = Annotated[Path | None, typer.Option("--faults", help="The faults, TOML. Without it: a true mirror.")]
Seed = Annotated[int, typer.Option("--seed", help="Of every probability and shuffle: same seed, same choices.")]
LogFile = Annotated[Path | None, typer.Option("--log", help="Also append every line to this file.")]
GethPool = Annotated[
    bool, typer.Option("--geth-pool", help="Geth's transaction pool in front of Anvil (--order fifo).")
]
BlockSeconds = Annotated[
    float, typer.Option("--block-seconds", min=0.0, help="With --geth-pool: mine so often; 0: only on evm_mine.")
]


def chaos(
    upstream: Node,
    listen: Listen = "127.0.0.1:8555",
    faults: FaultsFile = None,
    seed: Seed = 0,
    log: LogFile = None,
    geth_pool: GethPool = False,
    block_seconds: BlockSeconds = 0.0,
) -> None:
    """Stand between a keeper and its node and misbehave: find out what a keeper does before a bad day does.

    Point chain.rpc_url at the address printed first. Every request is then printed with what was done to it: its
    number, endpoint, method, the faults applied (- for none) and the answer. Ctrl-C ends it and counts the hits.

    A fault is a table of the file: an action (hold, delay, drop, duplicate, reorder, stale, error, status, reset,
    truncate, slow, lie, bloat, wrong-id, duplicate-id, single-for-batch, cut, silence) and which requests it meets
    (methods, sender, nonce, tx_hash, to, selector, first, last, probability). For example, a provider that takes
    every third transaction, answers 502 all the same, and asks for fewer reads:

    keeper chaos --upstream http://127.0.0.1:8545 --faults docs/examples/chaos.toml --seed 7

    All actions and keys: docs/chaos.md. It listens on loopback only and never prints signed bytes.
    """
    host, port = _address(listen)
    if not upstream.startswith(("http://", "https://")):
        raise UsageError(f"--upstream: expected an http:// or https:// URL, found {redacted(upstream)}")
    wanted = load_faults(faults) if faults else ()
    with ExitStack() as stack:
        output = _Output(stack.enter_context(_opened(log)) if log else None)
        proxy = ChaosProxy(upstream, seed=seed, geth_pool=geth_pool, host=host, port=port, poll=True, watch=output.line)
        stack.enter_context(proxy)
        keys = {proxy.add(fault): fault for fault in wanted}
        output.line(f"{proxy.url} and {proxy.ws_url} -> {redacted(upstream)}, {len(keys)} faults, seed {seed}")
        _until_stopped(proxy, block_seconds if geth_pool else 0.0)
        _summary(proxy, keys, output)


class _Output:
    """Lines to standard output and, if asked, to a file; both at once, whoever writes."""

    def __init__(self, file: TextIO | None) -> None:
        self._file = file
        self._lock = threading.Lock()

    def line(self, text: str) -> None:
        with self._lock:
            for stream in (sys.stdout, self._file):
                if stream is not None:
                    stream.write(text + "\n")
                    stream.flush()


def _opened(path: Path) -> TextIO:
    try:
        return path.open("a")
    except OSError as e:
        raise ConfigError(f"--log: expected a file that can be written at {path}, found {type(e).__name__}") from e


def _address(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit() or int(port) > MAX_PORT:
        raise UsageError(f"--listen: expected HOST:PORT such as 127.0.0.1:8555, found {listen!r}")
    return host.strip("[]"), int(port)


def _until_stopped(proxy: ChaosProxy, block_seconds: float) -> None:
    """Return on SIGINT or SIGTERM; meanwhile mine if asked."""
    over = threading.Event()
    previous = {number: signal.signal(number, lambda *_: over.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        while not over.wait(block_seconds or None):
            proxy.mine()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _summary(proxy: ChaosProxy, keys: dict[int, Fault], output: _Output) -> None:
    for key, fault in keys.items():
        output.line(f"fault {key}, {fault}: met {proxy.seen(key)}, applied {proxy.hits(key)}")
