"""A node that comes and goes: T15."""

import gc
import queue
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from keeper.chaos import ChaosProxy, Fault, Reset, Status, Truncate
from keeper.errors import ChainError, KeeperError
from keeper.heads import Head, Heads
from keeper.loop import Tick, run
from tests.chain.lane_world import LaneKeeper
from tests.chaos_suite.interrupted import finish
from tests.chaos_suite.judge import kept_once
from tests.chaos_suite.memory import held
from tests.chaos_suite.scenario import Failed, Figures, Run, hit, require
from tests.chaos_suite.stage import PATIENCE_S, Stage
from tests.chaos_suite.world import ENDANGERED

OUTAGES = 20
SETTLED_AFTER = 5
"""Outages after which everything that is made once exists."""
POLL_S = 0.01
MOST_WATCHERS = 8
MOST_GROWTH = 48 << 20
"""Bytes from the sixth outage to the twentieth: a leak of four MiB an outage is found."""
MORE_BLOCKS = 12
"""After the outages, until all that is left to do is done."""
SLACK = 100
"""Of the keeper's objects: caches come and go, but a leak of a few an outage is found."""
KINDS = (Reset(), Status(502), Status(503), Truncate(0.3))


@dataclass
class Counted:
    """Heads that count how often the loop was given each block."""

    heads: Any
    given: Counter[int] = field(default_factory=Counter)

    def follow(self) -> Iterator[Head]:
        for head in self.heads.follow():
            self.given[head.block.number] += 1
            yield head

    def __getattr__(self, name: str) -> Any:
        return getattr(self.heads, name)


class FollowedAnew:
    """Heads whose follower subscribes once more after each error, without ending what it had: Morpho's watcher."""

    def __init__(self, heads: Heads, again: Callable[[], None]) -> None:
        self._heads, self._again = heads, again
        self._polled = heads._new
        heads._new = self._new  # type: ignore[method-assign]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._heads, name)

    def _new(self) -> Head | None:
        try:
            return self._polled()
        except ChainError:
            self._again()
            raise


@dataclass
class Running:
    """A keeper's loop in a thread of its own, and what it finished."""

    keeper: LaneKeeper
    heads: Counted
    anew: bool  # on an error of the node
    done: "queue.SimpleQueue[int]" = field(default_factory=queue.SimpleQueue)
    errors: list[str] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)

    def watch(self) -> None:
        """Begin to follow the chain; what follows it already goes on."""
        app = self.keeper.app
        polled = Heads(app.rpc, POLL_S, app.stop.wait, PATIENCE_S)
        heads = Counted(FollowedAnew(polled, self._once_more) if self.anew else polled, self.heads.given)
        world = replace(self.keeper.world, heads=heads)
        thread = threading.Thread(target=run, args=(world, self._ticked, self._failed), name="loop")
        self.threads.append(thread)
        thread.start()

    def _once_more(self) -> None:
        if len(self.threads) < MOST_WATCHERS:
            self.watch()

    def _ticked(self, tick: Tick) -> None:
        self.done.put(tick.head.block.number)

    def _failed(self, error: KeeperError) -> None:
        self.errors.append(str(error))

    def until(self, number: int) -> None:
        """Return once a block as new as `number` was worked off."""
        while True:
            try:
                if self.done.get(timeout=PATIENCE_S) >= number:
                    return
            except queue.Empty:
                raise Failed(f"expected block {number} worked off, found nothing done") from None


@contextmanager
def _following(keeper: LaneKeeper, *, anew: bool) -> Iterator[Running]:
    running = Running(keeper, Counted(keeper.world.heads), anew)
    running.watch()
    try:
        yield running
    finally:
        keeper.app.stop.set()
        for thread in running.threads:
            thread.join()


def flapping(*, protected: bool) -> Run:
    """T15: the node is gone for an instant, twenty times in a row.

    Unprotected: after a failed poll the chain is followed anew, while what followed it goes on.
    """

    def run_it(stage: Stage, rng: random.Random) -> Figures:
        keeper = stage.keeper(most=rng.randint(2, 3))
        with _following(keeper, anew=not protected) as running:
            running.until(stage.start.number)
            hits, sizes = 0, []
            for outage in range(OUTAGES):
                hits += _outage(stage.proxy, stage, rng)
                try:
                    running.until(stage.mine().number)
                finally:  # two handlers may also hold each other up: it is their number that is wrong
                    _require_one_each(running.heads.given)
                if outage in (SETTLED_AFTER, OUTAGES - 1):
                    sizes.append(_held())
        hit(hits >= OUTAGES, f"expected every outage to meet a request, found {hits}")
        _require_flat(sizes)
        stage.errors += running.errors
        finish(stage, keeper, ENDANGERED, MORE_BLOCKS)
        return kept_once(stage, keeper, ENDANGERED) | {
            "outages": OUTAGES,
            "requests_met": hits,
            "blocks": len(running.heads.given),
            "most_handlers_a_block": max(running.heads.given.values()),
            "memory_growth_bytes": sizes[-1].memory - sizes[0].memory,
            "objects_first": sizes[0].objects,
            "objects_last": sizes[-1].objects,
        }

    return run_it


def _outage(proxy: ChaosProxy, stage: Stage, rng: random.Random) -> int:
    """Let every request fail while a block comes; return how many did."""
    fault = proxy.add(Fault(rng.choice(KINDS)))
    stage.mine()
    hit(proxy.wait(fault, rng.randint(1, 3), PATIENCE_S), "expected the keeper to ask during the outage, found silence")
    proxy.remove(fault)
    return proxy.hits(fault)


def _require_one_each(given: Counter[int]) -> None:
    (number, most), *_ = given.most_common(1)
    require(most == 1, f"block {number}: expected one handler, found {most}")


# --- what is held ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Held:
    objects: int  # of the keeper's own types, the proxy's left out
    threads: int
    files: int
    memory: int  # bytes of the process, the proxy in it


def _held() -> Held:
    gc.collect()
    kinds = Counter(str(type(thing).__module__) for thing in gc.get_objects())
    ours = sum(count for module, count in kinds.items() if module.startswith("keeper.") and "chaos" not in module)
    files = Path("/proc/self/fd")
    return Held(ours, threading.active_count(), len(list(files.iterdir())) if files.exists() else 0, held())


def _require_flat(sizes: list[Held]) -> None:
    first, last = sizes[0], sizes[-1]
    grown = f"{first.objects} to {last.objects} objects"
    require(last.objects <= first.objects + SLACK, f"expected memory flat, found {grown}")
    more = last.memory - first.memory
    require(more <= MOST_GROWTH, f"expected at most {MOST_GROWTH} bytes more memory, found {more}")
    require(last.threads <= first.threads, f"expected as many threads, found {first.threads} to {last.threads}")
    require(last.files <= first.files + 2, f"expected as many open files, found {first.files} to {last.files}")
