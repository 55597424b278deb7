"""Who may connect to a running signer, what it may say there, and what never leaves it."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.errors import ConfigError, ExitCode
from keeper.signer import wire
from keeper.signer.client import Line, SignerClient
from keeper.signer.records import LedgerState, SignedBytes
from keeper.signer.server import listening, only_one, own_peer, private_folder
from tests.signer_desk import ADDRESS, SECRET, call, ledger
from tests.signer_process import PASSWORD, ROOT, Process


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    made = Process(tmp_path)
    yield made
    made.stop()


def client(line: Line, state: LedgerState | None = None, holder: str = "keeper one") -> SignerClient:
    made = SignerClient(line, ADDRESS, holder)
    made.hello(state or ledger())
    return made


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


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    made = Process(tmp_path_factory.mktemp("signer"))
    made.start()
    yield made
    made.stop()


@settings(max_examples=100, deadline=None)
@given(sent=st.lists(st.binary(max_size=300), min_size=1, max_size=5).map(lambda lines: b"\n".join(lines) + b"\n"))
def test_random_bytes_are_refused_line_by_line_and_sign_nothing(listener: Process, sent: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(20)
        raw.connect(str(listener.folder / "run" / "signer.sock"))
        raw.sendall(sent)
        with raw.makefile("rb") as reader:
            answers = [json.loads(reader.readline()) for _ in range(sent.count(b"\n"))]
    assert {(answer["ok"], answer["rule"]) for answer in answers} == {(False, "message")}
    lanes = listener.order("status")["lanes"]
    assert isinstance(lanes, list) and [lane["watermark"] for lane in lanes] == [-1] * len(lanes)


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
