"""What of an inbox the relays would take at a block: the newest of each thing that enough signers vouch for.

Signatures are counted here by the signers that the chain names; the rest (time, range, fixing, quorum of a jump) the
relay itself says, asked by a call at the block. So nothing is sent that it would refuse there.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from eth_abi.abi import encode

from keeper.abi import interface, uint_at
from keeper.chain import Block, Call
from keeper.errors import ReadError
from keeper.plans import Held, RelayReports
from keeper.reference.inbox import Signed, merged, read_inbox, recovered
from keeper.reference.reports import PRICE_RELAY, SURFACE_RELAY, fitted
from keeper.reverts import revert
from keeper.rpc import Rpc, RpcRefusal, answered
from keeper.twin.records import Slice
from keeper.venues.portfolio import PortfolioState

PER_PLAN: Final = 6
"""Records in one transaction: what its gas limit and the length of an effect's name allow."""
PLAN_BYTES: Final = 8_000
"""Of one transaction's calldata: what a signer reads where lists nest in lists."""
RECOVERIES: Final = 64
"""Signatures that a block's tick recovers for the first time, the last file's aside: some 10 ms each."""
MOST_SIGNATURES: Final = 1_024
"""Of a block's files together, whom the relay is asked about."""
MOST_HOLDS: Final = 32
"""Said one by one of a block's inbox: the journal keeps them."""
LANDING: Final = 10
"""A tenth of a relay's age limit is left for landing: what is older would be refused there, and all beside it."""
BLOCKS_AHEAD: Final = 2
"""So many blocks' time is left at least: a call is tried that far ahead before it is sent."""
Newest = Mapping[tuple[str, int, int], int]
"""Kind, underlying, expiry → second of the newest record on the chain; what is not there has none."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What one relay asks at a block."""

    relay: str
    path: str  # of its interface under abis/
    signers: frozenset[str]  # of those who signed anything in the inbox
    quorum: int
    jump_quorum: int
    max_age: int  # seconds
    to_land: int  # seconds of it that a transaction may take


