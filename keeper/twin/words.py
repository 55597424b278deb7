"""Risk arrays: 22 words of every option of an expiry, from one report, one slice and one set of scan parameters.

docs/risk-arrays.md from Time to Blobs. What all options of an expiry share is computed once (`terms`), what call and
put of one strike share once a strike: an array costs a few tenths of a millisecond.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from keeper.twin.black76 import black, black_at, log_forward, put_of
from keeper.twin.fixed import WAD, cdiv, exp_wad, ln_wad, sdiv, sqrt
from keeper.twin.records import BPS, UNIT, Instrument, Report, ScanParameters, Slice

ROWS: Final = 18
GRID_ROWS: Final = 14
WORDS: Final = 22
WORD_BYTES: Final = 6
ARRAY_BYTES: Final = WORDS * WORD_BYTES
HEADER_BYTES: Final = 96
MOST_OPTIONS: Final = (24575 - HEADER_BYTES) // ARRAY_BYTES
"""Options that one code blob holds."""

AVERAGING: Final = 1800
DAY: Final = 86400
YEAR: Final = 365 * DAY
LEAST_VARIANCE: Final = 10**14
MOST_VARIANCE: Final = 100 * WAD
SLOPE_MARGIN: Final = 10**4
MOST_WORD: Final = 2**47 - 1

ASCENDING: Final = (12, 8, 4, 0, 2, 6, 10)
"""The grid's rows with volatility up, by rising price; the row after each has volatility down."""

Words = tuple[int, ...]
"""mark, delta, bend, gap, 18 rows; in 10⁻⁶ USD a contract."""


class NoArray(ValueError):
    """There is no array for this option on this report and slice: expired, or of another underlying or expiry."""


class WordOutOfRange(OverflowError):
    """A word does not fit 48 bits; the contract reverts as well."""


def price_factors(p: ScanParameters) -> tuple[int, ...]:
    """Return the price factor g of each of the 18 rows, wad; the outermost are wider by the move limit."""
    third, two_thirds, move = p.scan // 3, 2 * p.scan // 3, p.move

    def up(shift: int) -> int:
        return cdiv((WAD + shift) * (WAD + move), WAD)

    def down(shift: int) -> int:
        return (WAD - shift) * (WAD - move) // WAD

    pairs = (WAD, WAD + third, WAD - third, WAD + two_thirds, WAD - two_thirds, up(p.scan), down(p.scan))
    tails = (up(p.extreme), down(p.extreme), up(p.deep_up), down(p.deep_down))
    return tuple(g for g in pairs for _ in range(2)) + tails


