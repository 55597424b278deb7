"""Twenty accounts fall at one block: all are seen through in two, without a revert, by the application as it runs."""

from tests.bursts.curie import curie_burst
from tests.bursts.figures import MOST_BLOCKS, faults
from tests.bursts.harness import Run, run
from tests.bursts.reference import reference_burst

SIZE = 20


def test_twenty_auctions_are_started_in_one_block_and_taken_in_the_next() -> None:
    with reference_burst(SIZE) as burst:
        found = run(burst, seed=1)
    assert_done(found)
    assert found.effects == {"AuctionStarted": SIZE, "Taken": SIZE, "AuctionEnded": SIZE}
    assert found.mined == found.raw == SIZE + 1  # one transaction starts them all


def test_twenty_positions_are_liquidated_when_the_mark_follows_a_trade() -> None:
    with curie_burst(SIZE) as burst:
        found = run(burst, seed=1)
    assert_done(found)
    assert found.effects == {"PositionLiquidated": SIZE}


def assert_done(found: Run) -> None:
    assert faults(found) == ()
    assert found.blocks is not None and found.blocks <= MOST_BLOCKS
    sent = [turn for turn in found.turns if turn.raw]
    assert all(turn.first_ms is not None and turn.first_ms < turn.stages["total"] for turn in sent)
    assert all({"simulate", "price", "reserve", "sign", "store", "offer"} <= turn.stages.keys() for turn in sent)
