"""Why each finding of slither stands. By kind where the reason is the same everywhere, else by place."""

OF_A_KIND = {
    "assembly": "Only to read code blobs and packed words; each block says what bounds it.",
    "calls-loop": "The peers called are our own contracts; loops are bounded by 128 legs, 12 expiries, 8 collaterals.",
    "divide-before-multiply": "The order of rounding is specified in docs/risk-arrays.md and is what the twin does.",
    "incorrect-equality": "Compared are ids, counts and times we wrote ourselves, never balances an outsider can move.",
    "low-level-calls": "Margin asked by selector to save code; a failure is passed on or counts as no.",
    "naming-convention": "Immutables in capitals, private names with an underscore.",
    "timestamp": "Deadlines, windows and ages are in minutes; a proposer's few seconds decide nothing.",
    "too-many-digits": "Coefficients of the normal distribution.",
    "unindexed-event-address": "Set-up events; nobody filters them by address.",
    "uninitialized-local": "Counters and records that start at zero on purpose.",
    "unused-return": "Several results, some not needed here; isolated starts report through events.",
}

_OURS = "The venue and the margin contract are ours and call no outsider here; the venue's calls hold its own lock."
_LOCKED = "The venue's lock is held throughout, and balances are written after the outside call on purpose."
_NAME = "A return value or parameter named after the view beside it; nothing reads the wrong one."

OF_A_PLACE: dict[tuple[str, str], str] = {
    **{
        (f"reentrancy-{kind}", f"Auctions.{function}"): _OURS
        for kind in ("benign", "events", "no-eth")
        for function in ("startAuction", "endAuction", "take")
    },
    ("reentrancy-events", "Auctions.startAuctions"): "Calls only itself.",
    ("arbitrary-send-erc20", "ExecutorBond.bond"): "From the caller, who is the admin, and to this contract.",
    ("reentrancy-benign", "Swaps._swap"): _LOCKED,
    ("reentrancy-no-eth", "Swaps._swap"): _LOCKED,
    ("reentrancy-no-eth", "Swaps._exchange"): _LOCKED,
    ("reentrancy-balance", "Swaps._exchange"): _LOCKED,
    ("shadowing-local", "IPrices.newest"): _NAME,
    ("shadowing-local", "ISlices.newestSlice"): _NAME,
    ("shadowing-local", "IRiskArrays.challenge"): _NAME,
    ("shadowing-local", "IRiskArrays.publish"): _NAME,
    ("shadowing-local", "IRiskSteward.tighten"): _NAME,
    ("shadowing-local", "Ledger._collateralOf"): _NAME,
    ("missing-zero-check", "VenueRules.setGuardian"): "Zero means that there is none.",
    ("missing-zero-check", "Parameters.wireSteward"): "Zero wires none; the owner can still name one.",
    ("reentrancy-events", "RiskSteward.tighten"): "Calls the venue's contracts alone, which call nobody.",
    (
        "missing-zero-check",
        "Products.constructor",
    ): "Only refuses that token as collateral; the deployment sets it.",
}
