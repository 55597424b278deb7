"""What every decision keeps, whatever the book and the market do."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from keeper.chain import Block
from keeper.decide import Known, Policy, Rule, decide
from keeper.market import Prices
from keeper.plans import Held, Liquidate, SetParameters, liquidation_effect
from keeper.snapshot import Verdict
from keeper.units import Ppm, Wad
from keeper.venues.base import Account, Market, Parameters, Position, VenueState

WAD = 10**18
NAN = float("nan")
IM = 0.1
OWN = "0x" + "0" * 40
NAMES = [f"0x{i:040x}" for i in range(9)]  # the keeper's own is among them

usd = st.floats(-1e9, 1e9)
positive_usd = st.floats(1e-6, 1e9)


@dataclass(frozen=True)
class World:
    state: VenueState
    prices: Prices
    verdicts: tuple[Verdict, ...]
    policy: Policy
    known: Known

    def decided(self) -> tuple[list[Liquidate], tuple[Held, ...]]:
        plans, holds = decide(self.state, self.prices, self.verdicts, self.known, self.policy)
        return [p for p in plans if isinstance(p, Liquidate)], holds

    def largest(self, name: str) -> float:
        """Return the USD notional of an account's largest position in an open market, 0 if there is none."""
        (account,) = (a for a in self.state.accounts if a.address == name)
        sizes = ((abs(p.size) / WAD * self.prices.mark[p.market], p.market) for p in account.positions)
        return max((usd for usd, row in sizes if self.state.markets[row].open), default=0.0)

    def having(self, status: str) -> set[str]:
        return {v.account for v in self.verdicts if v.status == status}


@st.composite
def verdicts_of(draw: st.DrawFn, address: str) -> Verdict:
    status = draw(st.sampled_from(["healthy", "endangered", "endangered", "unknown"]))
    if status == "unknown":
        return Verdict(address, NAN, NAN, NAN, NAN, "unknown", False, draw(st.sampled_from(["stale", "not read"])))
    mm = draw(st.floats(0.0, 1e9))
    gap = draw(positive_usd)
    equity = mm - gap if status == "endangered" else mm + gap
    return Verdict(address, equity, mm * 1.6, mm, 1.0, status, False, "")  # type: ignore[arg-type]


@st.composite
def positions(draw: st.DrawFn, markets: int) -> tuple[Position, ...]:
    rows = draw(st.lists(st.integers(0, markets - 1), unique=True, max_size=markets))
    sizes = [draw(st.integers(-(10**20), 10**20)) for _ in rows]
    return tuple(Position(r, Wad(s), Wad(-s), Wad(s), Wad(-s), Wad(0)) for r, s in zip(rows, sizes, strict=True))


@st.composite
def worlds(draw: st.DrawFn) -> World:
    names = draw(st.lists(st.sampled_from(NAMES[1:]), unique=True))
    names += draw(st.sampled_from([[OWN], [OWN], [OWN], []]))
    verdicts = tuple(draw(verdicts_of(name)) for name in names)
    open_ = draw(st.lists(st.booleans(), min_size=1, max_size=3))
    markets = tuple(Market(f"0xm{i}", "M", Wad(WAD), Wad(WAD), "0xf", o) for i, o in enumerate(open_))
    accounts = tuple(
        Account(v.account, 0, Wad(0), Wad(0), draw(st.booleans()), draw(positions(len(markets))), ())
        for v in verdicts
        if v.status != "unknown"
    )
    unknown = {v.account: v.reason for v in verdicts if v.status == "unknown"}
    parameters = Parameters(Ppm(int(IM * 1e6)), Ppm(62_500), Ppm(0), Ppm(0), Ppm(0))
    block = Block(10, "0x1", "0x0", 1_000, 1)
    state = VenueState("v", block, 6, parameters, markets, (), accounts, unknown)
    marks = tuple(draw(st.floats(1.0, 1e4)) for _ in markets)
    policy = Policy(
        own_account=draw(st.sampled_from([OWN, OWN, ""])),
        liquidate=draw(st.sampled_from([True, True, True, False])),
        set_parameters=False,
        min_shortfall_usd=draw(st.sampled_from([0.0, 1.0, 1e6])),
        max_liquidations=draw(st.integers(0, 9)),
        plan_lifetime_blocks=3,
        rules=(),
    )
    effects = st.frozensets(st.sampled_from([liquidation_effect("v", name) for name in NAMES[1:]]), max_size=4)
    known = Known({}, {}, {}, under_way=draw(effects), refused=draw(effects))
    return World(state, Prices(marks, ("",) * len(marks), (), ()), verdicts, policy, known)


