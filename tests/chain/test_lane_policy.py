"""Caps and quarantine on a lane over real Curie behind Geth's pool: what they stop, for how long, and who is told."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from lane_world import GAS, RULES, Fallen, LaneKeeper, Signing, fallen_world, liquidations, open_lane
from loose_signer import Loose

from keeper.chain import Block
from keeper.chaos import ChaosProxy
from keeper.lanes.books import used
from keeper.lanes.rules import Windows
from keeper.sending.fees import Market, Need, Offer, offer
from keeper.sending.limits import Ask, Books, permit
from keeper.sending.quarantine import UNPAID
from tests.signer_desk import ADDRESS


def finish(keeper: LaneKeeper, proxy: ChaosProxy, blocks: int = 3) -> None:
    for _ in range(blocks):
        proxy.mine()
        keeper.settle()


def worst(fallen: Fallen, blocks_left: int = 3) -> int:
    """Return what one liquidation costs at worst at the fees of now, wei, at the gas that simulation left it."""
    found = fallen.rpc.fee_history(5, fallen.rpc.block())
    fees = offer(Market(found.next_base_fee, found.tips), Need(GAS, 0, blocks_left), RULES.fees)
    assert isinstance(fees, Offer)
    return GAS * fees.max_fee


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
    assert all(cause.startswith("spend cap per hour: expected at most ") for cause in keeper.refusals())
    assert any("spend cap per hour" in alarm for alarm in keeper.alarms())
    finish(keeper, proxy)
    assert sum(liquidations(fallen, before).values()) == sent
    keeper.app.journal.close()
    signing.hang_up()
    again = open_lane(tmp_path, fallen, proxy, signing.client("two"), most=9, rules=rules)
    again.tick()
    assert again.refusals()[-1].startswith("spend cap per hour: expected at most ")
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
    assert keeper.kinds() == ["original"]
    spike = 20 * 10**9
    proxy.mine(base_fee=spike)
    keeper.settle()
    assert keeper.kinds() == ["original"]
    assert any("is not replaced: spend cap per hour" in a for a in keeper.alarms())


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
