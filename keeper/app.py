"""The only wiring: from a configuration to a world that can tick, with every check a start-up owes its user."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from engine.margin import perp
from engine.volatility.realised import realised
from keeper.accounts import Accounts, Glance
from keeper.auctions import AuctionPolicy
from keeper.chain import Call
from keeper.config import Config, keystore_password, load
from keeper.decide import Known, Policy, Rule
from keeper.execute import Executor, Limits
from keeper.heads import Heads
from keeper.journal import Journal
from keeper.journal.records import Volatility
from keeper.loop import Line, World
from keeper.memory import Memory
from keeper.oracles import ORACLES
from keeper.oracles.base import Feed
from keeper.perpetuals import PerpetualLine
from keeper.plans import EndAuction, Liquidate, PublishArrays, SetParameters, StartAuction, TakeAuction
from keeper.portfolios import PortfolioLine, PortfolioPolicy
from keeper.publish import PPM, Publishing
from keeper.rpc import Rpc
from keeper.submit import ROUTES
from keeper.submit.signer import Allowed, Signer, SignerPolicy, unlock
from keeper.units import to_float
from keeper.venues import VENUES
from keeper.venues.base import PerpetualVenue, Venue, VenueState
from keeper.venues.portfolio import PortfolioVenue

NOBODY = "0x" + "0" * 40
NO_ID = "0x" + "0" * 64
REFUSED_BLOCKS = 5
"""How long a refusal puts an account behind the others, and a miss lets the next try expect any sequence."""
MIN_ROUNDS = 3
"""Fewer oracle rounds than this say nothing about volatility."""


@dataclass(frozen=True, slots=True)
class App:
    """An open keeper: the world of its ticks and what the command line needs beside it."""

    config: Config
    rpc: Rpc
    journal: Journal
    venue: Venue
    signer: Signer
    world: World
    stop: threading.Event

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.journal.close()


def open_app(config: Config, *, signing: bool = True) -> App:
    """Connect, check and wire everything; without `signing` no key is touched, whatever the
    configured mode, and nothing is written to the journal.

    Raises a KeeperError that says what was expected, what was found and what to do.
    """
    rpc = open_chain(config)
    perp.warm()
    venue = VENUES[config.venue.name](rpc, config.venue.clearing_house)
    policy = policy_of(config)
    signer = _signer(config, venue, policy, signing)
    journal = open_journal(config)
    stop = threading.Event()
    executor = Executor(rpc, venue, ROUTES["public"](rpc), signer, journal, _limits(config))
    world = World(
        heads=Heads(rpc, config.chain.poll_seconds, stop.wait),
        accounts=Accounts(rpc, venue, journal if signing else Glance(journal), config.venue.start_block),
        line=_line(config, venue, journal, policy),
        oracle=ORACLES["chainlink"](rpc),
        feeds=feeds_of(config),
        journal=journal,
        executor=executor,
    )
    return App(config, rpc, journal, venue, signer, world, stop)


def _line(config: Config, venue: PerpetualVenue | PortfolioVenue, journal: Journal, policy: Policy) -> Line:
    if venue.kind == "perpetual":
        return PerpetualLine(venue, _known(config, venue, journal, policy), policy)
    return PortfolioLine(venue, portfolio_policy_of(config), lambda state: _remembered(journal, state.block.number))


def portfolio_policy_of(config: Config) -> PortfolioPolicy:
    rules, policy = config.portfolio, config.policy
    return PortfolioPolicy(
        auctions=AuctionPolicy(
            start=policy.liquidate,
            take=rules.take,
            takers=rules.takers,
            min_shortfall_usd=policy.min_shortfall_usd,
            min_profit_usd=rules.min_profit_usd,
            max_a_tick=policy.max_liquidations_per_tick,
            deadline_s=rules.deadline_seconds,
            end=rules.end,
            end_excess=round(rules.end_excess * PPM),
        ),
        publishing=Publishing(
            on=rules.publish,
            after_move=round(rules.publish_after_move * PPM),
            after_shift=round(rules.publish_after_shift * PPM),
            after_seconds=rules.publish_after_seconds,
            only=frozenset(rules.publish_underlyings),
        ),
        publisher=config.signer.address or NOBODY,
        plan_lifetime_blocks=policy.plan_lifetime_blocks,
    )


def _remembered(journal: Journal, block_number: int) -> Memory:
    under_way = frozenset(intent.plan.effect for intent in journal.live_intents())
    since = block_number - REFUSED_BLOCKS
    return Memory(under_way, journal.refused_since(since), journal.failed_since(since))


def configured(path: Path) -> Config:
    """Return the configuration in `path`. Raises ConfigError naming every key that is wrong."""
    return load(path, venues=VENUES)


def open_chain(config: Config) -> Rpc:
    """Return the endpoint after checking that it answers for the right chain and holds the configured contracts."""
    rpc = Rpc(config.chain.rpc_url, config.chain.timeout_seconds)
    rpc.require_chain(config.chain.chain_id)
    for oracle in config.oracle:
        rpc.require_code(oracle.address, f"[[oracle]] {oracle.symbol}.address")
    return rpc


def open_journal(config: Config) -> Journal:
    return Journal.open(config.journal.url, chain_id=config.chain.chain_id, venue=config.venue.name)


def feeds_of(config: Config) -> tuple[Feed, ...]:
    return tuple(
        Feed(o.symbol, o.address, o.decimals, o.heartbeat_seconds, o.min_answer, o.max_answer) for o in config.oracle
    )


def policy_of(config: Config) -> Policy:
    return Policy(
        own_account=config.signer.address or "",
        liquidate=config.policy.liquidate,
        set_parameters=config.policy.set_parameters,
        min_shortfall_usd=config.policy.min_shortfall_usd,
        max_liquidations=config.policy.max_liquidations_per_tick,
        plan_lifetime_blocks=config.policy.plan_lifetime_blocks,
        rules=tuple(
            Rule(
                parameter=p.name,
                symbol=p.symbol,
                calm=p.calm,
                stressed=p.stressed,
                volatility_calm=p.volatility_calm,
                volatility_stressed=p.volatility_stressed,
                max_step_tighten=p.max_step_tighten,
                max_step_loosen=p.max_step_loosen,
                min_interval_tighten_s=p.min_interval_tighten_seconds,
                min_interval_loosen_s=p.min_interval_loosen_seconds,
                deadband=p.deadband,
            )
            for p in config.parameter
        ),
    )


def refresh_volatility(app: App) -> None:
    """Measure realised volatility of every feed from the oracle rounds the ticks saw; block time decides the window."""
    last = app.journal.last_tick()
    if last is None:
        return
    jobs = app.config.jobs
    for feed in app.world.feeds:
        since = last.block.timestamp - int(jobs.volatility_window_hours * 3600)
        rounds = [r for r in app.journal.rounds_of(feed.address, since) if r.status == "good"]
        if len(rounds) < MIN_ROUNDS:
            continue
        times = [float(r.updated_at) for r in rounds]
        prices = [to_float(r.answer, r.decimals) for r in rounds]
        measured = realised(times, prices, jobs.volatility_half_life_hours * 3600)
        app.journal.put_volatility(Volatility(feed.address, last.block.timestamp, measured, len(rounds)))


def _known(config: Config, venue: PerpetualVenue, journal: Journal, policy: Policy) -> Callable[[VenueState], Known]:
    feed_of = {o.symbol: o.address for o in config.oracle}

    def known(state: VenueState) -> Known:
        measured = {s: journal.latest_volatility(feed_of[s]) for s in {rule.symbol for rule in policy.rules}}
        present = {r.parameter: venue.parameter(state, r.parameter) for r in policy.rules}
        effects = {r.parameter: SetParameters(venue.name, r.parameter, 0, 0, "", 0).effect for r in policy.rules}
        changed = {name: journal.last_achieved(effect) for name, effect in effects.items()}
        oldest = state.block.timestamp - int(config.jobs.volatility_window_hours * 3600)
        return Known(
            volatility={s: v.annualised for s, v in measured.items() if v is not None and v.computed_at >= oldest},
            parameters={name: number for name, number in present.items() if number is not None},
            changed_at={name: at for name, at in changed.items() if at is not None},
            under_way=frozenset(intent.plan.effect for intent in journal.live_intents()),
            refused=journal.refused_since(state.block.number - REFUSED_BLOCKS),
        )

    return known


def _limits(config: Config) -> Limits:
    signer = config.signer
    return Limits(
        chain_id=config.chain.chain_id,
        gas=signer.max_gas,
        max_fee=signer.max_fee,
        tip=signer.tip,
        per_tick=signer.max_transactions_per_block,
        confirmations=config.chain.confirmations,
    )


def _signer(config: Config, venue: PerpetualVenue | PortfolioVenue, policy: Policy, signing: bool) -> Signer:
    signer = config.signer
    limits = _limits(config)
    allowed = SignerPolicy(
        mode=signer.mode if signing else "observe",
        chain_id=config.chain.chain_id,
        allowed=_allowed(config, venue, policy),
        max_gas=limits.gas,
        max_fee=limits.max_fee,
        max_tip=limits.tip,
    )
    address = signer.address or NOBODY
    if allowed.mode != "live" or signer.keystore is None:
        return Signer(allowed, address, None)
    return Signer(allowed, address, unlock(signer.keystore, keystore_password().get_secret_value(), address))


def _allowed(config: Config, venue: PerpetualVenue | PortfolioVenue, policy: Policy) -> tuple[Allowed, ...]:
    if venue.kind == "perpetual":
        return _perpetual_calls(venue, policy)
    return tuple(Allowed(call.to, call.selector) for call in _portfolio_calls(config, venue))


def _portfolio_calls(config: Config, venue: PortfolioVenue) -> Iterator[Call]:
    """Yield a call of every kind the policy can need. Their structs are dynamic, so nothing in them is bounded here:
    the venue moves a taker's money only for the taker's owner or his delegate."""
    name = venue.name
    if config.policy.liquidate:
        start = StartAuction(name, NOBODY, 0, False, 0, 0, 0.0, 0, 0)
        yield venue.encode(start)
        yield from (sending.call for sending in venue.sendings((start, start), 2**63))
    if config.portfolio.end:
        yield venue.encode(EndAuction(name, NOBODY, 0, 0, 0, 0.0, 0, 0))
    if config.portfolio.take:
        yield venue.encode(TakeAuction(name, NOBODY, NOBODY, 0, 0, 0, 0, 0, False, 0, False, 0, 0.0, 0, 0))
    if config.portfolio.publish:
        yield venue.encode(PublishArrays(name, 0, 0, NO_ID, NO_ID, 0, NO_ID, "0x", "", 0))


def _perpetual_calls(venue: PerpetualVenue, policy: Policy) -> tuple[Allowed, ...]:
    """Return the calls the policy can need: liquidation of anybody, and each configured parameter inside its bounds."""
    allowed = []
    if policy.liquidate:
        call = venue.encode(Liquidate(venue.name, NOBODY, NOBODY, 0.0, 0.0, 0))
        allowed.append(Allowed(call.to, call.selector))
    for rule in policy.rules if policy.set_parameters else ():
        low, high = sorted((rule.calm, rule.stressed))
        call = venue.encode(SetParameters(venue.name, rule.parameter, low, low, "", 0))
        words = [int.from_bytes(call.data[i : i + 32]) for i in range(4, len(call.data), 32)]
        fixed = tuple((i, word, word) for i, word in enumerate(words[:-1]))
        allowed.append(Allowed(call.to, call.selector, (*fixed, (len(words) - 1, low, high))))
    return tuple(allowed)
