"""Nonces that are missing in a lane over real Curie behind Geth's pool: offered again, or filled."""

from collections import Counter
from pathlib import Path

import pytest
from lane_world import Fallen, Signing, liquidations, open_lane, reverted
from loose_signer import Loose

from keeper.chaos import ChaosProxy
from keeper.chaos.faults import Error, Fault, sends
from keeper.loop import Stages, _record, look


@pytest.mark.parametrize(
    ("message", "at_once"), [("internal error", 1), ("nonce too high: tx nonce 12, gapped nonce 10", 4)]
)
def test_a_nonce_that_a_node_refused_is_there_again_a_block_later(
    tmp_path: Path, fallen: Fallen, proxy: ChaosProxy, signing: Signing, message: str, at_once: int
) -> None:
    """T4: an error for one nonce after the keeper has given away those above it; told of a gap, at once."""
    before, first = fallen.rpc.block().number, fallen.nonce()
    fault = proxy.add(Fault(Error(message=message), sends(nonce=first + 1, last=1)))
    keeper = open_lane(tmp_path, fallen, proxy, signing.client("one"), most=4)
    keeper.tick()
    assert proxy.hits(fault) == 1
    proxy.mine()
    assert sum(liquidations(fallen, before).values()) == at_once
    keeper.settle()
    proxy.mine()
    assert sorted(liquidations(fallen, before).values()) == [1] * 4
    assert keeper.kinds() == ["original"] * 4


@pytest.mark.parametrize("jobs_next", [0, 1])
def test_an_empty_nonce_below_live_ones_is_filled_within_a_block(
    tmp_path: Path, fallen: Fallen, proxy: ChaosProxy, jobs_next: int
) -> None:
    """By the next job, and where there is none by a transfer of nothing."""
    before, first = fallen.rpc.block().number, fallen.nonce()
    keeper = open_lane(tmp_path, fallen, proxy, Loose(refuses=first), most=4)
    keeper.tick()
    assert keeper.rows("SELECT nonce FROM slots WHERE state = 'offered'") == [(first + n,) for n in (1, 2, 3)]
    assert liquidations(fallen, before) == Counter()
    proxy.mine()
    if jobs_next:
        head = keeper.world.heads.newest()
        seen = look(head, keeper.world, Stages())
        keeper.lane.execute(keeper.app.journal.intend(_record(seen), seen.plans), head, Stages())
    else:
        keeper.settle()
    proxy.mine()
    ((purpose,),) = keeper.rows(f"SELECT purpose FROM slots WHERE state <> 'released' AND nonce = {first}")
    assert purpose == ("call" if jobs_next else "filler")
    assert fallen.nonce() >= first + 4
    assert sum(liquidations(fallen, before).values()) >= 3
    assert set(liquidations(fallen, before).values()) == {1} and reverted(fallen, before) == 0
