"""What records refuse at their birth, by column and row, and how a book is cut."""

from dataclasses import dataclass, fields, replace

import numpy as np
import pytest

from engine.book import FUTURE, OPTION, PERPETUAL, TOKEN, Book, Instruments, account_sums, mark_to_market
from engine.market import Market, require_market, shifted
from engine.records import (
    column,
    floats,
    freeze,
    require_finite,
    require_length,
    require_not_negative,
    require_range,
    require_rows,
    require_slices,
)
from engine.scenarios import SkewShape, TermScale, historical
from engine.types import DAY, YEAR

NAMES = ("BTC-PERP", "BTC-30D", "BTC-30D-90000-P", "USDC")
INSTRUMENTS = Instruments(
    names=NAMES,
    underlyings=("BTC",),
    expiries=("30D",),
    kind=np.array([PERPETUAL, FUTURE, OPTION, TOKEN], np.int8),
    underlying=np.array([0, 0, 0, -1]),
    expiry=np.array([-1, 0, 0, -1]),
    strike=np.array([0.0, 0.0, 90_000.0, 0.0]),
    is_call=np.zeros(4, np.bool_),
)
MARKET = Market(
    spot=np.array([100_000.0]),
    spot_confidence=np.ones(1),
    expiry_underlying=np.zeros(1, np.int64),
    seconds=np.array([30.0]) * DAY,
    forward=np.array([60_000.0]),
    forward_fixed=np.array([41_000.0]),
    forward_confidence=np.ones(1),
    rate=np.array([0.05]),
    rate_confidence=np.ones(1),
    price=np.array([100_100.0, 0.0, 0.0, 1.0]),
    vol=np.array([0.0, 0.0, 0.6, 0.0]),
    confidence=np.ones(4),
)
BOOK = Book(
    instruments=INSTRUMENTS,
    accounts=("a", "b", "c"),
    cash=np.array([10.0, 20.0, 30.0]),
    start=np.array([0, 2, 2, 5]),
    instrument=np.array([0, 3, 2, 1, 0]),
    quantity=np.array([1.0, 100.0, -2.0, 0.5, -1.0]),
    entry=np.array([99_000.0, 0.0, 0.0, 101_000.0, 100_000.0]),
    accrued=np.array([5.0, 0.0, 0.0, -7.0, 0.0]),
)
SCENARIOS = historical(["down", "up"], np.array([[-0.1], [0.1]]))
RECORDS = (INSTRUMENTS, MARKET, BOOK, SCENARIOS)


def with_row(record: object, column: str, row: int | tuple[int, int], value: float) -> None:
    changed = getattr(record, column).copy()
    changed[row] = value
    replace(record, **{column: changed})  # type: ignore[type-var]


def test_a_book_is_marked_by_hand() -> None:
    value = np.array([100_100.0, 101_000.0, 1_500.0, 1.0])
    found = mark_to_market(BOOK, value)
    assert found.tolist() == [10 + 1_100 + 5 + 100, 20, 30 - 3_000 + (0 - 7) - 100]


def test_sums_of_accounts_run_from_left_to_right() -> None:
    column = np.array([1.0, 2.0, 1e16, 1.0, -1e16])
    assert account_sums(BOOK, column).tolist() == [3.0, 0.0, 0.0]


def test_a_cut_keeps_order_of_accounts_and_positions() -> None:
    cut = BOOK.take(np.array([2, 0, 1]))
    assert cut.accounts == ("c", "a", "b")
    assert cut.start.tolist() == [0, 3, 5, 5]
    assert cut.instrument.tolist() == [2, 1, 0, 0, 3]
    assert cut.account.tolist() == [0, 0, 0, 1, 1]
    again = cut.take(np.array([1, 2, 0]))
    for name in ("cash", "start", "instrument", "quantity", "entry", "accrued"):
        np.testing.assert_array_equal(getattr(again, name), getattr(BOOK, name), err_msg=name)
    assert BOOK.take(np.empty(0, np.int64)).accounts == ()


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_arrays_of_a_record_are_read_only(record: object) -> None:
    for field in fields(record):  # type: ignore[arg-type]
        column = getattr(record, field.name)
        if isinstance(column, np.ndarray):
            with pytest.raises(ValueError, match="read-only"):
                column[...] = 0


