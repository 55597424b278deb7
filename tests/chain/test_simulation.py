"""Simulation on Anvil against small contracts written in bytes: order, gas, and every way a call can end badly."""

from collections.abc import Callable, Iterator, Sequence
from typing import cast

import pytest
from chaos_node import ALICE, fifo_anvil

from keeper.chain import Call
from keeper.heads import Head
from keeper.in_turn import KEPT, Step
from keeper.journal.records import Intent
from keeper.lanes.simulate import Simulated, Simulation
from keeper.plans import Plan, PublishArrays, SetParameters
from keeper.rpc import Rpc
from keeper.venues.base import Venue

CAP = 2_000_000
COUNTER, BOMB, BURNER, PANIC, STRANGER, CLOCK, CALLER, HOARDER = (f"0x{n:040x}" for n in range(0xC0DE01, 0xC0DE09))
CODE = {
    COUNTER: "5f355f5414600b575f5ffd5b5f546001015f5500",  # storage must equal the argument, then counts up
    BOMB: "6203ffff5ffd",  # reverts with a quarter of a megabyte
    BURNER: "5b5f56",  # runs for ever
    PANIC: "634e487b7160e01b5f5260116004525f60245ffd",
    STRANGER: "63deadbeef5f526004601cfd",
    CLOCK: "5f354210600a575f5ffd5b00",
    CALLER: "3332146009575f5ffd5b00",
    HOARDER: "6207a1205a11600c575f5ffd5b00",  # wants half a million gas in hand and uses next to none
}
"""Runtime code by address."""


class Bytes:
    """A venue whose plans are calls: the parameter names the contract, `new` is its only argument."""

    def encode(self, plan: Plan) -> Call:
        if isinstance(plan, SetParameters):
            return Call(plan.parameter, plan.new.to_bytes(32))
        assert isinstance(plan, PublishArrays)
        return Call(COUNTER, plan.expiry.to_bytes(32))


@pytest.fixture(scope="module")
def rpc() -> Iterator[Rpc]:
    with fifo_anvil() as anvil:
        node = Rpc(anvil.url)
        for address, code in CODE.items():
            node.call("anvil_setCode", address, "0x" + code)
        yield node


def calls(*wanted: tuple[str, int]) -> list[Intent]:
    plans = [SetParameters("bytes", to, 0, argument, "", 9) for to, argument in wanted]
    return [Intent(row, 1, plan, "intended", "", None) for row, plan in enumerate(plans)]


Try = Callable[..., Simulated]


@pytest.fixture
def simulated(rpc: Rpc) -> Try:
    def simulate(intents: Sequence[Intent], pending: Sequence[Step] = (), gas: int = CAP) -> Simulated:
        simulation = Simulation(rpc, cast(Venue, Bytes()), gas, 500_000)
        return simulation.simulate(intents, Head(rpc.block(), 0, False, 12), ALICE.address, pending)

    return simulate


def why(found: Simulated) -> dict[int, str]:
    return {row: refused.kind for row, refused in found.refusals.items()}


def test_each_call_finds_what_the_one_before_it_left(simulated: Try) -> None:
    assert why(simulated(calls((COUNTER, 0), (COUNTER, 1), (COUNTER, 2)))) == {}
    assert why(simulated(calls((COUNTER, 1), (COUNTER, 0), (COUNTER, 1)))) == {0: "empty"}
    assert why(simulated(calls((COUNTER, 0), (COUNTER, 0)))) == {1: "empty"}


def test_what_waits_on_the_lane_comes_first(simulated: Try) -> None:
    waiting = [Step(Call(COUNTER, bytes(32)), CAP)]
    assert why(simulated(calls((COUNTER, 0)), waiting)) == {0: "empty"}
    assert why(simulated(calls((COUNTER, 1)), waiting)) == {}
    assert why(simulated(calls((COUNTER, 1)))) == {0: "empty"}


def test_every_bad_end_has_its_name_and_touches_no_other(simulated: Try) -> None:
    found = simulated(calls((BOMB, 0), (BURNER, 0), (PANIC, 0), (STRANGER, 0), (COUNTER, 0)))
    assert why(found) == {0: "large", 1: "gas", 2: "panic", 3: "unknown"}
    assert len(str(found.refusals[0])) < KEPT
    assert "overflow" in str(found.refusals[2]) and "0xdeadbeef" in str(found.refusals[3])


def test_a_limit_is_what_was_used_cold_and_the_margin_on_top(rpc: Rpc, simulated: Try) -> None:
    """The second count is cheap behind the first, and cannot be tried by itself: it has no limit of its own."""
    found = simulated(calls((COUNTER, 0), (COUNTER, 1)))
    fields = {"from": ALICE.address, "to": COUNTER, "data": "0x" + "00" * 32}
    needed = int(rpc.call("eth_estimateGas", fields), 16)
    assert needed * 3 // 2 <= found.gas[0] <= needed * 3 // 2 + 6_000
    assert 1 not in found.gas


def test_a_contract_that_wants_gas_in_hand_keeps_the_whole_limit(simulated: Try) -> None:
    found = simulated(calls((HOARDER, 0)))
    assert why(found) == {} and found.gas == {}


def test_it_must_succeed_at_both_block_times_and_as_the_sender(rpc: Rpc, simulated: Try) -> None:
    now = rpc.block().timestamp
    assert why(simulated(calls((CLOCK, now + 36), (CALLER, 0)))) == {}
    assert why(simulated(calls((CLOCK, now + 12), (CLOCK, now + 24)))) == {0: "empty", 1: "empty"}


def test_more_than_one_request_carries_goes_on_behind_what_opened_the_way(simulated: Try) -> None:
    """Each burns a fifth of what a node gives one simulation; the report before them is there for the last one too."""
    report = PublishArrays("bytes", 0, 0, "0x", "0x", 0, "0x", "0x", "", 9)
    burning = [(BURNER, 0)] * 7
    intents = [Intent(99, 1, report, "intended", "", None), *calls(*burning, (COUNTER, 1))]
    found = simulated(intents, gas=10_000_000)
    assert why(found) == dict.fromkeys(range(7), "gas")
