"""What to do about what was seen: pure functions from verdicts to plans, with a reason for every account left alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from keeper.market import Prices
from keeper.plans import Held, Liquidate, Plan, SetParameters, liquidation_effect
from keeper.snapshot import Verdict
from keeper.units import PPM_DECIMALS, WAD_DECIMALS, to_float
from keeper.venues.base import Account, VenueState


@dataclass(frozen=True, slots=True)
class Rule:
    """How one parameter follows one feed's realised volatility; numbers in parts per million.

    At or below `volatility_calm` the target is `calm`, at or above `volatility_stressed` it is `stressed`,
    linear between. Moving towards `stressed` is tightening, towards `calm` loosening.
    """

    parameter: str
    symbol: str
    calm: int
    stressed: int
    volatility_calm: float  # annualised
    volatility_stressed: float
    max_step_tighten: int
    max_step_loosen: int
    min_interval_tighten_s: int
    min_interval_loosen_s: int
    deadband: int  # a smaller move is not worth a transaction

    def target(self, volatility: float) -> int:
        """Return where the parameter should stand at `volatility`, always between calm and stressed."""
        span = self.volatility_stressed - self.volatility_calm
        share = min(max((volatility - self.volatility_calm) / span, 0.0), 1.0)
        return self.calm + round(share * (self.stressed - self.calm))


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator allows."""

    own_account: str  # never liquidated; '' when the keeper has none
    liquidate: bool
    set_parameters: bool
    min_shortfall_usd: float
    max_liquidations: int  # a tick
    plan_lifetime_blocks: int
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """What decisions rest on beside this block: slow side computations and the ledger's memory."""

    volatility: Mapping[str, float]  # symbol -> annualised realised volatility; missing until enough quotes
    parameters: Mapping[str, int]  # parameter -> its number at this block, ppm
    changed_at: Mapping[str, int]  # parameter -> block time of our last change
    under_way: frozenset[str] = frozenset()  # effects of live intents
    refused: frozenset[str] = frozenset()  # effects the chain refused in simulation a few blocks ago
    barred: Mapping[str, str] = field(default_factory=dict)  # account or parameter -> why it is left alone for a while


def decide(
    state: VenueState, prices: Prices, verdicts: Sequence[Verdict], known: Known, policy: Policy
) -> tuple[tuple[Plan, ...], tuple[Held, ...]]:
    """Return the plans, most urgent first, and why every other endangered or unknown account is left alone."""
    plans, holds = _liquidations(state, prices, verdicts, known, policy)
    moves, kept = _parameter_moves(state, known, policy)
    return (*plans, *moves), (*holds, *kept)


def _liquidations(
    state: VenueState, prices: Prices, verdicts: Sequence[Verdict], known: Known, policy: Policy
) -> tuple[list[Plan], list[Held]]:
    accounts = {a.address: a for a in state.accounts}
    holds = [Held(v.account, f"unknown: {v.reason}") for v in verdicts if v.status == "unknown"]
    urgent = _most_urgent_first(state, verdicts, known)
    room = _room(state, prices, verdicts, policy) - _committed(state, prices, urgent, known)
    plans: list[Plan] = []
    for verdict in urgent:
        account = accounts[verdict.account]
        market = _largest(account, state, prices)
        reason = known.barred.get(verdict.account) or _left_alone(verdict, account, market, policy, len(plans))
        if reason or market is None:
            holds.append(Held(verdict.account, reason))
            continue
        row, notional = market
        plan = _liquidation(state, verdict, row, notional, policy)
        needed = _needed(state, notional)
        if plan.effect in known.under_way:
            holds.append(Held(verdict.account, "already under way"))
        elif not needed <= room:  # also when the keeper's own account is unknown
            why = f"capacity: needs {needed:,.2f} USD of initial margin, the keeper has {room:,.2f} left"
            holds.append(Held(verdict.account, why))
        else:
            room -= needed
            plans.append(plan)
    return plans, holds


def _most_urgent_first(state: VenueState, verdicts: Sequence[Verdict], known: Known) -> list[Verdict]:
    """Return endangered accounts, largest shortfall first, but those the chain just refused after all others.

    Otherwise accounts that cannot be liquidated, with an empty insurance fund say, would take every place.
    """

    def urgency(v: Verdict) -> tuple[bool, float]:
        return liquidation_effect(state.venue, v.account) in known.refused, v.equity - v.mm

    return sorted((v for v in verdicts if v.status == "endangered"), key=urgency)


def _liquidation(state: VenueState, verdict: Verdict, row: int, notional: float, policy: Policy) -> Liquidate:
    return Liquidate(
        venue=state.venue,
        account=verdict.account,
        market=state.markets[row].address,
        shortfall=verdict.mm - verdict.equity,
        notional=notional,
        expires_at=state.block.number + policy.plan_lifetime_blocks,
    )


