"""Nodes that lie about the chain: T30, F22, F23."""

import random
from collections.abc import Callable, Sequence
from typing import Any, Final

from keeper.chain import Block
from keeper.chaos import Drop, Error, Fault, Lie, Match, sends
from tests.chain.lane_world import CHAIN_ID, LaneKeeper
from tests.chaos_suite.interrupted import finish
from tests.chaos_suite.judge import kept_once, without_rescue
from tests.chaos_suite.scenario import Figures, Run, hit, require
from tests.chaos_suite.stage import Stage
from tests.chaos_suite.world import ENDANGERED

MAIN, LIAR, STRANGER = "main", "b", "c"
"""The endpoint of hot reads; one that lies about receipts and nonces; one that comes to answer for another chain."""
RECEIPT, COUNT, HISTORY, CHAIN = (
    "eth_getTransactionReceipt", "eth_getTransactionCount", "eth_feeHistory", "eth_chainId",
)  # fmt: skip


class Lies:
    """The lies in force at a stage, and how often each was told."""

    def __init__(self, stage: Stage) -> None:
        self._proxy = stage.proxy
        self._told: list[tuple[str, int]] = []

    def add(self, name: str, path: str, value: Any, match: Match) -> None:
        self._told.append((name, self._proxy.add(Fault(Lie(path, value), match))))

    def end(self) -> int:
        """End them all and return how often they were told together. Raises Unhit for a kind that never was."""
        hits: dict[str, int] = {}
        for name, fault in self._told:
            self._proxy.remove(fault)
            hits[name] = hits.get(name, 0) + self._proxy.hits(fault)
        self._told.clear()
        hit(all(hits.values()), f"expected every lie told, found {hits}")
        return sum(hits.values())


