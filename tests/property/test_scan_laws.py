"""Laws of the scans: scaling, netting, more scenarios, order of positions, and no account disturbs another."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import scan, tail_scan

INSTRUMENTS = 9
EXPIRIES = 3
scenario_counts = st.sampled_from([1, 5, 27, 32, 33, 64, 70, 300])
probabilities = st.sampled_from([0.3, 0.75, 0.9, 0.975, 0.99])


@dataclass(frozen=True)
class Drawn:
    """A book of several accounts with groups, one table of values and the terms of its expiries."""

    account_start: np.ndarray
    group_start: np.ndarray
    group_expiry: np.ndarray
    instrument: np.ndarray
    quantity: np.ndarray
    values: np.ndarray
    weight: np.ndarray
    skew: np.ndarray
    terms: np.ndarray

    @property
    def start(self) -> np.ndarray:
        """Slices of positions per account."""
        return self.group_start[self.account_start]

    @property
    def arrays(self) -> np.ndarray:
        return self.values[:, : self.weight.size]

    def by_expiry(self, **change: np.ndarray):
        book = {
            "account_start": self.account_start,
            "group_start": self.group_start,
            "group_expiry": self.group_expiry,
            "instrument": self.instrument,
            "quantity": self.quantity,
            "values": self.values,
            "weight": self.weight,
            "skew": self.skew,
            "discount_gain": self.terms[0],
            "discount_loss": self.terms[1],
            "basis_scale": self.terms[2],
        }
        return book | change


@pytest.fixture(scope="module", autouse=True)
def small_blocks():
    """Tail scans of more than 64 scenarios go through several blocks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tail_scan, "BLOCK_BYTES", tail_scan.LANES * 8 * INSTRUMENTS)
        yield


def slices(sizes: list[int]) -> np.ndarray:
    return np.concatenate(([0], np.cumsum(sizes, dtype=np.int64))).astype(np.int64)


@st.composite
def books(draw: st.DrawFn, accounts: int | None = None) -> Drawn:
    if accounts is None:
        accounts = draw(st.integers(1, 8))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    account_start = slices(random.integers(0, 4, accounts).tolist())
    group_start = slices(random.integers(0, 6, account_start[-1]).tolist())
    scenarios = draw(scenario_counts)
    positions = group_start[-1]
    return Drawn(
        account_start,
        group_start,
        random.integers(scan.LINEAR, EXPIRIES, account_start[-1]),
        random.integers(0, INSTRUMENTS, positions),
        random.standard_normal(positions) * 10.0 ** random.integers(-3, 4, positions),
        random.standard_t(3, (INSTRUMENTS, scenarios + 3)),
        random.uniform(0.1, 1.0, scenarios),
        random.random(scenarios) < 0.2,
        random.uniform(0.1, 1.3, (3, EXPIRIES)),
    )


def slack(book: Drawn) -> float:
    """Room for rounding: a part in 1e12 of everything the book could gain or lose."""
    return 1e-12 * (1.0 + float(np.abs(book.quantity).sum()) * float(np.abs(book.values).max()))


@given(books(), st.integers(-20, 20))
def test_a_book_twice_the_size_loses_twice_as_much(book: Drawn, power: int) -> None:
    factor = 2.0**power
    once = scan.worst(book.start, book.instrument, book.quantity, book.arrays)
    scaled = scan.worst(book.start, book.instrument, factor * book.quantity, book.arrays)
    assert np.array_equal(scaled[0], factor * once[0])
    assert np.array_equal(scaled[1], once[1])
    once_by_expiry = scan.worst_by_expiry(**book.by_expiry())
    scaled_by_expiry = scan.worst_by_expiry(**book.by_expiry(quantity=factor * book.quantity))
    assert np.array_equal(scaled_by_expiry[0], factor * once_by_expiry[0])
    assert np.array_equal(scaled_by_expiry[1], once_by_expiry[1])


@given(books(accounts=2), probabilities)
def test_netting_two_accounts_never_raises_scan_loss_or_shortfall(book: Drawn, probability: float) -> None:
    netted = book.start[[0, 2]]
    apart, _ = scan.worst(book.start, book.instrument, book.quantity, book.arrays)
    merged, _ = scan.worst(netted, book.instrument, book.quantity, book.arrays)
    assert merged[0] >= apart.sum() - slack(book)
    _, es_apart = tail_scan.tail_risk(book.start, book.instrument, book.quantity, book.arrays, probability)
    _, es_merged = tail_scan.tail_risk(netted, book.instrument, book.quantity, book.arrays, probability)
    assert es_merged[0] <= es_apart.sum() + slack(book)


def test_value_at_risk_may_rise_when_accounts_are_netted() -> None:
    # two short digitals: each loses 100 in nine scenarios of a thousand, none of them shared
    arrays = np.zeros((2, 1000))
    arrays[0, :9] = arrays[1, 9:18] = -100.0
    rows, ones = np.array([0, 1]), np.ones(2)
    var, es = tail_scan.tail_risk(np.array([0, 1, 2]), rows, ones, arrays, 0.99)
    netted_var, netted_es = tail_scan.tail_risk(np.array([0, 2]), rows, ones, arrays, 0.99)
    assert (var.tolist(), netted_var.tolist()) == ([0.0, 0.0], [100.0])
    assert es.tolist() == pytest.approx([90.0, 90.0])
    assert netted_es.tolist() == pytest.approx([100.0])


