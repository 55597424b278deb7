"""Ask several endpoints at once and wait only so long: one that is slow must not hold up the others."""

import queue
import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

from keeper.errors import ChainError, RpcUnreachable

T = TypeVar("T")
MALFORMED = (ValueError, TypeError, KeyError, AttributeError, IndexError)
"""What reading an answer raises that is JSON-RPC and yet not what was asked for."""


class Late(RpcUnreachable):
    """Nothing within the patience. The request may have had its effect, and its answer may still come."""


def fan_out(
    tasks: Mapping[str, Callable[[], T]], patience_s: float, waited_for: Collection[str] | None = None
) -> dict[str, T | ChainError]:
    """Run every task on its own thread; return by name its result or its error, in the order of `tasks`.

    Comes back when those `waited_for` (all unless stated) have answered, after `patience_s` at the latest: who has
    not answered by then is Late, although its request may have had its effect. Threads are daemons, so
    one that never ends cannot hold up the end of the process.
    """
    answers: queue.SimpleQueue[tuple[str, T | ChainError]] = queue.SimpleQueue()
    for name, task in tasks.items():
        threading.Thread(target=_answer, args=(name, task, answers), name=f"ask {name}", daemon=True).start()
    deadline = time.monotonic() + patience_s
    missing = set(tasks if waited_for is None else waited_for) & set(tasks)
    found: dict[str, T | ChainError] = {}
    while len(found) < len(tasks):
        try:
            name, answer = answers.get(timeout=max(deadline - time.monotonic(), 0.0)) if missing else answers.get(False)
        except queue.Empty:
            break
        found[name] = answer
        missing.discard(name)
    late = Late(f"expected an answer within {patience_s:g} s, found none; it may still come")
    return {name: found.get(name, late) for name in tasks}


def _answer(name: str, task: Callable[[], T], answers: "queue.SimpleQueue[tuple[str, T | ChainError]]") -> None:
    try:
        answers.put((name, task()))
    except ChainError as e:
        answers.put((name, e))
    except MALFORMED as e:
        answers.put((name, RpcUnreachable(f"{name}: expected what was asked for, found {type(e).__name__}: {e}"[:200])))
