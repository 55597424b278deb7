"""Carrying out intents on real Curie: written first, sent once, settled from the chain; what goes wrong costs nothing.

What became of a transaction is asked of the chain, what was remembered is read from the database by a connection of
its own.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from faulty_node import faulty_node

from keeper.abi import interface, topic_address
from keeper.app import App, configured, open_app
from keeper.chain import Receipt
from keeper.demo.anvil import Anvil, start_anvil
from keeper.demo.config import write_config
from keeper.demo.curie import USDC, deploy, deposit
from keeper.demo.deployment import Deployment
from keeper.demo.replay import replay
from keeper.demo.traders import open_book
from keeper.demo.transactions import GWEI, Batch
from keeper.execute import LOST_DEPTH, Executor, Limits
from keeper.loop import Stages, Tick, World, look, tick
from keeper.perpetuals import PerpetualLine
from keeper.rpc import Rpc
from keeper.submit.base import Route, Signed, Unsigned
from keeper.submit.public import PublicRoute
from keeper.submit.signer import Mode, Signer, SignerPolicy

KEY = Account.from_key("0x" + "5e" * 32)
CRASH = ((0, 7_934.57), (3_600, 7_342.49), (7_200, 6_334.44))  # 09:00 and 10:00 on 12 March 2020
DEEPER = ((0, 6_334.44), (3_600, 5_000.0), (7_200, 4_000.0))
GAS = 1_800_000
LIMITS = Limits(chain_id=31_337, gas=GAS, max_fee=200 * GWEI, tip=2 * GWEI, per_tick=30, confirmations=0)


@dataclass
class Chain:
    """A world after the fall, on an Anvil that mines when told to."""

    anvil: Anvil
    rpc: Rpc
    deployment: Deployment

    def mine(self, blocks: int = 1) -> None:
        for _ in range(blocks):
            self.rpc.call("evm_mine")

    @property
    def nonce(self) -> int:
        return self.rpc.nonce(KEY.address, self.rpc.block())

    def liquidations(self, since: int) -> Counter[str]:
        """Return how often the chain says each account was liquidated after block `since`."""
        topic = interface("perp_curie/ClearingHouse").event("PositionLiquidated").topic
        house = self.deployment.contracts.clearing_house
        head = self.rpc.block().number
        logs = self.rpc.logs([house], [topic], since + 1, head) if head > since else []
        return Counter(topic_address(log.topics[1]) for log in logs)

    def receipt(self, tx_hash: str) -> Receipt | None:
        (found,) = self.rpc.receipts([tx_hash])
        assert found is None or isinstance(found, Receipt)
        return found

    def purse_one_short_of(self, transactions: int) -> int:
        """Leave the keeper one wei less than so many transactions may cost at the present base fee; return it."""
        self.mine()
        worst = GAS * (2 * self.rpc.block().base_fee + 2 * GWEI)
        self.rpc.call("anvil_setBalance", KEY.address, hex(transactions * worst - 1))
        return transactions * worst - 1

    def foreign_transaction(self) -> str:
        """Use the keeper's next nonce for something that the keeper knows nothing of."""
        self.rpc.call("anvil_impersonateAccount", KEY.address)
        found = self.rpc.call("eth_sendTransaction", {"from": KEY.address, "to": KEY.address})
        self.rpc.call("anvil_stopImpersonatingAccount", KEY.address)
        return str(found)


def fallen_world(insurance_fund: int = 2_000_000 * USDC) -> Iterator[Chain]:
    with start_anvil() as anvil:
        deployment = open_book(anvil.url, deploy(anvil.url, keeper_address=KEY.address, insurance_fund=insurance_fund))
        replay(anvil.url, deployment, CRASH, block_seconds=0.0)
        rpc = Rpc(anvil.url, timeout_s=60.0)
        rpc.call("evm_setAutomine", False)
        yield Chain(anvil, rpc, deployment)


@pytest.fixture(scope="module")
def fallen() -> Iterator[Chain]:
    """At least a dozen accounts are liquidatable. Shared: tests take `chain`."""
    yield from fallen_world()


@pytest.fixture
def chain(fallen: Chain) -> Iterator[Chain]:
    snapshot = fallen.rpc.call("evm_snapshot")
    yield fallen
    fallen.rpc.call("anvil_dropAllTransactions")
    assert fallen.rpc.call("evm_revert", snapshot) is True


