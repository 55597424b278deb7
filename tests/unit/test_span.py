"""SPAN by hand: what is scanned, charged, credited and held against equity."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import QuantLib as ql
from pydantic import TypeAdapter

from engine.book import FUTURE, OPTION, PERPETUAL, TOKEN, Book, Instruments
from engine.margin.base import MarginReport, margin
from engine.margin.span import Commodity, Offset, Span, Spread, composite_delta
from engine.market import Market
from engine.revalue import mark_values
from engine.scenarios import span16
from engine.types import DAY, ENDANGERED, HEALTHY, YEAR

BTC, ETH, NEAR, NEXT, LAST, CALL, USDC, OTHER = range(8)
INSTRUMENTS = Instruments(
    names=("BTC-PERP", "ETH-PERP", "BTC-7D", "BTC-20D", "BTC-200D", "BTC-7D-100000-C", "USDC", "JUNK"),
    underlyings=("BTC", "ETH"),
    expiries=("7D", "20D", "200D"),
    kind=np.array([PERPETUAL, PERPETUAL, FUTURE, FUTURE, FUTURE, OPTION, TOKEN, TOKEN], np.int8),
    underlying=np.array([0, 1, 0, 0, 0, 0, -1, -1]),
    expiry=np.array([-1, -1, 0, 1, 2, 0, -1, -1]),
    strike=np.array([0.0, 0.0, 0.0, 0.0, 0.0, 100_000.0, 0.0, 0.0]),
    is_call=np.array([False] * 5 + [True, False, False]),
)
MARKET = Market(
    spot=np.array([100_000.0, 4_000.0]),
    spot_confidence=np.ones(2),
    expiry_underlying=np.zeros(3, np.int64),
    seconds=np.array([7.0, 20.0, 200.0]) * DAY,
    forward=np.full(3, 100_000.0),
    forward_fixed=np.zeros(3),
    forward_confidence=np.ones(3),
    rate=np.zeros(3),
    rate_confidence=np.ones(3),
    price=np.array([100_000.0, 4_000.0, 0.0, 0.0, 0.0, 0.0, 1.0, 5.0]),
    vol=np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.0, 0.0]),
    confidence=np.ones(8),
)
TENTHS = Span(
    commodities={"BTC": Commodity(0.10, 0.25, 0.02), "ETH": Commodity(0.20, 0.25, 0.02)},
    days=0.0,
    spreads=(Spread(0, 0, 0.05), Spread(0, 1, 0.10), Spread(0, 2, 0.30)),
    offsets=(Offset("BTC", "ETH", 0.5),),
)
MARK = MARKET.price + np.array([0.0, 0.0, 1e5, 1e5, 1e5, 0.0, 0.0, 0.0])


def book(*accounts: tuple[float, dict[int, float]]) -> Book:
    """Accounts as cash and quantity by instrument, futures and perpetuals entered at their marks."""
    rows = [row for _, held in accounts for row in held]
    marked = np.isin(INSTRUMENTS.kind[rows], (PERPETUAL, FUTURE)) if rows else np.zeros(0, np.bool_)
    return Book(
        instruments=INSTRUMENTS,
        accounts=tuple(str(a) for a in range(len(accounts))),
        cash=np.array([cash for cash, _ in accounts]),
        start=np.cumsum([0] + [len(held) for _, held in accounts]),
        instrument=np.array(rows, np.int64),
        quantity=np.array([quantity for _, held in accounts for quantity in held.values()]),
        entry=np.where(marked, MARK[rows], 0.0),
        accrued=np.zeros(len(rows)),
    )


def report(*accounts: tuple[float, dict[int, float]], model: Span = TENTHS) -> MarginReport:
    return margin(model, book(*accounts), MARKET)


def parts(found: MarginReport) -> Sequence[float]:
    names = ("scan risk", "calendar spreads", "inter-commodity credit", "short-option minimum", "token haircuts")
    return [float(found.contingencies[name][0]) for name in names]


def test_an_outright_future_costs_its_scan_range() -> None:
    found = report((20_000.0, {BTC: 2.0}))
    assert found.mm[0] == pytest.approx(20_000.0, rel=1e-14)
    assert found.im[0] == pytest.approx(22_000.0, rel=1e-14)
    assert found.scenarios[found.worst[0]] == "BTC: spot −1 vol up"
    assert (found.equity[0], found.mark_to_market[0]) == (20_000.0, 20_000.0)


def test_equity_equal_to_the_margin_is_healthy_and_a_dollar_less_is_not() -> None:
    mm = report((0.0, {BTC: 2.0})).mm[0]
    found = report((mm, {BTC: 2.0}), (mm - 1.0, {BTC: 2.0}))
    assert found.status.tolist() == [HEALTHY, ENDANGERED]
    assert found.health[0] == 1.0


def test_opposite_months_of_one_tier_pay_the_spread_only() -> None:
    # Long one, short one: the scan nets to nothing; 5 % of a scan range of 10,000 for one unit of delta.
    assert parts(report((0.0, {NEAR: 1.0, NEXT: -1.0}))) == pytest.approx([0, 500, 0, 0, 0])


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_spreads_are_formed_in_their_order_from_what_earlier_ones_left(side: float) -> None:
    # Nearest tier: +1 −3; tier 2 (beyond 95 days): +5. First 1 within the nearest (500), then its 2 short against the
    # last (2 · 3,000), and 3 of the last stay outright: a scan of 30,000.
    found = report((0.0, {NEAR: side, NEXT: -3.0 * side, LAST: 5.0 * side}))
    assert parts(found) == pytest.approx([30_000, 500 + 6_000, 0, 0, 0])


def test_the_last_day_of_a_tier_belongs_to_it() -> None:
    to_the_day = Span(commodities=TENTHS.commodities, days=0.0, tier_days=(20.0,), spreads=(Spread(0, 0, 0.05),))
    assert parts(report((0.0, {NEAR: 1.0, NEXT: -1.0}), model=to_the_day)) == pytest.approx([0, 500, 0, 0, 0])


def test_of_two_underlyings_that_cost_the_same_the_first_decides() -> None:
    alike = Span(commodities={}, other=Commodity(0.25, 0.25), days=0.0)
    found = report((0.0, {ETH: 25.0, BTC: 1.0}), model=alike)
    assert found.contingencies["scan risk"][0] == 50_000.0
    assert found.scenarios[found.worst[0]] == "BTC: spot −1 vol up"


def test_a_perpetual_is_a_month_of_its_own_in_the_nearest_tier() -> None:
    assert parts(report((0.0, {BTC: -2.0, NEAR: 2.0}))) == pytest.approx([0, 1_000, 0, 0, 0])


def test_opposite_underlyings_are_credited_on_both_legs_by_delta() -> None:
    # Long 1 BTC (100,000), short 10 ETH (40,000): scans 10,000 and 8,000. 40,000 USD of delta pair: all of ETH's price
    # risk and 40 % of BTC's, half of each credited.
    found = report((0.0, {BTC: 1.0, ETH: -10.0}))
    assert parts(found) == pytest.approx([18_000, 0, -0.5 * (4_000 + 8_000), 0, 0])
    assert found.mm[0] == pytest.approx(12_000)
    assert found.scenarios[found.worst[0]] == "BTC: spot −1 vol up"


def test_underlyings_on_one_side_earn_no_credit() -> None:
    assert parts(report((0.0, {BTC: 1.0, ETH: 10.0}))) == pytest.approx([18_000, 0, 0, 0, 0])


def test_a_second_offset_has_only_the_delta_that_the_first_left() -> None:
    twice = Span(
        commodities=TENTHS.commodities, days=0.0, offsets=(Offset("BTC", "ETH", 0.5), Offset("ETH", "BTC", 0.9))
    )
    found = report((0.0, {BTC: 1.0, ETH: -10.0}), model=twice)
    assert found.contingencies["inter-commodity credit"][0] == pytest.approx(-6_000)


def test_an_offset_of_two_to_one_pairs_twice_the_dollars_of_its_second_leg() -> None:
    # 25 ETH are 100,000 USD of delta and pair with 50,000 of BTC's 100,000.
    model = Span(commodities=TENTHS.commodities, days=0.0, offsets=(Offset("BTC", "ETH", 0.5, ratio=2.0),))
    found = report((0.0, {BTC: 1.0, ETH: -25.0}), model=model)
    assert found.contingencies["inter-commodity credit"][0] == pytest.approx(-0.5 * (5_000 + 20_000))


def call(spot: float, vol: float, days: float) -> float:
    return float(ql.blackFormula(ql.Option.Call, 100_000.0, spot, vol * np.sqrt(days / 365)))


def losses(quantity: float, extreme: float, days: float) -> list[float]:
    """The array of the call under TENTHS, loss > 0, from QuantLib."""
    moves = [(m / 3 * 0.1, 0.5 * v, 1.0) for m in (0, 1, -1, 2, -2, 3, -3) for v in (1.25, 0.75)]
    moves += [(0.1 * extreme, 0.5, 0.35), (-0.1 * extreme, 0.5, 0.35)]
    return [-quantity * w * (call(1e5 * (1 + m), v, 7 - days) - call(1e5, 0.5, 7)) for m, v, w in moves]


@pytest.mark.parametrize(
    ("quantity", "extreme", "days", "active", "pair"),
    [(1.0, 2.0, 1.0, 13, 12), (-1.0, 3.0, 0.0, 14, 14)],
)
def test_price_risk_is_the_move_alone_vol_averaged_out_and_time_taken_off(
    quantity: float, extreme: float, days: float, active: int, pair: int
) -> None:
    array = losses(quantity, extreme, days)
    assert int(np.argmax(array)) == active
    price_risk = (array[active] + array[pair]) / 2 - (array[0] + array[1]) / 2
    span = Span(commodities=TENTHS.commodities, extreme=extreme, days=days, offsets=TENTHS.offsets)
    scenarios = span16([0.1, 0.2], [0.25, 0.25], days=days)
    net = composite_delta(INSTRUMENTS, MARKET, scenarios, span.delta_weights)[CALL]
    # 40,000 USD of ether's delta pair with less than all of the call's.
    found = report((0.0, {CALL: quantity, ETH: -10.0 * quantity}), model=span)
    credit = 0.5 * 40_000.0 * (min(price_risk / net, 0.1) + 0.2)
    assert net > 40_000.0
    assert found.contingencies["inter-commodity credit"][0] == pytest.approx(-credit, rel=1e-9)


def test_what_gamma_puts_at_risk_earns_no_credit() -> None:
    # A short call hedged but for 100 USD of delta risks far more than a tenth of that; a short ether of 4,000 pairs
    # with the 100: half of the scan range of each leg, 10 and 20.
    delta = composite_delta(INSTRUMENTS, MARKET, span16([0.1, 0.2], [0.25, 0.25]), TENTHS.delta_weights)
    hedge = (delta[CALL] + 100.0) / 100_000.0
    found = report((0.0, {CALL: -1.0, BTC: hedge, ETH: -1.0}))
    assert found.contingencies["scan risk"][0] > 2_000.0
    assert found.contingencies["inter-commodity credit"][0] == pytest.approx(-0.5 * (10.0 + 20.0), rel=1e-9)


def test_a_far_short_option_costs_the_minimum() -> None:
    still = Span(commodities={"BTC": Commodity(0.10, 0.0, 0.15)}, days=0.0, extreme_cover=0.0)
    found = report((0.0, {CALL: -1.0, BTC: 1.0}), model=still)
    # Scan: a covered call loses at most the future's fall less the option's gain, below 10,000; the minimum is 15,000.
    assert found.contingencies["scan risk"][0] < 10_000.0
    assert found.mm[0] == pytest.approx(15_000.0)


def test_a_credit_does_not_lower_the_minimum() -> None:
    # The ether's own 800, half credited, stands beside the 15,000 of the short option.
    still = Span(
        commodities={"BTC": Commodity(0.10, 0.0, 0.15), "ETH": Commodity(0.20, 0.0, 0.0)},
        days=0.0,
        extreme_cover=0.0,
        offsets=TENTHS.offsets,
    )
    found = report((0.0, {CALL: -1.0, BTC: 1.0, ETH: -1.0}), model=still)
    assert found.mm[0] == pytest.approx(15_400.0)


def test_what_nets_out_counts_neither_as_a_short_nor_as_a_holding() -> None:
    # The call sold and bought back: the perpetual's 10,000 alone. Of 10 tokens 4 are owed again: 6 at 5 USD.
    still = Span(commodities={"BTC": Commodity(0.10, 0.0, 0.15)}, days=0.0, extreme_cover=0.0)
    opened = book((0.0, {BTC: 1.0, CALL: -1.0, OTHER: 10.0}))
    closing = {"instrument": [CALL, OTHER], "quantity": [1.0, -4.0], "entry": [0.0, 0.0], "accrued": [0.0, 0.0]}
    rows = {name: np.append(getattr(opened, name), column) for name, column in closing.items()}
    found = margin(still, replace(opened, start=np.array([0, 5]), **rows), MARKET)
    assert parts(found) == pytest.approx([10_000, 0, 0, 0, 30])


def test_a_long_option_covers_its_own_risk() -> None:
    # Bought with all the cash there was. CME: requirement = risk − option value, against no cash at all.
    value = mark_values(INSTRUMENTS, MARKET)[CALL]
    found = report((0.0, {CALL: 1.0}))
    assert found.equity[0] == pytest.approx(value)
    assert 0.0 < found.mm[0] <= value
    assert found.contingencies["net option value, in equity"][0] == pytest.approx(value)
    cme_requirement, cash = found.mm[0] - value, 0.0
    assert found.mm_excess[0] == pytest.approx(cash - cme_requirement)


def test_the_premium_of_a_short_option_is_no_cushion() -> None:
    # The premium came in as cash and is owed at its mark: equity is what was there before, and all risk is required.
    value = mark_values(INSTRUMENTS, MARKET)[CALL]
    found = report((value + 1_000.0, {CALL: -1.0}))
    assert found.equity[0] == pytest.approx(1_000.0)
    assert found.contingencies["net option value, in equity"][0] == pytest.approx(-value)
    cme_requirement, cash = found.mm[0] + value, value + 1_000.0
    assert found.mm_excess[0] == pytest.approx(cash - cme_requirement)


def test_the_scan_is_the_worst_of_sixteen_prices_from_quantlib() -> None:
    found = report((0.0, {CALL: -1.0})).contingencies["scan risk"][0]
    assert found == pytest.approx(max(losses(-1.0, 2.0, 0.0)), rel=1e-10)


def test_the_composite_delta_is_quantlibs_delta_at_seven_prices_weighted() -> None:
    scenarios = span16([0.1, 0.2], [0.25, 0.25], days=1.0)
    delta = composite_delta(INSTRUMENTS, MARKET, scenarios, (0.27, 0.217, 0.11, 0.038))

    def slope(spot: float) -> float:
        deviation = 0.5 * np.sqrt(6 * DAY / YEAR)
        return ql.BlackCalculator(ql.PlainVanillaPayoff(ql.Option.Call, 1e5), spot, deviation).deltaForward()

    weights = {0: 0.27, 1: 0.217, -1: 0.217, 2: 0.11, -2: 0.11, 3: 0.038, -3: 0.038}
    expected = sum(w * slope(1e5 * (1 + 0.1 * m / 3)) for m, w in weights.items())
    assert delta[CALL] / 1e5 == pytest.approx(expected, rel=1e-10)
    assert delta[[BTC, ETH, NEAR, LAST, USDC]].tolist() == [1e5, 4e3, 1e5, 1e5, 0.0]


def test_tokens_count_after_their_haircut_and_unknown_ones_not_at_all() -> None:
    found = report((0.0, {USDC: 1_000.0, OTHER: 10.0}))
    assert (found.equity[0], found.mm[0], found.im[0]) == (1_050.0, 50.0, 50.0)
    assert found.worst[0] == -1


def test_an_account_owing_a_stablecoin_has_no_haircut_on_it() -> None:
    found = report((2_000.0, {OTHER: -10.0}))
    assert (found.equity[0], found.mm[0]) == (1_950.0, 0.0)


def test_a_book_of_stablecoins_needs_no_underlying() -> None:
    none = np.zeros(0)
    tokens = Instruments(
        names=("USDT",),
        underlyings=(),
        expiries=(),
        kind=np.array([TOKEN], np.int8),
        underlying=np.array([-1]),
        expiry=np.array([-1]),
        strike=np.zeros(1),
        is_call=np.zeros(1, np.bool_),
    )
    market = Market(
        spot=none.copy(),
        spot_confidence=none.copy(),
        expiry_underlying=np.zeros(0, np.int64),
        seconds=none.copy(),
        forward=none.copy(),
        forward_fixed=none.copy(),
        forward_confidence=none.copy(),
        rate=none.copy(),
        rate_confidence=none.copy(),
        price=np.ones(1),
        vol=np.zeros(1),
        confidence=np.ones(1),
    )
    held = Book(
        instruments=tokens,
        accounts=("holder",),
        cash=np.array([5.0]),
        start=np.array([0, 1]),
        instrument=np.zeros(1, np.int64),
        quantity=np.array([100.0]),
        entry=np.zeros(1),
        accrued=np.zeros(1),
    )
    found = margin(Span(), held, market)
    assert (found.equity[0], found.mm[0], found.worst[0]) == (105.0, 2.0, -1)


def test_parts_add_up_to_the_maintenance_margin() -> None:
    found = report((0.0, {NEAR: 1.0, NEXT: -3.0, LAST: 5.0, ETH: -50.0, CALL: -2.0, OTHER: 3.0}))
    assert sum(parts(found)) == pytest.approx(found.mm[0], rel=1e-14)


def test_parameters_come_as_plain_data() -> None:
    model = TypeAdapter(Span).validate_python(
        {"commodities": {"BTC": {"price_scan": 0.1, "vol_scan": 0.2}}, "offsets": [], "im_ratio": 1.2}
    )
    assert model.commodities["BTC"] == Commodity(0.1, 0.2)
    assert report((0.0, {BTC: 1.0}), model=model).im[0] == pytest.approx(12_000.0)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Span(delta_weights=(0.27, 0.217, 0.11, 0.05)),
        lambda: Span(tier_days=(30.0, 20.0)),
        lambda: Span(spreads=(Spread(0, 3, 0.1),)),
        lambda: Span(other_haircut=1.1),
        lambda: Span(haircuts={"USDC": float("nan")}),
        lambda: Span(im_ratio=0.9),
        lambda: Span(extreme=0.5),
        lambda: Span(extreme_cover=float("nan")),
        lambda: Span(days=-1.0),
        lambda: Commodity(price_scan=0.0),
        lambda: Commodity(vol_scan=-0.1),
        lambda: Spread(1, 0, 0.1),
        lambda: Offset("BTC", "BTC", 0.1),
        lambda: Offset("BTC", "ETH", 1.1),
    ],
)
def test_parameters_out_of_range_are_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        wrong()  # type: ignore[operator]


def test_a_book_in_other_instruments_is_refused() -> None:
    other = Instruments(
        names=("x",),
        underlyings=("BTC",),
        expiries=(),
        kind=np.array([PERPETUAL], np.int8),
        underlying=np.zeros(1, np.int64),
        expiry=np.array([-1]),
        strike=np.zeros(1),
        is_call=np.zeros(1, np.bool_),
    )
    none = np.empty(0)
    empty = Book(other, (), none, np.zeros(1, np.int64), np.empty(0, np.int64), none, none, none)
    with pytest.raises(ValueError, match="instruments"):
        TENTHS.at(INSTRUMENTS, MARKET)(empty)