@dataclass(frozen=True)
class Relaying:
    """The inbox of one deployment."""

    rpc: Rpc
    folder: Path
    chain_id: int
    prices: str
    surface: str
    lifetime_blocks: int
    under_way: Callable[[], Collection[str]] = frozenset  # effects of what was sent and is not over

    def __call__(self, state: PortfolioState) -> tuple[tuple[RelayReports, ...], tuple[Held, ...]]:
        """Return plans that bring what is due, and why files were left out. Raises ChainError when the chain is silent.

        What the chain has already, or newer, is passed over in silence: that is every file's end. So is what is under
        way.
        """
        plans, holds = self._found(state)
        left = len(holds) - MOST_HOLDS
        more = [Held("reports", f"inbox: {left} more files or records left out; clean it up")] if left > 0 else []
        return plans, (*holds[:MOST_HOLDS], *more)

    def _found(self, state: PortfolioState) -> tuple[tuple[RelayReports, ...], list[Held]]:
        files, holds = read_inbox(self.folder)
        ours, foreign = self._ours(files)
        there = self._there(state)
        newer = [signed for signed in ours if _may_count(signed, there, state.block.timestamp)]
        due, late = affordable(newer)
        holds += [*foreign, *late]
        if not due:
            return (), holds
        try:
            terms = self._terms(state.block, due)
        except ReadError as error:  # what else the tick decides does not rest on it
            return (), [*holds, Held("reports", str(error))]
        together, refused = vouched(due, terms, state.block.timestamp)
        chosen, beaten = self._accepted(together, terms, state.block)
        return self._plans(chosen, terms, state), [*holds, *refused, *beaten]

    def _there(self, state: PortfolioState) -> dict[tuple[str, int, int], int]:
        """Return the second of the newest record of each thing, on the chain or on its way there."""
        found = newest_of(state)
        under_way = self.under_way()
        for kind, relay in (("report", self.prices), ("slice", self.surface)):
            prefix = RelayReports(state.venue, relay, "", "0x", 0).effect
            for effect in (e for e in under_way if e.startswith(prefix)):
                sent = RelayReports(state.venue, relay, effect.removeprefix(prefix), "0x", 0)
                for about, second in sent.records.items():
                    found[kind, *about] = max(second, found.get((kind, *about), 0))
        return found

    def _ours(self, files: Iterable[Signed]) -> tuple[list[Signed], list[Held]]:
        places = {"report": self.prices, "slice": self.surface}
        ours, foreign = [], []
        for signed in files:
            if (signed.chain_id, signed.relay) == (self.chain_id, places[signed.kind]):
                ours.append(signed)
            else:
                expected = f"expected chain {self.chain_id} and relay {places[signed.kind]}"
                foreign.append(held(signed, f"{expected}, found {signed.chain_id} and {signed.relay}"))
        return ours, foreign

    def _terms(self, block: Block, due: Sequence[Signed]) -> dict[str, Terms]:
        """Return each kind's terms."""
        found = {}
        interval = max(1, block.timestamp - self.rpc.block(max(block.number - 1, 0)).timestamp)  # as keeper.heads
        ahead = BLOCKS_AHEAD * interval
        for kind, relay, path in (("report", self.prices, PRICE_RELAY), ("slice", self.surface, SURFACE_RELAY)):
            named = sorted({signer for signed in due if signed.kind == kind for signer in signed.by_signer()})
            read = interface(path).function
            calls = [read("MAX_AGE").call(relay), read("thresholds").call(relay)]
            calls += [read("isSigner").call(relay, signer) for signer in named]
            try:
                age, thresholds, *known = answered(self.rpc.eth_calls(calls, block))
                signers = frozenset(signer for signer, word in zip(named, known, strict=True) if uint_at(word))
                quorum, jump_quorum, limit = uint_at(thresholds, 1), uint_at(thresholds, 2), uint_at(age)
                to_land = max(limit // LANDING, ahead)
                found[kind] = Terms(relay, path, signers, quorum, jump_quorum, limit, to_land)
            except ValueError as error:
                raise ReadError(f"{relay}: terms of the relay at block {block.number} not read: {error}") from error
        return found

    def _accepted(
        self, together: Sequence[Signed], terms: Mapping[str, Terms], block: Block
    ) -> tuple[list[Signed], list[Held]]:
        """Return the newest of each thing that its relay would take, and what it says of the others that are newer."""
        answers = self.rpc.eth_calls([_trial(signed, terms[signed.kind]) for signed in together], block)
        chosen: dict[tuple[str, int, int], Signed] = {}
        beaten = []
        for signed, answer in zip(together, answers, strict=True):  # newest first
            if _key(signed) in chosen:
                continue
            if isinstance(answer, RpcRefusal):
                said = str(revert(answer.revert)) if answer.revert else answer.message
                beaten.append(held(signed, f"the relay would refuse it: {said}"))
            else:
                chosen[_key(signed)] = signed
        return [chosen[key] for key in sorted(chosen)], beaten

    def _plans(
        self, chosen: Sequence[Signed], terms: Mapping[str, Terms], state: PortfolioState
    ) -> tuple[RelayReports, ...]:
        last = state.block.number + self.lifetime_blocks
        return tuple(
            plan_of(state.venue, of_kind.path, part, last)
            for kind, of_kind in terms.items()
            for part in parts([signed for signed in chosen if signed.kind == kind])
        )


def newest_of(state: PortfolioState) -> dict[tuple[str, int, int], int]:
    """Return the second of the newest report and slices that the state knows."""
    found = {}
    for underlying, known in state.world.underlyings.items():
        found["report", underlying, 0] = known.report.timestamp
        found |= {("slice", underlying, expiry): one.timestamp for expiry, one in known.slices.items()}
    return found


def affordable(newer: Sequence[Signed]) -> tuple[list[Signed], list[Held]]:
    """Return the files whose signatures a tick has time for, those of fewest signatures first, and that others wait.

    Who is recovered stays known, so what waits is reached in later blocks.
    """
    known, signatures = recovered.cache_info().misses, 0
    due: list[Signed] = []
    for signed in sorted(newer, key=lambda one: len(one.signatures)):
        signatures += len(signed.signatures)
        if signatures > MOST_SIGNATURES or recovered.cache_info().misses - known >= RECOVERIES:
            break
        signed.by_signer()
        due.append(signed)
    left = len(newer) - len(due)
    waiting = f"inbox: {left} files wait for a later block, the signatures of {len(due)} were enough for this one"
    return due, [Held("reports", waiting)] if left else []


def vouched(due: Sequence[Signed], terms: Mapping[str, Terms], now: int) -> tuple[list[Signed], list[Held]]:
    """Return what a quorum of signers vouches for at block time `now`, newest first, each with its good signatures."""
    by_digest: dict[bytes, list[Signed]] = {}
    for signed in due:
        by_digest.setdefault(signed.digest, []).append(signed)
    enough, holds = [], []
    for several in by_digest.values():
        signed = merged(several)
        of_kind = terms[signed.kind]
        good = [s for signer, s in signed.by_signer().items() if signer in of_kind.signers]
        why = _unfit(signed, len(good), of_kind, now)
        if why:
            holds.append(held(signed, why))
        else:
            most = good[: max(of_kind.jump_quorum, of_kind.quorum)]  # more of them change nothing
            enough.append(replace(signed, signatures=tuple("0x" + s.hex() for s in most)))
    return sorted(enough, key=lambda signed: -signed.said.timestamp), holds


def _unfit(signed: Signed, good: int, terms: Terms, now: int) -> str:
    """Return why a record is not relayed at block time `now`, or ''."""
    age, oldest = now - signed.said.timestamp, terms.max_age - terms.to_land
    if age < 0:
        return f"expected no time later than the block's, {now}, found {signed.said.timestamp}"
    if oldest < 0:
        return (
            f"expected to land within {terms.max_age} s, for the relay takes nothing older; with blocks as far apart "
            f"as now it may take {terms.to_land} s"
        )
    if age > oldest:
        return f"expected an age of at most {oldest} s, so that it lands within {terms.max_age} s, found {age}"
    if terms.quorum == 0:
        return "the relay has no signers yet"
    if good < terms.quorum:
        return f"expected signatures of {terms.quorum} signers at least, found {good}"
    return ""


def plan_of(venue: str, path: str, part: Sequence[Signed], expires_at: int) -> RelayReports:
    """Return the plan that brings records of one relay, each with its signatures ascending by signer."""
    rows = [(fitted(signed.said), [bytes.fromhex(s[2:]) for s in signed.signatures]) for signed in part]
    argument = encode(interface(path).function("relayMany").inputs, [rows])
    return RelayReports(venue, part[0].relay, ",".join(map(_named, part)), "0x" + argument.hex(), expires_at)


def parts(rows: Sequence[Signed]) -> list[list[Signed]]:
    """Return the records in their order, in as few transactions as both limits allow."""
    found: list[list[Signed]] = []
    for signed in rows:
        last = found[-1] if found else []
        if last and len(last) < PER_PLAN and sum(map(_bytes_of, (*last, signed))) <= PLAN_BYTES:
            last.append(signed)
        else:
            found.append([signed])
    return found


def _bytes_of(signed: Signed) -> int:
    """Return what a record takes of the calldata: its words, its pointers and lengths, five words a signature."""
    return 32 * (len(fitted(signed.said)) + 3 + 5 * len(signed.signatures))


def _may_count(signed: Signed, there: Newest, now: int) -> bool:
    """Whether a record is newer than what the chain has; of an expiry gone by it has all that it takes."""
    over = isinstance(signed.said, Slice) and signed.said.expiry <= now
    return not over and signed.said.timestamp > there.get(_key(signed), 0)


def held(signed: Signed, why: str) -> Held:
    return Held(f"{signed.kind}s", f"{_named(signed)}: {why}")


def _key(signed: Signed) -> tuple[str, int, int]:
    return (signed.kind, *signed.about)


def _named(signed: Signed) -> str:
    """Return what the record is about and when: `1@1700000000`, with the expiry behind the underlying for a slice."""
    underlying, expiry = signed.about
    return f"{underlying}{f':{expiry}' if expiry else ''}@{signed.said.timestamp}"


def _trial(signed: Signed, terms: Terms) -> Call:
    signatures = [bytes.fromhex(s[2:]) for s in signed.signatures]
    return interface(terms.path).function("relay").packed(terms.relay, fitted(signed.said), signatures)
