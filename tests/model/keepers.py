"""The real lane over the model world, with a tap between any two calls to ledger, signer and endpoints."""

from collections.abc import Callable, Mapping, Sequence
from itertools import count as counter
from pathlib import Path
from typing import Any
from unittest import mock

import orjson

from keeper.chain import Call, Receipt
from keeper.errors import KeeperError, RpcUnreachable
from keeper.heads import Head as NewHead
from keeper.journal import Journal, TickRecord
from keeper.journal.database import Database
from keeper.lanes import simulate
from keeper.lanes.executor import LaneExecutor
from keeper.lanes.rescue import Stake
from keeper.lanes.rules import LaneRules, Windows
from keeper.lanes.seat import Seat
from keeper.plans import Liquidate, Plan
from keeper.sending.fees import Caps
from keeper.sending.limits import BalanceWatch
from keeper.sending.priority import SendingPolicy
from keeper.signer.answers import answer
from keeper.signer.client import Line, SignerClient, _line
from keeper.signer.leases import Session
from keeper.stages import Stages
from keeper.submit.endpoints import Endpoints
from keeper.submit.facts import Facts
from keeper.venues.base import Effect, Sending
from tests.ledger_world import account
from tests.model.endpoints import Head
from tests.signer_desk import ADDRESS, CHAIN, GWEI, HOUSE, Desk, touch

GAS, ETHER = 100_000, 10**18
EXPOSURE_CAP = 6 * GAS * 25 * GWEI  # six calls at the usual fees, fewer when fees rise
RULES = LaneRules(
    chain_id=CHAIN,
    gas=GAS,
    per_block=4,
    confirmations=2,
    patience=2,
    fees=Caps(max_fee=150 * GWEI, tip=2 * GWEI, tip_ceiling=40 * GWEI, spend=GAS * 150 * GWEI),
    exposure_cap=EXPOSURE_CAP,
    balance=BalanceWatch(0, 0),
    windows=Windows(ETHER, 20 * ETHER, 50 * ETHER),
    policy=SendingPolicy("protocol", loss_budget=50 * ETHER),
)


Tap = Callable[[str, bool], None]
"""Told of a call by its name, before it and, with True, after it."""


class Crash(BaseException):
    """The process is gone; nothing in the keeper catches it."""


class Tapped:
    """Passes every call on and tells of it, before and after."""

    def __init__(self, real: Any, tap: Tap) -> None:
        self._real, self._tap = real, tap

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if not callable(found):
            return found

        def called(*given: Any, **named: Any) -> Any:
            self._tap(name, False)
            said = found(*given, **named)
            self._tap(name, True)
            return said

        return called


class InProcess(Line):
    """The signer's own answering code instead of a socket to it; its answer may be lost on the way."""

    def __init__(self, desk: Desk, loses: Callable[[str], bool]) -> None:
        self._path = Path("in process")
        self._ids = counter(1)
        self._service, self._desk, self._loses = desk.service, desk, loses
        self._session = Session()
        self._open = True

    def close(self) -> None:
        if self._open and self._service is self._desk.service:
            self._service.leases.closed(self._session)
        self._open = False

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        if not self._open or self._service is not self._desk.service:
            raise self._lost(op, "a closed connection")
        line = _line(next(self._ids), op, fields)
        found = orjson.loads(answer(self._service, self._session, line))
        if self._loses(op):
            raise self._lost(op, "the connection reset")
        return dict(found)


class Simulated:
    """What the simulation says: all succeed, or the node does not answer. Its own rules have their own tests."""

    def __init__(self, head: Head) -> None:
        self._head = head

    def simulate(self, *_given: object) -> simulate.Simulated:
        if self._head.is_down:
            raise RpcUnreachable("expected an answer, found none")
        return simulate.Simulated({}, {})


class House:
    """A venue whose one call acts on a set of accounts; two plans share a transaction."""

    name = "curie"

    def encode(self, plan: Plan) -> Call:
        return self._call([plan])

    def sendings(self, plans: Sequence[Plan], _gas: int, _limits: Mapping[int, int]) -> tuple[Sending, ...]:
        pairs = [tuple(range(len(plans)))[at : at + 2] for at in range(0, len(plans), 2)]
        return tuple(Sending(rows, self._call([plans[row] for row in rows])) for rows in pairs)

    def _call(self, plans: Sequence[Plan]) -> Call:
        return Call(HOUSE, touch(sum(1 << int(plan.subject, 16) for plan in plans)), GAS)

    def confirm(self, plan: Plan, receipt: Receipt) -> Effect:
        done = any(int(log.topics[0], 16) == int(plan.subject, 16) for log in receipt.logs)
        return Effect(done, "touched" if done else "not touched")

    def done(self, _plan: Plan, _first: int, _last: int) -> bool:
        return False


class Keeper:
    """One process: new objects over the journal's file. `tap` is told of every call it makes to what lasts."""

    def __init__(
        self,
        url: str,
        head: Head,
        outlets: Endpoints,
        desk: Desk,
        tap: Tap,
        loses: Callable[[str], bool],
    ) -> None:
        self.journal = Journal(Database(url))
        self._head = head
        self._desk, self._loses = desk, loses
        self.lines: list[InProcess] = []
        house: Any = House()
        rpc: Any = head
        with mock.patch("keeper.lanes.executor.Simulation", lambda *_: Simulated(head)):
            self.lane = self._lane(rpc, outlets, house, tap)

    def _lane(self, rpc: Any, outlets: Endpoints, house: Any, tap: Tap) -> LaneExecutor:
        return LaneExecutor(
            rpc,
            Tapped(outlets, tap),
            Facts(outlets),
            house,
            [Tapped(Seat(ADDRESS, self._connect), tap)],
            Tapped(self.journal, tap),
            RULES,
            lambda _: Stake(0, None),
        )

    def _connect(self) -> SignerClient:
        for line in self.lines:
            line.close()
        self.lines = [InProcess(self._desk, self._loses)]
        return SignerClient(self.lines[0], ADDRESS, "a keeper")

    def block(self, accounts: Sequence[int]) -> str:
        """Do what the loop does at one block: settle, decide, execute. Return the refusal that ended it, if any."""
        try:
            block = self._head.block()
            self.lane.settle(block)
            if accounts:
                plans = [Liquidate("curie", account(one), "0xm", 1.0, 2.0, block.number + 3) for one in accounts]
                intents = self.journal.intend(TickRecord(block, 0, {}, (), (), ()), plans)
                self.lane.execute(intents, NewHead(block, 0, False, 12), Stages())
        except KeeperError as error:
            return str(error)
        return ""

    @property
    def alarms(self) -> tuple[str, ...]:
        return self.lane._alarms.now()

    def die(self) -> None:
        """What the system does for a process that ended: connections closed, transactions rolled back."""
        for line in self.lines:
            line.close()
        self.journal.close()
