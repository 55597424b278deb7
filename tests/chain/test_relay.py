"""Private first, public after the deadline, on real Curie: whatever the relay does, the chain has one effect."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lane_world import ADDRESS, CHAIN_ID, Fallen, LaneKeeper, Signing, liquidations, open_lane, reverted

from keeper.chaos import ChaosProxy, Drop, Fault, Match
from keeper.lanes.privacy import Private
from keeper.rpc import Rpc
from keeper.submit.endpoints import Endpoints
from keeper.submit.identity import identity
from keeper.submit.relay import ROUTES, Relay, relays
from tests.relay_server import RelayServer, relay_server

SENT = "eth_sendRawTransaction"
MOST = 4
QUIET = 10**7
"""Wei per gas."""


@pytest.fixture
def relay() -> Iterator[RelayServer]:
    with relay_server() as server:
        yield server


Open = Callable[..., LaneKeeper]


@pytest.fixture
def opened(tmp_path: Path, fallen: Fallen, proxy: ChaosProxy, signing: Signing, relay: RelayServer) -> Open:
    def opened(route: str = "bundle", holder: str = "one", most: int = MOST, patience_s: float = 20.0) -> LaneKeeper:
        served = relays([relay.url], 5.0, identity(tmp_path / "relay.key").stamp)
        asked = Endpoints(served, CHAIN_ID, agreeing=1, patience_s=patience_s)
        private = Private(Relay(asked, ROUTES[route], ADDRESS), frozenset({"liquidate"}), 2)
        return open_lane(tmp_path, fallen, proxy, signing.client(holder), most=most, patience_s=20.0, private=private)

    return opened


def sent(proxy: ChaosProxy) -> int:
    """Return how many transactions the public node was offered."""
    return sum(exchange.method == SENT for exchange in proxy.exchanges)


def nonce_errors(proxy: ChaosProxy) -> list[str]:
    said = [str(exchange.answer) for exchange in proxy.exchanges if exchange.method == SENT]
    return [text for text in said if "nonce" in text]


def mine(proxy: ChaosProxy, first: tuple[bytes, ...] = ()) -> None:
    """Make a block that any fee is enough for: Anvil's fee history outlives a snapshot, so first fees may be low."""
    proxy.mine(base_fee=QUIET, first=first)


def finish(keeper: LaneKeeper, proxy: ChaosProxy, blocks: int = 2) -> None:
    for _ in range(blocks):
        mine(proxy)
        keeper.settle()


def assert_each_once(keeper: LaneKeeper, fallen: Fallen, proxy: ChaosProxy, before: int, count: int = MOST) -> None:
    """One effect an account, every nonce and intent closed by what was mined, and no node asked in vain."""
    assert sorted(liquidations(fallen, before).values()) == [1] * count
    assert (keeper.slots(), keeper.intents()) == (Counter(final=count), Counter(achieved=count))
    assert reverted(fallen, before) == 0
    assert nonce_errors(proxy) == []
    assert fallen.rpc.nonce(ADDRESS, fallen.rpc.block()) == 1 + max(
        n for (n,) in keeper.rows("SELECT nonce FROM slots")
    )


def winners(keeper: LaneKeeper) -> set[str]:
    found = keeper.rows("SELECT a.kind FROM slots s JOIN slot_attempts a ON a.tx_hash = s.winner_hash")
    return {kind for (kind,) in found}


@pytest.mark.parametrize("route", ["bundle", "private_transaction"])
def test_an_honest_relay_has_it_mined_and_no_public_node_sees_it(
    route: str, opened: Open, fallen: Fallen, proxy: ChaosProxy, relay: RelayServer
) -> None:
    before = fallen.rpc.block().number
    keeper = opened(route)
    keeper.tick()
    raws = relay.block(before + 1) if route == "bundle" else tuple(bundle.raws[0] for bundle in relay.received)
    assert len(raws) == MOST and len({bundle.by for bundle in relay.received}) == 1
    mine(proxy, raws)
    finish(keeper, proxy)
    assert sent(proxy) == 0 and relay.turned_away == 0
    assert_each_once(keeper, fallen, proxy, before)
    offers = keeper.rows("SELECT DISTINCT endpoint, answer_class FROM offers")
    assert offers == [(f"relay {relay.url[7:]}", "ACCEPTED")]


def test_what_no_builder_takes_is_public_after_the_deadline_with_the_same_bytes(
    opened: Open, fallen: Fallen, proxy: ChaosProxy, relay: RelayServer
) -> None:
    before = fallen.rpc.block().number
    keeper = opened()
    keeper.tick()
    mine(proxy)
    keeper.settle()
    assert [bundle.target for bundle in relay.received] == [before + 1, before + 2]
    assert sent(proxy) == 0
    mine(proxy)
    keeper.settle()
    assert sent(proxy) == MOST and relay.cancelled
    finish(keeper, proxy)
    assert_each_once(keeper, fallen, proxy, before)
    assert winners(keeper) == {"original"}
    assert keeper.rows("SELECT DISTINCT kind FROM slot_attempts") == [("original",)]  # waiting there is not being stuck


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ({"status": 429}, "NODE_UNAVAILABLE"),
        ({"status": 503}, "NODE_UNAVAILABLE"),
        ({"body": b"<html>maintenance</html>"}, "NODE_UNAVAILABLE"),
        ({"body": b'{"jsonrpc":"2.0","id":1,"result":7}'}, "NODE_UNAVAILABLE"),
        ({"failure": "bundle dropped"}, "UNKNOWN"),
        ({"silent": True}, "NODE_UNAVAILABLE"),
    ],
)
def test_a_relay_in_trouble_costs_the_deadline_and_nothing_else(
    opened: Open, fallen: Fallen, proxy: ChaosProxy, relay: RelayServer, trouble: dict[str, object], said: str
) -> None:
    for name, value in trouble.items():
        setattr(relay, name, value)
    before = fallen.rpc.block().number
    keeper = opened(patience_s=0.2)
    keeper.tick()
    first = keeper.rows("SELECT DISTINCT answer_class FROM offers")
    assert sent(proxy) == 0
    finish(keeper, proxy, 2)
    assert sent(proxy) == MOST
    finish(keeper, proxy, 2)
    assert first in ([(said,)], [("UNKNOWN",)])
    assert_each_once(keeper, fallen, proxy, before)


