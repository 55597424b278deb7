"""A signer of the keeper's own: it ends with its parent, its start has an end, who keeps its password is hardened."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from keeper import own_signer
from keeper.errors import SignerUnreachable
from keeper.own_signer import OwnSigner

LAUNCHED = """
import ctypes, resource
from pathlib import Path
from types import SimpleNamespace
from keeper.executors import Access

Access(Path("none"), SimpleNamespace(launch=lambda: None) if {own} else None).launch()
print(resource.getrlimit(resource.RLIMIT_CORE)[0], ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""
"""Prints the limit of core dumps and PR_GET_DUMPABLE after the start of what has a signer of its own, or has not."""


def said_by(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=60)


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_a_keeper_that_keeps_the_password_dumps_no_core_and_is_not_readable() -> None:
    assert said_by(LAUNCHED.format(own=True)).stdout.split() == ["0", "0"]
    assert said_by(LAUNCHED.format(own=False)).stdout.split()[1] == "1"


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_who_is_not_the_childs_parent_any_more_ends_it_at_once() -> None:
    program = "import sys; from keeper.signer.hardening import end_with_parent; end_with_parent(int(sys.argv[1]))"
    assert said_by(program, str(os.getpid())).returncode == 0
    assert said_by(program, str(os.getppid())).returncode == -signal.SIGTERM


def test_a_start_that_takes_too_long_is_ended_and_told(tmp_path: Path) -> None:
    own = OwnSigner(tmp_path / "s", "", {})
    own._process = subprocess.Popen(["sleep", "60"], stderr=subprocess.PIPE, text=True)
    with (
        mock.patch.object(own_signer, "READY_S", 0.05),
        pytest.raises(SignerUnreachable, match="expected it to listen within 0 s, found it killed"),
    ):
        own.await_ready()
    assert own._process.returncode == -signal.SIGKILL
    own.stop()
