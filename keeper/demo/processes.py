"""The demo's processes: started, watched, asked to end, and never left behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from keeper.demo.anvil import REPO
from keeper.errors import KeeperError

STOP_S = 60.0


@dataclass(slots=True)
class Children:
    """The demo's processes and their log files, in the folder."""

    folder: Path
    environment: Mapping[str, str]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, arguments: Sequence[str]) -> None:
        with (self.folder / f"{name}.out").open("ab") as out, (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, *arguments], stdout=out, stderr=log, env=dict(self.environment), cwd=REPO
            )

    def ended(self, name: str) -> int | None:
        return self.running[name].poll()

    def require_running(self, *names: str) -> None:
        for name in names:
            code = self.ended(name)
            if code is not None:
                tail = (self.folder / f"{name}.log").read_text(errors="replace")[-1500:]
                raise KeeperError(f"demo: the {name} process ended with {code}; its log says:\n{tail}")

    def kill(self, name: str) -> None:
        self.running[name].send_signal(signal.SIGKILL)
        self.running[name].wait()

    def finish(self, name: str, *, ask: bool, within: float = STOP_S) -> int:
        """Wait for a process to end, asking it by SIGTERM first if `ask`; return its exit code."""
        process = self.running[name]
        if ask and process.poll() is None:
            process.terminate()
        try:
            return process.wait(within)
        except subprocess.TimeoutExpired as e:
            process.kill()
            raise KeeperError(f"demo: the {name} process did not end within {within:.0f} s") from e

    def stop_all(self) -> None:
        for process in self.running.values():
            if process.poll() is None:
                process.kill()
                process.wait()


@contextmanager
def children_of(folder: Path, password: str) -> Iterator[Children]:
    children = Children(folder, {**os.environ, "KEEPER_KEYSTORE_PASSWORD": password, "PYTHONUNBUFFERED": "1"})
    try:
        yield children
    finally:
        children.stop_all()