def vol_factors(p: ScanParameters, seconds: int) -> tuple[int, int]:
    """Return by what an option `seconds` before expiry has its volatility multiplied, up and down, wad."""
    d = max(seconds, DAY)
    power = p.short_power if d <= 30 * DAY else p.long_power
    scale = exp_wad(sdiv(power * ln_wad(30 * DAY * WAD // d), WAD))
    return WAD + p.vol_up * scale // WAD, max(WAD - p.vol_down * scale // WAD, WAD // 100)


def variance_thirds(seconds: int) -> int:
    """Return thirds of seconds of variance time left `seconds` (> 0) before expiry: the average has less variance."""
    return 3 * seconds - 2 * AVERAGING if seconds > AVERAGING else seconds


def variance(slice_: Slice, strike: int) -> int:
    """Return implied variance per year at a strike in wad, clamped to 1 % and 1000 % of volatility. Wad."""
    y = ln_wad(strike * WAD // slice_.forward) - slice_.m
    wing = sdiv(slice_.rho * y, WAD) + sqrt(y * y + slice_.s * slice_.s)
    return min(max(slice_.a + sdiv(slice_.b * wing, WAD), LEAST_VARIANCE), MOST_VARIANCE)


@dataclass(frozen=True, slots=True)
class Terms:
    """What all options of one expiry share, on one report, slice and version of the scan parameters."""

    underlying: int
    expiry: int
    slice: Slice
    fixed: int  # int(w·A / W): what the averaging has taken from every strike, USD wad
    thirds: int
    forward: int  # F(W), scaled by the unfixed share, USD wad
    forwards: tuple[int, ...]  # F(g) of the 18 rows
    vol_up: int
    vol_down: int
    above: int  # F(W + move)
    below: int  # F(W − move)

    def sd(self, strike: int) -> int:
        """Return the unshocked total standard deviation at a strike in wad. Wad."""
        return sqrt(variance(self.slice, strike) * self.thirds * WAD // (3 * YEAR))

    def sd_of_row(self, sd: int, row: int) -> int:
        """Return `sd` as the row shocks it."""
        if row >= GRID_ROWS:
            return sd
        return sd * (self.vol_down if row % 2 else self.vol_up) // WAD


def terms(report: Report, slice_: Slice, parameters: ScanParameters) -> Terms:
    """Return the terms of the slice's expiry. Raises NoArray once the report reaches the expiry."""
    if report.underlying != slice_.underlying:
        raise NoArray(f"expected report and slice of one underlying, found {report.underlying} and {slice_.underlying}")
    seconds = slice_.expiry - report.timestamp
    if seconds <= 0:
        raise NoArray(f"expiry {slice_.expiry} is not after the report's {report.timestamp}: settled, not priced")
    fixing = report.fixing_expiry == slice_.expiry
    share, average = (report.fixed_share, report.fixed_average) if fixing else (0, 0)
    unscaled = report.price * slice_.forward // slice_.spot
    vol_up, vol_down = vol_factors(parameters, seconds)

    def forward(g: int) -> int:
        return unscaled * g // WAD * (WAD - share) // WAD

    return Terms(
        underlying=slice_.underlying,
        expiry=slice_.expiry,
        slice=slice_,
        fixed=share * average // WAD,
        thirds=variance_thirds(seconds),
        forward=forward(WAD),
        forwards=tuple(forward(g) for g in price_factors(parameters)),
        vol_up=vol_up,
        vol_down=vol_down,
        above=forward(WAD + parameters.move),
        below=forward(WAD - parameters.move),
    )


def option_words(t: Terms, strike: int, is_call: bool) -> Words:
    """Return the 22 words of one option, strike in wad. Raises WordOutOfRange, or ValueError for a strike of 0."""
    return strike_words(t, strike)[0 if is_call else 1]


def strike_words(t: Terms, strike: int) -> tuple[Words, Words]:
    """Return the words of call and put of one strike in wad; errors as `option_words`."""
    k = strike - t.fixed
    sd = t.sd(strike)
    calls, slopes = _grid(t, k, sd)
    call, n1 = black(t.forward, k, sd)
    delta = t.forward * n1 // WAD
    bend = _bend(t, k, sd, call, n1) if k > 0 else 0
    gap = max(_gap(t, calls, slopes, 0), _gap(t, calls, slopes, 1)) if k > 0 else 0
    puts = [put_of(value, forward, k) for value, forward in zip(calls, t.forwards, strict=True)]
    put = put_of(call, t.forward, k)
    return (
        _checked(t, strike, (call // UNIT, delta // UNIT, bend, gap, *_changes(calls, call))),
        _checked(t, strike, (put // UNIT, (delta - t.forward) // UNIT, bend, gap, *_changes(puts, put))),
    )


def mark(t: Terms, strike: int, is_call: bool) -> int:
    """Return the option's value now, USD wad, not floored to units."""
    k = strike - t.fixed
    call, _ = black(t.forward, k, t.sd(strike))
    return call if is_call else put_of(call, t.forward, k)


def mark_delta_row(t: Terms, strike: int, is_call: bool, row: int | None) -> tuple[int, int, int]:
    """Return three of an option's words, mark, delta and that of one row (0 for None), without computing the others."""
    k, sd = strike - t.fixed, t.sd(strike)
    call, n1 = black(t.forward, k, sd)
    delta = t.forward * n1 // WAD
    now = call if is_call else put_of(call, t.forward, k)
    units = now // UNIT, (delta if is_call else delta - t.forward) // UNIT
    if row is None:
        return *units, 0
    forward = t.forwards[row]
    call, _ = black(forward, k, t.sd_of_row(sd, row))
    then = call if is_call else put_of(call, forward, k)
    return *units, then // UNIT - now // UNIT


def mark_delta_alone(
    t: Terms, strike: int, is_call: bool, short: bool, covers: tuple[int, int]
) -> tuple[int, int, int]:
    """Return mark word, delta word and what one contract can lose with nothing beside it, units × BPS, >= 0.

    docs/risk-arrays.md, Without arrays: a long option its mark, a short one the larger of two rows; `covers` are those
    of the deepest rows up and down (`deep_covers`).
    """
    now, delta, _ = mark_delta_row(t, strike, is_call, None)
    if not short:
        return now, delta, now * BPS
    outer, deepest = (10, 16) if is_call else (12, 17)
    near, far = (mark_delta_row(t, strike, is_call, row)[2] for row in (outer, deepest))
    cover = covers[0] if is_call else covers[1]
    return now, delta, max(0, near * BPS, (far + 2) * cover if far > 0 else 0)


def _grid(t: Terms, k: int, sd: int) -> tuple[list[int], list[int]]:
    """Return the call and its n1 at every row; rows of one price share its logarithm."""
    if k <= 0:
        return [forward - k for forward in t.forwards], [WAD] * ROWS
    calls, slopes = [], []
    up, down = t.sd_of_row(sd, 0), t.sd_of_row(sd, 1)
    for row in range(0, GRID_ROWS, 2):
        forward = t.forwards[row]
        log = log_forward(forward, k)
        for shocked in (up, down):
            call, n1 = black_at(forward, k, shocked, log)
            calls.append(call)
            slopes.append(n1)
    for row in range(GRID_ROWS, ROWS):
        call, n1 = black(t.forwards[row], k, sd)
        calls.append(call)
        slopes.append(n1)
    return calls, slopes


def _bend(t: Terms, k: int, sd: int, call: int, n1: int) -> int:
    """Return the most the call rises above its tangent at the mark within the move limit, k > 0, in units, up."""
    most = 0
    for moved in (t.above, t.below):
        there, _ = black(moved, k, sd)
        most = max(most, (there - call) * WAD - n1 * (moved - t.forward))
    return cdiv(most, WAD * UNIT)


def _gap(t: Terms, calls: Sequence[int], slopes: Sequence[int], volatility: int) -> int:
    """Return the most a long option can be worth less than its chord inside a cell: where the ends' tangents meet."""
    most = 0
    rows = [row + volatility for row in ASCENDING]
    for a, b in pairwise(rows):
        p, n = max(slopes[a] - SLOPE_MARGIN, 0), min(slopes[b] + SLOPE_MARGIN, WAD)
        if n <= p:
            continue
        h = t.forwards[b] - t.forwards[a]
        rise = (calls[b] - calls[a]) * WAD
        low, high = rise - p * h, n * h - rise
        if low > 0 and high > 0:
            most = max(most, cdiv(low * high, (n - p) * h * WAD))
    return cdiv(most, UNIT)


def _changes(rows: Sequence[int], now: int) -> list[int]:
    units = now // UNIT
    return [then // UNIT - units for then in rows]


def _checked(t: Terms, strike: int, words: Words) -> Words:
    if min(words) < -MOST_WORD - 1 or max(words) > MOST_WORD:
        raise WordOutOfRange(
            f"underlying {t.underlying}, expiry {t.expiry}, strike {strike}: expected words of 48 bits, found "
            f"{min(words)} to {max(words)}; the price is above what the arrays can carry"
        )
    return words


def expiry_words(t: Terms, instruments: Iterable[Instrument]) -> tuple[Words, ...]:
    """Return the words of an expiry's options in the given order, which is the blob's.

    Raises NoArray for an instrument of another underlying or expiry or out of row order.
    """
    by_strike: dict[int, tuple[Words, Words]] = {}
    rows = []
    for row, instrument in enumerate(instruments):
        if (instrument.underlying, instrument.expiry, instrument.index) != (t.underlying, t.expiry, row):
            raise NoArray(f"row {row} of {t.underlying}/{t.expiry}: found {instrument}; list them as the contract does")
        if instrument.strike not in by_strike:
            by_strike[instrument.strike] = strike_words(t, instrument.strike_wad)
        rows.append(by_strike[instrument.strike][0 if instrument.is_call else 1])
    return tuple(rows)


def packed(words: Words) -> bytes:
    """Return one array as the contract stores it: 22 · int48, big-endian. Raises OverflowError beyond 48 bits."""
    return b"".join(word.to_bytes(WORD_BYTES, signed=True) for word in words)


def unpacked(array: bytes) -> Words:
    """Return the words of one array. Raises ValueError unless it has 132 bytes."""
    if len(array) != ARRAY_BYTES:
        raise ValueError(f"expected an array of {ARRAY_BYTES} bytes, found {len(array)}")
    return tuple(int.from_bytes(array[at : at + WORD_BYTES], signed=True) for at in range(0, ARRAY_BYTES, WORD_BYTES))


def arrays(report: Report, slice_: Slice, parameters: ScanParameters, instruments: Sequence[Instrument]) -> bytes:
    """Return what `RiskArrays.publish` takes for one expiry. Raises NoArray (also beyond one blob), WordOutOfRange."""
    if len(instruments) > MOST_OPTIONS:
        raise NoArray(
            f"expected at most {MOST_OPTIONS} options an expiry, found {len(instruments)}: one blob holds no more"
        )
    return b"".join(packed(words) for words in expiry_words(terms(report, slice_, parameters), instruments))


@dataclass(frozen=True, slots=True)
class Header:
    """The 96 bytes in front of an expiry's arrays, written by the contract."""

    report_id: bytes
    slice_id: bytes
    price: int
    timestamp: int
    version: int
    count: int

    @property
    def packed(self) -> bytes:
        numbers = (
            self.price.to_bytes(16) + self.timestamp.to_bytes(8) + self.version.to_bytes(4) + self.count.to_bytes(4)
        )
        return self.report_id + self.slice_id + numbers


def opened(blob: bytes) -> tuple[Header, tuple[Words, ...]]:
    """Return header and arrays of a blob (without SSTORE2's leading byte). Raises ValueError for a wrong length."""
    take = _reader(blob)
    header = Header(take(32), take(32), *(int.from_bytes(take(n)) for n in (16, 8, 4, 4)))
    if len(blob) != HEADER_BYTES + header.count * ARRAY_BYTES:
        raise ValueError(f"expected a blob of {header.count} arrays, found {len(blob)} bytes")
    return header, tuple(unpacked(take(ARRAY_BYTES)) for _ in range(header.count))


def _reader(blob: bytes) -> Callable[[int], bytes]:
    at = 0

    def take(length: int) -> bytes:
        nonlocal at
        at += length
        return blob[at - length : at]

    return take
