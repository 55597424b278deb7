"""The password reaches each process that is started, and no environment, text or pickle."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from keeper.handover import Handover
from keeper.signer.keystore import PASSWORD, PASSWORD_FILE

SECRET = "correct horse battery staple"
READ = (
    "import os; from keeper.signer.keystore import password_given as given; "
    "assert 'staple' not in str(os.environ); print(given().get_secret_value())"
)


def told(handover: Handover) -> str:
    with handover.given() as (environ, descriptors):
        return subprocess.run(
            [sys.executable, "-c", READ], env=environ, pass_fds=descriptors, capture_output=True, text=True, check=True
        ).stdout.strip()


def test_every_process_is_given_the_password_and_no_environment_holds_it() -> None:
    handover = Handover({**os.environ, PASSWORD: SECRET})
    assert [told(handover), told(handover)] == [SECRET, SECRET]


def test_a_password_in_a_file_is_read_anew_and_not_kept(tmp_path: Path) -> None:
    file = tmp_path / "password"
    handover = Handover({**os.environ, PASSWORD_FILE: str(file)})
    for text in (SECRET, "another staple"):
        file.write_text(text + "\n")
        assert told(handover) == text


def test_it_is_shown_pickled_and_inherited_nowhere() -> None:
    handover = Handover({PASSWORD: SECRET})
    assert SECRET not in repr(handover) + str(handover)
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(handover)
    with handover.given() as (_, (reading,)):
        assert not os.get_inheritable(reading)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reading)
