"""The standard manager by hand arithmetic, by what accounts must not depend on, and by what is refused."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from pydantic import TypeAdapter

from engine.book import FUTURE, OPTION, PERPETUAL, TOKEN, Book, Instruments
from engine.margin.base import margin
from engine.margin.standard import (
    BaseTerms,
    OptionTerms,
    OracleTerms,
    PerpetualTerms,
    Standard,
    UnderlyingTerms,
)
from engine.market import Market
from engine.types import ENDANGERED, HEALTHY, UNKNOWN

# ETH at 2,000 and BTC at 30,000 USD. The expiries have come, so every option is worth its intrinsic value on the
# forward, which is the spot: the arithmetic needs no option formula.
SPOT = (2000.0, 30000.0)
STRIKES = (0.5, 0.95, 1.0, 1.1, 2.0)


def world() -> tuple[Instruments, Market]:
    rows = [
        (f"{name}-{e}-{share:g}-{'C' if call else 'P'}", OPTION, u, 2 * u + e, share * SPOT[u], call, 0.0)
        for u, name in enumerate(("ETH", "BTC"))
        for e in (0, 1)
        for share in STRIKES
        for call in (True, False)
    ]
    rows += [(f"{name}-PERP", PERPETUAL, u, -1, 0.0, False, 1.1 * SPOT[u]) for u, name in enumerate(("ETH", "BTC"))]
    rows += [(name, TOKEN, u, -1, 0.0, False, SPOT[u]) for u, name in enumerate(("ETH", "BTC"))]
    rows.append(("USDT", TOKEN, -1, -1, 0.0, False, 1.0))
    names, kind, underlying, expiry, strike, is_call, price = zip(*rows, strict=True)
    instruments = Instruments(
        names=names,
        underlyings=("ETH", "BTC"),
        expiries=("ETH 0", "ETH 1", "BTC 0", "BTC 1"),
        kind=np.array(kind, np.int8),
        underlying=np.array(underlying, np.int64),
        expiry=np.array(expiry, np.int64),
        strike=np.array(strike),
        is_call=np.array(is_call),
    )
    return instruments, Market(
        spot=np.array(SPOT),
        spot_confidence=np.ones(2),
        expiry_underlying=np.array([0, 0, 1, 1]),
        seconds=np.zeros(4),
        forward=np.repeat(SPOT, 2),
        forward_fixed=np.zeros(4),
        forward_confidence=np.ones(4),
        rate=np.full(4, 0.3),
        rate_confidence=np.zeros(4),
        price=np.array(price),
        vol=np.where(np.array(kind) == OPTION, 0.6, 0.0),
        confidence=np.ones(len(names)),
    )


INSTRUMENTS, MARKET = world()
TERMS = UnderlyingTerms(
    perpetual=PerpetualTerms(mm=0.05, im=0.1),
    option=OptionTerms(
        max_spot=0.15,
        min_spot=0.1,
        mm_call=0.08,
        mm_put=0.06,
        mm_put_mtm=0.07,
        unpaired_im=1.2,
        unpaired_mm=1.1,
        mm_offset=1.05,
    ),
    oracle=OracleTerms(perpetual_threshold=0.4, option_threshold=0.5, base_threshold=0.6, doubt=0.2),
    base=BaseTerms(margin_factor=0.8, im_scale=0.9),
)
MODEL = Standard(other=TERMS, depeg_threshold=0.98, depeg_factor=1.5)


def book(*accounts: Mapping[str, float], cash: float = 0.0, instruments: Instruments = INSTRUMENTS) -> Book:
    rows = [INSTRUMENTS.names.index(name) for account in accounts for name in account]
    return Book(
        instruments=instruments,
        accounts=tuple(f"account {a}" for a in range(len(accounts))),
        cash=np.full(len(accounts), cash),
        start=np.cumsum([0, *(len(account) for account in accounts)]),
        instrument=np.array(rows, np.int64),
        quantity=np.array([quantity for account in accounts for quantity in account.values()], np.float64),
        entry=np.where(instruments.kind == PERPETUAL, MARKET.price, 0.0)[rows],
        accrued=np.zeros(len(rows)),
    )


def excess(*accounts: Mapping[str, float], market: Market = MARKET) -> tuple[list[float], list[float]]:
    """The protocol's net IM and net MM of each account."""
    report = margin(MODEL, book(*accounts), market)
    return report.im_excess.tolist(), report.mm_excess.tolist()


