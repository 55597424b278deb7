"""Bad input through the real command line: a clear message, the documented exit code, nothing sent, nothing leaked."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from keeper.demo.anvil import REPO, Anvil, free_port, start_anvil
from keeper.demo.config import write_config
from keeper.demo.curie import deploy
from keeper.demo.deployment import Deployment
from keeper.demo.path import BTC_MARCH_2020
from keeper.demo.replay import replay
from keeper.demo.traders import open_book
from keeper.demo.transactions import role
from keeper.errors import ExitCode
from keeper.journal import Journal
from keeper.rpc import Rpc

PASSWORD = "hunter2-and-three-more-words"
KEY: LocalAccount = Account.from_key("0x" + "5c" * 32)
STRANGER: LocalAccount = Account.from_key("0x" + "6d" * 32)
API_KEY = "an-api-key-in-the-url"
SECRETS = (PASSWORD, API_KEY, KEY.key.hex(), STRANGER.key.hex())
CRASH = (BTC_MARCH_2020[0], *BTC_MARCH_2020[10:13])
AT_ONCE = 3
HEARTBEAT_S = 3_600


# --- the world, after the crash: a keeper that got this far would send ----------------------------------


@pytest.fixture(scope="module")
def anvil() -> Iterator[Anvil]:
    with start_anvil() as running:
        yield running


@pytest.fixture(scope="module")
def rpc(anvil: Anvil) -> Rpc:
    return Rpc(anvil.url, timeout_s=30.0)


@pytest.fixture(scope="module")
def curie(anvil: Anvil) -> Deployment:
    deployment = open_book(anvil.url, deploy(anvil.url, keeper_address=KEY.address))
    replay(anvil.url, deployment, CRASH, block_seconds=0.0)
    return deployment


class Misanswers(BaseHTTPRequestHandler):
    """An HTTP server that is no node: the path says what it answers."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, body = {
            "html": (200, b"<html><body>Sign in to continue</body></html>"),
            "null": (200, orjson.dumps([{"jsonrpc": "2.0", "id": a["id"], "result": None} for a in asked])),
            "refusal": (429, orjson.dumps({"error": {"code": -32005, "message": "daily request count exceeded"}})),
        }[self.path.strip("/").split("/")[0]]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Misanswers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


# --- one run of the command line ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outcome:
    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        (line,) = self.stdout.splitlines()
        return json.loads(line)


@dataclass(slots=True)
class Setting:
    """One run's folder, configuration and environment, for a case to spoil."""

    folder: Path
    world: Deployment
    elsewhere: str
    environment: dict[str, str]

    @property
    def file(self) -> Path:
        return self.folder / "keeper.toml"

    def arguments(self, command: str) -> list[str]:
        """Return the words of a command with this run's configuration."""
        option = [] if command.startswith("check-config") else ["--config"]
        return [*command.split(), *option, str(self.file)]

    def replace(self, old: str, new: str) -> None:
        text = self.file.read_text()
        assert old in text
        self.file.write_text(text.replace(old, new))

    def at(self, url: str) -> None:
        self.environment["KEEPER_RPC_URL"] = url

    def keystore(self, content: bytes) -> None:
        (self.folder / "keystore.json").write_bytes(content)

    def journal(self, url: str) -> None:
        self.environment["KEEPER_JOURNAL_URL"] = url


def prepared(folder: Path, anvil: Anvil, world: Deployment, elsewhere: str, mode: str = "live") -> Setting:
    folder.mkdir(parents=True, exist_ok=True)
    write_config(folder, anvil.url, world, mode)
    (folder / "keystore.json").write_bytes(orjson.dumps(KEY.encrypt(PASSWORD, kdf="pbkdf2", iterations=1_000)))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("KEEPER_")}
    return Setting(folder, world, elsewhere, inherited | {"KEEPER_KEYSTORE_PASSWORD": PASSWORD, "COLUMNS": "200"})


