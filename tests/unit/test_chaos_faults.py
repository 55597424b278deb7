"""Faults as data: who is met, what is counted, how answers are rewritten; and the file they come from."""

import re
from pathlib import Path

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from keeper.chaos import Bloat, ChaosProxy, Delay, Drop, Error, Fault, Lie, Match, Status, sends
from keeper.chaos.faultfile import load_faults
from keeper.chaos.faults import ACTIONS
from keeper.chaos.faultset import FaultSet
from keeper.chaos.journal import ExchangeLog
from keeper.chaos.lies import NoSuchPath, bloated, lied
from keeper.chaos.requests import Open, Request
from keeper.chaos.stale import stale_params, stale_result
from keeper.cli import app
from keeper.errors import ConfigError, UsageError

ROOT = Path(__file__).parents[2]
WALLET = Account.from_key(b"\x01" * 32)
TOKEN = "0x" + "11" * 20


def raw(nonce: int = 7) -> str:
    fields = {"type": 2, "chainId": 1, "nonce": nonce, "gas": 90_000, "value": 0, "to": TOKEN, "data": "0xa9059cbb"}
    fields |= {"maxFeePerGas": 9, "maxPriorityFeePerGas": 1}
    return "0x" + bytes(WALLET.sign_transaction(fields).raw_transaction).hex()


def asked(method: str, *params: object, endpoint: str = "main") -> Open:
    return Open(1, Request(endpoint, method, params))


SENT = asked("eth_sendRawTransaction", raw())
HASH = SENT.request.tx_hash()
COUNT = asked("eth_getTransactionCount", WALLET.address, "latest")
RECEIPT = asked("eth_getTransactionReceipt", HASH)
CALL = asked("eth_call", {"to": TOKEN, "data": "0xa9059cbb00"}, "latest")


@pytest.mark.parametrize(
    ("match", "meets"),
    [
        (Match(), [SENT, COUNT, RECEIPT, CALL]),
        (Match(methods=("eth_get*",)), [COUNT, RECEIPT]),
        (Match(endpoint="other"), []),
        (Match(sender=WALLET.address), [SENT, COUNT]),
        (Match(sender=WALLET.address.lower(), methods=("eth_send*",)), [SENT]),
        (Match(nonce=7), [SENT]),
        (Match(nonce=8), []),
        (Match(tx_hash=HASH), [SENT, RECEIPT]),
        (Match(to=TOKEN), [SENT, CALL]),
        (Match(selector="0xA9059CBB"), [SENT, CALL]),
        (Match(selector="0xa9059cbc"), []),
        (sends(where=lambda r: r.params == (raw(),)), [SENT]),
    ],
)
def test_who_is_met(match, meets):
    assert [a for a in (SENT, COUNT, RECEIPT, CALL) if match.meets(a.request)] == meets


def test_bytes_that_are_no_transaction_meet_no_sender_and_no_nonce():
    broken = Request("main", "eth_sendRawTransaction", ("0x02zz",))
    assert sends().meets(broken)
    assert not sends(sender=WALLET.address).meets(broken)
    assert not sends(nonce=0).meets(broken)


def test_occurrences_are_counted_among_those_met():
    faults = FaultSet()
    key = faults.add(Fault(Drop(), Match(methods=("eth_call",), first=2, last=3)))
    met = [bool(faults.choose(a)) for a in (CALL, SENT, CALL, SENT, CALL, CALL)]
    assert met == [False, False, True, False, True, False]
    assert (faults.seen(key), faults.hits(key)) == (4, 0)
    faults.remove(key)
    assert faults.choose(CALL) == []
    assert faults.seen(key) == 4


@given(st.integers(0, 2**32), st.floats(0, 1))
def test_the_seed_alone_decides_and_faults_do_not_disturb_each_other(seed, share):
    alone, together = FaultSet(seed), FaultSet(seed)
    for faults in (alone, together):
        faults.add(Fault(Drop(), Match(probability=share)))
    together.add(Fault(Status(), Match(probability=0.5)))
    first = [[c.id for c in alone.choose(CALL)] for _ in range(30)]
    second = [[c.id for c in together.choose(CALL) if c.id == 1] for _ in range(30)]
    assert first == second
    assert share not in (0.0, 1.0) or first == [[1] if share else []] * 30


@given(st.integers(0, 99), st.integers(2, 40))
def test_a_shuffle_is_another_order_of_the_same(seed, count):
    faults = FaultSet(seed)
    faults.add(Fault(Drop()))
    order = faults.shuffled(faults.choose(CALL)[0], count)
    assert sorted(order) == list(range(count)) != order


@pytest.mark.parametrize("wrong", [{"probability": 1.1}, {"first": 0}, {"first": 3, "last": 2}])
def test_a_match_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        Match(**wrong)


