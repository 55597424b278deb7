"""After `reconcile` or `enrol` at the signer: nonces without a slot, or with nothing signed, hold up nothing."""

import random
from collections import Counter
from collections.abc import Iterator
from unittest import mock

import pytest

from keeper.lanes import filling, recover
from keeper.lanes.nonces import Nonces
from keeper.signer.records import Refusal
from tests.ledger_world import account
from tests.model.chain import FIRST_NONCE
from tests.model.world import World
from tests.signer_desk import ADDRESS


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()


def mined(world: World, blocks: int, accounts: list[int]) -> None:
    for _ in range(blocks):
        world.desk.clocks.pass_(12.0)
        world.chain.mine(random.Random(1))
        world.block(accounts)


def reconciled(world: World, *, first: bool = False, spare: int = 0) -> None:
    """What docs/signer.md says: with the keeper stopped, beyond the highest nonce that either of the two knows."""
    world.keeper.die()
    (highest,) = world.reader.rows("SELECT coalesce(max(nonce), 0) FROM slots")[0]
    signed = max((one.nonce for one in world.desk.signed()), default=FIRST_NONCE - 1)
    ((ledger,),) = world.reader.rows("SELECT ledger_id FROM meta")
    said = world.desk.service.orders.reconcile(ADDRESS, ledger, max(highest, signed) + 1 + spare, first=first)
    assert not isinstance(said, Refusal), said
    world.keeper = world._started()


def forgotten(world: World) -> set[int]:
    """An old backup lacks two signed transactions that every pool has dropped; return their nonces."""
    mined(world, 2, [1, 2])
    mined(world, 4, [])
    backup = world.backup("keeper.db")
    world.block([3, 4, 5, 6])
    world.chain.pool.clear()
    world.restore("keeper.db", backup)
    kept = {nonce for (nonce,) in world.reader.rows("SELECT nonce FROM slots")}
    world.block([5])
    assert "reconcile" in world.said[-1]
    return {one.nonce for one in world.desk.signed()} - kept


def test_signed_bytes_that_an_old_backup_lacks_are_imported_and_cancelled(world: World) -> None:
    lacking = forgotten(world)
    reconciled(world)
    mined(world, 1, [5, 6, 7, 8, 9, 10])
    mined(world, 20, [])
    mined(world, 1, [11])
    mined(world, 20, [])
    assert {state for (state,) in world.reader.rows("SELECT state FROM slots")} == {"final"}
    query = "SELECT s.nonce, a.kind FROM slots s JOIN slot_attempts a ON a.slot_id = s.id WHERE s.nonce IN ({})"
    kinds = world.reader.rows(query.format(",".join(map(str, sorted(lacking)))))
    assert {(nonce, kind) for nonce in lacking for kind in ("original", "cancel")} <= set(kinds)
    assert not world.reader.rows("SELECT 1 FROM steps WHERE state = 'released'")


@pytest.mark.parametrize("seed", range(5))
def test_after_a_reconcile_nothing_is_done_twice(world: World, seed: int) -> None:
    """The forgotten calls wait in every pool: they may land, or be cancelled and their accounts be planned anew."""
    choice = random.Random(seed)
    mined(world, 2, [1])
    mined(world, 5, [])
    backup = world.backup("keeper.db")
    world.block([3, 4])
    world.restore("keeper.db", backup)
    world.block([5])
    assert "reconcile" in world.said[-1]
    reconciled(world)
    world.block([3, 4])
    assert not world.reader.rows("SELECT 1 FROM intents WHERE subject IN (?, ?)", account(3), account(4))
    for _ in range(16):
        world.desk.clocks.pass_(12.0)
        world.chain.mine(choice)
        world.block([3, 4])
    world.see_through()
    done = Counter(a for one in world.chain.landed() if one.succeeded for a in one.tx.accounts)
    assert done[3] == done[4] == 1


def test_a_refusal_is_no_proof_that_nothing_was_signed(world: World) -> None:
    """Were such a nonce given to a plan after all, the signer would refuse it: it is not given back."""
    lacking = forgotten(world)
    with mock.patch.object(recover, "_adopt", lambda *_: None), mock.patch.object(Nonces, "next", lambda _: 0):
        reconciled(world)
        mined(world, 1, [5, 6, 7, 8])
        held = dict(world.reader.rows("SELECT nonce, state FROM slots"))
    assert {held[nonce] for nonce in lacking} == {"reserved"}


@pytest.mark.parametrize("is_protected", [True, False])
def test_a_nonce_that_was_reserved_and_never_signed_is_filled(world: World, is_protected: bool) -> None:
    mined(world, 2, [1, 2])
    mined(world, 4, [])
    world.refuse("sign")
    world.block([3])
    with mock.patch.object(filling, "FILLED_A_BLOCK", filling.FILLED_A_BLOCK if is_protected else 0):
        reconciled(world)
        mined(world, 20, [])
        mined(world, 1, [4])
        mined(world, 20, [])
    found = {state for (state,) in world.reader.rows("SELECT state FROM slots")}
    assert found == ({"final"} if is_protected else {"final", "reserved", "offered"})


def test_enrolled_above_the_chains_count_the_nonces_between_are_filled(world: World) -> None:
    """Many of them, and nothing waits: each block fills some, and plans get the nonces behind."""
    spare = filling.FILLED_A_BLOCK + 3
    reconciled(world, first=True, spare=spare - FIRST_NONCE + 2)
    for _ in range(12):
        mined(world, 1, [])
    mined(world, 1, [1])
    mined(world, 20, [])
    kinds = world.reader.rows("SELECT purpose, count(*) FROM slots WHERE state = 'final' GROUP BY 1 ORDER BY 1")
    assert kinds[0] == ("call", 1) and kinds[1][1] >= 3
    assert not world.reader.rows("SELECT 1 FROM slots WHERE state <> 'final'")
