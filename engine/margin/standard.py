"""Derive's standard margin: cross margin over all underlyings, each short option margined on its own.

    equity  = MtM = cash + Σ options at Black-76 + perpetual PnL and funding + Σ base · spot / stable price
    options = per expiry, what of its MtM is left at max(Σ isolated margins of shorts, worst settlement), both <= 0
    base    = what of its MtM is left at its spot notional · margin factor

Options are not discounted. IM and MM are these requirements and a share of perpetual notional; IM also answers for
doubtful prices and a stablecoin off its peg. The protocol states the excess, equity − margin, and acts when it is
negative. Source: StandardManager, v2-core.
"""

from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, field, replace

import numpy as np

from engine.book import OPTION, PERPETUAL, TOKEN, Book, Instruments, mark_to_market
from engine.compiled import kernel
from engine.margin.base import MarginReport, judged, require_instruments
from engine.margin.derive import (
    BAND,
    Groups,
    depeg,
    gross_exposure,
    require_accepted,
)
from engine.market import Market, require_market
from engine.records import floats, require_not_negative
from engine.revalue import mark_values
from engine.types import Codes, Flags, Floats, Ints

# Columns of a row of terms: the fields of the four records below in their order.
MM_PERPETUAL, IM_PERPETUAL = 0, 1
MAX_SPOT, MIN_SPOT, MM_CALL, MM_PUT, MM_PUT_MTM, UNPAIRED_IM, UNPAIRED_MM, MM_OFFSET = range(2, 10)
PERPETUAL_THRESHOLD, OPTION_THRESHOLD, BASE_THRESHOLD, DOUBT = range(10, 14)
BASE_FACTOR, BASE_IM_SCALE = 14, 15
PARTS = 8


@dataclass(frozen=True, slots=True)
class PerpetualTerms:
    """Shares of perpetual notional at the mark."""

    mm: float = 0.065
    im: float = 0.10

    def __post_init__(self) -> None:
        if not 0.0 < self.mm <= self.im < 1.0:
            raise ValueError(f"PerpetualTerms: expected 0 < mm <= im < 1, found {self}")


@dataclass(frozen=True, slots=True)
class OptionTerms:
    """Margin of a short option as shares of spot, on top of its value; see StandardManager's isolated margin."""

    max_spot: float = 0.15  # IM at the money
    min_spot: float = 0.13  # IM far out of it
    mm_call: float = 0.09
    mm_put: float = 0.09
    mm_put_mtm: float = 0.09  # share of its value
    unpaired_im: float = 1.2  # of the forward, per call that no long call covers
    unpaired_mm: float = 1.1
    mm_offset: float = 1.05  # IM of a put is at least this multiple of its MM

    def __post_init__(self) -> None:
        require_not_negative(self, *self.__slots__)


@dataclass(frozen=True, slots=True)
class OracleTerms:
    """IM takes `doubt` · (1 − confidence) of spot notional where a confidence is below its threshold; 0: never."""

    perpetual_threshold: float = 0.4
    option_threshold: float = 0.4
    base_threshold: float = 0.4
    doubt: float = 0.4

    def __post_init__(self) -> None:
        require_not_negative(self, *self.__slots__)


@dataclass(frozen=True, slots=True)
class BaseTerms:
    """What of a base asset's spot notional counts."""

    margin_factor: float = 0.8
    im_scale: float = 0.9375  # IM counts this share of what MM counts

    def __post_init__(self) -> None:
        require_not_negative(self, *self.__slots__)
        if self.margin_factor > 1.0 or self.im_scale > 1.0:
            raise ValueError(f"BaseTerms: expected shares of at most 1, found {self}")


@dataclass(frozen=True, slots=True)
class UnderlyingTerms:
    """The terms of one underlying."""

    perpetual: PerpetualTerms = PerpetualTerms()
    option: OptionTerms = OptionTerms()
    oracle: OracleTerms = OracleTerms()
    base: BaseTerms = BaseTerms()

    @property
    def row(self) -> list[float]:
        """The terms as a kernel reads them."""
        return [number for group in astuple(self) for number in group]


@dataclass(frozen=True, slots=True)
class Standard:
    """The standard manager. A token of an underlying is its base asset, worth its spot; others are not accepted."""

    terms: Mapping[str, UnderlyingTerms] = field(default_factory=dict)  # by name of the underlying
    other: UnderlyingTerms = UnderlyingTerms()  # of underlyings not named
    depeg_threshold: float = 0.99  # USD per stablecoin, below which IM takes a share of spot notional
    depeg_factor: float = 2.0  # per USD

    def __post_init__(self) -> None:
        require_not_negative(self, "depeg_threshold", "depeg_factor")

    def at(self, instruments: Instruments, market: Market) -> "StandardAt":
        """Value every instrument, once for all accounts.

        Raises ValueError for a market that does not fit.
        """
        require_market(instruments, market)
        base = (instruments.kind == TOKEN) & (instruments.underlying >= 0)
        spot = np.append(market.spot, 0.0)[instruments.underlying]
        market = replace(market, price=np.where(base, spot, market.price))
        mark = mark_values(instruments, market, discount=np.ones(market.seconds.size))
        mark[base] /= market.stable_price
        rows = [self.terms.get(name, self.other).row for name in instruments.underlyings]
        return StandardAt(
            instruments=instruments,
            market=market,
            mark=mark,
            terms=floats(rows).reshape(-1, BASE_IM_SCALE + 1),
            expiry_confidence=_expiry_confidence(instruments, market),
            depeg=depeg(market, self.depeg_threshold, self.depeg_factor),
            accepted=np.isin(instruments.kind, (OPTION, PERPETUAL)) | base,
        )


