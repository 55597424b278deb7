"""Modes observe and shadow: nothing is signed, so an intent ends with what it would have come to."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from keeper.chain import Block
from keeper.heads import Head
from keeper.journal.records import Intent
from keeper.lanes.ports import Ledger
from keeper.lanes.simulate import Simulation
from keeper.rpc import Rpc
from keeper.stages import Stages

log = logging.getLogger(__name__)


class SilentExecutor:
    """What the loop calls where no signer is asked. Slots of an earlier live keeper stay as they are: open."""

    def __init__(
        self, rpc: Rpc, ledger: Ledger, simulation: Simulation, sender: str, mode: Literal["observe", "shadow"]
    ) -> None:
        self._rpc = rpc
        self._ledger = ledger
        self._simulation = simulation
        self._sender = sender
        self._mode = mode

    def settle(self, block: Block) -> int:
        """Close what an earlier keeper intended and never signed; return how many slots it left open."""
        for intent in self._ledger.intents_without_slot():
            self._ledger.close_intent(intent.id, "expired", "not signed before the keeper stopped", block.number)
        return len(self._ledger.open_slots(self._sender))

    def status(self) -> dict[str, object]:
        """Return nothing: nothing is sent, so nothing can be wrong with it."""
        return {}

    def execute(self, intents: Sequence[Intent], head: Head, stage: Stages) -> None:
        """Close every intent: refused where shadow's simulation says so, else shadow."""
        if not intents:
            return
        head = replace(head, block=self._rpc.block())
        shadow = self._mode == "shadow"
        with stage("simulate"):
            refused = self._simulation.simulate(intents, head, self._sender).refusals if shadow else {}
        for intent in intents:
            cause = refused.get(intent.id)
            status: Literal["refused", "shadow"] = "shadow" if cause is None else "refused"
            text = str(cause) if cause else f"signer.mode is {self._mode}: not signed"
            self._ledger.close_intent(intent.id, status, text, head.block.number)
            log.info("%s %s: %s", intent.plan.effect, status, text)
