"""Parameters written through a real steward by a keeper as it runs in production: its signer, its ledger, its lane."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import orjson
import pytest
from reference_market import KEEPER, OWNER, WAD, Market, named, open_market, write_config

from keeper.abi import interface
from keeper.app import App, configured, open_app
from keeper.demo.anvil import Anvil, start_anvil
from keeper.demo.transactions import FUNDS, Batch, role
from keeper.errors import ConfigError
from keeper.journal.records import Volatility
from keeper.loop import Tick, tick
from keeper.plans import WriteParameters
from keeper.reference.artifacts import creation_code
from keeper.reference.board import DEMO, Steward
from keeper.rpc import Rpc, answered
from keeper.venues.reference_steward import STEWARD, key_of

PASSWORD = "correct horse battery staple"
GUARDIAN = role("guardian")
DELAY = 3_600
TERMS = {  # low, high, step
    "im_scalar:0": (10_000, 15_000, 1_000),
    "short_im_rate:0": (50, 400, 50),
    "scan:0": (WAD // 10, WAD // 4, WAD // 100),
    "haircut:0": (500, 2_500, 200),
}
RULE = """
[[parameter]]
name = "{name}"
symbol = "ETH"
calm = {calm}
stressed = {stressed}
volatility_calm = 0.5
volatility_stressed = 1.5
max_step_tighten = {step}
max_step_loosen = {step}
min_interval_tighten_seconds = 60
min_interval_loosen_seconds = 60
"""
RULES = (
    ("im_scalar:0", 12_500, 14_500, 700),
    ("short_im_rate:0", 100, 400, 200),  # more than the steward's step
    ("scan:0", 15 * WAD // 100, 20 * WAD // 100, WAD // 200),
    ("haircut:0", 1_000, 2_000, 100),
    ("haircut:1", 1_500, 2_000, 100),  # without terms
)


@dataclass
class Helm:
    """A running keeper at a venue with a steward."""

    market: Market
    app: App
    steward: str

    @property
    def rpc(self) -> Rpc:
        return self.market.rpc

    def tick(self) -> Tick:
        return tick(self.app.world.heads.newest(), self.app.world)

    def pass_s(self, seconds: int) -> None:
        self.market.next_block(seconds)
        self.rpc.call("evm_mine")

    def storm(self, annualised: float) -> None:
        """Say what the side job has measured."""
        (feed,) = self.app.world.feeds
        self.app.journal.put_volatility(Volatility(feed.address, self.rpc.block().timestamp, annualised, 99))

    def number(self, name: str) -> int:
        call = interface(STEWARD).function("number").call(self.steward, *key_of(name))
        return int.from_bytes(answered(self.rpc.eth_calls([call], self.rpc.block()))[0])

    def numbers(self) -> dict[str, int]:
        return {name: self.number(name) for name in TERMS}

    def fates(self) -> Mapping[str, tuple[str, str]]:
        """Return changes → status and cause of every write."""
        decided = self.app.journal.decisions("parameters:underlying:0")
        return {
            d.intent.plan.changes: (d.intent.status, d.intent.cause)
            for d in decided
            if d.intent is not None and isinstance(d.intent.plan, WriteParameters)
        }


def writes(seen: Tick) -> dict[str, str]:
    return {plan.record: plan.changes for plan in seen.plans if isinstance(plan, WriteParameters)}


def held(seen: Tick, name: str) -> str:
    return "; ".join(hold.reason for hold in seen.holds if hold.subject == name)


@pytest.fixture(scope="module")
def anvil() -> Iterator[Anvil]:
    with start_anvil(gas_limit=400_000_000) as running:
        yield running


@pytest.fixture(scope="module")
def market(anvil: Anvil) -> Market:
    board = replace(DEMO, steward=Steward(controller=KEEPER.address, guardian=GUARDIAN))
    return open_market(Rpc(anvil.url, timeout_s=60.0), board)


@pytest.fixture(scope="module")
def steward(market: Market) -> str:
    """The venue's steward with the test's terms, in force since one delay."""
    batch, found = market.batch, market.venue.steward
    assert found is not None
    for name, terms in TERMS.items():
        setting = interface(STEWARD).function("setTerms").packed(found, *key_of(name), (*terms, DELAY))
        batch.add(OWNER, setting, f"terms of {name}")
    batch.mine()
    market.rpc.call("anvil_setBalance", KEEPER.address, hex(FUNDS))
    market.next_block(DELAY)
    market.rpc.call("evm_mine")
    return found


@pytest.fixture(scope="module")
def feed(market: Market) -> str:
    """Anything that answers as an aggregator: the volatility is said by the test."""
    code = creation_code("demo/SettableAggregator", "ETH / USD", 8)
    found = market.batch.create(OWNER, code, "feed")
    market.batch.mine()
    return found


def configuration(
    folder: Path, url: str, market: Market, feed: str, rules: tuple[tuple[str, int, int, int], ...]
) -> Path:
    path = write_config(folder, url, market, [named(KEEPER)], publish="false")
    oracle = f'[[oracle]]\nsymbol = "ETH"\nsource = "chainlink"\naddress = "{feed}"\nheartbeat_seconds = 1_200\n'
    oracle += "decimals = 8\nmin_answer = 10.0\nmax_answer = 1_000_000.0\n"
    parameters = [RULE.format(name=name, calm=calm, stressed=top, step=step) for name, calm, top, step in rules]
    path.write_text(path.read_text() + oracle + "".join(parameters))
    return path


@pytest.fixture
def helm(
    anvil: Anvil, market: Market, steward: str, feed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Helm]:
    monkeypatch.setenv("KEEPER_KEYSTORE_PASSWORD", PASSWORD)
    (tmp_path / "keystore.json").write_bytes(orjson.dumps(KEEPER.encrypt(PASSWORD, kdf="pbkdf2", iterations=1_000)))
    path = configuration(tmp_path, anvil.url, market, feed, RULES)
    snapshot = market.rpc.call("evm_snapshot")
    market.rpc.call("evm_setAutomine", False)
    market.batch = Batch(market.rpc)
    with open_app(configured(path)) as app:
        yield Helm(market, app, steward)
    market.rpc.call("anvil_dropAllTransactions")
    market.rpc.call("evm_setAutomine", True)
    assert market.rpc.call("evm_revert", snapshot) is True


def test_a_storm_is_one_write_of_each_record_and_the_next_waits(helm: Helm) -> None:
    helm.storm(1.5)
    first = helm.tick()
    assert writes(first) == {
        "underlying:0": f"im_scalar:0=12500>13200,scan:0={15 * WAD // 100}>{155 * WAD // 1000},short_im_rate:0=100>150",
        "collateral:0": "haircut:0=1000>1100",
    }
    assert "NoTerms" in held(first, "haircut:1")
    assert writes(helm.tick()) == {}  # under way
    before = helm.rpc.block().number
    helm.pass_s(12)
    assert helm.numbers() == {
        "im_scalar:0": 13_200, "short_im_rate:0": 150, "scan:0": 155 * WAD // 1000, "haircut:0": 1_100
    }  # fmt: skip
    assert (
        len(helm.rpc.logs([helm.steward], [interface(STEWARD).event("NumberWritten").topic], before + 1, before + 1))
        == 4
    )
    after = helm.tick()
    ((status, cause),) = helm.fates().values()
    assert status == "achieved"
    assert cause.startswith("im_scalar:0=12500>13200")
    assert writes(after) == {}
    assert held(after, "im_scalar:0") == "changed 0 s ago, next change after 60 s"
    helm.pass_s(61)
    assert held(helm.tick(), "im_scalar:0").startswith("TooEarly: the steward takes a write in ")
    helm.pass_s(DELAY)
    helm.storm(1.5)
    assert writes(helm.tick())["underlying:0"].startswith("im_scalar:0=13200>13900")


def test_mm_stands_a_day_and_the_keeper_reads_both(helm: Helm) -> None:
    helm.storm(1.5)
    helm.tick()
    helm.pass_s(12)
    state = helm.market.state()
    assert state.world.underlyings[0].margin.im_scalar == 13_200
    assert (state.world.collaterals[0].haircut, state.world.collaterals[0].haircut_mm) == (1_100, 1_000)
    assert state.world.underlyings[0].scan.scan == 15 * WAD // 100
    assert state.lines[0].version == 1, "the newest report is from before the write"
    helm.market.next_block(12)
    helm.market.report([u.price for u in helm.market.board.underlyings])
    helm.market.mine()
    line = helm.market.state().lines[0]
    assert (line.version, line.scan.to.scan) == (2, 155 * WAD // 1000)


def test_who_writes_first_refuses_ours_and_it_is_not_repeated(helm: Helm) -> None:
    """The guardian tightens in the same block, ahead of the keeper's write: compare and swap."""
    helm.storm(1.5)
    ours = writes(helm.tick())["underlying:0"]
    tightened = interface(STEWARD).function("tighten").packed(helm.steward, *key_of("im_scalar:0"), 14_000)
    helm.rpc.call("anvil_impersonateAccount", GUARDIAN)
    helm.rpc.call("anvil_setBalance", GUARDIAN, hex(FUNDS))
    fee = {"maxFeePerGas": hex(10**12), "maxPriorityFeePerGas": hex(10**11), "gas": hex(1_000_000)}
    sent = {"from": GUARDIAN, "to": helm.steward, "data": "0x" + tightened.data.hex()} | fee
    helm.rpc.call("eth_sendTransaction", sent)
    helm.pass_s(12)
    assert (helm.number("im_scalar:0"), helm.number("short_im_rate:0")) == (14_000, 100)  # all or none
    after = helm.tick()
    status, cause = helm.fates()[ours]
    assert status == "failed"
    assert cause.startswith("reverted; cost ")
    assert "underlying:0" not in writes(after)
    assert "a few blocks ago" in held(after, "im_scalar:0")
    for _ in range(6):
        helm.pass_s(12)
        helm.storm(0.1)
        again = helm.tick()
        assert ours not in writes(again).values()
    assert held(again, "im_scalar:0") == "guarded: at 14000, the guardian lets nothing be looser than 14000"