FINITE = [
    (INSTRUMENTS, ["strike"]),
    (MARKET, ["spot", "seconds", "forward", "forward_fixed", "rate", "price", "vol"]),
    (MARKET, ["spot_confidence", "forward_confidence", "rate_confidence", "confidence"]),
    (BOOK, ["cash", "quantity", "entry", "accrued"]),
    (SCENARIOS, ["spot", "vol", "vol_points", "weight", "days"]),
]


@pytest.mark.parametrize(
    ("record", "column"),
    [(record, column) for record, columns in FINITE for column in columns],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_are_refused_by_column_and_row(record: object, column: str, value: float) -> None:
    row = (0,) * getattr(record, column).ndim
    where = "0" if len(row) == 1 else r"\(0, 0\)"
    with pytest.raises(ValueError, match=rf"{type(record).__name__}\.{column}: .*{value} in row {where}"):
        with_row(record, column, row, value)


BELOW = [(MARKET, "spot", 0.0), (MARKET, "spot", -1.0), (INSTRUMENTS, "strike", -1.0)]
BELOW += [(MARKET, name, -1e-9) for name in ("seconds", "forward", "forward_fixed", "price", "vol")]
BELOW += [(MARKET, name, -0.1) for name in ("spot_confidence", "forward_confidence", "rate_confidence", "confidence")]
BELOW += [(MARKET, name, 1.1) for name in ("spot_confidence", "forward_confidence", "rate_confidence", "confidence")]
BELOW += [(SCENARIOS, "weight", -0.1), (SCENARIOS, "days", -1.0), (SCENARIOS, "skew", 3), (INSTRUMENTS, "kind", 4)]


@pytest.mark.parametrize(("record", "column", "value"), BELOW, ids=lambda value: str(value)[:12])
def test_numbers_out_of_range_are_refused_by_column_and_row(record: object, column: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"{type(record).__name__}\.{column}: expected numbers .* in row 0"):
        with_row(record, column, 0, value)


ROWS = [
    (INSTRUMENTS, "underlying", 1),
    (INSTRUMENTS, "underlying", -2),
    (INSTRUMENTS, "expiry", 1),
    (MARKET, "expiry_underlying", 1),
    (MARKET, "expiry_underlying", -1),
    (BOOK, "instrument", 4),
    (BOOK, "instrument", -1),
]


@pytest.mark.parametrize(("record", "column", "value"), ROWS, ids=lambda value: str(value)[:12])
def test_rows_that_do_not_exist_are_refused(record: object, column: str, value: int) -> None:
    with pytest.raises(
        IndexError, match=rf"{type(record).__name__}\.{column}: expected rows .*, found {value} in row 0"
    ):
        with_row(record, column, 0, value)


COLUMNS = [(r, f.name) for r in RECORDS for f in fields(r) if isinstance(getattr(r, f.name), np.ndarray)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("record", "column"), COLUMNS, ids=lambda value: value if isinstance(value, str) else type(value).__name__
)
def test_columns_that_miss_a_row_are_refused(record: object, column: str) -> None:
    with pytest.raises(ValueError, match=type(record).__name__):
        replace(record, **{column: getattr(record, column)[:-1]})  # type: ignore[type-var]


@pytest.mark.parametrize("start", [[0, 2, 2, 4], [1, 2, 2, 5], [0, 3, 2, 5], [0, 2, 2, 6]])
def test_slices_that_do_not_cover_the_positions_are_refused(start: list[int]) -> None:
    with pytest.raises(ValueError, match=r"Book\.start: expected non-decreasing slice starts from 0 to 5"):
        replace(BOOK, start=np.array(start))


def test_an_entry_price_of_what_is_bought_outright_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Book\.entry: expected 0 for USDC.*found 1\.0"):
        with_row(BOOK, "entry", 1, 1.0)


def test_instruments_that_contradict_themselves_are_refused() -> None:
    with pytest.raises(ValueError, match="BTC-PERP more than once"):
        replace(INSTRUMENTS, names=("BTC-PERP", "BTC-PERP", "x", "y"))
    with pytest.raises(ValueError, match="BTC-PERP is a perpetual, found expiry 0"):
        with_row(INSTRUMENTS, "expiry", 0, 0)
    with pytest.raises(ValueError, match="BTC-30D is a future, found expiry -1"):
        with_row(INSTRUMENTS, "expiry", 1, -1)
    with pytest.raises(ValueError, match="expected one for BTC-30D-90000-P, found none"):
        with_row(INSTRUMENTS, "underlying", 2, -1)


@pytest.mark.parametrize("price", [0.0, -1.0, np.nan, np.inf])
def test_a_stablecoin_without_a_price_is_refused(price: float) -> None:
    with pytest.raises(ValueError, match=r"Market\.stable_price"):
        replace(MARKET, stable_price=price)


def test_a_market_must_price_what_is_quoted_and_know_every_row() -> None:
    require_market(INSTRUMENTS, MARKET)
    unpriced = replace(MARKET, price=np.array([0.0, 0.0, 0.0, 1.0]))
    with pytest.raises(ValueError, match="expected a price > 0 for BTC-PERP"):
        require_market(INSTRUMENTS, unpriced)
    two = replace(MARKET, spot=np.array([1.0, 2.0]), spot_confidence=np.ones(2))
    with pytest.raises(ValueError, match=r"Market\.spot: expected 1 rows"):
        require_market(INSTRUMENTS, two)
    elsewhere = replace(two, expiry_underlying=np.ones(1, np.int64))
    with pytest.raises(ValueError, match="BTC-30D expires on another underlying"):
        require_market(replace(INSTRUMENTS, underlyings=("BTC", "ETH")), elsewhere)


def test_a_shift_moves_what_follows_the_underlying_and_nothing_that_is_fixed() -> None:
    moved = shifted(INSTRUMENTS, MARKET, spot=-0.5, vol=0.5, days=40.0)
    assert (moved.spot[0], moved.forward[0], moved.forward_fixed[0]) == (50_000.0, 30_000.0, 41_000.0)
    assert moved.price.tolist() == [50_050.0, 0.0, 0.0, 1.0]
    assert moved.vol.tolist() == pytest.approx([0.0, 0.0, 0.9, 0.0])
    assert (moved.seconds[0], moved.years[0]) == (0.0, 0.0)
    assert MARKET.years[0] == 30.0 * DAY / YEAR
    for wrong in ({"spot": -1.0}, {"vol": -1.1}, {"days": -1.0}, {"spot": np.nan}):
        with pytest.raises(ValueError, match="shifted: expected"):
            shifted(INSTRUMENTS, MARKET, **wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: TermScale(short_power=np.nan),
        lambda: TermScale(floor_days=-1.0),
        lambda: TermScale(floor_days=np.inf),
        lambda: SkewShape(min_k_star=-0.1),
        lambda: SkewShape(width_scale=np.inf),
        lambda: replace(SCENARIOS, vol_floor=-0.1),
        lambda: replace(SCENARIOS, vol_floor=np.nan),
        lambda: replace(SCENARIOS, names=("down",)),
        lambda: replace(SCENARIOS, names=("same", "same")),
        lambda: replace(SCENARIOS, spot=np.zeros((2, 3))),
        lambda: replace(SCENARIOS, spot=np.zeros(2)),
    ],
)
def test_scenarios_that_are_none_are_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"TermScale|SkewShape|Scenarios"):
        wrong()  # type: ignore[operator]


