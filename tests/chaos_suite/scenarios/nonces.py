"""A nonce that is not where it should be: T3, T4."""

import random
from collections.abc import Callable

from keeper.chaos import Drop, Error, Fault, sends
from keeper.chaos.requests import Request
from keeper.demo.transactions import GWEI
from tests.chaos_suite.judge import kept_once, without_rescue
from tests.chaos_suite.scenario import Failed, Figures, Run, hit, require
from tests.chaos_suite.stage import Stage
from tests.chaos_suite.world import ENDANGERED

LAST_BLOCK = 6
"""By which the head of line must have been freed."""
WORDS = ("internal error", "txpool is full", "temporarily unavailable", "the method is not available right now")


def same_bytes(nonce: int) -> Callable[[Request], bool]:
    """Return what meets the first bytes seen of a nonce, however often they come, and no sibling of theirs."""
    first: list[str] = []

    def meets(request: Request) -> bool:
        tx = request.transaction()
        if tx is None or tx.nonce != nonce:
            return False
        if not first:
            first.append(tx.hash)
        return tx.hash == first[0]

    return meets


def stuck_head(*, protected: bool) -> Run:
    """T3: the lowest nonce's bytes are swallowed with forty-nine behind it."""

    def run(stage: Stage, rng: random.Random) -> Figures:
        stage.mine(base_fee=rng.randint(GWEI // 10, 20 * GWEI))
        count, head = ENDANGERED, stage.first_nonce
        keeper = stage.keeper(most=count)
        if not protected:
            without_rescue(keeper)
        lost = stage.proxy.add(Fault(Drop(), sends(where=same_bytes(head))))
        stage.tick(keeper)
        hit(stage.proxy.hits(lost) > 0, "expected the head of line swallowed, found it was not")
        known = {tx.hash for tx in stage.offered()}
        freed = _freed(stage, head)
        fresh = [tx.nonce for tx in stage.offered() if tx.hash not in known]
        require(fresh[0] == head, f"expected the head of line, {head}, replaced first, found {fresh[:3]}")
        stage.settle(keeper)
        return kept_once(stage, keeper, count) | {
            "behind": count - 1,
            "swallowed": stage.proxy.hits(lost),
            "blocks_until_freed": freed,
        }

    return run


def _freed(stage: Stage, head: int) -> int:
    """Return in which block the head and all behind it were mined."""
    (keeper,) = stage.keepers
    waiting = {tx.nonce for tx in stage.offered()}
    for block in range(1, LAST_BLOCK + 1):
        stage.mine()
        keeper.settle()
        mined = {one.nonce for one in stage.sent()}
        if head in mined:
            require(waiting <= mined, f"expected all behind the head with it, found {sorted(waiting - mined)} left")
            return block
    raise Failed(f"expected nonce {head} mined in {LAST_BLOCK} blocks, found it stuck and {len(mined)} mined")


def gap(*, protected: bool) -> Run:
    """T4: the node refuses some nonces of a burst for reasons of its own; all behind them are queued."""

    def run(stage: Stage, rng: random.Random) -> Figures:
        count = ENDANGERED
        keeper = stage.keeper(most=count)
        if not protected:
            without_rescue(keeper)
        missing = sorted(stage.first_nonce + place for place in rng.sample(range(count - 1), rng.randint(1, 4)))
        faults = [stage.proxy.add(Fault(Error(message=rng.choice(WORDS)), sends(nonce=n, last=1))) for n in missing]
        stage.tick(keeper)
        struck = sum(stage.proxy.hits(fault) for fault in faults)
        hit(struck == len(missing), f"expected {len(missing)} nonces refused, found {struck}")
        stage.mine()
        before = {one.nonce for one in stage.sent()}
        below = set(range(stage.first_nonce, missing[0]))
        hit(before == below, f"expected only nonces below {missing[0]} mined beside the gap, found {sorted(before)}")
        keeper.settle()
        stage.mine()
        mined = {one.nonce for one in stage.sent()}
        expected = set(range(stage.first_nonce, stage.first_nonce + count))
        require(mined == expected, f"expected the gap filled in a block, found {sorted(expected - mined)} not mined")
        stage.settle(keeper)
        return kept_once(stage, keeper, count) | {
            "gaps": len(missing),
            "queued_behind": count - len(before) - len(missing),
        }

    return run