@given(worlds())
def test_every_endangered_or_unknown_account_has_exactly_one_answer_and_nobody_else_has_any(world: World) -> None:
    plans, holds = world.decided()
    answers = Counter([p.account for p in plans] + [h.subject for h in holds])
    assert answers == Counter(world.having("endangered") | world.having("unknown"))
    assert all(h.reason for h in holds)


@given(worlds())
def test_unknown_is_never_liquidated_and_held_as_unknown(world: World) -> None:
    plans, holds = world.decided()
    assert not {p.account for p in plans} & world.having("unknown")
    assert {h.subject for h in holds if h.reason.startswith("unknown: ")} == world.having("unknown")


@given(worlds())
def test_never_more_than_allowed_and_never_for_less_than_asked(world: World) -> None:
    plans, _ = world.decided()
    assert len(plans) <= world.policy.max_liquidations
    assert all(p.shortfall >= max(world.policy.min_shortfall_usd, 0.0) for p in plans)


@st.composite
def busy_worlds(draw: st.DrawFn) -> tuple[World, float]:
    """A fall: everybody is endangered and could be liquidated, and the keeper's means (returned, USD) are scarce."""
    mark = 100.0
    sizes = draw(st.lists(st.integers(1, 20), min_size=1, max_size=8))
    names = [OWN, *NAMES[1 : len(sizes) + 1]]
    positions_ = [
        Position(0, Wad(s * WAD), Wad(-s * 100 * WAD), Wad(s * WAD), Wad(-s * 100 * WAD), Wad(0)) for s in (1, *sizes)
    ]
    accounts = tuple(Account(n, 0, Wad(0), Wad(0), False, (p,), ()) for n, p in zip(names, positions_, strict=True))
    excess = draw(st.floats(-100.0, 700.0))
    status = draw(st.sampled_from(["healthy", "healthy", "endangered", "unknown"]))
    mm = 6.25 if status == "healthy" else 11.0 + excess
    own = Verdict(OWN, 10.0 + excess, 10.0, mm, 1.0, status, False, "")  # type: ignore[arg-type]
    if status == "unknown":
        own, excess = Verdict(OWN, NAN, NAN, NAN, NAN, "unknown", False, "not read"), 0.0
    shortfalls = draw(st.lists(positive_usd, min_size=len(sizes), max_size=len(sizes)))
    others = [
        Verdict(n, -s, 0.0, 0.0, 0.0, "endangered", False, "") for n, s in zip(names[1:], shortfalls, strict=True)
    ]
    parameters = Parameters(Ppm(int(IM * 1e6)), Ppm(62_500), Ppm(0), Ppm(0), Ppm(0))
    market = Market("0xm", "M", Wad(100 * WAD), Wad(100 * WAD), "0xf", True)
    state = VenueState("v", Block(10, "0x1", "0x0", 1_000, 1), 6, parameters, (market,), (), accounts, {})
    effects = st.frozensets(st.sampled_from([liquidation_effect("v", n) for n in names[1:]]), max_size=3)
    known = Known({}, {}, {}, under_way=draw(effects), refused=draw(effects))
    policy = Policy(OWN, True, False, 0.0, 9, 3, ())
    return World(state, Prices((mark,), ("",), (), ()), (own, *others), policy, known), excess


@given(busy_worlds())
def test_the_worst_come_first_and_who_was_just_refused_comes_after_all_others(busy: tuple[World, float]) -> None:
    world, _ = busy
    plans, _ = world.decided()
    refused = [p.effect in world.known.refused for p in plans]
    assert refused == sorted(refused)
    order = zip(plans, refused, strict=True)
    assert all(one.shortfall >= two.shortfall for (one, early), (two, late) in pairwise(order) if early == late)