@dataclass(frozen=True)
class Row:
    column: np.ndarray


@pytest.mark.parametrize(
    ("check", "values", "message"),
    [
        (
            lambda r: require_finite(r, "column"),
            [1.0, np.nan],
            r"Row\.column: expected finite numbers, found nan in row 1",
        ),
        (lambda r: require_range(r, "column", 0.0), [0.0, -0.5], r"expected numbers >= 0, found -0\.5 in row 1"),
        (lambda r: require_range(r, "column", 0.0, 1.0), [np.nan], "expected numbers from 0 to 1, found nan in row 0"),
        (lambda r: require_length(r, 2, "column"), [1.0], r"expected 2 rows, found shape \(1,\)"),
        (lambda r: require_slices(r, "column", 1), [], "slice starts from 0 to 1"),
    ],
)
def test_checks_say_what_was_expected_found_and_where(check: object, values: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check(Row(np.array(values)))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("column", "found"),
    [
        (np.array([1.0, None]), "None in row 1"),
        (np.array(["1.0", "2.0"]), "<U3"),
        (np.array([1.0, 2.0j]), "complex128"),
        (np.ma.masked_array([1.0, np.nan], [False, True]), "MaskedArray"),
        ([1.0, 2.0], "list"),
    ],
    ids=["missing", "text", "complex", "masked", "list"],
)
def test_columns_of_what_is_no_number_are_refused(column: object, found: str) -> None:
    row = Row(column)  # type: ignore[arg-type]
    for check, bounds in ((require_finite, ()), (require_range, (0.0,)), (require_rows, (3,))):
        with pytest.raises(ValueError, match=rf"Row\.column: expected an array of numbers, found {found}"):
            check(row, "column", *bounds)