def run(arguments: list[str], environment: Mapping[str, str]) -> Outcome:
    done = subprocess.run(
        [sys.executable, "-m", "keeper", *arguments],
        capture_output=True, text=True, check=False, timeout=60, cwd=REPO, env=dict(environment),
    )  # fmt: skip
    return Outcome(done.returncode, done.stdout, done.stderr)


# --- what is wrong, the exit code, what the message must say --------------------------------------------


@dataclass(frozen=True, slots=True)
class Case:
    spoil: Callable[[Setting], object]
    code: ExitCode
    says: tuple[str, ...]
    command: str = "once"


def foreign_journal(setting: Setting) -> None:
    Journal.open(f"sqlite:///{setting.folder / 'keeper.db'}", chain_id=1, venue="perp_curie").close()


def no_database(setting: Setting) -> None:
    (setting.folder / "keeper.db").write_text("dear diary, " * 100)


CASES = {
    "wrong chain id": Case(
        lambda s: s.replace("chain_id = 31337", "chain_id = 10"),
        ExitCode.CHAIN,
        ("expected 10 (chain.chain_id), found 31337", "correct chain.chain_id"),
    ),
    "no contract at the clearing house": Case(
        lambda s: s.replace(s.world.contracts.clearing_house, role("nobody")),
        ExitCode.CHAIN,
        ("venue.clearing_house: expected a contract at", role("nobody"), "found no code"),
        command="accounts",
    ),
    "another contract at the clearing house": Case(
        lambda s: s.replace(s.world.contracts.clearing_house, s.world.contracts.usdc),
        ExitCode.CHAIN,
        ("venue.clearing_house: expected a Curie deployment at", "found no getVault"),
        command="run",
    ),
    "no contract at a feed": Case(
        lambda s: s.replace(s.world.collaterals[0].aggregator, role("nobody")),
        ExitCode.CHAIN,
        ("[[oracle]] ETH/USD.address: expected a contract at", role("nobody")),
    ),
    "nobody listens": Case(
        lambda s: s.at(f"http://user:{API_KEY}@127.0.0.1:{free_port()}/v3/{API_KEY}?key={API_KEY}"),
        ExitCode.CHAIN,
        ("http://127.0.0.1:", "expected a JSON-RPC answer", "is the node running"),
        command="run",
    ),
    "a web page": Case(
        lambda s: s.at(f"{s.elsewhere}/html/{API_KEY}"),
        ExitCode.CHAIN,
        ("expected JSON, found HTTP 200", "is this url a JSON-RPC endpoint"),
        command="check-config",
    ),
    "a quota": Case(lambda s: s.at(f"{s.elsewhere}/refusal/{API_KEY}"), ExitCode.CHAIN, ("daily request count",)),
    "empty answers": Case(lambda s: s.at(f"{s.elsewhere}/null/{API_KEY}"), ExitCode.CHAIN, ("expected", "found")),
    "an unknown key": Case(
        lambda s: s.replace("poll_seconds", "pol_seconds"),
        ExitCode.CONFIG,
        ("chain.pol_seconds: expected no such key", "did you mean poll_seconds?"),
        command="check-config",
    ),
    "no file": Case(
        lambda s: s.file.unlink(),
        ExitCode.CONFIG,
        ("keeper.toml: expected a configuration file", "copy keeper.example.toml"),
    ),
    "the wrong password": Case(
        lambda s: s.environment.update(KEEPER_KEYSTORE_PASSWORD="hunter3-" + API_KEY),
        ExitCode.KEY,
        ("could not be decrypted", "check KEEPER_KEYSTORE_PASSWORD"),
        command="run",
    ),
    "no password": Case(
        lambda s: s.environment.pop("KEEPER_KEYSTORE_PASSWORD"),
        ExitCode.CONFIG,
        ("expected it in KEEPER_KEYSTORE_PASSWORD",),
    ),
    "no keystore": Case(
        lambda s: (s.folder / "keystore.json").unlink(),
        ExitCode.KEY,
        ("signer.keystore: expected an encrypted keystore file at", "FileNotFoundError"),
    ),
    "a keystore that is a bare key": Case(
        lambda s: s.keystore(orjson.dumps(KEY.key.hex())), ExitCode.KEY, ("signer.keystore", "could not be decrypted")
    ),
    "another address's keystore": Case(
        lambda s: s.replace(f'address = "{KEY.address}"', f'address = "{STRANGER.address}"'),
        ExitCode.KEY,
        (f"signer.address: expected {STRANGER.address}, found {KEY.address}",),
        command="check-config",
    ),
    "another chain's journal": Case(
        foreign_journal,
        ExitCode.JOURNAL,
        ("expected the journal of perp_curie on chain 31337, found", "on chain 1;"),
    ),
    "a journal without a folder": Case(
        lambda s: s.journal(f"sqlite:///{s.folder}/none/keeper.db"),
        ExitCode.JOURNAL,
        ("unable to open", "create the folder and make it writable"),
        command="run",
    ),
    "a journal that is a diary": Case(no_database, ExitCode.JOURNAL, ("not a database",)),
    "a journal nobody serves": Case(
        lambda s: s.journal(f"postgresql+psycopg://keeper:{API_KEY}@127.0.0.1:{free_port()}/keeper"),
        ExitCode.JOURNAL,
        ("journal postgresql+psycopg://keeper:***@127.0.0.1",),
        command="accounts",
    ),
    "an account nobody has": Case(
        lambda s: None,  # noqa: ARG005 - nothing is wrong but the question
        ExitCode.FAILED,
        (f"{role('nobody')}: expected one of the 67 accounts of perp_curie", "check the address"),
        command=f"explain {role('nobody')}",
    ),
}


