"""The contracts of one deployment of the reference venue, which its MarginVenue names."""

from dataclasses import dataclass
from typing import Final

from keeper.abi import address_at, interface
from keeper.errors import ReadError
from keeper.rpc import Rpc, answered

VENUE: Final = "reference/MarginVenue"
AUCTIONS: Final = "reference/Auctions"
MARGIN: Final = "reference/Margin"
RISK_ARRAYS: Final = "reference/RiskArrays"
PRODUCTS: Final = "reference/Products"
PRICES: Final = "keeper/PriceRelay"
SURFACE: Final = "keeper/SurfaceRelay"


@dataclass(frozen=True, slots=True)
class Contracts:
    """Addresses of one deployment; the venue names all others."""

    venue: str
    auctions: str
    margin: str
    risk_arrays: str
    products: str
    prices: str  # a price relay
    surface: str  # the surface relay that it reads


def contracts_of(rpc: Rpc, venue: str) -> Contracts:
    """Ask the venue for the others. Raises ReadError when it is not one."""
    block = rpc.block()
    names = ("auctions", "MARGIN", "RISK_ARRAYS", "PRODUCTS", "PRICES")
    try:
        answers = answered(rpc.eth_calls([interface(VENUE).function(n).call(venue) for n in names], block))
        auctions, margin, risk_arrays, products, prices = map(address_at, answers)
        (surface,) = answered(rpc.eth_calls([interface(PRICES).function("SURFACE").call(prices)], block))
        return Contracts(venue, auctions, margin, risk_arrays, products, prices, address_at(surface))
    except ValueError as e:
        raise ReadError(
            f"venue.clearing_house: expected a reference venue at {venue}, found none ({e}); check the address"
        ) from e
