"""Derive's portfolio margin PMRM_2: the worst of a scenario grid, discounted per expiry, and contingencies.

    MtM = cash + Σ options at Black-76 · D + perpetual PnL and funding + Σ tokens · price / stable price
    MM  = −worst · MM factor + MM charges
    IM  = −worst · (IM factor + depeg) + MM charges + IM charges + oracle confidence

`worst` <= 0 is the least of the basis contingency and the scenarios' P&L. The protocol states what is left, MtM − MM
and MtM − IM, and acts when it is negative; here both are requirements against equity = MtM. Source: PMRM_2 and
PMRMLib_2, v2-core. An account belongs to one manager: its options and perpetuals are of one underlying.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from engine import scan
from engine.book import FUTURE, OPTION, PERPETUAL, TOKEN, Book, Instruments, account_sums, mark_to_market
from engine.compiled import kernel
from engine.margin.base import MarginReport, judged
from engine.market import Market
from engine.records import floats
from engine.revalue import scenario_values
from engine.scenarios import PARALLEL, Scenarios, Shock, SkewShape, TermScale, grid
from engine.types import Codes, Flags, Floats, Ints

BASIS_NAME = "basis contingency"
"""Last of the scenario names: the basis contingency decides where every scenario leaves more."""
BAND = 1e-13
"""Of an account's gross exposure: float64 was seen to differ from the protocol's 18-decimal integers by 3e-14 of it."""
MOST_SCENARIOS = 40
SKEWED = ("linear", "abs")
SEVERAL = -2
SHORT = 32  # positions
PM2_TERM = TermScale(short_power=0.3, long_power=0.13, floor_days=1.0)
PM2_SKEW = SkewShape(linear_base_cap=0.25, linear_c_base=-0.1, absolute_base_cap=0.25, absolute_c_base=-0.1)


def require_not_negative(record: object, *names: str) -> None:
    """Raise ValueError where a parameter is negative or not finite."""
    for name in names:
        number = getattr(record, name)
        if not 0.0 <= number < np.inf:
            raise ValueError(f"{type(record).__name__}.{name}: expected a finite number >= 0, found {number}")


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
class StaticDiscount:
    """base · exp(−years · (rate · rate_multiple + rate_addition))."""

    base: float
    rate_multiple: float
    rate_addition: float

    def __post_init__(self) -> None:
        require_not_negative(self, "base", "rate_multiple", "rate_addition")

    def decay(self, market: Market) -> Floats:
        """Return the exponential factor of each expiry, (E,); a negative rate counts as 0."""
        rate = np.maximum(market.rate, 0.0) * self.rate_multiple + self.rate_addition
        return floats(np.exp(-market.years * rate))


@dataclass(frozen=True, slots=True)
class Basis:
    """Forwards move against spot, each expiry its worse way: times addition + multiple · years."""

    up: float = 0.045  # relative move of the forwards
    down: float = -0.045
    addition: float = 0.5
    multiple: float = 2.0

    def __post_init__(self) -> None:
        require_not_negative(self, "up", "addition", "multiple")
        if not -1.0 <= self.down <= 0.0:
            raise ValueError(f"Basis: expected -1 <= down <= 0, found {self}")

    def scenarios(self, underlyings: int) -> Scenarios:
        """Return the two moves as scenarios, up first."""
        return grid((Shock(self.up), Shock(self.down)), underlyings, vol_up=0.0, vol_down=0.0)

    def scale(self, market: Market) -> Floats:
        """Return the share of the loss that counts, (E,)."""
        return floats(self.addition + self.multiple * market.years)


def pm2_scenarios() -> tuple[Shock, ...]:
    """Return Derive's PM2 set: ±18 % in steps of 4.5 %, vol up only at the ends; dampened tails; two turns of skew."""
    steps = (0.135, 0.09, 0.045, 0.0, -0.045, -0.09, -0.135)
    lower = (Shock(-0.66, "up", 0.21), Shock(-0.33, "up", 0.42))
    upper = ((0.5, 0.2772), (1.0, 0.1386), (2.0, 0.0693), (3.0, 0.0462), (4.0, 0.03465), (5.0, 0.02772))
    return (
        Shock(0.18, "up"),
        *(Shock(spot, vol) for spot in steps for vol in ("down", "none", "up")),
        Shock(-0.18, "up"),
        *lower,
        *(Shock(spot, "up", weight) for spot, weight in upper),
        Shock(0.0, "linear"),
        Shock(0.0, "abs"),
    )


