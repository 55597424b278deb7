"""The line of a perpetual venue: its integers become columns, the engine margins them, the policy decides."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from engine.margin.perp import margin
from keeper.chain import Block
from keeper.decide import Known, Policy, decide
from keeper.market import Prices, fuse
from keeper.oracles.base import Quote
from keeper.plans import Held, Plan
from keeper.snapshot import Part, Verdict, assemble, judge
from keeper.units import PPM_DECIMALS, WAD_DECIMALS, to_float
from keeper.venues.base import PerpetualVenue, VenueState


@dataclass(frozen=True, slots=True)
class PerpetualLine:
    """How a venue of perpetuals is read, judged and acted on."""

    adapter: PerpetualVenue
    known: Callable[[VenueState], Known]
    policy: Policy

    def read(self, block: Block, accounts: Sequence[str], quotes: tuple[Quote, ...]) -> "PerpetualSight":
        state = self.adapter.read(block, accounts)
        return PerpetualSight(self, state, quotes, fuse(state, quotes))


@dataclass(frozen=True, slots=True)
class PerpetualSight:
    """A perpetual venue at one block."""

    line: PerpetualLine
    state: VenueState
    quotes: tuple[Quote, ...]
    prices: Prices

    @property
    def venue(self) -> str:
        return self.state.venue

    def verdicts(self) -> tuple[Verdict, ...]:
        report = margin(*assemble(self.state, self.prices))
        return judge(self.line.adapter, self.state, self.prices, report)

    def decisions(self, verdicts: Sequence[Verdict]) -> tuple[tuple[Plan, ...], tuple[Held, ...]]:
        return decide(self.state, self.prices, verdicts, self.line.known(self.state), self.line.policy)

    def crosscheck(self) -> Mapping[str, object]:
        return {}

    def faults(self) -> tuple[str, ...]:
        found = (*self.prices.mark_fault, *self.prices.collateral_fault)
        return tuple(dict.fromkeys(fault for fault in found if fault))

    def parts(self, account: str) -> tuple[Part, ...]:
        held = next((a for a in self.state.accounts if a.address == account), None)
        if held is None:
            return ()
        state, prices = self.state, self.prices
        age = {q.feed: f"{q.symbol}, {q.fault or f'{q.age_s} s old'}" for q in self.quotes}
        cash = to_float(held.cash, state.settlement_decimals)
        found = [Part("cash", cash, 1.0, cash, "vault balance")]
        for label, wad in (("realised PnL owed", held.owed_pnl), ("pending fee", held.pending_fee)):
            if wad:
                found.append(Part(label, to_float(wad, WAD_DECIMALS), 1.0, to_float(wad, WAD_DECIMALS), "venue"))
        for p in held.positions:
            market, mark = state.markets[p.market], prices.mark[p.market]
            size, source = to_float(p.size, WAD_DECIMALS), f"mark; {age.get(market.feed, 'no feed')}"
            found.append(Part(f"position {market.name}", size, mark, size * mark, source))
            quote = to_float(p.open_notional, WAD_DECIMALS)
            found.append(Part(f"open notional {market.name}", quote, 1.0, quote, "venue"))
            funding = -to_float(p.pending_funding, WAD_DECIMALS)
            found.append(Part(f"pending funding {market.name}", funding, 1.0, funding, "venue"))
        for b in held.balances:
            token, price = state.collaterals[b.collateral], prices.collateral[b.collateral]
            amount, share = to_float(b.amount, token.decimals), to_float(token.ratio, PPM_DECIMALS)
            source = f"{share:.1%} counts; {age.get(token.feed, 'no feed')}"
            found.append(Part(f"collateral {token.name}", amount, price, amount * price * share, source))
        return tuple(found)
