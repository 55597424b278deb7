"""Where everything of a deployed reference venue is, as a record and as the JSON file that says it to machines."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Self

OWNED = ("venue", "auctions", "risk_arrays", "products", "prices", "surface")
"""Contracts with an owner, as Contracts calls them."""


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
class Deployed:
    """One contract that the deployment created."""

    name: str
    artifact: str  # of its interface and creation code under abis/
    address: str
    arguments: str  # of its constructor, as the ABI encodes them: 0x and hexadecimal digits
    code_hash: str  # keccak-256 of what runs there
    block: int


@dataclass(frozen=True, slots=True)
class Fact:
    """What a contract answered when the deployment was over; `keeper deploy --check` asks again."""

    contract: str  # as Deployed.name
    call: str
    answer: str


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
    owner: str  # of everything; until he accepts it is only offered to him
    contracts: Contracts
    signers: tuple[str, ...]  # of both relays, ascending
    underlyings: tuple[Listed, ...]
    collaterals: tuple[str, ...]  # tokens, by collateral index
    feeds: tuple[str, ...]  # Chainlink views of the price relay, by underlying
    deployed: tuple[Deployed, ...]  # in the order of their creation
    facts: tuple[Fact, ...] = ()

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
        lists = {name: tuple(found[name]) for name in ("signers", "collaterals", "feeds")}
        deployed = tuple(Deployed(**one) for one in found["deployed"])
        facts = tuple(Fact(**one) for one in found["facts"])
        records = {"contracts": contracts, "underlyings": listed, "deployed": deployed, "facts": facts}
        return cls(**found | lists | records)
