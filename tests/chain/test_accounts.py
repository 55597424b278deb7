"""Discovery on real Curie: everybody who ever deposited or traded, in chunks, without gaps, whatever the node does."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from faulty_node import FaultyNode, faulty_node

from keeper.accounts import Accounts
from keeper.demo.anvil import Anvil, start_anvil
from keeper.demo.curie import USDC, deploy, deposit
from keeper.demo.deployment import Deployment
from keeper.demo.traders import open_book
from keeper.demo.transactions import Batch, role
from keeper.errors import ChainError
from keeper.journal import Journal
from keeper.rpc import Rpc
from keeper.venues.perp_curie import PerpCurie

KEEPER = role("keeper")
TRADERS = 8


@pytest.fixture
def own_anvil() -> Iterator[Anvil]:
    """A node of the test's own: it will be rolled back."""
    with start_anvil() as running:
        yield running


@pytest.fixture
def deployment(own_anvil: Anvil) -> Deployment:
    return open_book(own_anvil.url, deploy(own_anvil.url, keeper_address=KEEPER), traders=TRADERS)


@pytest.fixture
def node(own_anvil: Anvil) -> Iterator[FaultyNode]:
    with faulty_node(own_anvil.port) as faulty:
        yield faulty


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(f"sqlite:///{tmp_path / 'keeper.db'}", chain_id=31_337, venue="perp_curie") as opened:
        yield opened


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keeper.accounts.CHUNK", 3)


def everybody(deployment: Deployment) -> set[str]:
    return {*deployment.accounts, deployment.market_maker, deployment.arbitrageur, KEEPER}


def discovery(node: FaultyNode, deployment: Deployment, journal: Journal) -> tuple[Accounts, Rpc]:
    rpc = Rpc(node.url)
    venue = PerpCurie(rpc, deployment.contracts.clearing_house)
    node.seen.clear()
    return Accounts(rpc, venue, journal, deployment.start_block), rpc


def ranges(node: FaultyNode) -> list[tuple[int, int]]:
    return [(int(query["fromBlock"], 16), int(query["toBlock"], 16)) for (query,) in node.asked("eth_getLogs")]


def introduce(rpc: Rpc, deployment: Deployment, name: str) -> str:
    """Mine a block in which somebody new deposits."""
    batch = Batch(rpc)
    deposit(batch, deployment, role(name), 1_000 * USDC)
    batch.mine()
    return role(name)


def stored(folder: Path) -> dict[str, int]:
    with closing(sqlite3.connect(folder / "keeper.db")) as database:
        return dict(database.execute("SELECT address, first_block FROM accounts"))


def test_everybody_is_found_chunk_by_chunk_without_gap_or_overlap(
    node: FaultyNode, deployment: Deployment, journal: Journal
) -> None:
    accounts, rpc = discovery(node, deployment, journal)
    head = rpc.block()
    found = accounts.at(head)
    assert set(found) == everybody(deployment)
    assert len(found) == len(set(found))
    asked = ranges(node)
    assert [n for first, last in asked for n in range(first, last + 1)] == list(
        range(deployment.start_block, head.number + 1)
    )
    assert max(last - first + 1 for first, last in asked) == 3
    assert journal.cursor() == (head.number, head.hash)


def test_what_was_scanned_is_not_scanned_again(node: FaultyNode, deployment: Deployment, journal: Journal) -> None:
    accounts, rpc = discovery(node, deployment, journal)
    before = accounts.at(rpc.block())
    node.seen.clear()
    assert accounts.at(rpc.block()) == before
    assert not ranges(node)
    someone = introduce(rpc, deployment, "late guest")
    head = rpc.block()
    assert set(accounts.at(head)) == {*before, someone}
    assert ranges(node) == [(head.number, head.number)]


def test_the_block_of_the_first_sight_is_kept(
    node: FaultyNode, deployment: Deployment, journal: Journal, tmp_path: Path
) -> None:
    accounts, rpc = discovery(node, deployment, journal)
    accounts.at(rpc.block())
    someone = introduce(rpc, deployment, "guest")
    seen_at = rpc.block().number
    accounts.at(rpc.block())
    introduce(rpc, deployment, "guest")  # deposits once more
    accounts.at(rpc.block())
    assert stored(tmp_path)[someone] == seen_at


