"""Every fault once over HTTP against a real Anvil: what the client sees, what is counted, what reached the pool."""

from collections.abc import Iterator

import pytest

from keeper.abi import transaction_hash
from keeper.chaos import (
    Bloat,
    Delay,
    Drop,
    Duplicate,
    DuplicateId,
    Error,
    Fault,
    Hold,
    Lie,
    Match,
    Reorder,
    SingleForBatch,
    Stale,
    WrongId,
    sends,
)
from keeper.demo.anvil import Anvil
from keeper.errors import RpcUnreachable
from keeper.rpc import Rpc, RpcError, RpcRefusal
from tests.chain.chaos_node import ALICE, GWEI, fifo_anvil, post, proxied, signed

CHAIN = Match(methods=("eth_chainId",))


@pytest.fixture(scope="module")
def node() -> Iterator[Anvil]:
    with fifo_anvil() as anvil:
        yield anvil


# --- one request -----------------------------------------------------------------------------------


def test_held_bytes_reach_the_pool_when_released(node):
    with proxied(node) as (proxy, rpc):
        held = proxy.add(Fault(Hold(), sends(nonce=0)))
        raw = signed(0)
        assert rpc.send_raw([raw]) == [transaction_hash(raw)]
        proxy.mine()
        assert proxy.blocks[-1].hashes == ()
        assert (proxy.held(held), proxy.exchanges[0].forwarded) == (1, 0)
        assert proxy.release(held) == 1
        proxy.mine()
        assert proxy.blocks[-1].hashes == (transaction_hash(raw),)
        assert proxy.hits(held) == 1
        assert proxy.exchanges[0].late == {"result": transaction_hash(raw)}


def test_a_held_read_gets_no_answer_and_goes_on_when_the_fault_ends(node):
    with proxied(node) as (proxy, _):
        held = proxy.add(Fault(Hold(), CHAIN))
        with pytest.raises(RpcUnreachable):
            Rpc(proxy.url, timeout_s=0.2).chain_id()
        assert proxy.exchanges[0].answer is None
        proxy.remove(held)
        assert proxy.held(held) == 0
        assert Rpc(proxy.url).chain_id() == 31_337


def test_delayed_bytes_arrive_after_so_many_blocks(node):
    with proxied(node) as (proxy, rpc):
        late = proxy.add(Fault(Delay(blocks=2), sends()))
        raw = signed(0)
        rpc.send_raw([raw])
        proxy.mine()
        assert proxy.held(late) == 1
        proxy.mine()
        assert proxy.held(late) == 0
        assert proxy.blocks[-1].hashes == ()
        proxy.mine()
        assert proxy.blocks[-1].hashes == (transaction_hash(raw),)


def test_dropped_bytes_are_gone_though_the_hash_was_answered(node):
    with proxied(node) as (proxy, rpc):
        lost = proxy.add(Fault(Drop(), sends(nonce=1)))
        raws = [signed(n) for n in range(3)]
        assert rpc.send_raw(raws) == [transaction_hash(raw) for raw in raws]
        proxy.mine()
        assert proxy.blocks[-1].hashes == (transaction_hash(raws[0]),)
        assert rpc.call("eth_getTransactionByHash", transaction_hash(raws[1])) is None
        assert proxy.hits(lost) == 1


def test_duplicated_bytes_reach_the_pool_twice_and_are_mined_once(node):
    with proxied(node) as (proxy, rpc):
        twice = proxy.add(Fault(Duplicate(), sends()))
        raw = signed(0)
        assert rpc.send_raw([raw]) == [transaction_hash(raw)]
        assert proxy.exchanges[0].forwarded == 2
        proxy.mine()
        assert proxy.blocks[-1].hashes == (transaction_hash(raw),)
        assert proxy.hits(twice) == 1


def test_an_error_stands_for_the_answer_and_may_hide_that_it_worked(node):
    with proxied(node) as (proxy, rpc):
        proxy.add(Fault(Error(-32_603, "internal error", forward=True), sends(nonce=0)))
        proxy.add(Fault(Error(-32_000, "nonce too low"), sends(nonce=1)))
        raws = [signed(0), signed(1)]
        assert rpc.send_raw(raws) == [RpcRefusal(-32_603, "internal error"), RpcRefusal(-32_000, "nonce too low")]
        proxy.mine()
        assert proxy.blocks[-1].hashes == (transaction_hash(raws[0]),)


