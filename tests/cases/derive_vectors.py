"""Readers of the protocol's published cases: one file or case → Book, Market, model and the numbers it expects.

A number is rounded once: decimal text by float(), an 18-decimal integer by one division of integers.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.auction import AuctionParameters
from engine.book import OPTION, PERPETUAL, TOKEN, Book, Instruments
from engine.margin.pmrm import Basis, Pmrm, StaticDiscount
from engine.margin.pmrm_accounts import Collateral
from engine.margin.pmrm_v1 import PmrmV1
from engine.margin.standard import BaseTerms, OptionTerms, OracleTerms, PerpetualTerms, Standard, UnderlyingTerms
from engine.market import Market
from engine.scenarios import Shock, SkewShape, TermScale

FOLDER = Path(__file__).parents[2] / ".." / "shared" / "vectors" / "derive"
PERPETUAL_NAME = "perpetual"
AVERAGING = 1800
"""Seconds before expiry in which the settlement price is being averaged."""
SKEW_NAMES = ("linear", "abs")


def files(pattern: str) -> list[Path]:
    return sorted(FOLDER.glob(pattern))


def cases(name: str) -> dict[str, Any]:
    path = FOLDER / name
    return json.loads(path.read_text()) if path.exists() else {}


def parameters(found: list[Any], ids: list[str]) -> list[Any]:
    """The cases as parameters of a test; one that is skipped where the published files are missing."""
    if found:
        return [pytest.param(case, id=name) for case, name in zip(found, ids, strict=True)]
    return [pytest.param(None, marks=pytest.mark.skip(reason=f"published cases not found in {FOLDER}"))]


@dataclass
class Row:
    """One instrument that the account may hold, its market and the position in it."""

    name: str
    kind: int
    quantity: float
    underlying: int = 0
    expiry: int = -1
    strike: float = 0.0
    is_call: bool = False
    price: float = 0.0
    vol: float = 0.0
    confidence: float = 1.0
    entry: float = 0.0
    accrued: float = 0.0


@dataclass
class Term:
    """One expiry of an underlying."""

    seconds: float
    forward: float
    fixed: float = 0.0
    confidence: float = 1.0
    rate: float = 0.0
    rate_confidence: float = 1.0
    underlying: int = 0


def book_of(rows: list[Row], terms: list[Term], cash: float, underlyings: tuple[str, ...]) -> Book:
    instruments = Instruments(
        names=tuple(row.name for row in rows),
        underlyings=underlyings,
        expiries=tuple(f"{underlyings[term.underlying]} {term.seconds:g}s" for term in terms),
        kind=np.array([row.kind for row in rows], np.int8),
        underlying=_ints([row.underlying for row in rows]),
        expiry=_ints([row.expiry for row in rows]),
        strike=_floats([row.strike for row in rows]),
        is_call=np.array([row.is_call for row in rows], np.bool_),
    )
    held = [i for i, row in enumerate(rows) if row.quantity != 0.0 or row.accrued != 0.0]
    return Book(
        instruments=instruments,
        accounts=("account",),
        cash=_floats([cash]),
        start=_ints([0, len(held)]),
        instrument=_ints(held),
        quantity=_floats([rows[i].quantity for i in held]),
        entry=_floats([rows[i].entry for i in held]),
        accrued=_floats([rows[i].accrued for i in held]),
    )


def market_of(
    rows: list[Row], terms: list[Term], spot: list[float], spot_confidence: list[float], stable_price: float
) -> Market:
    return Market(
        spot=_floats(spot),
        spot_confidence=_floats(spot_confidence),
        expiry_underlying=_ints([term.underlying for term in terms]),
        seconds=_floats([term.seconds for term in terms]),
        forward=_floats([term.forward for term in terms]),
        forward_fixed=_floats([term.fixed for term in terms]),
        forward_confidence=_floats([term.confidence for term in terms]),
        rate=_floats([term.rate for term in terms]),
        rate_confidence=_floats([term.rate_confidence for term in terms]),
        price=_floats([row.price for row in rows]),
        vol=_floats([row.vol for row in rows]),
        confidence=_floats([row.confidence for row in rows]),
        stable_price=stable_price,
    )


@dataclass
class PmrmCase:
    """A case of the PMRM_2 set. `kept`: the scenarios of the file that the protocol's setter takes."""

    book: Book
    market: Market
    model: Pmrm
    kept: list[int]
    scenario_pnl: list[float]  # of every scenario in the file
    result: dict[str, Any]


