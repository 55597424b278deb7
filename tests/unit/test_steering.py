"""What is written to a steward and what is not: the rule inside terms, and a reason for every parameter that stays."""

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keeper.chain import Block
from keeper.decide import Rule
from keeper.errors import ConfigError
from keeper.journal import plan_text
from keeper.memory import Memory
from keeper.plans import WriteParameters
from keeper.steering import Found, SteeringPolicy, writes
from keeper.venues.portfolio import Steered, Steering
from keeper.venues.reference_steward import FIELDS, key_of, record_of

NOW = 1_800_000_000
BLOCK = Block(100, "0xb10c", "0xb10b", NOW, 7)
KEY, OTHER, STEWARD = (f"0x{name}{'0' * 36}" for name in ("0e4e", "0e7e", "57e4"))
IM, SCAN, CUT, CAP = "im_scalar:0", "scan:0", "haircut:2", "cap:2"
THERE = Steered(12_500, 10_000, 20_000, 2_000, 3_600, NOW - 10_000, None, "underlying:0")


def rule(name: str, calm: int, stressed: int) -> Rule:
    return Rule(name, "ETH", calm, stressed, 0.5, 1.5, 1_000, 200, 0, 0, 10)


RULE = rule(IM, 12_500, 15_000)


def said(
    rules: tuple[Rule, ...] = (RULE,),
    parameters: dict[str, Steered] | None = None,
    *,
    volatility: float = 1.5,
    memory: Memory | None = None,
    on: bool = True,
    **steward: object,
) -> tuple[list[WriteParameters], dict[str, str]]:
    known = {IM: THERE} if parameters is None else parameters
    steering = replace(Steering(STEWARD, KEY, False, known, {}), **steward)
    found = Found(steering, {"ETH": volatility})
    plans, holds = writes("reference", BLOCK, found, SteeringPolicy(on, rules, KEY, 3), memory or Memory())
    return plans, {hold.subject: hold.reason for hold in holds}


def test_a_storm_moves_a_parameter_by_one_step() -> None:
    (plan,), holds = said()
    assert plan == WriteParameters(
        "reference", "underlying:0", "im_scalar:0=12500>13500", "ETH volatility 150.0% a year", 103
    )
    assert plan.numbers == {IM: (12_500, 13_500)}
    assert plan.effect == "reference:write_parameters:underlying:0"
    assert plan_text.decode(plan.kind, plan_text.encode(plan)) == plan
    assert not holds


def test_all_changes_of_one_underlying_are_one_write_and_others_apart() -> None:
    rules = (RULE, rule(SCAN, 100_000, 200_000), rule(CUT, 1_000, 2_000))
    wide = Steered(100_000, 0, 10**6, 10**6, 1, 0, None, "underlying:0")
    cut = Steered(1_000, 0, 10**6, 10**6, 1, 0, None, "collateral:2")
    plans, holds = said(rules, {IM: THERE, SCAN: wide, CUT: cut})
    assert [(p.record, p.changes) for p in plans] == [
        ("underlying:0", "im_scalar:0=12500>13500,scan:0=100000>101000"),
        ("collateral:2", "haircut:2=1000>2000"),
    ]
    assert not holds


def test_the_stewards_step_and_bounds_narrow_the_rules() -> None:
    (plan,), _ = said(parameters={IM: replace(THERE, step=300)})
    assert plan.numbers[IM] == (12_500, 12_800)
    (plan,), _ = said(parameters={IM: replace(THERE, high=12_700)})
    assert plan.numbers[IM] == (12_500, 12_700)


def test_what_the_guardian_tightened_is_loosened_no_further_than_that() -> None:
    (plan,), _ = said(parameters={IM: replace(THERE, number=14_000, guarded=13_900)}, volatility=0.1)
    assert plan.numbers[IM] == (14_000, 13_900)
    fewer = replace(rule(CAP, 5_000, 1_000), max_step_loosen=500)
    (plan,), _ = said((fewer,), {CAP: replace(THERE, number=2_000, low=0, guarded=2_300)}, volatility=0.1)
    assert plan.numbers[CAP] == (2_000, 2_300)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ready_at": NOW + 7, "delay": 100_000}, "TooEarly: the steward takes a write in 7 s"),
        ({"high": 12_500}, "OutOfBounds: at 12500, the steward takes 10000 to 12500 and steps of 2000"),
        ({"number": 15_000}, "inside the deadband"),
        ({"number": 15_001}, "somebody else set it"),
    ],
)
def test_what_the_steward_would_refuse_is_held_with_the_reason(change: dict[str, int], says: str) -> None:
    plans, holds = said(parameters={IM: replace(THERE, **change)})
    assert plans == []
    assert says in holds[IM]