@dataclass(frozen=True, slots=True)
class Pmrm:
    """PMRM_2. The defaults are those Derive's PM2 was set up with; the live ones are to be read from the contract.

    Shares are of spot notional for perpetuals and naked short options, of value for tokens. IM shares come on top of
    the MM shares. A token without an entry in `collateral` is not accepted.
    """

    scenarios: tuple[Shock, ...] = field(default_factory=pm2_scenarios)
    collateral: Mapping[str, Collateral] = field(default_factory=dict)  # by instrument name
    vol_up: float = 0.5  # relative shock at 30 days
    vol_down: float = 0.3
    min_vol_up: float = 0.4  # least vol of an up scenario
    term: TermScale = PM2_TERM
    skew: SkewShape = PM2_SKEW
    im_factor: float = 1.0
    mm_factor: float = 0.8
    gain_discount: StaticDiscount = StaticDiscount(base=0.95, rate_multiple=1.0, rate_addition=0.08)
    loss_discount: StaticDiscount = StaticDiscount(base=1.04, rate_multiple=0.5, rate_addition=0.08)
    basis: Basis = Basis()
    peg_threshold: float = 0.99  # USD per stablecoin, below which the IM factor grows
    peg_factor: float = 4.0  # by which, per USD
    confidence_threshold: float = 0.55  # at this confidence no charge yet
    confidence_margin: float = 1.0
    mm_perpetual: float = 0.03
    im_perpetual: float = 0.01
    mm_option: float = 0.003
    im_option: float = 0.002

    def __post_init__(self) -> None:
        require_not_negative(
            self,
            *("vol_up", "vol_down", "min_vol_up", "im_factor", "mm_factor", "peg_threshold", "peg_factor"),
            *("confidence_threshold", "confidence_margin", "mm_perpetual", "im_perpetual", "mm_option", "im_option"),
        )
        require_scenarios(self.scenarios)
        for kind in SKEWED:
            moves = [shock.spot for shock in self.scenarios if shock.vol == kind]
            if len(moves) > 1 or any(moves):
                raise ValueError(f"Pmrm.scenarios: expected one {kind} scenario at most, spot unmoved, found {moves}")

    def at(self, instruments: Instruments, market: Market) -> "PmrmAt":
        """Value every instrument in every scenario, once for all accounts.

        Raises ValueError for a market that does not fit, a future, or parameters that give no finite value.
        """
        discount = np.exp(-np.maximum(market.rate, 0.0) * market.years)
        with np.errstate(divide="ignore", over="ignore"):
            loss = np.minimum(1.0 / discount, self.loss_discount.base / self.loss_discount.decay(market))
        accounts = AccountPass.of(
            instruments,
            market,
            grid(
                self.scenarios,
                len(instruments.underlyings),
                vol_up=self.vol_up,
                vol_down=self.vol_down,
                vol_floor=self.min_vol_up,
                term=self.term,
                shape=self.skew,
            ),
            self.basis.scenarios(len(instruments.underlyings)),
            collateral=self.collateral,
            discount=discount,
            discounts=(self.gain_discount.base * self.gain_discount.decay(market), loss, self.basis.scale(market)),
            threshold=self.confidence_threshold,
        )
        return PmrmAt(self, accounts, self.im_factor + depeg(market, self.peg_threshold, self.peg_factor))


