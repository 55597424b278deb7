"""The reference venue: one report puts every account below MM; each is to be put in auction and taken from."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from eth_account.signers.local import LocalAccount

from keeper.abi import interface, uint_at
from keeper.chain import Block
from keeper.chaos import ChaosProxy
from keeper.demo.transactions import FUNDS, Batch
from keeper.portfolios import fresh_world, standing
from keeper.rpc import Rpc
from keeper.twin.records import Instrument
from tests.bursts.world import roomy_anvil, tightened
from tests.chain.reference_market import (
    KEEPER,
    MAKER,
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

FALL = 84  # per cent of the price that the report leaves
COVER = 1.02  # deposit as a share of the initial margin
MAKERS = tuple(named(MAKER, sub) for sub in range(2))
MAX_GAS = 12_000_000


@dataclass
class ReferenceBurst:
    url: str
    market: Market
    accounts: tuple[str, ...]
    name: str = "reference"
    key: LocalAccount = KEEPER

    @property
    def size(self) -> int:
        return len(self.accounts)

    @property
    def rpc(self) -> Rpc:
        return self.market.rpc

    def write_config(self, folder: Path, url: str) -> Path:
        path = write_config(folder, url, self.market, takers(self.size), publish="false")
        text = path.read_text()
        for old, new in (
            ("max_liquidations_per_tick = 100", "max_liquidations_per_tick = 400"),
            (
                "max_gas = 12000000",
                f"max_gas = {MAX_GAS}\nmax_ether_open = 100.0\nmax_ether_per_hour = 1000.0\n"
                "max_ether_per_day = 1000.0\nmax_ether_per_transaction = 1.0",
            ),
            ("max_transactions_per_block = 100", "max_transactions_per_block = 400"),
        ):
            assert old in text
            text = text.replace(old, new)
        path.write_text(text)
        return path

    def endanger(self, proxy: ChaosProxy) -> Block:
        market = self.market
        market.batch = Batch(market.rpc)  # its nonces are this run's
        market.next_block(12)
        market.report([u.price * FALL // 100 if u.perpetual else u.price for u in market.board.underlyings])
        market.batch.send()
        return proxy.mine(timestamp=market.at)

    def effects(self, since: int) -> dict[str, int]:
        """Return accounts by kind of event; an end counts where a take has restored the buffer and so made it."""
        auctions = interface("reference/Auctions")
        table = {auctions.event(name).topic: name for name in ("AuctionStarted", "Taken", "AuctionEnded")}
        found: dict[str, set[str]] = {name: set() for name in table.values()}
        where = [self.market.manifest.contracts.auctions]
        head = self.rpc.block().number
        for log in self.rpc.logs(where, list(table), since + 1, head) if head > since else ():
            (account,) = self.market.venue.introduced([log])
            name = table[log.topics[0]]
            if name != "AuctionEnded" or uint_at(log.data):  # its one word: byTake
                found[name].add(account)
        return {name: len(accounts.intersection(self.accounts)) for name, accounts in found.items()}

    def endangered(self) -> int:
        state = self.market.state(self.accounts)
        fresh = fresh_world(state)
        return sum(standing(account, state.world, fresh).below for account in state.accounts)


def takers(size: int) -> tuple[str, ...]:
    """One an account: each of a taker's purchases changes what the next one would have to name."""
    return tuple(named(KEEPER, sub) for sub in range(size))


def wishes(market: Market, size: int) -> list[Wish]:
    """Return accounts with a long perpetual and a short put, so that a fall costs both."""
    found = []
    for number in range(size):
        key = TRADERS[number % len(TRADERS)]
        underlying = number % 2
        scale = WAD if underlying == 0 else WAD // 20
        put = market.option(underlying, number % 3, 1 + number % 2, is_call=False)
        perpetual = Instrument(underlying)
        legs = ((perpetual, (5 + number % 7) * scale), (put, -(2 + number % 3) * scale))
        found.append(Wish(named(key, number), key, legs, COVER))
    return found


@contextmanager
def reference_burst(size: int) -> Iterator[ReferenceBurst]:
    with roomy_anvil() as anvil:
        rpc = Rpc(anvil.url, timeout_s=120.0)
        market = open_market(rpc)
        rpc.call("anvil_setBalance", KEEPER.address, hex(FUNDS))
        market.fund(5_000_000 * USDC)
        for taker in takers(size):
            market.deposit(taker, 20_000_000 * USDC)
        asked = wishes(market, size)
        fill(market, asked, MAKERS)
        market.publish()
        tightened(rpc)
        yield ReferenceBurst(anvil.url, market, tuple(wish.name for wish in asked))
