"""I1 to I7, read from the journal's file, the signer's file and the model chain alone: plain SQL, no code that wrote.

The append-only tables are replayed as they grow, so a check after every commit is a check of every prefix.
"""

import sqlite3
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

from tests.model.chain import Chain, Tx, read

CLOSED = {"final", "lost", "released"}
NEXT = {
    "": {"reserved"},
    "reserved": {"signed", "lost", "released"},
    "signed": {"signed", "offered", "mined", "lost"},
    "offered": {"offered", "mined", "lost"},
    "mined": {"mined", "orphaned", "final"},
    "orphaned": {"orphaned", "offered", "mined", "lost"},
    "final": {"final", "orphaned"},
    "lost": {"lost", "orphaned"},
    "released": set(),
}
"""The drawing in docs/journal.md, typed from it."""


class Broken(AssertionError):
    """An invariant that does not hold, by its name."""

    def __init__(self, invariant: str, found: object) -> None:
        super().__init__(f"{invariant}: {found}")
        self.invariant = invariant


class Reader:
    def __init__(self, journal: Path, signer: Path, chain: Chain, cap: int, confirmations: int) -> None:
        """`cap` in wei."""
        self._files = journal, signer
        self._chain, self._cap, self._confirmations = chain, cap, confirmations
        self.offers_seen = 0  # how often bytes were read from a socket so far
        self._open()

    def _open(self) -> None:
        self._journal, self._signer = (sqlite3.connect(f"file:{path}?mode=ro", uri=True) for path in self._files)
        self._step = self._outcome = self._attempt = 0
        self.standing: dict[int, tuple[str, str | None, str | None]] = {}  # slot -> state, winner, block hash
        self.reopened: set[int] = set()  # slots that a reorg deeper than finality opened again
        self.bytes: dict[int, dict[str, Tx]] = {}  # slot -> hash -> transaction
        self._kinds: dict[str, str] = {}
        self._told: dict[int, str] = {}  # intent -> status, as outcomes say
        self._sent: Counter[tuple[str, str]] = Counter()

    def restored(self) -> None:
        """Read both files from their beginning: an old copy took the place of one, and forgot."""
        self.close()
        self._open()

    def close(self) -> None:
        self._journal.close()
        self._signer.close()

    def rows(self, query: str, *given: object) -> list[tuple[Any, ...]]:
        return self._journal.execute(query, given).fetchall()

    def _require(self, invariant: str, holds: bool, found: object) -> None:
        if not holds:
            raise Broken(invariant, found)

    def offered(self, endpoint: str, raw: bytes) -> None:
        """I3, at the moment an endpoint reads bytes from its socket: they, and this offer of them, are committed."""
        tx_hash = read(raw).tx_hash
        self._sent[endpoint, tx_hash] += 1
        self.offers_seen += 1
        query = "SELECT count(*) FROM offers o JOIN slot_attempts a ON a.id = o.attempt_id WHERE {} AND o.endpoint = ?"
        ((noted,),) = self.rows(query.format("a.tx_hash = ? AND a.raw = ?"), tx_hash, raw, endpoint)
        self._require("I3", noted >= self._sent[endpoint, tx_hash], f"{tx_hash} at {endpoint}, {noted} offers noted")

    def check(self) -> None:
        """Read what was committed since the last time and ask every invariant."""
        self._i2()
        for row in self.rows(
            "SELECT t.id, t.slot_id, t.state, t.tx_hash, t.mined_number, t.mined_hash FROM steps t WHERE t.id > ? "
            "ORDER BY t.id",
            self._step,
        ):
            self._replay(*row)
        self._i1()
        self._i4()
        self._i5()
        self._i7()

    # --- each invariant ------------------------------------------------------------------------------

    def _replay(
        self, step: int, slot: int, state: str, tx_hash: str | None, number: int | None, block: str | None
    ) -> None:
        self._step = step
        before, winner, place = self.standing.get(slot, ("", None, None))
        self._require("I7", state in NEXT[before], f"slot {slot}: {state} after {before}")
        if state == "reserved":
            self._reserved(step, slot)
        elif state == "lost":
            self._lost(slot)
        if state == "mined" and number is not None:
            winner, place = tx_hash, block
        elif state == "lost" and before != "lost":
            winner, place = tx_hash, None
        elif state not in (before, "final"):
            winner, place = None, None
        if state == "orphaned" and before in CLOSED:
            self.reopened.add(slot)
        self.standing[slot] = (state, winner, place)
        if state == "final" and before != "final":
            self._i6(step, slot)

    def _reserved(self, step: int, slot: int) -> None:
        """I1: at the moment a nonce is reserved, no other open slot carries one of its effects."""
        open_now = [other for other, (state, *_) in self.standing.items() if state not in CLOSED]
        carried = (
            "SELECT i.effect FROM intents i JOIN slot_intents c ON c.intent_id = i.id WHERE c.slot_id = ?1 "
            "UNION SELECT effect FROM adopted_effects WHERE slot_id = ?1"
        )
        mine = {effect for (effect,) in self.rows(carried, slot)}
        for other in open_now:
            shared = mine & {effect for (effect,) in self.rows(carried, other)}
            self._require("I1", not shared, f"{shared} in slots {other} and {slot}")
        self._not_landed(step, mine)

    def _not_landed(self, step: int, effects: set[str]) -> None:
        """I1: no bytes that were given up have had one of these effects, on the chain as the keeper saw it then."""
        ((number, block_hash),) = self.rows("SELECT block_number, block_hash FROM steps WHERE id = ?", step)
        seen = self._chain.links[: number + 1]
        if len(seen) <= number or seen[number].block.hash != block_hash:
            return  # it followed a fork
        there = {one.tx.tx_hash for link in seen for one in link.landed}
        given_up = (
            "SELECT i.effect, a.tx_hash FROM intents i JOIN slot_intents c ON c.intent_id = i.id "
            "JOIN slot_attempts a ON a.slot_id = c.slot_id WHERE i.status IN ('lost', 'cancelled') "
            "AND a.kind IN ('original', 'replacement') UNION SELECT e.effect, a.tx_hash FROM adopted_effects e "
            "JOIN slot_attempts a ON a.slot_id = e.slot_id WHERE a.kind IN ('original', 'replacement')"
        )
        again = {(effect, h) for effect, h in self.rows(given_up) if effect in effects and h in there}
        self._require("I1", not again, f"reserved again although landed: {again}")

    def _lost(self, slot: int) -> None:
        """I4: bytes are dead only because another hash has the nonce."""
        ((nonce,),) = self.rows("SELECT nonce FROM slots WHERE id = ?", slot)
        user = self._chain.user_of(nonce)
        found = None if user is None else user[1].tx.tx_hash
        dead = found is not None and found not in self.bytes.get(slot, {})
        self._require("I4", dead, f"nonce {nonce} lost, the chain says {found}")

    def _i1(self) -> None:
        query = (
            "SELECT effect, count(*) FROM intents WHERE status IN ('intended', 'live') GROUP BY 1 HAVING count(*) > 1"
        )
        found = self.rows(query)
        self._require("I1", not found, f"live more than once: {found}")

    def _i2(self) -> None:
        """All bytes of a nonce are its slot's call, or empty transfers to the sender."""
        query = (
            "SELECT a.id, a.kind, a.raw, a.tx_hash, s.id, s.sender, s.nonce, s.target, s.data FROM slot_attempts a "
            "JOIN slots s ON s.id = a.slot_id WHERE a.id > ? ORDER BY a.id"
        )
        for attempt, kind, raw, tx_hash, slot, sender, nonce, target, data in self.rows(query, self._attempt):
            tx = read(raw)
            wanted = (sender, b"") if kind in ("cancel", "filler") else (target, data)
            self._require("I2", (tx.to, tx.data) == wanted, f"{kind} {tx_hash} of nonce {nonce} does something else")
            self._require("I2", (tx.nonce, tx.tx_hash) == (nonce, tx_hash), f"{tx_hash} is not of nonce {nonce}")
            self.bytes.setdefault(slot, {})[tx_hash] = tx
            self._kinds[tx_hash] = kind
            self._attempt = attempt

    def _i4(self) -> None:
        taken = self.rows("SELECT nonce, count(*) FROM slots WHERE state <> 'released' GROUP BY 1 HAVING count(*) > 1")
        self._require("I4", not taken, f"nonces given twice: {taken}")
        released = {name for (name,) in self.rows("SELECT request_id FROM slots WHERE state = 'released'")}
        signed = {name for (name,) in self._signer.execute("SELECT intent FROM signatures")}
        self._require("I4", not released & signed, f"released although signed: {released & signed}")

    def _i5(self) -> None:
        """Whatever may still land, at its worst, whether the ledger or the signer alone has the bytes."""
        by_nonce: dict[int, int] = {}
        slots = {nonce: slot for slot, nonce in self.rows("SELECT id, nonce FROM slots WHERE state <> 'released'")}
        for nonce, worst in self._signer.execute("SELECT nonce, worst_cost FROM signatures"):
            slot = slots.get(nonce)
            if slot is None or (self.standing[slot][0] not in CLOSED and slot not in self.reopened):
                by_nonce[nonce] = max(by_nonce.get(nonce, 0), int(worst))
        self._require("I5", sum(by_nonce.values()) <= self._cap, f"{by_nonce} above {self._cap} wei")

    def _i6(self, step: int, slot: int) -> None:
        """The label follows the hash that the chain has, deep enough, and the intents what it did there."""
        winner = self.standing[slot][1]
        tx = self.bytes[slot].get(winner or "")
        user = None if tx is None else self._chain.user_of(tx.nonce)
        self._require("I6", tx is not None and user is not None, f"slot {slot} final by {winner}, the chain has none")
        assert tx is not None and user is not None
        link, found = user
        self._require(
            "I6", found.tx.tx_hash == winner, f"slot {slot} final by {winner}, the chain has {found.tx.tx_hash}"
        )
        depth = self._chain.head.number - link.block.number
        self._require("I6", depth >= self._confirmations, f"slot {slot} final at depth {depth}")
        query = "SELECT o.status, i.subject FROM outcomes o JOIN intents i ON i.id = o.intent_id WHERE o.step_id = ?"
        for status, subject in self.rows(query, step):
            called = self._kinds[tx.tx_hash] in ("original", "replacement")
            done = found.succeeded and int(subject, 16) in tx.accounts
            label = ("achieved" if done else "failed") if called else "cancelled"
            self._require("I6", status == label, f"slot {slot}: {subject} is {status}, the chain says {label}")

    def _i7(self) -> None:
        """The tables say what the events come to."""
        cached = {row[0]: row[1:] for row in self.rows("SELECT id, state, winner_hash, mined_hash FROM slots")}
        differ = {
            slot: (self.standing.get(slot), row) for slot, row in cached.items() if self.standing.get(slot) != row
        }
        self._require("I7", not differ, f"events and rows differ: {differ}")
        new = self.rows("SELECT id, intent_id, status FROM outcomes WHERE id > ? ORDER BY id", self._outcome)
        for self._outcome, intent, status in new:
            self._told[intent] = status
        now = dict(self.rows("SELECT id, status FROM intents"))
        for intent, status in self._told.items():
            holds = now[intent] == status or (
                status == "live" and now[intent] in ("live", "intended", "expired", "refused")
            )
            self._require("I7", holds, f"intent {intent}: told {status}, found {now[intent]}")

    def at_the_end(self, alarms: Collection[str]) -> None:
        """Nothing forgotten, nothing twice: every nonce of the chain has its slot, every intent its end.

        `alarms`: all that sounded so far.
        """
        still = {slot: state for slot, (state, *_) in self.standing.items() if state not in CLOSED}
        self._require("end", not still, f"slots still open: {still}")
        live = self.rows("SELECT id, status FROM intents WHERE status IN ('intended', 'live')")
        self._require("end", not live, f"intents still live: {live}")
        self._effects(alarms)
        kept = {
            n: (s, w) for n, s, w in self.rows("SELECT nonce, state, winner_hash FROM slots WHERE state <> 'released'")
        }
        signed = {nonce for (nonce,) in self._signer.execute("SELECT nonce FROM signatures")}
        for one in self._chain.landed():
            ours = one.tx.tx_hash not in self._chain.strangers
            found = kept.pop(one.tx.nonce, None)
            right = ("final", one.tx.tx_hash) if ours else ("lost", None) if one.tx.nonce in signed else None
            self._require("end", found == right, f"nonce {one.tx.nonce}: the chain has {one.tx.tx_hash}, we {found}")
        self._require("end", not kept, f"slots of nonces that nobody used: {kept}")

    def _effects(self, alarms: Collection[str]) -> None:
        """I1: what was done to an account is what the ledger says was achieved there, and nobody was done twice.

        What an adopted call did has no intent. A reorg deeper than finality may let both land of two calls of which the
        first had come to nothing for good: then an alarm has sounded.
        """
        done = Counter(a for one in self._chain.landed() if one.succeeded for a in one.tx.accounts)
        told = Counter(
            int(subject, 16) for (subject,) in self.rows("SELECT subject FROM intents WHERE status = 'achieved'")
        )
        adopted = Counter(
            int(effect.rsplit(":")[-1], 16) for (effect,) in self.rows("SELECT effect FROM adopted_effects")
        )
        fits = all(told[a] <= done[a] <= told[a] + adopted[a] for a in done | told)
        self._require("I1", fits, f"done on the chain {dict(done)}, achieved {dict(told)}, adopted {dict(adopted)}")
        twice = sorted(account for account, times in done.items() if times > 1)
        excused = self._chain.deepest > self._confirmations and any("deeper than finality" in said for said in alarms)
        self._require("I1", not twice or excused, f"{twice} done twice, alarms {sorted(alarms)}")
