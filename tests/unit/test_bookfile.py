"""Books in files: what names and columns mean, that JSON and CSV are one book, and that every fault is named."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.book import FUTURE, OPTION, PERPETUAL, TOKEN
from engine.margin.base import margin
from engine.margin.pmrm import Pmrm
from engine.margin.span import Span
from engine.margin.tail import Tail
from keeper.bookfile import model_of, read_book
from keeper.bookschema import named
from keeper.errors import ConfigError, ExitCode, KeeperError

EXAMPLES = Path(__file__).parents[2] / "docs/examples"
JSON, CSV = (EXAMPLES / "book.json").read_text(), (EXAMPLES / "book.csv").read_text()
FUTURE_NAME = "BTC-27MAR26"
MODELS = {"span": Span, "tail": Tail, "pmrm": Pmrm}


def with_future():
    """Return the example with a future beside its options."""
    form = json.loads(JSON)
    form["instruments"][FUTURE_NAME] = {}
    form["accounts"]["basis"]["positions"].append({"instrument": FUTURE_NAME, "quantity": -1, "entry": 91200})
    return form


def changed(*path, to):
    """Return the example with one value replaced, or removed where `to` is ...; a new key is added."""
    form = with_future()
    into = form
    for key in path[:-1]:
        into = into[key]
    if to is ...:
        del into[path[-1]]
    else:
        into[path[-1]] = to
    return json.dumps(form)


def fault(text):
    with pytest.raises(ConfigError) as error:
        read_book(text, "book")
    assert error.value.exit_code is ExitCode.CONFIG
    return str(error.value)


def test_the_example_as_columns():
    file = read_book(json.dumps(with_future()), "book.json")
    book, market = file.book, file.market
    kinds = dict(zip(book.instruments.names, book.instruments.kind.tolist(), strict=True))
    assert file.time == 1767945600.0
    assert kinds == {
        "BTC-PERPETUAL": PERPETUAL,
        "BTC-30JAN26-85000-P": OPTION,
        "BTC-30JAN26-95000-C": OPTION,
        "BTC-27MAR26-80000-P": OPTION,
        "BTC-27MAR26-100000-C": OPTION,
        "BTC-27MAR26-90000-P": OPTION,
        "BTC-27MAR26-90000-C": OPTION,
        "ETH-PERPETUAL": PERPETUAL,
        "ETH-27MAR26-3000-P": OPTION,
        "WETH": TOKEN,
        "BTC-27MAR26": FUTURE,
    }
    assert market.seconds.tolist() == [21 * 86400.0, 77 * 86400.0, 77 * 86400.0]
    assert market.forward.tolist() == [90300.0, 91000.0, 3131.5]
    assert book.instruments.strike.tolist() == [0, 85000, 95000, 80000, 100000, 90000, 90000, 0, 3000, 0, 0]
    assert np.flatnonzero(book.instruments.is_call).tolist() == [2, 4, 6]
    assert book.instruments.underlying.tolist() == [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0]
    assert book.accounts == ("covered-call", "short-strangle", "put-spread", "basis", "ether")
    assert book.start.tolist() == [0, 2, 4, 6, 10, 13]
    assert (book.accrued[0], book.entry[0], book.cash[0]) == (-31.25, 87500.0, 15000.0)
    assert file.scenarios.names == ("12 March 2020", "quiet week")


def test_json_and_csv_are_the_same_book():
    left, right = read_book(JSON, "book.json"), read_book(CSV, "book.csv")
    assert (left.time, left.book.accounts) == (right.time, right.book.accounts)
    one, other = (margin(Span(), file.book, file.market) for file in (left, right))
    for name in ("equity", "im", "mm", "mark_to_market"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-14)
    assert (one.equity.size, one.worst.tolist()) == (5, other.worst.tolist())


def test_a_spreadsheets_byte_order_mark_is_no_column():
    assert read_book("\ufeff" + CSV, "book.csv").time == read_book(CSV, "book.csv").time


@pytest.mark.parametrize(
    ("name", "means"),
    [
        ("BTC-PERPETUAL", ("perpetual", "BTC", None, None, None, None)),
        ("ETH-PERP", ("perpetual", "ETH", None, None, None, None)),
        ("BTC-27MAR26", ("future", "BTC", "BTC-27MAR26", 1774598400.0, None, None)),
        ("BTC-9JAN26-100000-C", ("option", "BTC", "BTC-9JAN26", 1767945600.0, 100000.0, "call")),
        ("XRP_USDC-30JUN23-0d625-P", ("option", "XRP_USDC", "XRP_USDC-30JUN23", 1688112000.0, 0.625, "put")),
        ("BTC-31FEB26", ("future", "BTC", "BTC-31FEB26", None, None, None)),
        ("BTC-27MAR26-100000", None),
        ("btc 27 march", None),
    ],
)
def test_names(name, means):
    found = named(name)
    assert (None if found is None else tuple(found)) == means


def test_decimal_strings_are_rounded_once():
    file = read_book(changed("accounts", "ether", "cash", to="0.1000000000000000055511151231257827"), "book")
    assert file.book.cash[4] == 0.1


def test_moves_of_scenarios_may_be_decimal_strings_too():
    file = read_book(changed("scenarios", 0, "spot", to={"BTC": "-0.388", "ETH": " -43e-2 "}), "book")
    assert file.scenarios.spot.tolist() == [[-0.388, -0.43], [0.0, 0.0]]
    assert file.scenarios.vol.tolist() == [[1.0, 1.0], [-0.1, -0.1]]
    assert (file.scenarios.days.tolist(), file.scenarios.weight.tolist()) == ([0.0, 7.0], [1.0, 1.0])


def test_nesting_that_would_overrun_the_parsers_stack_is_refused_whatever_the_process_allows():
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    try:
        assert "maximum recursion depth" in fault('{"a":' * 50_000)
        assert sys.getrecursionlimit() == 100_000
    finally:
        sys.setrecursionlimit(limit)


def test_a_csv_of_any_line_ends_is_the_same_book():
    for end in ("\r\n", "\r"):
        assert read_book(CSV.replace("\n", end), "book").book.accounts == read_book(CSV, "book").book.accounts


def test_a_unix_time_and_an_offset_are_times():
    for time in (1767945600, "1767945600", "2026-01-09T09:00:00+01:00"):
        assert read_book(changed("time", to=time), "book").time == 1767945600.0


@pytest.mark.parametrize(
    ("path", "to", "said"),
    [
        (("time",), "2026-01-09T08:00:00", "time: expected a time with its offset"),
        (("time",), 1767945600000, "time: expected less than 253402300800"),
        (("time",), True, "time: expected a valid number, found True"),
        (("underlyings", "BTC", "spot"), 0, "underlyings.BTC.spot: expected greater than 0, found 0"),
        (("underlyings", "BTC", "spot"), "9o", "underlyings.BTC.spot: expected a number, found '9o'"),
        (("underlyings", "BTC", "spot"), "NaN", "underlyings.BTC.spot: expected a finite number"),
        (("underlyings", "BTC", "spot"), 10**400, "underlyings.BTC.spot: expected a number that a float64 holds"),
        (("underlyings", "BTC"), 3, "underlyings.BTC: expected an object, found 3"),
        (("underlying",), {}, "underlying: expected no such key"),
        (("accounts",), ..., "accounts: expected a value, found none"),
        (
            ("instruments", "BTC-30JAN26-85000-P", "vol"),
            ...,
            "instruments.BTC-30JAN26-85000-P.vol: expected one for this",
        ),
        (("instruments", "BTC-PERPETUAL", "price"), ..., "instruments.BTC-PERPETUAL.price: expected one for this perp"),
        (("instruments", "BTC-PERPETUAL", "vol"), 0.5, "instruments.BTC-PERPETUAL.vol: expected none for a perpetual"),
        (("instruments", "WETH", "kind"), ..., "instruments.WETH.kind: expected one of option, perpetual, future"),
        (("instruments", "WETH", "kind"), "coin", "instruments.WETH.kind: expected 'option', 'perpetual', 'future'"),
        (("instruments", "ETH-PERPETUAL", "underlying"), "ETC", "did you mean ETH?"),
        (("instruments", "BTC-27MAR26", "underlying"), "ETH", "expected an expiry of ETH, found one of BTC"),
        (("expiries", "BTC-27MAR26"), ..., "instruments.BTC-27MAR26-80000-P.expiry: expected one of the file's own"),
        (
            ("expiries", "BTC-27MAR26", "at"),
            "2025-03-27T08:00Z",
            "expiries.BTC-27MAR26.at: expected a time from 2026-01-09T08:00:00",
        ),
        (("expiries", "BTC-31FEB26"), {"forward": 1}, "expiries.BTC-31FEB26.at: expected a time, found none"),
        (
            ("expiries", "soon"),
            {"forward": 1, "at": 1774598400},
            "expiries.soon.underlying: expected one of the file's",
        ),
        (("accounts", "ether", "positions"), {}, "accounts.ether.positions: expected a list, found an object"),
        (("accounts", "ether", "positions", 0, "entry"), ..., "positions[0].entry: expected the price a perpetual"),
        (("accounts", "ether", "positions", 1, "entry"), 99, "positions[1].entry: expected none for what is paid for"),
        (
            ("accounts", "ether", "positions", 0, "instrument"),
            "ETH-PERP",
            "found ETH-PERP; did you mean ETH-PERPETUAL?",
        ),
        (
            ("accounts", "ether", "positions", 0, "quantity"),
            ...,
            "accounts.ether.positions[0].quantity: expected a value",
        ),
        (("accounts", "\x1b[2J"), {}, "expected printable characters, found '\\x1b[2J'"),
        (("scenarios", 0, "name"), "a\rb", "scenarios[0].name: expected printable characters"),
        (("scenarios", 0, "spots"), 1, "scenarios[0].spots: expected no such key"),
        (("scenarios", 0, "name"), ..., "scenarios[0].name: expected a value, found none"),
        (("scenarios", 0, "spot"), 10**400, "scenarios[0].spot: expected a number that a float64 holds"),
        (("scenarios", 0, "spot"), {"BTC": "down"}, "scenarios[0].spot: expected a number"),
        (("scenarios", 0, "spot"), [1], "expected a number for spot, found [1]"),
        (("scenarios", 0, "spot"), "NaN", "expected finite numbers, found nan"),
        (("scenarios", 0, "spot"), -1.5, "Scenarios.spot: expected numbers >= -1"),
        (("scenarios", 0, "weight"), -1, "scenarios[0].weight: expected greater than or equal to 0"),
        (("scenarios", 0, "spot"), {"DOGE": 1}, "unknown underlyings DOGE"),
    ],
)
def test_a_fault_is_named(path, to, said):
    assert said in fault(changed(*path, to=to))


def test_every_fault_is_reported_at_once():
    form = json.loads(JSON)
    form["instruments"]["BTC-30JAN26-85000-P"] = {}
    form["accounts"]["ether"]["positions"][0]["instrument"] = "DOGE"
    text = fault(json.dumps(form))
    assert text.startswith("book: 2 to correct:")
    assert "BTC-30JAN26-85000-P.vol" in text and "found DOGE" in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "expected JSON, found"),
        ('{"a": 1, "a": 2}', "a more than once in one object"),
        ('{"time": NaN}', "NaN, which is no number"),
        ("", "expected JSON, or CSV"),
        ("time;account\n", "found time;account"),
        ("time,time\n", "each column once"),
        ('time,account\n"a', "expected CSV"),
        ("time,account\n1,a,b\n", "line 2: expected 2 cells, found more"),
        ("account,quantity\n,3\n", "line 2, account: expected the holder"),
        ("account,spot\na,3\n", "line 2, spot: expected an underlying in the row"),
        ("account,cash,instrument\na,3,X\na,4,Y\n", "line 3, cash: expected 3 as in a row before, found 4"),
        (
            CSV.replace("covered-call,,BTC-27MAR26-100000-C,-1", "covered-call,,BTC-27MAR26-100000-C,"),
            "quantity: expected",
        ),
    ],
)
def test_texts_that_are_no_book(text, said):
    assert said in fault(text)


def test_a_cell_repeated_in_other_digits_agrees():
    text = CSV.replace("basis,,BTC-27MAR26-90000-P,2,,,,,0.47,", "basis,20000.0,BTC-27MAR26-90000-P,2,,,,,47e-2,")
    assert text != CSV
    assert read_book(text, "book").book.cash.tolist() == read_book(CSV, "book").book.cash.tolist()


@settings(max_examples=30)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda s: st.lists(s) | st.dictionaries(st.text(), s)
    )
)
def test_whatever_a_section_holds_the_answer_is_a_message(junk):
    for key in ("time", "underlyings", "expiries", "instruments", "accounts", "parameters", "scenarios"):
        try:
            read_book(json.dumps({**json.loads(JSON), key: junk}), "book")
        except ConfigError as error:
            assert str(error).startswith("book: ")


@given(st.text())
def test_whatever_the_text_the_answer_is_a_message(text):
    with pytest.raises(ConfigError):
        read_book(text, "book")


def with_parameters(parameters):
    return read_book(changed("parameters", to=parameters), "book")


def test_parameters_reach_the_model():
    file = with_parameters({"span": {"im_ratio": "1.25", "commodities": {"BTC": {"price_scan": 0.2}}}})
    model = model_of(MODELS, "span", file, "book")
    assert (model.im_ratio, model.commodities["BTC"].price_scan) == (1.25, 0.2)
    assert model_of(MODELS, "span", read_book(JSON, "book"), "book") == Span()


def test_a_tail_margin_takes_the_files_scenarios():
    file = with_parameters({"tail": {"measure": "var", "p_im": 0.6, "p_mm": 0.5}})
    report = margin(model_of(MODELS, "tail", file, "book"), file.book, file.market)
    assert report.scenarios == ("12 March 2020", "quiet week")
    basis = file.book.accounts.index("basis")
    discount = np.exp(-0.04 * 77 / 365)  # by parity the options are a short forward
    assert report.equity[basis] == pytest.approx(20000 + 2 * 20 - 2 * discount * (91000 - 90000) + 200)
    assert report.im[basis] == 0.0  # short a future more than it is long, it gains in the crash
    straddled = file.book.accounts.index("short-strangle")
    assert report.im[straddled] == pytest.approx(52317.70, abs=0.005)


@pytest.mark.parametrize(
    ("name", "parameters", "said"),
    [
        ("spam", {}, "--model: expected one of span, tail, pmrm, found spam"),
        ("span", {"spam": {}}, "parameters: expected any of span, tail, pmrm, found spam"),
        ("span", {"span": {"imratio": 1.2}}, "parameters.span.imratio: expected one of commodities, other"),
        (
            "span",
            {"span": {"other": {"pricescan": 0.2}}},
            "parameters.span.other.pricescan: expected one of price_scan",
        ),
        ("span", {"span": {"spreads": [{"near": 0, "far": 0, "rate": 0, "x": 1}]}}, "parameters.span.spreads[0].x"),
        ("span", {"span": {"im_ratio": 0.5}}, "Span.im_ratio: expected a ratio >= 1, found 0.5"),
        ("span", {"span": {"im_ratio": "high"}}, "parameters.span.im_ratio: expected a valid number"),
    ],
)
def test_parameters_that_do_not_fit(name, parameters, said):
    with pytest.raises(KeeperError) as error:
        model_of(MODELS, name, with_parameters(parameters), "book")
    assert said in str(error.value)
    assert error.value.exit_code is (ExitCode.USAGE if name not in MODELS else ExitCode.CONFIG)


@pytest.mark.parametrize("name", ["lending.json", "perpetuals.csv"])
def test_the_other_examples_are_books(name):
    file = read_book((EXAMPLES / name).read_text(), name)
    assert np.isfinite(file.market.price).all()
    assert len(file.book.accounts) in (2, 3)


def test_a_vol_of_zero_is_no_vol() -> None:
    """An option whose vol was not found would otherwise pass as worth its intrinsic value."""
    text = (Path(__file__).parents[2] / "docs" / "examples" / "book.json").read_text()
    with pytest.raises(ConfigError, match=r"BTC-30JAN26-85000-P\.?.*vol"):
        read_book(
            text.replace('"BTC-30JAN26-85000-P": {"vol": 0.46}', '"BTC-30JAN26-85000-P": {"vol": 0}'), "book.json"
        )
