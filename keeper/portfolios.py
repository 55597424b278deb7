"""The line of a portfolio venue: accounts margined by the twin, auctions started and taken, arrays published.

An account is judged twice: by what a proof would show now (the arrays of the newest report and slices, whether or
not anybody has published them) and by what is published. Either may start an auction, so either endangers it.
Both are computed once more in floats; an account whose numbers do not agree is unknown.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import starmap

from keeper.auctions import AuctionPolicy, Standing, liquidations
from keeper.chain import Block
from keeper.crosscheck import NEWEST, PROOF, SETTLED, Crosscheck, crosschecked
from keeper.memory import Memory
from keeper.oracles.base import Quote
from keeper.plans import Held, Plan, RelayReports, WriteParameters
from keeper.publish import Publishing, arrays_of, publications
from keeper.recoveries import recoveries
from keeper.snapshot import MarginStatus, Part, Verdict
from keeper.twin.fixed import WAD
from keeper.twin.margin import by_arrays, by_settled_arrays, groups_by_arrays, pack_scenarios, statement, value_of
from keeper.twin.records import Check, Instrument
from keeper.twin.words import NoArray, WordOutOfRange, Words
from keeper.twin.world import Epoch, MarginRefused, Underlying, World
from keeper.units import WAD_DECIMALS, to_float
from keeper.venues.portfolio import PortfolioAccount, PortfolioState, PortfolioVenue

log = logging.getLogger(__name__)

NAN = float("nan")
GAP = 3  # place of the gap word in an array


@dataclass(frozen=True, slots=True)
class PortfolioPolicy:
    """What the operator allows."""

    auctions: AuctionPolicy
    publishing: Publishing
    publisher: str  # whose epochs count as ours; the signer's address
    plan_lifetime_blocks: int


Writing = Callable[[PortfolioState, Memory], tuple[Sequence[WriteParameters], Sequence[Held]]]
"""What should be written to the venue's steward, and why other parameters stay."""
Relaying = Callable[[PortfolioState], tuple[tuple[RelayReports, ...], tuple[Held, ...]]]
"""What signed reports there are to bring to the venue's relays at its block, and why others are left out."""


@dataclass(frozen=True)
class PortfolioLine:
    """How a portfolio venue is read, judged and acted on."""

    adapter: PortfolioVenue
    policy: PortfolioPolicy
    memory: Callable[[PortfolioState], Memory]
    relaying: Relaying = lambda _: ((), ())
    writing: Writing = lambda *_: ((), ())

    def read(self, block: Block, accounts: Sequence[str], quotes: tuple[Quote, ...]) -> "PortfolioSight":  # noqa: ARG002 - prices are the venue's own
        state = self.adapter.read(block, accounts, self.policy.publisher)
        return PortfolioSight(self, state, *self.relaying(state))


@dataclass(frozen=True)
class PortfolioSight:
    """A portfolio venue at one block."""

    line: PortfolioLine
    state: PortfolioState
    relays: tuple[RelayReports, ...] = ()
    unrelayed: tuple[Held, ...] = ()

    @property
    def venue(self) -> str:
        return self.state.venue

    @cached_property
    def fresh(self) -> World:
        """The world as if arrays of the newest report and slices were published now, gap words left out.

        Its MM is then the largest that a one-scenario proof can show, row by row (docs/risk-arrays.md).
        """
        return fresh_world(self.state)

    @cached_property
    def margined(self) -> dict[str, Standing]:
        """What the twin says of each account."""
        return {a.name: standing(a, self.state.world, self.fresh) for a in self.state.accounts}

    @cached_property
    def compared(self) -> Crosscheck:
        said = {PROOF: "proof", NEWEST: "newest", SETTLED: "settled"}
        stated = {
            name: {a: check for a, s in self.margined.items() if (check := getattr(s, which)) is not None}
            for name, which in said.items()
        }
        found = crosschecked(self.state.world, self.state.accounts, stated)
        if found.apart:
            account, why = next(iter(found.apart.items()))
            log.error(
                "block %d: %d accounts unknown, as %s: %s", self.state.block.number, len(found.apart), account, why
            )
        return found

    @cached_property
    def standings(self) -> dict[str, Standing]:
        """What can be shown of each account: nothing where the float model contradicts the twin."""
        apart = self.compared.apart
        return {a: s.withheld(apart[a]) if a in apart else s for a, s in self.margined.items()}

    def crosscheck(self) -> Mapping[str, object]:
        return self.compared.summary()

    def verdicts(self) -> tuple[Verdict, ...]:
        found = [verdict(a, self.standings[a.name]) for a in self.state.accounts]
        found += [Verdict(a, NAN, NAN, NAN, NAN, "unknown", False, why) for a, why in self.state.unknown.items()]
        return tuple(found)

    def decisions(self, verdicts: Sequence[Verdict]) -> tuple[tuple[Plan, ...], tuple[Held, ...]]:
        policy, memory = self.line.policy, self.line.memory(self.state)
        lifetime = policy.plan_lifetime_blocks
        plans, holds = liquidations(self.state, self.standings, policy.auctions, memory, lifetime)
        published, kept = publications(self.state, policy.publishing, lifetime)
        due = (*published, *self.relays)
        new = [p for p in due if p.effect not in memory.under_way and p.subject not in memory.barred]
        out = {plan.subject: memory.barred[plan.subject] for plan in due if plan.subject in memory.barred}
        ended, left = recoveries(self.state, self.standings, policy.auctions, memory, lifetime)
        moves, stay = self.line.writing(self.state, memory)
        unknown = [Held(v.account, f"unknown: {v.reason}") for v in verdicts if v.status == "unknown"]
        held = (*unknown, *holds, *kept, *left, *self.unrelayed, *stay, *starmap(Held, out.items()))
        return (*plans, *new, *ended, *moves), held

    def faults(self) -> tuple[str, ...]:
        world = self.state.world
        stale = [
            f"underlying {u}: report {world.now - known.report.timestamp} s old, limit {world.limits.report_age} s"
            for u, known in world.underlyings.items()
            if world.now - known.report.timestamp > world.limits.report_age
        ]
        return (*self.state.faults.values(), *stale)

    def parts(self, account: str) -> tuple[Part, ...]:
        held = next((a for a in self.state.accounts if a.name == account), None)
        if held is None:
            return ()
        cash = to_float(held.book.cash, WAD_DECIMALS)
        return (Part("cash", cash, 1.0, cash, "ledger"), *self._legs(held), *self._collateral(held))

    def _legs(self, held: PortfolioAccount) -> tuple[Part, ...]:
        found = []
        for leg in held.book.legs:
            size = to_float(leg.size, WAD_DECIMALS)
            try:
                worth, source = to_float(value_of(leg, self.state.world), 2 * WAD_DECIMALS), "report and slice"
            except MarginRefused as error:
                worth, source = NAN, str(error)
            found.append(Part(_called(leg.instrument), size, worth / size, worth, source))
        return tuple(found)

    def _collateral(self, held: PortfolioAccount) -> tuple[Part, ...]:
        found = []
        for holding in held.book.collateral:
            accepted = self.state.world.collaterals[holding.index]
            amount = to_float(holding.amount, accepted.decimals)
            known = self.state.world.underlyings.get(accepted.underlying)
            price = NAN if known is None else to_float(known.report.price, WAD_DECIMALS)
            late = "" if accepted.haircut == accepted.haircut_mm else f", for MM {accepted.haircut_mm / 100:g} %"
            source = f"haircut {accepted.haircut / 100:g} %{late}"
            found.append(Part(f"collateral {holding.index}", amount, price, amount * price, source))
        return tuple(found)


