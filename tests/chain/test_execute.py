"""Carrying out intents on real Curie: written first, sent once, settled from the chain; what goes wrong costs nothing.

What became of a transaction is asked of the chain, what was remembered is read from the database by a connection of
its own. The signer is its process, over its socket.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from eth_account import Account
from faulty_node import faulty_node
from lane_world import GAS, RULES, Fallen, LaneKeeper, Signing, fallen_world, kept, liquidations, open_lane

from keeper.chain import Receipt
from keeper.config import Config
from keeper.demo.curie import USDC, deposit
from keeper.demo.replay import replay
from keeper.demo.transactions import GWEI, Batch
from keeper.errors import JournalError
from keeper.executors import lane, silent, wish
from keeper.lanes.watch import LOST_DEPTH
from keeper.loop import Tick, _record, look
from keeper.sending.answers import AnswerClass
from keeper.sending.fees import Market, Need, Offer, offer
from keeper.signer.records import SignRequest
from keeper.stages import Stages
from keeper.submit.endpoints import Offered
from tests.signer_desk import ADDRESS

DEEPER = ((0, 6_334.44), (3_600, 5_000.0), (7_200, 4_000.0))
AT_ONCE = replace(RULES, confirmations=0, gas_margin_ppm=10**9)  # so that every liquidation has GAS as its limit

Open = Callable[..., LaneKeeper]


@pytest.fixture(scope="module")
def fallen() -> Iterator[Fallen]:
    """At least a dozen accounts are liquidatable. Shared: tests take `chain`."""
    with fallen_world() as world:
        yield world


@pytest.fixture
def chain(fallen: Fallen) -> Iterator[Fallen]:
    snapshot = fallen.rpc.call("evm_snapshot")
    yield fallen
    fallen.rpc.call("anvil_dropAllTransactions")
    assert fallen.rpc.call("evm_revert", snapshot) is True


@pytest.fixture
def own_chain() -> Iterator[Fallen]:
    """A world of its own, for tests that leave what a snapshot does not put back."""
    with fallen_world() as world:
        yield world


def mine(chain: Fallen, blocks: int = 1) -> None:
    for _ in range(blocks):
        chain.rpc.call("evm_mine")


def count(chain: Fallen) -> int:
    return chain.rpc.nonce(ADDRESS, chain.rpc.block())


def pooled(chain: Fallen) -> int:
    return int(chain.rpc.call("txpool_status")["pending"], 16)


def receipt(chain: Fallen, tx_hash: str) -> Receipt | None:
    (found,) = chain.rpc.receipts([tx_hash])
    assert found is None or isinstance(found, Receipt)
    return found


def purse_one_short_of(chain: Fallen, transactions: int) -> int:
    """Leave the keeper one wei less than so many transactions may cost at the present fees; return it."""
    mine(chain)
    found = chain.rpc.fee_history(5, chain.rpc.block())
    fees = offer(Market(found.next_base_fee, found.tips), Need(GAS, 0, 3), RULES.fees)
    assert isinstance(fees, Offer)
    purse = transactions * GAS * fees.max_fee - 1
    chain.rpc.call("anvil_setBalance", ADDRESS, hex(purse))
    return purse


def foreign_transaction(chain: Fallen) -> str:
    """Use the keeper's next nonce for something that the keeper knows nothing of."""
    chain.rpc.call("anvil_impersonateAccount", ADDRESS)
    found = chain.rpc.call("eth_sendTransaction", {"from": ADDRESS, "to": ADDRESS})
    chain.rpc.call("anvil_stopImpersonatingAccount", ADDRESS)
    return str(found)


def signed(keeper: LaneKeeper) -> list[tuple[Any, ...]]:
    """Return (nonce, hash, bytes) of everything signed, as the journal has it."""
    return keeper.rows("SELECT nonce, tx_hash, raw FROM slot_attempts a JOIN slots s ON s.id = slot_id ORDER BY a.id")


def causes(keeper: LaneKeeper, status: str) -> list[str]:
    return [cause for found, cause in keeper.rows("SELECT status, cause FROM intents") if found == status]


