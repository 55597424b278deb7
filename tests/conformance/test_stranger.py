"""A third protocol by the book (docs/add-a-protocol.md): one file, one ABI, one line, and then the whole keeper."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from keeper.abi import int_at
from keeper.cli.run import once
from keeper.rpc import answered
from keeper.venues import VENUES
from tests.conformance.__main__ import main
from tests.conformance.isolated import Isolated
from tests.conformance.isolated_world import PRICE, SIZES, TRADERS, VENUE, WAD, IsolatedWorld, isolated_world
from tests.conformance.kinds import scaled

ROOT = Path(__file__).parents[2]
KEY: LocalAccount = Account.from_key("0x" + "5c" * 32)
PASSWORD = "a stranger's password"
OFFERED = "tests.conformance.isolated_world:isolated_world", "--adapter", "tests.conformance.isolated:Isolated"
CONFIG = """
[chain]
rpc_url = "{url}"
chain_id = 31337
confirmations = 0

[venue]
name = "isolated"
clearing_house = "{venue}"
start_block = 0

[[oracle]]
symbol = "ETH"
address = "{feed}"
decimals = 8
heartbeat_seconds = 100000

[signer]
mode = "live"
keystore = "keystore.json"
address = "{keeper}"
max_fee_gwei = 2000.0
tip_gwei = 1.0

[journal]
url = "sqlite:///{folder}/keeper.db"
"""


@pytest.fixture
def market() -> Iterator[IsolatedWorld]:
    with isolated_world(KEY.address) as started:
        yield started


def test_the_kit_is_run_from_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(VENUES, "isolated", Isolated)  # and taken out again at the end
    assert main([*OFFERED, "--rule", "agree", "--rule", "equality"]) == 0
    assert capsys.readouterr().out == "kept    agree\nkept    equality\n2 rules, 0 broken\n"
    real: Any = Isolated.exact
    monkeypatch.setattr(Isolated, "exact", lambda self, state, account: real(self, state, scaled(account, 1, 10**12)))
    assert main([*OFFERED, "--rule", "agree"]) == 1
    assert re.match(r"BROKEN  agree: expected 0x.*; decimals: with the cash times 10\*\*12", capsys.readouterr().out)


def test_its_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    told = capsys.readouterr().out
    assert all(words in told for words in ("--adapter MODULE:CLASS", "corners", "exit code: 0", "my_kit.world:world"))
    with pytest.raises(SystemExit):
        main(["nowhere:world"])
    assert "WORLD: expected MODULE:NAME that can be imported or one of perp_curie" in capsys.readouterr().err


def test_the_keeper_liquidates_there(
    market: IsolatedWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A fall by half puts the longs below MM: a line of VENUES is all that the keeper needs to take them over."""
    monkeypatch.setitem(VENUES, "isolated", Isolated)
    monkeypatch.setenv("KEEPER_KEYSTORE_PASSWORD", PASSWORD)
    (tmp_path / "keystore.json").write_bytes(orjson.dumps(KEY.encrypt(PASSWORD, kdf="pbkdf2", iterations=1_000)))
    config = tmp_path / "keeper.toml"
    settings = {"url": market.url, "venue": market.address, "feed": market.feed, "keeper": KEY.address}
    config.write_text(CONFIG.format(**settings, folder=tmp_path))
    market.push(PRICE // 2)
    once(config, json=True)
    seen = json.loads(capsys.readouterr().out)
    longs = {trader for trader, size in zip(TRADERS, SIZES, strict=True) if size > 0}
    assert {plan["subject"] for plan in seen["plans"]} == longs
    held = [VENUE.function("accounts").call(market.address, trader) for trader in (*sorted(longs), KEY.address)]
    sizes = [int_at(words, 1) for words in answered(market.rpc.eth_calls(held, market.rpc.block()))]
    assert sizes == [0, 0, 0, (3 + 2 + 7) * WAD]


def test_it_is_one_file_one_abi_and_one_line() -> None:
    written = (ROOT / "tests/conformance/isolated.py").read_text().splitlines()
    assert len(written) < 150
    assert (ROOT / "abis/isolated/IsolatedPerpetual.json").exists()
    elsewhere = [path for folder in ("keeper", "engine") for path in (ROOT / folder).rglob("*.py")]
    assert not [path for path in elsewhere if '"isolated"' in path.read_text()]
