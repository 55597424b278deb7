"""`keeper chaos` as its own process between a client and a real Anvil."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from keeper.errors import RpcUnreachable
from keeper.rpc import Rpc
from tests.chain.chaos_node import fifo_anvil, signed

FAULTS = """
[[fault]]
action = "status"
code = 503
methods = ["eth_chainId"]
last = 1

[[fault]]
name = "swallowed"
action = "drop"
methods = ["eth_sendRawTransaction"]
nonce = 1
"""


@contextmanager
def running(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command and the URL it printed first."""
    command = [sys.executable, "-m", "keeper", "chaos", "--listen", "127.0.0.1:0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().split()[0]
        finally:
            process.kill()


def test_the_command_serves_prints_and_counts(tmp_path: Path):
    faults, log = tmp_path / "faults.toml", tmp_path / "chaos.log"
    faults.write_text(FAULTS)
    with fifo_anvil() as anvil:
        options = ["--upstream", anvil.url, "--faults", str(faults), "--log", str(log), "--geth-pool"]
        with running(*options) as (process, url):
            rpc = Rpc(url)
            with pytest.raises(RpcUnreachable):
                rpc.chain_id()
            assert rpc.chain_id() == 31_337
            rpc.send_raw([signed(0), signed(1)])
            rpc.call("evm_mine")
            assert len(Rpc(anvil.url).call("eth_getBlockByNumber", "latest", False)["transactions"]) == 1
            process.send_signal(signal.SIGTERM)
            said, _ = process.communicate(timeout=10)
            assert process.returncode == 0
    assert "| status | HTTP 503" in said
    assert "nonce 1 | swallowed |" in said
    assert said.endswith("fault 1, status: met 2, applied 1\nfault 2, swallowed: met 1, applied 1\n")
    assert log.read_text().endswith(said)
    assert signed(1).hex()[:60] not in said