def test_a_stale_node_answers_as_of_then(node):
    with proxied(node) as (proxy, rpc):
        start = rpc.block().number
        rpc.send_raw([signed(0)])
        mined = proxy.mine()
        proxy.mine()
        tx = proxy.blocks[0].hashes[0]
        behind = proxy.add(Fault(Stale(2)))
        assert rpc.block().number == start
        assert int(rpc.call("eth_blockNumber"), 16) == start
        assert rpc.call("eth_getTransactionCount", ALICE.address, "latest") == "0x0"
        assert rpc.receipts([tx]) == [None]
        assert rpc.call("eth_getTransactionByHash", tx)["blockNumber"] is None
        assert rpc.call("eth_getBlockByNumber", hex(mined.number), False) is None
        assert rpc.call("eth_getBlockByHash", mined.hash, False) is None
        assert rpc.call("eth_getLogs", {"fromBlock": hex(mined.number), "toBlock": "latest"}) == []
        with pytest.raises(RpcError, match="header not found"):
            rpc.call("eth_getBalance", ALICE.address, hex(mined.number))
        assert rpc.chain_id() == 31_337  # being behind does not show here
        assert proxy.hits(behind) == 9
        proxy.remove(behind)
        assert rpc.block().number == start + 2


@pytest.mark.parametrize(
    ("method", "path", "value"),
    [
        ("eth_chainId", "", "0x1"),
        ("eth_getTransactionReceipt", "status", "0x0"),
        ("eth_getTransactionReceipt", "blockHash", "0x" + "66" * 32),
        ("eth_getTransactionCount", "", "0x63"),
        ("eth_gasPrice", "", hex(10**6 * GWEI)),
        ("eth_sendRawTransaction", "", "0x" + "77" * 32),
    ],
)
def test_a_lie_replaces_what_it_names(node, method, path, value):
    with proxied(node) as (proxy, rpc):
        rpc.send_raw([signed(0)])
        proxy.mine()
        asked = {
            "eth_getTransactionReceipt": [proxy.blocks[0].hashes[0]],
            "eth_getTransactionCount": [ALICE.address, "latest"],
            "eth_sendRawTransaction": ["0x" + signed(1).hex()],
        }.get(method, [])
        lie = proxy.add(Fault(Lie(path, value), Match(methods=(method,))))
        found = rpc.call(method, *asked)
        assert (found[path] if path else found) == value
        assert proxy.hits(lie) == 1


def test_a_lie_about_what_is_not_there_is_no_hit(node):
    with proxied(node) as (proxy, rpc):
        lie = proxy.add(Fault(Lie("status", "0x0"), Match(methods=("eth_getTransactionReceipt",))))
        assert rpc.receipts(["0x" + "11" * 32]) == [None]
        assert (proxy.seen(lie), proxy.hits(lie)) == (1, 0)


def test_a_huge_answer_is_as_large_as_said(node):
    with proxied(node) as (proxy, rpc):
        proxy.add(Fault(Bloat(3), CHAIN))
        assert len(rpc.call("eth_chainId")) == 3 << 20


# --- the envelope ----------------------------------------------------------------------------------


def test_a_reordered_batch_reaches_the_pool_in_another_order(node):
    with proxied(node) as (proxy, rpc):
        shuffle = proxy.add(Fault(Reorder(), sends()))
        raws = [signed(n) for n in range(6)]
        assert rpc.send_raw(raws) == [transaction_hash(raw) for raw in raws]  # ids still tell which is whose
        arrived = sorted(raws, key=lambda raw: proxy.pool().arrival(transaction_hash(raw)))
        assert arrived != raws
        assert proxy.hits(shuffle) == 1
        proxy.mine()
        assert proxy.blocks[-1].hashes == tuple(map(transaction_hash, raws))


def test_wrong_and_repeated_ids_and_one_object_for_a_batch(node):
    with proxied(node) as (proxy, _):
        wrong = proxy.add(Fault(WrongId(), Match(last=1)))
        assert not {0} & {entry["id"] for entry in post(proxy.url, "eth_chainId").json()}
        proxy.remove(wrong)
        same = proxy.add(Fault(DuplicateId()))
        assert [entry["id"] for entry in post(proxy.url, "eth_chainId", "eth_blockNumber").json()] == [0, 0]
        proxy.remove(same)
        single = proxy.add(Fault(SingleForBatch()))
        assert post(proxy.url, "eth_chainId", "eth_blockNumber").json()["error"]["code"] == -32_600
        assert [proxy.hits(key) for key in (wrong, same, single)] == [1, 1, 1]
