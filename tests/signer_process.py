"""The signer as a process over a temporary folder, started and ended as often as a test likes."""

import json
import os
import subprocess
import sys
from pathlib import Path

from eth_account import Account

from keeper.signer.client import Line
from tests.signer_desk import ADDRESS, HOUSE, SECRET

PASSWORD = "correct horse battery staple"
ROOT = Path(__file__).parents[1]

FILE = f"""
[signer]
mode = "live"
chain_id = 31337
lease_seconds = 60.0
[[key]]
address = "{ADDRESS}"
keystore = "keystore.json"
[fees]
max_gas = 1_000_000
max_fee_gwei = 200.0
max_tip_gwei = 2.0
[caps]
per_transaction = 0.1
per_hour = 100.0
per_day = 200.0
[[call]]
to = "{HOUSE}"
function = "touch(uint256)"
"""


class Process:
    """A signer over a folder, started and ended as often as the test likes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "signer.toml"
        self.config.write_text(FILE)
        keystore = Account.encrypt(bytes.fromhex(SECRET), PASSWORD, kdf="pbkdf2", iterations=1)
        (folder / "keystore.json").write_text(json.dumps(keystore))
        self.running: subprocess.Popen[str] | None = None
        self.log = ""

    def start(self, *command: str) -> None:
        command = command or ("-m", "keeper.signer")
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "KEEPER_KEYSTORE_PASSWORD": PASSWORD}
        self.running = subprocess.Popen(
            [sys.executable, *command, str(self.config)], env=environ, stderr=subprocess.PIPE, text=True
        )
        self.until("listening")

    def until(self, words: str) -> None:
        """Read the log up to a line with `words`; the pipe blocks until there is one or the process ends."""
        assert self.running is not None and self.running.stderr is not None
        for line in self.running.stderr:
            self.log += line
            if words in line:
                return
        raise AssertionError(f"expected {words!r} in the log, found:\n{self.log}")

    def ended(self) -> int:
        assert self.running is not None
        _, rest = self.running.communicate(timeout=30)
        self.log += rest
        code = self.running.returncode
        self.running = None
        return code

    def stop(self) -> None:
        if self.running is not None:
            self.running.terminate()
            self.ended()

    def line(self, name: str = "signer", timeout_s: float = 20.0) -> Line:
        return Line(self.folder / "run" / f"{name}.sock", timeout_s=timeout_s)

    def order(self, op: str, **fields: object) -> dict[str, object]:
        with self.line("signer-admin") as line:
            return line.demand(op, **fields)
