"""Both portfolio margins by hand arithmetic, by what accounts must not depend on, and by what is refused."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from pydantic import TypeAdapter

from engine.book import FUTURE, OPTION, PERPETUAL, TOKEN, Book, Instruments
from engine.margin.base import MarginReport, margin
from engine.margin.pmrm import Basis, Pmrm, StaticDiscount
from engine.margin.pmrm_accounts import Collateral
from engine.margin.pmrm_v1 import PmrmV1
from engine.margin.standard import Standard
from engine.market import Market
from engine.scenarios import Shock, TermScale
from engine.types import ENDANGERED, HEALTHY, UNKNOWN

# Two underlyings, ETH at 2,000 and BTC at 30,000 USD, each with two expiries, options at four strikes, a perpetual and
# its token; and a stablecoin.
SPOT = (2000.0, 30000.0)
STRIKES = (0.8, 1.0, 1.1, 1.5)
DAYS = (10.0, 90.0)
COLLATERAL = {
    "ETH": Collateral(mm_haircut=0.1, im_haircut=0.05, is_risk_cancelling=True),
    "BTC": Collateral(mm_haircut=0.1, im_haircut=0.05, is_risk_cancelling=True),
    "USDT": Collateral(mm_haircut=0.02),
}
NO_DISCOUNT = StaticDiscount(base=1.0, rate_multiple=0.0, rate_addition=0.0)


def world() -> tuple[Instruments, Market]:
    rows = [
        (f"{name}-{days:g}-{share:g}-{'C' if call else 'P'}", OPTION, u, 2 * u + e, share * SPOT[u], call, 0.0)
        for u, name in enumerate(("ETH", "BTC"))
        for e, days in enumerate(DAYS)
        for share in STRIKES
        for call in (True, False)
    ]
    rows += [(f"{name}-PERP", PERPETUAL, u, -1, 0.0, False, SPOT[u]) for u, name in enumerate(("ETH", "BTC"))]
    rows += [(name, TOKEN, u, -1, 0.0, False, SPOT[u]) for u, name in enumerate(("ETH", "BTC"))]
    rows.append(("USDT", TOKEN, -1, -1, 0.0, False, 1.0))
    names, kind, underlying, expiry, strike, is_call, price = zip(*rows, strict=True)
    instruments = Instruments(
        names=names,
        underlyings=("ETH", "BTC"),
        expiries=("ETH-10", "ETH-90", "BTC-10", "BTC-90"),
        kind=np.array(kind, np.int8),
        underlying=np.array(underlying, np.int64),
        expiry=np.array(expiry, np.int64),
        strike=np.array(strike),
        is_call=np.array(is_call),
    )
    market = Market(
        spot=np.array(SPOT),
        spot_confidence=np.ones(2),
        expiry_underlying=np.array([0, 0, 1, 1]),
        seconds=86400.0 * np.array([*DAYS, *DAYS]),
        forward=np.array([2005.0, 2030.0, 30050.0, 30300.0]),
        forward_fixed=np.zeros(4),
        forward_confidence=np.ones(4),
        rate=np.full(4, 0.05),
        rate_confidence=np.ones(4),
        price=np.array(price),
        vol=np.where(np.array(kind) == OPTION, 0.6, 0.0),
        confidence=np.ones(len(names)),
    )
    return instruments, market


INSTRUMENTS, MARKET = world()
MODELS = (Pmrm(collateral=COLLATERAL), PmrmV1())
BOTH = pytest.mark.parametrize("model", MODELS, ids=["second", "first"])


def book(*accounts: Mapping[str, float], cash: float = 0.0, instruments: Instruments = INSTRUMENTS) -> Book:
    rows = [instruments.names.index(name) for account in accounts for name in account]
    market_price = np.where(instruments.kind == PERPETUAL, MARKET.price, 0.0)
    return Book(
        instruments=instruments,
        accounts=tuple(f"account {a}" for a in range(len(accounts))),
        cash=np.full(len(accounts), cash),
        start=np.cumsum([0, *(len(account) for account in accounts)]),
        instrument=np.array(rows, np.int64),
        quantity=np.array([quantity for account in accounts for quantity in account.values()], np.float64),
        entry=market_price[rows],
        accrued=np.zeros(len(rows)),
    )


def random_book(accounts: int, seed: int) -> Book:
    """Accounts of one underlying each, in positions of any order, an instrument possibly in several."""
    random = np.random.default_rng(seed)
    of = [
        np.flatnonzero((INSTRUMENTS.underlying == u) | (INSTRUMENTS.kind == TOKEN)) if u < 2 else np.array([], int)
        for u in range(3)
    ]
    held = []
    for _ in range(accounts):
        rows = of[random.integers(0, 3)]
        held.append(random.choice(rows, random.integers(0, 13)) if rows.size else rows)
    rows = np.concatenate(held).astype(np.int64)
    quantity = np.round(random.normal(0.0, 5.0, rows.size), 2)
    quantity[INSTRUMENTS.kind[rows] == TOKEN] = np.abs(quantity[INSTRUMENTS.kind[rows] == TOKEN])
    return Book(
        instruments=INSTRUMENTS,
        accounts=tuple(str(a) for a in range(accounts)),
        cash=random.normal(0.0, 1e4, accounts),
        start=np.cumsum([0, *(r.size for r in held)]),
        instrument=rows,
        quantity=quantity,
        entry=np.where(INSTRUMENTS.kind[rows] == PERPETUAL, MARKET.price[rows] * 0.9, 0.0),
        accrued=np.where(INSTRUMENTS.kind[rows] == PERPETUAL, 12.5, 0.0),
    )


def _rows_in(instruments: Instruments, held: Mapping[str, float]) -> np.ndarray:
    return np.array([instruments.names.index(name) for name in held], np.int64)


def of_one_model(model: Pmrm | PmrmV1, random: Book) -> Book:
    """PMRM's first version knows no stablecoin and no foreign base asset."""
    if isinstance(model, Pmrm):
        return random
    traded = INSTRUMENTS.kind[random.instrument] != TOKEN
    return replace(random, quantity=np.where(traded, random.quantity, 0.0))


