"""What a KeeperExecutor is asked to do: steps and jobs as records, and the calls that carry them (docs/executor.md)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

from eth_abi.abi import encode

from keeper.abi import address_at, interface
from keeper.chain import Call
from keeper.errors import ReadError
from keeper.rpc import Rpc, answered

EXECUTOR: Final = "keeper/KeeperExecutor"
ALL: Final = 2**256 - 1
"""In place of an amount: all that the executor holds, or all of a collateral that is recorded."""
ANY_SEQUENCE: Final = 2**64 - 1
NOBODY: Final = "0x" + "0" * 40
JOB_GAS: Final = 180_000
"""Of a job without steps: the transaction itself, role, lock, profit, event."""
TOKEN_GAS: Final = 110_000
"""Of each token listed: swept, and asked for balance and approvals."""
STEP_GAS: Final = 25_000
"""Of each step, beside what it may use: the contract wants 20,000 in hand after it, and its arguments are copied.
Of each job of `tryMany` too, where it wants 5,000 more a job."""


class Kind(IntEnum):
    """IKeeperExecutor.Kind."""

    REPORT = 0
    PUBLISH = 1
    START = 2
    TAKE = 3
    END = 4
    DEPOSIT = 5
    WITHDRAW = 6
    SWAP = 7


@dataclass(frozen=True, slots=True)
class Step:
    """IKeeperExecutor.Step."""

    kind: Kind
    gas: int  # most its outside call may use; it gets all of it or the job reverts
    arguments: bytes
    relay: int = 0  # which, of a report
    optional: bool = False  # refused, it does not sink the job


@dataclass(frozen=True, slots=True)
class Loan:
    """ERC-3156; base units."""

    token: str
    amount: int
    most_fee: int


NO_LOAN: Final = Loan(NOBODY, 0, 0)


@dataclass(frozen=True, slots=True)
class Job:
    """IKeeperExecutor.Job."""

    profit_token: str
    deadline: int  # last second of block time
    steps: tuple[Step, ...]
    tokens: tuple[str, ...]  # all that a step or the loan moves, `profit_token` among them
    min_profit: int = 0  # base units of `profit_token`
    loan: Loan = NO_LOAN

    @property
    def gas(self) -> int:
        """Return the most the job may use: each step in turn gets all of its own (EIP-150)."""
        return JOB_GAS + TOKEN_GAS * len(self.tokens) + sum(step.gas * 64 // 63 + STEP_GAS for step in self.steps)

    @property
    def words(self) -> tuple[object, ...]:
        """Return the struct as eth_abi takes it."""
        steps = [(s.kind, s.relay, s.optional, s.gas, s.arguments) for s in self.steps]
        loan = (self.loan.token, self.loan.amount, self.loan.most_fee)
        return (self.profit_token, self.min_profit, self.deadline, self.gas, list(self.tokens), loan, steps)


def run(executor: str, job: Job) -> Call:
    """Return the call that does one job or reverts."""
    return replace(interface(EXECUTOR).function("run").packed(executor, job.words), gas=job.gas)


def try_many(executor: str, jobs: Sequence[Job]) -> Call:
    """Return the call that does each job that can be done."""
    encoded = interface(EXECUTOR).function("tryMany").packed(executor, [job.words for job in jobs])
    return replace(encoded, gas=JOB_GAS + sum(job.gas * 64 // 63 + STEP_GAS for job in jobs))


def step(kind: Kind, call: Call, gas: int, *, relay: int = 0, optional: bool = False) -> Step:
    """Return the step that makes a call of relay, arrays or auctions: the contract knows whom and which function."""
    return Step(kind, gas, call.data[4:], relay, optional)


@dataclass(frozen=True, slots=True)
class Executor:
    """A deployed one."""

    address: str
    settlement_token: str

    def alone(self, kind: Kind, call: Call, deadline: int) -> Call:
        """Return the job that makes this one call within the gas it asks for. It moves no token of the executor's."""
        made = Step(kind, call.gas or 0, call.data[4:])
        return run(self.address, Job(self.settlement_token, deadline, (made,), (self.settlement_token,)))


def executor_of(rpc: Rpc, address: str, venue: str) -> Executor:
    """Raises MissingContract when there is no code at the address, ReadError when it is no executor of this venue."""
    rpc.require_code(address, "portfolio.executor")
    calls = [interface(EXECUTOR).function(name).call(address) for name in ("VENUE", "SETTLEMENT_TOKEN")]
    try:
        found, token = (address_at(answer) for answer in answered(rpc.eth_calls(calls, rpc.block())))
    except ValueError as e:
        raise ReadError(f"portfolio.executor: expected an executor at {address}, found none ({e})") from e
    if found != venue:
        raise ReadError(f"portfolio.executor: expected the executor of venue {venue} at {address}, found {found}'s")
    return Executor(address, token)


def deposit(account: int, asset: int, amount: int, gas: int) -> Step:
    return Step(Kind.DEPOSIT, gas, encode(["uint256"] * 3, [account, asset, amount]))


def withdraw(account: int, asset: int, amount: int, gas: int, sequence: int = ANY_SEQUENCE) -> Step:
    return Step(Kind.WITHDRAW, gas, encode(["uint256"] * 3 + ["uint64"], [account, asset, amount, sequence]))


def swap(pool: str, sold: str, amount: int, min_out: int, gas: int) -> Step:
    """Return the sale of `amount` base units at a Uniswap v3 pool for at least `min_out`."""
    return Step(Kind.SWAP, gas, encode(["address", "address", "uint256", "uint256"], [pool, sold, amount, min_out]))
