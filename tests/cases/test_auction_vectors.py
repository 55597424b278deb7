"""The solvent auction and PMRM's first version against the protocol's published runs."""

from dataclasses import replace

import pytest
from derive_vectors import AUCTION, PMRM_V1_MODEL, cases, parameters, read_pmrm_v1, wad

from engine import auction
from engine.margin.base import margin

RUNS = cases("auction_solvent.json")
CASES = parameters(list(RUNS.values()), list(RUNS))


def near(expected: int) -> object:
    return pytest.approx(wad(expected), rel=1e-12, abs=1e-12)


def state(portfolio, time):
    book, market = read_pmrm_v1(portfolio, time)
    report = margin(PMRM_V1_MODEL, book, market)
    return float(report.mm_excess[0]), float(report.mark_to_market[0])


@pytest.mark.parametrize("run", CASES)
def test_every_step_of_a_run(run):
    reserved = 0.0
    for action in run["Actions"]:
        expected, time = action["Results"], action["Time"]
        mm_excess, mtm = state(action["PortfolioAndFeeds"], time)
        buffered = float(auction.buffer_margin(AUCTION, mm_excess, mtm))
        asked = auction.discount(AUCTION, time)
        fraction = float(auction.maximum_fraction(AUCTION, mm_excess, mtm, asked, reserved))
        bought = min(fraction, wad(action["Liquidator"]["PercentWant"]))
        paid = bought * float(auction.solvent_price(AUCTION, time, mtm, reserved))
        assert mtm == near(expected["PreMtM"])
        assert mm_excess == near(expected["PreMM"])
        assert buffered == near(expected["PreBM"])
        assert fraction == near(expected["PreFMax"])
        assert bought == near(expected["fLiquidatedOfOriginal"])
        assert paid == near(expected["ExpectedBidPrice"])
        assert mtm - (mtm - reserved) * bought + paid == near(expected["PostMtM"])
        assert not auction.to_be_terminated(AUCTION, time, mm_excess, mtm, reserved)
        reserved += paid


@pytest.mark.parametrize("run", CASES)
def test_the_fee_at_the_start(run):
    """Published as a float, so as good as a float."""
    mm_excess, mtm = state(run["InitialPortfolio"], run["StartTime"])
    assert auction.starting_fee(AUCTION, mm_excess, mtm) == pytest.approx(run["LiquidationFee"], rel=1e-12)


@pytest.mark.parametrize("run", CASES)
def test_what_is_left_after_every_step(run):
    """The same share of every position changes hands, of cash only what earlier bids did not bring."""
    reserved = 0.0
    for action in run["Actions"]:
        expected = action["Results"]
        book, market = read_pmrm_v1(action["PortfolioAndFeeds"], action["Time"])
        share, paid = wad(expected["fLiquidatedOfOriginal"]), wad(expected["ExpectedBidPrice"])
        cash = (book.cash - reserved) * (1.0 - share) + reserved + paid
        left = replace(book, cash=cash, quantity=book.quantity * (1.0 - share), accrued=book.accrued * (1.0 - share))
        report = margin(PMRM_V1_MODEL, left, market)
        mm_excess, mtm = float(report.mm_excess[0]), float(report.mark_to_market[0])
        assert mtm == near(expected["PostMtM"])
        assert mm_excess == near(expected["PostMM"])
        assert min(float(auction.buffer_margin(AUCTION, mm_excess, mtm)), 0.0) == pytest.approx(
            wad(expected["PostBM"]), rel=1e-12, abs=1e-10
        )
        reserved += paid