def numbers(report: MarginReport) -> np.ndarray:
    columns = (report.equity, report.im, report.mm, report.mark_to_market, report.band, report.worst)
    return np.stack([np.asarray(column, np.float64) for column in (*columns, *report.contingencies.values())])


# --- hand arithmetic


def test_a_short_perpetual():
    """+18 % costs 360 a unit and no dampened tail more than 277.2; 3 % and 1 % of spot on top."""
    report = margin(MODELS[0], book({"ETH-PERP": -2.0}, cash=1000.0), MARKET)
    assert report.equity[0] == 1000.0
    assert report.mm[0] == pytest.approx(0.8 * 720.0 + 0.03 * 4000.0)
    assert report.im[0] == pytest.approx(720.0 + 0.04 * 4000.0)
    assert report.scenarios[report.worst[0]] == "spot +0.18 vol up"
    assert report.status[0] == HEALTHY


def test_a_short_perpetual_in_the_first_version():
    """+20 % costs 400, 3 % of spot joins it, and IM is 1.25 times the whole."""
    report = margin(MODELS[1], book({"ETH-PERP": -1.0}), MARKET)
    assert report.mm[0] == pytest.approx(460.0)
    assert report.im[0] == pytest.approx(1.25 * 460.0)
    assert report.status[0] == ENDANGERED


def test_a_token_that_moves_and_one_that_does_not():
    """10 ETH lose 18 % and two haircuts; a stablecoin has haircuts only."""
    report = margin(MODELS[0], book({"ETH": 10.0}, {"USDT": 1000.0}), MARKET)
    np.testing.assert_allclose(report.equity, [20000.0, 1000.0])
    np.testing.assert_allclose(report.mm, [0.8 * 3600.0 + 2000.0, 20.0])
    np.testing.assert_allclose(report.im, [3600.0 + 3000.0, 20.0])


def test_a_token_moves_only_in_an_account_of_its_underlying():
    """The protocol's BTC manager does not count ETH as risk cancelling."""
    pnl = MODELS[0].at(INSTRUMENTS, MARKET).scenario_pnl(book({"BTC-PERP": 1e-9, "ETH": 1.0}, {"ETH": 1.0}))
    np.testing.assert_allclose(pnl[0], 0.0, atol=1e-4)
    assert pnl[1].min() == pytest.approx(-360.0)


