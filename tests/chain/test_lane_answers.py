"""What a node refuses, and why, on a lane over real Curie behind Geth's pool: each answer has its action."""

from collections import Counter
from pathlib import Path

import pytest
from lane_world import Fallen, LaneKeeper, Signing, liquidations, open_lane

from keeper.chaos import ChaosProxy
from keeper.chaos.faults import Error, Fault, sends

NO_FUNDS = "insufficient funds for gas * price + value: balance 1, tx cost 9, overshot 8"
LIMITED = "in-flight transaction limit reached for delegated accounts"


def finish(keeper: LaneKeeper, proxy: ChaosProxy, blocks: int = 3) -> None:
    for _ in range(blocks):
        proxy.mine()
        keeper.settle()


def test_without_funds_nothing_new_is_sent_until_a_node_takes_what_waits(
    tmp_path: Path, fallen: Fallen, proxy: ChaosProxy, signing: Signing
) -> None:
    before = fallen.rpc.block().number
    keeper = open_lane(tmp_path, fallen, proxy, signing.client("one"), most=2)
    fault = proxy.add(Fault(Error(message=NO_FUNDS), sends()))
    keeper.tick()
    assert proxy.hits(fault) == 2 and keeper.slots() == Counter(offered=2)
    proxy.mine()
    keeper.tick()
    assert keeper.slots() == Counter(offered=2)
    assert all("funds do not suffice" in cause for cause in keeper.refusals()) and keeper.refusals()
    assert any("funds do not suffice" in a for a in keeper.alarms())
    proxy.remove(fault)
    proxy.mine()
    keeper.tick()  # offers again what waits and, taken now, opens the next
    assert sum(keeper.slots().values()) == 4
    proxy.mine()
    assert sorted(liquidations(fallen, before).values()) == [1] * 4


def test_a_delegated_key_has_one_transaction_in_flight(
    tmp_path: Path, fallen: Fallen, proxy: ChaosProxy, signing: Signing
) -> None:
    before, first = fallen.rpc.block().number, fallen.nonce()
    keeper = open_lane(tmp_path, fallen, proxy, signing.client("one"), most=3)
    faults = [proxy.add(Fault(Error(message=LIMITED), sends(nonce=first + n, last=1))) for n in (1, 2)]
    keeper.tick()
    assert [proxy.hits(fault) for fault in faults] == [1, 1]
    for done in (1, 2, 3):
        proxy.mine()
        assert sum(liquidations(fallen, before).values()) == done
        offers = len(proxy.exchanges)
        keeper.settle()
        sent = [e for e in proxy.exchanges[offers:] if e.method == "eth_sendRawTransaction"]
        assert len(sent) == (1 if done < 3 else 0)


@pytest.mark.parametrize(
    ("message", "then"),
    [
        ("transaction underpriced", ["original", "replacement"]),
        ("execution reverted: paused", ["original"]),  # simulated again, and it would succeed: offered again
        ("not enough keccak counters to continue the execution", ["original", "cancel"]),
        ("exceeds block gas limit", ["original", "replacement", "cancel"]),
    ],
)
def test_what_a_node_will_never_take_makes_way(
    tmp_path: Path, fallen: Fallen, proxy: ChaosProxy, signing: Signing, message: str, then: list[str]
) -> None:
    first = fallen.nonce()
    keeper = open_lane(tmp_path, fallen, proxy, signing.client("one"), most=1)
    fault = proxy.add(Fault(Error(message=message), sends(nonce=first, last=max(len(then) - 1, 1))))
    keeper.tick()
    for _ in then[1:]:
        proxy.mine()
        keeper.settle()
    assert proxy.hits(fault) == max(len(then) - 1, 1)
    assert keeper.kinds() == then
    finish(keeper, proxy, 4)
    assert fallen.nonce() == first + 1
    assert keeper.intents() == (Counter(cancelled=1) if then[-1] == "cancel" else Counter(achieved=1))