@dataclass(frozen=True, slots=True)
class StandardAt:
    """The standard manager at one market."""

    instruments: Instruments
    market: Market
    mark: Floats  # (I,) USD per unit; base assets divided by the stable price
    terms: Floats  # (U, 16) columns named above
    expiry_confidence: Floats  # (E,) least of spot, forward and every vol of the expiry
    depeg: float  # share of spot notional
    accepted: Flags  # (I,) neither a dated future nor a token without an underlying

    def __call__(self, book: Book) -> MarginReport:
        """Return the report. MM is the sum of the parts named MM; IM that of those named IM, oracle and depeg.

        Raises ValueError for a book of other instruments, a dated future, a token owed or not accepted, an option
        held on a forward that is 0.
        """
        require_instruments(book, self.instruments)
        require_accepted(book, self.accepted)
        groups, market = Groups.of(book), self.market
        forward = market.forward + market.forward_fixed
        dead = np.isin(groups.group_expiry, np.flatnonzero(forward <= 0.0))
        if dead.any():
            expiry = groups.group_expiry[int(np.argmax(dead))]
            raise ValueError(f"{self.instruments.expiries[expiry]}: expected a forward > 0, found 0")
        parts = np.zeros((PARTS, len(book.accounts)))
        _parts(
            groups.account_start,
            groups.group_start,
            groups.group_expiry,
            groups.instrument,
            groups.quantity,
            self.instruments.kind,
            self.instruments.underlying,
            self.instruments.strike,
            self.instruments.is_call,
            self.mark,
            market.price,
            market.confidence,
            market.spot,
            market.spot_confidence,
            forward,
            self.expiry_confidence,
            self.terms,
            self.depeg,
            parts,
        )
        equity = mark_to_market(book, self.mark)
        return judged(
            equity=equity,
            im=parts[1] + parts[3] + parts[5] + parts[6] + parts[7],
            mm=parts[0] + parts[2] + parts[4],
            mark_to_market=equity.copy(),
            band=BAND * gross_exposure(book, market, self.mark),
            contingencies={
                "perpetual MM": parts[0].copy(),
                "perpetual IM": parts[1].copy(),
                "option MM": parts[2].copy(),
                "option IM": parts[3].copy(),
                "base MM": parts[4].copy(),
                "base IM": parts[5].copy(),
                "oracle confidence": parts[6].copy(),
                "depeg": parts[7].copy(),
            },
        )


def _expiry_confidence(instruments: Instruments, market: Market) -> Floats:
    least = np.minimum(market.spot_confidence[market.expiry_underlying], market.forward_confidence)
    dated = instruments.expiry >= 0
    np.minimum.at(least, instruments.expiry[dated], market.confidence[dated])
    return least


def _settled_py(
    settlement: float, begin: int, end: int, instrument: Ints, quantity: Floats, strike: Floats, is_call: Flags
) -> float:
    """Return what the options of one account and expiry pay at a settlement price, USD."""
    paid = 0.0
    for p in range(begin, end):
        i = instrument[p]
        intrinsic = settlement - strike[i] if is_call[i] else strike[i] - settlement
        paid += quantity[p] * max(intrinsic, 0.0)
    return paid


def _isolated_py(
    held: float, value: float, strike: float, is_call: bool, spot: float, terms: Floats
) -> tuple[float, float]:
    """Return MM and IM of a short of `held` < 0 options worth `value` together, both <= 0."""
    notional = spot * held
    otm = max((strike - spot if is_call else spot - strike) / spot, 0.0)
    im = value + max(terms[MAX_SPOT] - otm, terms[MIN_SPOT]) * notional
    if is_call:
        return value + terms[MM_CALL] * notional, im
    mm = value + min(terms[MM_PUT] * notional, terms[MM_PUT_MTM] * value)
    return mm, min(im, terms[MM_OFFSET] * mm)


