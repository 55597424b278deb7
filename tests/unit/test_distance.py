"""Liquidation distances of books that can be solved by hand, and both sides of every crossing."""

import math
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pytest

from engine.distance import TOLERANCE, Limits, distances
from engine.margin import MODELS
from engine.margin.base import margin
from engine.market import shifted
from engine.types import DAY, HEALTHY
from keeper.bookfile import model_of, read_book
from tests.unit.risk_books import MARKET, Flat, Scan, book_of

NORM_PPF_052 = 0.050153583464733656

MOVES = {
    "spot_down": lambda x: {"spot": -x},
    "spot_up": lambda x: {"spot": x},
    "vol_down": lambda x: {"vol": -x},
    "vol_up": lambda x: {"vol": x},
    "days": lambda x: {"days": x},
}


def require_both_sides(model, book, market, found):
    for name, move in MOVES.items():
        for row, distance in enumerate(getattr(found, name)):
            alone = book.take(np.array([row]))

            def healthy(x, alone=alone, move=move):
                return margin(model, alone, shifted(book.instruments, market, **move(x))).status[0] == HEALTHY

            if distance == 0.0:
                assert not healthy(0.0)
            elif distance < math.inf:
                assert healthy(max(distance - TOLERANCE, 0.0)), (name, row)
                assert not healthy(distance + TOLERANCE), (name, row)


def test_a_leveraged_perpetual_by_hand():
    """Long q at entry 100, mark 100.5·(1+x): cash + q(m − 100) < r·q·m, so m* = (100 − cash / q) / (1 − r)."""
    book = book_of({"long": {"BTC-PERPETUAL": 2.0}, "short": {"BTC-PERPETUAL": -2.0}}, {"long": 40.0, "short": 40.0})
    found = distances(Flat(0.05), book, MARKET)
    fall = 1.0 - (100.0 - 20.0) / 0.95 / 100.5
    rise = (100.0 + 20.0) / 1.05 / 100.5 - 1.0
    assert found.spot_down.tolist() == pytest.approx([fall, math.inf], abs=2 * TOLERANCE)
    assert found.spot_up.tolist() == pytest.approx([math.inf, rise], abs=2 * TOLERANCE)
    for name in ("vol_down", "vol_up", "days"):
        assert getattr(found, name).tolist() == [math.inf, math.inf]
    require_both_sides(Flat(0.05), book, MARKET, found)


def test_equity_equal_to_margin_has_no_distance_but_is_healthy():
    """Cash 5 against a charge of 5: healthy now, and the smallest fall of a long ends it."""
    flat = replace(MARKET, price=np.where(np.arange(9) == 0, 100.0, MARKET.price))
    book = book_of({"edge": {"BTC-PERPETUAL": 1.0}, "still": {}}, {"edge": 5.0, "still": 5.0})
    found = distances(Flat(ratio=0.0, charge=5.0), book, flat)
    assert margin(Flat(ratio=0.0, charge=5.0), book, flat).status.tolist() == [HEALTHY, HEALTHY]
    assert found.spot_down[0] <= 2 * TOLERANCE
    assert found.spot_up[0] == math.inf
    assert found.spot_down[1] == math.inf


def test_the_endangered_have_distance_nought_and_so_have_the_unknown():
    book = book_of({"below": {"BTC-PERPETUAL": 1.0}, "bare": {}}, {"below": 1.0})
    found = distances(Flat(0.05), book, MARKET)
    assert [getattr(found, field.name)[0] for field in fields(found)] == [0.0] * 5
    assert [getattr(found, field.name)[1] for field in fields(found)] == [math.inf] * 5
    unknown = distances(Flat(charge=math.nan), book, MARKET)
    assert [getattr(unknown, field.name).tolist() for field in fields(unknown)] == [[0.0, 0.0]] * 5