@pytest.fixture
def own_chain() -> Iterator[Chain]:
    """A world of its own, for tests that leave what a snapshot does not put back."""
    yield from fallen_world()


@dataclass
class Keeper:
    """A keeper wired as keeper/app.py wires it, with a key in memory and, where a test wants them, other parts."""

    app: App
    world: World
    folder: Path

    def tick(self) -> Tick:
        return tick(self.world.heads.newest(), self.world)

    def settle(self) -> int:
        return self.world.executor.settle(self.app.rpc.block())

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return rows(self.folder, query)

    def intents(self) -> Counter[str]:
        return Counter(status for (status,) in self.rows("SELECT status FROM intents"))

    def attempts(self) -> Counter[str]:
        return Counter(status for (status,) in self.rows("SELECT status FROM attempts"))

    def causes(self, status: str) -> list[str]:
        return [cause for found, cause in self.rows("SELECT status, cause FROM intents") if found == status]


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    """Read the journal as a stranger would: by a connection of its own, so only what is committed is seen."""
    with closing(sqlite3.connect(f"file:{folder / 'keeper.db'}?mode=ro", uri=True)) as database:
        return database.execute(query).fetchall()


Open = Callable[..., Keeper]


@pytest.fixture
def open_keeper(tmp_path: Path) -> Iterator[Open]:
    """Open a keeper on the journal in tmp_path; opening another is what a restart does."""
    opened: list[App] = []

    def build(
        chain: Chain,
        *,
        mode: Mode = "live",
        key: Any = KEY,
        route: Callable[[Rpc], Route] = PublicRoute,
        limits: Limits = LIMITS,
        most: int = 30,
        url: str | None = None,
        signer: type[Signer] = Signer,
        wrap: Callable[[Any], Any] = lambda journal: journal,
    ) -> Keeper:
        config = configured(write_config(tmp_path, url or chain.anvil.url, chain.deployment, "observe"))
        app = open_app(config, signing=False)
        opened.append(app)
        policy: SignerPolicy = replace(
            app.signer._policy, mode=mode, max_gas=limits.gas, max_fee=limits.max_fee, max_tip=limits.tip
        )
        parts = (route(app.rpc), signer(policy, key.address, key), wrap(app.journal), limits)
        executor = Executor(app.rpc, app.venue, *parts)
        assert isinstance(app.world.line, PerpetualLine)
        line = replace(app.world.line, policy=replace(app.world.line.policy, max_liquidations=most))
        return Keeper(app, replace(app.world, executor=executor, line=line), tmp_path)

    yield build
    for app in opened:
        app.journal.close()


class Crash(BaseException):
    """The process is gone; nothing in the keeper catches it."""


class DeadRoute:
    """The keeper dies before the bytes leave."""

    def __init__(self, rpc: Rpc) -> None:
        self.rpc = rpc

    def send(self, signed: Sequence[bytes]) -> tuple[str, ...]:
        raise Crash(len(signed))


class ForgetfulRoute(PublicRoute):
    """The node takes the bytes, and the answer is lost."""

    def send(self, signed: Sequence[bytes]) -> tuple[str, ...]:
        assert not any(super().send(signed))
        return tuple("no answer: connection reset" for _ in signed)


# --- the good way -------------------------------------------------------------------------------------


def test_ten_liquidations_of_one_tick_are_mined_in_the_next_block(chain: Chain, open_keeper: Open) -> None:
    keeper, before, first = open_keeper(chain, most=10), chain.rpc.block().number, chain.nonce
    seen = keeper.tick()
    assert len(seen.plans) == 10
    chain.mine()
    sent = keeper.rows("SELECT nonce, tx_hash FROM attempts ORDER BY nonce")
    assert [nonce for nonce, _ in sent] == list(range(first, first + 10))
    receipts = [chain.receipt(tx_hash) for _, tx_hash in sent]
    assert all(r is not None and r.succeeded and r.block_number == before + 1 for r in receipts)
    wanted = Counter(p.account for p in seen.plans if p.kind == "liquidate")
    assert chain.liquidations(before) == wanted
    assert keeper.settle() == 0
    assert (keeper.intents(), keeper.attempts()) == (Counter(achieved=10), Counter(mined=10))
    assert chain.nonce == first + 10


