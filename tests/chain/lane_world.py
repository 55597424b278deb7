"""A lane over real Curie after a fall: Geth's pool before Anvil, the signer as a process, the journal in a file."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from eth_account import Account
from eth_account.signers.local import LocalAccount
from sqlalchemy import NullPool, create_engine

from keeper.abi import interface, topic_address
from keeper.app import App, configured, open_app
from keeper.config import Config
from keeper.demo.anvil import BLOCK_GAS, start_anvil
from keeper.demo.config import write_config
from keeper.demo.curie import USDC, deploy
from keeper.demo.deployment import Deployment
from keeper.demo.replay import replay
from keeper.demo.traders import PROFILES, TRADERS, Profile, open_book
from keeper.demo.transactions import GWEI
from keeper.journal import Journal
from keeper.lanes.executor import LaneExecutor
from keeper.lanes.ports import Signer
from keeper.lanes.privacy import Private
from keeper.lanes.rules import LaneRules, Windows
from keeper.loop import Executor, Tick, World, tick
from keeper.perpetuals import PerpetualLine
from keeper.portfolios import PortfolioLine
from keeper.rpc import Rpc
from keeper.sending.fees import Caps
from keeper.sending.limits import BalanceWatch
from keeper.sending.priority import SendingPolicy
from keeper.signer.client import Line, SignerClient
from keeper.stakes import staked
from keeper.submit.endpoints import Endpoint, Endpoints
from keeper.submit.facts import Facts
from tests.signer_desk import ADDRESS
from tests.signer_process import FILE, PASSWORD, Process

CRASH = ((0, 7_934.57), (3_600, 7_342.49), (7_200, 6_334.44))  # 09:00 and 10:00 on 12 March 2020
CHAIN_ID = 31_337
GAS = 1_800_000
ETHER = 10**18
RULES = LaneRules(
    chain_id=CHAIN_ID,
    gas=GAS,
    per_block=30,
    confirmations=1,
    patience=2,
    fees=Caps(max_fee=200 * GWEI, tip=20 * GWEI, tip_ceiling=100 * GWEI, spend=ETHER),
    exposure_cap=20 * ETHER,
    balance=BalanceWatch(0, 0),
    windows=Windows(20 * ETHER, 200 * ETHER, 500 * ETHER),
    policy=SendingPolicy("protocol", loss_budget=500 * ETHER),
)


@dataclass
class Fallen:
    """At least a dozen accounts are liquidatable; blocks come when the proxy is told to mine."""

    url: str
    rpc: Rpc
    deployment: Deployment

    def nonce(self) -> int:
        """Return the key's transaction count at the newest block."""
        return self.rpc.nonce(ADDRESS, self.rpc.block())


@contextmanager
def fallen_world(
    insurance_fund: int = 2_000_000 * USDC,
    *,
    traders: int = TRADERS,
    profiles: Sequence[Profile] = PROFILES,
    gas_limit: int = BLOCK_GAS,
) -> Iterator[Fallen]:
    with start_anvil(gas_limit=gas_limit, extra=("--order", "fifo")) as anvil:
        deployed = deploy(anvil.url, keeper_address=ADDRESS, insurance_fund=insurance_fund)
        deployment = open_book(anvil.url, deployed, traders=traders, profiles=profiles)
        replay(anvil.url, deployment, CRASH, block_seconds=0.0)
        rpc = Rpc(anvil.url, timeout_s=60.0)
        rpc.call("evm_setAutomine", False)
        yield Fallen(anvil.url, rpc, deployment)


class Signing:
    """The signer process of a test, with the calls the venue needs; `more` are keys beside the usual one."""

    def __init__(self, folder: Path, house: str, more: Sequence[LocalAccount] = ()) -> None:
        folder.mkdir()
        self.process = Process(folder)
        rule = f'[[call]]\nto = "{house}"\nfunction = "liquidate(address,address)"\n'
        text = FILE[: FILE.index("[[call]]")] + rule
        wider = {"max_gas = 1_000_000": f"max_gas = {GAS}", "max_tip_gwei = 2.0": "max_tip_gwei = 100.0"}
        for old, new in (*wider.items(), ("per_transaction = 0.1", "per_transaction = 1.0")):
            text = text.replace(old, new)
        for row, key in enumerate(more):
            stored = Account.encrypt(key.key, PASSWORD, kdf="pbkdf2", iterations=1)
            (folder / f"more-{row}.json").write_text(json.dumps(stored))
            text = text.replace("[fees]", f'[[key]]\naddress = "{key.address}"\nkeystore = "more-{row}.json"\n[fees]')
        self.process.config.write_text(text)
        self.lines: list[Line] = []
        self.process.start()

    def client(self, holder: str, address: str = ADDRESS) -> SignerClient:
        self.lines.append(self.process.line())
        return SignerClient(self.lines[-1], address, holder)

    def hang_up(self) -> None:
        """Close every connection: the keepers that held them are gone."""
        for line in self.lines:
            line.close()

    def stop(self) -> None:
        self.hang_up()
        self.process.stop()


