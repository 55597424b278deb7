"""The pool's refusals in Geth's words, each with the equality case that is still taken."""

import pytest
from eth_account import Account
from eth_utils.crypto import keccak

from keeper.chaos.pool import Pool
from keeper.chaos.pool_rules import ETHER, Holding, Limits, PoolRefusal, State
from keeper.chaos.transactions import decoded

CHAIN, GAS = 31_337, 21_000
WALLET = Account.from_key(b"\x01" * 32)
SINK = "0x" + "11" * 20
FREE = Limits(fee_cap=None)


def signed(nonce=0, fee=100, tip=10, gas=GAS, value=0, data=b"", chain=CHAIN, to=SINK, **more) -> bytes:
    fields = {"type": 2, "chainId": chain, "nonce": nonce, "gas": gas, "value": value, "data": data, **more}
    fields |= {"maxFeePerGas": fee, "maxPriorityFeePerGas": tip} | ({"to": to} if to else {})
    return bytes(WALLET.sign_transaction(fields).raw_transaction)


def state(nonce=0, balance=ETHER, gas_limit=30_000_000) -> State:
    return State(50, gas_limit, {WALLET.address: Holding(nonce, balance)})


def refused(pool: Pool, raw: bytes, at: State | None = None) -> str:
    with pytest.raises(PoolRefusal) as caught:
        pool.add(raw, at or state())
    assert caught.value.code == -32_000
    return caught.value.message


def test_what_the_bytes_alone_show():
    pool = Pool(CHAIN)
    said = {
        "exceeds block gas limit": (signed(gas=40_000), state(gas_limit=39_999)),
        "intrinsic gas too low: gas 20999, minimum needed 21000": (signed(gas=20_999), None),
        "intrinsic gas too low: gas 21019, minimum needed 21020": (signed(gas=21_019, data=b"\0\1"), None),
        "insufficient gas for floor data gas cost: gas 21049, minimum needed 21050": (
            signed(gas=21_049, data=b"\0\1"),
            None,
        ),
        "intrinsic gas too low: gas 53000, minimum needed 53018": (signed(gas=53_000, data=b"\1", to=None), None),
        "invalid sender: invalid chain id for signer: have 5 want 31337": (signed(chain=5), None),
        "max priority fee per gas higher than max fee per gas": (signed(fee=9, tip=10), None),
        "transaction underpriced: gas tip cap 0, minimum needed 1": (signed(tip=0), None),
        "transaction gas limit too high (cap: 16777216, tx: 16777217)": (signed(gas=(1 << 24) + 1), None),
        "tx fee (1.20 ether) exceeds the configured cap (1.00 ether)": (signed(gas=12 * 10**5, fee=10**12), None),
    }
    assert {refused(pool, raw, at): 0 for raw, at in said.values()} == dict.fromkeys(said, 0)


def test_equality_is_taken():
    pool = Pool(CHAIN)
    pool.add(signed(gas=40_000), state(gas_limit=40_000))
    pool.add(signed(1, gas=21_050, data=b"\0\1"), state())
    pool.add(signed(2, fee=10, tip=10), state())
    pool.add(signed(3, gas=1 << 24), state())
    pool.add(signed(4, gas=10**6, fee=10**12), state(balance=2 * ETHER))
    assert pool.status() == (5, 0)


def test_a_gas_cap_can_be_switched_off():
    Pool(CHAIN, Limits(gas_cap=None)).add(signed(gas=(1 << 24) + 1), state())


def test_funds_count_all_executable_costs_and_a_replacement_only_its_increase():
    pool, cost = Pool(CHAIN), GAS * 100
    short = "insufficient funds for gas * price + value: balance"
    assert refused(pool, signed(), state(balance=cost - 1)) == f"{short} {cost - 1}, tx cost {cost}, overshot 1"
    pool.add(signed(), state(balance=cost))
    over = f"{short} {2 * cost - 1}, queued cost {cost}, tx cost {cost}, overshot 1"
    assert refused(pool, signed(1), state(balance=2 * cost - 1)) == over
    bumped = refused(pool, signed(fee=200, tip=20), state(balance=2 * cost - 1))
    assert bumped == f"{short} {2 * cost - 1}, tx cost {2 * cost}, overshot 1"
    pool.add(signed(1), state(balance=2 * cost))
    more = GAS * 20
    bumped = refused(pool, signed(fee=120, tip=20), state(balance=2 * cost + more - 1))
    assert bumped == f"{short} {2 * cost + more - 1}, queued cost {2 * cost}, tx bumped {more}, overshot 1"
    pool.add(signed(fee=120, tip=20), state(balance=2 * cost + more))


