"""Slow work beside the loop: a sign of life, volatility, pruning. Nothing here decides or sends."""

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from keeper.config import Config
from keeper.journal import Journal

log = logging.getLogger(__name__)

JOBS = ("heartbeat", "volatility", "prune")


class Jobs:
    """Three periodic jobs in threads of their own. None overlaps itself; one that fails is logged and counted."""

    def __init__(
        self,
        journal: Journal,
        config: Config,
        measure_volatility: Callable[[], None],
        *,
        sending: Callable[[], Mapping[str, object]] = dict,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`measure_volatility` journals what it measured; `sending` says how sending stands; `clock` returns Unix
        seconds, to age the last block by."""
        self._journal = journal
        self._config = config
        self._measure_volatility = measure_volatility
        self._sending = sending
        self._clock = clock
        self._failed = dict.fromkeys(JOBS, 0)
        self._lock = threading.Lock()
        self._scheduler: BackgroundScheduler | None = None

    @property
    def failures(self) -> Mapping[str, int]:
        """Return how often each job has failed since the keeper started."""
        with self._lock:
            return MappingProxyType(dict(self._failed))

    def start(self) -> None:
        """Start all jobs, the heartbeat at once, the others after an interval. Raises RuntimeError if running."""
        if self._scheduler is not None:
            raise RuntimeError("jobs: expected them stopped, found them running; call stop first")
        every = self._config.jobs
        # A late run is made up for once, however long the process slept.
        once = {"max_instances": 1, "coalesce": True, "misfire_grace_time": None}
        scheduler = BackgroundScheduler(timezone=UTC, job_defaults=once)
        beat = IntervalTrigger(seconds=every.heartbeat_seconds, timezone=UTC)
        scheduler.add_job(self.heartbeat, beat, id="heartbeat", next_run_time=datetime.now(UTC))
        measure = IntervalTrigger(seconds=every.volatility_seconds, timezone=UTC)
        scheduler.add_job(self.volatility, measure, id="volatility")
        scheduler.add_job(self.prune, IntervalTrigger(seconds=every.prune_seconds, timezone=UTC), id="prune")
        scheduler.start()
        self._scheduler = scheduler

    def stop(self) -> None:
        """Stop all jobs, waiting for one that is running; does nothing if they are not running."""
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=True)
            self._scheduler = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def heartbeat(self) -> None:
        """Write the heartbeat file: last block, its age in seconds, totals, and failures of the jobs."""
        self._guarded("heartbeat", self._beat)

    def volatility(self) -> None:
        """Measure volatility."""
        self._guarded("volatility", self._measure_volatility)

    def prune(self) -> None:
        """Forget old ticks."""
        self._guarded("prune", self._prune)

    def _guarded(self, name: str, job: Callable[[], None]) -> None:
        try:
            job()
        except Exception:  # the boundary of a thread: whatever it was, the next run comes
            log.exception("job %s failed", name)
            with self._lock:
                self._failed[name] += 1

    def _beat(self) -> None:
        now = self._clock()
        tick = self._journal.last_tick()
        counts = self._journal.counts()
        age_s = None if tick is None else now - tick.block.timestamp
        beat = {
            "at": now,
            "block": None if tick is None else tick.block.number,
            "block_hash": None if tick is None else tick.block.hash,
            "age_s": age_s,
            "unknown": None if tick is None else tick.unknown,
            "crosscheck": None if tick is None else dict(tick.crosscheck),
            "counts": asdict(counts),
            "sending": self._sending(),
            "failed_jobs": dict(self.failures),
        }
        _write_atomically(self._config.jobs.heartbeat_file, json.dumps(beat, sort_keys=True) + "\n")
        if tick is None:
            log.info("heartbeat: no tick yet")
        else:
            log.info("heartbeat: block %d, %.1f s old, %d unknown", tick.block.number, age_s, tick.unknown)

    def _prune(self) -> None:
        forgotten = self._journal.prune(self._config.journal.keep_ticks)
        log.info("pruned %d rows", forgotten)


def _write_atomically(path: Path, text: str) -> None:
    """Replace `path` in one step: a reader sees the old content or the new, never a part."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
