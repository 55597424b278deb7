"""Criteria that most scenarios share, and the protections that most switch off."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from tests.chain.lane_world import LaneKeeper
from tests.chaos_suite.scenario import Failed, hit, require
from tests.chaos_suite.stage import Stage

Counted = dict[str, int | float | str]


def kept_once(stage: Stage, keeper: LaneKeeper, accounts: int) -> Counted:
    """Require that the keeper liquidated so many accounts once each, with every nonce accounted for and none open."""
    effects = stage.effects(stage.site.address)
    require(len(effects) == accounts, f"expected {accounts} liquidated, found {len(effects)}")
    require(max(effects.values()) == 1, f"expected nobody liquidated twice, found {effects.most_common(3)}")
    return accounted(stage, keeper)


def accounted(stage: Stage, keeper: LaneKeeper, foreign: Collection[str] = ()) -> Counted:
    """Require that the ledger says what the chain says, costs included; `foreign` as of Stage.nonces."""
    wrong = stage.nonces(keeper, foreign)
    require(not wrong, wrong)
    differs = stage.unfulfilled(keeper)
    require(not differs, f"expected each promise kept once, found {differs}")
    still = keeper.app.journal.open_slots(stage.site.address)
    require(not still, f"expected no open nonce, found {[slot.nonce for slot in still]}")
    ours = [one for one in stage.sent() if one.tx_hash not in foreign]
    booked, charged = costs(keeper), {one.tx_hash: one.cost for one in ours}
    require(
        booked == charged,
        f"expected the ledger's costs to be the chain's, found them differ: {_differ(booked, charged)}",
    )
    return {
        "liquidated": len(stage.effects(stage.site.address)),
        "transactions": len(stage.sent()),
        "reverted": stage.reverted(),
        "nonce_errors": stage.nonce_errors(),
        "spent_wei": str(stage.spent()),
    }


def imported(stage: Stage, keeper: LaneKeeper) -> None:
    """Require that the keeper's ledger has every byte string that the signer signed, whoever asked for it."""
    known = {tx_hash for (tx_hash,) in keeper.rows("SELECT tx_hash FROM slot_attempts")}
    signed = {one.tx_hash for one in stage.signing.client("reader").signed(stage.first_nonce)}
    left_out = len(signed - known)
    require(not left_out, f"expected all the signer signed for the dead keeper taken over, found {left_out} left out")


def alarms(keeper: LaneKeeper) -> str:
    """Return what a person is told at the last block, '' for nothing."""
    told = keeper.lane.status()["alarms"]
    assert isinstance(told, list)
    return "; ".join(told)


def costs(keeper: LaneKeeper) -> dict[str, int]:
    """Return what the ledger says each transaction that stands in a block was charged, wei by hash."""
    rows = keeper.rows("SELECT winner_hash, gas_used, gas_price FROM slots WHERE gas_used IS NOT NULL")
    return {tx_hash: int(used) * int(price) for tx_hash, used, price in rows}


def _differ(booked: Mapping[str, int], charged: Mapping[str, int]) -> str:
    """Return the first few hashes whose cost is not the same in both, with both, wei."""
    names = sorted(name for name in booked.keys() | charged.keys() if booked.get(name) != charged.get(name))
    return ", ".join(f"{name} booked {booked.get(name)}, charged {charged.get(name)}" for name in names[:3])


def must_fail(part: Callable[[], object], words: str) -> None:
    """Raise Unhit unless a part of an unprotected run fails with these words."""
    found = "nothing"
    try:
        part()
    except Failed as failed:
        found = str(failed)
    hit(words in found, f"expected it to fail with {words!r}, found {found}")


class _NoRescue:
    def carry_on(self, *_: Any) -> None:
        """Leave what waits to wait."""


def without_rescue(keeper: LaneKeeper) -> None:
    """Switch off replacing, cancelling and offering again."""
    keeper.lane.fleet.home._rescue = _NoRescue()  # type: ignore[attr-defined]


class Deaf:
    """A ledger that does not write down one kind of fact."""

    def __init__(self, ledger: Any, method: str) -> None:
        self._ledger, self._method = ledger, method

    def __getattr__(self, name: str) -> Any:
        return self._ignore if name == self._method else getattr(self._ledger, name)

    def _ignore(self, *_: Any, **__: Any) -> tuple[()]:
        return ()
