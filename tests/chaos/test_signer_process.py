"""The signer as a process: sockets, signals, death between commit and answer, and no secrets."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from eth_account import Account

from keeper.errors import ConfigError, ExitCode, SignerUnreachable, SigningRefused
from keeper.signer import wire
from keeper.signer.client import CHUNK, Line, SignerClient
from keeper.signer.records import LedgerState, Refusal, SignedBytes
from keeper.signer.server import listening, only_one, own_peer, private_folder
from tests.signer_desk import ADDRESS, SECRET, call, ledger, transfer
from tests.signer_process import FILE, PASSWORD, ROOT, Process

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


# --- who may connect, and what it may say ---------------------------------------------------------------


def test_sockets_are_private_and_replace_what_a_killed_signer_left(process: Process) -> None:
    for _ in range(2):
        process.start()
        for name in ("signer.sock", "signer-admin.sock"):
            assert stat.S_IMODE((process.folder / "run" / name).stat().st_mode) == 0o600
        assert stat.S_IMODE((process.folder / "run").stat().st_mode) == 0o700
        assert stat.S_IMODE((process.folder / "signer.db").stat().st_mode) == 0o600
        assert process.running is not None
        process.running.kill()
        assert process.ended() == -signal.SIGKILL


def test_a_folder_others_may_enter_and_a_file_in_the_way_are_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o755)
    (tmp_path / "run").chmod(0o755)
    with pytest.raises(ConfigError, match=r"mode 0700, found user \d+, mode 0755"):
        private_folder(tmp_path / "run")
    (tmp_path / "run").chmod(0o700)
    (tmp_path / "run" / "s.sock").write_text("something of yours")
    with pytest.raises(ConfigError, match="found a file"):
        listening(tmp_path / "run" / "s.sock")


def test_a_socket_somebody_listens_at_is_left_to_them(tmp_path: Path) -> None:
    with listening(tmp_path / "run" / "s.sock"), pytest.raises(ConfigError, match="found a running signer"):
        listening(tmp_path / "run" / "s.sock")
    listening(tmp_path / "run" / "s.sock").close()  # the listener is gone, its file is replaced


@pytest.mark.parametrize(("uid", "own"), [(os.getuid(), True), (os.getuid() + 1, False)])
def test_a_peer_of_another_user_is_turned_away(monkeypatch: pytest.MonkeyPatch, uid: int, own: bool) -> None:
    """The kernel says who the peer is; that we are somebody else is all that is pretended."""
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        monkeypatch.setattr("keeper.signer.server.os.getuid", lambda: uid)
        assert own_peer(ours) == own


def test_a_second_signer_on_the_same_store_is_refused(tmp_path: Path) -> None:
    held = only_one(tmp_path / "signer.db")
    with pytest.raises(ConfigError, match="another signer"):
        only_one(tmp_path / "signer.db")
    os.close(held)
    os.close(only_one(tmp_path / "signer.db"))


NONSENSE = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"\xff\xfe",
    b'{"id":1,"op":"sign"}',
    b'{"id":1,"op":"kill"}',
    b'{"id":1,"op":"status","extra":1}',
    b'{"id":true,"op":"status"}',
    b'{"id":1,"op":"signed","address":"0x00","from_nonce":-1}',
    b'{"id":1,"op":"sign","address":"' + ADDRESS.encode() + b'","token":1,"items":[]}',
    b'{"id":' + b"9" * 400 + b',"op":"status"}',
    b"[" * 2_000,
]


def test_nonsense_is_refused_and_orders_are_taken_at_the_other_socket_only(process: Process) -> None:
    process.start()
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(20)
        raw.connect(str(process.folder / "run" / "signer.sock"))
        reader = raw.makefile("rb")
        for line in NONSENSE:
            raw.sendall(line + b"\n")
            answer = json.loads(reader.readline())
            assert answer["ok"] is False and answer["rule"] == "message"
        raw.sendall(b" " * (wire.MAX_LINE + 1))
        assert "longer" in json.loads(reader.readline())["reason"]
        assert reader.read() == b""  # and closed
        reader.close()
    assert process.order("status")["ok"]


# --- secrets --------------------------------------------------------------------------------------------


def secrets(raw: bytes) -> list[str]:
    return [SECRET, str(int(SECRET, 16)), PASSWORD, raw.hex()]


def test_no_secret_in_log_command_line_core_settings_or_store(process: Process) -> None:
    process.start()
    assert process.running is not None
    proc = Path("/proc") / str(process.running.pid)
    command = (proc / "cmdline").read_text()
    limits = next(line for line in (proc / "limits").read_text().splitlines() if line.startswith("Max core"))
    with process.line() as line:
        signed = client(line).sign([call(0), call(9), call(0, "value", value=1)])
        given = signed[0]
        assert isinstance(given, SignedBytes)
    process.stop()
    store = (process.folder / "signer.db").read_bytes()
    assert limits.split()[4:6] == ["0", "0"]
    for secret in secrets(given.raw):
        assert secret not in process.log and secret not in command
        assert secret not in repr(given) and secret not in repr(call(0))
    assert bytes.fromhex(SECRET) not in store and SECRET.encode() not in store and PASSWORD.encode() not in store
    assert given.tx_hash in process.log and "refused" in process.log


READS = """
import os, sys
from pathlib import Path
from keeper.signer.process import run
def look():
    child = os.popen("env").read()
    sys.stderr.write("leaked\\n" if "KEYSTORE_PASSWORD=" in child else "clean\\n")
    status = Path("/proc/self/stat").stat().st_uid
    import ctypes
    sys.stderr.write(f"dumpable {ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)}\\nlistening\\n")
    sys.stderr.flush()
