"""Two keys on real Curie behind Geth's pool: both are used, nothing is done twice, one in trouble leaves its work."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from lane_world import CHAIN_ID, RULES, Fallen, LaneKeeper, Signing, liquidations, open_lane
from two_keys import SECOND, SIZE, two_key_world

from keeper.chaos import ChaosProxy
from keeper.chaos.faults import Drop, Fault, sends
from keeper.demo.transactions import GWEI
from keeper.errors import SignerUnreachable
from keeper.lanes.seat import Seat
from tests.signer_desk import ADDRESS


@pytest.fixture(scope="module")
def shared() -> Iterator[Fallen]:
    with two_key_world() as fallen:
        yield fallen


@pytest.fixture
def signing(tmp_path: Path, fallen: Fallen) -> Iterator[Signing]:
    signing = Signing(tmp_path / "signer", fallen.deployment.contracts.clearing_house, [SECOND])
    yield signing
    signing.stop()


def opened(folder: Path, fallen: Fallen, proxy: ChaosProxy, signing: Signing, holder: str = "one") -> LaneKeeper:
    first, second = (signing.client(holder, address) for address in (ADDRESS, SECOND.address))
    return open_lane(folder, fallen, proxy, first, most=SIZE, more_signers=(second,))


def finish(keeper: LaneKeeper, proxy: ChaosProxy, blocks: int = 3) -> None:
    for _ in range(blocks):
        proxy.mine()
        keeper.settle()


def by_key(keeper: LaneKeeper, where: str = "state = 'final'") -> Counter[str]:
    return Counter(sender for (sender,) in keeper.rows(f"SELECT sender FROM slots WHERE {where}"))


def require_each_once(fallen: Fallen, since: int, count: int) -> None:
    assert list(liquidations(fallen, since).values()) == [1] * count


def test_twenty_accounts_go_over_both_keys_in_one_block_and_none_twice(
    tmp_path: Path, fallen: Fallen, proxy: ChaosProxy, signing: Signing
) -> None:
    before = fallen.rpc.block().number
    keeper = opened(tmp_path, fallen, proxy, signing)
    assert len(keeper.tick().plans) == SIZE
    proxy.mine()
    require_each_once(fallen, before, SIZE)
    finish(keeper, proxy, 2)
    assert by_key(keeper) == {ADDRESS: SIZE // 2, SECOND.address: SIZE // 2}
    assert keeper.intents() == Counter(achieved=SIZE)


def test_one_keys_head_is_stuck_and_the_other_finishes_what_comes_next(
    tmp_path: Path, fallen: Fallen, proxy: ChaosProxy, signing: Signing
) -> None:
    before, first = fallen.rpc.block().number, fallen.rpc.nonce(ADDRESS, fallen.rpc.block())
    lost = proxy.add(Fault(Drop(), sends(nonce=first, sender=ADDRESS)))
    keeper = open_lane(
        tmp_path,
        fallen,
        proxy,
        signing.client("one"),
        most=4,
        more_signers=(signing.client("one", SECOND.address),),
    )
    for _ in range(4):
        keeper.tick()
        proxy.mine()
    assert proxy.hits(lost) > 0
    later = by_key(keeper, f"opened_block >= (SELECT min(opened_block) FROM slots) + {RULES.patience}")
    assert later[SECOND.address] > 0 and later[ADDRESS] == 0
    proxy.remove(lost)
    finish(keeper, proxy, 4)
    assert set(keeper.slots()) == {"final"}
    assert set(liquidations(fallen, before).values()) == {1}


def test_a_key_without_ether_leaves_its_work_to_the_other(
    tmp_path: Path, fallen: Fallen, proxy: ChaosProxy, signing: Signing
) -> None:
    before = fallen.rpc.block().number
    fallen.rpc.call("anvil_setBalance", SECOND.address, "0x0")
    keeper = opened(tmp_path, fallen, proxy, signing)
    keeper.tick()
    finish(keeper, proxy)
    assert by_key(keeper) == {ADDRESS: SIZE}
    require_each_once(fallen, before, SIZE)


def test_a_restart_finds_what_both_keys_had_under_way(
    tmp_path: Path, fallen: Fallen, proxy: ChaosProxy, signing: Signing
) -> None:
    before = fallen.rpc.block().number
    keeper = opened(tmp_path, fallen, proxy, signing)
    keeper.tick()
    keeper.app.journal.close()
    signing.hang_up()
    again = opened(tmp_path, fallen, proxy, signing, "two")
    again.tick()  # what is under way is not planned again
    finish(again, proxy)
    assert set(again.slots()) == {"final"} and set(by_key(again)) == {ADDRESS, SECOND.address}
    counts = liquidations(fallen, before)
    assert len(counts) >= SIZE and set(counts.values()) == {1}


def test_a_key_without_its_signer_is_told_and_passed_over(
    tmp_path: Path, fallen: Fallen, proxy: ChaosProxy, signing: Signing
) -> None:
    def nobody() -> None:
        raise SignerUnreachable("expected a signer that listens, found none")

    before = fallen.rpc.block().number
    keeper = open_lane(
        tmp_path,
        fallen,
        proxy,
        signing.client("one"),
        most=6,
        more_signers=(Seat(SECOND.address, nobody),),  # type: ignore[arg-type]
    )
    keeper.tick()
    assert any(f"{SECOND.address} is passed over" in told for told in keeper.lane.status()["alarms"])  # type: ignore[attr-defined]
    finish(keeper, proxy)
    assert by_key(keeper) == {ADDRESS: 6}
    require_each_once(fallen, before, 6)


def test_a_key_that_somebody_else_has_used_draws_no_plans(
    tmp_path: Path, fallen: Fallen, proxy: ChaosProxy, signing: Signing
) -> None:
    """Its line would be the emptiest for ever, and its signer signs nothing: the other key does all of it."""
    before = fallen.rpc.block().number
    first, second = (signing.client("one", address) for address in (ADDRESS, SECOND.address))
    keeper = open_lane(tmp_path, fallen, proxy, first, most=4, more_signers=(second,))
    keeper.tick()
    proxy.mine()
    keeper.settle()
    nonce = fallen.rpc.nonce(SECOND.address, fallen.rpc.block())
    fields = {"type": 2, "chainId": CHAIN_ID, "nonce": nonce, "to": SECOND.address, "value": 0, "gas": 21_000}
    fees = {"maxFeePerGas": 100 * GWEI, "maxPriorityFeePerGas": 2 * GWEI}
    proxy.mine(first=[bytes(SECOND.sign_transaction({**fields, **fees}).raw_transaction)])
    given = by_key(keeper, "1")
    for _ in range(4):
        keeper.tick()
        status = keeper.lane.status()
        assert f"{SECOND.address} is passed over" in str(status["alarms"])
        assert "keeper signer reconcile" in str(status["alarms"])
        assert [one["seated"] for one in status["lanes"].values()] == [True, False]  # type: ignore[attr-defined]
        proxy.mine()
    finish(keeper, proxy)
    later = by_key(keeper, "1") - given
    assert later[ADDRESS] == 4 * 4 and later[SECOND.address] == 0
    assert keeper.intents() == Counter(achieved=5 * 4)
    require_each_once(fallen, before, 5 * 4)