def test_the_stable_price_divides_tokens_alone():
    report = margin(MODELS[0], book({"ETH": 1.0}, {"ETH-PERP": 1.0}, cash=10.0), replace(MARKET, stable_price=0.5))
    np.testing.assert_allclose(report.mark_to_market, [4010.0, 10.0])
    assert report.contingencies["scenario loss MM"] == pytest.approx([0.8 * 720.0, 0.8 * 360.0])


@BOTH
def test_a_stablecoin_off_its_peg_raises_im_alone(model):
    """Factor · (threshold − price): 4 · 0.04 and 2 · 0.03; at the threshold nothing."""
    held = book({"ETH-PERP": 1.0})
    at_peg = margin(model, held, replace(MARKET, stable_price=model.peg_threshold))
    below = margin(model, held, replace(MARKET, stable_price=0.95))
    factor = 4.0 * 0.04 if isinstance(model, Pmrm) else 2.0 * 0.03
    lost = 360.0 if isinstance(model, Pmrm) else 460.0
    assert at_peg.im[0] == margin(model, held, MARKET).im[0]
    assert below.im[0] - at_peg.im[0] == pytest.approx(factor * lost)
    assert below.mm[0] == at_peg.mm[0]


def test_naked_shorts_are_netted_at_their_strike_only():
    """A long put covers a short call of its strike and expiry; another strike or expiry covers nothing."""
    report = margin(
        MODELS[0],
        book(
            {"ETH-10-1-C": -3.0, "ETH-10-1-P": 3.0},
            {"ETH-10-1-C": -3.0, "ETH-10-1-P": 1.0},
            {"ETH-10-1-C": -3.0, "ETH-10-1.1-C": 3.0},
            {"ETH-10-1-C": -3.0, "ETH-90-1-C": 3.0},
        ),
        MARKET,
    )
    np.testing.assert_allclose(report.contingencies["option MM"], 0.003 * 2000.0 * np.array([0.0, 2.0, 3.0, 3.0]))
    np.testing.assert_allclose(report.contingencies["option IM"], 0.002 * 2000.0 * np.array([0.0, 2.0, 3.0, 3.0]))


def test_a_synthetic_forward_at_its_mark():
    """Long call and short put are worth D · (F − K) in every scenario: known without any option formula."""
    model = replace(MODELS[0], scenarios=(Shock(0.1), Shock(-0.1, "up")), gain_discount=NO_DISCOUNT)
    at = model.at(INSTRUMENTS, MARKET)
    pnl = at.scenario_pnl(book({"ETH-90-0.8-C": 1.0, "ETH-90-0.8-P": -1.0}))[0]
    discount = np.exp(-0.05 * 90.0 / 365.0)
    np.testing.assert_allclose(pnl, discount * np.array([203.0, -203.0]), rtol=1e-12)


def test_the_basis_contingency_decides_where_scenarios_do_not_move():
    """The synthetic forward loses D · 4.5 % · F, times 0.5 + 2 years."""
    model = Pmrm(scenarios=(Shock(0.0),), gain_discount=NO_DISCOUNT)
    report = margin(model, book({"ETH-90-0.8-C": 1.0, "ETH-90-0.8-P": -1.0}), MARKET)
    expected = np.exp(-0.05 * 90.0 / 365.0) * 0.045 * 2030.0 * (0.5 + 2.0 * 90.0 / 365.0)
    assert report.contingencies["basis"][0] == pytest.approx(expected)
    assert report.mm[0] == pytest.approx(0.8 * expected)
    assert report.scenarios[report.worst[0]] == "basis contingency"


@BOTH
def test_confidence_counts_below_its_threshold_only(model):
    """At the threshold nothing; just below it the whole (1 − c) · margin · notional, in IM alone."""
    held = book({"ETH-10-1-C": 2.0, "ETH-PERP": -3.0})
    at, below = (
        margin(model, held, replace(MARKET, spot_confidence=np.array([sure, 1.0])))
        for sure in (model.confidence_threshold, np.nextafter(model.confidence_threshold, 0.0))
    )
    charge = (1.0 - model.confidence_threshold) * model.confidence_margin * 5.0 * 2000.0
    assert at.contingencies["oracle confidence"][0] == 0.0
    assert below.im[0] - at.im[0] == pytest.approx(charge)
    assert below.mm[0] == at.mm[0]


