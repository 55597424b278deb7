"""The reference venue deployed as an operator would: one command, one key, one manifest."""

import json
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak
from typer.testing import CliRunner

from keeper.abi import interface
from keeper.cli import app
from keeper.demo.anvil import Anvil, start_anvil
from keeper.demo.transactions import FUNDS
from keeper.errors import KeystoreError, MissingContract, ReadError
from keeper.reference.manifest import Manifest
from keeper.reference.reports import Observation, Said, digest, domain_of, fitted
from keeper.rpc import Rpc
from keeper.twin.records import Instrument, Report, Slice, content_id, listing_id
from keeper.venues.reference import Reference

PASSWORD = "correct horse battery staple"
OWNER: LocalAccount = Account.from_key("0x" + "0d" * 32)


@pytest.fixture(scope="module")
def anvil() -> Iterator[Anvil]:
    with start_anvil() as running:
        Rpc(running.url).call("anvil_setBalance", OWNER.address, hex(FUNDS))
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("deployment")
    (path / "key.json").write_bytes(orjson.dumps(OWNER.encrypt(PASSWORD, kdf="pbkdf2", iterations=1_000)))
    return path


@pytest.fixture(scope="module")
def manifest(anvil: Anvil, folder: Path) -> Manifest:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KEEPER_KEYSTORE_PASSWORD", PASSWORD)
        arguments = ["--rpc", anvil.url, "--keystore", str(folder / "key.json"), "--address", OWNER.address]
        done = CliRunner().invoke(app, ["deploy", *arguments, "--out", str(folder / "manifest.json")])
        assert done.exit_code == 0, done.output
    return Manifest.from_json((folder / "manifest.json").read_text())


@pytest.fixture(scope="module")
def rpc(anvil: Anvil) -> Rpc:
    return Rpc(anvil.url, timeout_s=30.0)


def test_the_manifest_is_json_that_gives_the_manifest_back(manifest: Manifest, folder: Path) -> None:
    text = (folder / "manifest.json").read_text()
    assert json.loads(text)["chain_id"] == 31_337
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_every_contract_belongs_to_the_key_and_names_its_peers(manifest: Manifest, rpc: Rpc) -> None:
    c = manifest.contracts
    owned = (c.venue, c.auctions, c.risk_arrays, c.products, c.prices, c.surface)
    calls = [interface("keeper/PriceRelay").function("owner").call(at) for at in owned]
    answers = rpc.eth_calls(calls, rpc.block())
    assert {bytes(a)[12:].hex() for a in answers} == {OWNER.address[2:].lower()}
    found = Reference(rpc, c.venue).contracts
    assert (found.auctions, found.margin, found.risk_arrays) == (c.auctions, c.margin, c.risk_arrays)
    assert (found.products, found.prices) == (c.products, c.prices)


def test_the_board_is_listed_as_the_manifest_says_and_priced(manifest: Manifest, rpc: Rpc) -> None:
    state = Reference(rpc, manifest.contracts.venue).read(rpc.block(), [], OWNER.address)
    assert not state.faults
    assert sorted(state.world.underlyings) == [0, 1, 2]
    for line, listed in zip(state.lines, manifest.underlyings, strict=True):
        assert tuple(series.expiry for series in line.series) == listed.expiries
        for series in line.series:
            both = [(strike, is_call) for strike in listed.strikes for is_call in (True, False)]
            assert [(i.strike, i.is_call) for i in series.instruments] == both


def test_ids_of_reports_and_slices_are_what_the_records_hash_to(manifest: Manifest, rpc: Rpc) -> None:
    """The store hashes what it stored; here what was read is hashed by other code."""
    state = Reference(rpc, manifest.contracts.venue).read(rpc.block(), [], OWNER.address)

    def own_id(record: Report | Slice) -> bytes:
        relay = manifest.contracts.surface if isinstance(record, Slice) else manifest.contracts.prices
        return content_id(record, int(relay, 16), manifest.chain_id, keccak)

    for line in state.lines:
        known = state.world.underlyings[line.underlying]
        assert line.report_id == own_id(known.report)
        assert [s.slice_id for s in line.series] == [own_id(known.slices[s.expiry]) for s in line.series]


@pytest.mark.parametrize(
    "said",
    [
        Observation(1, 2**40 - 1, 2**128 - 1, 7, -3, 5, 2**64 - 1, 11),
        Slice(2, 2**40 - 1, 3, 2**128 - 1, 5, -6, 7, -8, 9, -(2**127)),
    ],
    ids=["report", "slice"],
)
def test_what_is_signed_here_is_what_the_relay_recovers_from(manifest: Manifest, rpc: Rpc, said: Said) -> None:
    c = manifest.contracts
    name, relay = ("SurfaceRelay", c.surface) if isinstance(said, Slice) else ("PriceRelay", c.prices)
    call = interface(f"keeper/{name}").function("digest").packed(relay, fitted(said))
    (answer,) = rpc.eth_calls([call], rpc.block())
    assert digest(said, domain_of(said, relay, manifest.chain_id)) == answer


def test_listings_are_what_the_records_hash_to(manifest: Manifest, rpc: Rpc) -> None:
    state = Reference(rpc, manifest.contracts.venue).read(rpc.block(), [], OWNER.address)
    listing = interface("reference/Products").function("listing")
    for line in state.lines:
        for series in line.series:
            call = listing.call(manifest.contracts.products, line.underlying, series.expiry, line.version)
            (answer,) = rpc.eth_calls([call], rpc.block())
            assert listing.values(bytes(answer)) == (
                len(series.instruments),
                listing_id(series.instruments, line.scan.words, keccak),
            )


def test_an_address_without_a_venue_is_refused_with_what_to_do(manifest: Manifest, rpc: Rpc) -> None:
    with pytest.raises(MissingContract, match=r"venue\.clearing_house"):
        Reference(rpc, OWNER.address)
    with pytest.raises(ReadError, match="expected a reference venue"):
        Reference(rpc, manifest.contracts.prices)


def test_a_wrong_password_deploys_nothing(
    anvil: Anvil, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEEPER_KEYSTORE_PASSWORD", "wrong")
    arguments = ["--rpc", anvil.url, "--keystore", str(folder / "key.json"), "--address", OWNER.address]
    before = Rpc(anvil.url).block().number
    done = CliRunner().invoke(app, ["deploy", *arguments, "--out", str(tmp_path / "manifest.json")])
    assert isinstance(done.exception, KeystoreError)
    assert "could not be decrypted" in str(done.exception)
    assert Rpc(anvil.url).block().number == before


def test_a_listed_option_has_its_row_in_its_id(manifest: Manifest, rpc: Rpc) -> None:
    read = interface("reference/Products").function("instrument")
    (answer,) = rpc.eth_calls(
        [read.call(manifest.contracts.products, 1, manifest.underlyings[1].expiries[0], 3)], rpc.block()
    )
    option = Instrument.of(int.from_bytes(bytes(answer)))
    assert (option.underlying, option.index, option.is_call) == (1, 3, False)
    assert option.strike == manifest.underlyings[1].strikes[1]
