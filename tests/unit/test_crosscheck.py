"""Twin and float model side by side: alike on the same reads, and what makes an account unknown."""

import random
from copy import copy
from dataclasses import replace

import numpy as np
import pytest

from engine.book import Book as EngineBook
from engine.margin import arrays as model
from engine.margin.arrays import ArraysAt
from engine.margin.base import MarginReport
from keeper import columns, crosscheck
from keeper.auctions import Standing
from keeper.chain import Block
from keeper.crosscheck import NEWEST, PROOF, SETTLED, crosschecked
from keeper.portfolios import PortfolioLine, PortfolioSight, standing, verdict, without_gap
from keeper.twin.auction import Allowance
from keeper.twin.records import Book, Check, Instrument, Leg
from keeper.twin.world import Underlying, World
from keeper.venues.portfolio import AuctionRules, PortfolioAccount, PortfolioState
from tests.twin_worlds import DAYS, NOW, PRICES, SCAN, WAD, calm, moved, option_at, random_book

CENT = WAD // 100


def accounts(count: int, seed: int = 1, legs: int = 20) -> list[PortfolioAccount]:
    rng = random.Random(seed)
    books = [random_book(rng, rng.randint(0, legs), collateral=n % 4, perpetuals=n % 2 == 1) for n in range(count)]
    return [PortfolioAccount(f"account {n}", 1, 0, 0, book) for n, book in enumerate(books)]


def proven(world: World) -> World:
    """The world whose arrays are those of the newest reports, without gaps, as a proof is bounded by."""

    def fresh(known: Underlying) -> Underlying:
        if known.current is None:
            return known
        epoch = replace(known.current, arrays={e: without_gap(a) for e, a in known.current.arrays.items()})
        return replace(known, current=epoch, settled=epoch)

    return replace(world, underlyings={u: fresh(known) for u, known in world.underlyings.items()})


def said(standings: list[Standing]) -> dict[str, dict[str, Check]]:
    found: dict[str, dict[str, Check]] = {PROOF: {}, NEWEST: {}, SETTLED: {}}
    for s in standings:
        for name, check in ((PROOF, s.proof), (NEWEST, s.newest), (SETTLED, s.settled)):
            if check is not None:
                found[name][s.account.name] = check
    return found


def test_a_block_of_random_books_agrees_in_every_statement():
    held = accounts(200)
    stated = said([standing(a, calm(), proven(calm())) for a in held])
    assert {name: len(checks) for name, checks in stated.items()} == {PROOF: 200, NEWEST: 200, SETTLED: 200}
    found = crosschecked(calm(), held, stated)
    assert (found.compared, found.apart) == (600, {})
    assert found.largest is not None
    assert 0.0 < found.largest.usd <= found.largest.band