@pytest.mark.parametrize(
    ("column", "row", "notional"),
    [
        ("forward_confidence", 0, 2.0),
        ("rate_confidence", 0, 2.0),
        ("forward_confidence", 1, 0.0),
        ("spot_confidence", 0, 2.0 + 3.0 + 4.0),
        ("spot_confidence", 1, 0.0),
        ("confidence", INSTRUMENTS.names.index("ETH-10-1-C"), 2.0),
        ("confidence", INSTRUMENTS.names.index("ETH-10-1-P"), 0.0),
        ("confidence", INSTRUMENTS.names.index("ETH-PERP"), 2.0 + 3.0),
        ("confidence", INSTRUMENTS.names.index("ETH"), 4.0),
    ],
)
def test_where_a_confidence_enters(column, row, notional):
    sure = getattr(MARKET, column).copy()
    sure[row] = 0.25
    held = book({"ETH": 4.0, "ETH-10-1-C": 2.0, "ETH-PERP": -3.0})
    report = margin(MODELS[0], held, replace(MARKET, **{column: sure}))
    assert report.contingencies["oracle confidence"][0] == pytest.approx(0.75 * notional * 2000.0)


def test_the_first_versions_base_asset_is_its_spot_in_price_and_confidence():
    """2 · 2,000 at the spot's confidence: 0.75 · 0.5 of it; what the token's own row says does not enter."""
    price, sure = MARKET.price.copy(), MARKET.confidence.copy()
    row = INSTRUMENTS.names.index("ETH")
    price[row], sure[row] = 1.0, 0.1
    market = replace(MARKET, price=price, confidence=sure)
    clear = margin(MODELS[1], book({"ETH": 2.0}), market)
    assert clear.mark_to_market[0] == 4000.0
    assert clear.contingencies["oracle confidence"][0] == 0.0
    doubtful = margin(MODELS[1], book({"ETH": 2.0}), replace(market, spot_confidence=np.array([0.25, 1.0])))
    assert doubtful.contingencies["oracle confidence"][0] == pytest.approx(0.75 * 0.5 * 4000.0)


def test_a_skew_scenario_never_helps():
    """It takes every expiry to turn the bad way: the loss of a book is that of its mirror image, expiry by expiry."""
    model = replace(
        MODELS[0],
        scenarios=(Shock(0.0, "linear"),),
        gain_discount=NO_DISCOUNT,
        loss_discount=NO_DISCOUNT,
        basis=Basis(addition=0.0, multiple=0.0),
    )
    held = {"ETH-10-0.8-P": 1.0, "ETH-10-1.5-C": -2.0, "ETH-90-1.5-C": 4.0}
    market = replace(MARKET, rate=np.zeros(4))
    pnl = model.at(INSTRUMENTS, market).scenario_pnl(book(held, {name: -size for name, size in held.items()}))[:, 0]
    assert pnl[0] == pytest.approx(pnl[1])
    assert pnl[0] < 0.0


# --- what an account must not depend on


@BOTH
@pytest.mark.parametrize("seed", range(3))
def test_an_account_alone_has_the_same_bits_as_in_a_book(model, seed):
    whole = of_one_model(model, random_book(60, seed))
    at = model.at(INSTRUMENTS, MARKET)
    together, pnl = numbers(at(whole)), at.scenario_pnl(whole)
    for a in range(60):
        alone = whole.take(np.array([a]))
        assert (numbers(at(alone))[:, 0] == together[:, a]).all()
        assert (at.scenario_pnl(alone)[0] == pnl[a]).all()


