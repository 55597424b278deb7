"""What PMRM_2 and PMRM v1 share: one pass over all accounts that gives worst loss, notionals and doubts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from engine import scan
from engine.book import OPTION, PERPETUAL, TOKEN, Book, Instruments, mark_to_market
from engine.compiled import kernel
from engine.margin.base import require_instruments
from engine.margin.derive import Groups, gross_exposure, require_accepted
from engine.market import Market
from engine.records import floats, require_not_negative
from engine.revalue import scenario_values
from engine.scenarios import PARALLEL, Scenarios
from engine.types import Codes, Flags, Floats, Ints

BASIS_NAME = "basis contingency"
"""Last of the scenario names: the basis contingency decides where every scenario leaves more."""
SEVERAL = -2


@dataclass(frozen=True, slots=True)
class Collateral:
    """How a token counts. It moves with its underlying's spot only where it is risk cancelling."""

    mm_haircut: float  # share of its value
    im_haircut: float = 0.0  # share of its value, on top of mm_haircut
    is_risk_cancelling: bool = False

    def __post_init__(self) -> None:
        require_not_negative(self, "mm_haircut", "im_haircut")
        if not self.mm_haircut + self.im_haircut <= 1.0:
            raise ValueError(f"Collateral: expected haircuts of at most 1 together, found {self}")


@dataclass(frozen=True, slots=True)
class Charges:
    """What the margin of A accounts is put together from, (A,) each, USD, >= 0 unless said otherwise."""

    mark_to_market: Floats  # signed
    loss: Floats  # in the worst scenario
    worst: Ints  # its row, −1 without positions
    basis: Floats  # the basis contingency's loss
    perpetual: Floats  # spot notional
    naked: Floats  # spot notional of short options net of longs at their strike, calls and puts alike
    mm_haircut: Floats
    im_haircut: Floats  # on top
    doubt: Floats  # notional · (1 − confidence) where that is below the threshold
    gross: Floats  # exposure that rounding errors are proportional to


