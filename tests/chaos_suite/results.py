"""What came of the runs: a line each as they come, so that an interrupted suite goes on, and the list at the end."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from tests.chaos_suite.once import Job, Result

ROOT = Path(__file__).parents[2]
SOURCES = ("keeper", "engine", "abis", "tests/chaos_suite", "tests/chain")
SINGLE = ("tests/signer_desk.py", "tests/signer_process.py", "tests/relay_server.py")
KINDS = (".py", ".json")


def sources_key(root: Path = ROOT) -> str:
    """Return a hash of everything a run is made of: results of other sources are not this suite's."""
    found = [path for folder in SOURCES for path in (root / folder).rglob("*") if path.suffix in KINDS]
    digest = hashlib.sha256()
    for path in sorted([*found, *(root / name for name in SINGLE)]):
        digest.update(f"{path.relative_to(root)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


class Record:
    """The results of one state of the sources, in a file of lines."""

    def __init__(self, path: Path, key: str, *, resume: bool) -> None:
        """Without `resume` the file is begun anew."""
        self._path, self._key = path, key
        path.parent.mkdir(parents=True, exist_ok=True)
        if not resume:
            path.unlink(missing_ok=True)
        self.results = {(r.label, r.seed): r for r in self._read()}

    def _read(self) -> Iterator[Result]:
        lines = self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else []
        for line in lines:
            try:
                found = json.loads(line)
            except ValueError:
                continue  # the last line of an interrupted run
            if found.pop("sources") == self._key:
                yield Result(**found)

    def has_passed(self, job: Job) -> bool:
        known = self.results.get((job.label, job.seed))
        return known is not None and known.passed

    def add(self, result: Result) -> None:
        self.results[result.label, result.seed] = result
        with self._path.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"sources": self._key, **asdict(result)}) + "\n")

    def of(self, jobs: Iterable[Job]) -> list[Result]:
        """Return the results of these jobs, in their order; what has none is left out."""
        keys = ((job.label, job.seed) for job in jobs)
        return [self.results[key] for key in keys if key in self.results]


def write_list(path: Path, results: Sequence[Result]) -> None:
    """Write `{scenario, seed, passed, figures}` of each result."""
    rows = [{"scenario": r.label, "seed": r.seed, "passed": r.passed, "figures": r.figures} for r in results]
    path.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n", encoding="utf-8")
