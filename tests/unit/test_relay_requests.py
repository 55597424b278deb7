"""What a relay is asked and what its answers count as; who it thinks we are."""

import stat
from pathlib import Path

import orjson
import pytest
from eth_account import Account

from keeper.errors import ConfigError
from keeper.rpc import Rpc
from keeper.rpc_http import without_bytes
from keeper.sending.answers import AnswerClass
from keeper.submit.endpoints import Endpoints, Offered
from keeper.submit.identity import HEADER, identity
from keeper.submit.parcels import PREFIX
from keeper.submit.relay import ROUTES, Relay, relays
from tests.relay_server import RelayServer, relay_server, signer_of

KEY = Account.from_key(bytes([1]) * 32)
RAWS = tuple(
    bytes(
        KEY.sign_transaction(
            {"nonce": n, "to": KEY.address, "gas": 21_000, "gasPrice": 1, "value": 0, "chainId": 1}
        ).raw_transaction
    )
    for n in range(2)
)


def offered(server: RelayServer, folder: Path, route: str = "bundle") -> tuple[Offered, ...]:
    served = relays([server.url], 5.0, identity(folder / "relay.key").stamp)
    relay = Relay(Endpoints(served, 1, agreeing=1, patience_s=20.0), ROUTES[route], KEY.address)
    return relay.offer(RAWS, 7, 9, relay.usable())


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "relay.key"
    first = identity(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert identity(path).address == first.address
    assert path.read_text().strip()[2:] not in repr(first)
    body = b'{"method":"eth_sendBundle"}'
    assert signer_of(body, first.stamp(body)[HEADER]) == first.address
    assert signer_of(body + b" ", first.stamp(body)[HEADER]) is None


@pytest.mark.parametrize("held", ["", "0x12", "not a key", "00" * 32])
def test_a_file_that_is_no_key_is_refused_without_its_text(tmp_path: Path, held: str) -> None:
    path = tmp_path / "relay.key"
    path.write_text(held)
    with pytest.raises(ConfigError, match="auth_key") as error:
        identity(path)
    assert not held or held not in str(error.value)


def test_a_folder_that_is_not_there_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="auth_key"):
        identity(tmp_path / "nowhere" / "relay.key")


def test_a_bundle_has_all_bytes_in_order_for_one_block(tmp_path: Path) -> None:
    with relay_server() as server:
        answers = offered(server, tmp_path)
    (bundle,) = server.received
    assert (bundle.raws, bundle.target) == (RAWS, 7)
    assert [answer.answer for answer in answers] == [AnswerClass.ACCEPTED] * 2
    assert {answer.endpoint for answer in answers} == {PREFIX + server.url[7:]}


def test_private_transactions_go_one_by_one_up_to_the_last_block(tmp_path: Path) -> None:
    with relay_server() as server:
        answers = offered(server, tmp_path, "private_transaction")
    assert [(bundle.raws, bundle.target) for bundle in server.received] == [((raw,), 9) for raw in RAWS]
    assert [answer.answer for answer in answers] == [AnswerClass.ACCEPTED] * 2


def test_a_relay_that_does_not_know_us_gets_nothing_accepted() -> None:
    with relay_server() as server:
        wrong = relays([server.url], 5.0, lambda _: {HEADER: f"{KEY.address}:0x00"})
        relay = Relay(Endpoints(wrong, 1, agreeing=1, patience_s=20.0), ROUTES["bundle"], KEY.address)
        answers = relay.offer(RAWS, 7, 9, relay.usable())
    assert server.received == [] and server.turned_away == 1
    assert {answer.answer for answer in answers} == {AnswerClass.INVALID}  # "invalid signature"


@pytest.mark.parametrize("result", ["7", "true", '{"bundleHash": 5}', '"0x12"'])
def test_a_result_of_another_kind_is_unknown(tmp_path: Path, result: str) -> None:
    with relay_server() as server:
        server.result = orjson.loads(result)
        answers = offered(server, tmp_path)
    assert {answer.answer for answer in answers} == {AnswerClass.UNKNOWN}


def test_another_server_is_not_handed_the_bytes_by_a_redirect(tmp_path: Path) -> None:
    with relay_server() as server, relay_server() as other:
        server.status, server.location = 308, other.url
        answers = offered(server, tmp_path)
    assert other.received == [] and other.turned_away == 0
    assert {answer.answer for answer in answers} == {AnswerClass.NODE_UNAVAILABLE}


def test_texts_keep_hashes_and_lose_signed_bytes() -> None:
    raw, tx_hash = RAWS[0].hex(), "0x" + "ab" * 32
    assert without_bytes(f"bad transaction 0x{raw} ({tx_hash})") == f"bad transaction 0x… ({tx_hash})"
    assert raw[:20] not in repr(Rpc("http://relay"))
