"""What the kit asks of a venue's world, and what a broken rule says. A venue brings a `World`; everything else is here.

A rule is a function of a `Trial` that raises `Broken`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

from keeper.chain import Block
from keeper.plans import Plan
from keeper.rpc import Rpc

Make = Callable[[Rpc], Any]
"""Builds the adapter under trial on an endpoint: a line of VENUES with the world's address filled in."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What one account comes to: USD, 18 decimals, equity signed, margins >= 0."""

    equity: int
    im: int
    mm: int

    def __str__(self) -> str:
        return f"equity {self.equity}, IM {self.im}, MM {self.mm}"


@dataclass(frozen=True, slots=True)
class Act:
    """A plan that succeeds in the world's present state, and who has to send it."""

    plan: Plan
    sender: str
    watched: bool = True  # somebody else may do it first, and `done` has to notice
    asks: Mapping[str, object] = field(default_factory=dict)  # field → what the protocol itself says it has to be now


@dataclass(frozen=True, slots=True)
class Operated:
    """A contract that acts, and whose calls it obeys."""

    address: str
    operator: str


class World(Protocol):
    """One deployment on an Anvil of its own, with a handful of accounts, none of them liquidatable.

    Whatever a rule makes it do is undone afterwards, so nothing here needs to clean up.
    """

    @property
    def name(self) -> str:
        """Its key in VENUES."""

    @property
    def rpc(self) -> Rpc: ...

    @property
    def address(self) -> str:
        """What VENUES[name] is given."""

    @property
    def start_block(self) -> int:
        """No log of this world is older."""

    @property
    def accounts(self) -> tuple[str, ...]:
        """Everybody that discovery must find, spelled as the adapter spells them."""

    @property
    def executor(self) -> Operated | None:
        """A KeeperExecutor that may take for the takers of `terms`; None where the venue knows none."""

    @property
    def targets(self) -> frozenset[str]:
        """The contracts that a plan may call, checksummed."""

    def asked(self, block: Block, accounts: Sequence[str]) -> Mapping[str, Statement]:
        """Ask the protocol's own views, without the adapter."""

    def liquidatable(self, account: str) -> bool:
        """Ask the protocol whether it would let the account be liquidated now, without the adapter."""

    def word(self, account: str) -> bytes:
        """Return what a call about the account has in its calldata: the address or number as 32 bytes."""

    def introduce(self) -> str:
        """Mine a block in which somebody new enters; return his name, the same every time."""

    def stir(self) -> None:
        """Mine a block in which prices move a little."""

    def corners(self) -> Iterator[str]:
        """Put accounts where adapters go wrong, one corner after the other, and yield what it is.

        What every world has is CORNERS in reading.py: cash below nothing, nobody's positions, books drawn by a seed.
        No account needs to be healthy then.
        """

    def to_margin(self, steps: int) -> str:
        """Make one account's equity exceed its MM by so many smallest units, 0: equal; return its name."""

    def together(self, venue: Any) -> tuple[Act, ...]:
        """Return two plans and more, about two accounts and more, that all succeed in the world's present state.

        As in `acts` and `terms` they are what the keeper decides (deciding.py) on what this venue, the one under
        trial, reads: where it reads what is not so, they do not succeed. Raises NotDecided where it leads to none.
        """

    def acts(self, venue: Any) -> Iterator[Act]:
        """Yield plans of every kind that the venue knows. Each is sent before the next one is asked for."""

    def terms(self, venue: Any) -> Iterator[Act]:
        """Yield plans with numbers that the protocol can be asked for, `asks`, where its rules bind one after another.

        Each is sent before the next one is asked for. Nothing where plans carry no such number.
        """


class NotDecided(Exception):
    """What the venue reads leads the keeper to no plan of a kind that the world has made due."""


class Broken(AssertionError):
    """An adapter does not keep to a rule."""

    def __init__(self, rule: str, expected: object, found: object, todo: str) -> None:
        super().__init__(f"{rule}: expected {expected}, found {found}; {todo}")
        self.rule = rule


class Trial:
    """One adapter in one world. Rules may leave the chain changed; whoever holds the trial undoes it (`undone`)."""

    def __init__(self, world: World, make: Make) -> None:
        self.world = world
        self.make = make
        self.venue = make(world.rpc)
        self.performed: list[Any] = []  # acts carried out so far, for the rules of acting
        self._rule = ""

    def broken(self, expected: object, found: object, todo: str) -> NoReturn:
        raise Broken(self._rule, expected, found, todo)

    def require(self, holds: bool, expected: object, found: object, todo: str) -> None:
        if not holds:
            self.broken(expected, found, todo)

    def run(self, name: str, check: "Rule") -> None:
        """Raise Broken unless the adapter keeps to this rule."""
        self._rule = name
        check(self)


Rule = Callable[[Trial], None]


@contextmanager
def undone(rpc: Rpc) -> Iterator[None]:
    """Put the chain back afterwards."""
    snapshot = rpc.call("evm_snapshot")
    try:
        yield
    finally:
        assert rpc.call("evm_revert", snapshot) is True