def approx(*expected: float) -> object:
    return pytest.approx(list(expected), abs=1e-9)


# --- hand arithmetic


def test_a_perpetual_is_margined_at_its_mark():
    """Marks stand 10 % above spot: 2,200 and 33,000. Positions on two underlyings do not offset."""
    im, mm = excess({"ETH-PERP": -3.0}, {"ETH-PERP": 15.0, "BTC-PERP": -1.0})
    assert im == approx(-660.0, -6600.0)
    assert mm == approx(-330.0, -3300.0)


def test_a_long_option_counts_nothing():
    report = margin(MODEL, book({"ETH-0-0.5-C": 2.0}, cash=7.0), MARKET)
    assert report.mark_to_market[0] == 2007.0
    assert (report.im_excess[0], report.mm_excess[0]) == (7.0, 7.0)


@pytest.mark.parametrize(
    ("name", "im", "mm"),
    [
        ("ETH-0-1-C", -0.15 * 2000.0, -0.08 * 2000.0),  # at the money
        ("ETH-0-1.1-C", -0.10 * 2000.0, -0.08 * 2000.0),  # 10 % out: 0.15 − 0.10 is below the least, 0.10
        ("ETH-0-0.95-C", -100.0 - 0.15 * 2000.0, -100.0 - 0.08 * 2000.0),  # in the money: its value on top
        ("ETH-0-0.95-P", -0.10 * 2000.0, -0.06 * 2000.0),
        ("ETH-0-1.1-P", -200.0 - 0.15 * 2000.0, -200.0 - 0.06 * 2000.0),
    ],
)
def test_a_short_option_on_its_own(name, im, mm):
    found_im, found_mm = excess({name: -1.0})
    assert found_im == approx(im)
    assert found_mm == approx(mm)


def test_a_put_deep_in_the_money():
    """Worth 2,000: MM takes 7 % of that, more than 6 % of spot, and IM at least 1.05 MM. A put can pay no more than
    its strike, 4,000, and at a settlement of 0 it does; isolated is the better of the two."""
    im, mm = excess({"ETH-0-2-P": -1.0})
    assert mm == approx(-2000.0 - 0.07 * 2000.0)
    assert im == approx(min(-2000.0 - 0.15 * 2000.0, 1.05 * -2140.0))


def test_a_spread_loses_at_most_its_width():
    """Short the 1,900 call, long the 2,200: isolated −400, settled above 2,200 −300."""
    im, mm = excess({"ETH-0-0.95-C": -1.0, "ETH-0-1.1-C": 1.0})
    assert im == approx(-300.0)
    assert mm == approx(-260.0)


def test_the_other_expiry_covers_nothing():
    im, _ = excess({"ETH-0-0.95-C": -1.0, "ETH-1-0.95-C": 1.0})
    assert im == approx(-400.0)


def test_calls_without_cover_answer_with_the_forward():
    """Worst settlement at the strikes held is 0 for one short call; what is uncovered adds 1.2 or 1.1 forwards. A
    forward below the isolated margin makes that the better of the two."""
    low = replace(MARKET, forward=np.array([100.0, 2000.0, 30000.0, 30000.0]))
    im, mm = excess({"ETH-0-2-C": -1.0}, market=low)
    assert im == approx(-1.2 * 100.0)
    assert mm == approx(-1.1 * 100.0)


def test_a_strike_that_is_listed_but_not_held_is_no_settlement_price():
    """Beyond it one short call would pay 2,000 more; the protocol settles at the strikes held."""
    low = replace(MARKET, forward=np.array([100.0, 2000.0, 30000.0, 30000.0]))
    im, mm = excess({"ETH-0-1-C": -1.0, "ETH-0-2-C": 0.0}, market=low)
    assert im == approx(-1.2 * 100.0)
    assert mm == approx(-1.1 * 100.0)


