"""Derive's first portfolio margin, PMRM: no dampening, no skew, one base asset that always moves with its spot.

    MtM = cash + Σ options at Black-76, undiscounted + perpetual PnL and funding + base · spot / stable price
    MM  = static − worst
    IM  = (static − worst) · (IM factor + depeg) + oracle confidence

`static` is a share of the spot notional of perpetual, base and naked short options. Only a positive value of an
expiry is discounted in a scenario. Source: PMRM and PMRMLib, v2-core.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from engine.book import TOKEN, Book, Instruments
from engine.margin.base import MarginReport, judged
from engine.margin.derive import BAND, depeg
from engine.margin.pmrm import Basis, StaticDiscount, require_scenarios
from engine.margin.pmrm_accounts import AccountPass, Collateral
from engine.market import Market, require_market
from engine.records import require_not_negative
from engine.scenarios import Shock, TermScale, grid
from engine.types import Floats

PM1_TERM = TermScale(short_power=0.3, long_power=0.13, floor_days=1.0)
PM1_DISCOUNT = StaticDiscount(base=0.95, rate_multiple=1.0, rate_addition=0.12)
PM1_BASIS = Basis(up=0.05, down=-0.05, addition=1.0, multiple=1.2)
HIGHEST_SPOT = 3.0  # times the spot, the protocol's bound


def pm1_scenarios() -> tuple[Shock, ...]:
    """Return Derive's PM1 set: ±20 % in steps of 5 %, each with vol up, unchanged and down."""
    return tuple(Shock(step / 20.0, vol) for step in range(4, -5, -1) for vol in ("up", "none", "down"))


@dataclass(frozen=True, slots=True)
class PmrmV1:
    """PMRM, first version. The defaults are those Derive's PM1 was set up with.

    A token with an underlying is that underlying's base asset, worth its spot; one without is not accepted.
    """

    scenarios: tuple[Shock, ...] = field(default_factory=pm1_scenarios)
    vol_up: float = 0.6  # relative shock at 30 days
    vol_down: float = 0.3
    term: TermScale = PM1_TERM
    im_factor: float = 1.25
    gain_discount: StaticDiscount = PM1_DISCOUNT
    basis: Basis = PM1_BASIS
    peg_threshold: float = 0.98  # USD per stablecoin, below which the IM factor grows
    peg_factor: float = 2.0  # by which, per USD
    confidence_threshold: float = 0.6  # at this confidence no charge yet
    confidence_margin: float = 0.5
    perpetual: float = 0.03  # share of spot notional
    base: float = 0.03
    option: float = 0.02

    def __post_init__(self) -> None:
        require_not_negative(
            self,
            *("vol_up", "vol_down", "im_factor", "peg_threshold", "peg_factor", "confidence_threshold"),
            *("confidence_margin", "perpetual", "base", "option"),
        )
        require_scenarios(self.scenarios)
        for shock in self.scenarios:
            if shock.vol not in ("up", "none", "down") or shock.weight != 1.0 or 1.0 + shock.spot > HIGHEST_SPOT:
                expected = f"vol up, none or down, weight 1, spot at most {HIGHEST_SPOT:g} times"
                raise ValueError(f"PmrmV1.scenarios: expected {expected}, found {shock}")

    def at(self, instruments: Instruments, market: Market) -> "PmrmV1At":
        """Value every instrument in every scenario, once for all accounts; errors as Pmrm.at."""
        require_market(instruments, market)
        is_base = (instruments.kind == TOKEN) & (instruments.underlying >= 0)
        spot = np.append(market.spot, 0.0)[np.where(is_base, instruments.underlying, -1)]
        confidence = np.where(is_base, 1.0, market.confidence)  # none of its own: the spot's and perpetual's count
        market = replace(market, price=np.where(is_base, spot, market.price), confidence=confidence)
        undiscounted = np.ones(market.seconds.size)
        scenarios = grid(
            self.scenarios,
            len(instruments.underlyings),
            vol_up=self.vol_up,
            vol_down=self.vol_down,
            term=self.term,
        )
        accounts = AccountPass.of(
            instruments,
            market,
            scenarios,
            self.basis.scenarios(len(instruments.underlyings)),
            collateral=_bases(instruments),
            discount=undiscounted,
            discounts=(
                self.gain_discount.base * self.gain_discount.decay(market),
                undiscounted,
                self.basis.scale(market),
            ),
            threshold=self.confidence_threshold,
        )
        accounts = replace(accounts, mm_haircut=self.base * spot, doubted=spot, joint=True)
        return PmrmV1At(self, accounts, self.im_factor + depeg(market, self.peg_threshold, self.peg_factor))


@dataclass(frozen=True, slots=True)
class PmrmV1At:
    """PMRM, first version, at one market."""

    model: PmrmV1
    accounts: AccountPass
    im_factor: float  # depeg included

    def __call__(self, book: Book) -> MarginReport:
        """Return the report; errors as PmrmAt, and a base asset must be of its account's underlying too."""
        model, part = self.model, self.accounts.charges(book)
        perpetual, option = part.perpetual * model.perpetual, part.naked * model.option
        static = perpetual + option + part.mm_haircut
        doubt = part.doubt * model.confidence_margin
        return judged(
            equity=part.mark_to_market,
            im=(static + part.loss) * self.im_factor + doubt,
            mm=static + part.loss,
            mark_to_market=part.mark_to_market.copy(),
            band=BAND * self.accounts.stretch * part.gross,
            worst=part.worst,
            scenarios=self.accounts.scenarios,
            contingencies={
                "scenario loss MM": part.loss,
                "perpetual MM": perpetual,
                "option MM": option,
                "base MM": part.mm_haircut,
                "scenario loss IM": part.loss * self.im_factor,
                "static IM": static * (self.im_factor - 1.0),
                "oracle confidence": doubt,
                "basis": part.basis,
            },
        )

    def scenario_pnl(self, book: Book) -> Floats:
        """Return the P&L of every account in every scenario, (A, S), USD; errors as the call."""
        return self.accounts.scenario_pnl(book)


def _bases(instruments: Instruments) -> Mapping[str, Collateral]:
    is_base = (instruments.kind == TOKEN) & (instruments.underlying >= 0)
    moving = Collateral(mm_haircut=0.0, is_risk_cancelling=True)
    return {instruments.names[row]: moving for row in np.flatnonzero(is_base)}
