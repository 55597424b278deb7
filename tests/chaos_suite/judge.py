"""Criteria that most scenarios share, and the protections that most switch off."""

from collections.abc import Collection
from typing import Any

from tests.chain.lane_world import LaneKeeper
from tests.chaos_suite.scenario import require
from tests.chaos_suite.stage import Stage

Counted = dict[str, int | float | str]


def kept_once(stage: Stage, keeper: LaneKeeper, accounts: int) -> Counted:
    """Require that the keeper liquidated so many accounts once each, with every nonce accounted for and none open."""
    effects = stage.effects(stage.site.address)
    require(len(effects) == accounts, f"expected {accounts} liquidated, found {len(effects)}")
    require(max(effects.values()) == 1, f"expected nobody liquidated twice, found {effects.most_common(3)}")
    return accounted(stage, keeper)


def accounted(stage: Stage, keeper: LaneKeeper, foreign: Collection[str] = ()) -> Counted:
    """Require that the ledger says what the chain says, and that the caps held; `foreign` as of Stage.nonces."""
    wrong = stage.nonces(keeper, foreign)
    require(not wrong, wrong)
    differs = stage.unfulfilled(keeper)
    require(not differs, f"expected each promise kept once, found {differs}")
    still = keeper.app.journal.open_slots(stage.site.address)
    require(not still, f"expected no open nonce, found {[slot.nonce for slot in still]}")
    spent, cap = stage.spent(), stage.site.rules.exposure_cap
    require(spent <= cap, f"expected at most {cap} wei spent, found {spent}")
    return {
        "liquidated": len(stage.effects(stage.site.address)),
        "transactions": len(stage.sent()),
        "reverted": stage.reverted(),
        "nonce_errors": stage.nonce_errors(),
        "spent_wei": str(spent),
        "cap_wei": str(cap),
    }


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