@dataclass(frozen=True)
class Parameters:
    rate: float


@pytest.mark.parametrize("rate", [-1e-9, np.nan, np.inf])
def test_a_parameter_below_zero_or_not_finite_is_refused_by_name(rate: float) -> None:
    require_not_negative(Parameters(0.0), "rate")
    with pytest.raises(ValueError, match=rf"Parameters\.rate: expected a finite number >= 0, found {rate}"):
        require_not_negative(Parameters(rate), "rate")


def test_a_column_is_read_only_and_its_source_is_not() -> None:
    source = np.arange(3.0)
    found = column(source, (2, 3))
    assert found.tolist() == [0.0, 1.0, 2.0, 0.0, 1.0, 2.0]
    assert not found.flags.writeable
    assert not column(source, (3,)).flags.writeable
    assert source.flags.writeable


def test_checks_let_their_bounds_pass() -> None:
    bounds = Row(np.array([0.0, 1.0]))
    require_range(bounds, "column", 0.0, 1.0)
    require_slices(Row(np.array([0, 0, 1])), "column", 1)
    require_rows(Row(np.array([-1, 2])), "column", 3, low=-1)
    with pytest.raises(IndexError, match=r"expected rows 0\.\.2, found 3 in row 1"):
        require_rows(Row(np.array([0, 3])), "column", 3)
    freeze(bounds)
    assert not bounds.column.flags.writeable
    assert floats(bounds.column).flags.writeable


def test_a_record_cannot_be_changed_through_the_arrays_it_was_made_of():
    cash, base = np.array([10.0, 20.0, 30.0]), np.array([1.0, 100.0, -2.0, 0.5, -1.0, 7.0])
    view = base[:5]
    view.flags.writeable = False
    book = replace(BOOK, cash=cash, quantity=view)
    cash[0], base[0] = np.nan, np.nan
    assert book.cash[0] == 10.0 and book.quantity[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        book.cash[0] = 1.0
    assert replace(book, cash=book.cash).cash is book.cash, "what nobody can write to is shared"
