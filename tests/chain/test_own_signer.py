"""A signer of the keeper's own: what it may sign follows from keeper.toml, and the key never enters the keeper."""

import fcntl
import gc
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from eth_account import Account
from signer_child import child, end

from keeper.allowed import allowed_calls
from keeper.app import App, configured, open_app, policy_of, signer_answer
from keeper.chain import Call
from keeper.config import Config
from keeper.demo.anvil import Anvil
from keeper.demo.config import write_config
from keeper.demo.deployment import Deployment
from keeper.errors import ConfigError, JournalError, KeystoreError, SignerUnreachable
from keeper.journal.records import TickRecord
from keeper.journal.slot_records import NewSlot
from keeper.lanes.executor import LaneExecutor
from keeper.lanes.offering import moment
from keeper.own_signer import RESTARTS, OwnSigner, signer_toml
from keeper.plans import Liquidate, SetParameters
from keeper.sending.fees import Market
from keeper.signer.client import Line
from keeper.signer.config import load
from keeper.signer.keystore import PASSWORD
from keeper.signer.policy import refusal
from keeper.signer.records import SignRequest
from keeper.stages import Stages

SECRET = "correct horse battery staple"
KEY = Account.from_key("0x" + "6d" * 32)
STRANGER = "0x" + "00" * 19 + "01"


