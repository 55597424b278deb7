"""What one block of the reference venue brought: its events, and what the keeper's transactions asked for.

Part of an observer: nothing here imports `keeper` or `engine`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from observer_node import selector, topic

OWN_IDS = 1 << 96
"""Accounts below belong to the venue itself."""

BALANCE_CHANGE = topic("BalanceChange(uint256,uint256,int256,int256,uint8)")
STARTED = topic("AuctionStarted(uint256,uint64,uint64,int256,uint256)")
REFUSED = topic("AuctionRefused(uint256,uint256,bytes)")
TAKEN = topic("Taken(uint256,uint64,uint64,uint256,uint256,int256,uint256,uint256)")
ENDED = topic("AuctionEnded(uint256,uint64,bool)")
BAD_DEBT = topic("BadDebt(uint256,uint256,uint256,uint256)")
PUBLISHED = topic("ArraysPublished(uint8,uint256,uint40,bytes32,address)")
REPORT = topic("ReportSet(uint8,bytes32,(uint8,uint40,uint40,uint32,uint128,uint128,int64,int128,uint64,uint128))")
SETTLED = topic("Settled(uint8,uint40,uint256)")
WRITTEN = topic("NumberWritten(uint8,uint8,uint256,uint256)")

START = selector("startAuction((uint256,uint64,uint40,bool,uint256))")
STARTS = selector("startAuctions((uint256,uint64,uint40,bool,uint256)[])")
START_WORDS = 5
TAKE = selector("take((uint256,uint256,uint64,uint64,uint64,uint128,int256,uint40,bool,uint256,bool))")
END = selector("endAuction((uint256,uint64,uint64,uint40))")
PUBLISH = selector("publish(uint8,uint40,bytes32,bytes32,uint32,bytes32,bytes)")
WRITE = selector("write((uint8,uint8,uint128,uint128)[])")
WRITE_WORDS = 4


@dataclass(frozen=True, slots=True)
class Sent:
    """A transaction the keeper's address sent, as mined."""

    succeeded: bool
    subjects: tuple[tuple[int, ...], ...]  # what it asks for: nobody should ask for the same twice in a block


@dataclass(frozen=True, slots=True)
class Facts:
    number: int
    hash: str
    parent_hash: str
    timestamp: int
    introduced: Mapping[str, int]  # accounts whose balances changed
    started: tuple[str, ...]
    taken: tuple[tuple[str, str], ...]  # account, taker
    ended: int
    refused_starts: int  # inside a batch that succeeded
    bad_debt: int  # USD wad
    reports: int
    publications: int  # of an expiry's arrays
    settlements: int
    parameter_updates: int  # numbers that the steward wrote
    sent: tuple[Sent, ...]


def named(number: int) -> str:
    """Return an account's name as the journal has it, in lower case."""
    owner, sub = f"0x{number >> 96:040x}", number & OWN_IDS - 1
    return f"{owner}/{sub}" if sub else owner


def facts_of(
    header: Mapping[str, Any], receipts: Iterable[Mapping[str, Any]], at: Mapping[str, str], keeper: str
) -> Facts:
    """Return what happened in a block, by the contracts' addresses in lower case."""
    receipts = list(receipts)
    logs = [log for receipt in receipts for log in receipt["logs"]]

    def of(contract: str, kind: str) -> list[list[int]]:
        """Return the words of each such event: indexed ones, then the body's."""
        ours = (log for log in logs if log["address"].lower() == at[contract] and log["topics"][0] == kind)
        return [[int(word, 16) for word in log["topics"][1:]] + words(log["data"][2:]) for log in ours]

    changed = {account for account, *_ in of("venue", BALANCE_CHANGE) if account >= OWN_IDS}
    succeeded = {receipt["transactionHash"]: int(receipt["status"], 16) == 1 for receipt in receipts}
    return Facts(
        number=int(header["number"], 16),
        hash=header["hash"],
        parent_hash=header["parentHash"],
        timestamp=int(header["timestamp"], 16),
        introduced={named(number): number for number in changed},
        started=tuple(named(account) for account, *_ in of("auctions", STARTED)),
        taken=tuple((named(account), named(taker)) for account, _, taker, *_ in of("auctions", TAKEN)),
        ended=len(of("auctions", ENDED)),
        refused_starts=len(of("auctions", REFUSED)),
        bad_debt=sum(amount for _, amount, *_ in of("venue", BAD_DEBT)),
        reports=len(of("prices", REPORT)),
        publications=len(of("risk_arrays", PUBLISHED)),
        settlements=len(of("prices", SETTLED)),
        parameter_updates=len(of("steward", WRITTEN)),
        sent=tuple(
            Sent(succeeded[one["hash"]], subjects(one["input"]))
            for one in header["transactions"]
            if one["from"].lower() == keeper
        ),
    )


def subjects(data: str) -> tuple[tuple[int, ...], ...]:
    """Return what a transaction asks for: kind, and account, or expiry and report."""
    kind, body = data[:10], words(data[10:])
    if kind == STARTS:
        return tuple((int(START, 16), account) for account in body[2::START_WORDS])
    if kind in (START, TAKE, END):
        return ((int(kind, 16), body[0]),)
    if kind == WRITE:
        changes = body[2:]
        return tuple((int(kind, 16), *changes[at : at + 2]) for at in range(0, len(changes), WRITE_WORDS))
    return ((int(kind, 16), *body[:3]),) if kind == PUBLISH else ()


def words(data: str) -> list[int]:
    """Return whole words, unsigned."""
    return [int(data[at : at + 64], 16) for at in range(0, len(data) // 64 * 64, 64)]