@given(busy_worlds())
def test_the_keeper_takes_on_no_more_than_its_excess_over_initial_margin_also_with_what_is_under_way(
    busy: tuple[World, float],
) -> None:
    world, excess = busy
    plans, _ = world.decided()
    under_way = {name for name in world.having("endangered") if liquidation_effect("v", name) in world.known.under_way}
    taken = (sum(p.notional for p in plans) + sum(world.largest(name) for name in under_way)) * IM
    assert not plans or taken <= max(excess, 0.0) + 1e-6


@given(busy_worlds())
def test_the_keeper_never_liquidates_itself(busy: tuple[World, float]) -> None:
    world, _ = busy
    plans, holds = world.decided()
    assert OWN not in {p.account for p in plans}
    mine = [v.status for v in world.verdicts if v.account == OWN]
    assert (OWN in {h.subject for h in holds}) == (mine != ["healthy"])


@given(busy_worlds())
def test_nobody_is_refused_for_capacity_that_is_there(busy: tuple[World, float]) -> None:
    world, excess = busy
    plans, holds = world.decided()
    under_way = {name for name in world.having("endangered") if liquidation_effect("v", name) in world.known.under_way}
    left = excess - (sum(p.notional for p in plans) + sum(world.largest(name) for name in under_way)) * IM
    short = [world.largest(h.subject) * IM for h in holds if h.reason.startswith("capacity")]
    assert all(needed > left - 1e-6 for needed in short)


@given(worlds())
def test_only_real_positions_in_open_markets_without_orders_are_taken(world: World) -> None:
    plans, _ = world.decided()
    accounts = {a.address: a for a in world.state.accounts}
    rows = {m.address: row for row, m in enumerate(world.state.markets)}
    for plan in plans:
        assert world.policy.liquidate and plan.effect not in world.known.under_way
        assert world.state.markets[rows[plan.market]].open and not accounts[plan.account].has_orders
        assert plan.notional > 0.0
        assert abs(plan.notional / world.largest(plan.account) - 1) < 1e-12


@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_the_verdicts_does_not_matter(world: World, order: object) -> None:
    shortfalls = [v.mm - v.equity for v in world.verdicts if v.status == "endangered"]
    if len(set(shortfalls)) < len(shortfalls):
        return
    shuffled = list(world.verdicts)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    plans, holds = decide(world.state, world.prices, shuffled, world.known, world.policy)
    assert (list(plans), set(holds)) == (world.decided()[0], set(world.decided()[1]))


# --- parameters ---------------------------------------------------------------------------------------


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    calm, stressed = draw(st.lists(st.integers(0, 1_000_000), min_size=2, max_size=2, unique=True))
    volatility_calm = draw(st.floats(0.0, 2.0))
    return Rule(
        parameter="p",
        symbol="S",
        calm=calm,
        stressed=stressed,
        volatility_calm=volatility_calm,
        volatility_stressed=volatility_calm + draw(st.floats(0.1, 5.0)),
        max_step_tighten=draw(st.integers(1, 300_000)),
        max_step_loosen=draw(st.integers(1, 300_000)),
        min_interval_tighten_s=draw(st.integers(0, 10_000)),
        min_interval_loosen_s=draw(st.integers(0, 40_000)),
        deadband=draw(st.integers(0, abs(stressed - calm))),
    )


@dataclass(frozen=True)
class Change:
    at: int
    old: int
    new: int
    volatility: float
    waited: int | None  # seconds since the change before; None for the first


def step(rule: Rule, at: int, number: int, changed: int | None, volatility: float) -> SetParameters | Held:
    """Return the one answer about the one parameter."""
    block = Block(10, "0x1", "0x0", at, 1)
    parameters = Parameters(Ppm(100_000), Ppm(62_500), Ppm(0), Ppm(0), Ppm(0))
    state = VenueState("v", block, 6, parameters, (), (), (), {})
    policy = Policy("", True, True, 0.0, 9, 3, (rule,))
    known = Known({"S": volatility}, {"p": number}, {} if changed is None else {"p": changed})
    plans, holds = decide(state, Prices((), (), (), ()), (), known, policy)
    (answer,) = (*plans, *holds)
    assert isinstance(answer, SetParameters | Held)
    return answer


def history(rule: Rule, start: int, course: list[tuple[int, float]]) -> Iterator[Change]:
    """Yield every change while block time passes by seconds and volatility goes as `course` says."""
    now, number, changed = 1_000_000, start, None
    for seconds, volatility in course:
        now += seconds
        answer = step(rule, now, number, changed, volatility)
        if isinstance(answer, SetParameters):
            assert answer.old == number
            yield Change(now, number, answer.new, volatility, None if changed is None else now - changed)
            number, changed = answer.new, now