def test_a_base_asset():
    """MtM is divided by the stable price, margin is not."""
    report = margin(MODEL, book({"BTC": 0.5}), replace(MARKET, stable_price=1.25))
    assert report.mark_to_market[0] == 12000.0
    assert report.mm_excess[0] == pytest.approx(0.8 * 15000.0)
    assert report.im_excess[0] == pytest.approx(0.9 * 0.8 * 15000.0)


def test_a_base_asset_is_worth_its_spot_whatever_its_own_price():
    price = MARKET.price.copy()
    price[INSTRUMENTS.names.index("BTC")] = 1.0
    assert margin(MODEL, book({"BTC": 0.5}), replace(MARKET, price=price)).mark_to_market[0] == 15000.0


def test_a_stablecoin_off_its_peg_takes_a_share_of_perpetuals_and_shorts():
    """1.5 · 0.08 of spot notional, 3 perpetuals and 2 shorts but no long; at the threshold nothing; IM alone."""
    held = {"ETH-PERP": -3.0, "ETH-0-1-C": -2.0, "ETH-1-1-P": 5.0}
    at, below = (margin(MODEL, book(held), replace(MARKET, stable_price=price)) for price in (0.98, 0.90))
    assert at.contingencies["depeg"][0] == 0.0
    assert below.contingencies["depeg"][0] == pytest.approx(0.12 * 2000.0 * 5.0)
    assert below.im[0] - at.im[0] == pytest.approx(0.12 * 2000.0 * 5.0)
    assert below.mm[0] == at.mm[0]


@pytest.mark.parametrize(
    ("column", "row", "threshold", "size"),
    [
        ("confidence", INSTRUMENTS.names.index("ETH-PERP"), 0.4, 3.0),
        ("confidence", INSTRUMENTS.names.index("ETH-0-2-P"), 0.5, 2.0),  # a surface has one confidence: its least
        ("forward_confidence", 0, 0.5, 2.0),
        ("forward_confidence", 1, 0.5, 0.0),
        ("rate_confidence", 0, 0.5, 0.0),
        ("confidence", INSTRUMENTS.names.index("ETH"), 0.6, 0.0),  # the base asset's price is the spot
    ],
)
def test_where_a_confidence_enters(column, row, threshold, size):
    """Below its threshold (1 − c) · 0.2 of spot notional of perpetuals, shorts or base; at it nothing; IM alone."""
    held = book({"ETH": 4.0, "ETH-0-1-C": -2.0, "ETH-1-1-P": 5.0, "ETH-PERP": -3.0})
    clear = margin(MODEL, held, MARKET)
    for sure, counted in ((threshold, 0.0), (threshold - 0.1, size)):
        column_with = getattr(MARKET, column).copy()
        column_with[row] = sure
        report = margin(MODEL, held, replace(MARKET, **{column: column_with}))
        charge = (1.0 - sure) * 0.2 * 2000.0 * counted
        assert report.contingencies["oracle confidence"][0] == pytest.approx(charge)
        assert report.im[0] - clear.im[0] == pytest.approx(charge)
        assert report.mm[0] == clear.mm[0]


def test_the_spots_confidence_enters_everywhere():
    doubtful = replace(MARKET, spot_confidence=np.array([0.3, 1.0]))
    held = book({"ETH": 4.0, "ETH-0-1-C": -2.0, "ETH-PERP": -3.0}, {"BTC": 1.0, "BTC-PERP": 1.0})
    charge = 0.7 * 0.2 * 2000.0 * (4.0 + 2.0 + 3.0)
    assert margin(MODEL, held, doubtful).contingencies["oracle confidence"].tolist() == approx(charge, 0.0)


def test_a_base_asset_that_im_does_not_count_needs_no_confidence():
    model = replace(MODEL, other=replace(TERMS, base=BaseTerms(margin_factor=0.8, im_scale=0.0)))
    report = margin(model, book({"ETH": 4.0}), replace(MARKET, spot_confidence=np.zeros(2)))
    assert report.contingencies["oracle confidence"][0] == 0.0
    assert report.im_excess[0] == 0.0