@pytest.fixture
def open_keeper(tmp_path: Path) -> Iterator[Open]:
    """Open a keeper on the journal in tmp_path; opening another is what a restart does: the first one's line is cut."""
    signing: list[Signing] = []
    opened: list[LaneKeeper] = []

    def build(chain: Fallen, *, node: Any = None, sign: Any = None, **parts: Any) -> LaneKeeper:
        if not signing:
            signing.append(Signing(tmp_path / "signer", chain.deployment.contracts.clearing_house))
        signing[0].hang_up()
        client: Any = signing[0].client(f"keeper {len(opened)}")
        signer = client if sign is None else With(client, sign=lambda asked: sign(client, asked))
        opened.append(open_lane(tmp_path, chain, node or chain, signer, **{"most": 30, "rules": AT_ONCE, **parts}))
        return opened[-1]

    yield build
    for keeper in opened:
        keeper.app.close()
    for process in signing:
        process.stop()


class Crash(BaseException):
    """The process is gone; nothing in the keeper catches it."""


class With:
    """A part of the keeper with some of its methods replaced."""

    def __init__(self, part: Any, **replaced: Callable[..., Any]) -> None:
        self._part, self._replaced = part, replaced

    def __getattr__(self, name: str) -> Any:
        return self._replaced.get(name) or getattr(self._part, name)


def crash(*_: object, **__: object) -> None:
    raise Crash


def dies(method: str) -> Callable[[Any], Any]:
    """Return what wraps a part so that its keeper dies on entering the method."""
    return lambda part: With(part, **{method: crash})


def dies_after(method: str) -> Callable[[Any], Any]:
    def wrap(part: Any) -> Any:
        def call(*given: Any, **named: Any) -> None:
            getattr(part, method)(*given, **named)
            raise Crash

        return With(part, **{method: call})

    return wrap


# --- the good way -------------------------------------------------------------------------------------


def test_ten_liquidations_of_one_tick_are_mined_in_the_next_block(chain: Fallen, open_keeper: Open) -> None:
    keeper, before, first = open_keeper(chain, most=10), chain.rpc.block().number, count(chain)
    seen = keeper.tick()
    assert len(seen.plans) == 10
    mine(chain)
    sent = signed(keeper)
    assert [nonce for nonce, *_ in sent] == list(range(first, first + 10))
    receipts = [receipt(chain, tx_hash) for _, tx_hash, _ in sent]
    assert all(r is not None and r.succeeded and r.block_number == before + 1 for r in receipts)
    wanted = Counter(p.account for p in seen.plans if p.kind == "liquidate")
    assert liquidations(chain, before) == wanted
    assert keeper.settle() == 0
    assert (keeper.intents(), keeper.slots()) == (Counter(achieved=10), Counter(final=10))
    assert count(chain) == first + 10


def test_it_goes_on_until_nobody_has_anything_left_to_take_over(chain: Fallen, open_keeper: Open) -> None:
    keeper, first = open_keeper(chain), count(chain)
    for _ in range(4):
        seen = keeper.tick()
        mine(chain)
    keeper.settle()
    assert not seen.plans
    assert all(v.mm == 0.0 and v.equity < 0.0 for v in seen.verdicts if v.status == "endangered")  # bad debt alone
    assert keeper.slots() == Counter(final=count(chain) - first)
    assert set(keeper.intents()) == {"achieved"}


def test_while_bytes_may_land_nothing_else_is_sent_for_the_same_account(chain: Fallen, open_keeper: Open) -> None:
    keeper, first, before = open_keeper(chain, most=5), count(chain), chain.rpc.block().number
    keeper.tick()
    for _ in range(3):
        chain.rpc.call("anvil_dropAllTransactions")  # the mempool forgot them; the keeper offers them again
        mine(chain)
        assert keeper.settle() == 5
    again = keeper.tick()
    held = {h.subject for h in again.holds if "under way" in h.reason}
    assert held == {account for (account,) in keeper.rows("SELECT subject FROM intents ORDER BY id LIMIT 5")}
    mine(chain)
    keeper.settle()
    assert sorted(liquidations(chain, before).values()) == [1] * (count(chain) - first)


# --- written first, then sent -------------------------------------------------------------------------


