"""What the fields of a board may hold, as the contracts say it; asked before anything is sent.

What its type cannot hold is not encoded, and what a contract's rule forbids reverts in the middle of a deployment, when
gas is spent. `tests/chain/test_board_rules.py` holds every bound against the contracts themselves.
"""

from collections.abc import Iterable, Iterator, Mapping
from math import isqrt
from typing import Any, Final

from keeper.reference.board import Board, Collateral, Limits, Relays, Smile, Token, Underlying
from keeper.reference.reports import Signers
from keeper.twin.records import STRIKE_UNIT, MarginParameters, ScanParameters

WAD: Final = 10**18
BPS: Final = 10**4
HOUR: Final = 3_600
DAY: Final = 86_400
MOST_TIME: Final = 2**40 - 1  # of the contracts' times; ages that they do not bound are bounded by it here
MOST_128: Final = 2**128 - 1
MOST_16: Final = 2**16 - 1
MOST_STRIKE: Final = 10**16  # Products.MAX_STRIKE, 10⁻⁸ USD
LEAST_EXPIRY: Final = 2 * HOUR
"""Products asks for an hour from the listing; the other is for the deployment before it, and for going on with it."""
MOST_EXPIRY: Final = 2**39  # half of the times: the other half is for the day it counts from
LEAST_GAP: Final = HOUR  # Products.MIN_GAP
MOST_FIRST_SLICES: Final = 48
"""They are one transaction, at 212,000 gas each of LISTING_GAS."""
MOST_NAME: Final = 64  # bytes; a longer one is dearer to store than a creation's gas limit expects

