"""Derive's portfolio margin PMRM_2: the worst of a scenario grid, discounted per expiry, and contingencies.

    MtM = cash + Σ options at Black-76 · D + perpetual PnL and funding + Σ tokens · price / stable price
    MM  = −worst · MM factor + MM charges
    IM  = −worst · (IM factor + depeg) + MM charges + IM charges + oracle confidence

`worst` <= 0 is the least of the basis contingency and the scenarios' P&L. The protocol states what is left, MtM − MM
and MtM − IM, and acts when it is negative; here both are requirements against equity = MtM. Source: PMRM_2 and
PMRMLib_2, v2-core. An account belongs to one manager: its options and perpetuals are of one underlying.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from engine.book import Book, Instruments
from engine.margin.base import MarginReport, judged
from engine.margin.derive import BAND, depeg
from engine.margin.pmrm_accounts import AccountPass, Collateral
from engine.market import Market
from engine.records import floats, require_not_negative
from engine.scenarios import Scenarios, Shock, SkewShape, TermScale, grid
from engine.types import Floats

MOST_SCENARIOS = 40
SKEWED = ("linear", "abs")
PM2_TERM = TermScale(short_power=0.3, long_power=0.13, floor_days=1.0)
PM2_SKEW = SkewShape(linear_base_cap=0.25, linear_c_base=-0.1, absolute_base_cap=0.25, absolute_c_base=-0.1)


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

        Raises ValueError for a market that does not fit or parameters that give no finite value.
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
    accounts: AccountPass
    im_factor: float  # depeg included

    def __call__(self, book: Book) -> MarginReport:
        """Return the report: IM and MM share `worst`, the last of whose names is the basis contingency.

        MM is the sum of the contingencies named MM; IM that of scenario loss IM, of the other parts of MM, and of those
        named IM and oracle confidence on top. The basis contingency is one of the losses, not a part.
        Raises ValueError for a book of other instruments, an account with options or perpetuals on several
        underlyings, a dated future, a token owed, or one that is not accepted.
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
            band=BAND * max(1.0, model.mm_factor) * self.accounts.stretch * part.gross,
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


def require_scenarios(shocks: Sequence[Shock]) -> None:
    """Raise ValueError unless there are 1 to 40 scenarios, the protocol's bound."""
    if not 1 <= len(shocks) <= MOST_SCENARIOS:
        raise ValueError(f"scenarios: expected 1 to {MOST_SCENARIOS}, found {len(shocks)}")