def test_it_goes_on_until_nobody_has_anything_left_to_take_over(chain: Chain, open_keeper: Open) -> None:
    keeper, first = open_keeper(chain), chain.nonce
    for _ in range(4):
        seen = keeper.tick()
        chain.mine()
    keeper.settle()
    assert not seen.plans
    assert all(v.mm == 0.0 and v.equity < 0.0 for v in seen.verdicts if v.status == "endangered")  # bad debt alone
    assert keeper.attempts() == Counter(mined=chain.nonce - first)
    assert set(keeper.intents()) == {"achieved"}


def test_while_bytes_may_land_nothing_else_is_sent_for_the_same_account(chain: Chain, open_keeper: Open) -> None:
    keeper, first, before = open_keeper(chain, most=5), chain.nonce, chain.rpc.block().number
    keeper.tick()
    chain.rpc.call("anvil_dropAllTransactions")  # the mempool forgot them; the keeper offers the same bytes again
    for _ in range(3):
        chain.mine()
        chain.rpc.call("anvil_dropAllTransactions")
        keeper.settle()
    again = keeper.tick()
    chain.mine()
    keeper.settle()
    assert {p.effect for p in again.plans} & {e for (e,) in keeper.rows("SELECT effect FROM intents")}
    assert sorted(chain.liquidations(before).values()) == [1] * (chain.nonce - first)


# --- written first, then sent -------------------------------------------------------------------------


def test_intents_are_durable_before_signing_and_bytes_before_sending(
    chain: Chain, open_keeper: Open, tmp_path: Path
) -> None:
    steps: list[str] = []

    class WatchedSigner(Signer):
        def sign(self, tx: Unsigned) -> Signed:
            words = tx.call.data[4:]
            account = topic_address("0x" + words[:32].hex())
            (status,) = (s for a, s in rows(tmp_path, "SELECT subject, status FROM intents") if a == account)
            assert status == "intended"
            ticks = rows(tmp_path, "SELECT count(*) FROM ticks JOIN margins ON margins.tick_id = ticks.id")
            assert ticks[0][0] > 60
            steps.append("sign")
            return super().sign(tx)

    class WatchedRoute(PublicRoute):
        def send(self, signed: Sequence[bytes]) -> tuple[str, ...]:
            stored = dict(rows(tmp_path, "SELECT raw, status FROM attempts"))
            assert signed and all(stored[raw] == "signed" for raw in signed)
            assert chain.rpc.call("txpool_status")["pending"] == "0x0"
            steps.append("send")
            return super().send(signed)

    class Watched:
        def __init__(self, journal: Any) -> None:
            self.journal = journal

        def __getattr__(self, name: str) -> Any:
            if name in ("store_signed", "mark_broadcast"):
                steps.append(name)
            return getattr(self.journal, name)

    keeper = open_keeper(chain, most=3, route=WatchedRoute, signer=WatchedSigner, wrap=Watched)
    keeper.tick()
    assert steps == ["sign"] * 3 + ["store_signed", "send"] + ["mark_broadcast"] * 3
    assert keeper.attempts() == Counter(broadcast=3)


def test_bytes_that_were_stored_and_never_offered_are_offered_unchanged(chain: Chain, open_keeper: Open) -> None:
    doomed, first, before = open_keeper(chain, most=3, route=DeadRoute), chain.nonce, chain.rpc.block().number
    with pytest.raises(Crash):
        doomed.tick()
    stored = doomed.rows("SELECT tx_hash, raw FROM attempts")
    assert doomed.attempts() == Counter(signed=3)
    assert chain.rpc.call("txpool_status")["pending"] == "0x0"

    keeper = open_keeper(chain, most=3)
    assert keeper.settle() == 3
    assert keeper.attempts() == Counter(broadcast=3)
    chain.mine()
    assert keeper.settle() == 0
    assert keeper.rows("SELECT tx_hash, raw FROM attempts") == stored
    assert all(chain.receipt(tx_hash) is not None for tx_hash, _ in stored)
    assert chain.nonce == first + 3
    assert sorted(chain.liquidations(before).values()) == [1, 1, 1]
    assert keeper.intents() == Counter(achieved=3)


