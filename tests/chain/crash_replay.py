"""What a walk of the crash left on the chain, and the same in the integer twin."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from reference_market import KEEPER, Market

from keeper.abi import interface
from keeper.app import App
from keeper.chain import Block
from keeper.plans import ANY_SEQUENCE, StartAuction, TakeAuction
from keeper.twin.auction import discount, shortfall, take
from keeper.twin.world import World
from keeper.venues.portfolio import PortfolioState


@dataclass(frozen=True)
class Event:
    """One start or take as the chain told it."""

    name: str
    account: str
    auction: int
    block: int
    body: dict[str, Any]


def events(market: Market, first: Block) -> tuple[Event, ...]:
    auctions = market.manifest.contracts.auctions
    table = {interface("reference/Auctions").event(name).topic: name for name in ("AuctionStarted", "Taken")}
    found = []
    for log in market.rpc.logs([auctions], list(table), first.number + 1, market.rpc.block().number):
        name = table[log.topics[0]]
        (account,) = market.venue.introduced([log])
        body = interface("reference/Auctions").event(name).body(log)
        found.append(Event(name, account, int(log.topics[2], 16), log.block_number, body))
    return tuple(found)


def sent(market: Market, first: Block) -> Counter[str]:
    """Return how many transactions of the keeper's called each function of the auctions since `first`."""
    names = ("startAuction", "startAuctions", "take", "endAuction")
    table = {"0x" + interface("reference/Auctions").function(name).selector.hex(): name for name in names}
    numbers = range(first.number + 1, market.rpc.block().number + 1)
    blocks = market.rpc.batch([("eth_getBlockByNumber", (hex(n), True)) for n in numbers])
    theirs = (t for block in blocks for t in block["transactions"] if t["from"] == KEEPER.address.lower())
    return Counter(table[t["input"][:10]] for t in theirs if t["input"][:10] in table)


def differences(market: Market, app: App, found: Sequence[Event]) -> Iterator[str]:
    """Yield every start and take whose integers are not the twin's, from the state each one found."""
    plans = {
        (d.intent.plan.account, d.intent.plan.kind, d.intent.plan.sequence): d.intent.plan
        for name in {e.account for e in found}
        for d in app.journal.decisions(name, 10_000)
        if d.intent is not None and d.intent.status in ("achieved", "live")  # others left no event
        if isinstance(d.intent.plan, StartAuction | TakeAuction)
    }
    for number, of_block in groupby(found, key=lambda e: e.block):
        batch = list(of_block)
        before = market.venue.read(market.rpc.block(number - 1), [e.account for e in batch], KEEPER.address)
        world = at_work(before, market.venue.read(market.rpc.block(number), [], KEEPER.address))
        accounts, fund, bonus = {a.name: a for a in before.accounts}, before.fund, before.bonus
        for event in batch:
            kind = "start_auction" if event.name == "AuctionStarted" else "take_auction"
            exact, again = ((event.account, kind, n) for n in (event.body["sequence"], ANY_SEQUENCE))
            plan = plans[exact if exact in plans else again]
            path = None if plan.by_arrays else plan.scenarios
            account = accounts[event.account]
            if event.name == "AuctionStarted":
                told, computed = (event.body["equity"], event.body["mm"]), shortfall(account.book, world, path)
            else:
                rules = before.auctions
                share = discount(world.now - account.auction_started_at, rules.discount_cap, rules.growth)
                taken = take(
                    account.book, world, path,
                    discount_bps=share, buffer=rules.buffer, most=plan.max_fraction, fund=fund,
                    allowed=bonus.left(world.now),
                )  # fmt: skip
                fund -= taken.payment.from_fund
                bonus = bonus.spend(taken.payment.bonus, world.now)
                told = tuple(event.body[name] for name in ("fraction", "price", "fromFund", "shared"))
                paid = taken.payment
                computed = (taken.fraction, paid.price, paid.from_fund, paid.shared)
            if told != computed:
                yield f"{event}: the twin says {computed}"


def at_work(before: PortfolioState, there: PortfolioState) -> World:
    """Return the world a transaction of the keeper's found in a block: after its reports, before its publications."""
    known = before.world.underlyings
    found = {u: replace(now, current=known[u].current) for u, now in there.world.underlyings.items()}
    return replace(there.world, underlyings=found)