def test_a_guarded_number_that_cannot_be_loosened_is_held() -> None:
    plans, holds = said(parameters={IM: replace(THERE, number=14_000, guarded=14_000)}, volatility=0.1)
    assert plans == []
    assert holds[IM] == "guarded: at 14000, the guardian lets nothing be looser than 14000"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"stopped": True}, "the steward is stopped"),
        ({"controller": OTHER}, f"the steward's controller is {OTHER}, the keeper's key {KEY}"),
        ({"parameters": {}, "unknown": {IM: "not read from the steward: NoTerms"}}, "NoTerms"),
        ({"on": False}, "policy.set_parameters is off"),
        ({"memory": Memory(under_way=frozenset({"reference:write_parameters:underlying:0"}))}, "is under way"),
        ({"memory": Memory(failed=frozenset({"reference:write_parameters:underlying:0"}))}, "a few blocks ago"),
        ({"memory": Memory(barred={"parameters:underlying:0": "failed twice"})}, "failed twice"),
    ],
)
def test_everything_that_stays_has_a_reason(changes: dict[str, object], says: str) -> None:
    known = changes.pop("parameters", None)
    plans, holds = said(parameters=known, **changes)
    assert plans == []
    assert says in holds[IM]


def test_no_steward_or_none_that_can_be_read_holds_all() -> None:
    for fault, says in (("", "the venue has no steward"), ("steward not read: timeout", "not read")):
        found = Found(None, {"ETH": 1.5}, fault)
        plans, holds = writes("reference", BLOCK, found, SteeringPolicy(True, (RULE,), KEY, 3), Memory())
        assert plans == []
        assert says in holds[0].reason


def test_the_last_write_counts_whoever_made_it() -> None:
    """The rule's own interval is measured from what the steward says."""
    slow = replace(RULE, min_interval_tighten_s=10**6)
    plans, holds = said((slow,))
    assert plans == []
    assert holds[IM] == "changed 13600 s ago, next change after 1000000 s"


terms = st.builds(
    Steered, st.integers(12_500, 15_000), st.integers(0, 15_000), st.integers(10_000, 30_000), st.integers(1, 5_000),
    st.integers(1, 10_000), st.integers(NOW - 20_000, NOW + 10_000), st.none() | st.integers(10_000, 20_000),
    st.just("underlying:0"),
)  # fmt: skip


@given(terms, st.floats(0.0, 3.0))
@example(Steered(12_510, 0, 10_000, 1, 1, NOW - 20_000, 12_509, "underlying:0"), 0.0)  # guarded beyond its bounds
def test_nothing_is_proposed_that_the_steward_would_refuse(there: Steered, volatility: float) -> None:
    plans, holds = said(parameters={IM: there}, volatility=volatility)
    assert len(plans) + len(holds) == 1
    for plan in plans:
        old, new = plan.numbers[IM]
        assert old == there.number != new
        assert there.low <= new <= there.high
        assert abs(new - old) <= there.step
        assert there.ready_at <= NOW
        assert there.guarded is None or new >= there.guarded


def test_names_are_fields_with_a_number() -> None:
    assert (key_of("scan:0"), key_of("im_scalar:3"), key_of("bonus:0")) == ((0, 0), (11, 3), (23, 0))
    assert [record_of(name) for name in ("cap:1", "band:0", "deep_up:2")] == ["collateral:1", "venue", "underlying:2"]
    assert len(FIELDS) == 24
    for wrong in ("scan", "scam:0", "scan:x", "scan:256", "scan:"):
        with pytest.raises(ConfigError, match="such as im_scalar:0"):
            key_of(wrong)
