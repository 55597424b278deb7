"""What a reference venue offers: underlyings with their parameters, expiries, strikes, tokens, limits.

Amounts are integers as the contracts take them; the defaults are a board for demonstration and tests.
"""

from dataclasses import dataclass, field

from keeper.reference.reports import Signers
from keeper.twin.records import MarginParameters, ScanParameters

WAD = 10**18
DAY = 86_400
MINUTE = 60


@dataclass(frozen=True, slots=True)
class Token:
    """An ERC-20; with `address` None a mintable one is deployed, which only a test chain should hold."""

    name: str
    symbol: str
    decimals: int
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Collateral:
    """A token beside the settlement token, valued at an underlying's price."""

    token: Token
    underlying: int
    haircut: int  # BPS
    cap: int  # token base units


@dataclass(frozen=True, slots=True)
class Smile:
    """Raw SVI per year of every expiry's first slice, wad, and its forward as a share of spot."""

    a: int = WAD * 2 // 10
    b: int = WAD * 4 // 10
    rho: int = -WAD * 3 // 10
    m: int = WAD * 5 // 100
    s: int = WAD * 4 // 10
    forward: int = WAD * 1_005 // 1_000


@dataclass(frozen=True, slots=True)
class Underlying:
    """One price with what is traded on it."""

    symbol: str
    price: int  # first report, USD wad
    scan: ScanParameters
    margin: MarginParameters
    perpetual: bool = True
    confidence_bps: int = 5  # half-width of the first report, of its price
    funding_cap: int = 0  # largest |rate| and largest step of it, share a second, wad
    expiries: tuple[int, ...] = ()  # seconds after the deployment, ascending
    strikes: tuple[int, ...] = ()  # shares of the price in per mille: each is listed as call and put
    smile: Smile = Smile()


@dataclass(frozen=True, slots=True)
class Limits:
    """Venue-wide numbers; seconds, BPS, settlement-token base units."""

    max_report_age: int = 600
    max_epoch_age: int = 3_600
    max_slice_age: int = 7_200
    challenge_window: int = 600
    bond: int = 1_000_000 * 10**6  # least of a publisher
    fund_share: int = 5_000  # of a slashed bond
    heartbeat: int = 600  # a publisher has from the first newer report
    fine_per_second: int = 10**6  # after that
    auction_buffer: int = 500  # above MM after a take
    auction_discount: int = 500  # cap, share of MM
    auction_growth: int = 900  # seconds from no discount to the cap
    auction_start_gas: int = 5_000_000  # for each start of startAuctions: twice the dearest legal one (docs/gas.md)
    bonus: int = 50_000 * 10**18  # most that the fund adds to discounts in a period, USD wad
    bonus_period: int = 86_400


@dataclass(frozen=True, slots=True)
class Relays:
    """What the relays ask of reports and slices; of every underlying the same. Beyond a limit a change is a jump."""

    max_age: int = 600  # seconds
    price_limit: int = 500  # BPS of the anchor
    price_period: int = 600  # seconds an anchor stands, max_age at least
    volatility_limit: int = 2_000  # BPS of itself
    carry_limit: int = 200  # BPS of forward ÷ spot
    surface_period: int = 900


@dataclass(frozen=True, slots=True)
class Steward:
    """Who acts on parameters within the terms that the owner sets afterwards; None: the owner himself."""

    controller: str | None = None
    guardian: str | None = None


@dataclass(frozen=True, slots=True)
class Executor:
    """A KeeperExecutor; its admin is the deployment's owner, at once."""

    operator: str  # the key that chooses what is done
    receiver: str  # who is paid, for ever
    factory: str  # of the Uniswap v3 pools it may sell at
    lender: str  # ERC-3156


@dataclass(frozen=True, slots=True)
class Board:
    settlement: Token
    underlyings: tuple[Underlying, ...]
    collaterals: tuple[Collateral, ...]
    limits: Limits = field(default_factory=Limits)
    relays: Relays = field(default_factory=Relays)
    steward: Steward | None = None  # `keeper deploy` always brings one
    executor: Executor | None = None
    signers: Signers | None = None  # of both relays; None: the deployer's key alone, as only a test chain should have


def scan_of(scan_pct: int, *, stable: bool = False) -> ScanParameters:
    """Return scan parameters with the given outermost grid point, per cent."""
    return ScanParameters(
        scan=WAD * scan_pct // 100,
        vol_up=WAD * 45 // 100,
        vol_down=WAD * 30 // 100,
        short_power=WAD * 30 // 100,
        long_power=WAD * 13 // 100,
        extreme=WAD * (10 if stable else 45) // 100,
        deep_up=WAD * (20 if stable else 100) // 100,
        deep_down=WAD * (50 if stable else 75) // 100,
        extreme_cover=3_500,
        deep_up_cover=2_000,
        deep_down_cover=3_000,
    )


def margin_of(concentration_from: int) -> MarginParameters:
    """Return margin parameters; concentration counts from so many contracts, wad."""
    return MarginParameters(
        im_scalar=12_500,
        mm_scalar=9_000,
        short_im_rate=100,
        short_mm_rate=50,
        concentration_rate=200,
        confidence_factor=10_000,
        concentration_from=concentration_from,
    )


USDC = Token("USD Coin", "USDC", 6)
WETH = Token("Wrapped Ether", "WETH", 18)
WBTC = Token("Wrapped BTC", "WBTC", 8)
DAI = Token("Dai", "DAI", 18)

EXPIRIES = (DAY, 7 * DAY, 30 * DAY)
STRIKES = (800, 900, 1_000, 1_100, 1_200)

DEMO = Board(
    settlement=USDC,
    underlyings=(
        Underlying("ETH", 3_000 * WAD, scan_of(15), margin_of(10_000 * WAD), True, 5, 10**11, EXPIRIES, STRIKES),
        Underlying("BTC", 60_000 * WAD, scan_of(15), margin_of(1_000 * WAD), True, 5, 10**11, EXPIRIES, STRIKES),
        Underlying("DAI", WAD, scan_of(2, stable=True), margin_of(10**9 * WAD), perpetual=False),
    ),
    collaterals=(
        Collateral(WETH, 0, 1_000, 10**6 * 10**18),
        Collateral(WBTC, 1, 1_000, 10**5 * 10**8),
        Collateral(DAI, 2, 600, 10**9 * 10**18),
    ),
)
"""Two underlyings with options and perpetuals, a stablecoin that is one of its own, tokens of 6, 8 and 18 decimals."""
