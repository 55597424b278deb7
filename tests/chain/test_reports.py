"""Signed files brought to the relays by a keeper as it runs in production: its signer, its ledger, its lane."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import orjson
import pytest
from reference_market import KEEPER, MAKER, OWNER, WAD, Market, named, open_market, write_config

from keeper.abi import interface
from keeper.app import App, configured, open_app
from keeper.demo.anvil import Anvil, start_anvil
from keeper.demo.transactions import FUNDS, Batch, adopt, role
from keeper.loop import Tick, tick
from keeper.plans import RelayReports
from keeper.reference.inbox import Signed, file_name, store
from keeper.reference.reports import Observation, Reporters, Said, signature
from keeper.rpc import Rpc, answered
from keeper.twin.records import Slice

PASSWORD = "correct horse battery staple"
THREE = Reporters.named("signers of files", jump_quorum=3)
STRANGERS = Reporters.named("strangers")
RIVAL = role("rival")
FIRST = 3_000 * WAD


@dataclass
class Desk:
    """A running keeper and the folder its signers write to."""

    market: Market
    app: App
    inbox: Path

    @property
    def rpc(self) -> Rpc:
        return self.market.rpc

    def tick(self) -> Tick:
        return tick(self.app.world.heads.newest(), self.app.world)

    def pass_s(self, seconds: int) -> int:
        """Mine a block so much later; return its time."""
        self.market.next_block(seconds)
        self.rpc.call("evm_mine")
        return self.market.at

    def signed(self, said: Said, keys: Reporters = THREE, by: tuple[int, ...] = (0, 1)) -> Signed:
        c = self.market.manifest.contracts
        relay = c.surface if isinstance(said, Slice) else c.prices
        blank = Signed(said, self.market.manifest.chain_id, relay, ())
        return replace(blank, signatures=tuple("0x" + signature(blank.digest, keys.keys[n]).hex() for n in by))

    def put(self, said: Said, keys: Reporters = THREE, by: tuple[int, ...] = (0, 1)) -> None:
        """Write a file for each signer, as each of them would."""
        for n in by:
            one = self.signed(said, keys, (n,))
            store(self.inbox / file_name(one, keys.addresses[n]), one)

    def newest(self, underlying: int) -> tuple[int, int]:
        """Return time and price of the newest report."""
        call = interface("keeper/PriceRelay").function("quote").call(self.market.manifest.contracts.prices, underlying)
        (answer,) = answered(self.rpc.eth_calls([call], self.rpc.block()))
        return int.from_bytes(answer[64:96]), int.from_bytes(answer[:32])

    def fates(self) -> Mapping[str, tuple[str, str]]:
        """Return effect → status and cause of every intent about relaying."""
        decided = [d.intent for s in ("reports", "slices") for d in self.app.journal.decisions(s)]
        return {i.plan.effect: (i.status, i.cause) for i in decided if i is not None}


def reports(seen: Tick) -> list[str]:
    return [plan.newest for plan in seen.plans if isinstance(plan, RelayReports)]


def held(seen: Tick) -> list[str]:
    return [hold.reason for hold in seen.holds if hold.subject in ("reports", "slices")]


@pytest.fixture(scope="module")
def anvil() -> Iterator[Anvil]:
    with start_anvil(gas_limit=400_000_000) as running:
        yield running


@pytest.fixture(scope="module")
def market(anvil: Anvil) -> Market:
    rpc = Rpc(anvil.url, timeout_s=60.0)
    market = open_market(rpc)
    market.deposit(named(MAKER), 10**12)
    for relay in (market.manifest.contracts.prices, market.manifest.contracts.surface):
        market.batch.add(OWNER, THREE.set_signers(relay), "signers", gas=1_000_000)
    market.mine()
    rpc.call("anvil_setBalance", KEEPER.address, hex(FUNDS))
    adopt(rpc, [RIVAL])
    rpc.call("evm_setAutomine", False)
    return market


@pytest.fixture
def desk(anvil: Anvil, market: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("KEEPER_KEYSTORE_PASSWORD", PASSWORD)
    (tmp_path / "keystore.json").write_bytes(orjson.dumps(KEEPER.encrypt(PASSWORD, kdf="pbkdf2", iterations=1_000)))
    path = write_config(tmp_path, anvil.url, market, [named(KEEPER)], publish="false")
    path.write_text(path.read_text() + '\n[reports]\ninbox = "inbox"\n')
    (tmp_path / "inbox").mkdir()
    snapshot = market.rpc.call("evm_snapshot")
    market.batch = Batch(market.rpc)
    with open_app(configured(path)) as app:
        yield Desk(market, app, tmp_path / "inbox")
    market.rpc.call("anvil_dropAllTransactions")
    assert market.rpc.call("evm_revert", snapshot) is True


def test_files_of_single_signers_become_one_transaction_and_no_second(desk: Desk) -> None:
    now = desk.pass_s(12)
    desk.put(Observation(0, now, FIRST + WAD, WAD))
    desk.put(Observation(1, now - 1, 60_001 * WAD, WAD), by=(0, 2))
    first = desk.tick()
    assert reports(first) == [f"0@{now},1@{now - 1}"]
    assert reports(desk.tick()) == []  # under way
    desk.pass_s(12)
    assert (desk.newest(0), desk.newest(1)) == ((now, FIRST + WAD), (now - 1, 60_001 * WAD))
    after = desk.tick()
    assert (reports(after), held(after)) == ([], [])
    ((status, cause),) = desk.fates().values()
    assert (status, cause) == ("achieved", "2 of 2 kept, the others there already")


def test_what_is_under_way_is_not_sent_again_beside_something_new(desk: Desk) -> None:
    now = desk.pass_s(12)
    desk.put(Observation(0, now, FIRST + WAD, WAD))
    assert reports(desk.tick()) == [f"0@{now}"]
    desk.rpc.call("anvil_dropAllTransactions")  # a block passes without it
    desk.pass_s(12)
    desk.put(Observation(1, now, 60_001 * WAD, WAD))
    assert reports(desk.tick()) == [f"1@{now}"]
    desk.pass_s(12)
    assert (desk.newest(0)[0], desk.newest(1)[0]) == (now, now)
    desk.tick()
    assert sorted(desk.fates().values()) == [("achieved", "1 of 1 kept, the others there already")] * 2


def test_a_file_under_a_name_that_is_no_text_stops_no_tick(desk: Desk) -> None:
    now = desk.pass_s(12)
    os.close(os.open(os.fsencode(desk.inbox) + b"/\xff.json", os.O_CREAT))
    desk.put(Observation(0, now, FIRST + WAD, WAD))
    seen = desk.tick()
    assert reports(seen) == [f"0@{now}"]
    assert any("udcff.json" in reason for reason in held(seen))


def test_slices_go_to_the_surface_relay(desk: Desk) -> None:
    now = desk.pass_s(12)
    known = desk.market.state().world.underlyings[0].slices
    fitted = [replace(one, timestamp=now, a=one.a + 1) for one in known.values()]
    for one in fitted:
        desk.put(one)
    assert reports(desk.tick()) == [",".join(f"0:{one.expiry}@{now}" for one in fitted)]
    desk.pass_s(12)
    assert list(desk.market.state().world.underlyings[0].slices.values()) == fitted
    desk.tick()
    assert [status for status, _ in desk.fates().values()] == ["achieved"]


def test_who_brings_it_first_makes_ours_no_failure(desk: Desk) -> None:
    """A rival with the same files is ahead in the same block: ours finds all of it there."""
    now = desk.pass_s(12)
    seen = Observation(0, now, FIRST + WAD, WAD)
    desk.put(seen)
    desk.tick()
    c = desk.market.manifest
    call = Reporters.of(THREE.keys, 2, 2).reports(c.contracts.prices, c.chain_id, [seen])
    fee = {"maxFeePerGas": hex(10**12), "maxPriorityFeePerGas": hex(10**11), "gas": hex(2_000_000)}
    desk.rpc.call("eth_sendTransaction", {"from": RIVAL, "to": call.to, "data": "0x" + call.data.hex()} | fee)
    desk.pass_s(12)
    assert desk.newest(0) == (now, FIRST + WAD)
    assert reports(desk.tick()) == []
    assert list(desk.fates().values()) == [
        ("achieved", "all of it was there already: somebody else brought it first")
    ]  # fmt: skip
    later = desk.pass_s(12)
    desk.put(Observation(0, later, FIRST, WAD))
    assert reports(desk.tick()) == [f"0@{later}"]  # nobody is left alone for it


def test_a_jump_needs_more_signers_and_says_so(desk: Desk) -> None:
    now = desk.pass_s(12)
    desk.put(Observation(0, now, FIRST * 2, WAD))
    seen = desk.tick()
    assert reports(seen) == []
    assert any("QuorumMissed" in reason for reason in held(seen))
    desk.pass_s(1)
    desk.put(Observation(0, now, FIRST * 2, WAD), by=(2,))
    assert reports(desk.tick()) == [f"0@{now}"]
    desk.pass_s(12)
    assert desk.newest(0) == (now, FIRST * 2)


def spoil(desk: Desk, now: int, what: str) -> None:
    """Put something hostile beside the good report of `now` − 5."""
    good = Observation(0, now, FIRST + 3 * WAD, WAD)
    if what == "strangers":
        desk.put(good, STRANGERS)
    elif what == "future":
        desk.put(replace(good, timestamp=now + 1_000))
    elif what == "other chain":
        one = replace(desk.signed(good), chain_id=1)
        store(desk.inbox / "chain.json", one)
    elif what == "other relay":
        store(desk.inbox / "relay.json", replace(desk.signed(good), relay=KEEPER.address))
    elif what == "changed":
        store(desk.inbox / "dear.json", replace(desk.signed(good), said=replace(good, price=9 * FIRST)))
    elif what == "unknown underlying":
        desk.put(replace(good, underlying=77), by=(0, 1, 2))
    elif what == "impossible":
        desk.put(replace(good, confidence=good.price), by=(0, 1, 2))
    else:
        (desk.inbox / "junk.json").write_text("{")


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("strangers", "expected signatures of 2 signers at least, found 0"),
        ("future", "no time later than the block's"),
        ("other chain", "expected chain 31337"),
        ("other relay", "and relay 0x"),
        ("changed", "expected signatures of 2 signers at least, found 0"),
        ("unknown underlying", "UnknownUnderlying"),
        ("impossible", "OutOfRange"),
        ("junk", "expected JSON"),
    ],
)
def test_what_is_hostile_is_held_and_hides_nothing(desk: Desk, what: str, says: str) -> None:
    now = desk.pass_s(12)
    store(desk.inbox / "good.json", desk.signed(Observation(0, now - 5, FIRST + WAD, WAD)))
    spoil(desk, now, what)
    seen = desk.tick()
    assert reports(seen) == [f"0@{now - 5}"]
    assert any(says in reason for reason in held(seen)), held(seen)
    desk.pass_s(12)
    assert desk.newest(0) == (now - 5, FIRST + WAD)


def test_what_is_too_old_is_held(desk: Desk) -> None:
    now = desk.pass_s(12)
    desk.put(Observation(0, now, FIRST + WAD, WAD))
    desk.pass_s(589)
    desk.pass_s(12)
    seen = desk.tick()
    assert reports(seen) == []
    assert any("age of at most 540 s, so that it lands within 600 s, found 601" in reason for reason in held(seen))


def test_what_lands_late_because_blocks_are_slow_goes_as_long_as_it_lands(desk: Desk) -> None:
    """A call is tried two blocks ahead: what would be too old there would be refused, and all beside it."""
    now = desk.pass_s(12)
    desk.put(Observation(0, now, FIRST + WAD, WAD))
    desk.pass_s(200)  # of the relay's 600 s
    assert reports(desk.tick()) == [f"0@{now}"]
    assert desk.newest(0)[0] < now
    desk.pass_s(200)
    assert desk.newest(0)[0] == now
    late = desk.market.at
    desk.put(Observation(0, late, FIRST + WAD, WAD))
    desk.pass_s(201)
    seen = desk.tick()
    assert reports(seen) == []
    assert any("age of at most 198 s, so that it lands within 600 s, found 201" in reason for reason in held(seen))


def test_slices_of_an_expiry_gone_by_are_passed_over_in_silence(desk: Desk) -> None:
    now = desk.pass_s(12)
    (one, *_) = desk.market.state().world.underlyings[0].slices.values()
    for expiry in (now - 1, now):
        desk.put(replace(one, expiry=expiry, timestamp=now - 5))
    seen = desk.tick()
    assert (reports(seen), held(seen)) == ([], [])
    desk.put(replace(one, expiry=now + 1, timestamp=now - 5))  # none of the venue's
    assert any("the relay would refuse it" in reason for reason in held(desk.tick()))


def test_the_newest_of_several_wins(desk: Desk) -> None:
    now = desk.pass_s(12)
    for back in (0, 3, 7):
        one = desk.signed(Observation(0, now - back, FIRST + back * WAD, WAD))
        store(desk.inbox / f"{back}.json", one)
    assert reports(desk.tick()) == [f"0@{now}"]
    desk.pass_s(12)
    assert desk.newest(0) == (now, FIRST)


def test_a_killed_keeper_goes_on_where_it_was(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signed and offered, then gone: the next one finds it in the ledger and sends nothing twice."""
    now = desk.pass_s(12)
    desk.put(Observation(0, now, FIRST + WAD, WAD))
    assert reports(desk.tick()) == [f"0@{now}"]
    desk.app.close()
    monkeypatch.setenv("KEEPER_KEYSTORE_PASSWORD", PASSWORD)
    with open_app(configured(tmp_path / "keeper.toml")) as app:
        again = replace(desk, app=app)
        assert reports(again.tick()) == []
        again.pass_s(12)
        assert again.newest(0) == (now, FIRST + WAD)
        again.tick()
        assert [status for status, _ in again.fates().values()] == ["achieved"]
