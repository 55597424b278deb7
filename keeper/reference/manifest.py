"""Where everything of a deployed reference venue is, as a record and as the JSON file that says it to machines."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Contracts:
    """Checksummed addresses; the venue names all others but the tokens."""

    venue: str
    auctions: str
    margin: str
    risk_arrays: str
    products: str
    prices: str  # a price relay
    surface: str  # the surface relay it names
    settlement_token: str


@dataclass(frozen=True, slots=True)
class Listed:
    """One underlying as deployed. Its number is its place in Manifest.underlyings."""

    symbol: str
    perpetual: bool
    expiries: tuple[int, ...]  # unix seconds
    strikes: tuple[int, ...]  # 10⁻⁸ USD; row 2i of an expiry is the call, row 2i + 1 the put


@dataclass(frozen=True, slots=True)
class Manifest:
    """A deployed venue."""

    chain_id: int
    start_block: int  # no log of this venue is older
    owner: str
    contracts: Contracts
    signers: tuple[str, ...]  # of both relays, ascending
    underlyings: tuple[Listed, ...]
    collaterals: tuple[str, ...]  # tokens, by collateral index

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Raises ValueError, KeyError or TypeError when `text` is not a manifest."""
        found: dict[str, Any] = json.loads(text)
        listed = tuple(
            Listed(u["symbol"], u["perpetual"], tuple(u["expiries"]), tuple(u["strikes"])) for u in found["underlyings"]
        )
        contracts = Contracts(**found["contracts"])
        lists = {name: tuple(found[name]) for name in ("signers", "collaterals")}
        return cls(**found | lists | {"contracts": contracts, "underlyings": listed})