def read_pmrm(path: Path) -> PmrmCase:
    case = json.loads(path.read_text())
    scenario, given = case["Scenario"], case["Parameters"]
    rows, terms = _pmrm_rows(scenario)
    shocks = [
        Shock(float(row["SpotShock"]) - 1.0, str(row["VolShockDirection"]).lower(), float(row["DampeningFactor"]))
        for row in given["Scenarios"]
    ]
    kept = [i for i, shock in enumerate(shocks) if shock.vol not in SKEW_NAMES or shock.spot == 0.0]
    result = case["Result"]
    losses = [*result["reg_losses"], *result["tail_losses"], *result["skew_losses"]]
    return PmrmCase(
        book=book_of(rows, terms, float(scenario["Cash"]), ("underlying",)),
        market=market_of(
            rows,
            terms,
            [float(scenario["SpotPrice"])],
            [float(scenario["SpotConfidence"])],
            float(scenario["StablePrice"]),
        ),
        model=pmrm_of(given, [shocks[i] for i in kept], scenario["Collaterals"]),
        kept=kept,
        scenario_pnl=[float(loss[-1]) for loss in losses],
        result=result,
    )


def pmrm_of(given: dict[str, Any], shocks: list[Shock], collaterals: list[dict[str, Any]]) -> Pmrm:
    skew, vol, margin, basis, other = (
        {name: float(text) for name, text in given[group].items()}
        for group in ("SkewShock", "VolShock", "Margin", "BasisContingency", "OtherContingency")
    )
    return Pmrm(
        scenarios=tuple(shocks),
        collateral={
            _token_name(row, number): Collateral(
                mm_haircut=float(row["MMHaircut"]),
                im_haircut=float(row["IMHaircut"]),
                is_risk_cancelling=bool(row["IsRiskCancelling"]),
            )
            for number, row in enumerate(collaterals)
        },
        vol_up=vol["VOLRANGEUP"],
        vol_down=vol["VOLRANGEDOWN"],
        min_vol_up=vol["MIN_VOL_EVAL_SHOCKED"],
        term=TermScale(vol["SHORTTERMPOWER"], vol["LONGTERMPOWER"], vol["DTE_FLOOR"]),
        skew=SkewShape(
            linear_base_cap=skew["LINEAR_SCALE_CAP"],
            linear_c_base=skew["LINEAR_CBASE"],
            absolute_base_cap=skew["ABS_SCALE_CAP"],
            absolute_c_base=skew["ABS_CBASE"],
            min_k_star=skew["MIN_K_STAR"],
            width_scale=skew["MIN_WIDTH_SCALE"],
            vol_static=skew["VOL_PARAM_STATIC"],
            vol_scale=skew["VOL_PARAM_SCALE"],
        ),
        im_factor=margin["IM_LOSS_FACTOR"],
        mm_factor=margin["MM_LOSS_FACTOR"],
        gain_discount=StaticDiscount(
            margin["BASE_STATIC_DISCOUNT"], margin["LONG_RATE_MULTSCALE"], margin["LONG_RATE_ADDSCALE"]
        ),
        loss_discount=StaticDiscount(
            margin["BASE_STATIC_DISCOUNT_NEG"], margin["SHORT_RATE_MULTSCALE"], margin["SHORT_RATE_ADDSCALE"]
        ),
        basis=Basis(
            up=basis["SCENARIO_SPOT_UP"] - 1.0,
            down=basis["SCENARIO_SPOT_DOWN"] - 1.0,
            addition=basis["BASIS_CONT_ADD_FACTOR"],
            multiple=basis["BASIS_CONT_MULT_FACTOR"],
        ),
        peg_threshold=other["PEG_LOSS_THRESHOLD"],
        peg_factor=other["PEG_LOSS_FACTOR"],
        confidence_threshold=other["CONF_THRESHOLD"],
        confidence_margin=other["CONF_MARGIN"],
        mm_perpetual=other["MM_PERP_PERCENT"],
        im_perpetual=other["IM_PERP_PERCENT"],
        mm_option=other["MM_OPTION_PERCENT"],
        im_option=other["IM_OPTION_PERCENT"],
    )


def _pmrm_rows(scenario: dict[str, Any]) -> tuple[list[Row], list[Term]]:
    feeds = {_seconds(feed["FeedExpiry"]): feed for feed in scenario["OptionFeeds"]}
    seconds = list(feeds)
    rows = [
        Row(
            name=f"option {number}",
            kind=OPTION,
            quantity=float(option["Amount"]),
            expiry=seconds.index(_seconds(option["Expiry"])),
            strike=float(option["Strike"]),
            is_call=bool(int(option["IsCall"])),
            vol=float(option["MarkVol"]) if _seconds(option["Expiry"]) else 0.0,  # at expiry none enters a value
            confidence=float(feeds[_seconds(option["Expiry"])]["OptionVolConfidences"]),
        )
        for number, option in enumerate(scenario["Options"])
    ]
    rows += [
        Row(
            name=_token_name(row, number),
            kind=TOKEN,
            quantity=float(row["Amount"]),
            underlying=0 if row["IsRiskCancelling"] else -1,
            price=float(row["Price"]),
            confidence=float(row["Confidence"]),
        )
        for number, row in enumerate(scenario["Collaterals"])
        if float(row["Amount"]) != 0.0
    ]
    if float(scenario["NumPerps"]) != 0.0:
        price = float(scenario["PerpPrice"])
        rows.append(
            Row(
                name=PERPETUAL_NAME,
                kind=PERPETUAL,
                quantity=float(scenario["NumPerps"]),
                price=price,
                confidence=float(scenario["PerpConfidence"]),
                entry=price,
                accrued=float(scenario["UnrealisedPerpPNL"]) + float(scenario["UnrealisedFunding"]),
            )
        )
    return rows, [_pmrm_term(seconds, feed) for seconds, feed in feeds.items()]