@dataclass
class LaneKeeper:
    """A keeper with a lane whose parts a test may wrap; the application's own wiring is tested in test_line.py."""

    app: App
    world: World
    folder: Path
    lane: Executor

    def tick(self) -> Tick:
        return tick(self.world.heads.newest(), self.world)

    def settle(self) -> int:
        return self.lane.settle(self.app.rpc.block())

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Read the journal as a stranger would, so only what is committed is seen."""
        engine = create_engine(self.app.config.journal.url, poolclass=NullPool)
        with engine.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(query)]

    def slots(self) -> Counter[str]:
        return Counter(state for (state,) in self.rows("SELECT state FROM slots"))

    def intents(self) -> Counter[str]:
        return Counter(status for (status,) in self.rows("SELECT status FROM intents"))

    def refusals(self) -> list[str]:
        """Return why intents were refused, the oldest first."""
        return [cause for (cause,) in self.rows("SELECT cause FROM intents WHERE status = 'refused' ORDER BY id")]

    def kinds(self) -> list[str]:
        """Return what each attempt was, the oldest first."""
        return [kind for (kind,) in self.rows("SELECT kind FROM slot_attempts ORDER BY id")]

    def alarms(self) -> list[str]:
        told = self.lane.status()["alarms"]
        assert isinstance(told, list)
        return told


class Served(Protocol):
    """A node, or what stands before one."""

    @property
    def url(self) -> str: ...


def open_lane(folder: Path, fallen: Fallen, node: Served, signer: Signer, **parts: Any) -> LaneKeeper:
    """Open a keeper on the journal in `folder`, as `opened` does; opening another is what a restart does."""
    config = configured(write_config(folder, node.url, fallen.deployment, "observe"))
    return opened(config, folder, node, signer, **parts)


def opened(
    config: Config,
    folder: Path,
    node: Served,
    signer: Signer,
    *,
    most: int = 10,
    rules: LaneRules = RULES,
    patience_s: float = 10.0,
    others: Sequence[Endpoint] = (),
    ledger: Callable[[Journal], Any] = lambda journal: journal,
    outlets: Callable[[Endpoints], Any] = lambda endpoints: endpoints,
    private: Private | None = None,
    more_signers: Sequence[Signer] = (),
    journal_url: str | None = None,
) -> LaneKeeper:
    """Open the configured application with a lane to `node` and to `others`, whose answers it awaits `patience_s`.

    At most `most` liquidations a tick. The journal is the configured one unless `journal_url` names another.
    """
    timeout_s = max(config.chain.timeout_seconds, patience_s)
    chain = config.chain.model_copy(update={"timeout_seconds": timeout_s})
    journal = config.journal.model_copy(update={"url": journal_url}) if journal_url else config.journal
    app = open_app(config.model_copy(update={"chain": chain, "journal": journal}), signing=False)
    all_of_them = [Endpoint("a", Rpc(node.url, timeout_s)), *others]
    endpoints = Endpoints(all_of_them, CHAIN_ID, patience_s=patience_s)
    written = ledger(app.journal)
    stake = staked(None, 3)
    lane = LaneExecutor(
        app.rpc,
        outlets(endpoints),
        Facts(endpoints),
        app.venue,
        (signer, *more_signers),
        written,
        rules,
        stake,
        lambda _: private,
    )
    return kept(app, lane, folder, most)


def kept(app: App, executor: Executor, folder: Path, most: int) -> LaneKeeper:
    """Return the keeper of an open application with another executor and at most so many liquidations a tick."""
    line = app.world.line
    if isinstance(line, PerpetualLine):
        line = replace(line, policy=replace(line.policy, max_liquidations=most))
    elif isinstance(line, PortfolioLine):
        auctions = replace(line.policy.auctions, max_a_tick=most)
        line = replace(line, policy=replace(line.policy, auctions=auctions))
    return LaneKeeper(app, replace(app.world, executor=executor, line=line), folder, executor)


def liquidations(fallen: Fallen, since: int) -> Counter[str]:
    """Return how often the chain says each account was liquidated after block `since`."""
    topic = interface("perp_curie/ClearingHouse").event("PositionLiquidated").topic
    head = fallen.rpc.block().number
    house = fallen.deployment.contracts.clearing_house
    logs = fallen.rpc.logs([house], [topic], since + 1, head) if head > since else []
    return Counter(topic_address(log.topics[1]) for log in logs)


def reverted(fallen: Fallen, since: int) -> int:
    """Return how many of the key's transactions after block `since` reverted, read block by block."""
    count = 0
    for number in range(since + 1, fallen.rpc.block().number + 1):
        for found in fallen.rpc.call("eth_getBlockByNumber", hex(number), True)["transactions"]:
            if int(found["from"], 16) == int(ADDRESS, 16):
                receipt = fallen.rpc.call("eth_getTransactionReceipt", found["hash"])
                count += int(receipt["status"], 16) == 0
    return count
