"""The demo's sources: what they see of the path, signed by two of three reporters."""

from collections.abc import Sequence
from pathlib import Path

from keeper.abi import interface
from keeper.chain import Call
from keeper.demo.reference_board import CONFIDENCE_BPS, seen_at
from keeper.reference.inbox import Signed, store
from keeper.reference.manifest import Manifest
from keeper.reference.reports import PRICE_RELAY, Observation, Reporters, digest, domain_of, observation, signature
from keeper.rpc import Rpc, answered
from keeper.twin.records import Report, Slice

REPORTERS = Reporters.named("keeper demo reporter", count=3, quorum=2, jump_quorum=2)
BPS = 10_000


class Sources:
    """Reports and slices for the relays of one deployment."""

    def __init__(self, rpc: Rpc, manifest: Manifest) -> None:
        self._rpc = rpc
        self._manifest = manifest

    def calls(self, at: int) -> tuple[Call, Call]:
        """Return the calls that relay prices and surfaces seen at chain time `at`, after the newest block's."""
        c, chain_id = self._manifest.contracts, self._manifest.chain_id
        observed, slices = self._seen(at)
        return REPORTERS.reports(c.prices, chain_id, observed), REPORTERS.slices(c.surface, chain_id, slices)

    def signed(self, at: int) -> list[Signed]:
        """Return the same as records, for whoever relays them."""
        c, (observed, slices) = self._manifest.contracts, self._seen(at)
        return [self._signed(seen, c.prices) for seen in observed] + [self._signed(s, c.surface) for s in slices]

    def _signed(self, said: Observation | Slice, relay: str) -> Signed:
        hashed = digest(said, domain_of(said, relay, self._manifest.chain_id))
        by = tuple("0x" + signature(hashed, key).hex() for key in REPORTERS.keys[: REPORTERS.quorum])
        return Signed(said, self._manifest.chain_id, relay, by)

    def _seen(self, at: int) -> tuple[list[Observation], tuple[Slice, ...]]:
        seen = seen_at(at)
        observed = [
            observation(last, expiry, at, price, price * CONFIDENCE_BPS // BPS)
            for (last, expiry), price in zip(self._last(at), seen.prices, strict=True)
        ]
        return observed, seen.slices

    def _last(self, at: int) -> list[tuple[Report, int]]:
        """Return each underlying's newest report, and the expiry that one at `at` must fix, 0 for none."""
        prices, relay = self._manifest.contracts.prices, interface(PRICE_RELAY)
        newest, fixing = relay.function("newest"), relay.function("fixingAt")
        calls = [
            call
            for u in range(len(self._manifest.underlyings))
            for call in (newest.call(prices, u), fixing.call(prices, u, at))
        ]
        words = answered(self._rpc.eth_calls(calls, self._rpc.block()))
        return [
            (Report(*newest.values(last)[0]), fixing.values(fixed)[0])
            for last, fixed in zip(words[::2], words[1::2], strict=True)
        ]


def drop(inbox: Path, records: Sequence[Signed], keep_from: int) -> None:
    """Put records into a keeper's inbox; what was seen before chain time `keep_from` is taken out."""
    for signed in records:
        about = "-".join(map(str, (signed.kind, *signed.about)))
        store(inbox / f"{about}-{signed.said.timestamp}.json", signed)
    for path in inbox.glob("*.json"):
        if int(path.stem.rpartition("-")[2]) < keep_from:
            path.unlink()