@dataclass(frozen=True, slots=True)
class PmrmAt:
    """PMRM_2 at one market."""

    model: Pmrm
    accounts: "AccountPass"
    im_factor: float  # depeg included

    def __call__(self, book: Book) -> MarginReport:
        """Return the report: IM and MM share `worst`, the last of whose names is the basis contingency.

        MM is the sum of the contingencies named MM; IM that of scenario loss IM, of the other parts of MM, and of those
        named IM and oracle confidence on top. The basis contingency is one of the losses, not a part.
        Raises ValueError for a book of other instruments, an account with options or perpetuals on several
        underlyings, a token owed, or one that is not accepted.
        """
        model, part = self.model, self.accounts.charges(book)
        loss_mm, loss_im = part.loss * model.mm_factor, part.loss * self.im_factor
        perpetual_mm, perpetual_im = part.perpetual * model.mm_perpetual, part.perpetual * model.im_perpetual
        option_mm, option_im = part.naked * model.mm_option, part.naked * model.im_option
        doubt = part.doubt * model.confidence_margin
        charges = perpetual_mm + option_mm + part.mm_haircut
        return judged(
            equity=part.mark_to_market,
            im=loss_im + charges + (perpetual_im + option_im + part.im_haircut + doubt),
            mm=loss_mm + charges,
            mark_to_market=part.mark_to_market.copy(),
            band=BAND * max(1.0, model.mm_factor) * part.gross,
            worst=part.worst,
            scenarios=self.accounts.scenarios,
            contingencies={
                "scenario loss MM": loss_mm,
                "scenario loss IM": loss_im,
                "perpetual MM": perpetual_mm,
                "perpetual IM": perpetual_im,
                "option MM": option_mm,
                "option IM": option_im,
                "collateral haircut MM": part.mm_haircut,
                "collateral haircut IM": part.im_haircut,
                "oracle confidence": doubt,
                "basis": part.basis,
            },
        )

    def scenario_pnl(self, book: Book) -> Floats:
        """Return the P&L of every account in every scenario, (A, S), USD, dampened; errors as the call."""
        return self.accounts.scenario_pnl(book)


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
    accepted: Flags  # (I,) not a token without parameters
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
        moves = np.array([term is not None and term.is_risk_cancelling for term in terms], np.bool_)
        require_no_future(instruments)
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
            accepted=~token | np.array([term is not None for term in terms], np.bool_),
            moves=moves,
            mm_haircut=mark * floats([term.mm_haircut if term else 0.0 for term in terms]),
            im_haircut=mark * floats([term.im_haircut if term else 0.0 for term in terms]),
            doubted=np.where(token, mark, 0.0),
            threshold=threshold,
        )

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
        require_tokens(book, self.accepted)
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


@dataclass(frozen=True, slots=True)
class Groups:
    """A book's positions, sorted within each account by expiry (none first), strike, kind, instrument, and cut into
    what the account holds of one expiry. G groups; starts and expiries as in engine.scan.worst_by_expiry."""

    account_start: Ints  # (A + 1,)
    group_start: Ints  # (G + 1,)
    group_expiry: Ints  # (G,)
    instrument: Ints  # (P,)
    quantity: Floats  # (P,)

    @staticmethod
    def of(book: Book) -> "Groups":
        """Return the groups of a book: an account's are the same whatever other accounts stand beside it."""
        instruments, count = book.instruments, book.instrument.size
        rank = np.empty(len(instruments.names), np.int64)
        rank[np.lexsort((instruments.kind, instruments.strike, instruments.expiry))] = np.arange(rank.size)
        order, account_start = np.empty(count, np.int64), np.empty_like(book.start)
        group_start, group_expiry = np.empty(count + 1, np.int64), np.empty(count, np.int64)
        _arrange(book.start, book.instrument, rank, order)
        instrument = book.instrument[order]
        groups = _group(book.start, instrument, instruments.expiry, account_start, group_start, group_expiry)
        return Groups(account_start, group_start[: groups + 1], group_expiry[:groups], instrument, book.quantity[order])


