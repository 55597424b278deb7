"""`keeper deploy`: killed anywhere it goes on, it refuses what is not its own, and --check finds every change."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount
from typer.testing import CliRunner, Result

from keeper.abi import interface
from keeper.cli import app
from keeper.demo.anvil import Anvil, start_anvil
from keeper.demo.transactions import FUNDS, Batch, TransactionFailed, role
from keeper.errors import ConfigError, UsageError
from keeper.reference.artifacts import creation_code
from keeper.reference.deploy import WrongCode
from keeper.reference.manifest import OWNED, Manifest
from keeper.reference.progress import Progress
from keeper.rpc import Rpc, RpcRefusal, answered
from keeper.venues.reference import Reference

PASSWORD = "correct horse battery staple"
KEY: LocalAccount = Account.from_key("0x" + "0e" * 32)
HEIR: LocalAccount = Account.from_key("0x" + "0f" * 32)
DOCS = Path(__file__).parents[2] / "docs"
BOARD = DOCS / "examples" / "board.toml"


class Killed(BaseException):
    """Nothing of ours catches it, like a signal that ends the process."""


@pytest.fixture(scope="module")
def anvil() -> Iterator[Anvil]:
    with start_anvil() as running:
        for key in (KEY, HEIR):
            Rpc(running.url).call("anvil_setBalance", key.address, hex(FUNDS))
        yield running


@pytest.fixture
def rpc(anvil: Anvil) -> Iterator[Rpc]:
    rpc = Rpc(anvil.url, timeout_s=30.0)
    snapshot = rpc.call("evm_snapshot")
    yield rpc
    assert rpc.call("evm_revert", snapshot) is True


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KEEPER_KEYSTORE_PASSWORD", PASSWORD)
    (tmp_path / "key.json").write_bytes(orjson.dumps(KEY.encrypt(PASSWORD, kdf="pbkdf2", iterations=10)))
    return tmp_path


@pytest.fixture
def run(anvil: Anvil, rpc: Rpc, folder: Path) -> Callable[..., Result]:  # noqa: ARG001 - rpc undoes what is deployed
    def invoked(*more: str) -> Result:
        arguments = ["--rpc", anvil.url, "--keystore", str(folder / "key.json"), "--address", KEY.address]
        return CliRunner().invoke(app, ["deploy", *arguments, "--out", str(folder / "manifest.json"), *more])

    return invoked


def manifest_in(folder: Path) -> Manifest:
    return Manifest.from_json((folder / "manifest.json").read_text())


def checked(run: Callable[..., Result], folder: Path) -> dict[str, Any]:
    done = run("--check", str(folder / "manifest.json"), "--json")
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.exit_code == (0 if found["ok"] else 1)
    return found


def cut(patch: pytest.MonkeyPatch, call: int, share: float) -> None:
    """Kill the process in its `call`-th offer, when this share of it has reached the node."""
    send, calls = Rpc.send_raw, iter(range(1_000))

    def dying(rpc: Rpc, signed: Sequence[bytes]) -> list[str | RpcRefusal]:
        if next(calls) != call:
            return send(rpc, signed)
        send(rpc, signed[: round(len(signed) * share)])
        raise Killed

    patch.setattr(Rpc, "send_raw", dying)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0], ids=["before", "within", "after"])
@pytest.mark.parametrize("call", [0, 2, 5])
def test_a_killed_deployment_goes_on_and_sends_nothing_twice(
    run: Callable[..., Result], rpc: Rpc, folder: Path, monkeypatch: pytest.MonkeyPatch, call: int, share: float
) -> None:
    before, _ = rpc.counts(KEY.address)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        cut(patch, call, share)
        run("--json")
    assert not (folder / "manifest.json").exists()
    rpc.call("evm_setNextBlockTimestamp", hex(rpc.block().timestamp + 30))
    rpc.call("evm_mine")
    done = run("--json")
    assert done.exit_code == 0, done.output
    after, _ = rpc.counts(KEY.address)
    assert after - before == len(json.loads(done.stdout)["transactions"])
    manifest = manifest_in(folder)
    assert checked(run, folder)["ok"]
    state = Reference(rpc, manifest.contracts.venue).read(rpc.block(), [], KEY.address)
    assert (sorted(state.world.underlyings), state.faults) == ([0, 1, 2], {})
    assert not list(folder.glob("*.unfinished"))


def test_a_process_killed_while_it_writes_the_manifest_goes_on(
    run: Callable[..., Result], rpc: Rpc, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_text

    def dying(path: Path, text: str) -> int:
        if "facts" not in text:
            return write(path, text)
        write(path, text[:100])
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Path, "write_text", dying)
        run()
    counted, _ = rpc.counts(KEY.address)
    done = run()
    assert done.exit_code == 0, done.output
    assert rpc.counts(KEY.address)[0] == counted
    assert checked(run, folder)["ok"]


def stopped(run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, call: int = 1) -> None:
    with monkeypatch.context() as patch, pytest.raises(Killed):
        cut(patch, call, 1.0)
        run()


def test_a_key_used_meanwhile_is_found_before_anything_else_is_sent(
    run: Callable[..., Result], rpc: Rpc, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(Killed):
        cut(patch, 1, 0.0)
        run()
    batch = Batch(rpc)
    batch.create(KEY.address, bytes.fromhex("600160005260016000f3"), "something else")
    batch.mine()
    counted, _ = rpc.counts(KEY.address)
    done = run()
    assert isinstance(done.exception, TransactionFailed)
    assert "another transaction" in str(done.exception)
    assert rpc.counts(KEY.address)[0] == counted
    assert not (folder / "manifest.json").exists()


def test_other_code_where_ours_should_be_is_refused_before_anything_is_listed(
    run: Callable[..., Result], rpc: Rpc, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped(run, monkeypatch, call=2)
    progress = Progress.load(folder / "manifest.json.unfinished")
    assert progress is not None
    receipts = [rpc.call("eth_getTransactionReceipt", hashes[0]) for hashes in progress.sent.values()]
    address = next(r["contractAddress"] for r in reversed(receipts) if r and r["contractAddress"])
    rpc.call("anvil_setCode", address, "0x60006000fd")
    done = run()
    assert isinstance(done.exception, WrongCode | TransactionFailed)
    assert not (folder / "manifest.json").exists()


def test_another_wish_does_not_go_on_with_this_one(
    run: Callable[..., Result], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped(run, monkeypatch)
    done = run("--owner", HEIR.address)
    assert isinstance(done.exception, ConfigError)
    assert "under way" in str(done.exception)
    (folder / "manifest.json.unfinished").write_text("{}")
    assert isinstance(run().exception, ConfigError)


def test_a_manifest_is_never_written_over(run: Callable[..., Result], folder: Path) -> None:
    (folder / "manifest.json").write_text("mine")
    assert isinstance(run().exception, ConfigError)
    assert (folder / "manifest.json").read_text() == "mine"


# --- what was deployed -----------------------------------------------------------------------------------


def test_every_contract_is_in_the_manifest_with_what_made_it(
    run: Callable[..., Result], rpc: Rpc, folder: Path
) -> None:
    assert run().exit_code == 0
    manifest = manifest_in(folder)
    named = {one.name: one for one in manifest.deployed}
    assert {
        "venue",
        "auctions",
        "margin",
        "risk_arrays",
        "products",
        "prices",
        "surface",
        "steward",
        "feed_ETH",
    } <= set(named)
    assert len({one.address for one in named.values()}) == len(named)
    assert all(one.block >= manifest.start_block for one in named.values())
    surface = int(named["prices"].arguments[2:66], 16)
    assert surface == int(manifest.contracts.surface, 16)
    assert manifest.feeds == tuple(named[f"feed_{u.symbol}"].address for u in manifest.underlyings)
    read = interface("keeper/RelayFeed").function("latestRoundData")
    (answer,) = rpc.eth_calls([read.call(manifest.feeds[1])], rpc.block())
    assert read.values(bytes(answer))[1] == 60_000 * 10**8


def test_the_heir_accepts_and_until_then_the_check_says_so(run: Callable[..., Result], rpc: Rpc, folder: Path) -> None:
    assert run("--owner", HEIR.address).exit_code == 0
    manifest = manifest_in(folder)
    assert manifest.owner == HEIR.address
    found = checked(run, folder)
    assert len(found["differences"]) == len(OWNED)
    assert all("he has to call acceptOwnership" in line for line in found["differences"])
    batch = Batch(rpc)
    for name in OWNED:
        accept = interface("reference/MarginVenue").function("acceptOwnership")
        batch.add(HEIR.address, accept.call(getattr(manifest.contracts, name)), "accept")
    batch.mine()
    assert checked(run, folder) == found | {"ok": True, "differences": [], "block": rpc.block().number}


@pytest.mark.parametrize(
    ("contract", "path", "function", "arguments", "says"),
    [
        ("prices", "keeper/PriceRelay", "setPriceLimit", (0, 400, 600), "prices.priceLimits(0): expected 500, 600"),
        ("surface", "keeper/SurfaceRelay", "setSigners", ([role("x")], 1, 1), "surface.isSigner"),
        ("venue", "reference/MarginVenue", "setPaused", (True, False), "venue.openingPaused()"),
        ("auctions", "reference/Auctions", "transferOwnership", (role("x"),), ""),
        ("prices", "keeper/PriceRelay", "setFundingLimits", (1, 5, 5), "prices.fundingLimits(1)"),
    ],
)
def test_a_changed_parameter_is_found(
    run: Callable[..., Result], rpc: Rpc, folder: Path,
    contract: str, path: str, function: str, arguments: tuple[Any, ...], says: str,
) -> None:  # fmt: skip
    assert run().exit_code == 0
    manifest = manifest_in(folder)
    batch = Batch(rpc)
    call = interface(path).function(function).packed(getattr(manifest.contracts, contract), *arguments)
    batch.add(KEY.address, call, function)
    batch.mine()
    found = checked(run, folder)["differences"]
    assert any(says in line for line in found) if says else found == []


def test_changed_code_is_found(run: Callable[..., Result], rpc: Rpc, folder: Path) -> None:
    assert run().exit_code == 0
    manifest = manifest_in(folder)
    code = rpc.call("eth_getCode", manifest.feeds[0], "latest")
    rpc.call("anvil_setCode", manifest.feeds[0], code[:-2] + ("00" if code[-2:] != "00" else "01"))
    (line,) = checked(run, folder)["differences"]
    assert line.startswith("feed_ETH: expected code")


def test_a_manifest_of_a_wrong_wiring_is_found(run: Callable[..., Result], folder: Path) -> None:
    """The manifest itself may have been changed: what it says of the chain is held against the chain."""
    assert run().exit_code == 0
    manifest = manifest_in(folder)
    others = tuple(replace(f, answer=KEY.address) if f.call == "SURFACE()" else f for f in manifest.facts)
    (folder / "manifest.json").write_text(replace(manifest, facts=others).to_json())
    (line,) = checked(run, folder)["differences"]
    assert line.startswith("prices.SURFACE(): expected")


# --- before it is deployed -------------------------------------------------------------------------------


def board_file(folder: Path, *, signers: bool, executor: bool = False) -> str:
    """The example board, with or without signers elsewhere and an executor; returns its path."""
    text = BOARD.read_text()
    if not signers:
        text = text[: text.index("[signers]")]
    if executor:
        parties = ("operator", "receiver", "factory", "lender")
        text += "\n[executor]\n" + "".join(f'{name} = "{role(name)}"\n' for name in parties)
    (folder / "board.toml").write_text(text)
    return str(folder / "board.toml")


@pytest.mark.parametrize("owner", [[], ["--owner", HEIR.address]], ids=["deployer's", "heir's"])
@pytest.mark.parametrize("board", ["none", "without signers", "with signers"])
def test_a_dry_run_says_what_it_would_cost_and_where_all_would_be(
    run: Callable[..., Result], rpc: Rpc, folder: Path, board: str, owner: list[str]
) -> None:
    signers = board == "with signers"
    options = owner if board == "none" else ["--board", board_file(folder, signers=signers, executor=True), *owner]
    before = rpc.block().number
    said = json.loads(run(*options, "--dry-run", "--json").stdout)
    assert rpc.block().number == before
    assert not list(folder.glob("manifest*"))
    done = json.loads(run(*options, "--json").stdout)
    manifest = manifest_in(folder)
    assert said["contracts"] == {one.name: one.address for one in manifest.deployed}
    assert manifest.feeds == tuple(said["contracts"][f"feed_{u.symbol}"] for u in manifest.underlyings)
    kinds = [[one["what"].split()[0] for one in sent["transactions"]] for sent in (said, done)]
    assert kinds[0] == kinds[1]
    spent = sum(one["gas"] for one in done["transactions"])
    assert abs(said["gas"] - spent) < spent // 1_000  # a signature's zero bytes are cheaper
    assert 0 < said["ether_now"] < said["ether_at_most"]


@pytest.mark.parametrize(
    ("board", "says"),
    [([], "demonstration board with a new owner is {} transactions"), (["--board", str(BOARD)], "its signers {}.")],
)
def test_the_page_says_how_many_transactions_it_is(run: Callable[..., Result], board: list[str], says: str) -> None:
    done = json.loads(run(*board, "--owner", HEIR.address, "--json").stdout)
    assert says.format(len(done["transactions"])) in (DOCS / "deployment.md").read_text()


def test_the_example_board_deploys_with_signers_elsewhere(run: Callable[..., Result], rpc: Rpc, folder: Path) -> None:
    assert run("--board", str(BOARD)).exit_code == 0
    manifest = manifest_in(folder)
    state = Reference(rpc, manifest.contracts.venue).read(rpc.block(), [], KEY.address)
    assert len(state.faults) == len(manifest.underlyings)
    assert len(manifest.signers) == 3
    assert checked(run, folder)["ok"]


def test_an_executor_is_the_heirs_from_the_beginning(run: Callable[..., Result], rpc: Rpc, folder: Path) -> None:
    path = board_file(folder, signers=True, executor=True)
    assert run("--board", path, "--owner", HEIR.address).exit_code == 0
    manifest = manifest_in(folder)
    executor = next(one for one in manifest.deployed if one.name == "executor")
    facts = {fact.call: fact.answer.lower() for fact in manifest.facts if fact.contract == "executor"}
    assert (facts["RECEIVER()"], facts["VENUE()"]) == (role("receiver").lower(), manifest.contracts.venue.lower())
    holds = interface("keeper/KeeperExecutor").function("hasRole")
    operator = interface("keeper/KeeperExecutor").function("OPERATOR").call(executor.address)
    (role_id,) = answered(rpc.eth_calls([operator], rpc.block()))
    asked = [(bytes(32), HEIR.address), (role_id, role("operator")), (bytes(32), KEY.address)]
    answers = rpc.eth_calls([holds.packed(executor.address, *one) for one in asked], rpc.block())
    assert [int.from_bytes(bytes(answer)) for answer in answers] == [1, 1, 0]


@pytest.mark.parametrize("how", [[], ["--dry-run"]])
@pytest.mark.parametrize(
    ("symbol", "decimals", "there", "says"),
    [
        ("USDC", 6, False, "settlement.address: expected a token at"),
        ("WBTC", 8, False, "collaterals[1].token.address: expected a token at"),
        ("WBTC", 8, True, "collaterals[1].token.decimals: expected 18, as the token at"),
        ("WETH", 18, True, ""),
    ],
)
def test_a_token_that_is_not_what_the_board_says_is_found_before_anything_is_sent(
    run: Callable[..., Result], rpc: Rpc, folder: Path,
    symbol: str, decimals: int, there: bool, says: str, how: list[str],
) -> None:  # fmt: skip
    address = role("nobody")
    if there:
        batch = Batch(rpc)
        address = batch.create(role("mint"), creation_code("demo/MintableToken", "Token", "TKN", 18), "token")
        batch.mine()
    said = f'symbol = "{symbol}"\ndecimals = {decimals}\n'
    board = Path(board_file(folder, signers=True))
    board.write_text(board.read_text().replace(said, f'{said}address = "{address}"\n'))
    done = run("--board", str(board), *how)
    if says:
        assert isinstance(done.exception, ConfigError)
        assert str(done.exception).startswith(says)
        assert rpc.counts(KEY.address) == (0, 0)
    else:
        assert done.exit_code == 0


@pytest.mark.parametrize("more", [("--address", "0x12"), ("--owner", "0x" + "0" * 40), ("--owner", "me")])
def test_an_address_that_is_none_is_refused(run: Callable[..., Result], more: tuple[str, str]) -> None:
    assert isinstance(run(*more).exception, UsageError)