def test_bytes_the_node_already_has_are_no_complaint(chain: Chain, open_keeper: Open) -> None:
    class DiesAfterSending(PublicRoute):
        def send(self, signed: Sequence[bytes]) -> tuple[str, ...]:
            raise Crash(super().send(signed))

    doomed = open_keeper(chain, most=3, route=DiesAfterSending)
    with pytest.raises(Crash):
        doomed.tick()
    assert doomed.attempts() == Counter(signed=3)
    assert chain.rpc.call("txpool_status")["pending"] == "0x3"
    keeper = open_keeper(chain, most=3)
    assert keeper.settle() == 3
    assert keeper.rows("SELECT status, cause FROM attempts") == [("broadcast", "")] * 3
    assert chain.rpc.call("txpool_status")["pending"] == "0x3"


def test_intents_that_were_never_signed_expire_and_are_decided_afresh(chain: Chain, open_keeper: Open) -> None:
    class DeadSigner(Signer):
        def sign(self, tx: Unsigned) -> Signed:
            raise Crash(tx.nonce)

    doomed = open_keeper(chain, most=3, signer=DeadSigner)
    with pytest.raises(Crash):
        doomed.tick()
    assert doomed.intents() == Counter(intended=3)
    keeper, first = open_keeper(chain, most=3), chain.nonce
    chain.mine()
    keeper.tick()
    assert keeper.intents() == Counter(expired=3, live=3)
    chain.mine()
    keeper.settle()
    assert keeper.intents() == Counter(expired=3, achieved=3)
    assert chain.nonce == first + 3


@pytest.mark.parametrize("outcome", ["achieved", "lost"])
def test_a_crash_between_an_attempts_outcome_and_its_intents_is_made_good(
    chain: Chain, open_keeper: Open, outcome: str
) -> None:
    class DiesClosing:
        def __init__(self, journal: Any) -> None:
            self.journal = journal

        def __getattr__(self, name: str) -> Any:
            return getattr(self.journal, name)

        def close_intent(self, *_: object) -> None:
            raise Crash

    doomed = open_keeper(chain, most=1, route=PublicRoute if outcome == "achieved" else DeadRoute, wrap=DiesClosing)
    if outcome == "achieved":
        doomed.tick()
    else:
        with pytest.raises(Crash):
            doomed.tick()
        chain.foreign_transaction()
    chain.mine(LOST_DEPTH + 1)
    with pytest.raises(Crash):
        doomed.settle()
    assert (doomed.intents(), sum(doomed.attempts().values())) == (Counter(live=1), 1)

    keeper = open_keeper(chain, most=1)
    keeper.settle()
    assert keeper.intents() == Counter({outcome: 1})
    assert keeper.attempts() == Counter({"mined" if outcome == "achieved" else "lost": 1})


# --- what the network does ----------------------------------------------------------------------------


def test_a_lost_answer_is_no_reason_to_send_twice(chain: Chain, open_keeper: Open) -> None:
    keeper, first, before = open_keeper(chain, most=3, route=ForgetfulRoute), chain.nonce, chain.rpc.block().number
    planned = keeper.tick().plans
    assert keeper.attempts() == Counter(broadcast=3)
    assert {c for (c,) in keeper.rows("SELECT cause FROM attempts")} == {"no answer: connection reset"}
    chain.mine()
    keeper.settle()
    assert keeper.intents() == Counter(achieved=3)
    assert chain.liquidations(before) == Counter(p.account for p in planned if p.kind == "liquidate")
    assert chain.nonce == first + 3


def test_a_connection_that_breaks_after_the_node_took_the_bytes(chain: Chain, open_keeper: Open) -> None:
    with faulty_node(chain.anvil.port) as node:
        keeper, first = open_keeper(chain, most=3, url=node.url), chain.nonce
        node.mute_on = {"eth_sendRawTransaction"}
        keeper.tick()
        assert chain.rpc.call("txpool_status")["pending"] == "0x3"
        keeper.settle()  # offered again, and again without an answer
        node.mute_on = set()
        keeper.settle()  # "already imported" is success
        sent = Counter(raw for (raw,) in node.asked("eth_sendRawTransaction"))
        assert sorted(sent.values()) == [3, 3, 3]
        chain.mine()
        assert keeper.settle() == 0
        assert (keeper.intents(), chain.nonce) == (Counter(achieved=3), first + 3)


