"""Private relays and builders that do what they did not say: F26."""

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from eth_utils.crypto import keccak

from keeper.chaos import Drop, Fault, sends
from keeper.chaos.transactions import PoolTx, decoded
from keeper.journal.slot_records import SlotAttempt
from keeper.lanes.privacy import Private
from keeper.submit.endpoints import Endpoints
from keeper.submit.identity import identity
from keeper.submit.relay import ROUTES, Relay, relays
from tests.chain.lane_world import CHAIN_ID, LaneKeeper
from tests.chaos_suite.judge import Counted, kept_once
from tests.chaos_suite.scenario import Figures, Run, hit, require
from tests.chaos_suite.scenarios.outcome import labelled
from tests.chaos_suite.stage import PATIENCE_S, Stage
from tests.relay_server import Bundle, RelayServer, relay_server

CALM: Final = 10**8
SPIKE: Final = 20
"""Base fees, wei per gas, and how much dearer the next one is where what waits must be left behind."""
PRIVATE: Final = 2
"""Blocks before what is private becomes public: one less than plans live, the most the configuration takes."""
PHASES: Final = 3
MOST: Final = 9
"""Accounts a tick: three phases of at most two ticks each must find enough of them."""


def unreliable(*, protected: bool) -> Run:
    """F26: bundles that failed, were withdrawn, leaked or fell apart are mined all the same, or are not.

    Unprotected: bytes that a relay called failed count as dead once they were replaced.
    """

    def run(stage: Stage, rng: random.Random) -> Figures:
        with relay_server() as relay:
            scene = Scene(stage, rng, relay, Witness(stage), rng.choice(sorted(ROUTES)))
            relay.told = scene.witness
            scene.open(rng.randint(3, MOST), (lambda ledger: ledger) if protected else Forgetful)
            phases = rng.sample(sorted(VARIANTS), PHASES) if protected else ["failed, included late"]
            accounts = 0
            for name in phases:
                accounts += scene.play(VARIANTS[name])
            return (
                kept_once(stage, scene.keeper, accounts)
                | _faultless(scene)
                | {"phases": "; ".join(phases), "route": scene.route}
            )

    return run


def _faultless(scene: "Scene") -> Counted:
    """Require what holds whatever the relay did: no revert, no nonce refused, each offer in the journal before."""
    stage, witness = scene.stage, scene.witness
    require(stage.reverted() == 0, f"expected no revert, found {stage.reverted()}")
    require(stage.nonce_errors() == 0, f"expected no nonce refused, found {stage.nonce_errors()}")
    hit(bool(witness.given), "expected transactions given to the relay, found none")
    require(
        not witness.unwritten, f"expected each offer to it in the journal before, found {witness.unwritten[:3]} not"
    )
    return {"given_to_the_relay": witness.given.total()}


class Witness:
    """Reads the journal, as a stranger would, whenever the relay is given bytes: by then the offer must be there."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.given: Counter[str] = Counter()
        self.unwritten: list[str] = []

    def __call__(self, bundle: Bundle) -> None:
        noted = dict(
            self._stage.keepers[-1].rows(
                "SELECT a.tx_hash, count(*) FROM offers o JOIN slot_attempts a ON a.id = o.attempt_id "
                "WHERE o.endpoint LIKE 'relay %' GROUP BY a.tx_hash"
            )
        )
        for raw in bundle.raws:
            tx_hash = "0x" + keccak(raw).hex()
            self.given[tx_hash] += 1
            if noted.get(tx_hash, 0) < self.given[tx_hash]:
                self.unwritten.append(tx_hash)


class Forgetful:
    """A ledger that believes a relay which calls everything failed: what was replaced is looked for no more."""

    def __init__(self, ledger: Any) -> None:
        self._ledger = ledger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def live_attempts(self, sender: str | None = None) -> tuple[SlotAttempt, ...]:
        live: tuple[SlotAttempt, ...] = self._ledger.live_attempts(sender)
        newest = {attempt.slot_id: attempt.id for attempt in live}
        return tuple(attempt for attempt in live if attempt.id == newest[attempt.slot_id])


@dataclass
class Scene:
    """One keeper behind one relay for a whole run; each phase has accounts of its own."""

    stage: Stage
    rng: random.Random
    relay: RelayServer
    witness: Witness
    route: str
    keeper: LaneKeeper = field(init=False)
    most: int = field(init=False)
    _ledger: Callable[[Any], Any] = field(init=False)
    _first: int = 0  # place of the phase's first bundle

    def open(self, most: int, ledger: Callable[[Any], Any]) -> None:
        self.most, self._ledger = most, ledger
        self.restart()

    def restart(self) -> None:
        stamp = identity(self.stage.folder / "relay.key").stamp
        asked = Endpoints(relays([self.relay.url], PATIENCE_S, stamp), CHAIN_ID, agreeing=1, patience_s=PATIENCE_S)
        private = Private(
            Relay(asked, ROUTES[self.route], self.stage.site.address), frozenset(self.stage.site.kinds), PRIVATE
        )
        self.keeper = self.stage.keeper(most=self.most, ledger=self._ledger, private=private)

    def play(self, variant: "Variant") -> int:
        """Play one phase to its end and return how many accounts it was about."""
        self.stage.mine(base_fee=CALM)
        self._first, before = len(self.relay.received), self.stage.now()
        self.stage.tick(self.keeper)
        given = len(self.private())
        hit(given == self.most, f"expected {self.most} given to the relay, found {given}: {self.stage.errors[-1:]}")
        require(not self.stage.offered(before), "expected nothing public at first, found transactions")
        ticks = variant(self)
        self.stage.settle(self.keeper)
        return ticks * self.most

    def private(self) -> tuple[bytes, ...]:
        """Return the first bytes of each nonce that the relay was given in this phase, lowest nonce first."""
        first: dict[int, bytes] = {}
        for bundle in self.relay.received[self._first :]:
            for raw in bundle.raws:
                first.setdefault(decoded(raw).nonce, raw)
        return tuple(first[nonce] for nonce in sorted(first))

    def pass_blocks(self, count: int, base_fee: int = CALM) -> None:
        for _ in range(count):
            self.stage.mine(base_fee=base_fee)
            self.keeper.settle()

    def land(self, raws: tuple[bytes, ...]) -> None:
        """Let a builder's block be next. Raises Unhit unless it has them all."""
        self.stage.mine(base_fee=CALM, first=raws)
        mined = {one.tx_hash for one in self.stage.sent()}
        missing = [tx.hash for tx in map(decoded, raws) if tx.hash not in mined]
        hit(not missing, f"expected the builder's block to hold {len(raws)}, found {len(missing)} left out")
        self.keeper.settle()
        labelled(self.keeper, {tx.nonce: tx.hash for tx in map(decoded, raws)})

    def replaced(self, since: int) -> tuple[PoolTx, ...]:
        """Return what was offered in public after the proxy's exchange `since` and is not what the relay has."""
        known = {decoded(raw).hash for raw in self.private()}
        return tuple(tx for tx in self.stage.offered(since) if tx.hash not in known)

    def replace_all(self) -> None:
        """Make it public, then so dear that all is replaced there."""
        self.pass_blocks(PRIVATE)
        before = self.stage.now()
        self.pass_blocks(1, CALM * SPIKE)
        nonces = {tx.nonce for tx in self.replaced(before)}
        hit(len(nonces) == self.most, f"expected {self.most} replaced in public, found {len(nonces)}")