@BOTH
def test_another_underlying_in_the_tables_changes_nothing(model):
    """An ETH account is the same where BTC is not known at all."""
    rows = np.flatnonzero(INSTRUMENTS.underlying != 1)
    columns = ("kind", "underlying", "expiry", "strike", "is_call")
    alone = Instruments(
        names=tuple(INSTRUMENTS.names[row] for row in rows),
        underlyings=("ETH",),
        expiries=INSTRUMENTS.expiries[:2],
        **{name: getattr(INSTRUMENTS, name)[rows] for name in columns},
    )
    dated = (
        "expiry_underlying",
        "seconds",
        "forward",
        "forward_fixed",
        "rate",
        "forward_confidence",
        "rate_confidence",
    )
    market = replace(
        MARKET,
        **{name: getattr(MARKET, name)[:1] for name in ("spot", "spot_confidence")},
        **{name: getattr(MARKET, name)[rows] for name in ("price", "vol", "confidence")},
        **{name: getattr(MARKET, name)[:2] for name in dated},
    )
    held = {"ETH-PERP": -2.0, "ETH-10-1-C": -3.0, "ETH-90-1.1-P": 4.0, "ETH": 1.5}
    here = margin(model, book(held), MARKET)
    there = margin(model, replace(book(held), instruments=alone, instrument=_rows_in(alone, held)), market)
    assert (numbers(here) == numbers(there)).all()


@BOTH
def test_a_position_in_parts_or_in_another_order_is_the_same_position(model):
    at = model.at(INSTRUMENTS, MARKET)
    names = ["ETH-10-1-C", "ETH-PERP", "ETH-90-1.1-P", "ETH-10-1-P"]
    whole = book(dict(zip(names, (-4.0, 2.0, -6.0, 2.0), strict=True)))
    half = replace(whole, quantity=whole.quantity / 2.0)
    twice = Book(
        instruments=INSTRUMENTS,
        accounts=("account",),
        cash=np.zeros(1),
        start=np.array([0, 8]),
        **{
            name: np.concatenate((getattr(half, name), getattr(half, name)[::-1]))
            for name in ("instrument", "quantity", "entry", "accrued")
        },
    )
    for market in (MARKET, replace(MARKET, spot_confidence=np.full(2, 0.1))):
        at = model.at(INSTRUMENTS, market)
        assert at(twice).im == pytest.approx(at(whole).im, rel=1e-13)
        assert at(twice).mm == pytest.approx(at(whole).mm, rel=1e-13)


@BOTH
def test_an_account_of_hundreds_of_positions(model):
    """Every option of an underlying in twenty parts, in random order, is the account that holds them whole."""
    random = np.random.default_rng(5)
    rows = np.flatnonzero((INSTRUMENTS.underlying == 0) & (INSTRUMENTS.kind == OPTION))
    whole = book({INSTRUMENTS.names[row]: float(size) for row, size in zip(rows, random.normal(size=16), strict=True)})
    order = random.permutation(16 * 20)
    parts = Book(
        instruments=INSTRUMENTS,
        accounts=("account",),
        cash=np.zeros(1),
        start=np.array([0, order.size]),
        instrument=np.repeat(rows, 20)[order],
        quantity=np.repeat(whole.quantity / 20.0, 20)[order],
        entry=np.zeros(order.size),
        accrued=np.zeros(order.size),
    )
    doubtful = replace(MARKET, spot_confidence=np.full(2, 0.1))
    assert margin(model, parts, doubtful).im == pytest.approx(margin(model, whole, doubtful).im, rel=1e-12)


def test_the_parts_add_up_to_the_requirements():
    report = margin(MODELS[0], random_book(50, 4), replace(MARKET, spot_confidence=np.full(2, 0.3), stable_price=0.9))
    part = report.contingencies
    charges = part["perpetual MM"] + part["option MM"] + part["collateral haircut MM"]
    on_top = part["perpetual IM"] + part["option IM"] + part["collateral haircut IM"] + part["oracle confidence"]
    np.testing.assert_allclose(report.mm, part["scenario loss MM"] + charges, rtol=1e-13)
    np.testing.assert_allclose(report.im, part["scenario loss IM"] + charges + on_top, rtol=1e-13)
    first = margin(MODELS[1], of_one_model(MODELS[1], random_book(50, 4)), replace(MARKET, stable_price=0.9))
    part = first.contingencies
    charges = part["perpetual MM"] + part["option MM"] + part["base MM"]
    np.testing.assert_allclose(first.mm, part["scenario loss MM"] + charges, rtol=1e-13)
    im = part["scenario loss IM"] + charges + part["static IM"] + part["oracle confidence"]
    np.testing.assert_allclose(first.im, im, rtol=1e-13)


