"""Laws of the order: nothing lost, ranks and servings respected, repeatable, and the order of input does not matter."""

from hypothesis import given
from hypothesis import strategies as st

from keeper.sending.priority import RANKS, Job, SendingPolicy, ordered
from keeper.sending.quarantine import Quarantine, QuarantineRule

PROTOCOL, PROFIT = SendingPolicy("protocol"), SendingPolicy("profit")


@st.composite
def jobs(draw: st.DrawFn) -> list[Job]:
    """Draw jobs of distinct keys; each may serve later ones, so there is no circle."""
    count = draw(st.integers(0, 8))
    names = [f"job {row}" for row in range(count)]
    return [
        Job(
            key=name,
            kind=draw(st.sampled_from(sorted(RANKS))),
            value_at_risk=draw(st.integers(0, 5)),
            probability_ppm=draw(st.sampled_from([0, 500_000, 10**6])),
            gas=draw(st.integers(1, 3)),
            profit=draw(st.integers(-5, 5)),
            cost=draw(st.integers(0, 5)),
            serves=tuple(draw(st.sets(st.sampled_from(names[row + 1 :]))) if names[row + 1 :] else ()),
        )
        for row, name in enumerate(names)
    ]


@given(jobs(), st.sampled_from([PROTOCOL, PROFIT]), st.randoms())
def test_who_serves_comes_first_and_nothing_is_lost(found: list[Job], policy: SendingPolicy, random: object) -> None:
    random.shuffle(found)  # type: ignore[attr-defined]
    order = ordered(found, policy)
    assert sorted(j.key for j in order) == sorted(j.key for j in found)
    place = {j.key: row for row, j in enumerate(order)}
    assert all(place[j.key] < place[key] for j in order for key in j.serves)


@given(jobs(), st.sampled_from([PROTOCOL, PROFIT]))
def test_of_two_that_serve_nobody_rank_then_score_decides(found: list[Job], policy: SendingPolicy) -> None:
    order = [j for j in ordered(found, policy) if not j.serves]
    standing = [(RANKS[j.kind], -policy.score(j)) for j in order]
    assert standing == sorted(standing)


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["reverts", "gas bomb"]), st.integers(0, 10**5))),
    st.integers(0, 10**6),
)
def test_every_quarantine_ends(strikes: list[tuple[str, str, int]], first: int) -> None:
    rule = QuarantineRule()
    state, now = Quarantine(rule), first
    for subject, cause, wait in strikes:
        now += wait
        state = state.struck(subject, cause, now, 1)  # type: ignore[arg-type]
    assert all(state.holds(subject, now + rule.longest_s) is None for subject in "ab")
    assert state.value_at_risk(now) <= 2
    assert state.pruned(now + rule.longest_s + rule.forgotten_s).entries == {}
