"""Plans as JSON text and back, field by field, so that a stored plan is the plan that was decided."""

import json
from dataclasses import asdict

from keeper.errors import JournalError
from keeper.plans import (
    EndAuction,
    Liquidate,
    Plan,
    PublishArrays,
    RelayReports,
    SetParameters,
    StartAuction,
    TakeAuction,
    WriteParameters,
)


def subject(plan: Plan) -> str:
    """Return the account or the parameter the plan is about: what `keeper explain` is asked for."""
    return plan.subject


def encode(plan: Plan) -> str:
    """Return the plan as JSON. Raises ValueError for NaN and infinities."""
    return json.dumps(asdict(plan), allow_nan=False, sort_keys=True)


def decode(kind: str, text: str) -> Plan:
    """Return the plan that `encode` wrote. Raises JournalError for a kind or field this version does not know."""
    try:
        fields: dict[str, object] = json.loads(text)
        plan: Plan = _KINDS[kind](**fields)  # type: ignore[arg-type]
    except (KeyError, TypeError, ValueError) as error:
        raise JournalError(
            f"stored plan: expected one of {', '.join(_KINDS)} as this version writes it, found {kind} {text}; "
            "upgrade the keeper or open another journal"
        ) from error
    return plan


def at_risk_usd(text: str) -> float:
    """Return the shortfall, else the profit, USD, that a plan stored by any version states; 0.0 where there is none."""
    fields = json.loads(text)
    return max(float(fields.get("shortfall", fields.get("profit", 0.0))), 0.0)


_KINDS: dict[str, type[Plan]] = {
    "liquidate": Liquidate,
    "set_parameters": SetParameters,
    "start_auction": StartAuction,
    "end_auction": EndAuction,
    "take_auction": TakeAuction,
    "publish_arrays": PublishArrays,
    "relay_reports": RelayReports,
    "write_parameters": WriteParameters,
}