def test_a_bundle_that_failed_and_is_included_late_is_what_the_label_says(
    opened: Open, fallen: Fallen, proxy: ChaosProxy, relay: RelayServer
) -> None:
    """By then the public pool has replacements at twice the fees: the nonce is used once, by the private original."""
    relay.failure = "FAILED"
    before = fallen.rpc.block().number
    keeper = opened()
    keeper.tick()
    finish(keeper, proxy, 2)
    proxy.mine(base_fee=20 * 10**9)  # far above what waits in public: it is replaced
    keeper.settle()
    assert keeper.rows("SELECT DISTINCT kind FROM slot_attempts") == [("original",), ("replacement",)]
    mine(proxy, relay.anything())
    finish(keeper, proxy)
    assert winners(keeper) == {"original"}
    assert_each_once(keeper, fallen, proxy, before)


def test_a_withdrawn_bundle_that_lands_all_the_same_beats_the_cancels(
    opened: Open, fallen: Fallen, proxy: ChaosProxy, relay: RelayServer
) -> None:
    before = fallen.rpc.block().number
    keeper = opened()
    held = proxy.add(Fault(Drop(), Match(methods=(SENT,))))
    keeper.tick()
    finish(keeper, proxy, 4)
    assert relay.cancelled and proxy.hits(held) > 0
    assert ("cancel",) in keeper.rows("SELECT DISTINCT kind FROM slot_attempts")
    proxy.remove(held)
    mine(proxy, relay.anything())
    finish(keeper, proxy)
    assert winners(keeper) == {"original"}
    assert_each_once(keeper, fallen, proxy, before)


def test_a_leak_only_makes_it_public_earlier(
    opened: Open, fallen: Fallen, proxy: ChaosProxy, relay: RelayServer
) -> None:
    before = fallen.rpc.block().number
    keeper = opened()
    keeper.tick()
    relay.leak(Rpc(proxy.url))
    finish(keeper, proxy)
    assert sent(proxy) == MOST  # by the relay
    assert_each_once(keeper, fallen, proxy, before)


def test_part_of_a_bundle_is_part_of_the_work(
    opened: Open, fallen: Fallen, proxy: ChaosProxy, relay: RelayServer
) -> None:
    before = fallen.rpc.block().number
    keeper = opened()
    keeper.tick()
    mine(proxy, relay.block(before + 1)[:2])
    keeper.settle()
    rest = relay.block(before + 2)
    assert len(rest) == MOST - 2
    mine(proxy, rest)
    finish(keeper, proxy)
    assert sent(proxy) == 0
    assert_each_once(keeper, fallen, proxy, before)


def test_nonces_follow_the_ledger_though_no_node_counts_what_is_private(
    opened: Open, fallen: Fallen, proxy: ChaosProxy, relay: RelayServer
) -> None:
    before = fallen.rpc.block().number
    keeper = opened(most=2)
    keeper.tick()
    pending = Rpc(proxy.url).call("eth_getTransactionCount", ADDRESS, "pending")
    assert int(pending, 16) == fallen.rpc.nonce(ADDRESS, fallen.rpc.block())
    mine(proxy)
    keeper.tick()  # two more behind the two that wait; one bundle has all four
    mine(proxy, relay.block(before + 2))
    finish(keeper, proxy)
    assert sent(proxy) == 0
    assert_each_once(keeper, fallen, proxy, before)


def test_a_restart_keeps_to_the_same_deadline(
    opened: Open, fallen: Fallen, proxy: ChaosProxy, relay: RelayServer, signing: Signing
) -> None:
    before = fallen.rpc.block().number
    first = opened()
    first.tick()
    first.app.journal.close()
    signing.hang_up()
    mine(proxy)
    keeper = opened(holder="two")
    keeper.settle()
    assert sent(proxy) == 0 and len(relay.block(before + 2)) == MOST
    mine(proxy)
    keeper.settle()
    assert sent(proxy) == MOST
    finish(keeper, proxy)
    assert_each_once(keeper, fallen, proxy, before)


def test_bytes_that_only_a_relay_has_are_in_no_log_and_no_answer(
    opened: Open, relay: RelayServer, caplog: pytest.LogCaptureFixture
) -> None:
    relay.echoes = True
    with caplog.at_level(logging.DEBUG):
        keeper = opened()
        keeper.tick()
    assert len(relay.received) == 1
    texts = [text for (text,) in keeper.rows("SELECT answer_text FROM offers")]
    for raw in relay.anything():
        seen = raw.hex()[60:120]
        assert seen not in caplog.text and not any(seen in text for text in texts)