@pytest.fixture
def config(tmp_path: Path, anvil: Anvil, world: Deployment, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setenv(PASSWORD, SECRET)
    (tmp_path / "keystore.json").write_bytes(orjson.dumps(KEY.encrypt(SECRET, kdf="pbkdf2", iterations=10)))
    return configured(write_config(tmp_path, anvil.url, replace(world, keeper=KEY.address), "live"))


@pytest.fixture
def app(config: Config) -> Iterator[App]:
    with open_app(config) as app:
        yield app


def folder(config: Config) -> Path:
    keystore = config.signer.keystore
    assert keystore is not None
    return keystore.with_name("keystore-signer")


def is_held(config: Config) -> bool:
    """Say whether a signer uses the store."""
    path = folder(config) / "signer.db.lock"
    if not path.exists():
        return False
    with path.open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        return False


def asked(call: Call, **changes: object) -> SignRequest:
    fields = {"nonce": 0, "kind": "call", "intent": "i", "effects": (), "chain_id": 31_337, "to": call.to}
    fields |= {"data": call.data, "gas": 1_800_000, "max_fee": 10**9, "tip": 1, "request_id": "r"}
    return SignRequest(**(fields | changes))  # type: ignore[arg-type]


def test_it_may_sign_what_the_configuration_needs_and_nothing_else(app: App, world: Deployment) -> None:
    policy = load(folder(app.config) / "signer.toml").policy()
    token = world.collaterals[0].token

    def rule(call: Call, **changes: object) -> str:
        found = refusal(policy, asked(call, **changes), KEY.address)
        return "" if found is None else found.rule

    def ratio(ppm: int, of: str = token) -> Call:
        return app.venue.encode(SetParameters(app.venue.name, f"collateral_ratio:{of}", 0, ppm, "", 0))

    liquidate = app.venue.encode(Liquidate(app.venue.name, STRANGER, STRANGER, 1.0, 1.0, 0))
    assert [rule(call) for call in (liquidate, ratio(600_000), ratio(650_000), ratio(700_000))] == [""] * 4
    assert [rule(call) for call in (ratio(599_999), ratio(700_001), ratio(650_000, STRANGER))] == ["argument"] * 3
    assert rule(replace(liquidate, to=STRANGER)) == "allow_list"
    assert rule(replace(liquidate, data=b"\xff" * 4 + liquidate.data[4:])) == "allow_list"
    assert rule(liquidate, chain_id=1) == "chain_id"
    assert rule(liquidate, gas=1_800_001) == "gas"
    assert rule(liquidate, max_fee=200 * 10**9 + 1) == "max_fee"
    assert rule(liquidate, gas=1_800_000, max_fee=200 * 10**9) == ""


def test_the_password_is_in_no_environment_after_the_signers_start(app: App) -> None:
    assert PASSWORD not in os.environ
    kept = [found for found in gc.get_objects() if type(found) is dict and found.get(PASSWORD) == SECRET]
    assert kept == []  # no copy of the environment stays behind
    assert SECRET.encode() not in Path(f"/proc/{child()}/cmdline").read_bytes()
    if os.getuid() == 0:  # nobody else may read what the signer was started with
        assert SECRET.encode() not in Path(f"/proc/{child()}/environ").read_bytes()
    assert (folder(app.config).stat().st_mode & 0o777, is_held(app.config)) == (0o700, True)


def test_it_ends_with_the_application(config: Config) -> None:
    with open_app(config):
        assert is_held(config)
    assert not is_held(config)


def test_a_second_keeper_on_the_same_keystore_is_refused_and_a_check_is_not(
    app: App, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSWORD, SECRET)
    assert signer_answer(config) == f"mode live, {KEY.address}"
    with pytest.raises(ConfigError, match="found another signer using it"):
        open_app(config)
    assert is_held(config)  # the first one's is still there
    app.world.executor.settle(app.rpc.block())


def test_a_wrong_password_is_told_in_the_signers_words(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD, "hunter2")
    with pytest.raises(KeystoreError, match="could not be decrypted") as told:
        open_app(config)
    assert "hunter2" not in str(told.value)
    assert not is_held(config)


def test_what_fails_later_in_the_start_ends_it_too(config: Config) -> None:
    broken = config.model_copy(
        update={"journal": config.journal.model_copy(update={"url": "sqlite:////nonexistent/folder/keeper.db"})}
    )
    with pytest.raises(JournalError):
        open_app(broken)
    assert not is_held(config)


def test_a_signer_that_is_killed_is_started_again_and_what_was_never_signed_is_given_back(
    app: App, world: Deployment
) -> None:
    app.rpc.call("anvil_setBalance", KEY.address, hex(10**20))
    app.world.executor.settle(app.rpc.block())
    first = child()
    end(signal.SIGKILL)
    plans = [Liquidate("perp_curie", account, world.markets[0].base_token, 1.0, 1.0, 10**6) for account in "ab"]
    block = app.rpc.block()
    intents = app.journal.intend(TickRecord(block, 0, {}, (), (), ()), plans)
    slots = app.journal.reserve([_slot(intent.id) for intent in intents], 0, moment(block))
    app.world.executor.settle(app.rpc.block())  # a new one, and what was reserved and never signed is given back
    assert child() != first
    assert [app.journal.slot(slot.id).state for slot in slots] == ["released"] * 2
    alarms = app.world.executor.status()["alarms"]
    assert any("died 1 times" in told for told in alarms)  # type: ignore[attr-defined]


def _slot(intent: int) -> NewSlot:
    return NewSlot(KEY.address, "call", STRANGER, b"", 100_000, (intent,), 10**6)


def test_one_that_dies_again_and_again_is_left_to_a_person(app: App) -> None:
    for _ in range(RESTARTS):
        end(signal.SIGKILL)
        app.world.executor.settle(app.rpc.block())
    end(signal.SIGKILL)
    for _ in range(2):
        with pytest.raises(SignerUnreachable, match=f"after {RESTARTS} restarts within 3600 s"):
            app.world.executor.settle(app.rpc.block())


def test_one_that_was_told_to_end_stays_ended(app: App) -> None:
    app.world.executor.settle(app.rpc.block())
    end(signal.SIGTERM)
    with pytest.raises(SignerUnreachable, match="it was told to end"):
        app.world.executor.settle(app.rpc.block())


def test_a_keystore_in_too_deep_a_folder_is_told_before_anything_starts(config: Config, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / "keystore.json"
    signer = config.signer.model_copy(update={"keystore": deep})
    with pytest.raises(ConfigError, match="expected socket paths of at most 107 bytes"):
        open_app(config.model_copy(update={"signer": signer}))
    assert not deep.parent.exists()


# --- one that runs by itself ---------------------------------------------------------------------------


@pytest.fixture
def elsewhere(config: Config) -> Iterator[tuple[Config, OwnSigner, Path]]:
    """A signer that the keeper did not start, with the file the keeper would derive; and that file."""
    with open_app(config, signing=False) as looking:
        calls = allowed_calls(config, looking.venue, policy_of(config))
    place = folder(config).with_name("elsewhere")
    running = OwnSigner(place, signer_toml(config, calls, "a test"))
    signer = config.signer.model_copy(update={"socket": running.socket, "keystore": None})
    yield config.model_copy(update={"signer": signer}), running, place / "signer.toml"
    running.stop()


def test_a_signer_at_a_socket_is_asked_and_not_ended(elsewhere: tuple[Config, OwnSigner, Path]) -> None:
    config, running, _ = elsewhere
    with running:
        assert signer_answer(config) == f"mode live, {KEY.address}, at a signer in mode live"
        for _ in range(2):  # the first one's lease is free when it has ended
            with open_app(config) as app:
                app.world.executor.settle(app.rpc.block())
        with Line(running.socket) as line:
            (lane,) = line.demand("status")["lanes"]
        assert lane["holder"] is None and lane["token"] == 2


def test_no_signer_at_the_socket_is_told_at_the_start(elsewhere: tuple[Config, OwnSigner, Path]) -> None:
    with pytest.raises(SignerUnreachable, match="run `keeper signer run`"):
        open_app(elsewhere[0])


def test_the_signers_own_mode_decides(elsewhere: tuple[Config, OwnSigner, Path], world: Deployment) -> None:
    """The keeper wishes live, the signer is set to observe: every intent is refused at once and no nonce is used."""
    config, running, file = elsewhere
    file.write_text(file.read_text().replace('mode = "live"', 'mode = "observe"'))
    plans = [
        Liquidate("perp_curie", account, world.markets[0].base_token, 1.0, 1.0, 10**6) for account in world.accounts[:3]
    ]
    with running, open_app(config) as app:
        app.rpc.call("anvil_setBalance", KEY.address, hex(10**20))
        app.world.executor.settle(app.rpc.block())
        intents = app.journal.intend(TickRecord(app.rpc.block(), 0, {}, (), (), ()), plans)
        lane = app.world.executor
        assert isinstance(lane, LaneExecutor)
        block = app.rpc.block()
        lane.send(intents, Market(block.base_fee, ()), block, {KEY.address: {}}, Stages())
        found = [app.journal.decisions(plan.account)[0] for plan in plans]
        assert {d.intent.status for d in found if d.intent} == {"refused"}
        assert all("mode" in d.intent.cause for d in found if d.intent)
        assert [trail.slot.state for d in found for trail in d.trails] == ["released"] * 3
        assert app.journal.counts().attempts == 0
