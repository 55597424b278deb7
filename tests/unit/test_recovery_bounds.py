"""What recovery reads of the ledger grows with what is open or under audit, not with the whole history."""

import random
from unittest import mock

from keeper.journal.slot_queries import SlotQueries
from keeper.journal.slot_records import Slot
from keeper.lanes import watch
from tests.model.world import World


def mined(world: World, blocks: int, accounts: list[int]) -> None:
    for _ in range(blocks):
        world.chain.mine(random.Random(1))
        world.block(accounts)


def test_recovery_reads_what_is_open_and_not_the_whole_history() -> None:
    world = World()
    mined(world, 12, [1])
    mined(world, watch.AUDIT_DEPTH + 4, [])
    world.block([2])
    states = [state for (state,) in world.reader.rows("SELECT state FROM slots ORDER BY nonce")]
    assert states.count("final") > 3 and states[-1] == "offered"
    read: list[int] = []

    def slots_from(self: SlotQueries, sender: str, nonce: int) -> tuple[Slot, ...]:
        found = real(self, sender, nonce)
        read.append(len(found))
        return found

    real = SlotQueries.slots_from
    with mock.patch.object(SlotQueries, "slots_from", slots_from):
        world.arm(0, "crash")
        world.block([])
        world.block([])
    assert read and max(read) == 1
    world.see_through()
    world.close()
