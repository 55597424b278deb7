"""What scenarios of single nonces share: how a run ends well, and the bytes and refusals in the proxy's log."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from keeper.chaos import Fault, Match
from keeper.chaos.faults import Action
from keeper.chaos.requests import SEND
from keeper.chaos.transactions import PoolTx
from keeper.demo.transactions import GWEI
from tests.chain.lane_world import LaneKeeper
from tests.chaos_suite.judge import Counted, accounted
from tests.chaos_suite.scenario import require
from tests.chaos_suite.stage import Stage

CALM = GWEI // 2
"""Base fee of a quiet block, wei per gas."""


def done_once(stage: Stage, keeper: LaneKeeper, least: int, foreign: Sequence[str] = ()) -> Counted:
    """Require that at least `least` accounts were done, each once, without reverts, and every nonce accounted for.

    `foreign`: hashes of the key's transactions that are not the keeper's.
    """
    done = stage.effects(stage.site.address)
    require(len(done) >= least, f"expected at least {least} liquidated, found {len(done)}")
    require(max(done.values(), default=0) <= 1, f"expected nobody liquidated twice, found {done.most_common(3)}")
    require(stage.reverted() == 0, f"expected no revert, found {stage.reverted()}")
    return accounted(stage, keeper, foreign)


def labelled(keeper: LaneKeeper, mined: Mapping[int, str]) -> None:
    """Require that the ledger has each nonce as ended by the hash that was mined: `mined` says which."""
    told = dict(keeper.rows("SELECT nonce, winner_hash FROM slots WHERE state IN ('mined', 'final')"))
    other = sorted(nonce for nonce, tx_hash in mined.items() if told.get(nonce) != tx_hash)
    require(not other, f"expected each nonce labelled by the sibling that was mined, found {other} otherwise")


def siblings(stage: Stage) -> dict[int, list[PoolTx]]:
    """Return what was offered for each nonce of the key, every hash once, in the order of the proxy's log."""
    found: dict[int, dict[str, PoolTx]] = defaultdict(dict)
    for tx in stage.offered():
        found[tx.nonce].setdefault(tx.hash, tx)
    return {nonce: list(by_hash.values()) for nonce, by_hash in found.items()}


def answers_with(stage: Stage, words: str) -> int:
    """Return how many raw transactions the proxy answered with such a refusal."""
    told = (str(e.error.get("message")) for e in stage.proxy.exchanges if e.method == SEND and e.error)
    return sum(words in text for text in told)


def is_cancel(tx: PoolTx) -> bool:
    return tx.to == tx.sender and not tx.data


def strike(stage: Stage, action: Action, match: Match) -> int:
    """Put a fault in force; return its id."""
    return stage.proxy.add(Fault(action, match))


def trader_of(tx: PoolTx) -> str:
    """Return the account that a liquidation on Curie is about: the first argument. Lower case."""
    return "0x" + tx.data[16:36].hex()
