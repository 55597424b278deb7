"""What scenarios share: the ways a run ends well, the bytes in the proxy's log, and a competitor's transaction."""

from collections import defaultdict
from collections.abc import Sequence

from eth_account import Account
from eth_account.signers.local import LocalAccount

from keeper.abi import interface
from keeper.chaos import Fault
from keeper.chaos.faults import Action
from keeper.chaos.requests import SEND
from keeper.chaos.transactions import PoolTx, decoded
from keeper.demo.transactions import GWEI
from tests.chain.lane_world import CHAIN_ID, ETHER, GAS, LaneKeeper
from tests.chaos_suite.scenario import require
from tests.chaos_suite.stage import Stage
from tests.signer_desk import ADDRESS

CALM = GWEI // 2
"""Base fee of a quiet block, wei per gas."""
STRANGER: LocalAccount = Account.from_key("0x" + "5e" * 32)


def done_once(
    stage: Stage, keeper: LaneKeeper, least: int, *, foreign: Sequence[str] = ()
) -> dict[str, int | float | str]:
    """Require that at least `least` accounts were done, each once, without reverts, and every nonce accounted for.

    `foreign`: hashes of the key's transactions that are not the keeper's.
    """
    done = stage.effects()
    require(len(done) >= least, f"expected at least {least} liquidated, found {len(done)}")
    require(max(done.values(), default=0) <= 1, f"expected nobody liquidated twice, found {done}")
    wrong = stage.nonces(keeper, foreign)
    require(not wrong, wrong)
    differs = stage.unfulfilled(keeper)
    require(not differs, f"expected each promise kept once, found {differs}")
    require(stage.reverted() == 0, f"expected no revert, found {stage.reverted()}")
    left = keeper.app.journal.open_slots(ADDRESS)
    require(not left, f"expected no open nonce, found {[slot.nonce for slot in left]}")
    return {
        "liquidated": len(done),
        "transactions": len(stage.sent()),
        "nonce_errors": stage.nonce_errors(),
    }


def siblings(stage: Stage) -> dict[int, list[PoolTx]]:
    """Return what was offered for each nonce of the key, every hash once, in the order of the proxy's log."""
    found: dict[int, dict[str, PoolTx]] = defaultdict(dict)
    for exchange in stage.proxy.exchanges:
        if exchange.method == SEND:
            tx = decoded(bytes.fromhex(str(exchange.params[0]).removeprefix("0x")))
            found[tx.nonce].setdefault(tx.hash, tx)
    return {nonce: list(by_hash.values()) for nonce, by_hash in found.items()}


def answers_with(stage: Stage, words: str) -> int:
    """Return how many raw transactions the proxy answered with such a refusal."""
    told = (str(e.error.get("message")) for e in stage.proxy.exchanges if e.method == SEND and e.error)
    return sum(words in text for text in told)


def is_cancel(tx: PoolTx) -> bool:
    return tx.to == tx.sender and not tx.data


def strike(stage: Stage, action: Action, match: object) -> int:
    return stage.proxy.add(Fault(action, match))  # type: ignore[arg-type]


def strangers(stage: Stage, of: Sequence[PoolTx]) -> list[bytes]:
    """Return a funded stranger's bytes with the calls of these transactions, at better fees."""
    stage.site.rpc.call("anvil_setBalance", STRANGER.address, hex(100 * ETHER))
    first = stage.site.rpc.nonce(STRANGER.address, stage.head())
    return [_signed(STRANGER, first + row, str(tx.to), tx.data) for row, tx in enumerate(of)]


def _signed(by: LocalAccount, nonce: int, to: str, data: bytes) -> bytes:
    return bytes(by.sign_transaction(fields(nonce, to, data)).raw_transaction)


def fields(nonce: int, to: str, data: bytes = b"", gas: int = GAS, max_fee: int = 100 * GWEI) -> dict[str, object]:
    """Return a transaction's fields for signing; fees in wei per gas."""
    fees = {"maxFeePerGas": max_fee, "maxPriorityFeePerGas": 2 * GWEI}
    return {"type": 2, "chainId": CHAIN_ID, "nonce": nonce, "to": to, "value": 0, "data": data, "gas": gas, **fees}


def account_of(tx: PoolTx) -> str:
    """Return the account a liquidation is about."""
    trader = interface("perp_curie/ClearingHouse").function("liquidate")
    return str("0x" + tx.data[len(trader.selector) + 12 : len(trader.selector) + 32].hex())