def test_terms_by_underlying():
    model = Standard(terms={"BTC": replace(TERMS, perpetual=PerpetualTerms(mm=0.2, im=0.3))}, other=TERMS)
    report = margin(model, book({"ETH-PERP": 1.0, "BTC-PERP": 1.0}), MARKET)
    assert report.mm[0] == pytest.approx(0.05 * 2200.0 + 0.2 * 33000.0)
    assert report.im[0] == pytest.approx(0.1 * 2200.0 + 0.3 * 33000.0)


# --- what an account must not depend on


def random_book(accounts: int, seed: int) -> Book:
    random = np.random.default_rng(seed)
    held = [random.integers(0, len(INSTRUMENTS.names) - 1, random.integers(0, 14)) for _ in range(accounts)]
    rows = np.concatenate(held)
    token = INSTRUMENTS.kind[rows] == TOKEN
    quantity = np.round(random.normal(0.0, 3.0, rows.size), 2)
    return Book(
        instruments=INSTRUMENTS,
        accounts=tuple(str(a) for a in range(accounts)),
        cash=random.normal(0.0, 1e4, accounts),
        start=np.cumsum([0, *(r.size for r in held)]),
        instrument=rows,
        quantity=np.where(token, np.abs(quantity), quantity),
        entry=np.where(INSTRUMENTS.kind[rows] == PERPETUAL, 2000.0, 0.0),
        accrued=np.zeros(rows.size),
    )


@pytest.mark.parametrize("seed", range(3))
def test_an_account_alone_has_the_same_bits_as_in_a_book(seed):
    whole = random_book(60, seed)
    at = MODEL.at(INSTRUMENTS, replace(MARKET, seconds=np.full(4, 1e6), spot_confidence=np.full(2, 0.2)))
    together = at(whole)
    for a in range(60):
        alone = at(whole.take(np.array([a])))
        for name in ("equity", "im", "mm", "band"):
            assert getattr(alone, name)[0] == getattr(together, name)[a]
        for name, column in together.contingencies.items():
            assert alone.contingencies[name][0] == column[a]


def test_underlyings_are_margined_apart():
    """The excess of an account is the sum of its parts' on each underlying."""
    eth = {"ETH-0-1-C": -2.0, "ETH-1-1.1-P": 3.0, "ETH-PERP": -1.0, "ETH": 2.0}
    btc = {"BTC-0-2-C": -1.0, "BTC-0-1-C": 1.0, "BTC-PERP": 0.5, "BTC": 0.1}
    im, mm = excess(eth, btc, eth | btc)
    assert im[2] == pytest.approx(im[0] + im[1])
    assert mm[2] == pytest.approx(mm[0] + mm[1])


def test_a_position_in_parts_is_the_same_position():
    names = ("ETH-0-1-C", "ETH-0-1-C", "ETH-PERP", "ETH-0-1-C", "ETH-PERP")
    parts = book({"ETH-0-1-C": 1.0, "ETH-PERP": 1.0})
    split = Book(
        instruments=INSTRUMENTS,
        accounts=("account 0",),
        cash=np.zeros(1),
        start=np.array([0, 5]),
        instrument=np.array([INSTRUMENTS.names.index(name) for name in names]),
        quantity=np.array([3.0, -4.0, 2.0, -1.0, -5.0]),
        entry=np.array([0.0, 0.0, 2200.0, 0.0, 2200.0]),
        accrued=np.zeros(5),
    )
    whole = replace(parts, quantity=np.array([-2.0, -3.0]))
    doubtful = replace(MARKET, spot_confidence=np.full(2, 0.1), stable_price=0.9)
    np.testing.assert_allclose(margin(MODEL, split, doubtful).im, margin(MODEL, whole, doubtful).im, rtol=1e-14)
    np.testing.assert_allclose(margin(MODEL, split, doubtful).mm, margin(MODEL, whole, doubtful).mm, rtol=1e-14)