def _pmrm_term(seconds: int, feed: dict[str, Any]) -> Term:
    forward, fixed = averaged(float(feed["Forward"]), seconds)
    return Term(
        seconds=float(seconds),
        forward=forward,
        fixed=fixed,
        confidence=float(feed["ForwardConfidence"]),
        rate=float(feed["Rate"]),
        rate_confidence=float(feed["RateConfidence"]),
    )


def averaged(forward: float, seconds: float) -> tuple[float, float]:
    """The part of a forward that still moves and the part that settlement averaging has fixed."""
    if seconds >= AVERAGING:
        return forward, 0.0
    return forward * seconds / AVERAGING, forward * (AVERAGING - seconds) / AVERAGING


AUCTION = AuctionParameters(
    start=0.98,
    fast_cutoff=0.8,
    fast_seconds=100.0,
    slow_seconds=14400.0,
    insolvent_seconds=600.0,
    fee_rate=0.02,
    buffer=0.2,
)
PMRM_V1_MODEL = PmrmV1(
    scenarios=tuple(
        Shock(spot, vol) for spot in (0.15, 0.10, 0.05, 0.0, -0.05, -0.10, -0.15) for vol in ("up", "none", "down")
    ),
    vol_up=0.45,
    vol_down=0.3,
    term=TermScale(short_power=0.3, long_power=0.13, floor_days=1.0),
    im_factor=1.3,
    gain_discount=StaticDiscount(base=0.95, rate_multiple=4.0, rate_addition=0.05),
    basis=Basis(up=0.05, down=-0.05, addition=0.25, multiple=0.01),
    peg_threshold=0.98,
    peg_factor=2.0,
    confidence_threshold=0.6,
    confidence_margin=0.5,
    perpetual=0.02,
    base=0.02,
    option=0.01,
)
"""The first PMRM of the auction cases: the protocol's test set-up with vol ranges 0.45 and 0.3."""


def read_pmrm_v1(portfolio: dict[str, Any], time: int = 0) -> tuple[Book, Market]:
    """The account and the market of one step of an auction, `time` seconds after 0; expiries are counted from 0."""
    terms = {
        int(expiry): Term(
            seconds=float(max(int(expiry) - time, 0)),
            forward=wad(portfolio["ForwardsVariable"][i]),
            fixed=wad(portfolio["ForwardsFixed"][i]),
            confidence=wad(portfolio["ForwardConfidences"][i]),
            rate=wad(portfolio["Rates"][i]),
            rate_confidence=wad(portfolio["RateConfidences"][i]),
        )
        for i, expiry in enumerate(portfolio["FeedExpiries"])
    }
    expiries = list(terms)
    rows = [
        Row(
            name=f"option {i}",
            kind=OPTION,
            quantity=wad(portfolio["OptionAmounts"][i]),
            expiry=expiries.index(int(expiry)),
            strike=wad(portfolio["OptionStrikes"][i]),
            is_call=bool(portfolio["OptionIsCall"][i]),
            vol=wad(portfolio["OptionVols"][i]),
            confidence=wad(portfolio["OptionVolConfidences"][i]),
        )
        for i, expiry in enumerate(portfolio["OptionExpiries"])
    ]
    spot = wad(portfolio["SpotPrice"])
    if portfolio["Base"]:
        rows.append(Row(name="base", kind=TOKEN, quantity=wad(portfolio["Base"]), price=spot))
    if portfolio["Perps"]:
        price = wad(portfolio["PerpPrice"])
        rows.append(
            Row(
                name=PERPETUAL_NAME,
                kind=PERPETUAL,
                quantity=wad(portfolio["Perps"]),
                price=price,
                confidence=wad(portfolio["PerpConfidence"]),
                entry=price,
                accrued=wad(portfolio["UnrealisedPerpPNL"] + portfolio["UnrealisedFunding"]),
            )
        )
    return book_of(rows, list(terms.values()), wad(portfolio["Cash"]), ("underlying",)), market_of(
        rows, list(terms.values()), [spot], [wad(portfolio["SpotConfidence"])], wad(portfolio["StablePrice"])
    )


