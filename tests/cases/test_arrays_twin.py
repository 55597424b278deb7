"""The float model of the reference venue against its integer twin: two thousand books, to 1e-9 of gross notional and
one array unit a contract."""

import random
from dataclasses import replace

import numpy as np
import pytest

from engine.book import OPTION, PERPETUAL, TOKEN, Book, Instruments
from engine.margin.array_words import ScanTerms
from engine.margin.arrays import Arrays, ArraysAt, MarginTerms, UnderlyingTerms
from engine.market import Market
from keeper.twin import records
from keeper.twin.fixed import WAD
from keeper.twin.margin import by_arrays
from keeper.twin.world import Epoch, World
from tests.twin_worlds import COLLATERALS, DAY, DAYS, NOW, PRICES, board, calm, moved, published, random_book

BTC_AND_ETH = (0, 1)
EXPIRIES = [(u, NOW + day * DAY) for u in BTC_AND_ETH for day in DAYS]
OPTIONS = [option for u, expiry in EXPIRIES for option in board(u, expiry)]
ROW = {option.id: row for row, option in enumerate(OPTIONS)} | {
    records.Instrument(u).id: len(OPTIONS) + u for u in BTC_AND_ETH
}
TOKENS = len(OPTIONS) + 2
"""Row of the first collateral."""


def instruments() -> Instruments:
    linear = [*BTC_AND_ETH, *(accepted.underlying for accepted in COLLATERALS)]
    expiry = {key: row for row, key in enumerate(EXPIRIES)}
    none = np.zeros(len(linear))
    return Instruments(
        names=tuple(f"i{row}" for row in range(TOKENS + len(COLLATERALS))),
        underlyings=("0", "1", "2"),
        expiries=tuple(map(str, EXPIRIES)),
        kind=np.array([OPTION] * len(OPTIONS) + [PERPETUAL] * 2 + [TOKEN] * len(COLLATERALS), np.int8),
        underlying=np.array([o.underlying for o in OPTIONS] + linear, np.int64),
        expiry=np.array([expiry[o.underlying, o.expiry] for o in OPTIONS] + [-1] * len(linear), np.int64),
        strike=np.append([o.strike / 1e8 for o in OPTIONS], none),
        is_call=np.append([o.is_call for o in OPTIONS], none).astype(np.bool_),
    )


def implied(slice_: records.Slice, strike: float) -> float:
    a, b, rho, m, s = (getattr(slice_, name) / WAD for name in ("a", "b", "rho", "m", "s"))
    y = np.log(strike / (slice_.forward / WAD)) - m
    return float(np.sqrt(a + b * (rho * y + np.hypot(y, s))))


def market(world: World, held: Instruments) -> Market:
    """The market that the newest epochs were published on."""
    known = world.underlyings
    spot = np.array([known[u].report.price / WAD for u in range(3)])
    seconds, forward, fixed = [], [], []
    for u, expiry in EXPIRIES:
        report, slice_ = known[u].report, known[u].slices[expiry]
        fixing = report.fixing_expiry == expiry
        share, average = (report.fixed_share / WAD, report.fixed_average / WAD) if fixing else (0.0, 0.0)
        seconds.append(expiry - report.timestamp)
        forward.append((1.0 - share) * spot[u] * slice_.forward / slice_.spot)
        fixed.append(share * average)
    option = held.kind == OPTION
    vols = [implied(known[o.underlying].slices[o.expiry], o.strike / 1e8) for o in OPTIONS]
    return Market(
        spot=spot,
        spot_confidence=np.array([1.0 - known[u].report.confidence / known[u].report.price for u in range(3)]),
        expiry_underlying=np.array([u for u, _ in EXPIRIES]),
        seconds=np.array(seconds, np.float64),
        forward=np.array(forward),
        forward_fixed=np.array(fixed),
        forward_confidence=np.ones(len(EXPIRIES)),
        rate=np.zeros(len(EXPIRIES)),
        rate_confidence=np.ones(len(EXPIRIES)),
        price=np.where(option, 0.0, spot[held.underlying]),
        vol=np.append(vols, np.zeros(option.size - len(vols))),
        confidence=np.ones(option.size),
    )


def model(world: World) -> Arrays:
    terms = {}
    for u, known in world.underlyings.items():
        scan, margin = known.scan, known.margin
        wads = ("scan", "vol_up", "vol_down", "short_power", "long_power", "extreme", "deep_up", "deep_down")
        bps = ("im_scalar", "mm_scalar", "short_im_rate", "short_mm_rate", "concentration_rate", "confidence_factor")
        terms[str(u)] = UnderlyingTerms(
            ScanTerms(
                **{name: getattr(scan, name) / WAD for name in wads},
                **{name: getattr(scan, name) / 1e4 for name in ("extreme_cover", "deep_up_cover", "deep_down_cover")},
            ),
            MarginTerms(
                **{name: getattr(margin, name) / 1e4 for name in bps},
                concentration_from=margin.concentration_from / WAD,
            ),
        )
    haircuts = {f"i{TOKENS + row}": accepted.haircut / 1e4 for row, accepted in enumerate(COLLATERALS)}
    return Arrays(terms=terms, haircuts=haircuts)


