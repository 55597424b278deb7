"""Any sequence of requests, keepers, ledgers, restarts, clock steps and stops keeps the signer's promises."""

import tempfile
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from keeper.signer.caps import DAY_MS, HOUR_MS
from keeper.signer.leases import Session
from keeper.signer.records import NONE_FINAL, Grant, Refusal, SignedBytes, SignRequest
from tests.signer_desk import ADDRESS, GWEI, POLICY, Desk, call, ledger, touch, transfer

COST = 100_000 * 100 * GWEI
CAPS = replace(POLICY, per_hour=6 * COST, per_day=12 * COST)
LEDGERS = ("ledger one", "ledger two")


class Signer(RuleBasedStateMachine):
    """The model: the signatures that left, in order, and who was granted the newest lease."""

    sessions: Bundle[tuple[Session, int]] = Bundle("sessions")

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.desk = Desk(Path(self.folder.name), policy=CAPS)
        self.left: list[SignedBytes] = []
        self.costs: list[tuple[int, int, int]] = []  # nonce, wei, ms of every signature
        self.asked: dict[str, tuple[SignRequest, str]] = {}
        self.newest = 0
        self.lease_until = -1
        self.final = NONE_FINAL
        self.stopped = "running"
        self.enrolled: str | None = None
        self.names = 0

    def teardown(self) -> None:
        self.desk.stop()
        self.folder.cleanup()

    def now(self) -> int:
        return self.desk.service.core.clock.now_ms()

    @property
    def watermark(self) -> int:
        return max((one.nonce for one in self.left), default=NONE_FINAL)

    # --- what the world does ------------------------------------------------------------------------

    @rule(target=sessions, name=st.sampled_from(LEDGERS), behind=st.booleans())
    def connect(self, name: str, behind: bool) -> tuple[Session, int]:
        known = self.left[:-1] if behind else self.left
        attempts = frozenset((one.nonce, one.tx_hash) for one in known if one.nonce > self.final)
        state = ledger(name, next_nonce=self.watermark + 1, final=self.final, attempts=attempts)
        session = Session()
        grant = self.desk.service.leases.hello(session, ADDRESS, name, state)
        if isinstance(grant, Refusal):
            return session, 0
        assert self.enrolled in (None, name)
        assert self.now() >= self.lease_until, "a live lease was given away"
        lacking = {one.tx_hash for one in self.left if one.nonce > self.final} - {h for _, h in attempts}
        assert not lacking, "a ledger that is behind was let in"
        assert grant.token > self.newest
        self.enrolled, self.newest = name, grant.token
        self.lease_until = self.now() + grant.ttl_ms
        return session, grant.token

    @rule(held=sessions)
    def renew(self, held: tuple[Session, int]) -> None:
        answer = self.desk.service.leases.renew(held[0], ADDRESS, held[1])
        may = held[1] == self.newest and self.now() < self.lease_until and held[0].tokens.get(ADDRESS) == held[1]
        assert isinstance(answer, Grant) == may
        if isinstance(answer, Grant):
            self.lease_until = self.now() + answer.ttl_ms

    @rule(held=sessions)
    def disconnect(self, held: tuple[Session, int]) -> None:
        mine = held[0].tokens.get(ADDRESS) == self.newest != 0
        self.desk.service.leases.closed(held[0])
        if mine:
            self.lease_until = -1

    @rule()
    def restart(self) -> None:
        self.desk.start()
        self.lease_until = -1

    @rule(step=st.sampled_from([-7_200.0, 7_200.0]))
    def step_the_wall_clock(self, step: float) -> None:
        before = self.now()
        self.desk.clocks.wall += step
        assert self.now() == before

    @rule(seconds=st.sampled_from([1.0, 14.0, 15.0, 1_800.0, 3_600.0, 43_200.0]))
    def time_passes(self, seconds: float) -> None:
        self.desk.clocks.pass_(seconds)

    @rule(state=st.sampled_from(["drain", "killed"]), stored=st.booleans())
    def stop(self, state: str, stored: bool) -> None:
        self.desk.service.core.switch.ask(state)  # type: ignore[arg-type]
        self.desk.service.orders.stop("test")
        if stored:
            self.restart()
        self.stopped = "killed" if "killed" in (state, self.stopped) else "drain"

    @rule()
    def resume(self) -> None:
        assert self.desk.service.orders.resume() is None
        self.stopped = "running"

    @rule(held=sessions, nonce=st.integers(-1, 8))
    def tell_final(self, held: tuple[Session, int], nonce: int) -> None:
        answer = self.desk.service.leases.final(held[0], ADDRESS, held[1], nonce)
        if not isinstance(answer, Refusal):
            assert nonce <= self.watermark
            self.final = max(self.final, nonce)
            assert answer == self.final

    # --- requests -----------------------------------------------------------------------------------

    @rule(
        held=sessions,
        ahead=st.integers(-3, 2),
        kind=st.sampled_from(["call", "call", "cancel", "filler"]),
        gas=st.sampled_from([21_000, 100_000, 300_000]),
        intent=st.sampled_from(["own", "own", "own", "other"]),
        repeats=st.integers(1, 3),
    )
    def ask(self, held: tuple[Session, int], ahead: int, kind: str, gas: int, intent: str, repeats: int) -> None:
        first = max(0, self.watermark + ahead)
        requests = [self.request(first + i, kind, gas, intent) for i in range(repeats)]
        for request, answer in zip(requests, self.desk.service.sign(held[0], ADDRESS, held[1], requests), strict=True):
            if isinstance(answer, SignedBytes):
                self.judge(held, request, answer)

    def request(self, nonce: int, kind: str, gas: int, intent: str) -> SignRequest:
        self.names += 1
        if kind == "call":
            other = {} if intent == "own" else {"intent": "another", "data": touch(999)}
            return call(nonce, f"-{self.names}", gas=gas, **other)
        return transfer(nonce, f"-{self.names}", kind, gas=gas)

    @rule(held=sessions, at=st.integers(0, 30), gas=st.sampled_from([None, 22_222]))
    def ask_again(self, held: tuple[Session, int], at: int, gas: int | None) -> None:
        if not self.asked:
            return
        before, tx_hash = list(self.asked.values())[at % len(self.asked)]
        request = before if gas is None else replace(before, gas=gas)
        answer = self.desk.service.sign(held[0], ADDRESS, held[1], [request])[0]
        if isinstance(answer, SignedBytes):
            assert gas is None, "a request id came back with another content"
            assert answer.tx_hash == tx_hash
            assert self.stopped == "running" or (self.stopped == "drain" and request.kind == "cancel")

    def judge(self, held: tuple[Session, int], request: SignRequest, signed: SignedBytes) -> None:
        assert held[1] == self.newest and self.now() < self.lease_until
        assert self.stopped == "running" or (self.stopped == "drain" and request.kind == "cancel")
        siblings = [one for one in self.left if one.nonce == request.nonce]
        if request.nonce == self.watermark + 1:
            assert request.kind != "cancel"
        else:
            assert self.final < request.nonce <= self.watermark
            calls = [one for one in siblings if one.kind == "call"]
            assert siblings
            assert request.kind == "cancel" or [one for one in siblings if one.kind in ("call", "filler")]
            if request.kind == "call":
                assert calls and all(one.payload == request.payload and one.intent == request.intent for one in calls)
        self.left.append(signed)
        self.costs.append((request.nonce, request.worst_cost, self.now()))
        self.asked[request.request_id] = (request, signed.tx_hash)
        self.within(HOUR_MS, CAPS.per_hour)
        self.within(DAY_MS, CAPS.per_day)

    def within(self, window_ms: int, cap: int) -> None:
        worst: dict[int, int] = defaultdict(int)
        for nonce, cost, time_ms in self.costs:
            if self.now() - time_ms < window_ms:
                worst[nonce] = max(worst[nonce], cost)
        assert sum(worst.values()) <= cap

    @invariant()
    def all_that_left_is_remembered(self) -> None:
        if hasattr(self, "desk"):
            assert [one.tx_hash for one in self.desk.signed()] == [one.tx_hash for one in self.left]


TestSigner = Signer.TestCase
TestSigner.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
