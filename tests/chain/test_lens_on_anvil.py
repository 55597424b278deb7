"""Accounts read through the lens on Anvil: every number as without it, whatever accounts, nodes and proxies do."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from faulty_node import FaultyNode, faulty_node
from reference_market import write_config

from keeper.app import configured, open_chain
from keeper.chain import Block
from keeper.errors import ReadError
from keeper.lens import GAS, KEPT_EACH, PLACE, LensRpc
from keeper.rpc import Rpc
from keeper.twin.records import Book, Leg
from keeper.venues.portfolio import PortfolioState, account_id
from keeper.venues.reference import Reference
from tests.chain.reference_market import KEEPER
from tests.lens_study.world import Books, LensWorld, lens_world, random_books, slot_of

MANY = 2_000
PLENTY = 400_000_000
WORLD = 1
"""Requests through the lens about three underlyings, seven calls each: one, whoever is read beside them."""


@pytest.fixture(scope="module")
def world() -> Iterator[LensWorld]:
    with lens_world() as started:
        yield started


@pytest.fixture(scope="module")
def books(world: LensWorld) -> Books:
    """Two hundred accounts from the empty one to one of 40 positions."""
    found = random_books(world.market, 200, seed=6, positions=range(41), kinds=range(4))
    world.write(found)
    return found


class Counting(LensRpc):
    """Counts its requests through the lens, and the calls asked alone."""

    lenses = alone = 0

    def batch(self, items: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        calls = [params for method, params in items if method == "eth_call"]
        self.lenses += sum(len(params) == 3 for params in calls)
        self.alone += sum(len(params) == 2 for params in calls)
        return super().batch(items)


def lens(url: str, **settings: Any) -> Counting:
    rpc = Counting(url, 60.0, **settings)
    assert rpc.probe()
    rpc.lenses = 0
    return rpc


def read(world: LensWorld, rpc: Rpc, block: Block, names: Sequence[str]) -> PortfolioState:
    return Reference(rpc, world.address).read(block, names, KEEPER.address)


def test_every_number_is_as_without_the_lens(world: LensWorld, books: Books) -> None:
    rpc, block, names = lens(world.anvil.url), world.rpc.block(), sorted(books)
    found = read(world, rpc, block, names)
    assert found == read(world, world.rpc, block, names)
    assert rpc.lenses == WORLD + 1
    assert not found.unknown
    for account in found.accounts:
        sequence, book = books[account.name]
        assert (account.sequence, account.book.legs, account.book.collateral) == (sequence, book.legs, book.collateral)


@pytest.mark.parametrize(("gas", "most_calls", "requests"), [(6_000_000, 4_000, range(3, 20)), (GAS, 70, [9])])
def test_chunks_by_gas_and_by_number_add_up(
    world: LensWorld, books: Books, gas: int, most_calls: int, requests: Sequence[int]
) -> None:
    rpc, block, names = lens(world.anvil.url, gas=gas, most_calls=most_calls), world.rpc.block(), sorted(books)
    assert read(world, rpc, block, names) == read(world, world.rpc, block, names)
    assert rpc.lenses - WORLD in requests


def test_an_old_block_reads_as_it_was(world: LensWorld, books: Books) -> None:
    rpc, names = lens(world.anvil.url), sorted(books)
    world.rpc.call("evm_mine")
    before = read(world, rpc, old := world.rpc.block(), names)
    with world.undone():
        world.rpc.call("evm_mine")
        world.write({name: (sequence + 1, replace(book, cash=0)) for name, (sequence, book) in books.items()})
        assert read(world, rpc, old, names) == before
        now = read(world, rpc, world.rpc.block(), names)
        assert [a.sequence for a in now.accounts] == [a.sequence + 1 for a in before.accounts]


def test_accounts_that_burn_or_cannot_be_read_are_unknown_and_alone(world: LensWorld, books: Books) -> None:
    """One with 2^40 legs uses up whatever gas it is given; one is longer than the lens keeps, and read all the same."""
    rpc, names = lens(world.anvil.url), sorted(books)
    burning, long = names[3], names[100]
    legs = tuple(leg for _, book in books.values() for leg in book.legs)[:300]
    with world.undone():
        world.write({long: (7, Book(5, tuple(Leg(leg.instrument, 1) for leg in legs)))})
        world.store([(slot_of(account_id(burning), world.first_slot + 1), 1 << 40)])
        block = world.rpc.block()
        found = read(world, rpc, block, names)
        assert found == read(world, world.rpc, block, names)
    assert list(found.unknown) == [burning]
    assert found.unknown[burning].startswith("not read: ")
    (read_alone,) = [a for a in found.accounts if a.name == long]
    assert len(read_alone.book.legs) == 300 > KEPT_EACH // 32
    assert rpc.lenses == WORLD + 1


# --- hostile answers ----------------------------------------------------------------------------------

DAMAGES: dict[str, Callable[[str], object]] = {
    "empty": lambda _: "0x",
    "null": lambda _: None,
    "half": lambda answer: answer[: len(answer) // 2],
    "a word less": lambda answer: answer[:-64],
    "a word more": lambda answer: answer[:200] + "00" * 32 + answer[200:],
    "first answer failed": lambda answer: answer[:194] + "02" + answer[196:],
    "first answer shorter": lambda answer: answer[:200] + "20" + answer[202:],
    "a number changed": lambda answer: answer[:4_000] + ("1" if answer[4_000] == "0" else "0") + answer[4_001:],
    "zeros": lambda answer: "0x" + "0" * (len(answer) - 2),
}


LARGE = 20_000
"""Hexadecimal digits; what is read about underlyings is shorter."""


class Damaging(FaultyNode):
    """Damages the lens's answers about accounts on their way."""

    damage: Callable[[str], object] | None = None

    def forward(self, body: bytes) -> bytes:
        answers = orjson.loads(super().forward(body))
        through = {item["id"] for item in orjson.loads(body) if PLACE in str(item["params"][2:])}
        for answer in answers:
            if self.damage and answer["id"] in through and len(answer["result"]) > LARGE:
                answer["result"] = self.damage(answer["result"])
        return orjson.dumps(answers)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_answer_never_becomes_a_number(world: LensWorld, books: Books, damage: str) -> None:
    block, names = world.rpc.block(), sorted(books)
    with faulty_node(world.anvil.port, Damaging) as node:
        rpc = lens(node.url)
        node.damage = DAMAGES[damage]
        found = read(world, rpc, block, names)
        assert (rpc.lenses - WORLD, rpc.alone > 600) == (1, True)
        assert found == read(world, world.rpc, block, names)
        node.refuses = {"eth_call"}
        with pytest.raises(ReadError):
            read(world, rpc, block, names)