RANGES: Final[Mapping[type, Mapping[str, tuple[int, int]]]] = {
    # what other fields narrow further is below
    Token: {"name": (1, MOST_NAME), "symbol": (1, 32), "decimals": (0, 18)},
    Collateral: {"underlying": (0, 29), "haircut": (0, BPS - 1), "cap": (0, MOST_128)},
    Smile: {  # SliceStore._checkSlice
        "a": (-100 * WAD, 100 * WAD),
        "b": (0, 100 * WAD),
        "rho": (1 - WAD, WAD - 1),
        "m": (-10 * WAD, 10 * WAD),
        "s": (1, 10 * WAD),
        "forward": (WAD // 2, 2 * WAD),
    },
    Underlying: {
        "symbol": (1, 32),
        "price": (1, 5 * 10**24),  # StoreRules.MAX_PRICE
        "confidence_bps": (0, BPS - 1),
        "funding_cap": (0, 10**13),  # ReportStore.MAX_FUNDING_CAP
        "expiries": (0, 24),  # Products.MAX_LIVE_EXPIRIES
        "strikes": (0, 92),  # Products.MAX_OPTIONS, a call and a put of each
    },
    ScanParameters: {  # ParameterRules
        "scan": (12, WAD // 2 - 1),
        "vol_up": (0, 10 * WAD),
        "vol_down": (0, WAD - 1),
        "short_power": (0, WAD),
        "long_power": (0, WAD),
        "extreme": (13, WAD - 3),  # deep_down lies above
        "deep_up": (14, 10 * WAD),
        "deep_down": (14, WAD - 2),
        "extreme_cover": (0, BPS),
        "deep_up_cover": (0, BPS),
        "deep_down_cover": (0, BPS),
    },
    MarginParameters: {  # ParameterRules
        "im_scalar": (BPS, MOST_16),
        "mm_scalar": (1, BPS),
        "short_im_rate": (0, BPS),
        "short_mm_rate": (0, BPS),
        "concentration_rate": (0, BPS),
        "confidence_factor": (0, MOST_16),
        "concentration_from": (0, MOST_128),
    },
    Limits: {  # constructors of RiskArrays (Bonds), Margin, Auctions (Bonuses)
        "max_report_age": (1, MOST_TIME),
        "max_epoch_age": (1, MOST_TIME),
        "max_slice_age": (1, MOST_TIME),
        "challenge_window": (1, 30 * DAY),
        "bond": (1, MOST_128),
        "fund_share": (BPS // 2, BPS),
        "heartbeat": (1, 30 * DAY),
        "fine_per_second": (0, 2**64 - 1),
        "auction_buffer": (1, BPS),
        "auction_discount": (1, BPS - 1),
        "auction_growth": (1, DAY),
        "auction_start_gas": (100_000, 30_000_000),
        "bonus": (0, 10**7 * WAD),
        "bonus_period": (HOUR, 30 * DAY),
    },
    Relays: {  # Quorum, PriceRelay, SurfaceRelay
        "max_age": (5, HOUR),
        "price_limit": (0, 5_000),
        "price_period": (0, DAY),
        "volatility_limit": (0, 5_000),
        "carry_limit": (0, 5_000),
        "surface_period": (0, DAY),
    },
    Signers: {"addresses": (1, 31), "quorum": (1, 31), "jump_quorum": (1, 31)},  # Quorum.MAX_SIGNERS
    Board: {"underlyings": (1, 30), "collaterals": (0, 24)},  # Products.MAX_UNDERLYINGS, MAX_COLLATERAL_TYPES
}
"""From least to most: of an integer its value, of a text its bytes, of an array its entries."""


def require_range(kind: type, name: str, found: Any, place: str) -> None:
    """Raise ValueError where a field of a record of `kind` is beyond its own bounds."""
    if name not in RANGES.get(kind, ()):
        return
    low, high = RANGES[kind][name]
    if isinstance(found, str):
        size = len(found.encode())
        if not low <= size <= high:
            raise ValueError(f"{place}: expected {low} to {high} bytes, found {size}: {found[:40]!r}")
    elif isinstance(found, tuple):
        if not low <= len(found) <= high:
            raise ValueError(f"{place}: expected {low} to {high} entries, found {len(found)}")
    else:
        _within(place, found, low, high)


def require_rules(board: Board) -> None:
    """Raise ValueError where fields, each within its own bounds, do not go together."""
    _relays(board.relays)
    for number, u in enumerate(board.underlyings):
        place = f"underlyings[{number}]"
        _parameters(u, place)
        _smile(u, place)
        _expiries(u, place)
        _strikes(u, place)
    _collaterals(board)
    if board.signers is None:
        together = sum(len(u.expiries) for u in board.underlyings)
        _within("underlyings: expiries together, without signers", together, 0, MOST_FIRST_SLICES)
    else:
        _signers(board.signers)
    _distinct(_created(board), "what is created has one name each")


def shown(found: object) -> str:
    """Return a value for a message, cut where it is long. Python writes no integer of thousands of decimal digits."""
    text = hex(found) if type(found) is int and abs(found) >> 256 else repr(found)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _within(place: str, found: int, low: int, high: int) -> None:
    if not low <= found <= high:
        raise ValueError(f"{place}: expected an integer in {low}..{high}, found {shown(found)}")


def _parameters(u: Underlying, place: str) -> None:
    """As ParameterRules: price rows strictly ordered."""
    scan, margin = u.scan, u.margin
    _within(f"{place}.scan.extreme", scan.extreme, scan.scan + 1, WAD - 3)
    _within(f"{place}.scan.deep_up", scan.deep_up, scan.extreme + 1, 10 * WAD)
    _within(f"{place}.scan.deep_down", scan.deep_down, scan.extreme + 1, WAD - 2)
    _within(f"{place}.margin.short_mm_rate", margin.short_mm_rate, 0, margin.short_im_rate)


def _smile(u: Underlying, place: str) -> None:
    """As SliceStore._checkSlice: forward against spot, and no negative variance."""
    if not u.expiries:
        return
    smile = u.smile
    _within(f"{place}.price", u.price, 2, 5 * 10**24)
    least = -(-WAD * ((u.price + 1) // 2) // u.price)
    _within(f"{place}.smile.forward", smile.forward, least, 2 * WAD)
    raised = smile.b * smile.s * isqrt(WAD * WAD - smile.rho * smile.rho)
    _within(f"{place}.smile.a", smile.a, -(raised // WAD**2), 100 * WAD)


def _expiries(u: Underlying, place: str) -> None:
    least = LEAST_EXPIRY
    for n, after in enumerate(u.expiries):
        _within(f"{place}.expiries[{n}]", after, least, MOST_EXPIRY)
        least = after + LEAST_GAP


def _strikes(u: Underlying, place: str) -> None:
    """As Products.listOptions: some for every expiry, each above zero, none twice."""
    if u.expiries and not u.strikes:
        raise ValueError(f"{place}.strikes: expected 1 to 92 entries where there are expiries, found 0")
    step = 1_000 * STRIKE_UNIT
    low, high = -(-step // u.price), ((MOST_STRIKE + 1) * step - 1) // u.price
    for n, share in enumerate(u.strikes):
        _within(f"{place}.strikes[{n}]", share, low, high)
    _distinct(
        ((f"{place}.strikes[{n}]", u.price * share // step) for n, share in enumerate(u.strikes)),
        "strikes differ by 10⁻⁸ USD",
    )


def _collaterals(board: Board) -> None:
    """As ParameterRules and Products.addCollateral: a taker paid the largest discount leaves more than was counted."""
    least = BPS - (BPS * BPS - 1) // (BPS + board.limits.auction_discount)
    for n, accepted in enumerate(board.collaterals):
        place = f"collaterals[{n}]"
        _within(f"{place}.underlying", accepted.underlying, 0, len(board.underlyings) - 1)
        _within(f"{place}.haircut", accepted.haircut, least, BPS - 1)
        _within(f"{place}.token.decimals", accepted.token.decimals, 6, 18)
    tokens = [("settlement.address", board.settlement.address)]
    tokens += [(f"collaterals[{n}].token.address", c.token.address) for n, c in enumerate(board.collaterals)]
    _distinct(((place, address) for place, address in tokens if address), "a token is accepted once")


def _relays(relays: Relays) -> None:
    """With a limit the period is max_age at least: else what was held back comes at once (PriceRelay, SurfaceRelay)."""
    _within("relays.price_period", relays.price_period, relays.max_age if relays.price_limit else 0, DAY)
    limited = relays.volatility_limit or relays.carry_limit
    _within("relays.surface_period", relays.surface_period, relays.max_age if limited else 0, DAY)


def _signers(signers: Signers) -> None:
    """As Quorum.setSigners: a majority at least, ascending."""
    count = len(signers.addresses)
    _within("signers.quorum", signers.quorum, count // 2 + 1, count)
    _within("signers.jump_quorum", signers.jump_quorum, signers.quorum, count)
    for n, (before, address) in enumerate(zip(signers.addresses, signers.addresses[1:], strict=False), start=1):
        if int(address, 16) <= int(before, 16):
            raise ValueError(f"signers.addresses[{n}]: expected ascending addresses, found {address} after {before}")


def _created(board: Board) -> Iterator[tuple[str, str]]:
    """Yield where each name of the manifest's contracts comes from, and the name."""
    ours = "products surface prices risk_arrays margin venue auctions steward executor"
    yield from ((f"the venue's {name}", name) for name in ours.split())
    yield from ((f"underlyings[{n}].symbol", f"feed_{u.symbol}") for n, u in enumerate(board.underlyings))
    tokens = [("settlement", board.settlement)]
    tokens += [(f"collaterals[{n}].token", accepted.token) for n, accepted in enumerate(board.collaterals)]
    yield from ((f"{place}.symbol", token.symbol) for place, token in tokens if token.address is None)


def _distinct(found: Iterable[tuple[str, str | int]], why: str) -> None:
    seen: dict[str | int, str] = {}
    for place, one in found:
        if one in seen:
            raise ValueError(f"{place}: expected another than {seen[one]}, found the same, {shown(one)}; {why}")
        seen[one] = place