def test_every_step_is_durable_before_the_next_is_taken(chain: Fallen, open_keeper: Open) -> None:
    steps: list[str] = []
    opened: list[LaneKeeper] = []

    def sign(client: Any, asked: Sequence[SignRequest]) -> Any:
        (keeper,) = opened
        ((margins,),) = keeper.rows("SELECT count(*) FROM ticks JOIN margins ON margins.tick_id = ticks.id")
        assert margins > 60
        assert {nonce for (nonce,) in keeper.rows("SELECT nonce FROM slots")} == {one.nonce for one in asked}
        assert (keeper.intents(), signed(keeper)) == (Counter(live=3), [])
        steps.append("sign")
        return client.sign(asked)

    def outlets(endpoints: Any) -> Any:
        def send(raws: Sequence[bytes], to: Any = None) -> Any:
            (keeper,) = opened
            stored = {raw for *_, raw in signed(keeper)}
            rows = keeper.rows("SELECT answer_class, raw FROM offers JOIN slot_attempts a ON a.id = attempt_id")
            assert raws and set(raws) <= stored
            assert {raw for answer, raw in rows if answer is None} == set(raws)
            assert pooled(chain) == 0
            steps.append("send")
            return endpoints.offer(raws, to=to)

        return With(endpoints, offer=send)

    def ledger(journal: Any) -> Any:
        def noted(name: str) -> Callable[..., Any]:
            def call(*given: Any, **named: Any) -> Any:
                steps.append(name)
                return getattr(journal, name)(*given, **named)

            return call

        return With(journal, **{name: noted(name) for name in ("reserve", "stored", "offering", "answered")})

    opened.append(open_keeper(chain, most=3, sign=sign, outlets=outlets, ledger=ledger))
    opened[0].tick()
    assert steps == ["reserve", "sign", "stored", "offering", "send", "answered"]
    assert opened[0].slots() == Counter(offered=3)


@pytest.mark.parametrize("doomed_part", ["before the offers are noted", "before the bytes leave"])
def test_bytes_that_never_left_are_offered_unchanged(chain: Fallen, open_keeper: Open, doomed_part: str) -> None:
    noted = doomed_part == "before the bytes leave"
    parts = {"outlets": dies("offer")} if noted else {"ledger": dies("offering")}
    first, before = count(chain), chain.rpc.block().number
    doomed = open_keeper(chain, most=3, **parts)
    with pytest.raises(Crash):
        doomed.tick()
    stored = signed(doomed)
    assert (doomed.slots(), pooled(chain)) == (Counter({"offered" if noted else "signed": 3}), 0)

    keeper = open_keeper(chain, most=3)
    assert keeper.settle() == 3
    assert keeper.slots() == Counter(offered=3)
    mine(chain)
    assert keeper.settle() == 0
    assert signed(keeper) == stored
    assert all(receipt(chain, tx_hash) is not None for _, tx_hash, _ in stored)
    assert count(chain) == first + 3
    assert sorted(liquidations(chain, before).values()) == [1, 1, 1]
    assert keeper.intents() == Counter(achieved=3)


def test_bytes_the_node_already_has_are_no_complaint(chain: Fallen, open_keeper: Open) -> None:
    doomed = open_keeper(chain, most=3, outlets=dies_after("offer"))
    with pytest.raises(Crash):
        doomed.tick()
    assert pooled(chain) == 3
    keeper = open_keeper(chain, most=3)
    assert keeper.settle() == 3
    answers = [answer for (answer,) in keeper.rows("SELECT answer_class FROM offers ORDER BY id")]
    assert answers == [None] * 3 + ["ALREADY_KNOWN"] * 3
    assert pooled(chain) == 3


def test_intents_that_were_never_signed_expire_and_are_decided_afresh(chain: Fallen, open_keeper: Open) -> None:
    doomed, first = open_keeper(chain, most=3, sign=crash), count(chain)
    with pytest.raises(Crash):
        doomed.tick()
    assert (doomed.intents(), doomed.slots()) == (Counter(live=3), Counter(reserved=3))
    keeper = open_keeper(chain, most=3)
    mine(chain)
    keeper.tick()
    assert keeper.intents() == Counter(expired=3, live=3)
    mine(chain)
    keeper.settle()
    assert keeper.intents() == Counter(expired=3, achieved=3)
    assert keeper.slots() == Counter(released=3, final=3)
    assert count(chain) == first + 3