def test_a_node_that_cannot_be_reached_for_sending(chain: Chain, open_keeper: Open) -> None:
    with faulty_node(chain.anvil.port) as node:
        keeper, first = open_keeper(chain, most=3, url=node.url), chain.nonce
        node.deaf_to = {"eth_sendRawTransaction"}
        keeper.tick()
        assert chain.rpc.call("txpool_status")["pending"] == "0x0"
        node.deaf_to = set()
        chain.mine()
        keeper.settle()
        chain.mine()
        keeper.settle()
        assert (keeper.intents(), chain.nonce) == (Counter(achieved=3), first + 3)


def test_a_receipt_that_cannot_be_read_settles_nothing(chain: Chain, open_keeper: Open) -> None:
    with faulty_node(chain.anvil.port) as node:
        keeper = open_keeper(chain, most=3, url=node.url)
        keeper.tick()
        chain.mine(3)
        node.refuses = {"eth_getTransactionReceipt"}
        keeper.settle()
        assert (keeper.intents(), keeper.attempts()) == (Counter(live=3), Counter(broadcast=3))
        node.refuses = set()
        keeper.settle()
        assert keeper.intents() == Counter(achieved=3)


def test_a_nonce_used_by_somebody_else_loses_the_attempt_and_nothing_more(chain: Chain, open_keeper: Open) -> None:
    doomed, first, before = open_keeper(chain, most=1, route=DeadRoute), chain.nonce, chain.rpc.block().number
    with pytest.raises(Crash):
        doomed.tick()
    foreign = chain.foreign_transaction()
    chain.mine(LOST_DEPTH)
    keeper = open_keeper(chain, most=1)
    keeper.settle()
    assert keeper.attempts()["lost"] == 0  # not yet deep enough: a receipt may lag the head
    chain.mine()
    keeper = open_keeper(chain, most=1)
    assert keeper.settle() == 0
    assert (keeper.intents(), keeper.attempts()) == (Counter(lost=1), Counter(lost=1))
    assert keeper.causes("lost") == [f"nonce {first} was used by another transaction"]
    assert chain.receipt(foreign) is not None

    keeper.tick()
    chain.mine()
    keeper.settle()
    assert keeper.intents() == Counter(lost=1, achieved=1)
    assert keeper.rows("SELECT nonce, status FROM attempts") == [(first, "lost"), (first + 1, "mined")]
    assert sum(chain.liquidations(before).values()) == 1


def test_attempts_of_a_former_key_are_judged_by_that_keys_nonce(chain: Chain, open_keeper: Open) -> None:
    doomed, first = open_keeper(chain, most=2, route=DeadRoute), chain.nonce
    with pytest.raises(Crash):
        doomed.tick()
    other = Account.from_key("0x" + "07" * 32)
    chain.rpc.call("anvil_setBalance", other.address, hex(10**20))
    chain.rpc.call("anvil_setNonce", other.address, hex(first + 100))
    chain.mine(2)
    keeper = open_keeper(chain, most=2, key=other)
    assert keeper.settle() == 2
    assert keeper.attempts() == Counter(broadcast=2)
    chain.mine()
    keeper.settle()
    assert (keeper.intents(), chain.nonce) == (Counter(achieved=2), first + 2)


# --- depth and reorganisation -------------------------------------------------------------------------


def test_an_outcome_is_final_only_when_deep_enough(chain: Chain, open_keeper: Open) -> None:
    keeper = open_keeper(chain, most=2, limits=replace(LIMITS, confirmations=2))
    keeper.tick()
    for _ in range(2):  # mined, then one block on top
        chain.mine()
        assert keeper.settle() == 2
        assert (keeper.intents(), keeper.attempts()) == (Counter(live=2), Counter(broadcast=2))
    chain.mine()
    assert keeper.settle() == 0
    assert (keeper.intents(), keeper.attempts()) == (Counter(achieved=2), Counter(mined=2))


@pytest.mark.parametrize("how", ["rollback", "reorg"])
def test_a_reorganisation_brings_the_same_bytes_back(own_chain: Chain, open_keeper: Open, how: str) -> None:
    chain, before, first = own_chain, own_chain.rpc.block().number, own_chain.nonce
    keeper = open_keeper(chain, most=3, limits=replace(LIMITS, confirmations=2))
    keeper.tick()
    sent = keeper.rows("SELECT tx_hash, raw FROM attempts")
    chain.mine()
    keeper.tick()
    assert sum(chain.liquidations(before).values()) == 3

    chain.rpc.call("anvil_rollback", 1) if how == "rollback" else chain.rpc.call("anvil_reorg", 1, [])
    chain.rpc.call("anvil_dropAllTransactions")
    assert chain.nonce == first
    assert not chain.liquidations(before)
    if how == "rollback":
        chain.mine()  # another block takes the place of the lost one
    keeper.settle()
    assert set(sent) <= set(keeper.rows("SELECT tx_hash, raw FROM attempts"))
    chain.mine()
    assert all(chain.receipt(tx_hash) is not None for tx_hash, _ in sent)
    chain.mine(2)
    keeper.settle()
    nonces = [n for (n,) in keeper.rows("SELECT nonce FROM attempts ORDER BY nonce")]
    assert nonces == list(range(first, first + len(nonces)))
    assert max(chain.liquidations(before).values()) == 1
    assert keeper.attempts() == Counter(mined=chain.nonce - first)