def _option_group_py(
    begin: int,
    end: int,
    instrument: Ints,
    quantity: Floats,
    strike: Floats,
    is_call: Flags,
    mark: Floats,
    spot: float,
    forward: float,
    terms: Floats,
) -> tuple[float, float, float]:
    """Return the requirements MM and IM of one account's options of one expiry, and the sum of its shorts, >= 0."""
    worst = min(_settled(0.0, begin, end, instrument, quantity, strike, is_call), 0.0)
    value, isolated_mm, isolated_im, shorts, calls, held = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for p in range(begin, end):
        i = instrument[p]
        held += quantity[p]
        if p + 1 < end and instrument[p + 1] == i:
            continue
        if held == 0.0:  # of no balance the protocol knows no strike
            continue
        worst = min(worst, _settled(strike[i], begin, end, instrument, quantity, strike, is_call))
        value += held * mark[i]
        calls += held if is_call[i] else 0.0
        if held < 0.0:
            mm, im = _isolated(held, held * mark[i], strike[i], is_call[i], spot, terms)
            isolated_mm += mm
            isolated_im += im
            shorts -= held
        held = 0.0
    unpaired = forward * min(calls, 0.0)
    mm = max(isolated_mm, worst + terms[UNPAIRED_MM] * unpaired)
    im = max(isolated_im, worst + terms[UNPAIRED_IM] * unpaired)
    return value - mm, value - im, shorts


def _doubt_py(confidence: float, threshold: float) -> float:
    return 1.0 - confidence if confidence < threshold else 0.0


def _linear_group_py(
    begin: int,
    end: int,
    instrument: Ints,
    quantity: Floats,
    kind: Codes,
    underlying: Ints,
    mark: Floats,
    price: Floats,
    confidence: Floats,
    spot: Floats,
    spot_confidence: Floats,
    terms: Floats,
    depeg_share: float,
    parts: Floats,
) -> None:
    """Add one account's perpetuals and base assets to its parts, (8,)."""
    held = 0.0
    for p in range(begin, end):
        i = instrument[p]
        u = underlying[i]
        held += quantity[p]
        if u < 0 or (p + 1 < end and instrument[p + 1] == i):
            continue
        if kind[i] == PERPETUAL:
            size = abs(held)
            parts[0] += size * price[i] * terms[u, MM_PERPETUAL]
            parts[1] += size * price[i] * terms[u, IM_PERPETUAL]
            doubt = _doubt(min(confidence[i], spot_confidence[u]), terms[u, PERPETUAL_THRESHOLD]) * terms[u, DOUBT]
            parts[6] += doubt * spot[u] * size
            parts[7] += depeg_share * spot[u] * size
        else:
            notional = held * spot[u]
            counted = notional * terms[u, BASE_FACTOR]
            parts[4] += held * mark[i] - counted
            parts[5] += held * mark[i] - counted * terms[u, BASE_IM_SCALE]
            if counted * terms[u, BASE_IM_SCALE] > 0.0:
                parts[6] += _doubt(spot_confidence[u], terms[u, BASE_THRESHOLD]) * terms[u, DOUBT] * notional
        held = 0.0


def _parts_py(
    account_start: Ints,
    group_start: Ints,
    group_expiry: Ints,
    instrument: Ints,
    quantity: Floats,
    kind: Codes,
    underlying: Ints,
    strike: Floats,
    is_call: Flags,
    mark: Floats,
    price: Floats,
    confidence: Floats,
    spot: Floats,
    spot_confidence: Floats,
    forward: Floats,
    expiry_confidence: Floats,
    terms: Floats,
    depeg_share: float,
    parts: Floats,
) -> None:
    """Fill parts (8, A): MM and IM of perpetuals, of options, of base assets; oracle confidence; depeg."""
    for a in range(account_start.size - 1):
        for g in range(account_start[a], account_start[a + 1]):
            begin, end, e = group_start[g], group_start[g + 1], group_expiry[g]
            if e < 0:
                _linear_group(
                    begin,
                    end,
                    instrument,
                    quantity,
                    kind,
                    underlying,
                    mark,
                    price,
                    confidence,
                    spot,
                    spot_confidence,
                    terms,
                    depeg_share,
                    parts[:, a],
                )
                continue
            u = underlying[instrument[begin]]
            mm, im, shorts = _option_group(
                begin, end, instrument, quantity, strike, is_call, mark, spot[u], forward[e], terms[u]
            )
            parts[2, a] += mm
            parts[3, a] += im
            doubt = _doubt(expiry_confidence[e], terms[u, OPTION_THRESHOLD]) * terms[u, DOUBT]
            parts[6, a] += doubt * spot[u] * shorts
            parts[7, a] += depeg_share * spot[u] * shorts


_settled: Callable[..., float] = kernel(_settled_py)
_isolated: Callable[..., tuple[float, float]] = kernel(_isolated_py)
_doubt: Callable[..., float] = kernel(_doubt_py)
_linear_group: Callable[..., None] = kernel(_linear_group_py)
_option_group: Callable[..., tuple[float, float, float]] = kernel(_option_group_py)
_parts: Callable[..., None] = kernel(_parts_py)