@dataclass(frozen=True, slots=True)
class AccountPass:
    """What all accounts share at one market: value, P&L and charge of one unit of every instrument."""

    instruments: Instruments
    market: Market
    scenarios: tuple[str, ...]  # S names and BASIS_NAME
    mark: Floats  # (I,) options discounted, tokens divided by the stable price
    values: Floats  # (I, S + 3) of scan.worst_by_expiry; perpetuals and tokens as P&L, so that nothing cancels
    weight: Floats  # (S,)
    skew: Flags  # (S,)
    discounts: tuple[Floats, Floats, Floats]  # gain, loss, basis scale, (E,) each
    accepted: Flags  # (I,) neither a dated future nor a token without parameters
    moves: Flags  # (I,) a risk-cancelling token
    mm_haircut: Floats  # (I,)
    im_haircut: Floats  # (I,)
    doubted: Floats  # (I,) notional of a token that its confidence is put to
    threshold: float  # of confidence
    joint: bool = False  # tokens share the confidence of spot and perpetual, as in PMRM v1

    @staticmethod
    def of(
        instruments: Instruments,
        market: Market,
        scenarios: Scenarios,
        basis: Scenarios,
        collateral: Mapping[str, Collateral],
        discount: Floats,
        discounts: tuple[Floats, Floats, Floats],
        threshold: float,
    ) -> "AccountPass":
        """Return the pass. `discount` (E,) is that of option values, `discounts` are those of whole expiries."""
        token = instruments.kind == TOKEN
        terms = [collateral.get(name) if token[row] else None for row, name in enumerate(instruments.names)]
        pledged = np.array([term is not None for term in terms], np.bool_)
        moves = np.array([term is not None and term.is_risk_cancelling for term in terms], np.bool_)
        _require_underlying(instruments, moves)
        values, mark = scenario_values(instruments, market, scenarios, discount)
        mark[token] /= market.stable_price
        linear = instruments.kind != OPTION
        price = np.where(moves | (instruments.kind == PERPETUAL), mark, 0.0)
        moves_by = np.vstack((scenarios.spot.T, np.zeros(len(scenarios.names))))  # last: of no underlying
        values[linear] = price[linear, np.newaxis] * moves_by[instruments.underlying[linear]]
        shifted = scenario_values(instruments, market, basis, discount)[0]
        return AccountPass(
            instruments=instruments,
            market=market,
            scenarios=(*scenarios.names, BASIS_NAME),
            mark=mark,
            values=np.column_stack((values, shifted, np.where(linear, 0.0, mark))),
            weight=scenarios.weight,
            skew=scenarios.skew != PARALLEL,
            discounts=discounts,
            accepted=np.isin(instruments.kind, (OPTION, PERPETUAL)) | pledged,
            moves=moves,
            mm_haircut=mark * floats([term.mm_haircut if term else 0.0 for term in terms]),
            im_haircut=mark * floats([term.im_haircut if term else 0.0 for term in terms]),
            doubted=np.where(token, mark, 0.0),
            threshold=threshold,
        )

    @property
    def stretch(self) -> float:
        """Return the largest multiplier, at least 1, that an option's value or its rounding meets on its way."""
        return max(1.0, *(float(column.max(initial=0.0)) for column in self.discounts))

    def charges(self, book: Book) -> Charges:
        """Return worst loss and notionals of every account; errors as PmrmAt."""
        groups, underlying = self._groups(book)
        least, worst, basis = scan.worst_by_expiry(*self._scanned(groups, underlying))
        market, count = self.market, len(book.accounts)
        perpetual, naked, mm_haircut, im_haircut, doubt = (np.empty(count) for _ in range(5))
        _charges(
            groups.account_start,
            groups.group_start,
            groups.group_expiry,
            groups.instrument,
            groups.quantity,
            underlying,
            self.instruments.kind,
            self.instruments.strike,
            market.confidence,
            self.mm_haircut,
            self.im_haircut,
            self.doubted,
            np.append(market.spot, 0.0),
            np.append(market.spot_confidence, market.spot_confidence.min(initial=1.0)),
            np.minimum(market.forward_confidence, market.rate_confidence),
            self.threshold,
            self.joint,
            perpetual,
            naked,
            mm_haircut,
            im_haircut,
            doubt,
        )
        return Charges(
            mark_to_market=mark_to_market(book, self.mark),
            loss=0.0 - least,
            worst=worst,
            basis=0.0 - basis,
            perpetual=perpetual,
            naked=naked,
            mm_haircut=mm_haircut,
            im_haircut=im_haircut,
            doubt=doubt,
            gross=gross_exposure(book, market, self.mark),
        )

    def scenario_pnl(self, book: Book) -> Floats:
        """Return the P&L of every account in every scenario, (A, S), USD, dampened; errors as PmrmAt."""
        return scan.profile_by_expiry(*self._scanned(*self._groups(book)))[0]

    def _scanned(
        self, groups: "Groups", underlying: Ints
    ) -> tuple[Ints, Ints, Ints, Ints, Floats, Floats, Floats, Flags, Floats, Floats, Floats]:
        """Return the arguments of engine.scan's functions; a token of another underlying than its account's stays."""
        held = np.repeat(underlying, np.diff(groups.group_start[groups.account_start]))
        foreign = self.moves[groups.instrument] & (held != self.instruments.underlying[groups.instrument])
        moved = np.where(foreign & (held < len(self.instruments.underlyings)), 0.0, groups.quantity)
        positions = groups.account_start, groups.group_start, groups.group_expiry, groups.instrument, moved
        return (*positions, self.values, self.weight, self.skew, *self.discounts)

    def _groups(self, book: Book) -> tuple["Groups", Ints]:
        """Return the book's groups and the underlying of each account, (A,): U where its positions name none."""
        require_instruments(book, self.instruments)
        require_accepted(book, self.accepted)
        instruments = self.instruments
        underlying = np.empty(len(book.accounts), np.int64)
        _underlyings(
            book.start,
            book.instrument,
            book.quantity,
            instruments.kind,
            instruments.underlying,
            self.moves,
            self.joint,
            len(instruments.underlyings),
            underlying,
        )
        if (underlying == SEVERAL).any():
            account = book.accounts[int(np.argmax(underlying == SEVERAL))]
            raise ValueError(f"{account}: expected options and perpetuals of one underlying, found several")
        return Groups.of(book), underlying


def _require_underlying(instruments: Instruments, moves: Flags) -> None:
    adrift = moves & (instruments.underlying < 0)
    if adrift.any():
        raise ValueError(f"{instruments.names[int(np.argmax(adrift))]}: risk cancelling, yet of no underlying")


