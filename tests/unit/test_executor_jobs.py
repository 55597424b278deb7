"""Jobs of an executor as the contract reads them. Encodings are those of the contract's ABI, gas what it asks for."""

from eth_abi.abi import decode
from hypothesis import given
from hypothesis import strategies as st

from keeper.abi import interface
from keeper.chain import Call
from keeper.venues.executor_jobs import (
    ALL,
    EXECUTOR,
    Executor,
    Job,
    Kind,
    Loan,
    Step,
    deposit,
    run,
    step,
    swap,
    try_many,
    withdraw,
)

HERE, TOKEN, OTHER = ("0x" + digit * 40 for digit in "123")
WRITTEN = 20_000
"""What BoundedCall wants in hand after a call."""


def in_hand(gas: int) -> int:
    """BoundedCall.needed."""
    return gas * 64 // 63 + WRITTEN


def decoded(call: Call, name: str = "run") -> tuple:  # type: ignore[type-arg]
    function = interface(EXECUTOR).function(name)
    assert call.data[:4] == function.selector
    return decode(function.inputs, call.data[4:])[0]  # type: ignore[no-any-return]


def test_a_job_is_read_as_it_was_written() -> None:
    steps = (
        step(Kind.REPORT, Call(OTHER, b"\1\2\3\4" + b"r" * 32), 400_000, relay=1, optional=True),
        deposit(7, 0, ALL, 300_000),
        withdraw(7, 1, 5, 500_000),
        swap(OTHER, TOKEN, ALL, 9, 200_000),
    )
    job = Job(TOKEN, 1_700_000_000, steps, (TOKEN, OTHER), 12, Loan(TOKEN, 1_000, 1))
    token, least, deadline, gas, tokens, loan, found = decoded(run(HERE, job))
    assert (token, least, deadline, gas) == (TOKEN, 12, 1_700_000_000, job.gas)
    assert (tokens, loan) == ((TOKEN, OTHER), (TOKEN, 1_000, 1))
    assert [one[:4] for one in found] == [
        (0, 1, True, 400_000), (5, 0, False, 300_000), (6, 0, False, 500_000), (7, 0, False, 200_000),
    ]  # fmt: skip
    assert found[0][4] == b"r" * 32
    assert decode(["uint256"] * 3, found[1][4]) == (7, 0, ALL)
    assert decode(["uint256"] * 3 + ["uint64"], found[2][4]) == (7, 1, 5, 2**64 - 1)
    assert decode(["address", "address", "uint256", "uint256"], found[3][4]) == (OTHER, TOKEN, ALL, 9)


def test_many_jobs_are_each_the_same_as_alone() -> None:
    jobs = [Job(TOKEN, 5, (deposit(n, 0, 1, 100_000),), (TOKEN,)) for n in range(3)]
    assert decoded(try_many(HERE, jobs), "tryMany") == tuple(decoded(run(HERE, job)) for job in jobs)


@given(st.lists(st.integers(0, 2**32 - 1), max_size=20))
def test_the_gas_of_a_job_lets_each_step_have_all_of_its_own(gases: list[int]) -> None:
    """Whatever the steps before it use, up to what they may."""
    job = Job(TOKEN, 0, tuple(Step(Kind.START, gas, b"") for gas in gases), (TOKEN,))
    left = job.gas
    for gas in gases:
        assert left >= in_hand(gas)
        left -= gas + 5_000  # the step, and what the executor does for it
    assert left >= 100_000
    assert (try_many(HERE, [job, job]).gas or 0) >= job.gas + in_hand(job.gas)


def test_one_call_becomes_a_job_of_one_step_that_moves_nothing() -> None:
    inner = Call(OTHER, b"\1\2\3\4" + b"s" * 64, gas=900_000)
    call = Executor(HERE, TOKEN).alone(Kind.TAKE, inner, 77)
    assert call.to == HERE
    assert decoded(call)[:3] == (TOKEN, 0, 77)
    assert decoded(call)[4:] == ((TOKEN,), ("0x" + "0" * 40, 0, 0), ((3, 0, False, 900_000, b"s" * 64),))
