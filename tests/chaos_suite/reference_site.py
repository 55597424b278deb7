"""The reference venue after a fall: fifty accounts below MM, each to be put in auction and taken from."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from keeper.abi import interface
from keeper.allowed import allowed_calls
from keeper.app import configured, policy_of
from keeper.chain import Call, Log
from keeper.config import Config
from keeper.demo.anvil import start_anvil
from keeper.demo.transactions import FUNDS, GWEI, Batch
from keeper.lanes.rules import Windows
from keeper.own_signer import OwnSigner, signer_toml
from keeper.rpc import Rpc
from keeper.sending.fees import Caps
from keeper.signer.client import Line, SignerClient
from keeper.signer.keystore import PASSWORD
from keeper.twin.records import Instrument
from keeper.venues.portfolio import account_id
from tests.chain.lane_world import ETHER, RULES, LaneKeeper, opened
from tests.chain.reference_market import (
    KEEPER,
    MAKER,
    OWNER,
    TRADERS,
    USDC,
    WAD,
    Market,
    Wish,
    fill,
    named,
    open_market,
    write_config,
)
from tests.chaos_suite.rival import RIVAL, signed

ENDANGERED = 50
FALL = 84
"""Per cent of the first prices that the last report leaves."""
COVER = 1.02  # deposit as a share of the initial margin
SETUP_GAS = 400_000_000
MAX_GAS = 12_000_000
LINE_S = 120.0  # of wall time, for the signer's answer
HELP = 10 * USDC
"""About the least that a stranger may deposit."""
SECRET = "correct horse battery staple"
CAPS = """max_gas = 12000000
max_ether_per_transaction = 5.0
max_ether_open = 500.0
max_ether_per_hour = 5000.0
max_ether_per_day = 5000.0"""


class OwnSigning:
    """The signer process that a keeper of this configuration starts, with the calls it may need."""

    def __init__(self, folder: Path, market: Market, config: Config) -> None:
        calls = allowed_calls(config, market.venue, policy_of(config))
        text = signer_toml(config, calls, "a scenario").replace("[signer]\n", "[signer]\nlease_seconds = 600.0\n", 1)
        self._own = OwnSigner(folder, text, environ_with(SECRET)).start()
        self.lines: list[Line] = []

    def client(self, holder: str) -> SignerClient:
        self.lines.append(Line(self._own.socket, timeout_s=LINE_S))
        return SignerClient(self.lines[-1], KEEPER.address, holder)

    def hang_up(self) -> None:
        while self.lines:
            self.lines.pop().close()

    def stop(self) -> None:
        self.hang_up()
        self._own.stop()


def environ_with(password: str) -> dict[str, str]:
    return {**os.environ, PASSWORD: password}


@dataclass
class ReferenceSite:
    url: str
    market: Market
    accounts: tuple[str, ...]
    address: str = KEEPER.address
    kinds: tuple[str, ...] = ("take_auction",)
    rules = replace(
        RULES,
        gas=MAX_GAS,
        per_block=4 * ENDANGERED,
        fees=Caps(max_fee=200 * GWEI, tip=20 * GWEI, tip_ceiling=100 * GWEI, spend=5 * ETHER),
        exposure_cap=500 * ETHER,
        windows=Windows(500 * ETHER, 5_000 * ETHER, 5_000 * ETHER),
    )

    @property
    def rpc(self) -> Rpc:
        return self.market.rpc

    def signing(self, folder: Path) -> OwnSigning:
        keystore = KEEPER.encrypt(SECRET, kdf="pbkdf2", iterations=1)
        folder.mkdir()
        (folder / "keystore.json").write_bytes(orjson.dumps(keystore))
        return OwnSigning(folder / "own", self.market, self._config(folder, self.url))

    def keeper(self, folder: Path, **parts: Any) -> LaneKeeper:
        return opened(self._config(folder, parts["node"].url), folder, **parts)

    def _config(self, folder: Path, url: str) -> Config:
        path = write_config(folder, url, self.market, takers(), publish="false", mode="observe")
        text = path.read_text().replace("max_gas = 12000000", CAPS)
        path.write_text(text.replace("max_fee_gwei = 200.0", "max_fee_gwei = 200.0\ntip_ceiling_gwei = 100.0"))
        return configured(path)

    def account_of(self, log: Mapping[str, Any]) -> str | None:
        if log["topics"][0] != interface("reference/Auctions").event("Taken").topic:
            return None
        (account,) = self.market.venue.introduced([Log(log["address"], tuple(log["topics"]), b"", 0, "", 0)])
        return account

    def rival(self, accounts: Sequence[str], tip: int) -> list[bytes]:
        """Return a stranger's small deposits: another state than the one that was priced, and still below MM."""
        nonce = self.rpc.nonce(RIVAL.address, self.rpc.block())
        venue, deposit = self.market.manifest.contracts.venue, interface("reference/MarginVenue").function("deposit")
        calls = [deposit.packed(venue, account_id(account), 0, HELP) for account in accounts]
        return [signed(_with_gas(one), nonce + row, tip) for row, one in enumerate(calls)]


def _with_gas(one: Call) -> Call:
    return replace(one, gas=300_000)


def takers() -> tuple[str, ...]:
    """One an account: each of a taker's purchases changes what the next one would have to name."""
    return tuple(named(KEEPER, sub) for sub in range(ENDANGERED))


def _wishes(market: Market) -> list[Wish]:
    """Return accounts with a long perpetual and a short put, so that a fall costs both."""
    found = []
    for number in range(ENDANGERED):
        key, underlying = TRADERS[number % len(TRADERS)], number % 2
        scale = WAD if underlying == 0 else WAD // 20
        put = market.option(underlying, number % 3, 1 + number % 2, is_call=False)
        legs = ((Instrument(underlying), (5 + number % 7) * scale), (put, -(2 + number % 3) * scale))
        found.append(Wish(named(key, number), key, legs, COVER))
    return found


@contextmanager
def reference() -> Iterator[ReferenceSite]:
    with start_anvil(gas_limit=SETUP_GAS, extra=("--order", "fifo")) as anvil:
        market = open_market(Rpc(anvil.url, timeout_s=120.0))
        for address in (KEEPER.address, RIVAL.address):
            market.rpc.call("anvil_setBalance", address, hex(FUNDS))
        market.fund(5_000_000 * USDC)
        for taker in takers():
            market.deposit(taker, 20_000_000 * USDC)
        wishes = _wishes(market)
        fill(market, wishes, tuple(named(MAKER, sub) for sub in range(2)))
        market.publish()
        _fall(market)
        _make_rich(market)
        market.rpc.call("evm_setAutomine", False)
        yield ReferenceSite(anvil.url, market, tuple(wish.name for wish in wishes))


def _fall(market: Market) -> None:
    market.batch = Batch(market.rpc)
    market.next_block(12)
    market.report([u.price * FALL // 100 if u.perpetual else u.price for u in market.board.underlyings])
    market.mine()


def _make_rich(market: Market) -> None:
    """Give the stranger tokens to deposit."""
    c, token = market.manifest.contracts, interface("demo/MintableToken")
    mint = token.function("mint").packed(c.settlement_token, RIVAL.address, 1_000 * HELP)
    market.batch.add(OWNER, mint, "mint", gas=100_000)
    approve = token.function("approve").packed(c.settlement_token, c.venue, 2**256 - 1)
    market.batch.add(RIVAL.address, approve, "approve", gas=100_000)
    market.mine()