def _underlyings_py(
    start: Ints,
    instrument: Ints,
    quantity: Floats,
    kind: Codes,
    underlying: Ints,
    moves: Flags,
    joint: bool,
    none: int,
    found: Ints,
) -> None:
    """Fill the underlying of each account: of its options and perpetuals (where `joint`, of its tokens too), else of
    its risk-cancelling tokens where these agree, else `none`."""
    for a in range(start.size - 1):
        traded = none
        pledged = none
        for p in range(start[a], start[a + 1]):
            i = instrument[p]
            if quantity[p] == 0.0:
                continue
            if kind[i] != TOKEN or joint:
                traded = underlying[i] if traded in (none, underlying[i]) else SEVERAL
            elif moves[i]:
                pledged = underlying[i] if pledged in (none, underlying[i]) else SEVERAL
        if traded == none and pledged != SEVERAL:
            traded = pledged
        found[a] = traded


def _doubt_py(confidence: float, threshold: float, notional: float) -> float:
    return (1.0 - confidence) * notional if confidence < threshold else 0.0


def _option_group_py(
    begin: int, end: int, instrument: Ints, quantity: Floats, strike: Floats, confidence: Floats
) -> tuple[float, float, float]:
    """Return naked shorts, gross and the least vol confidence of one account's options of one expiry."""
    naked, gross, sure = 0.0, 0.0, 1.0
    net, held = 0.0, 0.0
    for p in range(begin, end):
        i = instrument[p]
        after = instrument[p + 1] if p + 1 < end else -1
        held += quantity[p]
        if after != i:
            gross += abs(held)
            net += held
            if held != 0.0:
                sure = min(sure, confidence[i])
            held = 0.0
        if after < 0 or strike[after] != strike[i]:
            naked += max(-net, 0.0)
            net = 0.0
    return naked, gross, sure


def _charges_py(
    account_start: Ints,
    group_start: Ints,
    group_expiry: Ints,
    instrument: Ints,
    quantity: Floats,
    underlying: Ints,
    kind: Codes,
    strike: Floats,
    confidence: Floats,
    mm_haircut: Floats,
    im_haircut: Floats,
    doubted: Floats,
    spot: Floats,
    spot_confidence: Floats,
    expiry_confidence: Floats,
    threshold: float,
    joint: bool,
    perpetual: Floats,
    naked: Floats,
    mm_charge: Floats,
    im_charge: Floats,
    doubt: Floats,
) -> None:
    """Fill the last five arrays. Perpetuals come first in their group: their confidence enters what follows."""
    for a in range(account_start.size - 1):
        price = spot[underlying[a]]
        sure = spot_confidence[underlying[a]]
        spot_sure = sure
        perpetual[a] = 0.0
        naked[a] = 0.0
        mm_charge[a] = 0.0
        im_charge[a] = 0.0
        doubt[a] = 0.0
        for g in range(account_start[a], account_start[a + 1]):
            begin, end = group_start[g], group_start[g + 1]
            if group_expiry[g] >= 0:
                short, gross, vol_sure = _option_group(begin, end, instrument, quantity, strike, confidence)
                naked[a] += short * price
                least = min(vol_sure, expiry_confidence[group_expiry[g]], sure)
                doubt[a] += _doubt(least, threshold, gross * price)
                continue
            held = 0.0
            for p in range(begin, end):
                i = instrument[p]
                held += quantity[p]
                if p + 1 < end and instrument[p + 1] == i:
                    continue
                if kind[i] == PERPETUAL:
                    perpetual[a] += abs(held) * price
                    if held != 0.0:
                        sure = min(sure, confidence[i])
                else:
                    mm_charge[a] += held * mm_haircut[i]
                    im_charge[a] += held * im_haircut[i]
                    least = min(confidence[i], sure if joint else spot_sure)
                    doubt[a] += _doubt(least, threshold, held * doubted[i])
                held = 0.0
        doubt[a] += _doubt(sure, threshold, perpetual[a])


_underlyings: Callable[..., None] = kernel(_underlyings_py)
_doubt: Callable[..., float] = kernel(_doubt_py)
_option_group: Callable[..., tuple[float, float, float]] = kernel(_option_group_py)
_charges: Callable[..., None] = kernel(_charges_py)
