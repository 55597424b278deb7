"""The list of seeded bugs fits the contracts as they stand."""

from collections import Counter
from pathlib import Path

import pytest

from tests.mutants.bugs import BUGS, KINDS
from tests.mutants.executor_bugs import ALL_BUGS, EXECUTOR_BUGS

SOURCES = Path(__file__).parents[2] / "contracts/src/reference"


@pytest.mark.parametrize("bug", ALL_BUGS, ids=lambda bug: bug.name.replace(" ", "-"))
def test_its_line_is_there_once_and_the_wrong_one_is_one_line_too(bug):
    assert (SOURCES / bug.source).read_text().count(bug.line) == 1
    assert bug.wrong != bug.line
    assert bug.wrong.rstrip("\n").count("\n") == 0


def test_twenty_bugs_and_two_of_each_kind():
    kinds = Counter(bug.kind for bug in BUGS)
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= 20
    assert set(kinds) == set(KINDS)
    assert min(kinds.values()) >= 2


def test_the_executor_has_thirteen_of_its_own():
    assert len({bug.name for bug in ALL_BUGS}) == len(ALL_BUGS)
    assert len(EXECUTOR_BUGS) >= 13
