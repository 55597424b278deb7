"""The signer as a process: batches, signals, orders, and death between commit and answer."""

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from eth_account import Account

from keeper.errors import SignerUnreachable, SigningRefused
from keeper.signer import wire
from keeper.signer.client import CHUNK, Line, SignerClient
from keeper.signer.policy import MAX_CALLDATA
from keeper.signer.records import LedgerState, Refusal, SignedBytes
from tests.signer_desk import ADDRESS, call, ledger, transfer
from tests.signer_process import FILE, Process

DIES = """
import os, signal, sys
from pathlib import Path
from keeper.signer.process import run
run(Path(sys.argv[1]), ready=lambda: print("listening", file=sys.stderr, flush=True),
    committed=lambda: os.kill(os.getpid(), signal.SIGKILL))
"""
"""A signer that is killed after its first commit of signatures, before the answer."""


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    made = Process(tmp_path)
    yield made
    made.stop()


def client(line: Line, state: LedgerState | None = None, holder: str = "keeper one") -> SignerClient:
    made = SignerClient(line, ADDRESS, holder)
    made.hello(state or ledger())
    return made


def rules(answers: tuple[SignedBytes | Refusal, ...]) -> list[str]:
    return [answer.rule if isinstance(answer, Refusal) else "signed" for answer in answers]


# --- a keeper's day -----------------------------------------------------------------------------------


def test_a_batch_is_signed_exported_and_the_lease_follows_the_connection(process: Process) -> None:
    process.start()
    with process.line() as line:
        keeper = client(line)
        answers = keeper.sign([call(i) for i in range(20)] + [call(40)])
        assert rules(answers) == ["signed"] * 20 + ["nonce"]
        assert keeper.signed(5) == answers[5:20]
        assert [Account.recover_transaction(one.raw) for one in keeper.signed(18)] == [ADDRESS, ADDRESS]
        assert keeper.final(3) == 3 and keeper.renew().watermark == 19
        with process.line() as other, pytest.raises(SigningRefused, match="keeper one holding it"):
            client(other, holder="keeper two")
        lane = keeper.status()[0]
        assert (lane["state"], lane["watermark"], lane["final"], lane["holder"]) == ("running", 19, 3, "keeper one")
    known = frozenset((one.nonce, one.tx_hash) for one in answers if isinstance(one, SignedBytes))
    with process.line() as line:
        two = client(line, ledger(next_nonce=20, attempts=known), "keeper two")
        assert rules(two.sign([call(20)])) == ["signed"]


def test_more_than_one_request_holds_is_asked_in_parts_and_told_in_pages(process: Process) -> None:
    process.start()
    with process.line() as line:
        keeper = client(line)
        asked = 2 * CHUNK + 1
        assert rules(keeper.sign([call(i) for i in range(asked)])) == ["signed"] * asked
        keeper.sign([call(i) for i in range(asked, wire.PAGE + 10)])
        assert [one.nonce for one in keeper.signed(0)] == list(range(wire.PAGE + 10))