Variant = Callable[[Scene], int]
"""Plays the rest of a phase after its first tick; returns how many ticks decided in it."""


def _late(scene: Scene) -> int:
    """The relay says FAILED, all is public and replaced; a builder includes the private originals."""
    scene.relay.failure = scene.rng.choice(("FAILED", "bundle failed simulation", "bundle expired"))
    before = len(scene.relay.received)
    scene.replace_all()
    hit(len(scene.relay.received) > before, "expected the relay to call some of it failed, found nothing given to it")
    scene.relay.failure = ""
    scene.land(scene.private())
    return 1


def _withdrawn(scene: Scene) -> int:
    """The relay acknowledges the withdrawal, nothing public arrives, and the withdrawn originals land."""
    lost = scene.stage.proxy.add(Fault(Drop(), sends()))
    scene.relay.cancelled.clear()
    scene.pass_blocks(PRIVATE + scene.rng.randint(0, 3))
    hit(bool(scene.relay.cancelled), "expected a withdrawal acknowledged, found none")
    hit(scene.stage.proxy.hits(lost) > 0, "expected public offers swallowed, found none")
    scene.stage.proxy.remove(lost)
    scene.land(scene.private())
    return 1


def _leaked(scene: Scene) -> int:
    """The relay offers what it was given to a public node, sooner or later before the deadline."""
    scene.pass_blocks(scene.rng.randrange(PRIVATE))
    before = scene.stage.now()
    scene.stage.rpc_of("main").send_raw(scene.private())
    hit(len(scene.stage.offered(before)) == scene.most, "expected all leaked to the public node, found some not")
    scene.pass_blocks(1)
    return 1


def _in_part(scene: Scene) -> int:
    """A builder takes the lower nonces only; the rest comes from another builder, or is public after the deadline."""
    raws = scene.private()
    part = scene.rng.randrange(1, len(raws))
    scene.land(raws[:part])
    if scene.rng.random() < 0.5:
        scene.land(raws[part:])
    return 1


def _used_in_public(scene: Scene) -> int:
    """Replacements use the nonces in public while a builder still holds the private originals, and tries them."""
    scene.replace_all()
    scene.pass_blocks(1, CALM * SPIKE)
    raws = scene.private()
    scene.stage.mine(base_fee=CALM, first=raws)
    refused = scene.stage.proxy.blocks[-1].refused
    hit(len(refused) == len(raws), f"expected {len(raws)} private copies refused by the chain, found {len(refused)}")
    scene.keeper.settle()
    return 1


def _unseen(scene: Scene) -> int:
    """Only the builder counts what is private; more goes behind it, by a keeper that may have been restarted."""
    before = scene.stage.now()
    node, address = scene.stage.site.rpc, scene.stage.site.address
    there = int(scene.stage.rpc_of("main").call("eth_getTransactionCount", address, "pending"), 16)
    waiting = decoded(scene.private()[-1]).nonce
    hit(there == node.nonce(address, scene.stage.head()) <= waiting, f"expected no node to count it, found {there}")
    if scene.rng.random() < 0.5:
        scene.stage.close(scene.keeper)
        scene.restart()
    scene.stage.mine(base_fee=CALM)
    scene.stage.tick(scene.keeper)
    nonces = [decoded(raw).nonce for raw in scene.private()]
    expected = list(range(there, there + 2 * scene.most))
    require(nonces == expected, f"expected nonces {expected[0]} to {expected[-1]} with the relay, found {nonces}")
    require(not scene.stage.offered(before), "expected them private, found them in public")
    scene.land(scene.private())
    return 2


VARIANTS: Final[Mapping[str, Variant]] = {
    "failed, included late": _late,
    "withdrawn, landed": _withdrawn,
    "leaked": _leaked,
    "in part": _in_part,
    "used in public": _used_in_public,
    "unseen by nodes": _unseen,
}