def test_a_stopped_steward_is_told(helm: Helm) -> None:
    helm.market.batch.add(OWNER, interface(STEWARD).function("stop").packed(helm.steward), "stop")
    helm.market.batch.mine()
    helm.storm(1.5)
    seen = helm.tick()
    assert writes(seen) == {}
    assert held(seen, "im_scalar:0") == "the steward is stopped: its owner resumes it"


def test_the_signer_refuses_a_number_beyond_the_rules_bounds(helm: Helm, monkeypatch: pytest.MonkeyPatch) -> None:
    """A strategy gone mad: the steward would take it, the rule would not."""
    mad = WriteParameters("reference", "underlying:0", "im_scalar:0=12500>12499", "mad", 10**9)
    monkeypatch.setattr("keeper.app.writes", lambda *_: ([mad], []))
    helm.storm(1.5)
    helm.tick()
    ((status, cause),) = helm.fates().values()
    assert status == "refused"
    assert "rows of bounds" in cause


@pytest.mark.usefixtures("steward")
def test_a_name_that_stands_for_nothing_is_told_at_the_start(
    anvil: Anvil, market: Market, feed: str, tmp_path: Path
) -> None:
    path = configuration(tmp_path, anvil.url, market, feed, (("im_scalar:0", 1, 2, 1), ("im_skalar:0", 1, 2, 1)))
    path.write_text(path.read_text().replace('mode = "live"', 'mode = "observe"'))
    with pytest.raises(ConfigError, match="im_skalar:0: expected one of scan, "):
        open_app(configured(path), signing=False)
