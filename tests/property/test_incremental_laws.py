"""Laws of incremental margins, Greeks and house books over random books and random trades."""

import math
from dataclasses import fields, replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.aggregate import NAMES, greeks_by, house, netting_benefit
from engine.book import mark_to_market
from engine.funding import accrue, settle
from engine.incremental import RunningProfile, margin_changed
from engine.revalue import mark_values, risk_arrays
from engine.scan import profile
from engine.scenarios import Shock, grid
from tests.unit.risk_books import INSTRUMENTS, MARKET, Scan, book_of
from tests.unit.risk_books import NAMES as INSTRUMENT_NAMES

quantities = st.floats(-1e6, 1e6, allow_subnormal=False)
holdings = st.dictionaries(st.sampled_from(INSTRUMENT_NAMES), quantities, max_size=5)
books = st.lists(holdings, min_size=1, max_size=6).map(lambda held: book_of({f"a{i}": h for i, h in enumerate(held)}))

SCENARIOS = grid([Shock(s, v) for s in (-0.3, -0.1, 0.1, 0.3) for v in ("up", "down")], 2, vol_up=0.5, vol_down=0.3)
ARRAYS = risk_arrays(INSTRUMENTS, MARKET, SCENARIOS)
LATER = risk_arrays(INSTRUMENTS, replace(MARKET, vol=MARKET.vol * 1.1, price=MARKET.price * 1.01), SCENARIOS)
MARK = mark_values(INSTRUMENTS, MARKET)
SCAN = Scan().at(INSTRUMENTS, MARKET)


@given(books, st.data())
def test_changed_accounts_alone_give_the_full_report(book, data):
    before = SCAN(book)
    rows = data.draw(st.sets(st.integers(0, len(book.accounts) - 1)))
    touched = np.isin(book.account, list(rows))
    scale = data.draw(st.floats(-3.0, 3.0))
    after = replace(book, quantity=np.where(touched, book.quantity * scale, book.quantity))
    found, expected = margin_changed(SCAN, before, after, np.array(sorted(rows), np.int64)), SCAN(after)
    for field in fields(expected):
        column = getattr(expected, field.name)
        if isinstance(column, np.ndarray):
            assert getattr(found, field.name).tobytes() == column.tobytes()


@given(books, st.data())
def test_a_running_profile_stays_within_its_drift(book, data):
    trades = st.tuples(st.integers(0, len(book.accounts) - 1), st.integers(0, 8), quantities)
    running, held = RunningProfile(book, ARRAYS), book
    for account, instrument, change in data.draw(st.lists(trades, max_size=8)):
        running.trade(np.array([account]), np.array([instrument]), np.array([change]))
        at = held.start[account + 1]
        held = replace(
            held,
            start=held.start + (np.arange(held.start.size) > account),
            instrument=np.insert(held.instrument, at, instrument),
            quantity=np.insert(held.quantity, at, change),
            entry=np.insert(held.entry, at, 0.0),
            accrued=np.insert(held.accrued, at, 0.0),
        )
    running.reprice(held, np.arange(9), LATER)
    exact = [
        [
            math.fsum(held.quantity[p] * LATER.pnl[held.instrument[p], s] for p in range(*held.start[a : a + 2]))
            for s in range(8)
        ]
        for a in range(len(held.accounts))
    ]
    unit = np.abs(LATER.pnl).max(axis=1)
    gross = np.zeros(len(held.accounts))
    np.add.at(gross, held.account, np.abs(held.quantity) * unit[held.instrument])
    error = np.abs(running.pnl - np.reshape(exact, running.pnl.shape)).max(axis=1)
    assert (error <= running.drift + 2.0**-52 * gross).all()
    full = profile(held.start, held.instrument, held.quantity, LATER.pnl)
    assert (np.abs(running.pnl - full).max(axis=1) <= 1e-12 * gross).all()


@given(books)
def test_greeks_of_the_accounts_are_those_of_the_house(book):
    apart, together = greeks_by(book, MARKET).summed("expiry"), greeks_by(house(book), MARKET).summed("expiry")
    for name in NAMES:
        for u, e in zip(apart.underlying, apart.expiry, strict=True):
            one = getattr(apart, name)[(apart.underlying == u) & (apart.expiry == e)].sum()
            other = getattr(together, name)[(together.underlying == u) & (together.expiry == e)].sum()
            gross = np.abs(book.quantity).sum() * 40.0  # no unit Greek here is larger
            assert abs(one - other) <= 1e-14 * gross


@given(books)
def test_netting_never_costs(book):
    saved = netting_benefit(Scan(), book, MARKET)
    assert -1e-9 <= saved.im <= 1.0
    assert -1e-9 <= saved.mm <= 1.0


@given(books, st.floats(-100.0, 100.0))
def test_settling_keeps_every_account_worth_the_same(book, growth):
    grown = np.where(np.isin(np.arange(9), (0, 7)), growth, 0.0)
    funded = accrue(book, grown)
    settled = settle(funded, MARK)
    gross = 300.0 * np.bincount(book.account, np.abs(book.quantity), len(book.accounts))
    worth = mark_to_market(funded, MARK)
    assert (np.abs(mark_to_market(settled, MARK) - worth) <= 1e-14 * gross).all()
    assert (settled.accrued == 0.0).all()


@given(books)
def test_the_house_is_worth_what_its_accounts_are(book):
    gross = 300.0 * np.abs(book.quantity).sum()
    assert abs(mark_to_market(house(book), MARK)[0] - mark_to_market(book, MARK).sum()) <= 1e-14 * gross