def fresh_world(state: PortfolioState) -> World:
    """Return the world in which every underlying's epoch is what its newest report and slices give."""
    world = state.world
    underlyings = dict(world.underlyings)
    for line in state.lines:
        known = world.underlyings[line.underlying]
        arrays: dict[int, tuple[Words, ...]] = {}
        for series in line.series:
            slice_ = known.slices.get(series.expiry)
            if slice_ is None or world.now - slice_.timestamp > world.limits.slice_age:
                continue  # a leg of it is refused, as the proof would be
            try:
                arrays[series.expiry] = without_gap(arrays_of(known.report, slice_, known.scan, series.instruments))
            except (NoArray, WordOutOfRange):
                continue
        epoch = Epoch(known.report.price, known.report.timestamp, known.scan, arrays)
        underlyings[line.underlying] = _on(known, epoch)
    return replace(world, underlyings=underlyings, limits=replace(world.limits, epoch_age=world.limits.report_age))


def _on(known: Underlying, epoch: Epoch) -> Underlying:
    return replace(known, current=epoch, settled=epoch)


def without_gap(arrays: tuple[Words, ...]) -> tuple[Words, ...]:
    return tuple((*words[:GAP], 0, *words[GAP + 1 :]) for words in arrays)


def standing(account: PortfolioAccount, world: World, fresh: World) -> Standing:
    """Return what can be shown of one account now; each statement is None where the contract would refuse it."""
    proof, scenarios, why = None, pack_scenarios({}), ""
    try:
        groups = groups_by_arrays(account.book, fresh)
        proof = statement(account.book, groups)
        scenarios = pack_scenarios({g.underlying: g.row for g in groups})
    except MarginRefused as error:
        why = str(error)
    return Standing(
        account, proof, scenarios, _or_none(account, world, settled=False), _or_none(account, world, settled=True), why
    )


def _or_none(account: PortfolioAccount, world: World, *, settled: bool) -> Check | None:
    try:
        return by_settled_arrays(account.book, world) if settled else by_arrays(account.book, world)
    except MarginRefused:
        return None


def verdict(account: PortfolioAccount, found: Standing) -> Verdict:
    """Return the account's verdict: endangered where any statement that starts an auction says so."""
    shown = found.shown
    if shown is None:
        return Verdict(account.name, NAN, NAN, NAN, NAN, "unknown", True, found.why)
    equity, im, mm = (to_float(x, WAD_DECIMALS) for x in (shown.equity, shown.im, shown.mm))
    without = float("inf") if shown.equity >= 0 else float("-inf")
    health = to_float(shown.equity * WAD // shown.mm, WAD_DECIMALS) if shown.mm else without
    status: MarginStatus = "endangered" if found.below else "healthy"
    return Verdict(account.name, equity, im, mm, health, status, True, "")


def _called(instrument: Instrument) -> str:
    if not instrument.is_option:
        return f"perpetual {instrument.underlying}"
    kind = "call" if instrument.is_call else "put"
    return f"{kind} {instrument.underlying} {instrument.expiry} {instrument.strike / 10**8:g}"
