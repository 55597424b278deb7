"""`keeper signer …` as an operator types it, and what a typo in a nonce comes to."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from keeper.app import configured, open_journal
from keeper.demo.anvil import Anvil
from keeper.errors import ExitCode, UsageError
from keeper.next_nonce import Seen, require_seen
from keeper.rpc import Rpc
from keeper.signer.records import NONE_FINAL
from tests.signer_desk import ADDRESS, CHAIN
from tests.signer_process import PASSWORD, ROOT, Process

KEEPER_FILE = """
[chain]
rpc_url = "{url}"
chain_id = {chain_id}
[venue]
name = "perp_curie"
clearing_house = "{address}"
start_block = 0
[[oracle]]
symbol = "BTC/USD"
source = "chainlink"
address = "{address}"
decimals = 8
heartbeat_seconds = 3600
min_answer = 100.0
max_answer = 1000000.0
[journal]
url = "{journal}"
"""


class Shell:
    """The command line, with the keeper's file beside the signer's."""

    def __init__(self, process: Process, url: str) -> None:
        self.process = process
        self.file = process.folder / "keeper.toml"
        self.written = KEEPER_FILE.format(
            url=url, chain_id=CHAIN, address=ADDRESS, journal=f"sqlite:///{process.folder}/keeper.db"
        )
        self.file.write_text(self.written)
        with open_journal(configured(self.file)) as journal:
            self.ledger = journal.ledger_id

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "KEEPER_KEYSTORE_PASSWORD": PASSWORD}
        command = [sys.executable, "-m", "keeper", "signer", *arguments, "--config", str(self.process.config)]
        return subprocess.run(command, env=environ, capture_output=True, text=True, cwd=self.process.folder)

    def named(self, order: str, nonce: int, ledger: str = "") -> subprocess.CompletedProcess[str]:
        return self(order, "--address", ADDRESS, "--ledger", ledger or self.ledger, "--next-nonce", str(nonce))


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    made = Process(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def shell(process: Process, anvil: Anvil) -> Shell:
    return Shell(process, anvil.url)


@pytest.fixture
def counted(rpc: Rpc) -> Iterator[int]:
    """The chain counts seven transactions of the key."""
    before = rpc.counts(ADDRESS)[0]
    rpc.call("anvil_setNonce", ADDRESS, "0x7")
    yield 7
    rpc.call("anvil_setNonce", ADDRESS, hex(before))


def test_the_commands(process: Process, shell: Shell, counted: int) -> None:
    assert "run `keeper signer run`" in shell("status").stderr
    process.start("-m", "keeper", "signer", "run", "--config")
    assert process.running is not None
    assert b"keeper.signer" in (Path("/proc") / str(process.running.pid) / "cmdline").read_bytes()
    assert json.loads(shell("drain", "--json").stdout)["lanes"][0]["state"] == "drain"
    assert "next nonce 5" in shell.named("enrol", 5).stdout
    assert shell.named("enrol", 5).returncode == ExitCode.KEY
    assert "next nonce 7" in shell.named("reconcile", counted).stdout
    lane = json.loads(shell("resume", "--json").stdout)["lanes"][0]
    assert (lane["state"], lane["ledger"], lane["watermark"]) == ("running", shell.ledger, 6)


@pytest.mark.parametrize("order", ["enrol", "reconcile"])
def test_a_next_nonce_that_nobody_has_seen_is_refused(process: Process, shell: Shell, counted: int, order: str) -> None:
    """A typo would be filled, transaction by transaction."""
    process.start()
    for nonce in (counted + 1, 100 * counted):
        refused = shell.named(order, nonce)
        assert refused.returncode == ExitCode.USAGE
        assert f"expected at most {counted}" in refused.stderr and f"found {nonce}" in refused.stderr
    assert process.order("status")["lanes"][0]["watermark"] == NONE_FINAL  # type: ignore[index]


def test_the_next_nonce_is_asked_of_its_own_chain_and_ledger(process: Process, shell: Shell, counted: int) -> None:
    process.start()
    other = shell.named("reconcile", counted, "ab" * 16)
    assert other.returncode == ExitCode.USAGE and shell.ledger in other.stderr
    shell.file.write_text(shell.written.replace(str(CHAIN), "1"))
    other = shell.named("reconcile", counted)
    assert other.returncode == ExitCode.USAGE and f"expected chain {CHAIN}" in other.stderr


@pytest.mark.parametrize("one", ["latest", "pending", "signer", "ledger"])
def test_each_of_chain_signer_and_ledger_alone_explains_a_next_nonce(one: str) -> None:
    seen = Seen(**{"latest": 3, "pending": 3, "signer": 3, "ledger": 0} | {one: 9})
    require_seen(9, seen)
    with pytest.raises(UsageError, match="expected at most 9"):
        require_seen(10, seen)
