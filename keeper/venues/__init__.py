"""One adapter a protocol. A new one is a file beside this and a line in the table."""

from collections.abc import Callable
from typing import Final

from keeper.rpc import Rpc
from keeper.venues.base import PerpetualVenue
from keeper.venues.perp_curie import PerpCurie

VENUES: Final[dict[str, Callable[[Rpc, str], PerpetualVenue]]] = {
    "perp_curie": PerpCurie,
}
