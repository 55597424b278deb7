"""Offers and facts over real nodes: two endpoints on one Anvil, and one Anvil of another chain."""

from collections.abc import Iterator

import pytest
from eth_account import Account
from eth_utils.crypto import keccak

from keeper.demo.anvil import Anvil, start_anvil
from keeper.rpc import Rpc
from keeper.sending.answers import AnswerClass
from keeper.submit.agreement import Agreed, Unanswered
from keeper.submit.endpoints import Endpoint, Endpoints
from keeper.submit.facts import Facts

KEY = Account.from_key("0x" + "51" * 32)
GWEI = 10**9


@pytest.fixture(scope="module")
def node() -> Iterator[Anvil]:
    with start_anvil() as running:
        yield running


@pytest.fixture
def rpc(node: Anvil) -> Iterator[Rpc]:
    """The node as it was, with money on the key, mining only when told."""
    rpc = Rpc(node.url, 30.0)
    snapshot = rpc.call("evm_snapshot")
    rpc.call("anvil_setBalance", KEY.address, hex(10**20))
    rpc.call("evm_setAutomine", False)
    yield rpc
    assert rpc.call("evm_revert", snapshot) is True


def transfer(rpc: Rpc, nonce: int, max_fee: int = 20 * GWEI) -> bytes:
    fields = {"nonce": nonce, "gas": 21_000, "maxFeePerGas": max_fee, "maxPriorityFeePerGas": GWEI}
    whole = {"type": 2, "chainId": rpc.chain_id(), "to": KEY.address, "value": 0, "data": b"", **fields}
    return bytes(KEY.sign_transaction(whole).raw_transaction)


def pool(node: Anvil, chain_id: int) -> tuple[Endpoints, Facts]:
    endpoints = Endpoints([Endpoint(name, Rpc(node.url, 30.0)) for name in "ab"], chain_id, patience_s=30.0)
    return endpoints, Facts(endpoints)


def test_bytes_offered_twice_are_mined_once_and_their_receipt_is_a_fact(node: Anvil, rpc: Rpc) -> None:
    endpoints, facts = pool(node, rpc.chain_id())
    raw = transfer(rpc, 0)
    said = [offered.answer for offered in endpoints.offer([raw])]
    assert sorted(said) == [AnswerClass.ACCEPTED, AnswerClass.ALREADY_KNOWN]
    tx_hash = "0x" + keccak(raw).hex()
    assert facts.receipts([tx_hash]) == (Agreed(None, ("a", "b")),)
    rpc.call("evm_mine")
    (found,) = facts.receipts([tx_hash])
    assert isinstance(found, Agreed)
    assert found.answer is not None
    assert found.answer.succeeded
    assert facts.nonce(KEY.address, rpc.block()).answer == 1  # type: ignore[union-attr]
    assert {o.answer for o in endpoints.offer([transfer(rpc, 0, 30 * GWEI)])} == {AnswerClass.NONCE_USED}
    assert endpoints.tally.unknown_share() == 0.0


def test_what_a_reorg_took_away_is_no_fact_any_more(node: Anvil, rpc: Rpc) -> None:
    endpoints, facts = pool(node, rpc.chain_id())
    raw = transfer(rpc, 0)
    endpoints.offer([raw])
    rpc.call("evm_mine")
    orphaned = rpc.block()
    rpc.call("anvil_reorg", 1, [])
    assert facts.receipts(["0x" + keccak(raw).hex()]) == (Agreed(None, ("a", "b")),)
    gone = facts.nonce(KEY.address, orphaned)
    assert isinstance(gone, Unanswered)  # the height is there, the block is not
    assert facts.nonce(KEY.address, rpc.block()).answer == 0  # type: ignore[union-attr]


def test_a_node_of_another_chain_states_no_facts(node: Anvil, rpc: Rpc) -> None:
    endpoints, facts = pool(node, rpc.chain_id() + 1)
    assert facts.probe(rpc.block()) is None
    assert [view.wrong_chain for view in endpoints.views()] == [rpc.chain_id()] * 2
    assert endpoints.usable(urgent=True) == ()