STANDARD_MODEL = Standard(
    other=UnderlyingTerms(
        perpetual=PerpetualTerms(mm=0.05, im=0.065),
        option=OptionTerms(
            max_spot=0.15,
            min_spot=0.10,
            mm_call=0.075,
            mm_put=0.075,
            mm_put_mtm=0.075,
            unpaired_im=1.2,
            unpaired_mm=1.1,
            mm_offset=1.05,
        ),
        oracle=OracleTerms(perpetual_threshold=0.4, option_threshold=0.4, base_threshold=0.4, doubt=0.4),
        base=BaseTerms(margin_factor=0.1, im_scale=1.0),
    ),
    depeg_threshold=0.98,
    depeg_factor=1.2,
)
"""The standard manager as the protocol's tests set it up."""
UNDERLYINGS = ("ETH", "BTC")
SETTLING = 3600
"""Seconds before expiry from which the cases settle an option at the settlement price."""


def read_standard(scenario: dict[str, Any]) -> tuple[Book, Market]:
    terms = _standard_terms(scenario)
    expiries = list(terms)
    options: dict[tuple[str, int, int, int], Row] = {}
    for i, name in enumerate(scenario["OptionUnderlying"]):
        seconds, strike, is_call = (int(scenario[f"Option{key}"][i]) for key in ("Expiries", "Strikes", "IsCall"))
        row = options.setdefault(
            (name, seconds, strike, is_call),
            Row(
                name=f"{name} {seconds}s {strike / 10**18:g} {'call' if is_call else 'put'}",
                kind=OPTION,
                quantity=0.0,
                underlying=UNDERLYINGS.index(name),
                expiry=expiries.index((name, seconds)),
                strike=wad(strike),
                is_call=bool(is_call),
            ),
        )
        row.quantity += wad(scenario["OptionAmounts"][i])
        row.vol = wad(scenario["OptionVols"][i])
        # A surface has one confidence; the cases set it strike by strike and the last one stays.
        for other in options.values():
            if other.expiry == row.expiry:
                other.confidence = wad(scenario["OptionVolConfidences"][i])
    rows = [*options.values(), *_standard_rows(scenario)]
    confidences = scenario["SpotPerpConfidences"]
    return book_of(rows, list(terms.values()), wad(scenario["Cash"]), UNDERLYINGS), market_of(
        rows,
        list(terms.values()),
        [wad(scenario[f"{name}SpotPrice"]) for name in UNDERLYINGS],
        [wad(confidences[u][0]) for u in range(len(UNDERLYINGS))],
        wad(scenario["USDCValue"]),
    )


def _standard_terms(scenario: dict[str, Any]) -> dict[tuple[str, int], Term]:
    """An expiry's forward is the last the case sets; close to expiry it is the settlement price."""
    terms = {}
    for i, expiry in enumerate(scenario["FeedExpiries"]):
        name, seconds = scenario["OptionUnderlying"][i], int(expiry)
        settled = seconds < SETTLING
        terms[name, seconds] = Term(
            seconds=float(seconds),
            forward=wad(scenario[f"SettlementPrice{name}"] if settled else scenario["Forwards"][i]),
            confidence=wad(scenario["ForwardConfidences"][i]),
            underlying=UNDERLYINGS.index(name),
        )
    return terms


def _standard_rows(scenario: dict[str, Any]) -> list[Row]:
    rows = []
    for u, name in enumerate(UNDERLYINGS):
        if scenario[f"w{name}"]:
            price = wad(scenario[f"{name}SpotPrice"])
            rows.append(Row(f"w{name}", TOKEN, wad(scenario[f"w{name}"]), underlying=u, price=price))
        if scenario[f"Perps_{name}"]:
            size = wad(scenario[f"Perps_{name}"])
            funding = wad(scenario[f"{name}GlobalFundingIndex"] - scenario[f"Account{name}FundingIndex"])
            rows.append(
                Row(
                    name=f"{name} perpetual",
                    kind=PERPETUAL,
                    quantity=size,
                    underlying=u,
                    price=wad(scenario["PerpPrice"][u]),
                    confidence=wad(scenario["SpotPerpConfidences"][u][1]),
                    entry=wad(scenario[f"LastEntry{name}"]),
                    accrued=-size * funding,
                )
            )
    return rows


def wad(number: int) -> float:
    """An 18-decimal integer as the nearest float."""
    return number / 10**18


def _seconds(text: object) -> int:
    return int(float(str(text)))


def _token_name(row: dict[str, Any], number: int) -> str:
    return f"{row['Name']} {number}"


def _floats(numbers: list[float]) -> np.ndarray:
    return np.array(numbers, np.float64)


def _ints(numbers: list[int]) -> np.ndarray:
    return np.array(numbers, np.int64)
