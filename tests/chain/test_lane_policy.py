"""Caps, quarantine, gaps and nodes' answers on a lane over real Curie behind Geth's pool; the chain is asked."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from eth_account import Account
from lane_world import GAS, RULES, Fallen, LaneKeeper, Signing, fallen_world, liquidations, open_lane, reverted

from keeper.chain import Block
from keeper.chaos import ChaosProxy
from keeper.chaos.faults import Error, Fault, sends
from keeper.lanes.books import used
from keeper.lanes.rules import Windows
from keeper.loop import Stages, _record, look
from keeper.sending.fees import Market, Need, Offer, offer
from keeper.sending.limits import Ask, Books, permit
from keeper.sending.quarantine import UNPAID
from keeper.signer.keystore import Key
from keeper.signer.records import NONE_FINAL, Grant, LedgerState, Refusal, SignedBytes, SignRequest
from tests.signer_desk import ADDRESS, SECRET

NO_FUNDS = "insufficient funds for gas * price + value: balance 1, tx cost 9, overshot 8"
LIMITED = "in-flight transaction limit reached for delegated accounts"


@pytest.fixture(scope="module")
def shared() -> Iterator[Fallen]:
    with fallen_world() as fallen:
        yield fallen


@pytest.fixture
def fallen(shared: Fallen) -> Iterator[Fallen]:
    snapshot = shared.rpc.call("evm_snapshot")
    yield shared
    shared.rpc.call("anvil_dropAllTransactions")
    assert shared.rpc.call("evm_revert", snapshot) is True


@pytest.fixture
def proxy(fallen: Fallen) -> Iterator[ChaosProxy]:
    with ChaosProxy(fallen.url, seed=1, geth_pool=True) as proxy:
        yield proxy


@pytest.fixture
def signing(tmp_path: Path, fallen: Fallen) -> Iterator[Signing]:
    signing = Signing(tmp_path / "signer", fallen.deployment.contracts.clearing_house)
    yield signing
    signing.stop()


def finish(keeper: LaneKeeper, proxy: ChaosProxy, blocks: int = 3) -> None:
    for _ in range(blocks):
        proxy.mine()
        keeper.settle()


def count(fallen: Fallen) -> int:
    return fallen.rpc.nonce(ADDRESS, fallen.rpc.block())


def worst(fallen: Fallen, blocks_left: int = 3) -> int:
    """Return what one liquidation costs at worst at the fees of now, wei, at the gas that simulation left it."""
    found = fallen.rpc.fee_history(5, fallen.rpc.block())
    fees = offer(Market(found.next_base_fee, found.tips), Need(GAS, 0, blocks_left), RULES.fees)
    assert isinstance(fees, Offer)
    return GAS * fees.max_fee


def causes(keeper: LaneKeeper, status: str = "refused") -> list[str]:
    return [cause for (cause,) in keeper.rows(f"SELECT cause FROM intents WHERE status = '{status}' ORDER BY id")]


def alarms(keeper: LaneKeeper) -> list[str]:
    return list(keeper.lane.status()["alarms"])  # type: ignore[call-overload]


def kinds(keeper: LaneKeeper) -> list[str]:
    return [kind for (kind,) in keeper.rows("SELECT kind FROM slot_attempts ORDER BY id")]


# --- the line --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "at_once"), [("internal error", 1), ("nonce too high: tx nonce 12, gapped nonce 10", 4)]
)
def test_a_nonce_that_a_node_refused_is_there_again_a_block_later(
    tmp_path: Path, fallen: Fallen, proxy: ChaosProxy, signing: Signing, message: str, at_once: int
) -> None:
    """T4: an error for one nonce after the keeper has given away those above it; told of a gap, at once."""
    before, first = fallen.rpc.block().number, count(fallen)
    fault = proxy.add(Fault(Error(message=message), sends(nonce=first + 1, last=1)))
    keeper = open_lane(tmp_path, fallen, proxy, signing.client("one"), most=4)
    keeper.tick()
    assert proxy.hits(fault) == 1
    proxy.mine()
    assert sum(liquidations(fallen, before).values()) == at_once
    keeper.settle()
    proxy.mine()
    assert sorted(liquidations(fallen, before).values()) == [1] * 4
    assert kinds(keeper) == ["original"] * 4


class Loose:
    """A signer without a watermark, as one that was told to forgive: it signs above a nonce that it refused."""

    address = ADDRESS

    def __init__(self, refuses: int) -> None:
        self._key, self._refuses = Key(Account.from_key(SECRET)), {refuses}
        self._signed: list[SignedBytes] = []

    def hello(self, state: LedgerState) -> Grant:
        return Grant(1, 10**6, state.next_nonce - 1, NONE_FINAL)

    def renew(self) -> Grant:
        return Grant(1, 10**6, 0, NONE_FINAL)

    def sign(self, requests: Sequence[SignRequest]) -> tuple[SignedBytes | Refusal, ...]:
        return tuple(self._one(request) for request in requests)

    def _one(self, asked: SignRequest) -> SignedBytes | Refusal:
        if asked.nonce in self._refuses:
            self._refuses.clear()
            return Refusal("selector", "expected another call")
        tx_hash, raw = self._key.sign(asked)
        one = SignedBytes(
            1, asked.request_id, asked.nonce, asked.kind, asked.intent, asked.effects, "", tx_hash, raw, 0, 0
        )
        self._signed.append(one)
        return one

    def signed(self, from_nonce: int) -> tuple[SignedBytes, ...]:
        return tuple(one for one in self._signed if one.nonce >= from_nonce)

    def final(self, nonce: int) -> int:
        return nonce


@pytest.mark.parametrize("jobs_next", [0, 1])
def test_an_empty_nonce_below_live_ones_is_filled_within_a_block(
    tmp_path: Path, fallen: Fallen, proxy: ChaosProxy, jobs_next: int
) -> None:
    """By the next job, and where there is none by a transfer of nothing."""
    before, first = fallen.rpc.block().number, count(fallen)
    keeper = open_lane(tmp_path, fallen, proxy, Loose(refuses=first), most=4)
    keeper.tick()
    assert keeper.rows("SELECT nonce FROM slots WHERE state = 'offered'") == [(first + n,) for n in (1, 2, 3)]
    assert liquidations(fallen, before) == Counter()
    proxy.mine()
    if jobs_next:
        head = keeper.world.heads.newest()
        seen = look(head, keeper.world, Stages())
        keeper.lane.execute(keeper.app.journal.intend(_record(seen), seen.plans), head, Stages())
    else:
        keeper.settle()
    proxy.mine()
    ((purpose,),) = keeper.rows(f"SELECT purpose FROM slots WHERE state <> 'released' AND nonce = {first}")
    assert purpose == ("call" if jobs_next else "filler")
    assert count(fallen) >= first + 4
    assert sum(liquidations(fallen, before).values()) >= 3
    assert set(liquidations(fallen, before).values()) == {1} and reverted(fallen, before) == 0


# --- caps ------------------------------------------------------------------------------------------------


def test_a_cap_stops_with_an_alarm_outlives_a_restart_and_ends_with_its_window(
    tmp_path: Path, fallen: Fallen, proxy: ChaosProxy, signing: Signing
) -> None:
    before = fallen.rpc.block().number
    hour = 3 * worst(fallen)
    rules = replace(RULES, windows=Windows(10**20, hour, 10**20))
    keeper = open_lane(tmp_path, fallen, proxy, signing.client("one"), most=9, rules=rules)
    keeper.tick()
    sent = keeper.intents()["live"]
    assert sent >= 3 and keeper.intents() == Counter(live=sent, refused=9 - sent)
    assert all(cause.startswith("spend cap per hour: expected at most ") for cause in causes(keeper))
    assert any("spend cap per hour" in alarm for alarm in alarms(keeper))
    finish(keeper, proxy)
    assert sum(liquidations(fallen, before).values()) == sent
    keeper.app.journal.close()
    signing.hang_up()
    again = open_lane(tmp_path, fallen, proxy, signing.client("two"), most=9, rules=rules)
    again.tick()
    assert causes(again)[-1].startswith("spend cap per hour: expected at most ")
    head = fallen.rpc.block()
    paid = [one.timestamp for one in again.app.journal.spends(ADDRESS, 0)]
    stop = permit(Ask(hour), spent_at(again, head), rules.caps)
    assert stop is not None and stop.cap == "hour"
    assert permit(Ask(hour), spent_at(again, replace(head, timestamp=max(paid) + 3_600)), rules.caps) is None


def spent_at(keeper: LaneKeeper, block: Block) -> Books:
    return used(keeper.app.journal, ADDRESS, block, priced=False).books


def test_a_replacement_waits_for_the_window_too(
    tmp_path: Path, fallen: Fallen, proxy: ChaosProxy, signing: Signing
) -> None:
    hour = worst(fallen) * 21 // 20
    rules = replace(RULES, windows=Windows(10**20, hour, 10**20))
    keeper = open_lane(tmp_path, fallen, proxy, signing.client("one"), most=1, rules=rules)
    keeper.tick()
    assert kinds(keeper) == ["original"]
    spike = 20 * 10**9
    proxy.mine(base_fee=spike)
    keeper.settle()
    assert kinds(keeper) == ["original"]
    assert any("is not replaced: spend cap per hour" in a for a in alarms(keeper))


# --- answers -----------------------------------------------------------------------------------------------


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
    assert all("funds do not suffice" in cause for cause in causes(keeper)) and causes(keeper)
    assert any("funds do not suffice" in a for a in alarms(keeper))
    proxy.remove(fault)
    proxy.mine()
    keeper.tick()  # offers again what waits and, taken now, opens the next
    assert sum(keeper.slots().values()) == 4
    proxy.mine()
    assert sorted(liquidations(fallen, before).values()) == [1] * 4


def test_a_delegated_key_has_one_transaction_in_flight(
    tmp_path: Path, fallen: Fallen, proxy: ChaosProxy, signing: Signing
) -> None:
    before, first = fallen.rpc.block().number, count(fallen)
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
    first = count(fallen)
    keeper = open_lane(tmp_path, fallen, proxy, signing.client("one"), most=1)
    fault = proxy.add(Fault(Error(message=message), sends(nonce=first, last=max(len(then) - 1, 1))))
    keeper.tick()
    for _ in then[1:]:
        proxy.mine()
        keeper.settle()
    assert proxy.hits(fault) == max(len(then) - 1, 1)
    assert kinds(keeper) == then
    finish(keeper, proxy, 4)
    assert count(fallen) == first + 1
    assert keeper.intents() == (Counter(cancelled=1) if then[-1] == "cancel" else Counter(achieved=1))


# --- quarantine ----------------------------------------------------------------------------------------------


def test_who_is_refused_again_and_again_stays_out_and_nobody_else_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Accounts with bad debt and no insurance fund; a new keeper on the same journal leaves them alone as well."""
    with fallen_world(insurance_fund=0) as fallen, ChaosProxy(fallen.url, seed=1, geth_pool=True) as proxy:
        before = fallen.rpc.block().number
        signer = Loose(refuses=-1)
        keeper = open_lane(tmp_path, fallen, proxy, signer, most=40)
        for _ in range(UNPAID.tolerated + 1):
            keeper.tick()
            later(fallen, proxy, 1)
        refused = Counter(s for (s,) in keeper.rows("SELECT subject FROM intents WHERE status = 'refused'"))
        stubborn = {subject for subject, times in refused.items() if times == UNPAID.tolerated + 1}
        assert stubborn
        seen = keeper.tick()
        held = {hold.subject: hold.reason for hold in seen.holds}
        assert all("quarantined to second" in held[subject] for subject in stubborn)
        assert any("USD at risk stay undone" in record.message for record in caplog.records)
        assert set(liquidations(fallen, before)) and not stubborn & set(liquidations(fallen, before))
        keeper.app.journal.close()
        again = open_lane(tmp_path, fallen, proxy, signer, most=40)
        later(fallen, proxy, 1)
        held = {hold.subject: hold.reason for hold in again.tick().holds}
        assert all("quarantined" in held[subject] for subject in stubborn)
        later(fallen, proxy, UNPAID.first_s)
        assert stubborn & {plan.subject for plan in again.tick().plans}


def later(fallen: Fallen, proxy: ChaosProxy, seconds: int) -> None:
    """Mine a block so many seconds after the last one, however long the test took."""
    proxy.mine(timestamp=fallen.rpc.block().timestamp + seconds)
