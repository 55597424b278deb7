"""What the reference venue of the kit starts with: its board, its traders, and who may take for the makers."""

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from keeper.abi import interface
from keeper.reference.board import DEMO, Board, Collateral, Executor, Steward, Token
from keeper.twin.records import Instrument
from keeper.venues.portfolio import account_id
from tests.chain.reference_market import FOREVER, KEEPER, MAKER, OWNER, TRADERS, WAD, Market, Wish, named
from tests.conformance.reference_terms import BONUS

MAKERS: Final = (named(MAKER), named(MAKER, 1))
MOST_TOKENS: Final = 24  # that the venue can take


def _board() -> Board:
    """Return the demonstration's board with as many collaterals as there can be, of all sorts of decimals."""
    more = range(len(DEMO.collaterals), MOST_TOKENS)
    tokens = (Token(f"Token {n}", f"T{n}", (6, 8, 12, 18)[n % 4]) for n in more)
    added = (Collateral(token, n % 3, 500 + 10 * n, 10**30) for n, token in zip(more, tokens, strict=True))
    return replace(
        DEMO,
        collaterals=(*DEMO.collaterals, *added),
        limits=replace(DEMO.limits, bonus=BONUS),
        steward=Steward(controller=KEEPER.address),
        executor=Executor(KEEPER.address, receiver=MAKER.address, factory=OWNER, lender=OWNER),
    )


BOARD: Final = _board()


def wishes_of(market: Market) -> Iterator[Wish]:
    """Yield two traders of options in one underlying each, so that the rows that can be shown of one are few, then one
    of perpetuals only, then three of both in both."""
    rng = random.Random(11)
    for number, key in enumerate(TRADERS[:6]):
        legs: dict[Instrument, int] = {}
        for u in (number % 2,) if number < 2 else (0, 1):
            scale = 10 if u == 0 else 200
            for _ in range(0 if number == 2 else 3):
                chosen = market.option(u, rng.randint(0, 2), rng.randint(0, 4), is_call=rng.random() < 0.5)
                legs[chosen] = rng.choice((-1, 1)) * rng.randint(1, 20) * WAD // scale
            if number >= 2:
                legs[Instrument(u)] = (-1) ** (number + u) * rng.randint(1, 20) * WAD // scale
        yield Wish(named(key, number), key, tuple(legs.items()), 4.0)


def delegate(market: Market) -> None:
    """Queue that the executor may take for the makers."""
    (executor,) = [one.address for one in market.manifest.deployed if one.name == "executor"]
    grant, take = (interface(f"reference/{n}") for n in ("MarginVenue", "Auctions"))
    for maker in MAKERS:
        words = (account_id(maker), executor, take.function("take").selector, FOREVER)
        call = grant.function("setDelegate").packed(market.manifest.contracts.venue, *words)
        market.batch.add(MAKER.address, call, "let the executor take")


def bring(market: Market, wish: Wish, index: int) -> None:
    """Queue the owner's deposit of one whole token of a collateral."""
    token, venue, owner = market.manifest.collaterals[index], market.manifest.contracts.venue, wish.key.address
    amount = 10 ** market.board.collaterals[index].token.decimals
    erc20 = interface("demo/MintableToken")
    market.batch.add(OWNER, erc20.function("mint").packed(token, owner, amount), "mint", gas=100_000)
    market.batch.add(owner, erc20.function("approve").packed(token, venue, amount), "approve", gas=100_000)
    deposit = interface("reference/MarginVenue").function("deposit")
    call = deposit.packed(venue, account_id(wish.name), 1 + index, amount)
    market.batch.add(owner, call, f"deposit of collateral {index}", gas=300_000)