run(Path(sys.argv[1]), ready=look)
"""


def test_children_inherit_no_password_and_the_process_is_not_dumpable(process: Process) -> None:
    process.start("-c", READS)
    assert "clean\n" in process.log and "dumpable 0\n" in process.log


def test_a_wrong_password_stops_it_with_neither_password_told(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    del monkeypatch
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "KEEPER_KEYSTORE_PASSWORD": "hunter2"}
    done = subprocess.run(
        [sys.executable, "-m", "keeper.signer", str(process.config)], env=environ, capture_output=True, text=True
    )
    assert done.returncode == ExitCode.KEY
    assert "could not be decrypted" in done.stderr
    assert not any(secret in done.stderr + done.stdout for secret in ("hunter2", PASSWORD, SECRET))


# --- the commands ----------------------------------------------------------------------------------------


def test_the_commands(process: Process) -> None:
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "KEEPER_KEYSTORE_PASSWORD": PASSWORD}

    def keeper(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "keeper", "signer", *arguments, "--config", str(process.config)]
        return subprocess.run(command, env=environ, capture_output=True, text=True)

    assert "run `keeper signer run`" in keeper("status").stderr
    process.start("-m", "keeper", "signer", "run", "--config")
    assert process.running is not None
    assert b"keeper.signer" in (Path("/proc") / str(process.running.pid) / "cmdline").read_bytes()
    assert json.loads(keeper("drain", "--json").stdout)["lanes"][0]["state"] == "drain"
    assert "next nonce 5" in keeper("enrol", "--address", ADDRESS, "--ledger", "one", "--next-nonce", "5").stdout
    assert keeper("enrol", "--address", ADDRESS, "--ledger", "two", "--next-nonce", "5").returncode == ExitCode.KEY
    assert "next nonce 7" in keeper("reconcile", "--address", ADDRESS, "--ledger", "two", "--next-nonce", "7").stdout
    lane = json.loads(keeper("resume", "--json").stdout)["lanes"][0]
    assert (lane["state"], lane["ledger"], lane["watermark"]) == ("running", "two", 6)
