"""The coverage study in its short form: the gates hold, and fail where a bound is taken away."""

import numpy as np
import pytest

from tests.coverage_study.__main__ import IM_GATE, MM_GATE, passed, random_part
from tests.coverage_study.adversary import FAMILIES, Worst, candidates, search, shortfall
from tests.coverage_study.gaps import third_tangent
from tests.coverage_study.measure import coverage
from tests.coverage_study.world import TERMS, random_world

BUTTERFLY, ANY = FAMILIES[0], FAMILIES[-1]


def test_arrays_cover_full_revaluation_of_random_books_after_any_allowed_move():
    books, gaps = random_part(2)
    assert books.im.size == 200
    assert (books.im <= IM_GATE * books.notional).all()
    assert (books.mm <= MM_GATE * books.gross_scan).all()
    assert (books.tail_mm <= MM_GATE * books.gross_scan).all()
    assert (books.mark <= 1e-12 * books.notional).all()  # the mark is never overstated
    assert (gaps["last hour"].size and gaps["quarter"].size) > 0


@pytest.mark.parametrize(
    ("family", "life", "objective"), [(BUTTERFLY, "last day", "im"), (ANY, "last hour", "tail_mm")]
)
def test_and_of_books_that_an_optimiser_made(family, life, objective):
    assert search(family, life, objective, 4).shortfall <= 1e-12


def test_without_the_gap_the_optimiser_finds_a_butterfly_that_is_not_covered():
    assert search(BUTTERFLY, "last day", "im", 4, "gap").shortfall > 1e-3


def test_half_a_gamma_for_the_bend_overstates_the_mark_of_a_short_option_in_its_last_hour():
    """A call struck at 100.35 when averaging begins, four standard deviations away: no delta and no gamma to expand in,
    and 0.9 USD to pay where the price has moved by the limit, to 101.25; 15 USD is the scan."""
    x = np.full((13, 1), 0.5)  # other sizes are 0
    x[0], x[4], x[8], x[9] = np.log(1.0035 / 0.8) / np.log(1.25 / 0.8), 0.0, 0.0, 0.0
    world = candidates(ANY, (1801.0, 3600.0), x)
    limit = (-1.0, -0.5, 0.5, 1.0)
    assert shortfall(coverage(world, limit), "mm")[0] <= 1e-12
    found = coverage(world, limit, "bend")
    assert 0.8 < found.mark[0] < 0.9
    assert shortfall(found, "mm")[0] == pytest.approx(0.2 * found.mark[0] / found.gross_scan[0])
    assert shortfall(found, "mm")[0] > MM_GATE


def test_a_third_tangent_is_tighter_and_halves_the_gap_of_distant_expiries():
    world = random_world(3, 1, False)
    found, tighter = world.arrays(TERMS).words.gap, third_tangent(world)
    assert (tighter <= found * (1.0 + 1e-9) + 1e-6).all()
    far = (world.market.seconds[world.instruments.expiry] > 91 * 86400.0) & (found > 1.0)
    assert far.sum() > 20
    assert (tighter[far] < 0.6 * found[far]).all()


def test_the_study_says_so_where_a_gate_fails():
    books, _ = random_part(1)
    assert passed(books, [])
    bad = Worst("f", "last hour", "im", 2e-9, 1, 1.0, [], [])
    assert not passed(books, [bad])
