"""Geth's pool in front of a real Anvil: what waits, what replaces, what a block takes, and what a reorg returns."""

from collections.abc import Iterator

import pytest

from keeper.abi import transaction_hash
from keeper.chaos import ChaosProxy, Limits
from keeper.demo.anvil import Anvil, start_anvil
from keeper.errors import ChainError, UsageError
from keeper.rpc import Rpc, RpcError, RpcRefusal
from tests.chain.chaos_node import ALICE, BOB, GWEI, fifo_anvil, proxied, signed


@pytest.fixture(scope="module")
def node() -> Iterator[Anvil]:
    with fifo_anvil() as anvil:
        yield anvil


def refusal(answer: object) -> str:
    assert isinstance(answer, RpcRefusal)
    return answer.message


def test_a_transaction_below_the_base_fee_waits_and_is_mined_when_it_falls(node):
    with proxied(node) as (proxy, rpc):
        raw = signed(0, max_fee=5 * GWEI)
        assert rpc.send_raw([raw]) == [transaction_hash(raw)]
        proxy.mine(base_fee=20 * GWEI)
        waiting = rpc.call("eth_getTransactionByHash", transaction_hash(raw))
        assert waiting["blockNumber"] is None
        assert waiting["from"] == ALICE.address.lower()
        assert rpc.call("eth_getTransactionCount", ALICE.address, "pending") == "0x1"
        assert rpc.call("eth_getTransactionCount", ALICE.address, "latest") == "0x0"
        block = proxy.mine(base_fee=2 * GWEI)
        (receipt,) = rpc.receipts([transaction_hash(raw)])
        assert (receipt.block_number, receipt.block_hash) == (block.number, block.hash)
        assert block.base_fee == 2 * GWEI
        assert proxy.pool().status() == (0, 0)


def test_a_replacement_needs_ten_percent_on_both_fields(node):
    with proxied(node) as (proxy, rpc):
        first = signed(0, max_fee=1_000, tip=100)
        rpc.send_raw([first])
        for max_fee, tip in ((1_099, 110), (1_100, 109), (2_000, 100), (1_000, 200)):
            (answer,) = rpc.send_raw([signed(0, max_fee, tip)])
            assert refusal(answer) == "replacement transaction underpriced"
        second = signed(0, max_fee=1_100, tip=110)
        assert rpc.send_raw([second]) == [transaction_hash(second)]
        assert rpc.call("eth_getTransactionByHash", transaction_hash(first)) is None
        assert refusal(rpc.send_raw([second])[0]) == "already known"
        proxy.mine(base_fee=10)
        assert proxy.blocks[-1].hashes == (transaction_hash(second),)
        assert refusal(rpc.send_raw([first])[0]) == "nonce too low: next nonce 1, tx nonce 0"


def test_a_block_goes_by_effective_tip_and_by_nonce(node):
    with proxied(node) as (proxy, rpc):
        low, high = signed(0, tip=1), signed(1, tip=9 * GWEI)
        middle = signed(0, tip=GWEI, sender=BOB)
        rpc.send_raw([low, high, middle])
        proxy.mine(base_fee=GWEI)
        assert proxy.blocks[-1].hashes == tuple(map(transaction_hash, (middle, low, high)))
        assert proxy.blocks[-1].refused == ()


def test_a_gap_keeps_what_is_behind_it_queued(node):
    with proxied(node) as (proxy, rpc):
        rpc.send_raw([signed(1), signed(2)])
        assert rpc.call("txpool_status") == {"pending": "0x0", "queued": "0x2"}
        proxy.mine()
        assert proxy.blocks[-1].hashes == ()
        rpc.send_raw([signed(0)])
        proxy.mine()
        assert len(proxy.blocks[-1].hashes) == 3


def test_one_block_at_a_time_and_only_as_full_as_its_gas(node):
    with proxied(node, limits=Limits(gas_cap=None, fee_cap=None)) as (proxy, rpc):
        before = rpc.block().number
        rpc.send_raw([signed(n, gas=25_000_000) for n in range(4)])
        stamp = rpc.block().timestamp + 600
        block = proxy.mine(timestamp=stamp)
        assert (block.number, block.timestamp) == (before + 1, stamp)
        assert len(proxy.blocks[-1].hashes) == 4  # each used 21 000 of its 25 000 000, which suffices to fit
        assert proxy.mine().timestamp == stamp + 12


def test_a_competitors_bytes_come_first_and_own_their_nonce(node):
    with proxied(node) as (proxy, rpc):
        ours, private, after = signed(0), signed(0, value=2), signed(1)
        rpc.send_raw([ours, after])
        proxy.mine(first=[private])
        assert proxy.blocks[-1].hashes == (transaction_hash(private), transaction_hash(after))
        assert rpc.call("eth_getTransactionByHash", transaction_hash(ours)) is None