courses = st.lists(st.tuples(st.integers(1, 20_000), st.floats(0.0, 10.0)), max_size=30)


@given(rules(), st.floats(0.0, 1.0), courses)
def test_no_course_of_volatility_breaks_bounds_steps_or_waits(
    rule: Rule, share: float, course: list[tuple[int, float]]
) -> None:
    low, high = min(rule.calm, rule.stressed), max(rule.calm, rule.stressed)
    start = low + round(share * (high - low))
    for change in history(rule, start, course):
        assert low <= change.new <= high
        safer = abs(change.new - rule.stressed) < abs(change.old - rule.stressed)
        step_, wait = (
            (rule.max_step_tighten, rule.min_interval_tighten_s)
            if safer
            else (rule.max_step_loosen, rule.min_interval_loosen_s)
        )
        assert 0 < abs(change.new - change.old) <= step_
        assert change.waited is None or change.waited >= wait
        # never past where it should go: at calm volatility that is `calm`, at stressed `stressed`
        if change.volatility <= rule.volatility_calm:
            assert not safer
        if change.volatility >= rule.volatility_stressed:
            assert safer


@given(rules(), st.floats(0.0, 1.0))
def test_stress_tightens_at_once_and_arrives(rule: Rule, share: float) -> None:
    """From anywhere inside the bounds: one step at the first block, then one each interval, to within the deadband."""
    number = round(rule.calm + share * (rule.stressed - rule.calm))
    worthwhile = max(rule.deadband, 1)
    stress = rule.volatility_stressed + 1.0
    if abs(rule.stressed - number) < worthwhile:
        assert isinstance(step(rule, 1_000_000, number, None, stress), Held)
        return
    wait = max(rule.min_interval_tighten_s, 1)
    needed = -(-abs(rule.stressed - number) // rule.max_step_tighten)
    course = [(wait, stress)] * min(needed, 200)
    changes = list(history(rule, number, course))
    assert changes[0].at == 1_000_000 + wait  # the very first block that knows
    assert all(later.at - earlier.at == wait for earlier, later in pairwise(changes))
    if needed <= 200:
        assert abs(changes[-1].new - rule.stressed) < worthwhile


@given(rules(), st.integers(1, 10**6), st.floats(0.0, 10.0), st.booleans())
def test_a_number_outside_the_bounds_is_never_touched(rule: Rule, beyond: int, volatility: float, above: bool) -> None:
    low, high = min(rule.calm, rule.stressed), max(rule.calm, rule.stressed)
    answer = step(rule, 1_000_000, high + beyond if above else low - beyond, None, volatility)
    assert isinstance(answer, Held) and "outside the configured bounds" in answer.reason


@given(rules(), st.floats(0.0, 10.0), st.floats(0.0, 10.0))
def test_more_volatility_never_means_a_looser_target(rule: Rule, one: float, other: float) -> None:
    wilder, calmer = rule.target(max(one, other)), rule.target(min(one, other))
    assert abs(wilder - rule.stressed) <= abs(calmer - rule.stressed)
    assert min(rule.calm, rule.stressed) <= wilder <= max(rule.calm, rule.stressed)


@given(st.integers(2_000, 60_000), st.floats(0.1, 1.0), st.integers(0, 10_000), st.integers(0, 30_000), st.booleans())
def test_loosening_configured_slower_is_slower(
    fast: int, share: float, wait: int, longer: int, stressed_above: bool
) -> None:
    """A full swing of 100 000 ppm with the smaller step and the longer wait never takes less block time."""
    calm, stressed = (600_000, 700_000) if stressed_above else (700_000, 600_000)
    rule = Rule("p", "S", calm, stressed, 0.8, 3.0, fast, max(round(fast * share), 1), wait, wait + longer, 0)
    up = list(history(rule, calm, [(max(wait, 1), 9.0)] * 600))
    down = list(history(rule, stressed, [(max(wait + longer, 1), 0.0)] * 600))
    assert up[-1].new == stressed and down[-1].new == calm
    assert up[-1].at <= down[-1].at
