"""Why each finding of slither stands. By kind where the reason is the same everywhere, else by place."""

OF_A_KIND = {
    "assembly": "Only to read code blobs and packed words; each block says what bounds it.",
    "block-timestamp": "Deadlines, windows and ages are in minutes; a proposer's few seconds decide nothing.",
    "calls-loop": "The peers called are our own contracts; loops are bounded by 128 legs, 12 expiries, 8 collaterals.",
    "divide-before-multiply": "The order of rounding is specified in docs/risk-arrays.md and is what the twin does.",
    "incorrect-equality": "Compared are ids, counts and times we wrote ourselves, never balances an outsider can move.",
    "low-level-calls": "Of libraries.",
    "naming-convention": "Immutables in capitals, private names with an underscore.",
    "timestamp": "As block-timestamp.",
    "too-many-digits": "Coefficients of the normal distribution.",
    "unindexed-event-address": "Set-up events; nobody filters them by address.",
    "uninitialized-local": "Counters and records that start at zero on purpose.",
    "unused-return": "Several results, some not needed here; isolated starts report through events.",
}

OF_A_PLACE: dict[tuple[str, str], str] = {}
