"""A keeper that starts its own signer, with two keys, on real Curie behind Geth's pool: what is sent, what dies."""

import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson
import pytest
from eth_account import Account
from lane_world import Fallen, LaneKeeper, kept, liquidations, reverted
from signer_child import child, end
from two_keys import SECOND, SIZE, two_key_world

from keeper.app import configured, open_app
from keeper.chaos import ChaosProxy
from keeper.demo.config import write_config
from keeper.demo.transactions import GWEI
from keeper.own_signer import HEAD
from keeper.signer.client import Line
from keeper.signer.keystore import PASSWORD
from tests.signer_desk import ADDRESS, SECRET

WORD = "correct horse battery staple"
KEYS = {ADDRESS: SECRET, SECOND.address: SECOND.key}
FURTHER = '\n[[signer.key]]\naddress = "{address}"\nkeystore = "{keystore}"\n'
MODE, LEASE_S = 'mode = "live"', 60.0
"""Of a lease: on a busy machine a tick may take longer than the usual one lasts."""
SPIKE = 20 * GWEI
"""A base fee that leaves everything behind that was sent at a calm one."""
ATTEMPTS = "SELECT tx_hash, raw FROM slot_attempts ORDER BY id"


@pytest.fixture(scope="module")
def shared() -> Iterator[Fallen]:
    with two_key_world() as fallen:
        yield fallen


@pytest.fixture
def keeper(tmp_path: Path, fallen: Fallen, proxy: ChaosProxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[LaneKeeper]:
    """The application as `keeper run` opens it, with both keys in the signer that it starts."""
    monkeypatch.setenv(PASSWORD, WORD)
    monkeypatch.setattr("keeper.own_signer.HEAD", HEAD.replace(MODE, f"{MODE}\nlease_seconds = {LEASE_S}"))
    paths = [tmp_path / name for name in ("keystore.json", "second.json")]
    for path, key in zip(paths, KEYS.values(), strict=True):
        path.write_bytes(orjson.dumps(Account.encrypt(key, WORD, kdf="pbkdf2", iterations=10)))
    file = write_config(tmp_path, proxy.url, fallen.deployment, "live")
    file.write_text(file.read_text() + FURTHER.format(address=SECOND.address, keystore=paths[1]))
    with ExitStack() as opened:
        app = opened.enter_context(open_app(configured(file)))
        yield kept(app, app.world.executor, tmp_path, SIZE)


def remembered(keeper: LaneKeeper) -> dict[str, dict[str, Any]]:
    """Return what the signer that runs now says of each key."""
    with Line(keeper.folder / "keystore-signer" / "run" / "signer.sock") as line:
        return {lane["address"]: lane for lane in line.demand("status")["lanes"]}


def by_key(keeper: LaneKeeper, state: str) -> Counter[str]:
    return Counter(sender for (sender,) in keeper.rows(f"SELECT sender FROM slots WHERE state = '{state}'"))


def test_two_keys_each_send_their_half_through_one_signer_of_the_keepers_own(
    keeper: LaneKeeper, fallen: Fallen, proxy: ChaosProxy
) -> None:
    before = fallen.rpc.block().number
    assert len(keeper.tick().plans) == SIZE
    half = dict.fromkeys(KEYS, SIZE // 2)
    assert by_key(keeper, "offered") == half
    child()  # one process for both keys, or this raises
    proxy.mine()
    keeper.settle()
    assert by_key(keeper, "final") == half and keeper.intents() == Counter(achieved=SIZE)
    assert list(liquidations(fallen, before).values()) == [1] * SIZE
    assert remembered(keeper).keys() == KEYS.keys()


def test_a_signer_killed_with_both_keys_in_flight_finishes_what_it_signed_and_does_nothing_twice(
    keeper: LaneKeeper, fallen: Fallen, proxy: ChaosProxy
) -> None:
    """All of it becomes too cheap while it is dead, so the new process must sign siblings of the dead one's bytes."""
    before = fallen.rpc.block().number
    keeper.tick()
    in_flight = by_key(keeper, "offered")
    signed, dead = keeper.rows(ATTEMPTS), child()
    assert in_flight == dict.fromkeys(KEYS, SIZE // 2)
    end(signal.SIGKILL)
    proxy.mine(base_fee=SPIKE)
    assert not liquidations(fallen, before)
    keeper.settle()
    assert child() != dead and any("died 1 times" in told for told in keeper.alarms())
    assert keeper.rows(ATTEMPTS)[:SIZE] == signed
    assert Counter(keeper.kinds()) == Counter(original=SIZE, replacement=SIZE)
    for _ in range(2):
        proxy.mine(base_fee=SPIKE)
        keeper.settle()
    assert keeper.slots() == Counter(final=SIZE) and by_key(keeper, "final") == in_flight
    assert keeper.intents() == Counter(achieved=SIZE)
    assert list(liquidations(fallen, before).values()) == [1] * SIZE and reverted(fallen, before) == 0