@BOTH
def test_a_book_without_accounts_and_accounts_without_positions(model):
    assert margin(model, book(), MARKET).mm.size == 0
    report = margin(model, replace(book({}, {}, {}), cash=np.array([1.0, 0.0, -1.0])), MARKET)
    assert report.mm.tolist() == [0.0, 0.0, 0.0]
    assert report.worst.tolist() == [-1, -1, -1]
    assert report.status.tolist() == [HEALTHY, HEALTHY, ENDANGERED]


@pytest.mark.parametrize("model", [*MODELS, Standard()], ids=["second", "first", "standard"])
def test_a_market_without_underlyings(model):
    none, rows = np.empty(0), np.empty(0, np.int64)
    instruments = Instruments(
        ("USDT",),
        (),
        (),
        np.array([TOKEN], np.int8),
        -np.ones(1, np.int64),
        -np.ones(1, np.int64),
        np.zeros(1),
        np.zeros(1, np.bool_),
    )
    market = Market(none, none, rows, none, none, none, none, none, none, np.ones(1), np.zeros(1), np.ones(1))
    held = Book(instruments, ("a",), np.ones(1), np.zeros(2, np.int64), rows, none, none, none)
    assert margin(model, held, market).im_excess.tolist() == [1.0]
    if model is MODELS[0]:
        pledged = replace(
            held,
            start=np.array([0, 1]),
            instrument=np.zeros(1, np.int64),
            **dict.fromkeys(("entry", "accrued"), np.zeros(1)),
            quantity=np.full(1, 100.0),
        )
        assert margin(model, pledged, market).mm_excess.tolist() == [99.0]


@BOTH
def test_a_book_whose_numbers_overflow_is_unknown(model):
    with np.errstate(over="ignore", invalid="ignore"):
        report = margin(model, book({"ETH-PERP": 1e308}, {"ETH-PERP": 1.0}, cash=1e6), MARKET)
    assert report.status.tolist() == [UNKNOWN, HEALTHY]


# --- what is refused


@BOTH
def test_an_account_on_two_underlyings_is_refused(model):
    with pytest.raises(ValueError, match="account 1: expected options and perpetuals of one underlying"):
        margin(model, book({"ETH-PERP": 1.0}, {"ETH-PERP": 1.0, "BTC-10-1-C": 1.0}), MARKET)


@BOTH
def test_a_token_owed_or_not_accepted_is_refused(model):
    with pytest.raises(ValueError, match=r"account 0: -1\.0 ETH is a debt"):
        margin(model, book({"ETH": -1.0}), MARKET)
    with pytest.raises(ValueError, match=r"account 1: 5\.0 USDT is not accepted"):
        margin(replace(model, collateral={}) if isinstance(model, Pmrm) else model, book({}, {"USDT": 5.0}), MARKET)


def test_the_first_version_refuses_a_foreign_base_asset():
    with pytest.raises(ValueError, match="of one underlying"):
        margin(MODELS[1], book({"ETH-PERP": 1.0, "BTC": 1.0}), MARKET)


@BOTH
def test_a_future_held_and_a_strange_book_are_refused(model):
    kind = INSTRUMENTS.kind.copy()
    kind[0] = FUTURE
    dated = replace(INSTRUMENTS, kind=kind)
    at = model.at(dated, MARKET)
    at(book({"ETH-PERP": 1.0}, instruments=dated))
    with pytest.raises(ValueError, match=r"account 0: 2\.0 ETH-10-0\.8-C is a dated future"):
        at(book({"ETH-10-0.8-C": 2.0}, instruments=dated))
    other = replace(INSTRUMENTS, names=tuple(reversed(INSTRUMENTS.names)))
    with pytest.raises(ValueError, match="expected the instruments the model was prepared for"):
        model.at(INSTRUMENTS, MARKET)(book(instruments=other))


def test_a_stablecoin_cannot_be_risk_cancelling():
    model = Pmrm(collateral={"USDT": Collateral(mm_haircut=0.0, is_risk_cancelling=True)})
    with pytest.raises(ValueError, match="USDT: risk cancelling"):
        model.at(INSTRUMENTS, MARKET)