def gross_exposure(book: Book, market: Market, mark: Floats) -> Floats:
    """Return what rounding errors are proportional to, (A,), USD: options count with forward + strike."""
    dated = book.instruments.expiry >= 0
    size = np.abs(mark)
    forward = (market.forward + market.forward_fixed)[book.instruments.expiry[dated]]
    size[dated] = forward + book.instruments.strike[dated]
    positions = np.abs(book.quantity) * size[book.instrument] + np.abs(book.accrued)
    return np.abs(book.cash) + account_sums(book, positions)


def require_instruments(book: Book, instruments: Instruments) -> None:
    """Raise ValueError for a book of other instruments than a model was prepared for."""
    if book.instruments is not instruments and book.instruments.names != instruments.names:
        raise ValueError("Book.instruments: expected those the model was prepared for, found others")


def require_tokens(book: Book, accepted: Flags) -> None:
    """Raise ValueError where an account owes a token, or holds an instrument that is not `accepted`, (I,)."""
    owed = (book.instruments.kind[book.instrument] == TOKEN) & (book.quantity < 0.0)
    refused = owed | (~accepted[book.instrument] & (book.quantity != 0.0))
    if refused.any():
        row = int(np.argmax(refused))
        account, name = book.accounts[int(book.account[row])], book.instruments.names[book.instrument[row]]
        why = "a debt, which only cash can be" if owed[row] else "not accepted as collateral"
        raise ValueError(f"{account}: {book.quantity[row]} {name} is {why}")


def require_scenarios(shocks: Sequence[Shock]) -> None:
    """Raise ValueError unless there are 1 to 40 scenarios, the protocol's bound."""
    if not 1 <= len(shocks) <= MOST_SCENARIOS:
        raise ValueError(f"scenarios: expected 1 to {MOST_SCENARIOS}, found {len(shocks)}")


def depeg(market: Market, threshold: float, factor: float) -> float:
    """Return what the IM factor gains by a stablecoin below `threshold`: nothing at it."""
    return max(threshold - market.stable_price, 0.0) * factor


def require_no_future(instruments: Instruments) -> None:
    """Raise ValueError where there is a dated future, which the protocol does not know."""
    future = instruments.kind == FUTURE
    if future.any():
        raise ValueError(f"{instruments.names[int(np.argmax(future))]}: a future, which the protocol does not know")


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


def _arrange_py(start: Ints, instrument: Ints, rank: Ints, order: Ints) -> None:
    """Fill the positions in the order of their ranks within each account, those of one rank as they stood.

    Most accounts are short, where insertion takes a quarter of the general sort's time. Keys are unique.
    """
    for a in range(start.size - 1):
        begin, end = start[a], start[a + 1]
        for p in range(begin, end):
            key = rank[instrument[p]] * (end - begin) + p - begin
            place = p
            while end - begin <= SHORT and place > begin and order[place - 1] > key:
                order[place] = order[place - 1]
                place -= 1
            order[place] = key
        if end - begin > SHORT:
            order[begin:end].sort()
        for p in range(begin, end):
            order[p] = begin + order[p] % (end - begin)


def _group_py(
    start: Ints, instrument: Ints, expiry: Ints, account_start: Ints, group_start: Ints, group_expiry: Ints
) -> int:
    """Fill where accounts and groups start and each group's expiry; return the number of groups."""
    groups = 0
    account_start[0] = 0
    group_start[0] = 0
    for a in range(start.size - 1):
        for p in range(start[a], start[a + 1]):
            if p == start[a] or expiry[instrument[p]] != expiry[instrument[p - 1]]:
                group_start[groups] = p
                group_expiry[groups] = expiry[instrument[p]]
                groups += 1
        account_start[a + 1] = groups
    group_start[groups] = instrument.size
    return groups


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
_arrange: Callable[..., None] = kernel(_arrange_py)
_group: Callable[..., int] = kernel(_group_py)
_doubt: Callable[..., float] = kernel(_doubt_py)
_option_group: Callable[..., tuple[float, float, float]] = kernel(_option_group_py)
_charges: Callable[..., None] = kernel(_charges_py)
