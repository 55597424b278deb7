"""Which transactions are signed now, in which order and by which key: priority, policy, caps, the block, balances.

Pure: prices, the account of what was spent and the keys' purses come in, what is sent and why the rest is not go out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from keeper.journal.records import Intent
from keeper.lanes.books import Used, is_liquidation
from keeper.lanes.rules import LaneRules
from keeper.sending.fees import Offer
from keeper.sending.limits import PPM, Ask, BalanceState, affordable, room
from keeper.sending.priority import Job, ordered
from keeper.venues.base import Sending

ANY_KEY = frozenset({"liquidate", "start_auction", "end_auction", "relay_reports"})
"""Kinds that the venue takes from any sender. Others need the home key: its bond, its role, its accounts."""


@dataclass(frozen=True, slots=True)
class Priced:
    """One transaction to be, with the intents it carries out, its first fees and what it is as a job."""

    intents: tuple[Intent, ...]
    sending: Sending
    gas: int  # limit
    uses: int  # what it is expected to use: the limit where no simulation has said it
    fees: Offer
    job: Job
    worth: int | None  # wei; None: not stated
    lanes: frozenset[str] = frozenset()  # addresses of the keys that may carry it; none named: all
    lane: str = ""  # address of the one chosen

    @property
    def worst(self) -> int:
        return self.gas * self.fees.max_fee

    @property
    def for_liquidation(self) -> bool:
        return is_liquidation([intent.plan.kind for intent in self.intents])

    @property
    def loss(self) -> int:
        """Wei that it may cost beyond what it earns."""
        return max(self.worst - (self.worth or 0), 0)


def carriers(intents: Sequence[Intent], home: str, limits: Mapping[str, Mapping[int, int]]) -> frozenset[str]:
    """Return the addresses of the keys that may carry a transaction: the home key, and others for what the venue takes
    from all.

    `limits`: address → intent id → gas, where the intent's call succeeds by itself from there. What succeeds only
    behind others must stay behind them, on the home line.
    """
    free = all(intent.plan.kind in ANY_KEY and intent.id in limits.get(home, {}) for intent in intents)
    able = [address for address, found in limits.items() if all(intent.id in found for intent in intents)]
    return frozenset({home, *able}) if free else frozenset({home})


@dataclass(frozen=True, slots=True)
class Refused:
    one: Priced
    cause: str
    about: str = ""  # the cap that stands in the way, where one does: for a person


@dataclass(frozen=True, slots=True)
class Purse:
    """A key that takes new transactions, with what it may still cost and how long its line is."""

    address: str
    balance: BalanceState
    waiting: int = 0  # nonces that no block holds yet
    is_stuck: bool = False  # its lowest nonce waits longer than it should: taken only where no other is

    @property
    def rank(self) -> tuple[bool, int]:
        return self.is_stuck, self.waiting

    def with_one(self, wei: int) -> "Purse":
        left = BalanceState(self.balance.state, self.balance.free - wei, self.balance.alarm)
        return replace(self, balance=left, waiting=self.waiting + 1)


@dataclass(frozen=True, slots=True)
class Room:
    """What there is to give: the account of all keys so far, the keys' purses, the gas of a block."""

    used: Used
    purses: tuple[Purse, ...]
    block_gas: int


def choose(priced: Sequence[Priced], there: Room, rules: LaneRules) -> tuple[list[Priced], list[Refused]]:
    """Return what is sent, in order, each with the lane it goes on, and what is not, with its cause.

    Of the lanes that may carry it and can pay for it, the emptiest that is not stuck does. What does not fit is passed
    over, so a smaller or reserved one behind it may still fit; what needs one that was passed over is passed over too.
    """
    by_key = {one.job.key: one for one in priced}
    chosen: list[Priced] = []
    refused: list[Refused] = []
    missing: dict[str, str] = {}
    used, gas = there.used, [0, 0]
    purses = {purse.address: purse for purse in there.purses}
    for job in ordered([one.job for one in priced], rules.policy):
        one = by_key[job.key]
        barred = Refused(one, missing[job.key]) if job.key in missing else _refusal(one, used, gas, there, rules)
        answer = barred or _lane_of(one, purses.values())
        if isinstance(answer, Purse):
            chosen.append(replace(one, lane=answer.address))
            purses[answer.address] = answer.with_one(one.worst)
            used = used.with_one(one.worst, one.gas, for_liquidation=one.for_liquidation, loss=one.loss)
            gas[0 if one.for_liquidation else 1] += one.uses
        else:
            refused.append(answer)
            missing |= dict.fromkeys(job.serves, f"needs {job.key}, which is not sent: {answer.cause}")
    return chosen, refused


def _refusal(one: Priced, used: Used, gas: Sequence[int], there: Room, rules: LaneRules) -> Refused | None:
    if why := rules.policy.refusal(one.job, used.lost):
        return Refused(one, why, "loss budget" if rules.policy.name == "protocol" else "")
    if why := _no_place(one, used, gas, there.block_gas, rules):
        return Refused(one, why)
    stop = used.stop(Ask(one.worst, 0, one.worth, one.for_liquidation), one.loss, rules)
    return Refused(one, stop.alarm, stop.cap) if stop else None


def _lane_of(one: Priced, purses: Iterable[Purse]) -> Purse | Refused:
    """Return the purse that carries it: the first where several are as empty."""
    ask = Ask(one.worst, 0, one.worth, one.for_liquidation)
    allowed = [purse for purse in purses if not one.lanes or purse.address in one.lanes]
    stops = []
    for purse in sorted(allowed, key=lambda purse: purse.rank):
        stop = affordable(ask, purse.balance)
        if stop is None:
            return purse
        stops.append(stop)
    if stops:
        return Refused(one, stops[0].alarm, stops[0].cap)
    return Refused(one, f"expected the line of {' or '.join(sorted(one.lanes))} open to it, found it closed", "no line")


def _no_place(one: Priced, used: Used, gas: Sequence[int], block_gas: int, rules: LaneRules) -> str:
    """Return why the block has no place for it: more gas than a block holds would only wait and be replaced.

    It has a place where what those before it are expected to use leaves room for its limit, as a block is built.
    Others than liquidations also leave room for the others that wait already.
    """
    mine, kind = one.for_liquidation, "" if one.for_liquidation else " beside what is kept for liquidations"
    if not _lanes(used, rules, for_liquidation=mine):
        return f"signer.max_transactions_per_block is {rules.per_block}, and none is left{kind}"
    others = gas[1] if mine else used.waiting_gas
    left = room(block_gas, gas[0], others, rules.reserved_ppm, for_liquidation=mine)
    return f"a block holds {block_gas} gas, {left} is left{kind}, {one.gas} may be used" if one.gas > left else ""


def _lanes(used: Used, rules: LaneRules, *, for_liquidation: bool) -> int:
    """Return how many transactions this block may still open. The reserve is rounded down: a keeper that may send one
    a block still sends others than liquidations."""
    by_liquidations, by_others = used.lanes
    kept = by_liquidations if for_liquidation else max(rules.per_block * rules.reserved_ppm // PPM, by_liquidations)
    return max(rules.per_block - kept - by_others, 0)
