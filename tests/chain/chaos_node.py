"""A node for the proxy's tests: Anvil that mines on demand in the order given, and senders whose keys we hold."""

from collections.abc import Iterator
from contextlib import contextmanager

import orjson
import requests
from eth_account import Account
from eth_account.signers.local import LocalAccount

from keeper.chaos import ChaosProxy
from keeper.demo.anvil import Anvil, start_anvil
from keeper.rpc import Rpc

GWEI = 10**9
CHAIN_ID = 31_337
ETHER = 10**18
SINK = "0x00000000000000000000000000000000000051C1"
ALICE, BOB = (Account.from_key(bytes([n]) * 32) for n in (1, 2))


@contextmanager
def fifo_anvil() -> Iterator[Anvil]:
    with start_anvil(extra=("--order", "fifo", "--no-mining")) as anvil:
        rpc = Rpc(anvil.url)
        for sender in (ALICE, BOB):
            rpc.call("anvil_setBalance", sender.address, hex(1_000 * ETHER))
        yield anvil


@contextmanager
def proxied(anvil: Anvil, **options: object) -> Iterator[tuple[ChaosProxy, Rpc]]:
    """A proxy with Geth's pool over `anvil`, whose chain is as before when it ends."""
    direct = Rpc(anvil.url)
    snapshot = direct.call("evm_snapshot")
    try:
        with ChaosProxy(anvil.url, **{"geth_pool": True, "seed": 1, **options}) as proxy:
            yield proxy, Rpc(proxy.url, timeout_s=5.0)
    finally:
        assert direct.call("evm_revert", snapshot) is True


def signed(
    nonce: int,
    max_fee: int = 10 * GWEI,
    tip: int = GWEI,
    sender: LocalAccount = ALICE,
    value: int = 1,
    gas: int = 21_000,
) -> bytes:
    """A transfer's signed bytes; fees in wei per gas."""
    fields = {
        "type": 2,
        "chainId": CHAIN_ID,
        "nonce": nonce,
        "to": SINK,
        "value": value,
        "gas": gas,
        "maxFeePerGas": max_fee,
        "maxPriorityFeePerGas": tip,
    }
    return bytes(sender.sign_transaction(fields).raw_transaction)


def post(url: str, *methods: str) -> requests.Response:
    body = [{"jsonrpc": "2.0", "id": i, "method": m, "params": []} for i, m in enumerate(methods)]
    return requests.post(url, data=orjson.dumps(body), timeout=5)