def test_a_short_straddle_is_endangered_both_ways_and_by_vol():
    book = book_of({"short": {"BTC-C100": -10.0, "BTC-P90": -10.0}}, {"short": 230.0})
    found = distances(Scan(), book, MARKET)
    assert 0.05 < found.spot_down[0] < 0.5
    assert 0.05 < found.spot_up[0] < 0.5
    assert 0.05 < found.vol_up[0] < 2.0
    assert found.vol_down[0] == math.inf
    assert found.days[0] == math.inf  # time is on its side
    require_both_sides(Scan(), book, MARKET, found)


def test_a_long_option_paid_on_credit_decays_to_a_known_day():
    """Time value melts: call − 3 falls below the charge of 1 when the call is worth 4."""
    market = replace(MARKET, rate=np.zeros(3), forward=np.array([100.0, 104.0, 10.05]))
    book = book_of({"buyer": {"BTC-C100": 1.0}}, {"buyer": -3.0})
    found = distances(Flat(ratio=0.0, charge=1.0), book, market)
    # at the money the call is worth 100·(2N(σ√T/2) − 1), so 2N(x) − 1 = 0.04 gives σ√T = 2x
    day = 30.0 - (2.0 * NORM_PPF_052 / 0.6) ** 2 * 365.0
    assert found.days[0] == pytest.approx(day, abs=1e-8)
    require_both_sides(Flat(ratio=0.0, charge=1.0), book, market, found)


def test_a_calendar_spread_outlives_its_near_leg_and_then_decays():
    """Both calls at the money; after the near one expires worthless the far one must stay worth 4 USD."""
    market = replace(MARKET, rate=np.zeros(3), forward=np.array([100.0, 100.0, 10.05]))
    book = book_of({"calendar": {"BTC-C100": -1.0, "BTC-FAR-C100": 1.0}}, {"calendar": -3.0})
    found = distances(Flat(ratio=0.0, charge=1.0), book, market)
    day = 120.0 - (2.0 * NORM_PPF_052 / 0.55) ** 2 * 365.0
    assert found.days[0] == pytest.approx(day, abs=1e-8)
    require_both_sides(Flat(ratio=0.0, charge=1.0), book, market, found)


@dataclass(frozen=True)
class Blind:
    """Knows nothing of accounts once BTC is below 80."""

    def at(self, instruments, market):
        return Flat(ratio=0.0, charge=math.nan if market.spot[0] < 80.0 else 0.0).at(instruments, market)


def test_an_account_that_becomes_unknown_is_no_longer_healthy():
    found = distances(Blind(), book_of({"any": {"BTC-PERPETUAL": 1.0}}, {"any": 1e6}), MARKET)
    assert found.spot_down[0] == pytest.approx(0.2, abs=2 * TOLERANCE)
    assert found.spot_up[0] == math.inf


@pytest.mark.parametrize("name", ["span", "pmrm", "standard", "tail"])
def test_both_sides_of_every_crossing_under_the_real_models(name):
    path = Path(__file__).parents[2] / "docs/examples/book.json"
    file = read_book(path.read_text(), path.name)
    model = model_of(MODELS, name, file, path.name)
    found = distances(model, file.book, file.market)
    assert (found.spot_down < math.inf).any()
    require_both_sides(model, file.book, file.market, found)


def test_limits_bound_the_search():
    book = book_of({"long": {"BTC-PERPETUAL": 2.0}}, {"long": 40.0})
    assert distances(Flat(0.05), book, MARKET, Limits(spot_down=0.1)).spot_down[0] == math.inf
    assert distances(Flat(0.05), book, MARKET, Limits(steps=1)).spot_down[0] == pytest.approx(0.16208431526577637)
    for bad in ({"spot_down": 1.0}, {"vol_down": 1.5}, {"days": math.nan}, {"steps": 0}):
        with pytest.raises(ValueError, match="Limits"):
            Limits(**bad)


def test_no_distance_is_nan_for_an_empty_book():
    found = distances(Flat(), book_of({}), replace(MARKET, seconds=np.array([1.0, 2.0, 3.0]) * DAY))
    assert found.spot_down.shape == (0,)
