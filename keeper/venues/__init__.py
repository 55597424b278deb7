"""One adapter a protocol. A new one is a file beside this and a line in the table."""

from collections.abc import Callable
from typing import Final

from keeper.rpc import Rpc
from keeper.venues.base import PerpetualVenue
from keeper.venues.perp_curie import PerpCurie
from keeper.venues.portfolio import PortfolioVenue
from keeper.venues.reference import Reference

VENUES: Final[dict[str, Callable[[Rpc, str], PerpetualVenue | PortfolioVenue]]] = {
    "perp_curie": PerpCurie,
    "reference": Reference,
}
