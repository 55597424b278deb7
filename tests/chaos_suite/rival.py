"""A competitor, or a stranger, with a key of his own."""

from eth_account import Account
from eth_account.signers.local import LocalAccount

from keeper.chain import Call
from keeper.demo.transactions import GWEI
from tests.chain.lane_world import CHAIN_ID, GAS

RIVAL: LocalAccount = Account.from_key(bytes([7]) * 32)
MAX_FEE = 500 * GWEI


def signed(one: Call, nonce: int, tip: int) -> bytes:
    """Return the signed bytes of a call; `tip` in wei per gas."""
    fees = {"gas": one.gas or GAS, "maxFeePerGas": MAX_FEE, "maxPriorityFeePerGas": tip}
    fields = {"type": 2, "chainId": CHAIN_ID, "nonce": nonce, "to": one.to, "value": 0, "data": one.data, **fees}
    return bytes(RIVAL.sign_transaction(fields).raw_transaction)
