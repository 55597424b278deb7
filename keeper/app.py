"""The only wiring: from a configuration to a world that can tick, with every check a start-up owes its user."""

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from engine.margin import perp
from engine.volatility.realised import realised
from engine.warm import warm_arrays
from keeper import executors
from keeper.accounts import Accounts, Glance
from keeper.auctions import AuctionPolicy
from keeper.chain import Block
from keeper.config import Config, load
from keeper.decide import Known, Policy, Rule
from keeper.errors import ConfigError, ReadError
from keeper.executors import NOBODY, SignerWish
from keeper.heads import Heads
from keeper.isolation import Isolation
from keeper.journal import Journal
from keeper.journal.records import Volatility
from keeper.lens import LensRpc
from keeper.loop import Executor, Line, World
from keeper.memory import Memory
from keeper.oracles import ORACLES
from keeper.oracles.base import Feed
from keeper.perpetuals import PerpetualLine
from keeper.plans import Held, SetParameters, WriteParameters
from keeper.portfolios import PortfolioLine, PortfolioPolicy, Writing
from keeper.publish import PPM, Publishing
from keeper.reference.relaying import Relaying
from keeper.rpc import Rpc
from keeper.steering import Found, SteeringPolicy, writes
from keeper.units import to_float
from keeper.venues import VENUES
from keeper.venues.base import PerpetualVenue, VenueState
from keeper.venues.portfolio import PortfolioState, PortfolioVenue

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
    venue: PerpetualVenue | PortfolioVenue
    signer: SignerWish
    world: World
    stop: threading.Event
    opened: ExitStack  # journal, and in mode live the line to the signer and a process of its own

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what was opened; a signer of the keeper's own ends. Twice is once."""
        self.opened.close()


def open_app(config: Config, *, signing: bool = True) -> App:
    """Connect, check and wire everything; without `signing` no signer is started or asked, whatever the
    configured mode, and nothing is written to the journal.

    Raises a KeeperError that says what was expected, what was found and what to do.
    """
    rpc = open_chain(config)
    venue = open_venue(config, rpc)
    policy = policy_of(config)
    wish = executors.wish(config, signing=signing)
    stop = threading.Event()
    with ExitStack() as opened:
        signer = opened.enter_context(closing(executors.access(config, venue, policy))) if wish.mode == "live" else None
        if signer is not None:
            signer.launch()  # it gets ready while the kernels do
        perp.warm() if venue.kind == "perpetual" else warm_arrays()
        journal = opened.enter_context(open_journal(config))
        executor: Executor = (
            executors.silent(config, rpc, venue, journal, wish)
            if signer is None
            else executors.lane(config, rpc, venue, journal, signer.connect, signer.alarm)
        )
        world = World(
            heads=Heads(rpc, config.chain.poll_seconds, stop.wait),
            accounts=Accounts(rpc, venue, journal if signing else Glance(journal), config.venue.start_block),
            line=_line(config, rpc, venue, journal, policy),
            oracle=ORACLES["chainlink"](rpc),
            feeds=feeds_of(config),
            journal=journal,
            executor=executor,
        )
        if signer is not None:
            signer.require()
        return App(config, rpc, journal, venue, wish, world, stop, opened.pop_all())
    raise AssertionError("an ExitStack without exits swallows nothing")


def _line(config: Config, rpc: Rpc, venue: PerpetualVenue | PortfolioVenue, journal: Journal, policy: Policy) -> Line:
    isolation = Isolation(journal)
    if venue.kind == "perpetual":
        return PerpetualLine(venue, _known(config, venue, journal, isolation, policy), policy)
    line = PortfolioLine(
        venue,
        portfolio_policy_of(config),
        lambda s: _remembered(journal, isolation, s.block),
        writing=_writing(config, rpc, venue, journal, policy),
    )
    if config.reports.inbox is None:
        return line
    chain_id, lifetime = config.chain.chain_id, policy.plan_lifetime_blocks
    under_way = journal.effects_under_way
    return replace(line, relaying=Relaying(rpc, config.reports.inbox, chain_id, *venue.relays, lifetime, under_way))


