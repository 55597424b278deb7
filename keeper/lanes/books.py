"""What the keeper has spent, has at stake and has given away of a block, as its ledger records it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from keeper.chain import Block
from keeper.journal.policy_queries import SlotSpend
from keeper.lanes.ports import Ledger
from keeper.lanes.rules import LaneRules
from keeper.sending.limits import DAY_S, HOUR_S, Ask, Books, Spend, Stop, permit
from keeper.sending.priority import RANKS, Rank

EARNS = frozenset({"take_auction"})
"""Kinds that state what they earn. With a price of ether they cost at most that, so they lose nothing."""


@dataclass(frozen=True, slots=True)
class Used:
    """The account of one key or of all at one block. Pairs are (by liquidations, by others)."""

    books: Books
    lanes: tuple[int, int]  # transactions first signed in this block
    waiting_gas: int  # of others than liquidations that wait for a block
    lost: int  # wei in a day on what earns nothing or came to nothing: as charged, worst case while open

    def with_one(self, wei: int, gas: int, *, for_liquidation: bool, loss: int) -> "Used":
        """Return the account after one more transaction of this block."""
        row = 0 if for_liquidation else 1
        lanes = self.lanes[0] + (row == 0), self.lanes[1] + (row == 1)
        return replace(
            self,
            books=_added(self.books, wei, for_liquidation=for_liquidation),
            lanes=lanes,
            waiting_gas=self.waiting_gas + (0 if for_liquidation else gas),
            lost=self.lost + loss,
        )

    def with_dearer(self, wei: int, *, for_liquidation: bool, loss: int) -> "Used":
        """Return the account after a sibling that is `wei` dearer than the others, or a filler."""
        books = _added(self.books, wei, for_liquidation=for_liquidation)
        return replace(self, books=books, lost=self.lost + loss)

    def stop(self, ask: Ask, loss: int, rules: LaneRules) -> Stop | None:
        """Return the first cap that has no room for one more attempt, the day's loss budget included, or None.

        `loss`: wei, at most 0 or what it may cost beyond what it earns and beyond its siblings.
        """
        if why := rules.policy.over_budget(loss, self.lost):
            return Stop("loss budget", loss, max(rules.policy.loss_budget - self.lost, 0), why)
        return permit(ask, self.books, rules.caps)


def is_liquidation(kinds: Sequence[str]) -> bool:
    """Say whether a transaction of these kinds may use what is reserved for liquidations; a filler may not."""
    return any(RANKS[kind] is Rank.LIQUIDATION for kind in kinds)


def used(ledger: Ledger, sender: str | None, block: Block, *, priced: bool) -> Used:
    """Return the account of `sender`, None for all keys together, at `block`.

    `priced`: an ether has a price, so that worth is stated.
    """
    found = ledger.spends(sender, block.timestamp - DAY_S)
    open_ones = [one for one in found if one.is_open]
    now = [one for one in found if one.opened_block >= block.number]
    return Used(
        books=Books(
            block_number=block.number,
            timestamp=block.timestamp,
            spends=_summed(found, block),
            exposure=sum(one.wei for one in open_ones),
            liquidation_exposure=sum(one.wei for one in open_ones if is_liquidation(one.kinds)),
        ),
        lanes=(sum(is_liquidation(one.kinds) for one in now), sum(not is_liquidation(one.kinds) for one in now)),
        waiting_gas=sum(one.gas for one in open_ones if one.state != "mined" and not is_liquidation(one.kinds)),
        lost=sum(one.wei for one in found if one.timestamp > block.timestamp - DAY_S and not _earns(one, priced)),
    )


def _earns(one: SlotSpend, priced: bool) -> bool:
    return priced and bool(one.kinds) and EARNS.issuperset(one.kinds) and not one.in_vain


def _summed(found: Sequence[SlotSpend], block: Block) -> tuple[Spend, ...]:
    """Return one spend for all that count in the same windows at `block`: a day may hold thousands of nonces."""
    sums: dict[tuple[bool, bool, bool, bool], Spend] = {}
    for one in found:
        age, liquidation = block.timestamp - one.timestamp, is_liquidation(one.kinds)
        key = (one.opened_block >= block.number, age < HOUR_S, age < DAY_S, liquidation)
        earlier = sums[key].wei if key in sums else 0
        sums[key] = Spend(one.opened_block, one.timestamp, earlier + one.wei, liquidation)
    return tuple(sums.values())


def _added(books: Books, wei: int, *, for_liquidation: bool) -> Books:
    spend = Spend(books.block_number, books.timestamp, wei, for_liquidation)
    return replace(
        books,
        spends=(*books.spends, spend),
        exposure=books.exposure + wei,
        liquidation_exposure=books.liquidation_exposure + (wei if for_liquidation else 0),
    )