def _room(state: VenueState, prices: Prices, verdicts: Sequence[Verdict], policy: Policy) -> float:
    """Return how much initial margin the keeper can still post, USD; unrealised profit does not count.

    As Curie's free collateral: min(collateral value, account value) - IM (Vault._getFreeCollateralByRatio).
    NaN when the keeper's own account is unknown, 0 when the venue never saw it: it has deposited nothing.
    """
    if not policy.own_account:
        return float("inf")
    own = next((v for v in verdicts if v.account == policy.own_account), None)
    held = next((a for a in state.accounts if a.address == policy.own_account), None)
    if own is None:
        return 0.0
    unrealised = sum(
        to_float(p.size, WAD_DECIMALS) * prices.mark[p.market] + to_float(p.open_notional, WAD_DECIMALS)
        for p in (held.positions if held else ())
    )
    return own.equity - max(unrealised, 0.0) - own.im


def _committed(state: VenueState, prices: Prices, urgent: Sequence[Verdict], known: Known) -> float:
    """Return the initial margin, USD, that liquidations under way may still take."""
    under_way = {v.account for v in urgent if liquidation_effect(state.venue, v.account) in known.under_way}
    markets = (_largest(a, state, prices) for a in state.accounts if a.address in under_way)
    return sum(_needed(state, market[1]) for market in markets if market is not None)


def _needed(state: VenueState, notional: float) -> float:
    return notional * to_float(state.parameters.im_ratio, PPM_DECIMALS)


def _left_alone(
    verdict: Verdict, account: Account, market: tuple[int, float] | None, policy: Policy, planned: int
) -> str:
    """Return why this endangered account is not liquidated now, or ''."""
    if not policy.liquidate:
        return "policy.liquidate is off"
    if verdict.account == policy.own_account:
        return "the keeper's own account: add collateral"
    if account.has_orders:
        return "open orders: the venue refuses to liquidate until they are cancelled"
    if market is None:
        return "its market is not open" if account.positions else "no position left to take over: bad debt"
    if verdict.mm - verdict.equity < policy.min_shortfall_usd:
        return f"shortfall {verdict.mm - verdict.equity:.2f} USD below policy.min_shortfall_usd"
    if planned >= policy.max_liquidations:
        return f"policy.max_liquidations_per_tick {policy.max_liquidations} reached"
    return ""


def _largest(account: Account, state: VenueState, prices: Prices) -> tuple[int, float] | None:
    """Return the row and USD notional of the largest position in an open market, or None."""
    sized = [
        (abs(to_float(p.size, WAD_DECIMALS)) * prices.mark[p.market], p.market)
        for p in account.positions
        if p.size and state.markets[p.market].open
    ]
    return (max(sized)[1], max(sized)[0]) if sized else None


def _parameter_moves(state: VenueState, known: Known, policy: Policy) -> tuple[list[Plan], list[Held]]:
    plans: list[Plan] = []
    holds: list[Held] = []
    for rule in policy.rules:
        moved = move(rule, state.block.timestamp, known)
        if isinstance(moved, str):
            holds.append(Held(rule.parameter, moved))
        elif not policy.set_parameters:
            holds.append(Held(rule.parameter, "policy.set_parameters is off"))
        elif rule.parameter in known.barred:
            holds.append(Held(rule.parameter, known.barred[rule.parameter]))
        else:
            old, new = moved
            why = f"{rule.symbol} volatility {known.volatility[rule.symbol]:.1%} a year"
            expires = state.block.number + policy.plan_lifetime_blocks
            plans.append(SetParameters(state.venue, rule.parameter, old, new, why, expires))
    return plans, holds


def move(rule: Rule, now: int, known: Known) -> tuple[int, int] | str:
    """Return (old, new) for one bounded step, or why there is none."""
    volatility = known.volatility.get(rule.symbol)
    old = known.parameters.get(rule.parameter)
    if volatility is None:
        return f"no realised volatility of {rule.symbol} yet"
    if old is None:
        return "its present number is not known at this block"
    low, high = sorted((rule.calm, rule.stressed))
    if not low <= old <= high:
        return f"at {old}, outside the configured bounds {low}..{high}: somebody else set it, bring it back by hand"
    gap = rule.target(volatility) - old
    tightening = (gap > 0) == (rule.stressed > rule.calm)
    step = rule.max_step_tighten if tightening else rule.max_step_loosen
    wait = rule.min_interval_tighten_s if tightening else rule.min_interval_loosen_s
    if abs(gap) < max(rule.deadband, 1):
        return f"at {old}, target {rule.target(volatility)}: inside the deadband {rule.deadband}"
    since = now - known.changed_at.get(rule.parameter, now - wait)
    if since < wait:
        return f"changed {since} s ago, next change after {wait} s"
    return old, old + max(-step, min(step, gap))