@pytest.mark.parametrize("outcome", ["achieved", "lost"])
def test_a_crash_before_an_outcome_is_written_is_made_good(chain: Fallen, open_keeper: Open, outcome: str) -> None:
    ledger = dies("final" if outcome == "achieved" else "lost")
    parts = {} if outcome == "achieved" else {"outlets": dies("offer")}
    doomed = open_keeper(chain, most=1, ledger=ledger, **parts)
    if outcome == "achieved":
        doomed.tick()
    else:
        with pytest.raises(Crash):
            doomed.tick()
        foreign_transaction(chain)
    mine(chain, LOST_DEPTH + 1)
    with pytest.raises(Crash):
        doomed.settle()
    assert doomed.intents() == Counter(live=1)

    keeper = open_keeper(chain, most=1)
    keeper.settle()
    assert keeper.intents() == Counter({outcome: 1})
    assert keeper.slots() == Counter({"final" if outcome == "achieved" else "lost": 1})


# --- what the network does ----------------------------------------------------------------------------


def test_a_lost_answer_is_no_reason_to_send_twice(chain: Fallen, open_keeper: Open) -> None:
    def forgetful(endpoints: Any) -> Any:
        def send(raws: Sequence[bytes], to: Any = None) -> Any:
            said = endpoints.offer(raws, to=to)
            assert {one.answer for one in said} == {AnswerClass.ACCEPTED}
            lost = AnswerClass.NODE_UNAVAILABLE
            return tuple(Offered(one.endpoint, one.tx_hash, lost, "connection reset") for one in said)

        return With(endpoints, offer=send)

    keeper, first, before = open_keeper(chain, most=3, outlets=forgetful), count(chain), chain.rpc.block().number
    planned = keeper.tick().plans
    assert keeper.slots() == Counter(offered=3)
    assert {text for (text,) in keeper.rows("SELECT answer_text FROM offers")} == {"connection reset"}
    mine(chain)
    keeper.settle()
    assert keeper.intents() == Counter(achieved=3)
    assert liquidations(chain, before) == Counter(p.account for p in planned if p.kind == "liquidate")
    assert count(chain) == first + 3


def port(chain: Fallen) -> int:
    found = urlsplit(chain.url).port
    assert found is not None
    return found


def test_a_connection_that_breaks_after_the_node_took_the_bytes(chain: Fallen, open_keeper: Open) -> None:
    with faulty_node(port(chain)) as node:
        keeper, first = open_keeper(chain, most=3, node=node), count(chain)
        node.mute_on = {"eth_sendRawTransaction"}
        keeper.tick()
        assert pooled(chain) == 3
        keeper.settle()  # offered again, and again without an answer
        node.mute_on = set()
        keeper.settle()  # "already imported" is success
        sent = Counter(raw for (raw,) in node.asked("eth_sendRawTransaction"))
        assert sorted(sent.values()) == [3, 3, 3]
        mine(chain)
        assert keeper.settle() == 0
        assert (keeper.intents(), count(chain)) == (Counter(achieved=3), first + 3)


def test_a_node_that_cannot_be_reached_for_sending(chain: Fallen, open_keeper: Open) -> None:
    with faulty_node(port(chain)) as node:
        keeper, first = open_keeper(chain, most=3, node=node), count(chain)
        node.deaf_to = {"eth_sendRawTransaction"}
        keeper.tick()
        assert pooled(chain) == 0
        node.deaf_to = set()
        mine(chain)
        keeper.settle()
        mine(chain)
        keeper.settle()
        assert (keeper.intents(), count(chain)) == (Counter(achieved=3), first + 3)


def test_a_receipt_that_cannot_be_read_settles_nothing(chain: Fallen, open_keeper: Open) -> None:
    with faulty_node(port(chain)) as node:
        keeper = open_keeper(chain, most=3, node=node)
        keeper.tick()
        mine(chain, 3)
        node.refuses = {"eth_getTransactionReceipt"}
        keeper.settle()
        assert (keeper.intents(), keeper.slots()) == (Counter(live=3), Counter(offered=3))
        node.refuses = set()
        keeper.settle()
        assert keeper.intents() == Counter(achieved=3)


