"""Laws of the pool's model, whatever is sent in whatever order."""

from fractions import Fraction
from functools import cache

from eth_account import Account
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from keeper.chaos.pool import Pool
from keeper.chaos.pool_rules import Holding, Limits, PoolRefusal, State, replaces
from keeper.chaos.transactions import PoolTx, decoded

CHAIN = 31_337
GAS = 21_000
BALANCE = GAS * 1_000
SENDERS = [Account.from_key(bytes([n]) * 32) for n in (1, 2)]
ADDRESSES = [sender.address for sender in SENDERS]
LIMITS = Limits(account_queue=3, account_slots=2, global_slots=5, global_queue=3)
NOTHING_HIGH = 1 << 24

nonces = st.integers(0, 6)
fee_caps = st.sampled_from((100, 109, 110, 121, 300))
tips = st.sampled_from((1, 10, 11, 100))
base_fees = st.sampled_from((1, 95, 105, 200))


@cache
def signed(sender: int, nonce: int, fee_cap: int, tip: int) -> bytes:
    fields = {"type": 2, "chainId": CHAIN, "nonce": nonce, "to": "0x" + "11" * 20, "value": 0, "gas": GAS}
    fields |= {"maxFeePerGas": fee_cap, "maxPriorityFeePerGas": min(tip, fee_cap)}
    return bytes(SENDERS[sender].sign_transaction(fields).raw_transaction)


class PoolMachine(RuleBasedStateMachine):
    """One pool beside a chain of two senders; what was accepted is followed to its end."""

    @initialize()
    def begin(self) -> None:
        self.pool = Pool(CHAIN, LIMITS)
        self.nonces = [0, 0]
        self.balances = [BALANCE, BALANCE]
        self.accepted: set[str] = set()
        self.mined: set[str] = set()

    def state(self, base_fee: int = 1) -> State:
        held = map(Holding, self.nonces, self.balances)
        return State(base_fee, NOTHING_HIGH, dict(zip(ADDRESSES, held, strict=True)))

    @rule(sender=st.integers(0, 1), nonce=nonces, fee_cap=fee_caps, tip=tips)
    def add(self, sender: int, nonce: int, fee_cap: int, tip: int) -> None:
        raw = signed(sender, nonce, fee_cap, tip)
        new = decoded(raw)
        before = {(tx.sender, tx.nonce): tx for tx in self.pool.transactions()}
        old = before.get((new.sender, nonce))
        known = self.pool.by_hash(new.hash) is not None
        try:
            found = self.pool.add(raw, self.state())
        except PoolRefusal as refused:
            assert {(tx.sender, tx.nonce): tx for tx in self.pool.transactions()} == before
            assert (refused.message == "already known") == known
            assert refused.message.startswith("nonce too low") == (nonce < self.nonces[sender] and not known)
            return
        assert found == new.hash
        assert nonce >= self.nonces[sender]
        self.accepted.add(found)
        evicted = {dropped.hash for dropped in self.pool.dropped if dropped.reason.startswith("evicted")}
        if old is not None and old.hash not in evicted:
            assert min(Fraction(fee_cap, old.fee_cap), Fraction(min(tip, fee_cap), old.tip_cap)) > 1
            assert fee_cap >= old.fee_cap * 110 // 100
            assert min(tip, fee_cap) >= old.tip_cap * 110 // 100

    @rule(base_fee=base_fees, count=st.integers(0, 4))
    def mine(self, base_fee: int, count: int) -> None:
        for raw in self.pool.executable(base_fee, NOTHING_HIGH)[:count]:
            tx = decoded(raw)
            sender = ADDRESSES.index(tx.sender)
            assert tx.nonce == self.nonces[sender]
            assert tx.fee_cap >= base_fee
            self.nonces[sender] += 1
            self.balances[sender] -= tx.gas * (base_fee + tx.effective_tip(base_fee))
            assert self.balances[sender] >= 0
            self.mined.add(tx.hash)
        self.pool.mined(self.mined, self.state())

    @rule(sender=st.integers(0, 1))
    def another_wallet_uses_the_nonce(self, sender: int) -> None:
        self.nonces[sender] += 1
        self.pool.mined((), self.state())

    @precondition(lambda self: min(self.nonces) > 0)
    @rule()
    def a_reorg_takes_nonces_back(self) -> None:
        self.nonces = [nonce - 1 for nonce in self.nonces]
        self.pool.mined((), self.state())

    @invariant()
    def every_accepted_transaction_is_accounted_for(self) -> None:
        here = {tx.hash for tx in self.pool.transactions()}
        gone = {dropped.hash for dropped in self.pool.dropped}
        assert here <= self.accepted <= here | gone | self.mined

    @invariant()
    def a_nonce_has_one_transaction_and_none_is_used_up(self) -> None:
        held = [(tx.sender, tx.nonce) for tx in self.pool.transactions()]
        assert len(held) == len(set(held))
        assert all(nonce >= self.nonces[ADDRESSES.index(sender)] for sender, nonce in held)

    @invariant()
    def executable_means_without_a_gap(self) -> None:
        for i, sender in enumerate(ADDRESSES):
            run = [tx.nonce for tx in self.pool.pending(sender)]
            queued = [tx.nonce for tx in self.pool.queued(sender)]
            if run or queued:
                assert run == list(range(self.nonces[i], self.nonces[i] + len(run)))
                assert self.nonces[i] + len(run) not in queued
                assert self.pool.nonce(sender) == self.nonces[i] + len(run)
            assert len(queued) <= LIMITS.account_queue

    @invariant()
    def the_pool_keeps_to_its_size(self) -> None:
        pending, queued = self.pool.status()
        assert pending + queued <= LIMITS.global_slots + LIMITS.global_queue
        assert queued <= LIMITS.global_queue