@pytest.mark.parametrize("fault", ["deaf_to", "mute_on", "refuses"])
def test_a_failed_scan_moves_nothing_and_skips_nothing(
    node: FaultyNode, deployment: Deployment, journal: Journal, fault: str
) -> None:
    accounts, rpc = discovery(node, deployment, journal)
    head = rpc.block()
    reached = rpc.block(deployment.start_block + 2)
    accounts.at(reached)
    before = journal.cursor(), journal.accounts()
    setattr(node, fault, {"eth_getLogs"})
    for _ in range(2):
        with pytest.raises(ChainError):
            accounts.at(head)
    assert (journal.cursor(), journal.accounts()) == before == ((reached.number, reached.hash), before[1])
    setattr(node, fault, set())
    node.seen.clear()
    assert set(accounts.at(head)) == everybody(deployment)
    assert ranges(node)[0][0] == reached.number + 1


def test_a_scan_that_fails_in_the_middle_keeps_whole_chunks(
    node: FaultyNode, deployment: Deployment, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts, rpc = discovery(node, deployment, journal)
    head, answer = rpc.block(), node.answer

    def fails_third(body: bytes) -> bytes | None:
        answered = answer(body)
        return None if len(node.asked("eth_getLogs")) == 3 else answered

    monkeypatch.setattr(node, "answer", fails_third)
    with pytest.raises(ChainError):
        accounts.at(head)
    monkeypatch.setattr(node, "answer", answer)
    done = rpc.block(deployment.start_block + 2 * 3 - 1)
    assert journal.cursor() == (done.number, done.hash)
    assert set(accounts.at(head)) == everybody(deployment)
    asked = ranges(node)
    assert asked[2] == asked[3]


def test_a_restart_goes_on_where_the_cursor_stands(
    node: FaultyNode, deployment: Deployment, journal: Journal, tmp_path: Path
) -> None:
    accounts, rpc = discovery(node, deployment, journal)
    accounts.at(rpc.block())
    someone = introduce(rpc, deployment, "guest")
    head = rpc.block()
    with Journal.open(f"sqlite:///{tmp_path / 'keeper.db'}", chain_id=31_337, venue="perp_curie") as reopened:
        restarted, _ = discovery(node, deployment, reopened)
        assert set(restarted.at(head)) == {*everybody(deployment), someone}
    assert ranges(node) == [(head.number, head.number)]


@pytest.mark.parametrize("longer", [0, 1, 5])
def test_a_reorganisation_forgets_who_came_on_the_lost_branch_and_finds_who_came_on_the_other(
    node: FaultyNode, deployment: Deployment, journal: Journal, tmp_path: Path, longer: int
) -> None:
    accounts, rpc = discovery(node, deployment, journal)
    accounts.at(rpc.block())
    fork = rpc.block()
    lost = introduce(rpc, deployment, "on the lost branch")
    both = introduce(rpc, deployment, "on both branches")
    assert {lost, both} <= set(accounts.at(rpc.block()))

    rpc.call("anvil_rollback", 2)
    rpc.call("anvil_dropAllTransactions")
    assert rpc.block() == fork
    for _ in range(longer):
        rpc.call("evm_mine")
    introduce(rpc, deployment, "on both branches")
    new = introduce(rpc, deployment, "on the new branch")
    node.seen.clear()
    assert set(accounts.at(rpc.block())) == {*everybody(deployment), both, new}
    assert stored(tmp_path)[both] == fork.number + longer + 1
    assert ranges(node)[0][0] == fork.number + 1
    head = rpc.block()
    assert journal.cursor() == (head.number, head.hash)


def test_a_head_that_went_back_forgets_too(node: FaultyNode, deployment: Deployment, journal: Journal) -> None:
    accounts, rpc = discovery(node, deployment, journal)
    before, fork = accounts.at(rpc.block()), rpc.block()
    introduce(rpc, deployment, "guest")
    assert len(accounts.at(rpc.block())) == len(before) + 1
    rpc.call("anvil_rollback", 1)
    assert accounts.at(rpc.block()) == before
    assert journal.cursor() == (fork.number, fork.hash)


def test_a_reorganisation_older_than_the_cursor_scans_from_the_start(
    node: FaultyNode, deployment: Deployment, journal: Journal
) -> None:
    """Nothing remembered is on the chain any more, as after switching to another node of a test network."""
    accounts, rpc = discovery(node, deployment, journal)
    head = rpc.block()
    elsewhere = replace(head, number=head.number + 7, hash="0x" + "ab" * 32)
    journal.discovered({role("nobody of this chain"): deployment.start_block + 1}, elsewhere)
    assert set(accounts.at(head)) == everybody(deployment)
    assert ranges(node)[0][0] == deployment.start_block