def test_a_nonce_used_by_somebody_else_loses_the_slot_and_nothing_more(chain: Fallen, open_keeper: Open) -> None:
    doomed, first, before = open_keeper(chain, most=1, outlets=dies("offer")), count(chain), chain.rpc.block().number
    with pytest.raises(Crash):
        doomed.tick()
    foreign = foreign_transaction(chain)
    mine(chain, LOST_DEPTH)
    keeper = open_keeper(chain, most=1)
    keeper.settle()
    assert keeper.slots()["lost"] == 0  # not yet deep enough: a receipt may lag the head
    mine(chain)
    keeper = open_keeper(chain, most=1)
    assert keeper.settle() == 0
    assert (keeper.intents(), keeper.slots()) == (Counter(lost=1), Counter(lost=1))
    assert causes(keeper, "lost") == [f"nonce {first} was used by a transaction that is not ours"]
    assert receipt(chain, foreign) is not None

    keeper.tick()
    mine(chain)
    keeper.settle()
    assert keeper.intents() == Counter(lost=1, achieved=1)
    assert keeper.rows("SELECT nonce, state FROM slots") == [(first, "lost"), (first + 1, "final")]
    assert sum(liquidations(chain, before).values()) == 1


def test_what_a_former_key_has_open_is_seen_through_first(chain: Fallen, open_keeper: Open) -> None:
    keeper = open_keeper(chain, most=2)
    keeper.tick()
    app = keeper.app
    other: Config = app.config.model_copy(
        update={"signer": app.config.signer.model_copy(update={"address": Account.create().address})}
    )
    with pytest.raises(JournalError, match=f"expected no open nonce of another key, found 2 of {ADDRESS}"):
        lane(other, app.rpc, app.venue, app.journal, crash)  # type: ignore[arg-type]
    mine(chain)
    keeper.settle()
    lane(other, app.rpc, app.venue, app.journal, crash)  # type: ignore[arg-type]


# --- depth and reorganisation -------------------------------------------------------------------------


def test_an_outcome_is_final_only_when_deep_enough(chain: Fallen, open_keeper: Open) -> None:
    keeper = open_keeper(chain, most=2, rules=replace(RULES, confirmations=2))
    keeper.tick()
    for _ in range(2):  # mined, then one block on top
        mine(chain)
        assert keeper.settle() == 0  # nothing waits to be mined
        assert (keeper.intents(), keeper.slots()) == (Counter(live=2), Counter(mined=2))
    mine(chain)
    keeper.settle()
    assert (keeper.intents(), keeper.slots()) == (Counter(achieved=2), Counter(final=2))


@pytest.mark.parametrize("how", ["rollback", "reorg"])
def test_a_reorganisation_brings_the_same_bytes_back(own_chain: Fallen, open_keeper: Open, how: str) -> None:
    chain, before, first = own_chain, own_chain.rpc.block().number, count(own_chain)
    keeper = open_keeper(chain, most=3, rules=replace(RULES, confirmations=2))
    keeper.tick()
    sent = signed(keeper)
    mine(chain)
    keeper.tick()
    assert sum(liquidations(chain, before).values()) == 3

    chain.rpc.call("anvil_rollback", 1) if how == "rollback" else chain.rpc.call("anvil_reorg", 1, [])
    chain.rpc.call("anvil_dropAllTransactions")
    assert count(chain) == first
    assert not liquidations(chain, before)
    if how == "rollback":
        mine(chain)  # another block takes the place of the lost one
    keeper.settle()
    assert set(sent) <= set(signed(keeper))
    mine(chain)
    assert all(receipt(chain, tx_hash) is not None for _, tx_hash, _ in sent)
    mine(chain, 2)
    keeper.settle()
    nonces = [n for (n,) in keeper.rows("SELECT nonce FROM slots ORDER BY nonce")]
    assert nonces == list(range(first, first + len(nonces)))
    assert max(liquidations(chain, before).values()) == 1
    assert keeper.slots() == Counter(final=count(chain) - first)


# --- what is not sent ---------------------------------------------------------------------------------