def _writing(config: Config, rpc: Rpc, venue: PortfolioVenue, journal: Journal, policy: Policy) -> Writing:
    """Return what moves the configured parameters. Raises ConfigError for one the venue does not know."""
    names = [rule.parameter for rule in policy.rules]
    own = SteeringPolicy(policy.set_parameters, policy.rules, policy.own_account, policy.plan_lifetime_blocks)
    if names:
        venue.steering(rpc.block(), names)

    def writing(state: PortfolioState, memory: Memory) -> tuple[Sequence[WriteParameters], Sequence[Held]]:
        if not names:
            return (), ()
        volatility = _volatilities(config, journal, policy, state.block)
        try:
            found = Found(venue.steering(state.block, names), volatility)
        except ReadError as error:
            found = Found(None, volatility, str(error))
        return writes(state.venue, state.block, found, own, memory)

    return writing


def _volatilities(config: Config, journal: Journal, policy: Policy, block: Block) -> dict[str, float]:
    """Return symbol → annualised volatility of the feeds that rules follow, where one was measured in the window."""
    feed_of = {o.symbol: o.address for o in config.oracle}
    measured = {s: journal.latest_volatility(feed_of[s]) for s in {rule.symbol for rule in policy.rules}}
    oldest = block.timestamp - int(config.jobs.volatility_window_hours * 3600)
    return {s: v.annualised for s, v in measured.items() if v is not None and v.computed_at >= oldest}


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


def _remembered(journal: Journal, isolation: Isolation, block: Block) -> Memory:
    since = block.number - REFUSED_BLOCKS
    return Memory(
        under_way=journal.effects_under_way(),
        refused=journal.refused_since(since),
        failed=journal.failed_since(since),
        barred=isolation.barred(block.timestamp),
    )


def signer_answer(config: Config) -> str:
    """Return what the configured signer says of itself, without disturbing a keeper that runs meanwhile."""
    if config.signer.mode != "live":
        return f"mode {config.signer.mode}, {config.signer.address or NOBODY}"
    venue = open_venue(config, open_chain(config))
    return executors.rehearsed(config, venue, policy_of(config))


def configured(path: Path) -> Config:
    """Return the configuration in `path`. Raises ConfigError naming every key that is wrong."""
    return load(path, venues={name: adapter.kind for name, adapter in VENUES.items()})


def open_chain(config: Config) -> Rpc:
    """Return the endpoint after checking that it answers for the right chain and holds the configured contracts."""
    rpc = LensRpc(config.chain.rpc_url, config.chain.timeout_seconds)
    rpc.require_chain(config.chain.chain_id)
    if config.rpc.lens == "auto":
        rpc.probe()
    for oracle in config.oracle:
        rpc.require_code(oracle.address, f"[[oracle]] {oracle.symbol}.address")
    return rpc


def open_venue(config: Config, rpc: Rpc) -> PerpetualVenue | PortfolioVenue:
    """Return the configured venue's adapter. Raises ConfigError for what a venue of its kind has no use for."""
    venue = VENUES[config.venue.name](rpc, config.venue.clearing_house)
    executor = config.portfolio.executor
    if venue.kind == "portfolio":
        return venue if executor is None else venue.through(executor)
    for key, found in (("portfolio.executor", executor), ("reports.inbox", config.reports.inbox)):
        if found is not None:
            raise ConfigError(f"{key}: expected none at venue {venue.name}, found {found}; leave it out")
    return venue


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


def _known(
    config: Config, venue: PerpetualVenue, journal: Journal, isolation: Isolation, policy: Policy
) -> Callable[[VenueState], Known]:
    def known(state: VenueState) -> Known:
        present = {r.parameter: venue.parameter(state, r.parameter) for r in policy.rules}
        effects = {r.parameter: SetParameters(venue.name, r.parameter, 0, 0, "", 0).effect for r in policy.rules}
        changed = {name: journal.last_achieved(effect) for name, effect in effects.items()}
        return Known(
            volatility=_volatilities(config, journal, policy, state.block),
            parameters={name: number for name, number in present.items() if number is not None},
            changed_at={name: at for name, at in changed.items() if at is not None},
            under_way=journal.effects_under_way(),
            refused=journal.refused_since(state.block.number - REFUSED_BLOCKS),
            barred=isolation.barred(state.block.timestamp),
        )

    return known
