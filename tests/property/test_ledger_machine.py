"""The real ledger, lane and signer against a hostile chain, hostile endpoints, clocks and crashes: I1 to I7 hold.

What the machine checks is read from the files and the model chain by tests/model/reader.py. That it can find a fault at
all is tested too: each invariant has a protection that is switched off, and the machine must notice.
"""

import os
import random
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.model.endpoints import READS
from tests.model.faults import FAULTS
from tests.model.reader import Broken
from tests.model.world import World

GWEI = 10**9
PICK = st.integers(0, 2**32).map(random.Random)  # its draws are no choices of hypothesis, which shrinks them to 0


class Deep(RuleBasedStateMachine):
    """Blocks, a stranger with the key, and reorgs that undo what it did."""

    @initialize()
    def begin(self) -> None:
        self.world = World()
        self.world.block([1, 2, 3])

    def teardown(self) -> None:
        if hasattr(self, "world"):
            try:
                if not self.world.is_broken:
                    self.world.see_through()
            finally:
                self.world.close()

    @rule(choice=PICK, accounts=st.lists(st.integers(0, 5), max_size=5))
    def block(self, choice: random.Random, accounts: list[int]) -> None:
        self.world.desk.clocks.pass_(12.0)
        self.world.chain.mine(choice, choice.choice((0, 1, 4)))
        if choice.random() < 0.5:
            self.world.operator()
        self.world.block(accounts)

    @rule(choice=PICK)
    def blocks(self, choice: random.Random) -> None:
        for _ in range(3):
            self.block(choice, [choice.randint(0, 5)])

    @rule(choice=PICK, accounts=st.lists(st.integers(0, 5), min_size=1, max_size=3))
    def stranger_undone(self, choice: random.Random, accounts: list[int]) -> None:
        """A stranger's nonce is final and its effects are planned anew; then a deep reorg lets anybody have it."""
        self.world.stranger(choice)
        for planned in ([], [], [], [], accounts):
            self.block(choice, planned)
        self.world.chain.reorg(choice.choice((4, 5)), choice, 4)
        self.blocks(choice)


class Ledger(Deep):
    """Most steps are blocks; what goes wrong lasts until it is undone by a later step."""

    reads: Sequence[str] = READS

    @rule(choice=PICK)
    def trouble(self, choice: random.Random) -> None:
        self.world.trouble(choice, choice.choice(self.reads))
        self.blocks(choice)

    @rule()
    def calm(self) -> None:
        self.world.calm()

    @rule(gwei=st.sampled_from((1, 10, 40, 120)))
    def market(self, gwei: int) -> None:
        self.world.chain.base_fee = gwei * GWEI

    @rule(choice=PICK)
    def reorg(self, choice: random.Random) -> None:
        """Deeper than finality now and then."""
        self.world.chain.reorg(choice.choice((1, 1, 2, 2, 4)), choice, choice.choice((0, 2, 4)))

    @rule(choice=PICK, kind=st.sampled_from(("crash", "crash", "takeover", "disk")), calls=st.integers(0, 40))
    def death(self, choice: random.Random, kind: str, calls: int) -> None:
        self.world.arm(calls, kind)
        self.block(choice, [choice.randint(0, 5), choice.randint(0, 5)])

    @rule(choice=PICK, op=st.sampled_from(("sign", "sign", "hello", "renew", "final", "signed")))
    def lose_answer(self, choice: random.Random, op: str) -> None:
        self.world.lose_answer(op)
        self.block(choice, [choice.randint(0, 5), choice.randint(0, 5)])

    @rule(seconds=st.sampled_from((-7_200.0, 7_200.0)))
    def clock(self, seconds: float) -> None:
        self.world.jump(seconds)

    @rule()
    def restart_signer(self) -> None:
        self.world.restart_signer()

    @rule(choice=PICK)
    def stranger(self, choice: random.Random) -> None:
        if choice.random() < 0.3:
            self.world.stranger(choice)

    @rule(choice=PICK)
    def stranger_alone(self, choice: random.Random) -> None:
        if choice.random() < 0.3:
            self.world.stranger_alone(choice)
            self.blocks(choice)

    @rule()
    def rival(self) -> None:
        self.world.rival_ledger()


@seed(3)  # by which the fault is found in seconds; others find it as well, later
class Deeper(Deep):
    """As `Deep`, where a fault is looked for."""


class AmongLiars(Ledger):
    """As `Ledger`, where whoever is in trouble says of what reverted that it succeeded, and the other way round."""

    reads = ("flipped",)


SEARCHED: dict[str, type[Deep]] = {"one endpoint believed": AmongLiars, "lost and never looked at again": Deeper}
"""Where a fault is looked for, if it is rare among all that may go wrong."""

CI = settings(
    max_examples=20, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)
AT_LENGTH = settings(CI, max_examples=1_000, stateful_step_count=60, derandomize=False)

TestLedger = Ledger.TestCase
TestLedger.settings = AT_LENGTH if os.environ.get("KEEPER_MACHINE") == "slow" else CI


@pytest.mark.parametrize("fault", FAULTS)
def test_a_protection_switched_off_is_noticed(fault: str) -> None:
    invariants, broken = FAULTS[fault]
    search = settings(CI, max_examples=60, phases=[Phase.generate])
    with broken(), pytest.raises(Broken) as found:
        run_state_machine_as_test(SEARCHED.get(fault, Ledger), settings=search)
    assert found.value.invariant in invariants