def planned(keeper: LaneKeeper) -> tuple[Tick, list[str]]:
    """Return what the keeper sees and whom it means to liquidate, before anything is done about it."""
    seen = look(keeper.world.heads.newest(), keeper.world, Stages())
    return seen, [p.account for p in seen.plans if p.kind == "liquidate"]


def intended(keeper: LaneKeeper, seen: Tick) -> Any:
    """Journal what was seen as the tick does."""
    return keeper.world.journal.intend(_record(seen), seen.plans)


@pytest.mark.parametrize("late", [False, True])
def test_an_account_that_recovered_is_refused_by_the_protocol_before_anything_is_signed(
    chain: Fallen, open_keeper: Open, late: bool
) -> None:
    """Also when the tick took so long that the block it knows (`late`) is no longer the newest."""
    keeper, first = open_keeper(chain, most=2), count(chain)
    keeper.settle()
    seen, accounts = planned(keeper)
    intents = intended(keeper, seen)
    batch = Batch(chain.rpc)
    deposit(batch, chain.deployment, accounts[0], 5_000_000 * USDC)
    batch.mine()
    keeper.lane.execute(intents, seen.head if late else keeper.world.heads.newest(), Stages())
    status = dict(keeper.rows("SELECT subject, status FROM intents"))
    assert status == {accounts[0]: "refused", accounts[1]: "live"}
    assert causes(keeper, "refused") == ["simulation: CH_EAV"]  # ClearingHouse: enough account value
    assert len(signed(keeper)) == 1
    mine(chain)
    assert count(chain) == first + 1


def test_without_an_insurance_fund_bad_debt_is_refused_as_the_protocol_says(open_keeper: Open) -> None:
    with fallen_world(insurance_fund=0) as chain:
        first = count(chain)
        replay(chain.url, chain.deployment, DEEPER, block_seconds=0.0)
        keeper = open_keeper(chain)
        keeper.tick()
        refused = causes(keeper, "refused")
        assert refused and set(refused) == {"simulation: CH_IIC"}  # ClearingHouse: insufficient insurance capacity
        mine(chain)
        assert len(signed(keeper)) == count(chain) - first
        in_debt = {a for a, e in keeper.rows("SELECT account, equity FROM margins") if e is not None and e < 0}
        never = {s for s, st in keeper.rows("SELECT subject, status FROM intents") if st == "refused"}
        assert never & in_debt


def test_a_balance_for_three_sends_three(chain: Fallen, open_keeper: Open) -> None:
    keeper, first = open_keeper(chain, most=8), count(chain)
    purse = purse_one_short_of(chain, 4)
    seen = keeper.tick()
    assert keeper.intents() == Counter(live=3, refused=5)
    each = (purse + 1) // 4
    left = f"balance: expected {each} wei beside what is at stake, found {each - 1}; it is not sent"
    assert all(c.startswith(left) for c in causes(keeper, "refused"))
    chosen = [s for s, st in keeper.rows("SELECT subject, status FROM intents ORDER BY id") if st == "live"]
    assert chosen == [p.account for p in seen.plans if p.kind == "liquidate"][:3]  # the worst
    mine(chain)
    assert count(chain) == first + 3


def test_an_empty_purse_sends_nothing(chain: Fallen, open_keeper: Open) -> None:
    keeper, first = open_keeper(chain, most=2), count(chain)
    purse_one_short_of(chain, 1)
    keeper.tick()
    mine(chain)
    assert keeper.intents() == Counter(refused=2)
    assert (signed(keeper), count(chain)) == ([], first)


def test_a_block_that_holds_four_gets_four(own_chain: Fallen, open_keeper: Open) -> None:
    chain = own_chain
    chain.rpc.call("evm_setBlockGasLimit", hex(5 * GAS - 1))
    mine(chain)
    keeper, first = open_keeper(chain, most=8), count(chain)
    keeper.tick()
    assert keeper.intents() == Counter(live=4, refused=4)
    mine(chain)
    keeper.settle()
    assert (keeper.slots(), count(chain)) == (Counter(final=4), first + 4)