def test_published_words_are_margined_at_a_moved_price():
    held = accounts(60, seed=2)
    later = moved(calm(), {0: PRICES[0] * 1_012 // 1_000, 1: PRICES[1] * 991 // 1_000})
    stated = said([standing(a, later, calm()) for a in held])
    found = crosschecked(later, held, {name: stated[name] for name in (NEWEST, SETTLED)})
    assert (found.compared, found.apart) == (120, {})


def test_an_account_without_options_is_margined_with_the_parameters_in_force_not_the_arrays():
    """New scan parameters while the arrays still stand on the old ones."""
    wider = replace(SCAN, scan=SCAN.scan * 11 // 10)
    world = replace(
        calm(),
        underlyings={u: replace(known, scan=wider) if u < 2 else known for u, known in calm().underlyings.items()},
    )
    perpetual = PortfolioAccount("a", 1, 0, 0, Book(0, (Leg(Instrument(0), WAD), Leg(option_at(1, 8, 100, True), WAD))))
    stated = said([standing(perpetual, world, world)])
    assert crosschecked(world, [perpetual], {NEWEST: stated[NEWEST]}).apart == {}


@pytest.mark.parametrize("which", ["equity", "im", "mm"])
@pytest.mark.parametrize("statement", [PROOF, NEWEST, SETTLED])
def test_a_cent_in_any_number_makes_its_account_and_no_other_unknown(statement, which):
    held = accounts(8, seed=3, legs=3)
    small = [replace(a, book=replace(a.book, legs=tuple(replace(leg, size=WAD) for leg in a.book.legs))) for a in held]
    stated = said([standing(a, calm(), proven(calm())) for a in small])
    true = stated[statement]["account 4"]
    stated[statement]["account 4"] = replace(true, **{which: getattr(true, which) + CENT})
    found = crosschecked(calm(), small, stated)
    assert list(found.apart) == ["account 4"]
    assert found.apart["account 4"].startswith(f"{statement}: twin and float model 0.01 USD apart, expected at most ")
    assert found.summary()["apart"] == 1
    assert (found.summary()["account"], found.summary()["statement"]) == ("account 4", statement)


def test_where_the_model_refuses_its_input_nobody_is_believed(monkeypatch):
    def refuses(*_: object) -> None:
        raise ValueError("expected a finite vol, found nan")

    held = accounts(3)
    stated = said([standing(a, calm(), proven(calm())) for a in held])
    monkeypatch.setattr(model, "words", refuses)
    found = crosschecked(calm(), held, stated)
    assert set(found.apart) == {a.name for a in held}
    assert "expected a finite vol" in found.apart["account 0"]


def refusing(monkeypatch, names: set[str]) -> list[int]:
    """Have the float model refuse every book with one of these accounts; returns the sizes of all it is given."""
    sizes = []
    take = ArraysAt.__call__

    def judge(self: ArraysAt, book: EngineBook) -> MarginReport:
        sizes.append(len(book.accounts))
        if found := names & set(book.accounts):
            raise ValueError(f"expected a sane book, found {min(found)}")
        return take(self, book)

    monkeypatch.setattr(ArraysAt, "__call__", judge)
    return sizes


def test_an_account_that_the_model_refuses_is_unknown_alone(monkeypatch):
    held = accounts(64)
    stated = said([standing(a, calm(), proven(calm())) for a in held])
    sizes = refusing(monkeypatch, {"account 7", "account 40"})
    found = crosschecked(calm(), held, stated)
    assert found.apart == {
        name: f"the float model says nothing: expected a sane book, found {name}"
        for name in ("account 7", "account 40")
    }
    assert found.compared == 62 * 3
    assert len(sizes) < 64 * 3  # halved, not one by one


def test_an_expiry_that_the_model_refuses_makes_only_its_holders_unknown(monkeypatch):
    """Nobody else's market has that expiry in it."""
    held = accounts(24, legs=2)
    broken = next(leg.instrument for a in held for leg in a.book.legs if leg.instrument.is_option)
    stated = said([standing(a, calm(), proven(calm())) for a in held])
    slice_ = calm().underlyings[broken.underlying].slices[broken.expiry]
    true = columns.implied
    monkeypatch.setattr(columns, "implied", lambda one, strike: true(one, strike) * (np.nan if one == slice_ else 1.0))
    expiries = {a.name: {(leg.instrument.underlying, leg.instrument.expiry) for leg in a.book.legs} for a in held}
    holders = {name for name, theirs in expiries.items() if (broken.underlying, broken.expiry) in theirs}
    assert 0 < len(holders) < 24
    assert set(crosschecked(calm(), held, stated).apart) == holders


def test_a_price_that_the_model_refuses_makes_everybody_unknown():
    held = accounts(6)
    stated = said([standing(a, calm(), proven(calm())) for a in held])
    report = copy(calm().underlyings[0].report)
    object.__setattr__(report, "confidence", 2 * report.price)
    known = replace(calm().underlyings[0], report=report)
    world = replace(calm(), underlyings={**calm().underlyings, 0: known})
    found = crosschecked(world, held, stated)
    assert set(found.apart) == {a.name for a in held}
    assert found.compared == 0


def test_a_number_that_is_not_finite_is_beyond_every_band(monkeypatch):
    held = accounts(2)
    stated = said([standing(a, calm(), proven(calm())) for a in held])
    monkeypatch.setattr(crosscheck, "to_float", lambda *_: float("nan"))
    found = crosschecked(calm(), held, stated)
    assert set(found.apart) == {"account 0", "account 1"}
    assert found.summary()["largest_usd"] is None


def test_statements_that_the_twin_refuses_are_not_compared():
    late = replace(calm(), now=NOW + DAYS[-1] * 86_400)
    held = accounts(2)
    stated = said([standing(a, late, late) for a in held])
    assert crosschecked(late, held, stated).summary() == {"compared": 0, "apart": 0}


def sight(monkeypatch, held: list[PortfolioAccount], wrong: int) -> PortfolioSight:
    """A sight whose twin overstates MM of everybody by `wrong` wei."""
    block = Block(100, "0xb10c", "0xb10b", NOW, 7)
    rules = AuctionRules(500, 500, 900, 86_400)
    state = PortfolioState("reference", block, calm(), (), {}, rules, 0, Allowance(0, 0, 0, 1), tuple(held), {})
    true = standing

    def off(account: PortfolioAccount, world: World, _: World) -> Standing:
        found = true(account, world, proven(world))
        assert found.newest is not None
        return replace(found, newest=replace(found.newest, mm=found.newest.mm + wrong))

    monkeypatch.setattr("keeper.portfolios.standing", off)
    return PortfolioSight(PortfolioLine(None, None, None), state)


def test_the_line_leaves_a_doubted_account_unknown_and_says_why(monkeypatch, caplog):
    held = accounts(2, seed=4, legs=0)
    seen = sight(monkeypatch, held, CENT)
    assert [v.status for v in seen.verdicts()] == ["unknown", "unknown"]
    assert all(np.isnan(v.equity) and v.reason.startswith(NEWEST) for v in seen.verdicts())
    assert all(s.shown is None and not s.below for s in seen.standings.values())
    assert "2 accounts unknown, as account 0: newest arrays" in caplog.text
    assert seen.crosscheck()["apart"] == 2


def test_the_line_believes_what_agrees(monkeypatch, caplog):
    held = accounts(2, seed=4, legs=0)
    seen = sight(monkeypatch, held, 0)
    assert [v.status for v in seen.verdicts()] == [verdict(a, seen.margined[a.name]).status for a in held]
    assert "unknown" not in [v.status for v in seen.verdicts()]
    assert not caplog.text
