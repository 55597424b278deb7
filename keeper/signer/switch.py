"""The kill switch: a file, a signal or a command; what was seen once stays in force until `resume`."""

import os
from pathlib import Path
from typing import Final

from keeper.signer.records import State

SEVERITY: Final[dict[State, int]] = {"running": 0, "drain": 1, "killed": 2}


def worse(one: State, other: State) -> State:
    return max(one, other, key=SEVERITY.__getitem__)


class Switch:
    """What was asked for and perhaps not stored yet. Signal handlers call `ask`: one assignment, no lock."""

    def __init__(self, kill_file: Path) -> None:
        self._file = kill_file
        self._asked: State = "running"

    def ask(self, state: State) -> None:
        self._asked = worse(self._asked, state)

    def clear(self) -> None:
        self._asked = "running"

    def now(self) -> State:
        """Look at the file and at what was asked."""
        if self.file_present():
            self._asked = "killed"
        return self._asked

    def file_present(self) -> bool:
        """Whether the kill file is there; a folder that cannot be looked into counts as yes."""
        try:
            os.stat(self._file)  # noqa: PTH116 — one system call before every signature
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return True