def test_no_more_transactions_than_the_operator_allows(chain: Fallen, open_keeper: Open) -> None:
    keeper = open_keeper(chain, most=8, rules=replace(AT_ONCE, per_block=2))
    keeper.tick()
    assert keeper.intents() == Counter(live=2, refused=6)
    assert all("signer.max_transactions_per_block is 2" in c for c in causes(keeper, "refused"))


def test_a_base_fee_above_the_cap_signs_nothing(own_chain: Fallen, open_keeper: Open) -> None:
    chain = own_chain
    chain.rpc.call("anvil_setNextBlockBaseFeePerGas", hex(300 * GWEI))
    mine(chain)  # empty, so the next one's is an eighth lower
    keeper, first = open_keeper(chain, most=2), count(chain)
    keeper.tick()
    assert keeper.intents() == Counter(refused=2)
    allowed = RULES.fees.max_fee
    (cause,) = set(causes(keeper, "refused"))
    assert cause.startswith("base fee above the cap: ") and cause.endswith(f" wei wanted, {allowed} allowed")
    mine(chain)
    assert (signed(keeper), count(chain)) == ([], first)


def test_what_the_signer_refuses_is_closed_and_takes_no_nonce(chain: Fallen, open_keeper: Open) -> None:
    unwanted: list[bytes] = []

    def sign(client: Any, asked: Sequence[SignRequest]) -> Any:
        unwanted[:] = unwanted or [asked[0].data]
        return client.sign([replace(one, chain_id=1) if one.data in unwanted else one for one in asked])

    keeper, first = open_keeper(chain, most=3, sign=sign), count(chain)
    keeper.tick()
    assert keeper.intents() == Counter(refused=1, live=2)
    (cause,) = causes(keeper, "refused")
    assert "chain_id" in cause and "31337" in cause
    mine(chain)
    keeper.settle()
    final = keeper.rows("SELECT nonce FROM slots WHERE state = 'final' ORDER BY nonce")
    assert final == [(first,), (first + 1,)]


# --- modes that sign nothing --------------------------------------------------------------------------


def watching(keeper: LaneKeeper, mode: str, most: int) -> LaneKeeper:
    """Return the keeper as the application wires it for a mode that does not sign."""
    app = keeper.app
    config = app.config.model_copy(
        update={"signer": app.config.signer.model_copy(update={"mode": mode, "address": ADDRESS})}
    )
    executor = silent(config, app.rpc, app.venue, app.journal, wish(config, signing=True))
    return kept(app, executor, keeper.folder, most)


@pytest.mark.parametrize("mode", ["observe", "shadow"])
def test_who_only_watches_signs_nothing_and_sends_nothing(chain: Fallen, open_keeper: Open, mode: str) -> None:
    keeper, first = watching(open_keeper(chain), mode, 30), count(chain)
    seen = keeper.tick()
    mine(chain)
    keeper.tick()
    assert len(seen.plans) >= 12
    assert keeper.intents() == Counter(shadow=2 * len(seen.plans))
    assert set(causes(keeper, "shadow")) == {f"signer.mode is {mode}: not signed"}
    assert (signed(keeper), count(chain)) == ([], first)


def test_shadow_simulates_and_observe_does_not(chain: Fallen, open_keeper: Open) -> None:
    batch, opened = Batch(chain.rpc), open_keeper(chain)
    for mode, expected in (("observe", "shadow"), ("shadow", "refused")):
        keeper = watching(opened, mode, 1)
        seen, accounts = planned(keeper)
        intents = intended(keeper, seen)
        deposit(batch, chain.deployment, accounts[0], 5_000_000 * USDC)
        batch.mine()
        keeper.lane.execute(intents, keeper.world.heads.newest(), Stages())
        assert keeper.rows("SELECT status FROM intents ORDER BY id DESC LIMIT 1") == [(expected,)]


def test_a_keeper_set_to_watch_does_not_offer_what_was_signed_before(chain: Fallen, open_keeper: Open) -> None:
    doomed, first = open_keeper(chain, most=2, ledger=dies("offering")), count(chain)
    with pytest.raises(Crash):
        doomed.tick()
    keeper = watching(doomed, "observe", 2)
    assert keeper.settle() == 2
    mine(chain)
    assert (keeper.slots(), count(chain)) == (Counter(signed=2), first)
