"""The demo's sources: what they see of the path, signed by two of three reporters."""

from keeper.abi import interface
from keeper.chain import Call
from keeper.demo.reference_board import CONFIDENCE_BPS, seen_at
from keeper.reference.manifest import Manifest
from keeper.reference.reports import PRICE_RELAY, Reporters, observation
from keeper.rpc import Rpc, answered
from keeper.twin.records import Report

REPORTERS = Reporters.named("keeper demo reporter", count=3, quorum=2, jump_quorum=2)
BPS = 10_000


class Sources:
    """Reports and slices for the relays of one deployment."""

    def __init__(self, rpc: Rpc, manifest: Manifest) -> None:
        self._rpc = rpc
        self._manifest = manifest

    def calls(self, at: int) -> tuple[Call, Call]:
        """Return the calls that relay prices and surfaces seen at chain time `at`, after the newest block's."""
        c, chain_id, seen = self._manifest.contracts, self._manifest.chain_id, seen_at(at)
        observed = [
            observation(last, expiry, at, price, price * CONFIDENCE_BPS // BPS)
            for (last, expiry), price in zip(self._last(at), seen.prices, strict=True)
        ]
        return REPORTERS.reports(c.prices, chain_id, observed), REPORTERS.slices(c.surface, chain_id, seen.slices)

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
