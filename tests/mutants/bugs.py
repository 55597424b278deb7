"""The seeded bugs: one line each, as a tired programmer would write it."""

from dataclasses import dataclass
from typing import Final

KINDS: Final = (
    "sign",
    "rounding",
    "equality",
    "missing check",
    "stale accepted",
    "wrong epoch or id",
    "payout cap",
    "funding index",
)


@dataclass(frozen=True, slots=True)
class Bug:
    name: str
    kind: str
    source: str  # under contracts/src/reference
    line: str  # occurs exactly once
    wrong: str
    tests: str = "test/**"  # run against it


BUGS: tuple[Bug, ...] = (
    Bug(
        "put delta keeps the call's",
        "sign",
        "math/Option.sol",
        "if (!t.call) dollars -= int256(forward);",
        "if (!t.call) dollars += int256(forward);",
    ),
    Bug(
        "funding paid by the wrong side",
        "sign",
        "Settlement.sol",
        "due.fine = -leg.sizeOf() * delta;",
        "due.fine = leg.sizeOf() * delta;",
    ),
    Bug(
        "fund grows by what it pays",
        "sign",
        "MarginVenue.sol",
        "_changeCash(FUND, -int256(fromFund), Cause.Fund);",
        "_changeCash(FUND, int256(fromFund), Cause.Fund);",
    ),
    Bug(
        "word truncated toward zero",
        "rounding",
        "math/Option.sol",
        "dollars = Rounding.fdiv(dollars, int256(UNIT));",
        "dollars = dollars / int256(UNIT);",
    ),
    Bug(
        "settlement rounds in the account's favour",
        "rounding",
        "math/Rounding.sol",
        "if (fine % int256(WAD) < 0) --wad;",
        "if (fine % int256(WAD) > 0) ++wad;",
    ),
    Bug(
        "maintenance rounded down",
        "rounding",
        "Margin.sol",
        "check.mm = Rounding.cdiv(check.mm, WAD * BPS * BPS);",
        "check.mm = check.mm / (WAD * BPS * BPS);",
    ),
    Bug(
        "shared loss rounded for who leaves",
        "rounding",
        "Custody.sol",
        "(amount * debt).ceilDiv(uint256(claims))",
        "(amount * debt) / uint256(claims)",
    ),
    Bug(
        "equity equal to MM starts an auction",
        "equality",
        "Auctions.sol",
        "if (equity >= int256(mm)) revert NotBelowMaintenance(account, equity, mm);",
        "if (equity > int256(mm)) revert NotBelowMaintenance(account, equity, mm);",
    ),
    Bug(
        "equity equal to IM is not enough",
        "equality",
        "Admission.sol",
        "if (equity < int256(im)) revert BelowInitialMargin(account, equity, im);",
        "if (equity <= int256(im)) revert BelowInitialMargin(account, equity, im);",
    ),
    Bug(
        "order dies a second early",
        "equality",
        "Orders.sol",
        "if (block.timestamp > order.deadline) revert DeadlinePassed(order.deadline);",
        "if (block.timestamp >= order.deadline) revert DeadlinePassed(order.deadline);",
    ),
    Bug(
        "only one array set for IM",
        "missing check",
        "Admission.sol",
        "        _requireMet(account, check.equity, check.im);\n",
        "\n",
    ),
    Bug(
        "anyone seizes",
        "missing check",
        "MarginVenue.sol",
        "        _requireCaller(address(auctions));\n",
        "\n",
    ),
    Bug(
        "sequence not looked at",
        "missing check",
        "Custody.sol",
        "        _expectSequence(account, expectedSequence);\n",
        "        expectedSequence;\n",
    ),
    Bug(
        "overfilled order",
        "missing check",
        "Orders.sol",
        'if (done > whole || size > whole - done) revert OrderRefused(hash, "filled");',
        'if (done > whole || size > whole) revert OrderRefused(hash, "filled");',
    ),
    Bug(
        "old report priced",
        "stale accepted",
        "Margin.sol",
        "if (age > MAX_REPORT_AGE) revert StaleReport(underlying, age, MAX_REPORT_AGE);",
        "if (age > MAX_EPOCH_AGE) revert StaleReport(underlying, age, MAX_REPORT_AGE);",
    ),
    Bug(
        "old slice published",
        "stale accepted",
        "RiskArrays.sol",
        "        _checkAge(slice.timestamp, MAX_SLICE_AGE);\n",
        "\n",
    ),
    Bug(
        "price moved beyond the limit",
        "stale accepted",
        "Margin.sol",
        "limit = settled ? g.scan.scan / 2 : Scan.moveLimit(g.scan);",
        "limit = g.scan.scan / 2;",
    ),
    Bug(
        "rows in any order",
        "wrong epoch or id",
        "Products.sol",
        "rolled = keccak256(abi.encode(rolled, id));",
        "rolled = bytes32(uint256(rolled) ^ id);",
    ),
    Bug(
        "settled means newest",
        "wrong epoch or id",
        "Epochs.sol",
        "id = ofSettled ? _settledId(underlying) : _currentId(underlying);",
        "id = _currentId(underlying);",
    ),
    Bug(
        "an epoch settles a second early",
        "wrong epoch or id",
        "Epochs.sol",
        "return uint40(entry >> 64) + uint256(_WINDOW) <= at;",
        "return uint40(entry >> 64) + uint256(_WINDOW) <= at + 1;",
    ),
    Bug(
        "void leaves the last unsettled epoch",
        "wrong epoch or id",
        "Epochs.sol",
        "return line.voidedAt == 0 ? line.current : _idAt(underlying, _places(underlying, line));",
        "return line.current;",
    ),
    Bug(
        "slice of another expiry",
        "wrong epoch or id",
        "RiskArrays.sol",
        "|| slice.expiry != Instruments.expiryOf(instrument)",
        "|| slice.expiry == 0",
    ),
    Bug(
        "small payouts are not counted",
        "payout cap",
        "Payouts.sol",
        "_countPayout(uint256 amount) internal {",
        "_countPayout(uint256 amount) internal { if (amount < 1e18) return;",
    ),
    Bug(
        "swap's loss is no payout",
        "payout cap",
        "Swaps.sol",
        "if (sold > got) _countPayout(sold - got);",
        "if (sold > 2 * got) _countPayout(sold - got);",
    ),
    Bug(
        "an account with positions counts as idle",
        "payout cap",
        "Payouts.sol",
        "return _legCount(account) == 0 && block.timestamp",
        "return block.timestamp",
    ),
    Bug(
        "new perpetual pays from the beginning",
        "funding index",
        "Ledger.sol",
        "_setPaidIndex(account, id.underlyingOf(), _fundingIndex(id.underlyingOf()));",
        "_setPaidIndex(account, id.underlyingOf(), 0);",
    ),
    Bug(
        "funding accrues at the new price",
        "funding index",
        "ReportStore.sol",
        "fundingIndex: _accrued(previous, seen.timestamp),",
        "fundingIndex: _accrued(previous, seen.timestamp) - _accrued(previous, seen.timestamp) % 1e6,",
    ),
    Bug(
        "index of the touch not kept",
        "funding index",
        "Settlement.sol",
        "        _setPaidIndex(account, underlying, due.index);\n",
        "        if (due.fine > 0) _setPaidIndex(account, underlying, due.index);\n",
    ),
)