@pytest.fixture(scope="module")
def outcomes(
    anvil: Anvil, curie: Deployment, elsewhere: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Outcome]:
    """Every case's outcome, a few at a time: most of each run is Python starting."""

    def play(name: str) -> Outcome:
        case = CASES[name]
        setting = prepared(tmp_path_factory.mktemp("bad"), anvil, curie, elsewhere)
        case.spoil(setting)
        return run([*setting.arguments(case.command), "--json"], setting.environment)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(CASES, pool.map(play, CASES), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_told_with_its_exit_code(outcomes: dict[str, Outcome], name: str) -> None:
    case, outcome = CASES[name], outcomes[name]
    assert outcome.code == case.code, outcome.stderr[-2_000:]
    error = outcome.document["error"]
    assert outcome.document == {"error": error, "exit_code": int(case.code)}
    for words in case.says:
        assert words in error
    assert f"error: {error}" in outcome.stderr
    said = outcome.stdout + outcome.stderr
    assert "Traceback" not in said
    for secret in SECRETS:
        assert secret.removeprefix("0x") not in said


def test_nothing_was_sent_in_any_case(outcomes: dict[str, Outcome], rpc: Rpc) -> None:
    assert len(outcomes) == len(CASES)
    sent = rpc.call("eth_getTransactionCount", KEY.address, "pending")
    assert int(sent, 16) == nonce_after_the_handover(rpc)
    assert int(rpc.call("txpool_status")["pending"], 16) == 0


def nonce_after_the_handover(rpc: Rpc) -> int:
    """Return how many transactions of the keeper stand in blocks: those that took over ownership while deploying."""
    blocks = [rpc.call("eth_getBlockByNumber", hex(n), True) for n in range(rpc.block().number + 1)]
    own = [t for block in blocks for t in block["transactions"] if t["from"] == KEY.address.lower()]
    assert len(own) == 2
    return len(own)


# --- what is right --------------------------------------------------------------------------------------

GOOD = ("accounts", "accounts --sort account --limit 3", "explain TRADER", "check-config")


@pytest.fixture(scope="module")
def answers(
    anvil: Anvil, curie: Deployment, elsewhere: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Outcome]:
    """Commands that look, with a live configuration; the looking ones without the password they must not need."""

    def play(command: str) -> Outcome:
        setting = prepared(tmp_path_factory.mktemp("good"), anvil, curie, elsewhere)
        if command != "check-config":
            del setting.environment["KEEPER_KEYSTORE_PASSWORD"]
        words = setting.arguments(command.replace("TRADER", curie.accounts[0].lower()))
        return run([*words, "--json"], setting.environment)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(GOOD, pool.map(play, GOOD), strict=True))


