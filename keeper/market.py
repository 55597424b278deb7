"""Which prices may be used this block: the venue's marks, each guarded by the feed behind it."""

from collections.abc import Mapping
from dataclasses import dataclass

from keeper.oracles.base import Quote
from keeper.units import to_float
from keeper.venues.base import VenueState


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices by row of the VenueState; a fault says why a row's price is not known ('' when it is)."""

    mark: tuple[float, ...]  # USD, NaN where faulty
    mark_fault: tuple[str, ...]
    collateral: tuple[float, ...]  # USD, NaN where faulty
    collateral_fault: tuple[str, ...]


NAN = float("nan")


def fuse(state: VenueState, quotes: tuple[Quote, ...]) -> Prices:
    """Return each market's and collateral's price in USD, or NaN with the fault of the feed it rests on."""
    by_feed = {quote.feed: quote for quote in quotes}
    marks = [_price(m.mark, 18, m.feed, by_feed) for m in state.markets]
    tokens = [_price(c.price, c.price_decimals, c.feed, by_feed) for c in state.collaterals]
    return Prices(
        tuple(price for price, _ in marks),
        tuple(fault for _, fault in marks),
        tuple(price for price, _ in tokens),
        tuple(fault for _, fault in tokens),
    )


def _price(price: int, decimals: int, feed: str, by_feed: Mapping[str, Quote]) -> tuple[float, str]:
    quote = by_feed.get(feed)
    if quote is None:
        return NAN, f"its aggregator {feed} is no configured [[oracle]]; add it"
    if quote.fault:
        return NAN, f"{quote.symbol}: {quote.fault}"
    if price <= 0:
        return NAN, f"{quote.symbol}: the venue states price {price}"
    return to_float(price, decimals), ""
