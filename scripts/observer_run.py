"""How every observer runs: follows each block in order, writes its progress, and reports once when told to stop.

Nothing here imports `keeper` or `engine`.
"""

import argparse
import signal
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import orjson
from observer_node import Node, ObserverError

POLL_SECONDS = 0.02


class Watcher(Protocol):
    """What knows one protocol."""

    def take(self, number: int) -> dict[str, Any]:
        """Read a block, count, and return what to show of it."""

    def finish(self, number: int) -> None:
        """No block after this one is read."""

    def report(self, journal: Path) -> dict[str, Any]:
        """Return everything counted, compared with the keeper's journal: `comparisons` is how many numbers were."""


Opened = tuple[Watcher, int]
"""The watcher and the first block it takes."""


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Replace `path` atomically: a reader sees the old file or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2))
    temporary.replace(path)


def milliseconds(seconds: Sequence[float]) -> dict[str, float] | None:
    """Return median and 95th percentile of what blocks took to read, None without any."""
    spent = sorted(1000 * s for s in seconds) * (2 if len(seconds) == 1 else 1)
    cuts = statistics.quantiles(spent, n=100, method="inclusive") if spent else []
    return {"p50": cuts[49], "p95": cuts[94]} if cuts else None


def follow(watcher: Watcher, node: Node, first: int, stop: Callable[[], bool], out: Path | None) -> None:
    """Read every block from `first` to the head at the moment `stop` says so."""
    number, last = first, None
    while last is None or number <= last:
        if last is None and stop():
            last = node.head()
            continue
        # only what is no longer the head: Anvil may serve its head from the state of the block it is mining
        if last is None and number >= node.head():
            time.sleep(POLL_SECONDS)
            continue
        seen = watcher.take(number)
        if out is not None:
            write_json(out, seen)
        number += 1
    watcher.finish(last)


def parse(description: str, arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rpc", required=True)
    parser.add_argument("--deployment", required=True, type=Path)
    parser.add_argument("--journal", required=True, type=Path, help="the keeper's SQLite journal, opened read-only")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--progress", type=Path, help="rewritten after every block")
    parser.add_argument("--until-file", type=Path, help="stop at the head of the moment this file appears")
    parser.add_argument("--from-block", type=int, help="first block to read; the head by default")
    parser.add_argument(
        "--hour-origin", type=int, help="hour-steps begin after this block time; the first block's by default"
    )
    return parser.parse_args(arguments)


def main(description: str, opened: Callable[[Node, argparse.Namespace], Opened], arguments: list[str] | None) -> int:
    """Run an observer; returns its exit code."""
    options = parse(description, arguments)
    stopping: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: stopping.append(received))
    until: Path | None = options.until_file
    node = Node(options.rpc)
    try:
        watcher, first = opened(node, options)
        follow(watcher, node, first, lambda: bool(stopping) or (until is not None and until.exists()), options.progress)
        report = watcher.report(options.journal)
    except ObserverError as error:
        print(f"observer: {error}", file=sys.stderr)
        return 1
    write_json(options.out, report)
    if report["comparisons"] == 0:
        print(f"observer: {options.journal}: nothing to compare; did the keeper tick?", file=sys.stderr)
        return 1
    return 0