def test_calldata_that_no_line_holds_together_is_asked_in_parts_and_alone_refused(process: Process) -> None:
    large, beyond = b"\xff" * MAX_CALLDATA, b"\xff" * (wire.MAX_LINE // 2)
    process.start()
    with process.line() as line:
        keeper = client(line)
        asked = [call(0), *(call(1, str(i), data=large) for i in range(CHUNK)), call(1, "m", data=beyond), call(1)]
        assert rules(keeper.sign(asked)) == ["signed", *["allow_list"] * CHUNK, "message", "signed"]
        with pytest.raises(SigningRefused, match="ask for less"):
            line.ask("hello", holder="k" * wire.MAX_LINE)
        assert keeper.renew().watermark == 1  # nothing of it was sent


def test_killed_between_commit_and_answer_the_same_request_gives_the_same_bytes(process: Process) -> None:
    process.start("-c", DIES)
    with process.line() as line:
        keeper = client(line)
        with pytest.raises(SignerUnreachable, match="nothing is assumed"):
            keeper.sign([call(0), call(1)])
    assert process.ended() == -signal.SIGKILL
    process.start()
    with process.line() as line:
        again = client(line, ledger(next_nonce=2, open_requests=frozenset({"0", "1"})))
        stored = again.signed(0)
        assert [one.nonce for one in stored] == [0, 1]
        assert again.sign([call(0), call(1)]) == stored
        changed = replace(call(1), gas=99_999)
        assert rules(again.sign([changed])) == ["request_id"]


def test_a_signer_that_hangs_is_unreachable_and_its_line_is_closed(process: Process) -> None:
    process.start()
    assert process.running is not None
    with process.line(timeout_s=0.2) as line:
        keeper = client(line)
        process.running.send_signal(signal.SIGSTOP)
        with pytest.raises(SignerUnreachable, match=r"expected an answer to sign.*nothing is assumed"):
            keeper.sign([call(0)])
        process.running.send_signal(signal.SIGCONT)
        with pytest.raises(SignerUnreachable):  # a late answer must never be taken for the next one's
            keeper.sign([call(0)])


def test_a_log_that_nobody_reads_does_not_hold_up_signatures(process: Process) -> None:
    process.start()  # its log is a pipe of 64 KiB that is not read from here on
    with process.line() as line:
        keeper = client(line)
        for first in range(0, 600, 100):
            assert rules(keeper.sign([call(i) for i in range(first, first + 100)])) == ["signed"] * 100


# --- stopping -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "state"), [(signal.SIGUSR1, "drain"), (signal.SIGUSR2, "killed")])
def test_signals_stop_and_only_a_command_resumes(process: Process, number: signal.Signals, state: str) -> None:
    process.start()
    assert process.running is not None
    with process.line() as line:
        keeper = client(line)
        first = keeper.sign([call(0)])
        process.running.send_signal(number)
        process.until(f"{state} by signal")
        cancel = "signed" if state == "drain" else "killed"
        assert rules(keeper.sign([call(1), transfer(0, "cancel")])) == [state, cancel]
    process.stop()
    process.start()
    assert process.order("status")["lanes"][0]["state"] == state  # type: ignore[index]
    process.order("resume")
    with process.line() as line:
        known = frozenset((one.nonce, one.tx_hash) for one in SignerClient(line, ADDRESS, "k").signed(0))
        keeper = client(line, ledger(next_nonce=1, attempts=known))
        assert keeper.sign([call(0)]) == first
        assert rules(keeper.sign([call(1)])) == ["signed"]


def test_commands_and_the_kill_file(process: Process) -> None:
    process.start()
    with process.line() as line:
        keeper = client(line)
        for op, state in (("drain", "drain"), ("kill", "killed")):
            process.order(op)
            assert rules(keeper.sign([call(0)])) == [state]
        process.order("resume")
        (process.folder / "KILL").touch()
        assert rules(keeper.sign([call(0)])) == ["killed"]
        with pytest.raises(SigningRefused, match="kill file"):
            process.order("resume")
        (process.folder / "KILL").unlink()
        assert rules(keeper.sign([call(0)])) == ["killed"]  # gone is not resumed
        process.order("resume")
        assert rules(keeper.sign([call(0)])) == ["signed"]


def test_the_policy_is_read_at_start_and_by_reload_only(process: Process) -> None:
    process.start()
    with process.line() as line:
        keeper = client(line)
        process.config.write_text(FILE.replace("max_gas = 1_000_000", "max_gas = 50_000"))
        assert rules(keeper.sign([call(0)])) == ["signed"]
        process.order("reload")
        assert rules(keeper.sign([call(1)])) == ["gas"]
        process.config.write_text(FILE.replace("per_hour = 100.0", "per_hour = -1.0"))
        with pytest.raises(SigningRefused, match=r"caps\.per_hour.*stays in force"):
            process.order("reload")
        process.config.write_text(FILE.replace('"live"', '"shadow"'))
        with pytest.raises(SigningRefused, match="restart the signer"):
            process.order("reload")
        assert rules(keeper.sign([call(1)])) == ["gas"]


def test_shadow_holds_no_key_and_says_what_live_would_do(process: Process) -> None:
    process.config.write_text(FILE.replace('"live"', '"shadow"'))
    (process.folder / "keystore.json").unlink()
    process.start()
    with process.line() as line:
        answers = client(line).sign([call(0), call(0, "gas", gas=10**6 + 1)])
    assert rules(answers) == ["mode", "gas"]