# --- the keeper ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("setting", ["auto", "off"])
def test_the_setting_decides(world: LensWorld, books: Books, tmp_path: Path, setting: str) -> None:
    with faulty_node(world.anvil.port) as node:
        path = write_config(tmp_path, node.url, world.market, ("0x" + "11" * 20,), mode="observe")
        path.write_text(path.read_text() + f'\n[rpc]\nlens = "{setting}"\n')
        rpc = open_chain(configured(path))
        node.seen.clear()
        found = read(world, rpc, world.rpc.block(), sorted(books))
        assert len(found.accounts) == len(books)
        through = [params for params in node.asked("eth_call") if len(params) == 3]
        assert len(through) == (WORLD + 1) * (setting == "auto")


def test_two_thousand_accounts_of_eight_positions_and_three_collaterals_are_one_call(world: LensWorld) -> None:
    many = random_books(world.market, MANY, seed=7)
    with world.undone():
        world.write(many)
        rpc = lens(world.anvil.url, gas=PLENTY, most_calls=3 * MANY)
        block, names = world.rpc.block(), sorted(many)
        found = read(world, rpc, block, names)
        assert found == read(world, world.rpc, block, names)
        assert (rpc.lenses - WORLD, len(found.accounts), not found.unknown) == (1, MANY, True)
        assert all((len(a.book.legs), len(a.book.collateral)) == (8, 3) for a in found.accounts)
        capped = lens(world.anvil.url)
        assert read(world, capped, block, names) == found
        assert capped.lenses - WORLD == 2  # 50M gas, what Geth gives unless configured, is enough for 1,000