@pytest.mark.parametrize("command", GOOD)
def test_what_is_right_exits_with_0_and_one_document(answers: dict[str, Outcome], command: str) -> None:
    outcome = answers[command]
    assert outcome.code == ExitCode.OK, outcome.stderr[-2_000:]
    assert outcome.document
    assert "Traceback" not in outcome.stderr


def test_accounts_are_all_there_the_most_endangered_first(answers: dict[str, Outcome], curie: Deployment) -> None:
    rows = answers["accounts"].document["accounts"]
    others = {curie.market_maker, curie.arbitrageur, curie.keeper}
    assert {row["account"] for row in rows} == {*curie.accounts, *others}
    health = [row["health"] for row in rows if row["health"] is not None]
    assert health == sorted(health)
    assert rows[0]["status"] == "endangered" and rows[0]["excess"] < 0
    assert {row["status"] == "endangered" for row in rows if row["excess"] < 0} == {True}
    assert {row["status"] for row in rows if row["excess"] >= 0} == {"healthy"}
    by_name = answers["accounts --sort account --limit 3"].document["accounts"]
    assert [row["account"] for row in by_name] == sorted(row["account"] for row in rows)[:3]


def test_an_explanation_adds_up(answers: dict[str, Outcome], curie: Deployment) -> None:
    told = answers["explain TRADER"].document
    assert told["account"] == curie.accounts[0] and told["status"] == "endangered"
    assert told["decision"] == "would be liquidated now"
    parts = {row["what"]: row for row in told["positions"]}
    assert {"cash", "position vBTC", "open notional vBTC", "pending funding vBTC"} <= set(parts)
    assert sum(row["value"] for row in parts.values()) == pytest.approx(told["equity"], abs=1e-5)
    assert "BTC/USD" in parts["position vBTC"]["source"]


def test_a_checked_configuration_says_what_was_found(answers: dict[str, Outcome]) -> None:
    told = answers["check-config"].document
    found = {row["check"]: row["found"] for row in told["checks"]}
    assert told["ok"] is True
    assert "31337" in found["chain"] and found["signer"] == f"mode live, {KEY.address}"
    assert "67 accounts" in found["venue"]


def test_an_address_that_is_none_is_a_wrong_command_line(
    anvil: Anvil, curie: Deployment, elsewhere: str, tmp_path: Path
) -> None:
    setting = prepared(tmp_path, anvil, curie, elsewhere)
    outcome = run(setting.arguments("explain 0x1234"), setting.environment)
    assert outcome.code == ExitCode.USAGE
    assert "expected an address of 20 bytes in hex" in outcome.stderr and "Traceback" not in outcome.stderr


def test_once_with_a_stale_feed_says_unknown_sends_nothing_and_exits_with_7(
    anvil: Anvil, curie: Deployment, elsewhere: str, rpc: Rpc, tmp_path: Path
) -> None:
    snapshot = rpc.call("evm_snapshot")
    rpc.call("evm_setNextBlockTimestamp", hex(rpc.block().timestamp + HEARTBEAT_S + 1))
    rpc.call("evm_mine")
    setting = prepared(tmp_path, anvil, curie, elsewhere)
    outcome = run([*setting.arguments("once"), "--json"], setting.environment)
    listed = run([*setting.arguments("accounts --limit 1")], setting.environment)
    assert outcome.code == ExitCode.UNHEALTHY, outcome.stderr[-2_000:]
    told = outcome.document
    assert (told["unknown"], told["healthy"], told["endangered"]) == (66, 1, 0)
    assert told["plans"] == [] and "heartbeat 3600 s" in told["quotes"]["BTC/USD"]
    assert "Traceback" not in outcome.stderr
    assert listed.code == ExitCode.OK and "unknown" in listed.stdout and "heartbeat 3600 s" in listed.stdout
    assert int(rpc.call("eth_getTransactionCount", KEY.address, "pending"), 16) == nonce_after_the_handover(rpc)
    assert rpc.call("evm_revert", snapshot) is True
