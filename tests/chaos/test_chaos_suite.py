"""The short set of the chaos suite: a few scenarios and a few without their protection; and the table is whole."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos_suite.once import Job, Result, once
from tests.chaos_suite.results import Record, write_list
from tests.chaos_suite.table import SCENARIOS, WANTED
from tests.chaos_suite.workers import BY_NAME
from tests.chaos_suite.world import Worlds

SHORT = (
    *(Job(name, 1) for name in ("T2", "T3", "T4", "T5", "T6", "T10")),
    *(Job(name, 1, protected=False) for name in ("T1", "T3", "T6")),
)


@pytest.fixture(scope="module")
def worlds() -> Iterator[Worlds]:
    with Worlds() as opened:
        yield opened


@pytest.mark.parametrize("job", SHORT, ids=lambda job: job.label)
def test_a_scenario_holds_and_fails_without_its_protection(worlds: Worlds, tmp_path: Path, job: Job) -> None:
    result = once(worlds, BY_NAME[job.scenario], job, keep_in=tmp_path)
    assert result.passed, f"{result.why}; see {result.kept}"


def test_the_table_is_whole() -> None:
    names = [scenario.name for scenario in SCENARIOS]
    assert len(names) == len(set(names))
    assert set(names) == set(WANTED)


def test_an_interrupted_suite_goes_on_where_it_was(tmp_path: Path) -> None:
    lines, job, other = tmp_path / "chaos.jsonl", Job("T1", 3), Job("T1", 4)
    Record(lines, "one", resume=False).add(Result("T1", 3, True, {"liquidated": 50}, 1.0, "", ""))
    with lines.open("a") as torn:
        torn.write('{"sources": "one", "label": "T1", "se')
    again = Record(lines, "one", resume=True)
    assert again.has_passed(job) and not again.has_passed(other)
    assert not Record(lines, "another", resume=True).has_passed(job)
    write_list(tmp_path / "chaos.json", again.of([job, other]))
    assert (tmp_path / "chaos.json").read_text() == (
        '[\n{"scenario": "T1", "seed": 3, "passed": true, "figures": {"liquidated": 50}}\n]\n'
    )
    assert not Record(lines, "one", resume=False).has_passed(job)
