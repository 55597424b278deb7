"""Auctions through the whole keeper on Anvil: starts that share a transaction, and the end of one that recovered.

What happened is asked of the chain's own events, what was remembered of the journal.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest
from eth_utils.address import to_checksum_address
from reference_market import (
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

from keeper.abi import interface
from keeper.app import App, configured, open_app
from keeper.demo.anvil import Anvil, start_anvil
from keeper.demo.transactions import FUNDS, Batch
from keeper.journal.records import Intent
from keeper.loop import Tick, tick
from keeper.plans import ANY_SEQUENCE, EndAuction, StartAuction
from keeper.rpc import Rpc
from keeper.twin.records import Instrument
from keeper.venues.portfolio import account_id
from tests.ledger_world import trails_of

PASSWORD = "correct horse battery staple"
MAKERS = (named(MAKER), named(MAKER, 1))
ACCOUNTS = 6
BLOCK_S = 12
FALLEN = 0.8  # of the first prices


@pytest.fixture(scope="module")
def anvil() -> Iterator[Anvil]:
    with start_anvil(gas_limit=400_000_000) as running:
        yield running


@pytest.fixture(scope="module")
def opened(anvil: Anvil) -> tuple[Market, tuple[str, ...]]:
    """A market and the accounts in it that a fall to FALLEN puts below MM."""
    rpc = Rpc(anvil.url, timeout_s=60.0)
    market = open_market(rpc)
    market.fund(100_000 * USDC)
    rng = random.Random(5)
    wishes = []
    for number in range(ACCOUNTS):
        key = TRADERS[number % len(TRADERS)]
        legs: dict[Instrument, int] = {Instrument(0): rng.randint(5, 20) * WAD}
        for _ in range(rng.randint(1, 4)):
            option = market.option(0, rng.randint(0, 2), rng.randint(0, 4), is_call=False)
            legs[option] = -rng.randint(1, 5) * WAD
        wishes.append(Wish(named(key, number), key, tuple(legs.items()), 1.05))
    fill(market, wishes, MAKERS)
    rpc.call("anvil_setBalance", KEEPER.address, hex(FUNDS))
    rpc.call("evm_setAutomine", False)
    return market, tuple(wish.name for wish in wishes)


@dataclass
class Keeper:
    """A live keeper on the market, one block after the other."""

    market: Market
    app: App
    names: tuple[str, ...]

    def report(self, share: float, after_s: int = BLOCK_S) -> None:
        """Report the first prices times `share` in a block of its own."""
        self.market.next_block(after_s)
        prices = [u.price for u in self.market.board.underlyings]
        self.market.report([*(int(p * share) for p in prices[:2]), *prices[2:]])
        self.market.mine()

    def tick(self) -> Tick:
        return tick(self.app.world.heads.newest(), self.app.world)

    def mine(self) -> None:
        self.market.next_block(BLOCK_S)
        self.market.rpc.call("evm_mine")

    def mine_with_dust(self, name: str) -> None:
        """Mine a block in which the account's owner deposits one base unit ahead of everything else."""
        owner, c = to_checksum_address(name[:42]), self.market.manifest.contracts
        token, batch = interface("demo/MintableToken"), self.market.batch
        deposit = interface("reference/MarginVenue").function("deposit")
        batch.add(OWNER, token.function("mint").packed(c.settlement_token, owner, 1), "mint", gas=100_000)
        batch.add(owner, token.function("approve").packed(c.settlement_token, c.venue, 1), "approve", gas=100_000)
        batch.add(owner, deposit.packed(c.venue, account_id(name), 0, 1), "dust", gas=300_000)
        batch.send()
        self.mine()

    def events(self, name: str) -> list[str]:
        """Return the accounts of all such events so far, in order."""
        topic = interface("reference/Auctions").event(name).topic
        head = self.market.rpc.block().number
        logs = self.market.rpc.logs([self.market.manifest.contracts.auctions], [topic], 0, head)
        return [account for log in logs for account in self.market.venue.introduced([log])]

    def intents(self, account: str) -> list[Intent]:
        """Return the account's intents, newest first."""
        return [d.intent for d in self.app.journal.decisions(account, 100) if d.intent is not None]

    def hashes(self) -> set[str]:
        return {
            a.tx_hash
            for name in self.names
            for i in self.intents(name)
            for trail in trails_of(self.app.journal, i)
            for a in trail.attempts
        }