def test_a_reorg_returns_transactions_to_the_pool_or_mines_them_elsewhere(node):
    with proxied(node) as (proxy, rpc):
        moved, returned = signed(0), signed(0, sender=BOB)
        rpc.send_raw([moved, returned])
        old = proxy.mine()
        proxy.mine()
        new = proxy.reorg(2, keep={transaction_hash(moved): 1})
        assert new.number == old.number + 1
        kept, gone = rpc.receipts([transaction_hash(moved), transaction_hash(returned)])
        assert kept.block_number == old.number + 1
        assert gone is None
        assert rpc.call("eth_getTransactionByHash", transaction_hash(returned))["blockNumber"] is None
        proxy.mine()
        assert rpc.receipts([transaction_hash(returned)])[0].block_number == new.number + 1
        with pytest.raises(ChainError, match="expected transactions of the newest 1 blocks"):
            proxy.reorg(1, keep={transaction_hash(moved): 0})


def test_a_reorg_may_swap_which_sibling_was_mined(node):
    with proxied(node) as (proxy, rpc):
        original, cancel = signed(0), signed(0, tip=2 * GWEI, value=0)
        rpc.send_raw([original])
        old = proxy.mine()
        new = proxy.reorg(1, place=[(cancel, 0)])
        assert (new.number, new.hash) != (old.number, old.hash)
        gone, mined = rpc.receipts([transaction_hash(original), transaction_hash(cancel)])
        assert gone is None
        assert mined.block_hash == new.hash
        assert rpc.nonce(ALICE.address, new) == 1
        assert proxy.pool().status() == (0, 0)  # the original came back and its nonce was used


def test_a_delegation_on_chain_limits_the_sender_to_one(node):
    with proxied(node) as (_, rpc):
        rpc.call("anvil_setCode", ALICE.address, "0xef0100" + "11" * 20)
        rpc.send_raw([signed(0)])
        (answer,) = rpc.send_raw([signed(1)])
        assert refusal(answer) == "in-flight transaction limit reached for delegated accounts"


def test_without_the_model_the_nodes_own_pool_is_seen():
    with fifo_anvil() as anvil, proxied(anvil, geth_pool=False) as (proxy, rpc):
        raw = signed(0, max_fee=5 * GWEI)
        rpc.send_raw([raw])
        proxy.mine(base_fee=20 * GWEI)
        assert rpc.call("eth_getTransactionByHash", transaction_hash(raw)) is None  # Anvil forgets it; Geth would not
        mined = signed(0, max_fee=50 * GWEI)
        rpc.send_raw([mined])
        proxy.mine()
        assert rpc.receipts([transaction_hash(mined)])[0] is not None
        proxy.reorg(1)
        assert rpc.receipts([transaction_hash(mined)]) == [None]
        with pytest.raises(UsageError, match="expected geth_pool=True"):
            proxy.pool()


def test_a_rollback_shortens_the_chain_and_may_forget(node):
    with proxied(node) as (proxy, rpc):
        raw = signed(0)
        rpc.send_raw([raw])
        mined = proxy.mine()
        assert proxy.rollback(1, put_back=False).number == mined.number - 1
        assert rpc.call("eth_getTransactionByHash", transaction_hash(raw)) is None
        rpc.send_raw([raw])
        proxy.mine()
        proxy.rollback(1)
        assert proxy.pool().status() == (1, 0)


def test_two_endpoints_have_a_pool_each_and_the_miner_sees_both(node):
    with proxied(node, endpoints=("a", "b"), shared_pool=False) as (proxy, rpc):
        other = Rpc(proxy.url_of("b"))
        original, cancel = signed(0, tip=GWEI), signed(0, tip=2 * GWEI, value=0)
        rpc.send_raw([original])
        other.send_raw([cancel])
        assert other.call("eth_getTransactionByHash", transaction_hash(original)) is None
        proxy.mine(base_fee=GWEI)
        assert proxy.blocks[-1].hashes == (transaction_hash(cancel),)
        assert proxy.pool("a").status() == proxy.pool("b").status() == (0, 0)


def test_a_client_may_mine_through_the_proxy(node):
    with proxied(node) as (proxy, rpc):
        rpc.send_raw([signed(0)])
        rpc.call("anvil_mine", "0x2")
        assert [len(made.hashes) for made in proxy.blocks] == [1, 0]


def test_the_client_sees_the_refusals_code(node):
    with proxied(node) as (_, rpc), pytest.raises(RpcError) as caught:
        rpc.call("eth_sendRawTransaction", "0x02")
    assert caught.value.refusal.code == -32_000


def test_an_anvil_that_reorders_blocks_is_refused():
    with start_anvil() as anvil, pytest.raises(ChainError, match="expected --order fifo, found fees"):
        ChaosProxy(anvil.url, geth_pool=True).start()
