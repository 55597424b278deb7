"""Several endpoints as one: offers go to all of them, and each answer is classified and reported by itself.

An offer's answer proves nothing about the bytes. Facts are read in keeper/submit/facts.py.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from eth_utils.crypto import keccak

from keeper.errors import ChainError, RpcBusy, RpcUnreachable
from keeper.rpc import Rpc, RpcRefusal
from keeper.sending.answers import AnswerClass, Tally, classify
from keeper.submit.fanout import Late, fan_out
from keeper.submit.health import Health, HealthView

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Offered:
    """What one endpoint said of one transaction's bytes."""

    endpoint: str
    tx_hash: str  # ours: keccak of the bytes
    answer: AnswerClass
    text: str  # its own words, '' when accepted


@dataclass(frozen=True, slots=True)
class Endpoint:
    name: str  # without credentials: it goes into the journal
    rpc: Rpc


def named(urls: Sequence[str], timeout_s: float) -> tuple[Endpoint, ...]:
    """Return an endpoint for each URL, called by host and port; of several on one host the later ones are numbered."""
    endpoints: list[Endpoint] = []
    seen: dict[str, int] = {}
    for url in urls:
        parts = urlsplit(url)
        host = (parts.hostname or "?") + (f":{parts.port}" if parts.port else "")
        seen[host] = seen.get(host, 0) + 1
        name = host if seen[host] == 1 else f"{host}#{seen[host]}"
        endpoints.append(Endpoint(name, Rpc(url, timeout_s)))
    return tuple(endpoints)


class Endpoints:
    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        chain_id: int,
        *,
        agreeing: int = 2,
        patience_s: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`agreeing` endpoints make a fact, all of them where there are fewer; nothing waits beyond `patience_s`."""
        if not endpoints or agreeing < 1:
            raise ValueError(f"expected an endpoint and agreeing >= 1, found {len(endpoints)} and {agreeing}")
        self._rpcs = {endpoint.name: endpoint.rpc for endpoint in endpoints}
        if len(self._rpcs) != len(endpoints):
            raise ValueError(f"expected endpoints of different names, found {[e.name for e in endpoints]}")
        self._health = {name: Health(name, clock) for name in self._rpcs}
        self.chain_id = chain_id
        self.needed = min(agreeing, len(self._rpcs))
        self._patience = patience_s
        self.tally = Tally()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._rpcs)

    def health(self, name: str) -> Health:
        return self._health[name]

    def views(self) -> tuple[HealthView, ...]:
        return tuple(health.view() for health in self._health.values())

    def usable(self, *, urgent: bool, least: int = 1) -> tuple[str, ...]:
        """Return whom to ask now, best first: fewest faults in a row, then least lag, then as configured.

        What is urgent is never left with fewer than `least` that owe no answer because the others ask to be left alone:
        those who asked come last. A wrong chain stays out.
        """
        views = {view.name: view for view in self.views()}
        ready = [name for name, health in self._health.items() if health.is_ready(urgent=urgent)]
        ready.sort(key=lambda name: (views[name].faults_in_a_row, views[name].lag or 0))
        if not urgent or sum(not views[name].in_flight for name in ready) >= least:
            return tuple(ready)
        resting = [n for n, view in views.items() if n not in ready and view.wrong_chain is None]
        resting.sort(key=lambda name: views[name].backed_off_s)
        return (*ready, *resting)

    def best(self, *, urgent: bool) -> Rpc:
        """Return the endpoint to ask alone. Raises RpcUnreachable when what is not urgent has to wait."""
        names = self.usable(urgent=urgent)
        if not names:
            raise RpcUnreachable(f"expected one of {len(self._rpcs)} endpoints to be usable, found none; see health")
        return self._rpcs[names[0]]

    # --- offers ------------------------------------------------------------------------------------

    def offer(self, signed: Sequence[bytes], to: Collection[str] | None = None) -> tuple[Offered, ...]:
        """Offer every transaction to every endpoint (those named by `to`); return one answer for each pair.

        The pairs must be in the journal before. Endpoints that owe earlier answers are offered to, not waited for.
        """
        if not signed:
            return ()
        names = [name for name in self._rpcs if to is None or name in to]
        hashes = ["0x" + keccak(raw).hex() for raw in signed]
        answers = self.ask(names, lambda _, rpc: rpc.send_raw(signed))
        found: list[Offered] = []
        for name, answer in answers.items():
            said = zip(hashes, _each(answer, len(hashes)), strict=True)
            judged = [_offered(name, tx_hash, one) for tx_hash, one in said]
            if not isinstance(answer, ChainError):  # those are counted where they were raised
                self._count(self._health[name], judged)
            found += judged
        for one in found:
            self.tally.count(one.answer, one.text)
        return tuple(found)

    def _count(self, health: Health, judged: Sequence[Offered]) -> None:
        """An endpoint is busy when it takes none of what it is offered: one bad transaction says nothing about it."""
        fault = next((one for one in judged if one.answer is AnswerClass.UNKNOWN), None)
        if all(one.answer is AnswerClass.NODE_UNAVAILABLE for one in judged):
            health.busy(judged[0].text, None)
        elif fault is not None:
            health.faulted(fault.text)
        else:
            health.answered()

    # --- asking ------------------------------------------------------------------------------------

    def ask(self, names: Sequence[str], work: Callable[[str, Rpc], T]) -> dict[str, T | ChainError]:
        """Do `work` with each named endpoint at once; return by name what came of it within the patience.

        Endpoints that owe earlier answers are asked too, and waited for only where too few others would make a fact.
        """
        prompt = [name for name in names if not self._health[name].view().in_flight]
        tasks = {name: self._task(name, work) for name in names}
        answers = fan_out(tasks, self._patience, prompt if len(prompt) >= self.needed else names)
        for name, answer in answers.items():
            if isinstance(answer, Late):
                self._health[name].faulted(str(answer))
        return answers

    def _task(self, name: str, work: Callable[[str, Rpc], T]) -> Callable[[], T]:
        health, rpc = self._health[name], self._rpcs[name]

        def task() -> T:
            if not health.begin():
                raise RpcUnreachable(f"{name}: expected earlier requests to be answered first; nothing was sent to it")
            try:
                found = work(name, rpc)
            except RpcBusy as e:
                health.busy(str(e), e.retry_after_s)
                raise
            except ChainError as e:
                health.faulted(str(e))
                raise
            finally:
                health.end()
            return found

        return task


def _each(answer: Sequence[object] | ChainError, count: int) -> Sequence[object]:
    return [answer] * count if isinstance(answer, ChainError) else answer


def _offered(name: str, tx_hash: str, said: object) -> Offered:
    """Judge one answer. A hash that is not ours means that nobody knows what the endpoint did with our bytes."""
    if isinstance(said, ChainError):
        return Offered(name, tx_hash, AnswerClass.NODE_UNAVAILABLE, str(said))
    if isinstance(said, RpcRefusal):
        return Offered(name, tx_hash, classify(said.code or None, said.message), str(said))
    if isinstance(said, str) and said.lower() == tx_hash:
        return Offered(name, tx_hash, AnswerClass.ACCEPTED, "")
    return Offered(name, tx_hash, AnswerClass.UNKNOWN, f"expected the hash {tx_hash}, found {str(said)[:80]}")
