"""Laws that every margin model keeps, and those that hold for scans and expected shortfall only."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from books import books, gross, in_parts, market, markets, merged, reordered, scaled, universe
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from engine.book import OPTION, PERPETUAL, TOKEN, Book
from engine.margin import MODELS
from engine.margin.base import MarginModel, MarginReport
from engine.margin.pmrm import Pmrm
from engine.margin.pmrm_accounts import Collateral
from engine.margin.pmrm_v1 import PmrmV1
from engine.margin.span import Commodity, Span
from engine.margin.tail import Tail
from engine.market import Market
from engine.revalue import risk_arrays
from engine.scan import worst
from engine.scenarios import Scenarios, Shock, historical, user_defined
from engine.types import HEALTHY

COLUMNS = ("equity", "im", "mm", "mark_to_market", "health", "band", "status", "undecided", "worst")
ACCEPTED = {
    "USDC": Collateral(is_risk_cancelling=False, mm_haircut=0.01, im_haircut=0.01),
    "WBTC": Collateral(is_risk_cancelling=True, mm_haircut=0.05, im_haircut=0.02),
    "WETH": Collateral(is_risk_cancelling=True, mm_haircut=0.05, im_haircut=0.02),
}
ROLLS = np.random.default_rng(11).standard_t(3, (64, 2)).clip(-6, 6) * 0.04
TAIL = Tail(history={"BTC": tuple(ROLLS[:, 0]), "ETH": tuple(ROLLS[:, 1])}, p_im=0.95, p_mm=0.9)


@dataclass(frozen=True)
class Case:
    """A model and the books it takes."""

    model: MarginModel
    kinds: tuple[int, ...] = (0, 1, 2, 3)
    cash: bool = True
    owed: bool = True
    stable: bool = True
    one_underlying: bool = False

    def books(self, **bounds: int) -> st.SearchStrategy[Book]:
        options = {name: getattr(self, name) for name in ("cash", "owed", "stable", "one_underlying")}
        return books(universe(self.kinds), **options, **bounds)


UNDATED = (OPTION, PERPETUAL, TOKEN)
CASES = {
    "span": Case(Span()),
    "pmrm": Case(Pmrm(collateral=ACCEPTED), UNDATED, owed=False, one_underlying=True),
    "pmrm_v1": Case(PmrmV1(), UNDATED, owed=False, stable=False, one_underlying=True),
    "standard": Case(MODELS["standard"](), UNDATED, owed=False, stable=False),
    "perp": Case(MODELS["perp"](), (PERPETUAL, TOKEN), owed=False),
    "lending": Case(MODELS["lending"](), (TOKEN,), cash=False),
    "tail": Case(TAIL),
    "arrays": Case(MODELS["arrays"](), UNDATED, owed=False, stable=False),
}
every_model = pytest.mark.parametrize("name", list(CASES))


@cache
def at(name: str) -> Any:
    case = CASES[name]
    return case.model.at(universe(case.kinds), market(universe(case.kinds)))


def near(book: Book) -> np.ndarray:
    return 1e-12 * gross(book, market(book.instruments)) + 1e-300


def assert_same(found: MarginReport, expected: MarginReport) -> None:
    """Bit for bit."""
    for column in COLUMNS:
        np.testing.assert_array_equal(getattr(found, column), getattr(expected, column), err_msg=column)
    for part, amount in expected.contingencies.items():
        np.testing.assert_array_equal(found.contingencies[part], amount, err_msg=part)


def test_every_model_is_held_to_the_laws() -> None:
    assert set(CASES) == set(MODELS)
    for name, model in MODELS.items():
        assert type(CASES[name].model) is model


@every_model
def test_a_model_comes_from_plain_data(name: str) -> None:
    assert TypeAdapter(MODELS[name]).validate_python({}) == MODELS[name]()


@every_model
def test_an_empty_account_needs_nothing_and_is_healthy(name: str) -> None:
    none = np.empty(0)
    held = universe(CASES[name].kinds)
    empty = Book(held, ("a",), np.zeros(1), np.zeros(2, np.int64), np.empty(0, np.int64), none, none, none)
    found = at(name)(empty)
    for column, value in (("equity", 0), ("im", 0), ("mm", 0), ("health", np.inf), ("status", HEALTHY), ("worst", -1)):
        assert getattr(found, column)[0] == value, column
    nobody = at(name)(Book(held, (), none, np.zeros(1, np.int64), np.empty(0, np.int64), none, none, none))
    assert nobody.equity.shape == nobody.status.shape == (0,)


@every_model
def test_a_book_in_instruments_of_the_same_names_but_other_terms_is_refused(name: str) -> None:
    held, none = universe(CASES[name].kinds), np.empty(0)
    for other in (replace(held, strike=held.strike + 1.0), replace(held, underlyings=("ETH", "BTC"))):
        book = Book(other, (), none, np.zeros(1, np.int64), np.empty(0, np.int64), none, none, none)
        with pytest.raises(ValueError, match=r"Book\.instruments: expected the instruments"):
            at(name)(book)
    same = replace(held, strike=held.strike.copy())
    at(name)(Book(same, (), none, np.zeros(1, np.int64), np.empty(0, np.int64), none, none, none))


@every_model
@given(data=st.data())
@settings(max_examples=40)
def test_the_book_equals_account_by_account_to_the_bit(name: str, data: st.DataObject) -> None:
    book = data.draw(CASES[name].books())
    whole = at(name)(book)
    for a in range(len(book.accounts)):
        alone = at(name)(book.take(np.array([a])))
        for column in COLUMNS:
            assert getattr(alone, column)[0] == getattr(whole, column)[a], column
        for part, amount in whole.contingencies.items():
            assert alone.contingencies[part][0] == amount[a], part


@every_model
@given(data=st.data())
@settings(max_examples=40)
def test_the_order_of_accounts_changes_nothing(name: str, data: st.DataObject) -> None:
    book = data.draw(CASES[name].books(least=2))
    order = np.array(data.draw(st.permutations(range(len(book.accounts)))))
    whole = at(name)(book)
    expected = replace(
        whole,
        **{column: getattr(whole, column)[order] for column in COLUMNS},
        contingencies={part: amount[order] for part, amount in whole.contingencies.items()},
    )
    assert_same(at(name)(book.take(order)), expected)


@every_model
@given(data=st.data())
@settings(max_examples=40)
def test_the_order_of_positions_changes_no_more_than_rounding(name: str, data: st.DataObject) -> None:
    book = data.draw(CASES[name].books())
    other = reordered(book, np.array(data.draw(st.permutations(range(book.quantity.size))), np.int64))
    first, second = at(name)(book), at(name)(other)
    decided = ~(first.undecided | second.undecided)  # at a step of the venue's rounding the floats may differ by it
    for column in ("equity", "im", "mm", "mark_to_market"):
        moved = np.abs(getattr(first, column) - getattr(second, column))
        assert (moved <= near(book))[decided].all(), column


@pytest.mark.parametrize("name", sorted(set(CASES) - {"lending"}))  # there supply and debt stand apart
@given(data=st.data())
@settings(max_examples=40)
def test_a_holding_in_parts_is_the_holding(name: str, data: st.DataObject) -> None:
    book = data.draw(CASES[name].books())
    long_only = (book.instruments.kind[book.instrument] == TOKEN) & (not CASES[name].owed)
    parts = in_parts(book, np.where(long_only, 0.75, 1.5))
    found, expected = at(name)(parts), at(name)(book)
    for column in ("equity", "im", "mm", "mark_to_market"):
        assert (np.abs(getattr(found, column) - getattr(expected, column)) <= 4.0 * near(book)).all(), column


@every_model
@given(data=st.data())
@settings(max_examples=60)
def test_a_position_of_nothing_changes_nothing(name: str, data: st.DataObject) -> None:
    book = data.draw(CASES[name].books(least=1))
    listed = np.arange(len(book.instruments.names))
    rows, spread = np.repeat(np.arange(len(book.accounts)), listed.size), np.tile(listed, len(book.accounts))
    order = np.argsort(np.append(book.account, rows), kind="stable")
    columns = {
        key: np.append(getattr(book, key), np.zeros(rows.size))[order] for key in ("quantity", "entry", "accrued")
    }
    instrument = np.append(book.instrument, spread)[order]
    found = at(name)(
        replace(book, start=book.start + np.arange(book.start.size) * listed.size, instrument=instrument, **columns)
    )
    expected = at(name)(book)
    for column in ("equity", "im", "mm", "mark_to_market"):
        assert (np.abs(getattr(found, column) - getattr(expected, column)) <= near(book)).all(), column


@every_model
@given(data=st.data())
@settings(max_examples=40)
def test_margin_scales_with_the_book(name: str, data: st.DataObject) -> None:
    book = data.draw(CASES[name].books())
    found = at(name)(book)
    for by, tolerance in ((0.25, 0.0), (64.0, 0.0), (3.0, 3.0)):
        times = at(name)(scaled(book, by))
        decided = ~(found.undecided | times.undecided) | (tolerance == 0.0)
        for column in ("equity", "im", "mm", "mark_to_market"):
            moved = np.abs(getattr(times, column) - by * getattr(found, column))
            assert (moved <= tolerance * near(book))[decided].all(), (column, by)


@pytest.mark.parametrize("name", ["span", "perp", "lending", "tail", "arrays"])
@given(data=st.data())
@settings(max_examples=40)
def test_margins_are_requirements_and_never_negative(name: str, data: st.DataObject) -> None:
    book = data.draw(CASES[name].books())
    found = at(name)(book)
    rounding = near(book)  # of a sum whose terms cancel
    assert (found.mm >= -rounding).all()
    assert (found.im >= -rounding).all()
    if name in ("span", "tail", "arrays"):  # the others' initial margins are not built on the maintenance margin
        assert (found.im >= found.mm - rounding).all()


@given(CASES["span"].books())
def test_netting_never_raises_scan_risk(book: Book) -> None:
    apart, together = (at("span")(held).contingencies["scan risk"].sum() for held in (book, merged(book)))
    assert together <= apart + near(merged(book))[0]


@given(CASES["tail"].books())
def test_netting_never_raises_expected_shortfall(book: Book) -> None:
    apart, together = at("tail")(book), at("tail")(merged(book))
    assert together.im[0] <= apart.im.sum() + near(merged(book))[0]
    assert together.mm[0] <= apart.mm.sum() + near(merged(book))[0]


def test_netting_can_raise_value_at_risk() -> None:
    # Each loses half in 4 of 100 scenarios, never both: alone the fifth-worst is no loss, together it is.
    moves = np.zeros((100, 2))
    moves[:4, 0] = moves[4:8, 1] = -0.5
    scenarios = historical([str(k) for k in range(100)], moves)
    held = universe((PERPETUAL, TOKEN))
    prices = market(held)
    none = np.zeros(2)
    book = Book(held, ("a", "b"), none, np.arange(3), np.array([0, 1]), np.array([0.01, 0.25]), none, none)
    for measure, raises in (("var", True), ("es", False)):
        of = Tail(measure=measure, p_im=0.95, p_mm=0.95).under(scenarios, held, prices)  # type: ignore[arg-type]
        apart, together = of(book).mm.sum(), of(merged(book)).mm[0]
        assert (together > apart) == raises
        assert together == pytest.approx(500.0)


def extended(scenarios: Scenarios, move: float, vol: float) -> Scenarios:
    """The same scenarios and one more."""
    one = user_defined([{"name": "one more", "spot": move, "vol": vol}], ("BTC", "ETH"))
    columns = ("spot", "vol", "vol_points", "skew", "weight", "days")
    return replace(
        scenarios,
        names=(*scenarios.names, "one more"),
        **{name: np.concatenate((getattr(scenarios, name), getattr(one, name))) for name in columns},
    )


@given(CASES["span"].books(), st.floats(-1.0, 2.0), st.floats(-1.0, 3.0))
@settings(max_examples=40)
def test_one_more_scenario_never_lowers_a_scan(book: Book, move: float, vol: float) -> None:
    few = historical([str(k) for k in range(5)], ROLLS[:5])
    prices = market(book.instruments)
    arrays = [risk_arrays(book.instruments, prices, scenarios).pnl for scenarios in (few, extended(few, move, vol))]
    fewer, more = (worst(book.start, book.instrument, book.quantity, pnl)[0] for pnl in arrays)
    assert (more <= fewer).all()


@pytest.mark.parametrize("name", ["pmrm", "pmrm_v1"])
@given(data=st.data(), move=st.floats(-0.9, 2.0), vol=st.sampled_from(["none", "up", "down"]))
@settings(max_examples=25)
def test_one_more_scenario_never_lowers_a_portfolio_margin(
    name: str, data: st.DataObject, move: float, vol: str
) -> None:
    book = data.draw(CASES[name].books())
    model: Any = CASES[name].model
    more = replace(model, scenarios=(*model.scenarios, Shock(move, vol)))
    found = more.at(book.instruments, market(book.instruments))(book)
    fewer = at(name)(book)
    assert (found.mm >= fewer.mm).all()
    assert (found.im >= fewer.im).all()


@given(CASES["perp"].books(), st.floats(1.0, 2.0))
@settings(max_examples=30)
def test_larger_shocks_never_lower_the_margin_of_a_linear_book(book: Book, by: float) -> None:
    prices = market(book.instruments)
    base = {"BTC": Commodity(0.16), "ETH": Commodity(0.18)}
    larger = {name: replace(commodity, price_scan=by * commodity.price_scan) for name, commodity in base.items()}
    history = {name: tuple(np.maximum(by * np.array(moves), -1.0)) for name, moves in TAIL.history.items()}
    for small, large in (
        (Span(commodities=base), Span(commodities=larger)),
        (TAIL, replace(TAIL, history=history)),
        (replace(TAIL, measure="var"), replace(TAIL, history=history, measure="var")),
    ):
        less, more = (model.at(book.instruments, prices)(book) for model in (small, large))
        assert (more.mm >= less.mm - near(book)).all()
        assert (more.im >= less.im - near(book)).all()


@pytest.mark.parametrize("name", ["pmrm", "pmrm_v1"])
@given(data=st.data(), by=st.floats(1.0, 2.0))
@settings(max_examples=25)
def test_larger_shocks_never_lower_the_portfolio_margin_of_a_linear_book(
    name: str, data: st.DataObject, by: float
) -> None:
    held = universe((PERPETUAL, TOKEN))
    book = data.draw(books(held, owed=False, stable=CASES[name].stable, one_underlying=True))
    model: Any = CASES[name].model
    larger = tuple(replace(shock, spot=max(by * shock.spot, -1.0)) for shock in model.scenarios)
    less, more = (of.at(held, market(held))(book) for of in (model, replace(model, scenarios=larger)))
    assert (more.mm >= less.mm - near(book)).all()
    assert (more.im >= less.im - near(book)).all()


ALL_KINDS = universe()


@given(markets(ALL_KINDS), st.floats(-1.0, 3.0), st.floats(-1.0, 3.0), st.floats(0.0, 1.0), st.floats(0.0, 40.0))
def test_a_call_less_its_put_moves_as_the_discounted_forward(
    prices: Market, move: float, vol: float, weight: float, days: float
) -> None:
    scenario = user_defined([{"name": "x", "spot": move, "vol": vol, "weight": weight, "days": days}], ("BTC", "ETH"))
    pnl = risk_arrays(ALL_KINDS, prices, scenario).pnl[:, 0]
    for row in np.flatnonzero((ALL_KINDS.kind == OPTION) & ALL_KINDS.is_call):
        name, expiry = ALL_KINDS.names[row], ALL_KINDS.expiry[row]
        put = ALL_KINDS.names.index(name[:-1] + "P")
        discount = np.exp(-prices.rate[expiry] * prices.years[expiry])
        forward = weight * discount * prices.forward[expiry] * move
        assert abs(pnl[row] - pnl[put] - forward) <= 1e-12 * (
            prices.forward[expiry] * (1 + abs(move)) + ALL_KINDS.strike[row]
        )