# --- rewriting -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "params", "told"),
    [
        ("eth_call", [{}, "latest"], [{}, "0x5"]),
        ("eth_call", [{}], [{}, "0x5"]),
        ("eth_call", [{}, "0x5"], [{}, "0x5"]),
        ("eth_call", [{}, "0x6"], None),
        ("eth_getTransactionCount", ["0x1", "pending"], ["0x1", "0x5"]),
        ("eth_getBlockByNumber", ["earliest", True], ["earliest", True]),
        ("eth_getLogs", [{"fromBlock": "0x2"}], [{"fromBlock": "0x2", "toBlock": "0x5"}]),
        ("eth_getLogs", [{"fromBlock": "0x6", "toBlock": "0x9"}], None),
        ("eth_getLogs", [{"blockHash": "0x9"}], [{"blockHash": "0x9"}]),
        ("eth_chainId", [], []),
    ],
)
def test_a_question_asked_of_a_node_at_block_five(method, params, told):
    assert stale_params(method, params, 5) == told


def test_answers_of_a_node_at_block_five():
    old, new = {"blockNumber": "0x5", "status": "0x1"}, {"blockNumber": "0x6", "status": "0x1"}
    assert stale_result("eth_blockNumber", "0x9", 5) == "0x5"
    assert stale_result("eth_getTransactionReceipt", old, 5) == old
    assert stale_result("eth_getTransactionReceipt", new, 5) is None
    assert stale_result("eth_getTransactionByHash", new, 5)["blockNumber"] is None
    assert stale_result("eth_getTransactionByHash", None, 5) is None


def test_a_lie_changes_one_place_and_not_the_truth():
    truth = {"logs": [{"address": "0x1"}, {"address": "0x2"}], "status": "0x1"}
    assert lied(truth, "logs/1/address", "0x9")["logs"] == [{"address": "0x1"}, {"address": "0x9"}]
    assert truth["logs"][1] == {"address": "0x2"}
    assert lied("0x5", "", lambda told: hex(int(told, 16) - 1)) == "0x4"
    for path in ("logs/2/address", "nothing", "status/0"):
        with pytest.raises(NoSuchPath):
            lied(truth, path, 0)
    assert len(bloated(2)) == 2 << 20


def test_the_log_never_shows_signed_bytes():
    log = ExchangeLog(FaultSet(), None)
    exchange = log.opened(SENT.request)
    line = log.line(exchange)
    assert HASH in line
    assert "nonce 7" in line
    assert raw()[10:60] not in line


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.2", "example.org", "::"])
def test_only_loopback(host):
    with pytest.raises(UsageError, match="expected a loopback address"):
        ChaosProxy("http://127.0.0.1:1", host=host)


# --- the file --------------------------------------------------------------------------------------


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "faults.toml"
    path.write_text(text)
    return path


def test_a_file_says_the_same_as_python(tmp_path):
    text = """
[[fault]]
action = "error"
code = -32005
message = "limit exceeded"
methods = ["eth_call"]
first = 2
[[fault]]
action = "delay"
seconds = 1
name = "slow pool"
[[fault]]
action = "lie"
path = "logs/0"
value = { address = "0x0" }
"""
    assert load_faults(written(tmp_path, text)) == (
        Fault(Error(-32_005, "limit exceeded"), Match(methods=("eth_call",), first=2)),
        Fault(Delay(seconds=1), name="slow pool"),
        Fault(Lie("logs/0", {"address": "0x0"})),
    )


@pytest.mark.parametrize("name", ACTIONS)
def test_every_action_can_be_named_in_a_file_and_is_in_the_page(tmp_path, name):
    (fault,) = load_faults(written(tmp_path, f'[[fault]]\naction = "{name}"\n'))
    assert fault == Fault(ACTIONS[name]())
    assert f"`{name}`" in (ROOT / "docs/chaos.md").read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected one or more [[fault]] tables"),
        ("faults = 1", "found ['faults']"),
        ("[[fault]]\naction = 'explode'", "fault 1: action: expected one of hold"),
        ("[[fault]]\naction = 'drop'\nblocks = 1", "fault 1: blocks: unknown key; drop knows action"),
        ("[[fault]]\naction = 'stale'\nblocks = 'two'", "fault 1: blocks: expected int, found 'two'"),
        ("[[fault]]\naction = 'stale'\nblocks = true", "fault 1: blocks: expected int, found True"),
        ("[[fault]]\naction = 'drop'\nprobability = 2", "fault 1: probability: expected 0 to 1, found 2"),
        ("[[fault]", "expected a TOML file of faults"),
    ],
)
def test_a_wrong_file_is_named_with_its_fault_and_key(tmp_path, text, said):
    with pytest.raises(ConfigError, match=re.escape(said)):
        load_faults(written(tmp_path, text))


def test_the_example_loads():
    found = load_faults(ROOT / "docs/examples/chaos.toml")
    assert [type(fault.action).__name__ for fault in found] == ["Status", "Status", "Stale", "Drop", "Lie"]
    assert Bloat not in [type(fault.action) for fault in found]


def test_the_command_refuses_what_it_cannot_do():
    for options, said in (
        (["--upstream", "ipc:/tmp/x"], "--upstream: expected an http:// or https:// URL"),
        (["--upstream", "http://127.0.0.1:1", "--listen", "8555"], "--listen: expected HOST:PORT"),
        (["--upstream", "http://127.0.0.1:1", "--listen", "0.0.0.0:8555"], "expected a loopback address"),
    ):
        done = CliRunner().invoke(app, ["chaos", *options])
        assert isinstance(done.exception, UsageError)
        assert said in str(done.exception)