# --- what is not sent ---------------------------------------------------------------------------------


def planned(keeper: Keeper) -> tuple[Tick, list[str]]:
    """Return what the keeper sees and whom it means to liquidate, before anything is done about it."""
    seen = look(keeper.world.heads.newest(), keeper.world, Stages())
    return seen, [p.account for p in seen.plans if p.kind == "liquidate"]


def intended(keeper: Keeper, seen: Tick) -> Any:
    """Journal what was seen as the tick does."""
    from keeper.loop import _record

    return keeper.world.journal.intend(_record(seen), seen.plans)


@pytest.mark.parametrize("late", [False, True])
def test_an_account_that_recovered_is_refused_by_the_protocol_before_anything_is_signed(
    chain: Chain, open_keeper: Open, late: bool
) -> None:
    """Also when the tick took so long that the block it knows (`late`) is no longer the newest."""
    keeper, first = open_keeper(chain, most=2), chain.nonce
    seen, accounts = planned(keeper)
    intents = intended(keeper, seen)
    batch = Batch(chain.rpc)
    deposit(batch, chain.deployment, accounts[0], 5_000_000 * USDC)
    batch.mine()
    keeper.world.executor.execute(intents, seen.head if late else keeper.world.heads.newest())
    status = dict(keeper.rows("SELECT subject, status FROM intents"))
    assert status == {accounts[0]: "refused", accounts[1]: "live"}
    assert keeper.causes("refused") == ["simulation: CH_EAV"]  # ClearingHouse: enough account value
    assert len(keeper.rows("SELECT * FROM attempts")) == 1
    chain.mine()
    assert chain.nonce == first + 1


def test_without_an_insurance_fund_bad_debt_is_refused_as_the_protocol_says(open_keeper: Open) -> None:
    for chain in fallen_world(insurance_fund=0):
        first = chain.nonce
        replay(chain.anvil.url, chain.deployment, DEEPER, block_seconds=0.0)
        keeper = open_keeper(chain)
        keeper.tick()
        refused = keeper.causes("refused")
        assert refused and set(refused) == {"simulation: CH_IIC"}  # ClearingHouse: insufficient insurance capacity
        chain.mine()
        sent = chain.nonce - first
        assert keeper.rows("SELECT count(*) FROM attempts") == [(sent,)]
        in_debt = {a for a, e in keeper.rows("SELECT account, equity FROM margins") if e is not None and e < 0}
        never = {s for s, st in keeper.rows("SELECT subject, status FROM intents") if st == "refused"}
        assert never & in_debt


def test_a_balance_for_three_sends_three(chain: Chain, open_keeper: Open) -> None:
    keeper, first = open_keeper(chain, most=8), chain.nonce
    purse = chain.purse_one_short_of(4)
    seen = keeper.tick()
    assert keeper.intents() == Counter(live=3, refused=5)
    assert all(f"{KEY.address} has {purse} wei" in c for c in keeper.causes("refused"))
    chosen = [s for s, st in keeper.rows("SELECT subject, status FROM intents ORDER BY id") if st == "live"]
    assert chosen == [p.account for p in seen.plans if p.kind == "liquidate"][:3]  # the worst
    chain.mine()
    assert chain.nonce == first + 3


def test_an_empty_purse_sends_nothing(chain: Chain, open_keeper: Open) -> None:
    keeper, first = open_keeper(chain, most=2), chain.nonce
    chain.purse_one_short_of(1)
    keeper.tick()
    chain.mine()
    assert keeper.intents() == Counter(refused=2)
    assert (keeper.rows("SELECT * FROM attempts"), chain.nonce) == ([], first)


