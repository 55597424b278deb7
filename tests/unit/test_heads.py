"""Following heads on real Anvil nodes: latest wins, reorganisations are seen, outages sat out, stops prompt."""

import threading
import time
from collections.abc import Iterator

import pytest

from keeper.demo.anvil import Anvil, free_port, start_anvil
from keeper.errors import RpcUnreachable
from keeper.heads import Head, Heads
from keeper.rpc import Rpc

POLL_S = 0.01
SOON_S = 5.0  # what must happen at once may take this long on a busy machine


@pytest.fixture
def node() -> Iterator[Anvil]:
    """An Anvil of the test's own, ten blocks old: it will be rolled back and stopped."""
    with start_anvil() as running:
        Rpc(running.url).call("anvil_mine", hex(10), hex(12))
        yield running


@pytest.fixture
def chain(node: Anvil) -> Rpc:
    return Rpc(node.url)


def heads(rpc: Rpc, stop: threading.Event | None = None, *, poll_s: float = POLL_S, patience_s: float = 60.0) -> Heads:
    return Heads(rpc, poll_s, (stop or threading.Event()).wait, patience_s)


def mine(rpc: Rpc, blocks: int = 1) -> None:
    for _ in range(blocks):
        rpc.call("evm_mine")


# --- what a head says ---------------------------------------------------------------------------------


def test_the_first_head_is_the_newest_and_knows_the_block_time(chain: Rpc) -> None:
    head = next(heads(chain).follow())
    assert head == Head(chain.block(10), skipped=0, reorged=False, interval_s=12)


def test_each_block_is_one_head(chain: Rpc) -> None:
    following = heads(chain).follow()
    first = next(following)
    for ahead in (1, 2, 3):
        mine(chain)
        head = next(following)
        assert (head.block.number, head.skipped, head.reorged) == (first.block.number + ahead, 0, False)


def test_the_latest_wins_and_the_others_are_counted(chain: Rpc) -> None:
    following = heads(chain).follow()
    next(following)
    chain.call("anvil_mine", hex(5), hex(7))
    head = next(following)
    assert (head.block, head.skipped, head.reorged, head.interval_s) == (chain.block(15), 4, False, 7)


def test_the_same_head_is_given_once(chain: Rpc) -> None:
    given: list[int] = []
    polls: list[float] = []

    def stopped(seconds: float) -> bool:
        """Count the waits between two polls: a block comes after twenty, and the end after forty."""
        polls.extend([seconds] if seconds else [])
        if seconds and len(polls) == 20:
            mine(chain)
        return len(polls) >= 40

    given.extend(head.block.number for head in Heads(chain, POLL_S, stopped).follow())
    assert given == [10, 11]


def test_newest_gives_a_head_again_and_that_is_no_reorganisation(chain: Rpc) -> None:
    watched = heads(chain)
    assert [watched.newest().reorged for _ in range(3)] == [False, False, False]
    assert watched.newest().block == chain.block()


# --- reorganisations ----------------------------------------------------------------------------------


def test_a_head_that_went_back_is_a_reorganisation(chain: Rpc) -> None:
    following = heads(chain).follow()
    next(following)
    chain.call("anvil_rollback", 3)
    head = next(following)
    assert (head.block.number, head.skipped, head.reorged) == (7, 0, True)
    assert head.interval_s >= 1


@pytest.mark.parametrize("more", [0, 1, 4])
def test_another_branch_is_a_reorganisation_whether_as_long_or_longer(chain: Rpc, more: int) -> None:
    following = heads(chain).follow()
    seen = next(following)
    chain.call("anvil_reorg", 2, [])
    mine(chain, more)
    head = next(following)
    assert (head.block.number, head.reorged, head.skipped) == (10 + more, True, max(more - 1, 0))
    assert head.block != seen.block
    mine(chain)
    assert not next(following).reorged


def test_a_block_stands_until_it_is_replaced(chain: Rpc) -> None:
    watched, block = heads(chain), chain.block()
    mine(chain, 2)
    assert watched.stands(block)
    chain.call("anvil_rollback", 3)
    assert not watched.stands(block)  # no block has this number
    mine(chain, 3)
    assert not watched.stands(block)  # another one has


