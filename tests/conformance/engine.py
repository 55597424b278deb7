"""The rule of the engine: its floats of a perpetual venue's state are near the integers that the adapter states."""

from collections.abc import Iterator
from itertools import chain
from typing import Final

from engine.margin.base import MarginReport
from engine.margin.perp import margin
from engine.types import ENDANGERED
from keeper.snapshot import assemble
from keeper.venues.base import ExactMargin, VenueState
from tests.conformance.contract import Rule, Trial
from tests.conformance.deciding import undoubted
from tests.conformance.kinds import read

RELATIVE: Final = 1e-12


def floats_are_near_the_integers(trial: Trial) -> None:
    """Only perpetuals: portfolios are margined by the integer twin, which **agree** is about."""
    if trial.venue.kind != "perpetual":
        return
    asked = sorted(trial.world.accounts)
    for when in chain(("as it started",), trial.world.corners()):
        state: VenueState = read(trial.venue, trial.world.rpc.block(), asked)
        report = margin(*assemble(state, undoubted(state)))
        for row, account in enumerate(state.accounts):
            _require_near(trial, state, report, row, trial.venue.exact(state, account), f"{account.address}, {when}")


def _require_near(
    trial: Trial, state: VenueState, report: MarginReport, row: int, exact: ExactMargin, who: str
) -> None:
    step = 10.0**-state.settlement_decimals  # equity is floored to it
    todo = (
        "the engine margins perpetuals by size, mark, open notional and two ratios (docs/add-a-protocol.md, Read): "
        "put what the rule needs into these fields, or give the venue a kind and a line of its own"
    )
    for name, found, expected in _pairs(report, row, exact):
        near = abs(found - expected) <= float(report.band[row]) + step + RELATIVE * abs(expected)
        trial.require(near, f"{who}, with {name} of about {expected:,.6f} USD, as exact() says", f"{found:,.6f}", todo)
    if not report.undecided[row]:
        says = {True: "endangered", False: "healthy"}
        found, expected = bool(report.status[row] == ENDANGERED), exact.equity < exact.mm
        trial.require(found == expected, f"{who}, {says[expected]} as exact() says", f"{says[found]} by floats", todo)


def _pairs(report: MarginReport, row: int, exact: ExactMargin) -> Iterator[tuple[str, float, float]]:
    yield "equity", float(report.equity[row]), exact.equity / 10**18
    yield "IM", float(report.im[row]), exact.im / 10**18
    yield "MM", float(report.mm[row]), exact.mm / 10**18


ENGINE: Final[dict[str, Rule]] = {"engine": floats_are_near_the_integers}