TestPool = PoolMachine.TestCase
TestPool.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)

txs = st.lists(st.tuples(st.integers(0, 1), nonces, fee_caps, tips), min_size=1, max_size=12)


@given(txs, base_fees)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_available_transaction_pays_more_than_the_one_taken(chosen, base_fee):
    pool = Pool(CHAIN, Limits(fee_cap=None))
    state = State(1, NOTHING_HIGH, dict.fromkeys(ADDRESSES, Holding(0, 10**18)))
    for fields in chosen:
        try:
            pool.add(signed(*fields), state)
        except PoolRefusal:
            continue
    remaining = {sender: pool.pending(sender) for sender in ADDRESSES}
    for raw in pool.executable(base_fee, NOTHING_HIGH):
        taken = decoded(raw)
        heads = [run[0] for run in remaining.values() if run and run[0].fee_cap >= base_fee]
        assert remaining[taken.sender].pop(0) == taken
        assert taken.effective_tip(base_fee) == max(head.effective_tip(base_fee) for head in heads)
    assert not any(run and run[0].fee_cap >= base_fee for run in remaining.values())


def fees_only(fee_cap: int, tip: int) -> PoolTx:
    return PoolTx(b"", "", 2, CHAIN, "", 0, GAS, fee_cap, tip, 0, None, b"", GAS, GAS)


wei = st.integers(1, 10**12)


@given(wei, wei, wei, wei)
def test_a_replacement_pays_a_tenth_more_in_both_fields_but_for_a_rounded_wei(cap, tip, new_cap, new_tip):
    allowed = replaces(fees_only(cap, tip), fees_only(new_cap, new_tip), 10)
    least = min(Fraction(new_cap, cap), Fraction(new_tip, tip))
    if least >= Fraction(11, 10):
        assert allowed
    if allowed:
        assert least > 1
        assert new_cap > Fraction(11, 10) * cap - 1
        assert new_tip > Fraction(11, 10) * tip - 1
    assert not replaces(fees_only(new_cap, new_tip), fees_only(cap, tip), 10) or not allowed


@given(wei, wei)
def test_the_keepers_bump_of_an_eighth_is_always_enough(cap, tip):
    assert replaces(fees_only(cap, tip), fees_only(-(-cap * 9 // 8), -(-tip * 9 // 8)), 10)