def test_an_expired_option_without_a_floor_of_days_is_refused():
    """The protocol divides by zero there."""
    expired = replace(MARKET, seconds=np.zeros(4))
    assert np.isfinite(margin(MODELS[0], book({"ETH-10-1-C": -1.0}), expired).im).all()
    with pytest.raises(ValueError, match="no finite vol in scenario"):
        replace(MODELS[0], term=TermScale(0.3, 0.13, 0.0)).at(INSTRUMENTS, expired)


@pytest.mark.parametrize(
    "wrong",
    [
        {"vol_up": -0.1},
        {"im_factor": float("nan")},
        {"mm_factor": float("inf")},
        {"confidence_margin": -1.0},
        {"scenarios": ()},
        {"scenarios": tuple(Shock(0.01 * n) for n in range(41))},
        {"scenarios": (Shock(0.1, "linear"),)},
        {"scenarios": (Shock(-0.1, "abs"),)},
        {"scenarios": (Shock(0.0, "linear"), Shock(0.0, "linear", 0.5))},
    ],
)
def test_parameters_that_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        Pmrm(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"option": -0.1},
        {"scenarios": (Shock(0.1, "linear"),)},
        {"scenarios": (Shock(0.1, weight=0.5),)},
        {"scenarios": (Shock(2.1),)},
        {"scenarios": ()},
    ],
)
def test_parameters_that_the_first_version_refuses(wrong):
    with pytest.raises(ValueError, match="expected"):
        PmrmV1(**wrong)


@pytest.mark.parametrize(
    ("record", "wrong"),
    [
        (Shock, {"spot": 0.0, "vol": "sideways"}),
        (Shock, {"spot": -1.5}),
        (Shock, {"spot": 0.1, "weight": -1.0}),
        (Collateral, {"mm_haircut": 0.7, "im_haircut": 0.4}),
        (Collateral, {"mm_haircut": -0.1}),
        (Basis, {"up": -0.1}),
        (Basis, {"down": 0.1}),
        (Basis, {"down": -1.1}),
        (StaticDiscount, {"base": float("nan"), "rate_multiple": 0.0, "rate_addition": 0.0}),
    ],
)
def test_parts_of_parameters_that_are_refused(record, wrong):
    with pytest.raises(ValueError, match="expected"):
        record(**wrong)


def test_parameters_come_from_plain_data():
    given = {
        "scenarios": [{"spot": 0.1, "vol": "up"}, {"spot": 0.0, "vol": "abs", "weight": 0.5}],
        "collateral": {"ETH": {"mm_haircut": 0.1, "is_risk_cancelling": True}},
        "term": {"short_power": 0.2},
        "basis": {"up": 0.1},
        "vol_up": 0.7,
    }
    model = TypeAdapter(Pmrm).validate_python(given)
    assert model.scenarios == (Shock(0.1, "up"), Shock(0.0, "abs", 0.5))
    assert model.collateral["ETH"] == Collateral(mm_haircut=0.1, is_risk_cancelling=True)
    assert (model.term, model.basis, model.vol_up) == (TermScale(short_power=0.2), Basis(up=0.1), 0.7)
    assert TypeAdapter(PmrmV1).validate_python({"scenarios": [{"spot": 0.1}]}).scenarios == (Shock(0.1),)


def test_the_default_scenarios_are_pm2s():
    """23 regular, 8 tails, 2 turns of skew: risk_models 1.2."""
    shocks = Pmrm().scenarios
    assert len(shocks) == 33
    assert [shock.vol for shock in shocks].count("up") == 9 + 8
    assert sorted({shock.spot for shock in shocks[:23]}) == pytest.approx(np.arange(-4, 5) * 0.045)
    assert [shock.spot * shock.weight for shock in shocks[25:31]] == pytest.approx([0.1386] * 6)
    assert len(PmrmV1().scenarios) == 27


@BOTH
def test_scenario_names_are_those_of_the_shocks(model):
    names = margin(model, book(), MARKET).scenarios
    assert names == (*(shock.name for shock in model.scenarios), "basis contingency")