def malicious(*, protected: bool) -> Run:
    """T30: one node tells of huge gas prices and wrong nonces, one shows receipts of what was not mined, one changes
    its chain.

    Unprotected: the keeper has no second source; the node that lies is its only one.
    """

    def run(stage: Stage, rng: random.Random) -> Figures:
        # half of them a block, so that some are left to be sent while nonces are wrong
        keeper = stage.keeper(most=ENDANGERED // 2, endpoints=(LIAR, STRANGER) if protected else ())
        lies, told = Lies(stage), 0
        told += _while_prices_are_huge(stage, keeper, lies, rng)
        told += _while_nonces_are_wrong(stage, keeper, lies, rng) if protected else 0
        if not stage.offered():
            stage.mine()
            stage.tick(keeper)
        waiting = sorted({tx.hash for tx in stage.offered()} - {one.tx_hash for one in stage.sent()})
        hit(bool(waiting), "expected transactions that wait, found none")
        for tx_hash in rng.sample(waiting, min(len(waiting), rng.randint(1, 9))):
            match = Match(methods=(RECEIPT,), endpoint=LIAR if protected else MAIN, tx_hash=tx_hash)
            lies.add("fake receipts", "", fake_receipt(tx_hash, stage.head()), match)
        if protected:
            other = hex(rng.choice((1, 10, 56, 42_161)))
            lies.add("another chain", "", other, Match(methods=(CHAIN,), endpoint=STRANGER))
        stage.tick(keeper)
        _believes_nothing(stage, keeper)
        stage.mine()
        stage.tick(keeper)
        _believes_nothing(stage, keeper)
        told += lies.end()
        finish(stage, keeper, ENDANGERED)
        _within_caps(stage)
        return kept_once(stage, keeper, ENDANGERED) | {"lies": told}

    return run


def _while_prices_are_huge(stage: Stage, keeper: LaneKeeper, lies: Lies, rng: random.Random) -> int:
    times = rng.choice((10**2, 10**4, 10**9))
    dear = lambda fees: [hex(int(fee, 16) * times) for fee in fees]  # noqa: E731
    lies.add("gas price", "baseFeePerGas", dear, Match(methods=(HISTORY,), endpoint=MAIN))
    stage.tick(keeper)
    _within_caps(stage)
    return lies.end()


def _while_nonces_are_wrong(stage: Stage, keeper: LaneKeeper, lies: Lies, rng: random.Random) -> int:
    """Let the endpoint of hot reads tell of more or fewer nonces than there are: what is to be sent is sent."""
    by = rng.choice((-7, -1, 1, 100))
    lies.add("nonce", "", _moved(by), Match(methods=(COUNT,), endpoint=MAIN))
    highest = max((tx.nonce for tx in stage.offered()), default=stage.first_nonce - 1)
    since = stage.now()
    stage.mine(base_fee=stage.head().base_fee)
    stage.tick(keeper)
    beyond = {tx.nonce for tx in stage.offered(since) if tx.nonce > highest}
    wanted = range(highest + 1, highest + 1 + ENDANGERED // 2)
    require(sorted(beyond) == list(wanted), f"expected the new nonces {wanted}, found {sorted(beyond)}")
    return lies.end()


def _moved(by: int) -> Callable[[str], str]:
    return lambda count: hex(max(int(count, 16) + by, 0))


def fake_receipt(tx_hash: str, block: Block, *, succeeded: bool = True) -> dict[str, Any]:
    """Return the receipt of a transaction that is not in this block."""
    zeros = "0x" + "0" * 40
    return {
        "transactionHash": tx_hash, "transactionIndex": "0x0", "blockHash": block.hash,
        "blockNumber": hex(block.number), "from": zeros, "to": zeros, "status": "0x1" if succeeded else "0x0",
        "gasUsed": "0x5208", "cumulativeGasUsed": "0x5208", "effectiveGasPrice": "0x1", "logs": [],
        "logsBloom": "0x" + "0" * 512, "type": "0x2", "contractAddress": None,
    }  # fmt: skip


def _believes_nothing(stage: Stage, keeper: LaneKeeper) -> None:
    """Nothing is in the ledger as mined or final that is not in a block, and no promise is broken for it."""
    mined = {one.tx_hash for one in stage.sent()}
    # a nonce below the key's own, reserved by a count that lied, ends lost to a transaction nobody claims to know
    query = "SELECT winner_hash FROM slots WHERE state IN ('mined', 'final', 'lost') AND winner_hash IS NOT NULL"
    believed = {tx_hash for (tx_hash,) in keeper.rows(query)} - mined
    require(not believed, f"expected only what is in blocks believed mined, found {len(believed)} that are not")
    failed = keeper.intents()["failed"] + keeper.intents()["lost"]
    require(failed == 0, f"expected nothing given up for a lie, found {failed}")


def _within_caps(stage: Stage) -> None:
    """Every byte string that reached a node is bound to the chain and within the caps."""
    rules, dearest = stage.site.rules, dict[int, int]()
    for tx in stage.offered():
        require(tx.chain_id == CHAIN_ID, f"expected chain id {CHAIN_ID} signed, found {tx.chain_id}")
        most = rules.fees.max_fee
        require(tx.fee_cap <= most, f"expected a max fee of at most {most}, found {tx.fee_cap}")
        require(tx.cost <= rules.fees.spend, f"expected at most {rules.fees.spend} wei at stake, found {tx.cost}")
        dearest[tx.nonce] = max(tx.cost, dearest.get(tx.nonce, 0))
    at_stake = sum(dearest.values())
    require(at_stake <= rules.exposure_cap, f"expected at most {rules.exposure_cap} wei at stake, found {at_stake}")


# --- offers ------------------------------------------------------------------------------------------

OTHER_HASH: Final = "0x" + "ab" * 32
CONTRADICTIONS: Final = ("nonce too low: next nonce 9, tx nonce 8", "insufficient funds for gas * price + value")


def acknowledged(*, protected: bool) -> Run:
    """F22: hashes acknowledged and never propagated, hashes that are not the bytes', contradictory answers.

    Unprotected: what was acknowledged is not offered again.
    """

    def run(stage: Stage, rng: random.Random) -> Figures:
        count = ENDANGERED
        keeper = stage.keeper(most=count, endpoints=(LIAR, STRANGER))
        if not protected:
            without_rescue(keeper)
        rows = rng.sample(range(count), 12)
        faults = {
            "never propagated": [_swallowed(stage, row, rng.randint(1, 2)) for row in rows[:4]],
            "another hash": [_other_hash(stage, row) for row in rows[4:8]],
            "contradictory": [fault for row in rows[8:] for fault in _contradicted(stage, row)],
        }
        stage.tick(keeper)
        for name, ids in faults.items():
            hit(all(stage.proxy.hits(one) for one in ids), f"expected {name} for each nonce chosen, found otherwise")
        for fault in faults["another hash"]:
            stage.proxy.remove(fault)
        before = {tx.hash for tx in stage.offered()}
        for _ in range(3):
            stage.mine()
            keeper.settle()
        require(len(stage.sent()) == count, f"expected {count} mined in three blocks, found {len(stage.sent())}")
        stage.settle(keeper)
        signed = {tx.hash for tx in stage.offered()} - before
        odd = keeper.rows("SELECT count(*) FROM offers WHERE answer_class = 'UNKNOWN'")[0][0]
        require(odd >= 4, f"expected every wrong hash written down as an answer nobody knows, found {odd}")
        return kept_once(stage, keeper, count) | {"struck": len(rows), "signed_anew": len(signed)}

    return run


def _swallowed(stage: Stage, row: int, times: int) -> int:
    """Let every endpoint answer the hash and forget the bytes, in so many blocks."""
    return stage.proxy.add(Fault(Drop(), sends(nonce=stage.first_nonce + row, last=3 * times)))


def _other_hash(stage: Stage, row: int) -> int:
    """Let the endpoint that takes the bytes, which one it may be, answer a hash that is not theirs."""
    return stage.proxy.add(Fault(Lie("", OTHER_HASH), sends(nonce=stage.first_nonce + row)))


def _contradicted(stage: Stage, row: int) -> Sequence[int]:
    """Let two endpoints refuse it for reasons that exclude each other; the third acknowledges and forgets."""
    nonce = stage.first_nonce + row
    words = zip((LIAR, STRANGER), CONTRADICTIONS, strict=True)
    refused = [Fault(Error(message=text), sends(nonce=nonce, endpoint=name, last=1)) for name, text in words]
    return [stage.proxy.add(one) for one in (*refused, Fault(Drop(), sends(nonce=nonce, endpoint=MAIN, last=1)))]


# --- counts and receipts -----------------------------------------------------------------------------

TORN = 4
"""Receipts that are shown torn, each in another place."""
STATUS: Final = ("status", "0x0")
"""Where, and what: a success is shown as a failure."""


def contradicted_facts(*, protected: bool) -> Run:
    """F23: nonce counts go backwards, receipts are of orphaned blocks or torn, a URL comes to lead to another chain.

    Unprotected: the keeper has no second source; the node that lies is its only one.
    """

    def run(stage: Stage, rng: random.Random) -> Figures:
        count, lies = ENDANGERED, Lies(stage)
        keeper = stage.keeper(most=count, endpoints=(LIAR, STRANGER) if protected else ())
        liar = LIAR if protected else MAIN
        told = _while_counts_go_back(stage, keeper, lies, rng) if protected else 0
        stage.tick(keeper)
        stage.mine()
        mined = [one.tx_hash for one in stage.sent()]
        hit(len(mined) >= TORN, f"expected at least {TORN} mined, found {len(mined)}")
        torn = _torn(stage, rng) if protected else [STATUS]  # a place that does not fit would hide this one
        for tx_hash, (path, value) in zip(rng.sample(mined, len(torn)), torn, strict=True):
            lies.add(path, path, value, Match(methods=(RECEIPT,), endpoint=liar, tx_hash=tx_hash))
        if protected:
            lies.add("another chain", "", "0x1", Match(methods=(CHAIN,), endpoint=STRANGER, first=rng.randint(1, 2)))
        for _ in range(3):
            stage.tick(keeper)
            _believes_nothing(stage, keeper)
            stage.mine()
        told += lies.end()
        if protected:
            told += _while_receipts_are_cached(stage, keeper, lies, rng)
        finish(stage, keeper, ENDANGERED)
        return kept_once(stage, keeper, ENDANGERED) | {"lies": told}

    return run


def _while_counts_go_back(stage: Stage, keeper: LaneKeeper, lies: Lies, rng: random.Random) -> int:
    """Let one endpoint's count be lower than it was: before the lease is taken it stops sending, later nothing."""
    lies.add("count", "", _moved(-rng.randint(1, 5)), Match(methods=(COUNT,), endpoint=LIAR))
    stage.tick(keeper)
    require(not stage.offered(), "expected nothing sent while endpoints disagree on the nonce, found transactions")
    require("disagree" in stage.errors[-1], f"expected an error that they disagree, found {stage.errors[-1]}")
    told = lies.end()
    stage.tick(keeper)
    lies.add("count later", "", _moved(-rng.randint(1, 5)), Match(methods=(COUNT,), endpoint=MAIN))
    require(stage.tick(keeper) is not None, f"expected the line to go on, found {stage.errors[-1:]}")
    return told + lies.end()


def _torn(stage: Stage, rng: random.Random) -> list[tuple[str, Any]]:
    """Return places of a receipt and what is put there: the status first, which turns success into failure."""
    nobody = "0x" + "9" * 40
    other = [("transactionHash", OTHER_HASH), ("blockHash", OTHER_HASH), ("blockNumber", hex(stage.start.number))]
    return [STATUS, *rng.sample([("from", nobody), ("gasUsed", "0x0"), ("logs", []), *other], 3)]


def _while_receipts_are_cached(stage: Stage, keeper: LaneKeeper, lies: Lies, rng: random.Random) -> int:
    """Orphan the newest blocks while every endpoint still shows the receipts it had: nothing may rest on those."""
    receipts = {receipt["transactionHash"]: receipt for receipt, _ in stage.receipts()}
    for tx_hash in rng.sample(sorted(one.tx_hash for one in stage.sent()), 5):
        lies.add("cached receipt", "", receipts[tx_hash], Match(methods=(RECEIPT,), tx_hash=tx_hash))
    stage.proxy.reorg(min(4, stage.head().number - stage.start.number))
    orphaned = len(stage.sent())
    hit(orphaned == 0, f"expected every transaction orphaned, found {orphaned} still in blocks")
    stage.tick(keeper)
    stage.tick(keeper)
    finals = keeper.rows("SELECT count(*) FROM slots WHERE state = 'final'")[0][0]
    require(finals == 0, f"expected nothing final whose block has left the chain, found {finals}")
    return lies.end()
