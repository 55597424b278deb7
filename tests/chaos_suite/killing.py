"""A keeper in a process of its own that ends by SIGKILL: before, inside or after one call of one of its parts.

The process is forked from this one, so nothing is imported or compiled again; the signer is another process, and the
proxy's threads stay here, which is why the child asks its parent for blocks.
"""

import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Final, Literal

from sqlalchemy import Engine, event

from keeper.errors import KeeperError
from tests.chaos_suite.scenario import hit
from tests.chaos_suite.stage import Stage

Place = Literal["before", "inside", "after"]
Steps = Mapping[str, list[int]]
"""Method → steps inside each of its calls that had anything to do, in order."""

CALLS: Final = ("reserve", "sign", "stored", "offering", "offer", "answered", "mined", "final")
"""What sending calls, in order; `sign` and `offer` are the signer's and the endpoints', the others the ledger's."""
BLOCKS: Final = 6
"""Blocks of the keeper that dies: sent, replaced, mined, final, and two to spare."""


@dataclass(frozen=True, slots=True)
class Point:
    """Where the process ends: at the call-th (from 1) call of `method` that has anything to do.

    Inside, after its step-th (from 1) step. A step is a statement of SQL executed, a commit about to be made, half of
    what is written to a socket, or all of it.
    """

    method: str
    call: int
    place: Place
    step: int = 0

    def __str__(self) -> str:
        step = f" after step {self.step} of" if self.place == "inside" else ""
        return f"{self.place}{step} {self.method} {self.call}"


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Trace:
    """Counts the steps inside calls; the process ends with the fatal one. It is never taken out again."""

    def __init__(self) -> None:
        self.passed, self.fatal = 0, 0
        self._lock = Lock()  # endpoints are asked in threads
        event.listen(Engine, "after_cursor_execute", lambda *_: self._pass())
        event.listen(Engine, "commit", lambda _: self._pass())
        real = socket.socket.sendall

        def in_halves(written: socket.socket, data: Any, *flags: int) -> None:
            half = len(data) // 2
            real(written, data[:half], *flags)
            self._pass()
            real(written, data[half:], *flags)
            self._pass()

        socket.socket.sendall = in_halves  # type: ignore[method-assign]

    def _pass(self) -> None:
        with self._lock:
            self.passed += 1
            if self.passed == self.fatal:
                die()


class Doomed:
    """Passes calls on until the one at which the process ends; notes the steps inside each in `seen`."""

    def __init__(self, real: Any, point: Point | None, trace: Trace, seen: dict[str, list[int]]) -> None:
        self._real, self._point, self._trace, self._seen = real, point, trace, seen

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if name not in CALLS:
            return found

        def doomed(work: Any, *given: Any, **named: Any) -> Any:
            if not work:
                return found(work, *given, **named)
            calls = self._seen.setdefault(name, [])
            point = self._point
            here = point if point is not None and (point.method, point.call) == (name, len(calls) + 1) else None
            if here and here.place == "before":
                die()
            self._trace.passed, self._trace.fatal = 0, here.step if here else 0
            said = found(work, *given, **named)
            if here and here.place == "after":
                die()
            calls.append(self._trace.passed)
            self._trace.fatal = 0
            return said

        return doomed


def rehearsed(stage: Stage, blocks: int, mine: Callable[[], object]) -> Steps:
    """Let a keeper that nobody kills do its work in a process of its own; return the steps of its calls."""
    notes = stage.folder / "rehearsal.json"
    ended = forked(lambda next_block: _live(stage, None, blocks, next_block, notes, {}), mine)
    hit(ended == 0, f"expected the rehearsal to live, found it ended with {ended}")
    found: Steps = json.loads(notes.read_text())
    return found


def dies_at(stage: Stage, point: Point, blocks: int, mine: Callable[[], object], **parts: Any) -> None:
    """Let a keeper work until it kills itself at the point, `mine()` between its blocks. Raises Unhit if it lives.

    `parts` as of Stage.keeper.
    """
    ended = forked(lambda next_block: _live(stage, point, blocks, next_block, None, parts), mine)
    hit(ended == -signal.SIGKILL, f"expected a death {point}, found the keeper ended with {ended}")


def _live(
    stage: Stage,
    point: Point | None,
    blocks: int,
    next_block: Callable[[], None],
    notes: Path | None,
    parts: Mapping[str, Any],
) -> None:
    trace = Trace()
    seen: dict[str, list[int]] = {}

    def doomed(part: Any) -> Doomed:
        return Doomed(part, point, trace, seen)

    keeper = stage.keeper(signer=doomed(stage.seat("one")), ledger=doomed, outlets=doomed, **parts)
    for row in range(blocks):
        if row:
            next_block()
        try:
            keeper.tick()
        except KeeperError as error:
            sys.stderr.write(f"{error}\n")
    if notes is not None:
        notes.write_text(json.dumps(seen))


def forked(work: Callable[[Callable[[], None]], None], mine: Callable[[], object]) -> int:
    """Do `work` in a process forked from this one; return 0, or minus the signal that ended it, or 1 if it raised.

    Its argument asks this process for a block and returns when there is one. What `mine` raises ends the child.
    """
    (asked, ask), (answered, answer) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        os.close(asked)
        os.close(answer)

        def next_block() -> None:
            os.write(ask, b".")
            if not os.read(answered, 1):
                os._exit(1)  # the parent gave up

        try:
            work(next_block)
            code = 0
        except Exception as error:  # noqa: BLE001 - it must not go on as a second parent
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
        finally:
            os._exit(code)  # nothing of the parent's is to be tidied up twice
    os.close(ask)  # so that the child's ends are the last ones
    os.close(answered)
    try:
        while os.read(asked, 1):
            mine()
            os.write(answer, b".")
    finally:
        os.close(answer)
        os.close(asked)
        _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)
