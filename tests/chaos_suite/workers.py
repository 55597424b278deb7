"""Worker processes: each keeps its worlds open and does one run at a time."""

import multiprocessing
import signal
import sys
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, cast

from tests.chaos_suite.once import Job, Result, once
from tests.chaos_suite.table import SCENARIOS
from tests.chaos_suite.world import Worlds

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
PROCESSES = multiprocessing.get_context("spawn")
END_S = 30.0


def work(line: Connection, keep_in: Path) -> None:
    """Do every job that comes down the line and answer its result, until it is closed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that its nodes and signers end with it
    with Worlds() as worlds:
        while True:
            try:
                job: Job = line.recv()
            except (EOFError, KeyboardInterrupt):
                return
            line.send(once(worlds, BY_NAME[job.scenario], job, keep_in))


class Worker:
    def __init__(self, keep_in: Path) -> None:
        self.line, theirs = PROCESSES.Pipe()
        self.job: Job | None = None
        self._process = PROCESSES.Process(target=work, args=(theirs, keep_in))
        self._process.start()
        theirs.close()

    def give(self, job: Job) -> None:
        self.job = job
        self.line.send(job)

    def end(self) -> None:
        self.line.close()
        self._process.join(END_S)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join()


def results(jobs: Sequence[Job], count: int, keep_in: Path) -> Iterator[Result]:
    """Yield each job's result as it comes, from `count` workers; a worker that dies fails its job and is replaced."""
    waiting = list(reversed(jobs))
    workers = [Worker(keep_in) for _ in range(min(count, len(jobs)))]
    try:
        for worker in workers:
            worker.give(waiting.pop())
        while busy := [worker for worker in workers if worker.job is not None]:
            ready = wait([worker.line for worker in busy])
            for place, worker in enumerate(workers):
                if worker.line in ready:
                    result, alive = _result(worker)
                    if not alive:
                        worker.end()
                        workers[place] = worker = Worker(keep_in)
                    yield result
                    if waiting:
                        worker.give(waiting.pop())
    finally:
        for worker in workers:
            worker.end()


def _result(worker: Worker) -> tuple[Result, bool]:
    """Return the job's result and whether the worker still lives."""
    job, worker.job = worker.job, None
    assert job is not None, "only workers with a job are waited for"
    try:
        return cast(Result, cast(Any, worker.line).recv()), True
    except EOFError:
        return Result(job.label, job.seed, False, {}, 0.0, "the worker process died", ""), False
