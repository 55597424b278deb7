"""PMRM_2 against the protocol's published portfolios."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from derive_vectors import PmrmCase, files, parameters, read_pmrm

from engine.margin.base import MarginReport
from engine.types import Floats

FILES = files("pmrm2/*.json")
CASES = parameters(FILES, [path.stem for path in FILES])
PARTS = {
    "MMPerpCont": "perpetual MM",
    "IMPerpCont": "perpetual IM",
    "MMOptionCont": "option MM",
    "IMOptionCont": "option IM",
    "MMBaseCont": "collateral haircut MM",
    "IMBaseCont": "collateral haircut IM",
    "OracleCont": "oracle confidence",
    "ForwardContingency": "basis",
}


def near(expected: float, relative: float) -> object:
    return pytest.approx(expected, rel=relative, abs=relative)


@lru_cache
def answered(path: Path) -> tuple[PmrmCase, MarginReport, Floats]:
    case = read_pmrm(path)
    at = case.model.at(case.book.instruments, case.market)
    return case, at(case.book), at.scenario_pnl(case.book)[0]


@pytest.mark.parametrize("path", CASES)
def test_margins_and_mark_to_market(path):
    case, report, _ = answered(path)
    assert report.im_excess[0] == near(float(case.result["IM"]), 1e-12)
    assert report.mm_excess[0] == near(float(case.result["MM"]), 1e-12)
    assert report.mark_to_market[0] == near(float(case.result["PortfolioMTM"]), 1e-11)
    assert abs(report.mm_excess[0] - float(case.result["MM"])) <= report.band[0]


@pytest.mark.parametrize("path", CASES)
def test_every_scenario(path):
    """The published losses carry the noise of sums of float prices, hence 1e-10 and below 1 USD an absolute one."""
    case, _, pnl = answered(path)
    expected = np.array([case.scenario_pnl[row] for row in case.kept])
    assert (np.abs(pnl - expected) <= 1e-10 * np.maximum(1.0, np.abs(expected))).all()


@pytest.mark.parametrize("path", CASES)
def test_every_contingency(path):
    case, report, _ = answered(path)
    for published, name in PARTS.items():
        assert -report.contingencies[name][0] == near(float(case.result[published]), 1e-11), published


@pytest.mark.parametrize("path", CASES)
def test_the_named_scenario_is_as_bad_as_the_worst(path):
    """Ties exist, so the loss is compared and not the row."""
    case, report, _ = answered(path)
    losses = [-case.scenario_pnl[row] for row in case.kept] + [-float(case.result["ForwardContingency"])]
    row = int(report.worst[0])
    named = losses[row] if row >= 0 else 0.0
    assert named == near(max(losses), 1e-10)
    assert report.contingencies["scenario loss MM"][0] == near(case.model.mm_factor * max(losses), 1e-10)


def test_only_a_turned_smile_under_a_moved_spot_is_left_out():
    """The protocol's setter refuses such a scenario, and so does the model; one published case has it."""
    if not FILES:
        pytest.skip("published cases not found")
    left_out = {path.stem for path in FILES if len((case := answered(path)[0]).kept) < len(case.scenario_pnl)}
    assert left_out == {"test_67_misc_skew_scenario_with_spot_move"}