def test_the_parts_add_up_to_the_requirements():
    report = margin(MODEL, random_book(50, 7), replace(MARKET, spot_confidence=np.full(2, 0.2), stable_price=0.9))
    part = report.contingencies
    im = sum(part[name] for name in ("perpetual IM", "option IM", "base IM", "oracle confidence", "depeg"))
    np.testing.assert_allclose(report.im, im, rtol=1e-13)
    mm = part["perpetual MM"] + part["option MM"] + part["base MM"]
    np.testing.assert_allclose(report.mm, mm, rtol=1e-13)
    assert (report.worst == -1).all()


def test_status():
    report = margin(MODEL, book({"ETH-PERP": 1.0}, {"ETH-PERP": 1.0}, cash=110.0), MARKET)
    assert report.status.tolist() == [HEALTHY, HEALTHY]
    assert margin(MODEL, book({"ETH-PERP": 1.0}, cash=109.9), MARKET).status[0] == ENDANGERED
    assert margin(MODEL, book(), MARKET).status.size == 0
    with np.errstate(over="ignore", invalid="ignore"):
        assert margin(MODEL, book({"ETH-PERP": 1e308}), MARKET).status[0] == UNKNOWN


# --- what is refused


def test_tokens_that_are_refused():
    with pytest.raises(ValueError, match=r"account 1: -2\.0 ETH is a debt"):
        excess({}, {"ETH": -2.0})
    with pytest.raises(ValueError, match=r"account 0: 3\.0 USDT is not accepted"):
        excess({"USDT": 3.0})


def test_an_option_on_a_forward_of_zero_is_refused_where_it_is_held():
    """The protocol reverts there."""
    dead = replace(MARKET, forward=np.array([2000.0, 0.0, 30000.0, 30000.0]))
    assert excess({"ETH-0-1-C": 1.0}, market=dead)[0] == [0.0]
    with pytest.raises(ValueError, match="ETH 1: expected a forward > 0"):
        excess({"ETH-1-1-C": 1.0}, market=dead)


def test_a_future_and_a_strange_book_are_refused():
    kind = INSTRUMENTS.kind.copy()
    kind[0] = FUTURE
    dated = replace(INSTRUMENTS, kind=kind)
    with pytest.raises(ValueError, match=r"account 0: 2\.0 .* is a dated future"):
        MODEL.at(dated, MARKET)(book({INSTRUMENTS.names[0]: 2.0}, instruments=dated))
    at = MODEL.at(INSTRUMENTS, MARKET)
    with pytest.raises(ValueError, match="expected the instruments the model was prepared for"):
        at(replace(book(), instruments=replace(INSTRUMENTS, names=tuple(reversed(INSTRUMENTS.names)))))


@pytest.mark.parametrize(
    ("record", "wrong"),
    [
        (PerpetualTerms, {"mm": 0.2, "im": 0.1}),
        (PerpetualTerms, {"mm": 0.0}),
        (PerpetualTerms, {"im": 1.0}),
        (OptionTerms, {"mm_put": -0.1}),
        (OptionTerms, {"unpaired_im": float("nan")}),
        (OracleTerms, {"doubt": -1.0}),
        (BaseTerms, {"margin_factor": 1.1}),
        (BaseTerms, {"im_scale": 1.1}),
        (Standard, {"depeg_factor": float("inf")}),
    ],
)
def test_parameters_that_are_refused(record, wrong):
    with pytest.raises(ValueError, match="expected"):
        record(**wrong)


def test_parameters_come_from_plain_data():
    given = {"terms": {"ETH": {"perpetual": {"mm": 0.03}, "base": {"margin_factor": 0.7}}}, "depeg_factor": 3.0}
    model = TypeAdapter(Standard).validate_python(given)
    assert model.terms["ETH"] == UnderlyingTerms(perpetual=PerpetualTerms(mm=0.03), base=BaseTerms(margin_factor=0.7))
    assert (model.depeg_factor, model.other) == (3.0, UnderlyingTerms())