def engine_book(books: list[records.Book], held: Instruments) -> Book:
    rows = [[ROW[leg.instrument.id] for leg in b.legs] + [TOKENS + h.index for h in b.collateral] for b in books]
    sizes = [
        [leg.size / WAD for leg in b.legs] + [COLLATERALS[h.index].to_wad(h.amount) / WAD for h in b.collateral]
        for b in books
    ]
    flat = np.array([size for account in sizes for size in account])
    return Book(
        instruments=held,
        accounts=tuple(str(a) for a in range(len(books))),
        cash=np.array([b.cash / WAD for b in books]),
        start=np.cumsum([0, *map(len, rows)]),
        instrument=np.array([row for account in rows for row in account], np.int64),
        quantity=flat,
        entry=np.zeros(flat.size),
        accrued=np.zeros(flat.size),
    )


def at(world: World) -> ArraysAt:
    held = instruments()
    return model(world).at(held, market(world, held))


def agree(priced: ArraysAt, world: World, books: list[records.Book]) -> None:
    """Every statement of the twin within the tolerance, and within the model's own band."""
    book = engine_book(books, priced.instruments)
    found = priced(book)
    spot = priced.market.spot[priced.instruments.underlying]
    for a, statement in enumerate(by_arrays(b, world) for b in books):
        own = slice(book.start[a], book.start[a + 1])
        rows, size = book.instrument[own], np.abs(book.quantity[own])
        units = 1e-6 * size[priced.instruments.kind[rows] == OPTION].sum()
        near = 1e-9 * (size * spot[rows]).sum() + units + 1e-15 * abs(book.cash[a])
        for ours, theirs in (
            (found.equity[a], statement.equity),
            (found.im[a], statement.im),
            (found.mm[a], statement.mm),
        ):
            assert abs(ours - theirs / WAD) <= near
        assert abs(found.equity[a] - found.mm[a] - (statement.equity - statement.mm) / WAD) <= found.band[a]


def drawn(seed: int, count: int, legs: int = 126) -> list[records.Book]:
    rng = random.Random(seed)
    return [
        random_book(rng, rng.randint(1, legs), collateral=2 + b // 2 % 2 if b % 2 else 0, perpetuals=b % 2 == 1)
        for b in range(count)
    ]


def test_sixteen_hundred_books():
    agree(at(calm()), calm(), drawn(1, 1600))


@pytest.mark.parametrize("share", [(-12, 12), (5, -7), (12, 1)])
def test_books_after_moves_inside_the_limit(share):
    """Per mille of the price; the limit is 12.5."""
    prices = {u: PRICES[u] * (1000 + moves) // 1000 for u, moves in enumerate(share)}
    spot = np.array([prices.get(u, PRICES[u]) / WAD for u in range(3)])
    agree(at(calm()).moved(spot), moved(calm(), prices), drawn(2, 67))


def late(seconds: int) -> World:
    """The calm venue `seconds` before its first expiry, published then; inside the window the share that has passed is
    fixed half a percent above the price."""
    now = NOW + DAYS[0] * DAY - seconds
    underlyings = {}
    for u, known in calm().underlyings.items():
        report = replace(known.report, timestamp=now)
        if seconds < 1800 and u in BTC_AND_ETH:
            share, average = (1800 - seconds) * WAD // 1800, report.price * 1005 // 1000
            report = replace(report, fixing_expiry=NOW + DAYS[0] * DAY, fixed_share=share, fixed_average=average)
        slices = {expiry: replace(slice_, timestamp=now) for expiry, slice_ in known.slices.items()}
        epoch: Epoch | None = published(report, slices, known.scan) if slices else None
        underlyings[u] = replace(known, report=report, slices=slices, current=epoch, settled=epoch)
    return replace(calm(), now=now, underlyings=underlyings)


@pytest.mark.parametrize("seconds", [3600, 1801, 1799, 600, 30])
def test_books_in_the_last_hour(seconds):
    world = late(seconds)
    agree(at(world), world, drawn(seconds, 40))


def test_a_unit_of_a_wrong_word_would_be_seen():
    """The tolerance is not so wide that it hides a scenario: one row of one option off by 1e-6 of its forward."""
    books = [records.Book(0, (records.Leg(OPTIONS[8], -WAD),))]
    priced = at(calm())
    wrong = priced.words.value.copy()
    wrong[8] *= 1.0 + 1e-6
    with pytest.raises(AssertionError):
        agree(replace(priced, words=replace(priced.words, value=wrong)), calm(), books)