def test_a_block_that_holds_four_gets_four(own_chain: Chain, open_keeper: Open) -> None:
    chain = own_chain
    chain.rpc.call("evm_setBlockGasLimit", hex(5 * GAS - 1))
    chain.mine()
    keeper, first = open_keeper(chain, most=8), chain.nonce
    keeper.tick()
    assert keeper.intents() == Counter(live=4, refused=4)
    chain.mine()
    keeper.settle()
    assert (keeper.attempts(), chain.nonce) == (Counter(mined=4), first + 4)


def test_no_more_transactions_than_the_operator_allows(chain: Chain, open_keeper: Open) -> None:
    keeper = open_keeper(chain, most=8, limits=replace(LIMITS, per_tick=2))
    keeper.tick()
    assert keeper.intents() == Counter(live=2, refused=6)
    assert all("signer.max_transactions_per_block is 2" in c for c in keeper.causes("refused"))


def test_a_base_fee_above_the_cap_signs_nothing(own_chain: Chain, open_keeper: Open) -> None:
    chain = own_chain
    chain.rpc.call("anvil_setNextBlockBaseFeePerGas", hex(200 * GWEI + 1))
    chain.mine()
    assert chain.rpc.block().base_fee == 200 * GWEI + 1
    keeper, first = open_keeper(chain, most=2), chain.nonce
    keeper.tick()
    assert keeper.intents() == Counter(refused=2)
    assert set(keeper.causes("refused")) == {f"base fee {200 * GWEI + 1} wei above signer.max_fee_gwei"}
    chain.mine()
    assert (keeper.rows("SELECT * FROM attempts"), chain.nonce) == ([], first)


def test_what_the_signer_refuses_is_closed_and_takes_no_nonce(chain: Chain, open_keeper: Open) -> None:
    class Choosy(Signer):
        refused = ""

        def sign(self, tx: Unsigned) -> Signed:
            account = tx.call.data[4:36].hex()
            Choosy.refused = Choosy.refused or account
            allowed = replace(tx, chain_id=1) if account == Choosy.refused else tx
            return super().sign(allowed)

    keeper, first = open_keeper(chain, most=3, signer=Choosy), chain.nonce
    keeper.tick()
    assert keeper.intents() == Counter(refused=1, live=2)
    assert keeper.causes("refused") == ["signer: chain id: expected 31337, found 1"]
    chain.mine()
    keeper.settle()
    assert keeper.rows("SELECT nonce, status FROM attempts") == [(first, "mined"), (first + 1, "mined")]


@pytest.mark.parametrize("mode", ["observe", "shadow"])
def test_who_only_watches_signs_nothing_and_sends_nothing(chain: Chain, open_keeper: Open, mode: Mode) -> None:
    keeper, first = open_keeper(chain, mode=mode, route=DeadRoute), chain.nonce
    seen = keeper.tick()
    chain.mine()
    keeper.tick()
    assert len(seen.plans) >= 12
    assert keeper.intents() == Counter(shadow=2 * len(seen.plans))
    assert set(keeper.causes("shadow")) == {f"signer.mode is {mode}: not signed"}
    assert (keeper.rows("SELECT * FROM attempts"), chain.nonce) == ([], first)


def test_shadow_simulates_and_observe_does_not(chain: Chain, open_keeper: Open) -> None:
    batch = Batch(chain.rpc)
    for mode, expected in (("observe", "shadow"), ("shadow", "refused")):
        keeper = open_keeper(chain, mode=mode, most=1)
        seen, accounts = planned(keeper)
        intents = intended(keeper, seen)
        deposit(batch, chain.deployment, accounts[0], 5_000_000 * USDC)
        batch.mine()
        keeper.world.executor.execute(intents, keeper.world.heads.newest())
        assert keeper.rows("SELECT status FROM intents ORDER BY id DESC LIMIT 1") == [(expected,)]


def test_a_keeper_set_to_watch_does_not_offer_what_was_signed_before(chain: Chain, open_keeper: Open) -> None:
    doomed, first = open_keeper(chain, most=2, route=DeadRoute), chain.nonce
    with pytest.raises(Crash):
        doomed.tick()
    watching = open_keeper(chain, mode="observe", route=DeadRoute, most=2)
    assert watching.settle() == 2
    chain.mine()
    assert (watching.attempts(), chain.nonce) == (Counter(signed=2), first)
