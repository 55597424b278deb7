"""Where everything of a deployed demo world is, as a record and as the JSON file processes hand on."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Contracts:
    """Checksummed addresses of Perp Curie's own contracts and its settlement token."""

    clearing_house: str
    vault: str
    exchange: str
    account_balance: str
    clearing_house_config: str
    collateral_manager: str
    order_book: str
    market_registry: str
    insurance_fund: str
    usdc: str
    quote_token: str
    uniswap_factory: str


@dataclass(frozen=True, slots=True)
class Market:
    """`price_feed` is the ChainlinkPriceFeedV3; the base token itself points at a PriceFeedDispatcher before it."""

    name: str
    base_token: str
    pool: str
    aggregator: str
    price_feed: str


@dataclass(frozen=True, slots=True)
class Collateral:
    """A non-settlement collateral; `price_feed` is its ChainlinkPriceFeedV3."""

    name: str
    token: str
    decimals: int
    aggregator: str
    price_feed: str


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployed world. `accounts` are the traders, empty until `open_book` has run."""

    chain_id: int
    start_block: int  # no log of this world is older
    contracts: Contracts
    markets: tuple[Market, ...]
    collaterals: tuple[Collateral, ...]
    accounts: tuple[str, ...]
    market_maker: str
    arbitrageur: str
    keeper: str

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Raises ValueError, KeyError or TypeError when `text` is not a deployment."""
        found: dict[str, Any] = json.loads(text)
        return cls(
            **found
            | {
                "contracts": Contracts(**found["contracts"]),
                "markets": tuple(Market(**m) for m in found["markets"]),
                "collaterals": tuple(Collateral(**c) for c in found["collaterals"]),
                "accounts": tuple(found["accounts"]),
            }
        )