@pytest.fixture
def keeper(
    request: pytest.FixtureRequest,
    anvil: Anvil,
    opened: tuple[Market, tuple[str, ...]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Keeper]:
    """A keeper that starts and ends auctions and buys nothing; the chain is put back afterwards.

    A test may replace lines of its configuration.
    """
    market, names = opened
    monkeypatch.setenv("KEEPER_KEYSTORE_PASSWORD", PASSWORD)
    keystore = KEEPER.encrypt(PASSWORD, kdf="pbkdf2", iterations=1_000)
    (tmp_path / "keystore.json").write_bytes(orjson.dumps(keystore))
    config = write_config(tmp_path, anvil.url, market, (), publish="false")
    for old, new in {"take = true": "take = false", **getattr(request, "param", {})}.items():
        assert old in config.read_text()
        config.write_text(config.read_text().replace(old, new))
    snapshot = market.rpc.call("evm_snapshot")
    market.batch = Batch(market.rpc)
    with open_app(configured(config)) as app:
        yield Keeper(market, app, names)
    market.rpc.call("anvil_dropAllTransactions")
    assert market.rpc.call("evm_revert", snapshot) is True


def statuses(keeper: Keeper, kind: type[StartAuction | EndAuction], names: Sequence[str]) -> dict[str, list[str]]:
    """Return what became of each account's intents of a kind, oldest first."""
    found = {name: keeper.intents(name)[::-1] for name in names}
    return {name: [i.status for i in intents if isinstance(i.plan, kind)] for name, intents in found.items()}


def test_accounts_that_fall_in_one_block_are_started_by_one_transaction(keeper: Keeper) -> None:
    keeper.report(FALLEN)
    seen = keeper.tick()
    assert sorted(p.account for p in seen.plans if isinstance(p, StartAuction)) == sorted(keeper.names)
    assert len(keeper.hashes()) == 1
    keeper.mine()
    assert sorted(keeper.events("AuctionStarted")) == sorted(keeper.names)
    again = keeper.tick()
    assert again.plans == ()
    assert statuses(keeper, StartAuction, keeper.names) == {name: ["achieved"] for name in keeper.names}


NARROW = {"max_gas = 12000000": "max_gas = 6000000", "transactions_per_block = 100": "transactions_per_block = 1"}


@pytest.mark.parametrize("keeper", [NARROW], indirect=True)
def test_what_one_transaction_has_no_room_for_waits_and_is_not_counted_as_done(keeper: Keeper) -> None:
    """Room for three starts (5.2M gas with the last, 0.3M for each before, as simulated), one transaction a block."""
    keeper.report(FALLEN)
    worst = [p.subject for p in keeper.tick().plans]
    started = [name for name in keeper.names if keeper.intents(name)[0].status == "live"]
    assert sorted(started) == sorted(worst[:3])
    assert [keeper.intents(name)[0].status for name in worst[3:]] == ["refused"] * 3
    (sent,) = {t.slot for name in started for t in trails_of(keeper.app.journal, keeper.intents(name)[0])}
    assert sent.gas <= 6_000_000
    keeper.mine()
    assert keeper.events("AuctionStarted") == worst[:3]
    assert sorted(p.subject for p in keeper.tick().plans) == sorted(worst[3:])
    keeper.mine()
    assert sorted(keeper.events("AuctionStarted")) == sorted(keeper.names)
    assert keeper.tick().plans == ()
    assert len(keeper.hashes()) == 2


def test_one_that_cannot_be_started_fails_alone_and_is_planned_again(keeper: Keeper) -> None:
    """Somebody deposits for it in the same block, before the batch: not enough to be healthy, but another state."""
    keeper.report(FALLEN)
    first = keeper.tick()
    assert len(keeper.hashes()) == 1
    odd = first.plans[2].subject
    others = [name for name in keeper.names if name != odd]
    keeper.market.deposit(odd, 10 * USDC)
    keeper.market.batch.send()
    keeper.mine()
    assert sorted(keeper.events("AuctionStarted")) == sorted(others)
    assert keeper.events("AuctionRefused") == [odd]

    second = keeper.tick()
    assert statuses(keeper, StartAuction, others) == {name: ["achieved"] for name in others}
    intents = keeper.intents(odd)
    assert [i.status for i in intents] == ["live", "failed"]
    assert intents[1].cause == "refused in its batch: UnexpectedSequence"
    assert [p.subject for p in second.plans] == [odd]
    keeper.mine()
    assert sorted(keeper.events("AuctionStarted")) == sorted(keeper.names)
    assert keeper.tick().plans == ()
    assert statuses(keeper, StartAuction, [odd]) == {odd: ["failed", "achieved"]}


def test_an_owner_who_deposits_in_every_block_holds_his_start_up_once(keeper: Keeper) -> None:
    keeper.report(FALLEN)
    odd = keeper.tick().plans[2].subject
    keeper.mine_with_dust(odd)
    assert keeper.events("AuctionRefused") == [odd]
    (again,) = keeper.tick().plans
    assert (again.subject, again.sequence) == (odd, ANY_SEQUENCE)
    before = sequence(keeper, odd)
    keeper.mine_with_dust(odd)
    assert sequence(keeper, odd) > before  # he was ahead of it once more
    assert keeper.events("AuctionRefused") == [odd]
    assert sorted(keeper.events("AuctionStarted")) == sorted(keeper.names)
    assert keeper.tick().plans == ()
    assert statuses(keeper, StartAuction, [odd]) == {odd: ["failed", "achieved"]}


TAKING = {"take = true": "take = true", "takers = []": f'takers = ["{named(KEEPER)}"]'}


@pytest.mark.parametrize("keeper", [TAKING], indirect=True)
def test_an_owner_who_deposits_in_every_block_holds_a_take_up_once(keeper: Keeper) -> None:
    """At the discount's cap, where no time makes up for what a deposit adds to the price."""
    keeper.market.deposit(named(KEEPER), 20_000_000 * USDC)
    keeper.market.batch.send()
    keeper.report(FALLEN)
    keeper.tick()
    keeper.mine()
    keeper.report(FALLEN, keeper.market.board.limits.auction_growth)
    (take,) = keeper.tick().plans
    odd = take.subject
    keeper.mine_with_dust(odd)
    assert keeper.events("Taken") == []
    (again,) = (plan for plan in keeper.tick().plans if plan.subject == odd)
    assert (again.sequence, again.taker_sequence) == (ANY_SEQUENCE, ANY_SEQUENCE)
    keeper.mine_with_dust(odd)
    assert keeper.events("Taken") == [odd]


def sequence(keeper: Keeper, name: str) -> int:
    (found,) = keeper.market.state([name]).accounts
    return found.sequence


def test_a_keeper_killed_between_signing_and_mining_settles_every_account_of_its_batch(keeper: Keeper) -> None:
    keeper.report(FALLEN)
    keeper.tick()
    keeper.market.rpc.call("anvil_dropAllTransactions")
    (lost,) = keeper.hashes()
    assert (
        keeper.app.world.executor.settle(keeper.market.rpc.block()) == 1
    )  # one transaction, offered again, the same bytes
    assert keeper.hashes() == {lost}
    keeper.mine()
    assert sorted(keeper.events("AuctionStarted")) == sorted(keeper.names)
    assert keeper.app.world.executor.settle(keeper.market.rpc.block()) == 0
    assert statuses(keeper, StartAuction, keeper.names) == {name: ["achieved"] for name in keeper.names}


def test_an_account_that_was_topped_up_leaves_its_auction_and_no_other_does(keeper: Keeper) -> None:
    keeper.report(FALLEN)
    keeper.tick()
    keeper.mine()
    saved, *rest = keeper.names
    keeper.market.deposit(saved, 1_000_000 * USDC)
    keeper.market.next_block(BLOCK_S)
    keeper.market.mine()

    seen = keeper.tick()
    (end,) = seen.plans
    assert isinstance(end, EndAuction)
    assert end.account == saved
    assert keeper.tick().plans == ()  # under way
    keeper.mine()
    assert keeper.events("AuctionEnded") == [saved]
    assert keeper.tick().plans == ()  # neither ended again nor started again
    keeper.mine()
    assert statuses(keeper, EndAuction, keeper.names) == {saved: ["achieved"]} | {name: [] for name in rest}
    assert len(keeper.events("AuctionStarted")) == ACCOUNTS
    auctions = {a.name: a.auction_id for a in keeper.market.state(keeper.names).accounts}
    assert [name for name, auction in auctions.items() if not auction] == [saved]


def test_an_end_that_somebody_else_was_faster_with_is_no_success_and_not_repeated(keeper: Keeper) -> None:
    keeper.report(FALLEN)
    keeper.tick()
    keeper.mine()
    saved = keeper.names[0]
    keeper.market.deposit(saved, 1_000_000 * USDC)
    keeper.market.next_block(BLOCK_S)
    keeper.market.mine()
    (end,) = keeper.tick().plans
    keeper.market.batch.add(OWNER, keeper.market.venue.encode(end), "end", gas=2_000_000)
    keeper.market.batch.send()
    keeper.mine()
    assert keeper.events("AuctionEnded") == [saved]
    assert keeper.tick().plans == ()
    assert statuses(keeper, EndAuction, [saved]) == {saved: ["failed"]}


def test_prices_that_come_back_end_every_auction_once(keeper: Keeper) -> None:
    """And the next fall starts new ones: numbers, not accounts, are what is done once."""
    keeper.report(FALLEN)
    keeper.tick()
    keeper.mine()
    keeper.report(1.0)
    back = keeper.tick()
    assert sorted(p.account for p in back.plans if isinstance(p, EndAuction)) == sorted(keeper.names)
    keeper.mine()
    assert keeper.tick().plans == ()
    keeper.report(FALLEN)
    again = keeper.tick()
    assert sorted(p.account for p in again.plans if isinstance(p, StartAuction)) == sorted(keeper.names)
    keeper.mine()
    keeper.tick()
    found = statuses(keeper, StartAuction, keeper.names)
    assert found == {name: ["achieved", "achieved"] for name in keeper.names}
    assert statuses(keeper, EndAuction, keeper.names) == {name: ["achieved"] for name in keeper.names}
