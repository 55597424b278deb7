"""The standard manager against the protocol's published accounts."""

import pytest
from derive_vectors import STANDARD_MODEL, cases, parameters, read_standard, wad

from engine.margin.base import margin

SET = cases("standard_manager.json")
CASES = parameters(list(SET.values()), list(SET))


def near(expected: float) -> object:
    return pytest.approx(wad(int(expected)), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_margins_and_mark_to_market(case):
    report = margin(STANDARD_MODEL, *read_standard(case["Scenario"]))
    assert report.im_excess[0] == near(case["Result"]["realIM"])
    assert report.mm_excess[0] == near(case["Result"]["realMM"])
    assert report.mark_to_market[0] == near(case["Result"]["PortfolioMtM"])


@pytest.mark.parametrize("case", CASES)
def test_the_parts_that_are_published(case):
    """Published are what counts: options and base assets at what is left of them; here stands what is taken."""
    report = margin(STANDARD_MODEL, *read_standard(case["Scenario"]))
    part = {name: float(column[0]) for name, column in report.contingencies.items()}
    result = case["Result"]
    assert -part["oracle confidence"] == near(result["OracleConts"])
    assert -part["depeg"] == near(result["DepegIMs"])
