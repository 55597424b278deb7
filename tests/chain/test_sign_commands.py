"""A signer's commands: what they write is taken by the relay, and what a signer cannot mean they refuse."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from keeper.abi import interface
from keeper.cli import app
from keeper.demo.anvil import Anvil, start_anvil
from keeper.demo.transactions import Batch, role
from keeper.errors import KeeperError, UsageError
from keeper.reference.board import DEMO, WAD
from keeper.reference.deploy import deploy
from keeper.reference.inbox import Signed, load, store
from keeper.reference.manifest import Manifest
from keeper.reference.reports import Observation, Reporters, relayed
from keeper.reference.vouch import signed_by, wad
from keeper.rpc import Rpc, answered
from keeper.twin.records import Slice

PASSWORD = "correct horse battery staple"
THREE = Reporters.named("signing people", jump_quorum=3)
OWNER = role("owner")


@pytest.fixture(scope="module")
def anvil() -> Iterator[Anvil]:
    with start_anvil() as running:
        yield running


@pytest.fixture(scope="module")
def manifest(anvil: Anvil) -> Manifest:
    rpc = Rpc(anvil.url, timeout_s=30.0)
    return deploy(rpc, Batch(rpc), OWNER, DEMO, THREE)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KEEPER_KEYSTORE_PASSWORD", PASSWORD)
    for n, key in enumerate(THREE.keys):
        (tmp_path / f"{n}.key").write_bytes(orjson.dumps(key.encrypt(PASSWORD, kdf="pbkdf2", iterations=10)))
    return tmp_path


class Person:
    def __init__(self, anvil: Anvil, manifest: Manifest, folder: Path, number: int = 0) -> None:
        self.rpc, self.manifest, self.folder = Rpc(anvil.url, timeout_s=30.0), manifest, folder
        self.settings = {
            "--rpc": anvil.url,
            "--chain-id": str(manifest.chain_id),
            "--relay": manifest.contracts.prices,
            "--keystore": str(folder / f"{number}.key"),
            "--address": THREE.addresses[number],
            "--min-price": "1000",
            "--max-price": "10000",
            "--out": str(folder),
        }

    def run(self, command: str, *more: str, **changes: str) -> Result:
        settings = self.settings | {f"--{name.replace('_', '-')}": value for name, value in changes.items()}
        return CliRunner().invoke(app, [command, *more, *(part for pair in settings.items() for part in pair)])

    def report(self, **changes: str) -> Result:
        wishes = {"underlying": "0", "price": "3000.25", "confidence": "1.5"}
        return self.run("sign-report", **wishes | changes)

    def slice(self, **changes: str) -> Result:
        expiry = str(self.manifest.underlyings[0].expiries[0])
        wishes = {"relay": self.manifest.contracts.surface, "underlying": "0", "expiry": expiry}
        svi = ("--svi", "0.2", "0.4", "-0.3", "0.05", "0.4")
        return self.run("sign-slice", *svi, **wishes | {"forward": "3015", "spot": "3000"} | changes)

    def written(self) -> list[Signed]:
        return [load(path) for path in sorted(self.folder.glob("*.json"))]

    def taken(self, signed: Signed) -> bytes:
        """Ask the relay whether it would take the record; returns its word or raises."""
        ids = relayed(signed.relay, [(signed.said, list(signed.by_signer().values()))])
        return answered(self.rpc.eth_calls([ids], self.rpc.block()))[0]


@pytest.fixture
def person(anvil: Anvil, manifest: Manifest, folder: Path) -> Person:
    rpc = Rpc(anvil.url, timeout_s=30.0)
    rpc.call("evm_setNextBlockTimestamp", hex(rpc.block().timestamp + 12))
    rpc.call("evm_mine")
    return Person(anvil, manifest, folder)


def test_two_people_make_a_report_that_the_relay_takes(person: Person, anvil: Anvil, folder: Path) -> None:
    assert person.report().exit_code == 0
    (first,) = person.written()
    assert isinstance(first.said, Observation)
    assert (first.said.price, first.said.confidence) == (300_025 * WAD // 100, 3 * WAD // 2)
    assert first.said.timestamp == person.rpc.block().timestamp
    (path,) = folder.glob("*.json")
    second = Person(anvil, person.manifest, folder, 2)
    assert second.run("co-sign", str(path)).exit_code == 0
    both = next(one for one in person.written() if len(one.signatures) == 2)
    assert set(both.by_signer()) == {THREE.addresses[0], THREE.addresses[2]}
    assert any(person.taken(both))
    with pytest.raises(ValueError, match="revert"):
        person.taken(first)


def test_a_slice_is_signed_for_the_surface_relay(person: Person, anvil: Anvil, folder: Path) -> None:
    assert person.slice().exit_code == 0
    (path,) = folder.glob("*.json")
    assert Person(anvil, person.manifest, folder, 1).run(
        "co-sign", str(path), relay=person.manifest.contracts.surface
    ).exit_code == 0  # fmt: skip
    both = next(one for one in person.written() if len(one.signatures) == 2)
    assert isinstance(both.said, Slice)
    assert both.said.rho == -3 * WAD // 10
    assert any(person.taken(both))


def test_inside_a_settlement_window_the_share_of_the_average_is_worked_out(person: Person) -> None:
    expiry = person.manifest.underlyings[0].expiries[0]
    snapshot = person.rpc.call("evm_snapshot")
    person.rpc.call("evm_setNextBlockTimestamp", hex(expiry - 900))
    person.rpc.call("evm_mine")
    assert person.report().exit_code == 0
    (signed,) = person.written()
    assert isinstance(signed.said, Observation)
    assert (signed.said.fixing_expiry, signed.said.fixed_share) == (expiry, WAD // 2)
    assert signed.said.fixed_average == signed.said.price
    assert person.rpc.call("evm_revert", snapshot) is True


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"price": "999.99"}, "--price: expected 1,000.0000 USD to 10,000.0000 USD"),
        ({"price": "10000.01"}, "--price: expected"),
        ({"price": "three"}, "--price: expected a decimal number"),
        ({"price": "3000.1234567890123456789"}, "18 digits behind the point"),
        ({"price": "NaN"}, "--price"),
        ({"chain_id": "1"}, "chain id: expected 1"),
        ({"time": "9999999999"}, "relays take nothing from the future"),
        ({"relay": "0x" + "00" * 20}, "--relay"),
        ({"relay": "nonsense"}, "--relay: expected an address"),
        ({"out": "/nowhere/at/all"}, "--out: expected a folder"),
        ({"address": "0x" + "11" * 20}, r"signer\.address"),
        ({"confidence": "-1"}, "fit a report"),
        ({"confidence": "150.02"}, r"--confidence: expected at most 500 BPS of the price, found 150\.0200 USD"),
        ({"confidence": "3.01", "max_confidence": "10"}, "--confidence: expected at most 10 BPS"),
        ({"underlying": "9"}, "--relay: expected a price relay"),
    ],
)
def test_what_a_signer_cannot_mean_is_refused_and_nothing_is_written(
    person: Person, changes: dict[str, str], says: str
) -> None:
    done = person.report(**changes)
    assert isinstance(done.exception, KeeperError)
    assert re.search(says, str(done.exception))
    assert person.written() == []


@pytest.mark.parametrize("changes", [{"spot": "30000"}, {"forward": "30"}, {"time": "9999999999"}])
def test_a_slice_is_guarded_alike(person: Person, changes: dict[str, str]) -> None:
    done = person.slice(**changes)
    assert isinstance(done.exception, UsageError)
    assert person.written() == []


def test_what_others_signed_is_guarded_alike(person: Person, anvil: Anvil, folder: Path) -> None:
    assert person.report(price="9000").exit_code == 0
    (path,) = folder.glob("*.json")
    careful = Person(anvil, person.manifest, folder, 1)
    assert isinstance(careful.run("co-sign", str(path), max_price="5000").exception, UsageError)
    assert isinstance(careful.run("co-sign", str(path), relay=person.manifest.contracts.surface).exception, UsageError)
    assert len(person.written()) == 1


def false_average(said: Observation) -> Observation:
    return replace(said, fixed_average=said.fixed_average * 2)


def false_funding(said: Observation) -> Observation:
    return replace(said, funding_rate=10**9)


@pytest.mark.parametrize("lie", [false_average, false_funding])
def test_nobody_co_signs_an_average_or_funding_that_he_would_not_have_signed(
    person: Person, anvil: Anvil, folder: Path, lie: Callable[[Observation], Observation]
) -> None:
    """Both are inside every bound that a signer gives; the average is what options settle at."""
    expiry = person.manifest.underlyings[0].expiries[0]
    snapshot = person.rpc.call("evm_snapshot")
    person.rpc.call("evm_setNextBlockTimestamp", hex(expiry - 900))
    person.rpc.call("evm_mine")
    assert person.report().exit_code == 0
    (path,) = folder.glob("*.json")
    signed = load(path)
    assert isinstance(signed.said, Observation)
    careful = Person(anvil, person.manifest, folder, 1)
    store(path, signed_by(replace(signed, said=lie(signed.said), signatures=()), THREE.keys[0]))
    done = careful.run("co-sign", str(path))
    assert isinstance(done.exception, UsageError)
    assert "or is false" in str(done.exception)
    store(path, signed)
    assert careful.run("co-sign", str(path)).exit_code == 0
    assert person.rpc.call("evm_revert", snapshot) is True


def test_the_equal_price_is_inside(person: Person) -> None:
    assert person.report(price="1000").exit_code == 0
    assert person.report(price="10000").exit_code == 0
    assert person.report(price="3000", confidence="150").exit_code == 0


def test_what_is_signed_is_shown(person: Person, anvil: Anvil, folder: Path) -> None:
    now = person.rpc.block().timestamp
    shown = (
        f"report: underlying 0, timestamp {now}, price 3,000.250000000000000001, confidence 1.5, funding_rate 0, "
        "fixing_expiry 0, fixed_share 0, fixed_average 0\n"
    )
    assert shown in person.report(price="3000.250000000000000001").stdout
    (path,) = folder.glob("*.json")
    assert shown in Person(anvil, person.manifest, folder, 1).run("co-sign", str(path)).stdout
    assert (
        f"timestamp {now}, forward 3,015, spot 3,000, a 0.2, b 0.4, rho -0.3, m 0.05, s 0.4\n" in person.slice().stdout
    )


def test_junk_beside_a_signature_is_not_passed_on(person: Person, anvil: Anvil, folder: Path) -> None:
    """Thirty-one signatures are all that a keeper reads of a file, and anybody can make some that recover to nobody."""
    assert person.report().exit_code == 0
    (path,) = folder.glob("*.json")
    honest = load(path)
    junk = tuple("0x" + f"{n:064x}" + "11" * 32 + "1b" for n in range(1, 30))
    stranger = signed_by(replace(honest, signatures=()), Account.create()).signatures
    store(path, replace(honest, signatures=(*junk, *stranger, *honest.signatures)))
    assert Person(anvil, person.manifest, folder, 1).run("co-sign", str(path)).exit_code == 0
    both = next(one for one in person.written() if len(one.signatures) == 2)
    assert any(person.taken(both))


def test_a_key_that_the_relay_does_not_name_signs_nothing(person: Person, folder: Path) -> None:
    stranger = Account.create()
    (folder / "3.key").write_bytes(orjson.dumps(stranger.encrypt(PASSWORD, kdf="pbkdf2", iterations=10)))
    done = person.report(keystore=str(folder / "3.key"), address=stranger.address)
    assert isinstance(done.exception, UsageError)
    assert f"expected one of the relay's signers, found {stranger.address}" in str(done.exception)
    assert person.written() == []


def test_what_a_signer_wrote_of_an_expiry_gone_by_is_removed(person: Person, folder: Path) -> None:
    assert person.slice().exit_code == 0
    (path,) = folder.glob("*.json")
    old = path.with_name(path.name.replace(path.name.split("-")[2], "1600000000"))
    others = old.with_name(old.name.replace(THREE.addresses[0], THREE.addresses[1]))
    for copy in (old, others):
        store(copy, load(path))
    assert person.slice().exit_code == 0
    assert (path.exists(), old.exists(), others.exists()) == (True, False, True)


def test_the_digest_of_each_kind_is_asked_of_its_own_relay(person: Person) -> None:
    """A price relay has no digest of slices, so a mixed-up --relay is found before anything is signed."""
    done = person.slice(relay=person.manifest.contracts.prices)
    assert isinstance(done.exception, UsageError)
    assert interface("keeper/PriceRelay").function("digest").selector != interface(
        "keeper/SurfaceRelay"
    ).function("digest").selector  # fmt: skip


@given(st.integers(-(10**36) + 1, 10**36 - 1))
def test_a_decimal_is_read_to_the_last_digit(amount: int) -> None:
    digits = f"{abs(amount):019}"
    text = f"{'-' if amount < 0 else ''}{digits[:-18]}.{digits[-18:]}"
    assert wad("--price", text) == amount