def test_a_block_that_cannot_be_read_again_does_not_stand(node: Anvil, chain: Rpc) -> None:
    watched, block = heads(chain), chain.block()
    node.stop()
    assert not watched.stands(block)


def test_a_block_is_passed_once_a_newer_one_is_there(chain: Rpc) -> None:
    watched, block = heads(chain), chain.block()
    assert not watched.passed(block)
    mine(chain)
    assert watched.passed(block)
    chain.call("anvil_rollback", 2)
    assert not watched.passed(block)


# --- stopping -----------------------------------------------------------------------------------------


def test_stopping_interrupts_the_pause_between_two_questions(chain: Rpc) -> None:
    stop = threading.Event()
    following = heads(chain, stop, poll_s=600.0).follow()
    next(following)
    threading.Timer(0.2, stop.set).start()
    begun = time.monotonic()
    assert list(following) == []
    assert time.monotonic() - begun < SOON_S


def test_stopping_interrupts_an_outage(node: Anvil, chain: Rpc) -> None:
    stop = threading.Event()
    following = heads(chain, stop, poll_s=600.0).follow()
    next(following)
    node.stop()
    threading.Timer(0.2, stop.set).start()
    begun = time.monotonic()
    assert list(following) == []
    assert time.monotonic() - begun < SOON_S


def test_who_is_stopped_before_starting_asks_nothing(node: Anvil, chain: Rpc) -> None:
    stop = threading.Event()
    stop.set()
    node.stop()
    assert list(heads(chain, stop).follow()) == []


# --- outages ------------------------------------------------------------------------------------------


def test_an_outage_is_sat_out(node: Anvil, chain: Rpc) -> None:
    following = heads(chain).follow()
    before = next(following)
    node.stop()
    again: list[Anvil] = []
    timer = threading.Timer(0.5, lambda: again.append(start_anvil(port=node.port, timestamp=1_600_000_000)))
    timer.start()
    try:
        head = next(following)
        assert head.block.hash != before.block.hash
        assert head.reorged
    finally:
        timer.join()
        for anvil in again:
            anvil.stop()


def test_a_node_that_is_not_there_yet_is_waited_for() -> None:
    port = free_port()
    started: list[Anvil] = []
    timer = threading.Timer(0.5, lambda: started.append(start_anvil(port=port)))
    timer.start()
    try:
        assert next(heads(Rpc(f"http://127.0.0.1:{port}")).follow()).block.number == 0
    finally:
        timer.join()
        for anvil in started:
            anvil.stop()


def test_patience_ends_with_what_is_wrong(node: Anvil, chain: Rpc) -> None:
    following = heads(chain, patience_s=0.3).follow()
    next(following)
    node.stop()
    begun = time.monotonic()
    with pytest.raises(RpcUnreachable, match=rf"127\.0\.0\.1:{node.port}.*is the node running"):
        next(following)
    assert 0.3 <= time.monotonic() - begun < SOON_S


def test_the_time_a_tick_takes_is_no_silence_of_the_node(node: Anvil, chain: Rpc) -> None:
    """A first tick may read events for minutes; the node's patience begins when it is asked again."""
    following = heads(chain, patience_s=1.0).follow()
    next(following)
    time.sleep(1.2)
    node.stop()
    begun = time.monotonic()
    with pytest.raises(RpcUnreachable):
        next(following)
    assert time.monotonic() - begun >= 1.0


def test_an_outage_while_a_head_is_looked_at_loses_no_head(node: Anvil, chain: Rpc) -> None:
    """The node answers the newest head and is gone for what comes after: the head comes when it is back."""

    class Gone(Rpc):
        gone = False

        def block(self, number: int | None = None):  # type: ignore[no-untyped-def]
            if number is not None and not self.gone:
                self.gone = True
                raise RpcUnreachable("gone for a moment")
            return super().block(number)

    head = next(heads(Gone(node.url)).follow())
    assert head == Head(chain.block(10), skipped=0, reorged=False, interval_s=12)