def test_nonces():
    pool = Pool(CHAIN)
    assert refused(pool, signed(184), state(nonce=185)) == "nonce too low: next nonce 185, tx nonce 184"
    raw = signed(185)
    assert pool.add(raw, state(nonce=185)) == "0x" + keccak(raw).hex()
    assert refused(pool, raw) == "already known"
    assert (pool.nonce(WALLET.address), pool.nonce(WALLET.address, "latest")) == (186, 185)


def test_a_sender_queues_sixty_four_and_the_highest_nonce_goes():
    pool = Pool(CHAIN, FREE)
    for nonce in range(1, 66):
        pool.add(signed(nonce), state())
    assert pool.status() == (0, 64)
    assert [d.reason for d in pool.dropped] == ["the sender queues too many"]
    assert pool.by_hash(decoded(signed(65)).hash) is None
    pool.add(signed(0), state())
    assert pool.status() == (65, 0)


def test_a_delegated_account_has_one_in_flight():
    pool, at = Pool(CHAIN), State(50, 30_000_000, {WALLET.address: Holding(4, ETHER, delegated=True)})
    assert refused(pool, signed(5), at) == "gapped-nonce tx from delegated accounts"
    pool.add(signed(4), at)
    assert refused(pool, signed(5), at) == "in-flight transaction limit reached for delegated accounts"
    pool.add(signed(4, fee=110, tip=11), at)


def test_a_full_pool_takes_the_dearer_and_refuses_the_cheaper():
    other = Account.from_key(b"\x02" * 32)
    held = {WALLET.address: Holding(0, ETHER), other.address: Holding(0, ETHER)}
    at = State(50, 30_000_000, held)
    pool = Pool(CHAIN, Limits(global_slots=1, global_queue=1))
    for nonce in range(2):
        pool.add(signed(nonce), at)
    fields = {"type": 2, "chainId": CHAIN, "nonce": 0, "gas": GAS, "value": 0, "to": SINK}

    def theirs(tip: int) -> bytes:
        fees = {"maxFeePerGas": 100, "maxPriorityFeePerGas": tip}
        return bytes(other.sign_transaction(fields | fees).raw_transaction)

    assert refused(pool, theirs(10), at) == "transaction underpriced"
    pool.add(theirs(11), at)
    assert [d.reason for d in pool.dropped] == ["evicted: the pool is full"]
    pool.drop(decoded(theirs(11)).hash)
    assert len(pool.transactions()) == 1


def test_no_room_at_all_is_full():
    assert refused(Pool(CHAIN, Limits(global_slots=0, global_queue=0)), signed()) == "txpool is full"


def test_a_legacy_and_an_access_list_transaction_are_read_right():
    fields = {"nonce": 3, "gas": 50_000, "gasPrice": 7, "to": SINK, "value": 1, "chainId": CHAIN}
    legacy = decoded(bytes(WALLET.sign_transaction(fields).raw_transaction))
    access = [{"address": SINK, "storageKeys": ["0x" + "00" * 32]}]
    listed = decoded(bytes(WALLET.sign_transaction({**fields, "type": 1, "accessList": access}).raw_transaction))
    for tx in (legacy, listed):
        assert (tx.sender, tx.nonce, tx.fee_cap, tx.tip_cap, tx.chain_id) == (WALLET.address, 3, 7, 7, CHAIN)
    assert listed.minimum_gas == 21_000 + 2_400 + 1_900
    assert legacy.cost == 50_000 * 7 + 1


@pytest.mark.parametrize("raw", [b"", b"\x02", b"\x02\xc0", b"hello", b"\x03\xc0", b"\xc0", b"\xf8" * 40])
def test_what_is_no_transaction_is_refused(raw):
    assert refused(Pool(CHAIN), raw)


def test_a_node_that_queues_nothing_refuses_a_gap_and_takes_a_line():
    pool = Pool(CHAIN, Limits(queues_gaps=False))
    pool.add(signed(7), state(nonce=7))
    assert refused(pool, signed(9), state(nonce=7)) == f"nonce too high: address {WALLET.address}, tx: 9 state: 8"
    pool.add(signed(8), state(nonce=7))
    pool.add(signed(9), state(nonce=7))
    assert pool.status() == (3, 0)
