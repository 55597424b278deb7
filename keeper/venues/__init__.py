"""One adapter a protocol. A new one is a file beside this and a line in the table."""

from typing import Final

from keeper.venues.base import PerpetualVenue
from keeper.venues.perp_curie import PerpCurie
from keeper.venues.portfolio import PortfolioVenue
from keeper.venues.reference import Reference

VENUES: Final[dict[str, type[PerpetualVenue] | type[PortfolioVenue]]] = {
    "perp_curie": PerpCurie,
    "reference": Reference,
}
