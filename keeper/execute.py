"""Carry out intents: simulate, reserve a nonce, sign, store, and only then broadcast; settle from receipts.

Write-ahead order (docs/journal.md): an intent is in the journal before this module sees it, and signed bytes are
in the journal before they are offered to anybody. After a crash at any point `settle` finds what is open and
goes on with the same bytes, so nothing is signed twice for one intent.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Protocol

from keeper.abi import revert_reason
from keeper.chain import Block, Call, Receipt
from keeper.errors import SigningRefused
from keeper.heads import Head
from keeper.journal.records import Attempt, ClosedStatus, Intent, NewAttempt, SettledStatus
from keeper.plans import in_order
from keeper.rpc import Rpc, RpcRefusal
from keeper.submit.base import Route, Signed, Unsigned
from keeper.submit.fees import fees
from keeper.submit.signer import Signer
from keeper.venues.base import Sending, Venue

log = logging.getLogger(__name__)

LOST_DEPTH = 3
"""Blocks a nonce must have been used for before an attempt without receipt is lost: receipts may lag the head."""


class Ledger(Protocol):
    """What sending needs of the journal."""

    def live_intents(self) -> tuple[Intent, ...]: ...
    def open_attempts(self) -> tuple[Attempt, ...]: ...
    def attempts_of(self, intent_id: int) -> tuple[Attempt, ...]: ...
    def settled_from(self, sender: str, nonce: int) -> tuple[Attempt, ...]: ...
    def next_nonce(self, sender: str, chain_nonce: int) -> int: ...
    def store_signed(self, attempts: Sequence[NewAttempt]) -> tuple[Attempt, ...]: ...
    def mark_broadcast(self, attempt_id: int, cause: str | None) -> None: ...
    def settle(self, attempt_id: int, *, status: SettledStatus, receipt: Receipt | None, cause: str) -> None: ...
    def close_intent(self, intent_id: int, status: ClosedStatus, cause: str, block_number: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What one transaction and one tick may cost."""

    chain_id: int
    gas: int  # limit of every transaction
    max_fee: int  # wei per gas
    tip: int  # wei per gas
    per_tick: int  # transactions
    confirmations: int  # blocks on top of the mined one before an outcome is final