@given(books())
def test_one_more_scenario_never_lowers_the_requirement(book: Drawn) -> None:
    fewer, _ = scan.worst(book.start, book.instrument, book.quantity, book.values[:, :-1])
    more, _ = scan.worst(book.start, book.instrument, book.quantity, book.values)
    assert (more <= fewer).all()
    added = book.by_expiry(
        values=np.insert(book.values, book.weight.size, 0.5, axis=1),
        weight=np.append(book.weight, 1.0),
        skew=np.append(book.skew, True),
    )
    assert (scan.worst_by_expiry(**added)[0] <= scan.worst_by_expiry(**book.by_expiry())[0]).all()


@given(books(), probabilities)
def test_an_account_alone_has_bitwise_the_figures_it_has_in_the_book(book: Drawn, probability: float) -> None:
    whole = (
        *scan.worst(book.start, book.instrument, book.quantity, book.arrays),
        *tail_scan.tail_risk(book.start, book.instrument, book.quantity, book.arrays, probability),
        *scan.worst_by_expiry(**book.by_expiry()),
    )
    for a in range(book.account_start.size - 1):
        groups = slice(book.account_start[a], book.account_start[a + 1])
        held = slice(book.start[a], book.start[a + 1])
        bounds, instrument, quantity = np.array([0, held.stop - held.start]), book.instrument[held], book.quantity[held]
        single = book.by_expiry(
            account_start=np.array([0, groups.stop - groups.start]),
            group_start=book.group_start[groups.start : groups.stop + 1] - held.start,
            group_expiry=book.group_expiry[groups],
            instrument=instrument,
            quantity=quantity,
        )
        alone = (
            *scan.worst(bounds, instrument, quantity, book.arrays),
            *tail_scan.tail_risk(bounds, instrument, quantity, book.arrays, probability),
            *scan.worst_by_expiry(**single),
        )
        assert [column[0].tobytes() for column in alone] == [column[a].tobytes() for column in whole]


@given(books(accounts=1), st.randoms(use_true_random=False), probabilities)
def test_the_order_of_positions_does_not_matter(book: Drawn, random, probability: float) -> None:
    order = list(range(book.quantity.size))
    random.shuffle(order)
    mixed = (book.start, book.instrument[order], book.quantity[order], book.arrays)
    plain = (book.start, book.instrument, book.quantity, book.arrays)
    assert scan.worst(*mixed)[0] == pytest.approx(scan.worst(*plain)[0], rel=1e-12, abs=slack(book))
    for one, other in zip(
        tail_scan.tail_risk(*mixed, probability), tail_scan.tail_risk(*plain, probability), strict=True
    ):
        assert one == pytest.approx(other, rel=1e-12, abs=slack(book))


@given(books())
def test_worst_is_the_least_of_the_profile(book: Drawn) -> None:
    pnl, index = scan.worst(book.start, book.instrument, book.quantity, book.arrays)
    whole = scan.profile(book.start, book.instrument, book.quantity, book.arrays)
    assert pnl == pytest.approx(whole.min(axis=1), rel=1e-12, abs=slack(book))
    held = np.flatnonzero(index >= 0)
    assert whole[held, index[held]] == pytest.approx(pnl[held], rel=1e-12, abs=slack(book))
    least, _, basis = scan.worst_by_expiry(**book.by_expiry())
    by_expiry, contingency = scan.profile_by_expiry(**book.by_expiry())
    assert least == pytest.approx(np.minimum(by_expiry.min(axis=1), contingency), rel=1e-12, abs=slack(book))
    assert basis == pytest.approx(contingency, rel=1e-12, abs=slack(book))


@given(books())
def test_without_discount_skew_and_weights_expiries_are_a_linear_scan(book: Drawn) -> None:
    ones = np.ones(EXPIRIES)
    plain = book.by_expiry(
        weight=np.ones(book.weight.size),
        skew=np.zeros(book.weight.size, np.bool_),
        discount_gain=ones,
        discount_loss=ones,
        basis_scale=0.0 * ones,
    )
    moved = book.arrays - book.values[:, -1:]
    linear, _ = scan.worst(book.start, book.instrument, book.quantity, moved)
    assert scan.worst_by_expiry(**plain)[0] == pytest.approx(np.minimum(linear, 0.0), rel=1e-12, abs=slack(book))


@given(books())
def test_discounting_gains_more_or_basis_more_never_raises_pnl(book: Drawn) -> None:
    before, _, basis = scan.worst_by_expiry(**book.by_expiry(skew=np.zeros(book.weight.size, np.bool_)))
    harsher = book.by_expiry(
        skew=np.zeros(book.weight.size, np.bool_),
        discount_gain=0.9 * book.terms[0],
        discount_loss=1.1 * book.terms[1],
        basis_scale=1.1 * book.terms[2],
    )
    after, _, more_basis = scan.worst_by_expiry(**harsher)
    assert (basis <= 0.0).all()
    assert (more_basis <= basis).all()
    assert (after <= before + slack(book)).all()


@given(books(), probabilities)
def test_shortfall_is_never_below_value_at_risk_and_both_rise_with_probability(book: Drawn, probability: float) -> None:
    positions = (book.start, book.instrument, book.quantity, book.arrays)
    var, es = tail_scan.tail_risk(*positions, probability)
    stricter_var, stricter_es = tail_scan.tail_risk(*positions, 0.5 + 0.5 * probability)
    worst, _ = scan.worst(*positions)
    assert (var <= es + slack(book)).all()
    assert (var <= stricter_var).all()
    assert (es <= stricter_es + slack(book)).all()
    assert (stricter_es <= -worst + slack(book)).all()
