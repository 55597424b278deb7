"""Lanes on real Curie behind Geth's pool: sent once, rescued, cancelled, orphaned, recovered; the chain is asked."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from lane_world import GAS, Fallen, LaneKeeper, Signing, liquidations, open_lane, reverted

from keeper.chaos import ChaosProxy
from keeper.demo.transactions import GWEI


class Crash(BaseException):
    """The process is gone; nothing in the keeper catches it."""


class Dying:
    """A ledger whose keeper dies before or after one of its methods."""

    def __init__(self, ledger: Any, method: str, when: str) -> None:
        self._ledger, self._method, self._when = ledger, method, when

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._ledger, name)
        if name != self._method:
            return real

        def doomed(*given: Any, **named: Any) -> Any:
            if self._when == "after":
                real(*given, **named)
            raise Crash(name)

        return doomed


def finish(keeper: LaneKeeper, proxy: ChaosProxy, blocks: int = 3) -> None:
    for _ in range(blocks):
        proxy.mine()
        keeper.settle()


def test_ten_liquidations_of_one_tick_are_mined_in_the_next_block(
    tmp_path: Path, fallen: Fallen, proxy: ChaosProxy, signing: Signing
) -> None:
    before = fallen.rpc.block().number
    keeper = open_lane(tmp_path, fallen, proxy, signing.client("one"))
    seen = keeper.tick()
    assert len(seen.plans) == 10
    proxy.mine()
    limits = [gas for (gas,) in keeper.rows("SELECT gas FROM slot_attempts")]
    assert len(limits) == 10 and max(limits) < GAS  # from simulation, so that more fit into a block
    wanted = Counter(plan.account for plan in seen.plans if plan.kind == "liquidate")
    assert liquidations(fallen, before) == wanted
    finish(keeper, proxy, 2)
    assert (keeper.slots(), keeper.intents()) == (Counter(final=10), Counter(achieved=10))
    assert reverted(fallen, before) == 0


def test_a_spike_of_the_base_fee_makes_every_waiting_nonce_dearer_and_all_land(
    tmp_path: Path, fallen: Fallen, proxy: ChaosProxy, signing: Signing
) -> None:
    before = fallen.rpc.block().number
    keeper = open_lane(tmp_path, fallen, proxy, signing.client("one"), most=6)
    keeper.tick()
    proxy.mine(base_fee=20 * GWEI)  # what waits is far below it
    assert liquidations(fallen, before) == Counter()
    keeper.settle()
    finish(keeper, proxy)
    assert sum(liquidations(fallen, before).values()) == 6
    assert keeper.slots() == Counter(final=6)
    kinds = Counter(kind for (kind,) in keeper.rows("SELECT kind FROM slot_attempts"))
    assert kinds["original"] == 6 and kinds["replacement"] >= 6
    assert max(liquidations(fallen, before).values()) == 1


@pytest.mark.parametrize(
    ("method", "when"),
    [("stored", "before"), ("stored", "after"), ("offering", "after"), ("answered", "before"), ("reserve", "after")],
)
def test_a_keeper_that_dies_is_followed_by_one_that_goes_on_with_the_same_bytes(
    tmp_path: Path, fallen: Fallen, proxy: ChaosProxy, signing: Signing, method: str, when: str
) -> None:
    before = fallen.rpc.block().number
    doomed = open_lane(
        tmp_path, fallen, proxy, signing.client("one"), most=5, ledger=lambda ledger: Dying(ledger, method, when)
    )
    with pytest.raises(Crash):
        doomed.tick()
    doomed.app.journal.close()
    signing.hang_up()
    keeper = open_lane(tmp_path, fallen, proxy, signing.client("two"), most=5)
    fallen.rpc.call("evm_mine")  # of what was pooled nothing is in it
    keeper.tick()
    finish(keeper, proxy, 4)
    counts = liquidations(fallen, before)
    assert counts and max(counts.values()) == 1
    assert set(keeper.slots()) <= {"final", "released"}
    assert reverted(fallen, before) == 0
    nonces = [nonce for (nonce,) in keeper.rows("SELECT nonce FROM slots WHERE state = 'final' ORDER BY nonce")]
    assert nonces == list(range(nonces[0], nonces[0] + len(nonces)))


def test_a_block_that_leaves_the_chain_takes_nothing_with_it(
    tmp_path: Path, fallen: Fallen, proxy: ChaosProxy, signing: Signing
) -> None:
    before = fallen.rpc.block().number
    keeper = open_lane(tmp_path, fallen, proxy, signing.client("one"), most=4)
    keeper.tick()
    proxy.mine()
    keeper.settle()
    assert keeper.slots() == Counter(mined=4)
    proxy.reorg(1, put_back=False)
    keeper.settle()
    assert keeper.slots() == Counter(offered=4)
    finish(keeper, proxy)
    assert keeper.slots() == Counter(final=4)
    assert sorted(liquidations(fallen, before).values()) == [1] * 4
    states = [state for (state,) in keeper.rows("SELECT state FROM steps WHERE slot_id = 1 ORDER BY id")]
    assert states == ["reserved", "signed", "offered", "mined", "orphaned", "offered", "mined", "final"]