class Executor:
    """Moves intents through the ledger. Holds no state of its own: all of it is in the journal and on the chain."""

    def __init__(self, rpc: Rpc, venue: Venue, route: Route, signer: Signer, ledger: Ledger, limits: Limits) -> None:
        self._rpc = rpc
        self._venue = venue
        self._route = route
        self._signer = signer
        self._ledger = ledger
        self._limits = limits

    # --- what is already under way -----------------------------------------------------------------

    def settle(self, block: Block) -> int:
        """Bring every open attempt up to date with the chain at `block`; return how many remain open.

        This is also start-up recovery: stored bytes that were never offered are offered, intents that were
        never signed are closed as expired, and nothing new is signed here.
        """
        if self._signer.mode == "live":
            self._offer_orphaned(block)
        under_way = self._under_way(block)
        if not under_way:
            return 0
        receipts = self._rpc.receipts([a.tx_hash for a in under_way])
        pending = [a for a, r in zip(under_way, receipts, strict=True) if not self._settled(a, r, block)]
        return len(self._offer_again(pending, block))

    def _offer_orphaned(self, block: Block) -> None:
        """Offer again what was settled and has left the chain: a reorg deeper than `confirmations`.

        The chain counts fewer of our nonces than the ledger has settled; the same bytes fill the gap.
        """
        count = self._rpc.nonce(self._signer.address, block)
        orphaned = self._ledger.settled_from(self._signer.address, count)
        if orphaned:
            log.warning("%d settled attempts left the chain, from nonce %d on: offered again", len(orphaned), count)
            self._offer(orphaned)

    def _under_way(self, block: Block) -> list[Attempt]:
        """Return every attempt whose intent is still to be closed; close the intents that were never signed.

        A live intent without an open attempt lost its keeper between an attempt's outcome and its own: once more.
        """
        attempts = list(self._ledger.open_attempts())
        seen = {a.intent_id for a in attempts}
        for intent in self._ledger.live_intents():
            signed = () if intent.id in seen else self._ledger.attempts_of(intent.id)
            if intent.id not in seen and not signed:
                self._ledger.close_intent(intent.id, "expired", "not signed before the keeper stopped", block.number)
            attempts += signed
        return attempts

    def _settled(self, attempt: Attempt, receipt: Receipt | RpcRefusal | None, block: Block) -> bool:
        if not isinstance(receipt, Receipt):
            return False
        if receipt.block_number + self._limits.confirmations > block.number:
            return False  # mined, but not deep enough to be final
        effect = self._venue.confirm(attempt.plan, receipt)
        status: SettledStatus = "mined" if receipt.succeeded else "reverted"
        self._ledger.settle(attempt.id, status=status, receipt=receipt, cause=effect.summary)
        outcome: ClosedStatus = "achieved" if effect.achieved else "failed"
        self._ledger.close_intent(attempt.intent_id, outcome, effect.summary, block.number)
        log.info("%s %s: %s", attempt.plan.kind, outcome, effect.summary)
        return True

    def _offer_again(self, pending: Sequence[Attempt], block: Block) -> list[Attempt]:
        """Offer the same bytes again unless their nonce was used by something else at a final depth."""
        if not pending:
            return []
        # never the head itself: a node may count the block it is building, whose receipts it does not give yet
        deep = self._rpc.block(max(block.number - max(self._limits.confirmations, LOST_DEPTH), 0))
        used = {sender: self._rpc.nonce(sender, deep) for sender in {a.sender for a in pending}}
        alive = [a for a in pending if a.nonce >= used[a.sender]]
        for attempt in alive:
            if attempt.plan.expires_at < block.number:
                text = "%s nonce %d is past its last block %d and may still land"
                log.warning(text, attempt.plan.kind, attempt.nonce, attempt.plan.expires_at)
        for attempt in pending:
            if attempt.nonce < used[attempt.sender]:
                self._lose(attempt, block)
        if alive and self._signer.mode == "live":
            for attempt, said in zip(alive, self._offer(alive), strict=True):
                if attempt.status == "signed":
                    self._ledger.mark_broadcast(attempt.id, said or None)
        return alive

    def _offer(self, attempts: Sequence[Attempt]) -> list[str]:
        """Hand every transaction to the route once; return what was said of each attempt's."""
        raws = {a.tx_hash: a.raw for a in attempts}
        said = dict(zip(raws, self._route.send(list(raws.values())), strict=True))
        return [said[a.tx_hash] for a in attempts]

    def _lose(self, attempt: Attempt, block: Block) -> None:
        (again,) = self._rpc.receipts([attempt.tx_hash])
        if again is None:  # an error proves nothing, and a receipt settles it next tick
            cause = f"nonce {attempt.nonce} was used by another transaction"
            self._ledger.settle(attempt.id, status="lost", receipt=None, cause=cause)
            self._ledger.close_intent(attempt.intent_id, "lost", cause, block.number)
            log.warning("%s lost: %s", attempt.plan.kind, cause)

    # --- what is new -------------------------------------------------------------------------------

    def execute(self, intents: Sequence[Intent], head: Head) -> None:
        """Simulate, sign, store and broadcast new intents; each one ends live or closed with its cause."""
        if not intents:
            return
        head = replace(head, block=self._rpc.block())  # a tick may outlast blocks; what counts is where it will land
        sound = self._simulated(intents, head) if self._signer.mode != "observe" else list(intents)
        if self._signer.mode != "live":
            for intent in sound:
                cause = f"signer.mode is {self._signer.mode}: not signed"
                self._ledger.close_intent(intent.id, "shadow", cause, head.block.number)
            return
        stored = self._signed(sound, head.block)
        for attempt, said in zip(stored, self._offer(stored), strict=True):
            self._ledger.mark_broadcast(attempt.id, said or None)
            if said:
                log.warning("%s nonce %d: the node said %s", attempt.plan.kind, attempt.nonce, said)

    def _simulated(self, intents: Sequence[Intent], head: Head) -> list[Intent]:
        """Return the intents whose call succeeds in the next block and in the one after it, at their block times.

        Both, because marks on the chain move with time alone: what succeeds now may revert when it lands.
        """
        calls = [self._venue.encode(intent.plan) for intent in intents]
        soon = [head.block.timestamp + ahead * head.interval_s for ahead in (1, 2)]
        answers = [self._answers(intents, calls, head.block, at) for at in soon]
        sound = []
        for intent, *results in zip(intents, *answers, strict=True):
            refusal = next((r for r in results if isinstance(r, RpcRefusal)), None)
            if refusal is None:
                sound.append(intent)
                continue
            cause = f"simulation: {revert_reason(refusal.revert) or refusal.message}"
            self._ledger.close_intent(intent.id, "refused", cause, head.block.number)
            log.info("%s refused: %s", intent.plan.effect, cause)
        return sound

    def _answers(
        self, intents: Sequence[Intent], calls: Sequence[Call], block: Block, at: int
    ) -> list[bytes | RpcRefusal]:
        """Return what each call would answer: each alone, or in turn where one needs another to land before it."""
        sender, gas = self._signer.address, self._limits.gas
        groups = in_order([intent.plan for intent in intents])
        alone = [rows[0] for rows in groups if len(rows) == 1]
        found = dict(zip(alone, self._rpc.simulate([calls[r] for r in alone], sender, block, at, gas), strict=True))
        for rows in groups:
            if len(rows) > 1:
                in_turn = self._rpc.simulate_in_turn([calls[r] for r in rows], sender, block, at, gas)
                found |= dict(zip(rows, in_turn, strict=True))
        return [found[row] for row in range(len(calls))]

    def _signed(self, intents: Sequence[Intent], block: Block) -> tuple[Attempt, ...]:
        price = fees(block.base_fee, self._limits.tip, self._limits.max_fee)
        if price is None:
            for intent in intents:
                cause = f"base fee {block.base_fee} wei above signer.max_fee_gwei"
                self._ledger.close_intent(intent.id, "refused", cause, block.number)
            return ()
        sender = self._signer.address
        nonce = self._ledger.next_nonce(sender, self._rpc.nonce(sender, block))
        attempts: list[NewAttempt] = []
        for sending in self._affordable(intents, block, price.max_fee):
            carried = [intents[row] for row in sending.rows]
            call, gas = sending.call, self._gas(sending.call)
            unsigned = Unsigned(self._limits.chain_id, nonce, call, gas, price.max_fee, price.tip)
            try:
                signed = self._signer.sign(unsigned)
            except SigningRefused as e:
                self._refuse(carried, str(e), block)
                continue
            attempts += [_attempt(intent, sender, unsigned, signed) for intent in carried]
            nonce += 1
        return self._ledger.store_signed(attempts) if attempts else ()

    def _refuse(self, intents: Sequence[Intent], cause: str, block: Block) -> None:
        for intent in intents:
            self._ledger.close_intent(intent.id, "refused", cause, block.number)
        log.error("%s", cause)

    def _gas(self, call: Call) -> int:
        return min(call.gas or self._limits.gas, self._limits.gas)

    def _affordable(self, intents: Sequence[Intent], block: Block, max_fee: int) -> list[Sending]:
        """Return the first transactions that one block and the balance can carry, at most `per_tick`; close the rest.

        What is already offered may still cost its own worst, wei.

        More gas than a block holds is never offered at once: Anvil drops every later nonce of the sender then.
        """
        exposed = sum({a.tx_hash: a.gas_limit * a.max_fee for a in self._ledger.open_attempts()}.values())
        balance = max(self._rpc.balance(self._signer.address, block) - exposed, 0)
        gas_limit = self._rpc.gas_limit(block)
        sendings = self._venue.sendings([intent.plan for intent in intents], min(self._limits.gas, gas_limit))
        needed = list(accumulate(self._gas(sending.call) for sending in sendings))
        room = sum(gas <= gas_limit and gas * max_fee <= balance for gas in needed[: self._limits.per_tick])
        for sending in sendings[room:]:
            cause = (
                f"{room} transactions allowed now: signer.max_transactions_per_block is {self._limits.per_tick}, "
                f"{self._signer.address} has {balance} wei not yet committed and all may cost {needed[-1] * max_fee}, "
                f"a block holds {gas_limit} gas and all may use {needed[-1]}"
            )
            self._refuse([intents[row] for row in sending.rows], cause, block)
        return list(sendings[:room])


def _attempt(intent: Intent, sender: str, unsigned: Unsigned, signed: Signed) -> NewAttempt:
    return NewAttempt(
        intent_id=intent.id,
        sender=sender,
        nonce=unsigned.nonce,
        tx_hash=signed.tx_hash,
        raw=signed.raw,
        gas_limit=unsigned.gas,
        max_fee=unsigned.max_fee,
        tip=unsigned.tip,
    )
