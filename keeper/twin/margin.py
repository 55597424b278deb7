"""Margin of an account in integers: docs/risk-arrays.md, Margin of an account.

Three readings of one formula: the newest epoch's arrays, the settled epoch's, and one recomputed scenario an
underlying. Internal sums are in `fine`, 10⁻³⁶ USD, or in 10⁻²⁴ USD (contracts in wad × words); rounding comes last.
Where the contract reverts, `MarginRefused` is raised: no margin is known then, which is not a margin of zero.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from keeper.twin.fixed import WAD, cdiv, sdiv
from keeper.twin.records import (
    BPS,
    NO_SCENARIO,
    UNIT,
    Book,
    Check,
    Instrument,
    Leg,
    MarginParameters,
    Report,
    ScanParameters,
)
from keeper.twin.words import (
    GRID_ROWS,
    ROWS,
    NoArray,
    Terms,
    mark,
    mark_delta_alone,
    mark_delta_row,
    price_factors,
    terms,
)
from keeper.twin.world import (
    ArrayMissing,
    Epoch,
    MovedTooFar,
    NoEpoch,
    NoReport,
    NoSlice,
    StaleEpoch,
    StaleReport,
    StaleSlice,
    Underlying,
    UnknownRow,
    Unsettled,
    World,
)

FINE: Final = WAD * WAD
"""One USD in fine units."""


@dataclass(frozen=True, slots=True)
class GroupMargin:
    """One underlying's share of a statement, fine units unless told otherwise."""

    underlying: int
    worth: int  # M, signed
    scan: int  # worst covered loss, fine × BPS, >= 0
    row: int  # of that loss; 255 where no row loses
    im: int  # fine × BPS²
    mm: int
    common: int  # the words' units, fine × BPS²


@dataclass(slots=True)
class _Exposure:
    """Sums over the legs and collateral of one underlying; contracts in wad unless told otherwise."""

    linear: int = 0  # L
    haircut: int = 0  # Σ haircut · amount, BPS × wad
    haircut_mm: int = 0  # the same with MM's
    options: int = 0  # Σ |size|
    short: int = 0
    concentrated: int = 0  # Σ |size| of options and perpetual
    legs: list[Leg] = field(default_factory=list)
    mark: int = 0  # m, 10⁻²⁴ USD, as all below
    delta: int = 0
    bend: int = 0
    gap: int = 0
    rows: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Basis:
    """What a group's rows are measured against."""

    reference: int  # S_r
    parameters: ScanParameters


def by_arrays(book: Book, world: World) -> Check:
    """Return the statement by the newest epochs. Raises MarginRefused where the contract reverts."""
    return statement(book, groups_by_arrays(book, world))


def by_settled_arrays(book: Book, world: World) -> Check:
    """Return the statement by the settled epochs, with their wider limits. Raises MarginRefused."""
    return statement(book, groups_by_arrays(book, world, settled=True))


def by_arrays_regardless(book: Book, world: World) -> Check:
    """Return the statement by the newest epochs whatever their age and the move: only to compare two states."""
    return statement(book, groups_by_arrays(book, world, regardless=True))


def by_settled_arrays_regardless(book: Book, world: World) -> Check:
    """Return the statement by the settled epochs whatever their age and the move: only to compare two states."""
    return statement(book, groups_by_arrays(book, world, settled=True, regardless=True))


def by_scenario(book: Book, world: World, scenarios: int) -> Check:
    """Return the statement by one recomputed row an underlying, 8 bits each (255: none). Raises MarginRefused."""
    return statement(book, groups_by_scenario(book, world, scenarios))


def by_legs(book: Book, world: World) -> Check:
    """Return the bound that needs no arrays and believes no netting, recomputed from newest report and slices.

    Raises MarginRefused where the contract reverts.
    """
    found = []
    for u, exposure in _exposures(book, world):
        known = _known(u, world)
        alone = _add_alone(exposure, u, known, world)
        found.append(_margin(u, exposure, known, _Basis(known.report.price, known.scan), (), alone))
    return statement(book, found)


def pack_scenarios(rows: Mapping[int, int]) -> int:
    """Return one row per underlying as `byScenario` takes them; underlyings that are not named have none."""
    return sum(rows.get(u, NO_SCENARIO) << 8 * u for u in range(32))


