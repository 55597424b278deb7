"""Following heads on real Anvil nodes: latest wins, reorganisations are seen, outages sat out, stops prompt."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

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


def heads(rpc: Rpc, stop: threading.Event | None = None) -> Heads:
    return Heads(rpc, POLL_S, (stop or threading.Event()).wait)


class Hours:
    """A clock that moves only as somebody waits by it."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        return False


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


def stopped_while_waiting(stop: threading.Event) -> Callable[[float], bool]:
    """Return the wait of `stop`, which another thread sets as soon as somebody waits."""
    waits = threading.Event()
    threading.Thread(target=lambda: waits.wait() and stop.set(), daemon=True).start()

    def stopped(seconds: float) -> bool:
        if seconds:
            waits.set()
        return stop.wait(seconds)

    return stopped


def test_stopping_interrupts_the_pause_between_two_questions(chain: Rpc) -> None:
    stop = threading.Event()
    following = Heads(chain, 600.0, stopped_while_waiting(stop)).follow()
    next(following)
    begun = time.monotonic()
    assert list(following) == []
    assert time.monotonic() - begun < SOON_S


def test_stopping_interrupts_an_outage(node: Anvil, chain: Rpc) -> None:
    stop = threading.Event()
    following = Heads(chain, 600.0, stopped_while_waiting(stop)).follow()
    next(following)
    node.stop()
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
    with ExitStack() as started:
        back = comes_at_the_third_wait(started, node.port)
        following = Heads(chain, POLL_S, back).follow()
        before = next(following)
        node.stop()
        head = next(following)
        assert head.block.hash != before.block.hash
        assert head.reorged


def test_a_node_that_is_not_there_yet_is_waited_for() -> None:
    port = free_port()
    with ExitStack() as started:
        there = comes_at_the_third_wait(started, port)
        assert next(Heads(Rpc(f"http://127.0.0.1:{port}"), POLL_S, there).follow()).block.number == 0


def comes_at_the_third_wait(started: ExitStack, port: int) -> Callable[[float], bool]:
    """Return a wait that takes no time, but the third lasts until a node listens at the port; `started` ends that."""
    waits: list[float] = []

    def stopped(seconds: float) -> bool:
        waits.extend([seconds] if seconds else [])
        if seconds and len(waits) == 3:
            started.enter_context(start_anvil(port=port, timestamp=1_600_000_000))
        return False

    return stopped


def test_patience_ends_with_what_is_wrong(node: Anvil, chain: Rpc) -> None:
    clock = Hours()
    following = Heads(chain, POLL_S, clock.wait, 0.3, clock).follow()
    next(following)
    node.stop()
    with pytest.raises(RpcUnreachable, match=rf"127\.0\.0\.1:{node.port}.*is the node running"):
        next(following)
    assert 0.3 < clock.now <= 0.3 + 11 * POLL_S  # a wait between two questions is ten polls long in an outage


def test_the_time_a_tick_takes_is_no_silence_of_the_node(node: Anvil, chain: Rpc) -> None:
    """A first tick may read events for minutes; the node's patience begins when it is asked again."""
    clock = Hours()
    following = Heads(chain, POLL_S, clock.wait, 1.0, clock).follow()
    next(following)
    clock.now += 1.2
    node.stop()
    with pytest.raises(RpcUnreachable):
        next(following)
    assert clock.now >= 1.2 + 1.0


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
