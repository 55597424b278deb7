"""Aave V3's health: by hand, at its edges, and against the pool's own integers."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from engine.book import PERPETUAL, TOKEN, Book, Instruments
from engine.margin.base import MarginReport, margin
from engine.margin.lending import Category, Lending, Reserve
from engine.market import Market
from engine.types import ENDANGERED, HEALTHY

DECIMALS = {"WETH": 18, "WBTC": 8, "USDC": 6, "GOV": 18}
WETH, WBTC, USDC, GOV = range(4)
POOL = Lending(
    reserves={"WETH": Reserve(8000, 8250), "WBTC": Reserve(7000, 7500), "USDC": Reserve(7700, 8000), "GOV": Reserve()},
    categories={"ether": Category(("WETH",), Reserve(9300, 9500, 10_100))},
    category={"staker": "ether"},
)
UNROUNDED = Lending(reserves=POOL.reserves, whole_basis_points=False)


def instruments(kind: int = TOKEN) -> Instruments:
    return Instruments(
        names=tuple(DECIMALS),
        underlyings=("ETH",),
        expiries=(),
        kind=np.full(4, kind, np.int8),
        underlying=np.array([0, -1, -1, -1]) if kind == TOKEN else np.zeros(4, np.int64),
        expiry=np.full(4, -1),
        strike=np.zeros(4),
        is_call=np.zeros(4, np.bool_),
    )


INSTRUMENTS = instruments()


def market(prices: list[float]) -> Market:
    none = np.empty(0)
    return Market(
        spot=np.array([2_000.0]),
        spot_confidence=np.ones(1),
        expiry_underlying=np.empty(0, np.int64),
        seconds=none,
        forward=none,
        forward_fixed=none,
        forward_confidence=none,
        rate=none,
        rate_confidence=none,
        price=np.array(prices),
        vol=np.zeros(4),
        confidence=np.ones(4),
    )


def book(held: dict[str, list[tuple[int, float]]], cash: float = 0.0, accrued: float = 0.0) -> Book:
    rows = [row for account in held.values() for row, _ in account]
    return Book(
        instruments=INSTRUMENTS,
        accounts=tuple(held),
        cash=np.full(len(held), cash),
        start=np.cumsum([0, *map(len, held.values())]),
        instrument=np.array(rows, np.int64),
        quantity=np.array([quantity for account in held.values() for _, quantity in account], np.float64),
        entry=np.zeros(len(rows)),
        accrued=np.full(len(rows), accrued),
    )


def report(*held: tuple[int, float], account: str = "a", pool: Lending = POOL) -> MarginReport:
    return margin(pool, book({account: list(held)}), market([2_000.0, 50_000.0, 1.0, 10.0]))


def test_a_loan_by_hand() -> None:
    # 10 ether at 2,000 and a threshold of 82.5 % secure 16,500; 11,000 owed.
    found = report((WETH, 10.0), (USDC, -11_000.0))
    assert found.health[0] == 1.5
    assert (found.equity[0], found.mm_excess[0], found.im_excess[0]) == (9_000.0, 5_500.0, 5_000.0)
    assert found.status[0] == HEALTHY


def test_a_health_of_one_is_healthy_and_a_cent_more_of_debt_is_not() -> None:
    edge = report((WETH, 10.0), (USDC, -16_500.0))
    assert (edge.health[0], edge.mm_excess[0], edge.status[0]) == (1.0, 0.0, HEALTHY)
    assert edge.undecided[0]
    beyond = report((WETH, 10.0), (USDC, -16_500.01))
    assert beyond.health[0] < 1.0
    assert beyond.status[0] == ENDANGERED
    assert not beyond.undecided[0]


def test_the_average_threshold_is_floored_to_whole_basis_points() -> None:
    # (20,000 · 82.5 % + 1,000 · 80 %) / 21,000 = 82.38095 % → 82.38 %; unrounded 17,300 are secured.
    held = ((WETH, 10.0), (USDC, 1_000.0), (USDC, -5_000.0))
    assert report(*held).mm_excess[0] == pytest.approx(21_000 * 0.8238 - 5_000, rel=1e-14)
    assert report(*held, pool=UNROUNDED).mm_excess[0] == pytest.approx(17_300 - 5_000, rel=1e-14)


@pytest.mark.parametrize("quantity", [0.1, 1 / 3, 7.123456789, 1e-6])
def test_collateral_of_one_kind_has_its_own_threshold_to_the_last_bit(quantity: float) -> None:
    found = report((WETH, quantity), (WETH, quantity / 7), (USDC, -1e-9))
    assert not found.undecided[0]
    assert found.health[0] * 1e-9 == pytest.approx(0.825 * found.mark_to_market[0], rel=1e-5)


def test_an_average_on_a_whole_basis_point_is_left_to_the_integers() -> None:
    # Half at 82.5 %, half at 80 %: 81.25 % exactly, which rounding may floor to 81.24 %.
    assert report((WETH, 10.0), (USDC, 20_000.0), (USDC, -1.0)).undecided[0]
    assert not report((WETH, 10.0), (USDC, 20_001.0), (USDC, -1.0)).undecided[0]


def test_a_token_that_lends_nothing_by_itself_lends_nothing_in_e_mode() -> None:
    pool = Lending(
        reserves={"WETH": Reserve(0, 6000)},
        categories={"ether": Category(("WETH",), Reserve(9300, 9500, 10_100))},
        category={"staker": "ether"},
    )
    found = report((WETH, 1.0), account="staker", pool=pool)
    assert (found.im_excess[0], found.mm_excess[0]) == pytest.approx((0.0, 1_900.0))


def test_an_account_without_debt_is_infinitely_healthy() -> None:
    found = report((WETH, 1.0))
    assert (found.health[0], found.status[0], bool(found.undecided[0])) == (np.inf, HEALTHY, False)


def test_debt_without_collateral_has_no_health_at_all() -> None:
    found = report((USDC, -1.0))
    assert (found.health[0], found.status[0], found.equity[0], found.mm[0]) == (0.0, ENDANGERED, -1.0, 0.0)


def test_a_token_that_secures_nothing_counts_in_mark_to_market_only() -> None:
    found = report((GOV, 100.0), (USDC, 10.0))
    assert (found.equity[0], found.mark_to_market[0]) == (10.0, 1_010.0)


def test_supply_does_not_net_with_debt_in_the_same_token() -> None:
    found = report((USDC, 1_000.0), (USDC, -800.0))
    assert (found.health[0], found.equity[0]) == (1.0, 200.0)


def test_an_account_in_e_mode_borrows_more_against_its_category_only() -> None:
    assert report((WETH, 10.0), (USDC, -1_000.0), account="staker").mm_excess[0] == pytest.approx(19_000 - 1_000)
    assert report((USDC, 1_000.0), (WETH, -0.1), account="staker").mm_excess[0] == pytest.approx(800 - 200)


@pytest.mark.parametrize(
    ("health", "share"), [(np.inf, 0.0), (1.0, 0.0), (0.9999, 0.5), (0.9501, 0.5), (0.95, 1.0), (0.1, 1.0)]
)
def test_half_of_a_debt_may_be_closed_and_the_whole_from_095_down(health: float, share: float) -> None:
    assert POOL.closable(np.array([health]))[0] == share


@dataclass(frozen=True)
class Chain:
    """An account as the chain has it: amounts in base units, prices in 1e-8 USD."""

    prices: tuple[int, int, int, int]
    supplied: tuple[int, ...]  # by token
    owed: tuple[int, ...]

    def worth(self, amounts: tuple[int, ...]) -> list[int]:
        return [a * p // 10**d for a, p, d in zip(amounts, self.prices, DECIMALS.values(), strict=True)]

    def secured(self, *, floored: bool) -> int:
        """What debt the collateral carries, in 1e-8 USD: its average threshold floored, the product rounded half up."""
        reserves = [POOL.reserves[name].threshold for name in DECIMALS]
        counted = [(worth, points) for worth, points in zip(self.worth(self.supplied), reserves, strict=True) if points]
        total, weighted = sum(worth for worth, _ in counted), sum(worth * points for worth, points in counted)
        if not floored:
            return weighted // 10_000
        return (total * (weighted // total if total else 0) + 5_000) // 10_000

    def health(self) -> int:
        """Health in 1e-18, rounded half up; the account is liquidated below 10**18."""
        debt = sum(self.worth(self.owed))
        return (self.secured(floored=True) * 10**18 + debt // 2) // debt


@st.composite
def chains(draw: st.DrawFn) -> Chain:
    prices = tuple(draw(st.integers(10**6, 10**13)) for _ in DECIMALS)
    supplied = tuple(
        draw(st.sampled_from([0, 1, 3, 17, 1234])) * 10**d // draw(st.integers(1, 997)) for d in DECIMALS.values()
    )
    bare = Chain(prices, supplied, (0, 0, 0, 0))
    # Debt in USDC within a few base units of the line, or anywhere.
    line = bare.secured(floored=True) * 10**6 // prices[USDC]
    debt = max(1, line + draw(st.integers(-3, 3) | st.integers(-(10**9), 10**9) | st.integers(-line, line)))
    return Chain(prices, supplied, (0, 0, debt, draw(st.sampled_from([0, 10**18]))))


@given(chains())
@settings(deadline=None, derandomize=True, max_examples=300)
def test_outside_its_band_the_status_is_that_of_the_pools_integers(chain: Chain) -> None:
    if sum(chain.worth(chain.owed)) == 0:
        return
    units = [10**d for d in DECIMALS.values()]
    held = [(row, amount / units[row]) for row, amount in enumerate(chain.supplied) if amount]
    held += [(row, -amount / units[row]) for row, amount in enumerate(chain.owed) if amount]
    prices = market([price / 10**8 for price in chain.prices])
    found = margin(POOL, book({"a": held}), prices)
    if found.undecided[0]:
        return
    assert (found.status[0] == ENDANGERED) == (chain.health() < 10**18)
    excess = (chain.secured(floored=True) - sum(chain.worth(chain.owed))) / 1e8
    assert abs(found.mm_excess[0] - excess) <= found.band[0]
    unrounded = margin(UNROUNDED, book({"a": held}), prices)
    excess = (chain.secured(floored=False) - sum(chain.worth(chain.owed))) / 1e8
    assert abs(unrounded.mm_excess[0] - excess) <= unrounded.band[0]


def test_an_account_clear_of_the_line_is_decided() -> None:
    # The band is of the order of 1e-8 USD: it must not swallow what is plain.
    found = report((WETH, 10.0), (WBTC, 1.0), (USDC, -5_000.0))
    assert not found.undecided[0]
    assert found.band[0] < 1e-6


def test_what_a_pool_does_not_have_is_refused() -> None:
    prices = market([2_000.0, 50_000.0, 1.0, 10.0])
    with pytest.raises(ValueError, match=r"no cash.* in b"):
        POOL.at(INSTRUMENTS, prices)(book({"b": [(WETH, 1.0)]}, cash=1.0))
    with pytest.raises(ValueError, match=r"no accruals.* in b"):
        POOL.at(INSTRUMENTS, prices)(book({"b": [(WETH, 1.0)]}, accrued=1.0))
    perps = instruments(PERPETUAL)
    held = book({"b": [(WETH, 1.0)]})
    swapped = Book(
        perps, held.accounts, held.cash, held.start, held.instrument, held.quantity, held.entry, held.accrued
    )
    with pytest.raises(ValueError, match="tokens only, found WETH in account b"):
        POOL.at(perps, prices)(swapped)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Reserve(8000, 7900),
        lambda: Reserve(-1, 7900),
        lambda: Reserve(9000, 9600, 10_500),  # a liquidation would leave debt: 1.008
        lambda: Reserve(9000, 9500, 10_000),
        lambda: Lending(category={"a": "none"}),
        lambda: Lending(close_factor=0.0),
        lambda: Lending(full_close_health=1.5),
    ],
)
def test_parameters_out_of_range_are_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        wrong()  # type: ignore[operator]


def test_parameters_come_as_plain_data() -> None:
    plain = {"reserves": {"WETH": {"ltv": 8000, "threshold": 8250}}, "other": {"ltv": 0, "threshold": 0}}
    model = TypeAdapter(Lending).validate_python(plain)
    assert report((WETH, 10.0), (USDC, -16_500.0), pool=model).health[0] == 1.0