def statement(book: Book, groups: Iterable[GroupMargin]) -> Check:
    """Return the account's statement from its groups': rounded once, against the account."""
    worth, im, mm = book.cash * WAD, 0, 0
    for group in groups:
        worth += group.worth
        im += group.im + group.common
        mm += group.mm + group.common
    scale = WAD * BPS * BPS
    return Check(worth // WAD, cdiv(im, scale), cdiv(mm, scale))


def groups_by_arrays(
    book: Book, world: World, *, settled: bool = False, regardless: bool = False
) -> tuple[GroupMargin, ...]:
    """Return every underlying's share, ascending, by the newest or the settled epochs. Raises MarginRefused."""
    found = []
    for u, exposure in _exposures(book, world):
        known = _known(u, world)
        basis = _Basis(known.report.price, known.scan)
        if exposure.legs:
            epoch = known.settled if settled else known.current
            if epoch is None:
                raise NoEpoch(f"underlying {u}: no {'settled' if settled else 'current'} epoch; wait for a publication")
            if not regardless:
                _check_epoch(u, known, epoch, world, settled=settled)
            _check_expiries(u, known, exposure)
            basis = _Basis(epoch.price, epoch.parameters)
            _add_arrays(exposure, epoch)
        found.append(_margin(u, exposure, known, basis, range(ROWS)))
    return tuple(found)


def groups_by_scenario(book: Book, world: World, scenarios: int) -> tuple[GroupMargin, ...]:
    """Return every underlying's share, ascending, by one row each, recomputed. Raises MarginRefused."""
    found = []
    for u, exposure in _exposures(book, world):
        known = _known(u, world)
        row = scenarios >> 8 * u & 0xFF
        if row >= ROWS and row != NO_SCENARIO:
            raise UnknownRow(f"underlying {u}: expected a row in 0..17 or 255, found {row}")
        rows = () if row == NO_SCENARIO else (row,)
        _add_scenario(exposure, u, known, world, rows[0] if rows else None)
        found.append(_margin(u, exposure, known, _Basis(known.report.price, known.scan), rows))
    return tuple(found)


def mark_of(instrument: Instrument, world: World) -> int:
    """Return an instrument's mark from the newest report and slice, USD wad, not floored. Raises MarginRefused."""
    known = _known(instrument.underlying, world)
    if not instrument.is_option:
        return known.report.price
    t = _terms(instrument.underlying, instrument.expiry, known, world)
    return mark(t, instrument.strike_wad, instrument.is_call)


def value_of(leg: Leg, world: World) -> int:
    """Return size × mark, an option's mark floored to units, fine. Raises MarginRefused."""
    worth = mark_of(leg.instrument, world)
    return leg.size * (worth // UNIT * UNIT if leg.instrument.is_option else worth)


def _known(u: int, world: World) -> Underlying:
    known = world.underlyings.get(u)
    if known is None:
        raise NoReport(f"underlying {u}: no price report")
    age, limit = world.now - known.report.timestamp, world.limits.report_age
    if age > limit:
        raise StaleReport(f"underlying {u}: report {age}s old, limit {limit}s; wait for a new one")
    return known


def _exposures(book: Book, world: World) -> list[tuple[int, _Exposure]]:
    """Group the book by underlying, without prices."""
    found: dict[int, _Exposure] = {}
    for leg in book.legs:
        exposure = found.setdefault(leg.instrument.underlying, _Exposure())
        size = abs(leg.size)
        exposure.concentrated += size
        if not leg.instrument.is_option:
            exposure.linear += leg.size
            continue
        exposure.legs.append(leg)
        exposure.options += size
        if leg.size < 0:
            exposure.short += size
    for holding in book.collateral:
        accepted = world.collaterals[holding.index]
        exposure = found.setdefault(accepted.underlying, _Exposure())
        amount = accepted.to_wad(holding.amount)
        exposure.linear += amount
        exposure.haircut += accepted.haircut * amount
        exposure.haircut_mm += accepted.haircut_mm * amount
    return sorted(found.items())


def _check_epoch(u: int, known: Underlying, epoch: Epoch, world: World, *, settled: bool) -> None:
    limits = world.limits
    age, most = world.now - epoch.timestamp, limits.epoch_age + (limits.window if settled else 0)
    if age > most:
        raise StaleEpoch(f"underlying {u}: arrays' report {age}s old, limit {most}s; publish or use a scenario")
    scan = epoch.parameters.scan
    limit = scan // 2 if settled else epoch.parameters.move
    if abs(known.report.price - epoch.price) * WAD > epoch.price * limit:
        raise MovedTooFar(
            f"underlying {u}: price {known.report.price}, arrays at {epoch.price}, limit {limit} wad of it; publish"
        )


def _check_expiries(u: int, known: Underlying, exposure: _Exposure) -> None:
    first = min(leg.instrument.expiry for leg in exposure.legs)
    if first <= known.report.timestamp:
        raise Unsettled(f"underlying {u}, expiry {first}: over; touch the account first")


def _add_arrays(exposure: _Exposure, epoch: Epoch) -> None:
    rows = [0] * ROWS
    for leg in exposure.legs:
        arrays, index = epoch.arrays.get(leg.instrument.expiry, ()), leg.instrument.index
        if index >= len(arrays):
            raise ArrayMissing(f"{leg.instrument}: no array in the epoch; listed later, or expired and not settled")
        now, delta, bend, gap, *changes = arrays[index]
        exposure.mark += leg.size * now
        exposure.delta += leg.size * delta
        if leg.size > 0:
            exposure.gap += leg.size * gap
        else:
            exposure.bend -= leg.size * bend
        for row, change in enumerate(changes):
            rows[row] += leg.size * change
    exposure.rows = dict(enumerate(rows))


def _add_scenario(exposure: _Exposure, u: int, known: Underlying, world: World, row: int | None) -> None:
    priced: dict[int, Terms] = {}
    moved = 0
    for leg in exposure.legs:
        expiry = leg.instrument.expiry
        if expiry not in priced:
            priced[expiry] = _terms(u, expiry, known, world)
        now, delta, change = mark_delta_row(priced[expiry], leg.instrument.strike_wad, leg.instrument.is_call, row)
        exposure.mark += leg.size * now
        exposure.delta += leg.size * delta
        moved += leg.size * change
    if row is not None:
        exposure.rows = {row: moved}


def _add_alone(exposure: _Exposure, u: int, known: Underlying, world: World) -> int:
    """Add marks and deltas; return what legs lose one by one, fine × BPS."""
    cover, deep = covers(known.scan), deep_covers(known.scan)
    factors = price_factors(known.scan)
    price = known.report.price
    alone = 0
    for leg in exposure.legs:
        t = _terms(u, leg.instrument.expiry, known, world)
        now, delta, loss = mark_delta_alone(t, leg.instrument.strike_wad, leg.instrument.is_call, leg.size < 0, deep)
        exposure.mark += leg.size * now
        exposure.delta += leg.size * delta
        alone += abs(leg.size) * loss
    linear = max(exposure.linear * (price - price * g // WAD) * c for g, c in zip(factors, cover, strict=True))
    return alone * UNIT + max(0, linear)


def _terms(u: int, expiry: int, known: Underlying, world: World) -> Terms:
    slice_ = known.slices.get(expiry)
    if slice_ is None:
        raise NoSlice(f"underlying {u}, expiry {expiry}: no slice")
    age, limit = world.now - slice_.timestamp, world.limits.slice_age
    if age > limit:
        raise StaleSlice(f"underlying {u}, expiry {expiry}: slice {age}s old, limit {limit}s; wait for a new one")
    try:
        return terms(known.report, slice_, known.scan)
    except NoArray as error:
        raise Unsettled(f"underlying {u}, expiry {expiry}: over; touch the account first") from error


def _margin(u: int, e: _Exposure, known: Underlying, basis: _Basis, rows: Iterable[int], alone: int = 0) -> GroupMargin:
    price, im, mm = known.report.price, known.margin, known.mm
    moved = sdiv((price - basis.reference) * WAD, basis.reference)
    shift = e.delta * moved // WAD - cdiv(e.bend * abs(moved), basis.parameters.move)
    worth = (e.mark + shift) * UNIT + e.linear * price
    scan, worst = (alone, NO_SCENARIO) if alone else _worst(e, worth, basis, rows)
    short = e.short * price * BPS
    return GroupMargin(
        underlying=u,
        worth=worth,
        scan=scan,
        row=worst,
        im=max(scan * im.im_scalar, short * im.short_im_rate) + _flat(e, known.report, im, e.haircut),
        mm=max(scan * mm.mm_scalar, short * mm.short_mm_rate) + _flat(e, known.report, mm, e.haircut_mm),
        common=e.options * UNIT * BPS * BPS,
    )


def _flat(e: _Exposure, report: Report, rates: MarginParameters, haircut: int) -> int:
    """Return concentration, confidence and haircuts by IM's numbers or MM's, fine × BPS²."""
    concentration = rates.concentration_rate * report.price * max(0, e.concentrated - rates.concentration_from)
    net = abs(e.delta * UNIT + e.linear * report.price)
    confidence = cdiv(net * report.confidence, report.price) * rates.confidence_factor
    return (concentration + confidence + haircut * report.price) * BPS


def _worst(e: _Exposure, worth: int, basis: _Basis, rows: Iterable[int]) -> tuple[int, int]:
    """Return the largest covered loss, fine × BPS, and its row; 0 and 255 where none of the rows loses."""
    factors, cover = price_factors(basis.parameters), covers(basis.parameters)
    most, worst = 0, NO_SCENARIO
    for row in rows:
        there = (e.mark + e.rows.get(row, 0)) * UNIT + e.linear * (basis.reference * factors[row] // WAD)
        loss = (worth - there + (e.gap * UNIT if row < GRID_ROWS else 0)) * cover[row]
        if loss > most:
            most, worst = loss, row
    return most, worst


def covers(p: ScanParameters) -> tuple[int, ...]:
    """Return what share of each row's loss counts, BPS."""
    return (BPS,) * GRID_ROWS + (p.extreme_cover, p.extreme_cover, p.deep_up_cover, p.deep_down_cover)


def deep_covers(p: ScanParameters) -> tuple[int, int]:
    """Return what share of the deepest rows' loss, up and down, covers the extreme rows too, BPS (Without arrays)."""
    extreme_up, extreme_down, deep_up, deep_down = price_factors(p)[GRID_ROWS:]
    up = cdiv(p.extreme_cover * (extreme_up - WAD), deep_up - WAD)
    down = cdiv(p.extreme_cover * (WAD - extreme_down), WAD - deep_down)
    return max(up, p.deep_up_cover), max(down, p.deep_down_cover)
