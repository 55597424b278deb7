"""Adapters that are right but for one thing, each with the rule that must tell and words that its message must have."""

from dataclasses import replace
from typing import Final

from tests.conformance.kinds import (
    cash_of,
    collaterals_of,
    live_positions_of,
    name_of,
    renamed,
    scaled,
    turned,
    with_cash,
    with_decimals,
    with_margins_swapped,
    without_last_collateral,
)
from tests.conformance.mistakes import (
    CURIE,
    GUEST,
    REFERENCE,
    Renamed,
    Wrong,
    ZeroFact,
    ZeroWords,
    as_recorded,
    at_latest,
    counting_dust,
    empty_when_unreadable,
    forgetting_the_first,
    from_memory,
    instead,
    liquidatable_when_equal,
    long_when_many,
    of_each,
    remembering,
    repeating,
    state_by,
    with_the_emitter,
    without_debt,
    zero_on_failure,
)
from tests.conformance.wrong_acting import WRONG_ACTING

WRONG: Final = (
    Wrong("another name", "name", "its key in VENUES", lambda real: lambda rpc: Renamed(real(rpc), rpc, {})),
    Wrong(
        "an account nobody introduced",
        "discover",
        "which event does everybody emit",
        instead(introduced=forgetting_the_first),
    ),
    Wrong(
        "the protocol's own contract", "discover", "the protocol's own accounts", instead(introduced=with_the_emitter)
    ),
    Wrong(
        "the same account twice from logs",
        "introduce once",
        "each account once.*dict.fromkeys",
        instead(introduced=repeating),
    ),
    Wrong("an account lost after a reorg", "reorg", "lost.*keep no account in the adapter", remembering),
    Wrong("latest instead of the block", "block", "name the block in every eth_call", at_latest),
    Wrong(
        "another block in the state",
        "block",
        "keep the block asked for",
        state_by(lambda s: replace(s, block=replace(s.block, number=s.block.number - 1))),
    ),
    Wrong("a state from memory", "block", "keep no account state between blocks", from_memory),
    Wrong(
        "names in lower case", "complete", "spelling.*effect keys", of_each(lambda a: renamed(a, name_of(a).lower()))
    ),
    Wrong(
        "unsorted", "complete", "in the order asked, sorted", state_by(lambda s: replace(s, accounts=s.accounts[::-1]))
    ),
    Wrong(
        "a duplicate account",
        "complete",
        "each account once.*twice",
        state_by(lambda s: replace(s, accounts=(*s.accounts, *s.accounts[:1]))),
    ),
    Wrong(
        "known and unknown at once",
        "complete",
        "either known or unknown",
        state_by(lambda s: replace(s, unknown={name_of(a): "?" for a in s.accounts[:1]})),
    ),
    Wrong(
        "an account dropped",
        "complete",
        "neither known nor unknown",
        state_by(lambda s: replace(s, accounts=s.accounts[1:])),
    ),
    Wrong("sign", "agree", "sign: with every position's turned", of_each(turned)),
    Wrong("decimals", "agree", r"decimals: with the cash divided by 10\*\*12", of_each(lambda a: scaled(a, 10**12))),
    Wrong(
        "decimals of a collateral",
        "agree",
        r"collateral decimals: with 18 for collateral 0 it agrees, 8 were read",
        state_by(lambda s: with_decimals(s, 0, 8)),
        CURIE | REFERENCE,
    ),
    Wrong("IM and MM swapped", "agree", "IM and MM.*MM is the lower one", state_by(with_margins_swapped)),
    Wrong(
        "negative cash read unsigned",
        "corners",
        "negative cash.*sign: with the cash read as int128 it agrees",
        of_each(lambda a: with_cash(a, cash_of(a) % 2**128)),
    ),
    Wrong(
        "negative cash taken for none",
        "corners",
        "negative cash.*with equity .*it is short by what it owes.*negative cash is debt",
        of_each(lambda a: with_cash(a, max(cash_of(a), 0))),
    ),
    *(
        Wrong(
            f"an account without positions taken for an empty one, {where}",
            rule,
            r"off: equity by -.* cash 0, . positions",
            of_each(lambda a: a if live_positions_of(a) else with_cash(a, 0)),
            where=frozenset({where}),
        )
        for where, rule in (("perp_curie", "agree"), ("reference", "corners"))
    ),
    Wrong(
        "a position of dust counted",
        "corners",
        "a position of dust.*only by a rounding",
        of_each(counting_dust),
        CURIE,
    ),
    Wrong(
        "an expiry seen before it is settled",
        "corners",
        "settled and not yet touched.*found none.*has a settlement price is cash",
        as_recorded,
        REFERENCE,
    ),
    Wrong(
        "the last of many collaterals cut off",
        "corners",
        "as many collaterals as allowed.*off: equity by .*is one of them missing or cut off",
        of_each(lambda a: without_last_collateral(a) if len(collaterals_of(a)) == 8 else a),
        REFERENCE,
    ),
    Wrong(
        "a short of many positions taken for a long",
        "corners",
        "a random book.*off: ",
        of_each(long_when_many),
        REFERENCE,
    ),
    Wrong("zero on failure", "unknown", "known, with numbers.*a zero for a failure", state_by(zero_on_failure)),
    Wrong(
        "a zero for one refused word",
        "unknown",
        "known, with numbers.*a zero for a failure",
        lambda real: lambda rpc: real(ZeroWords(rpc)),
    ),
    Wrong("failures left out", "unknown", "neither known nor unknown", state_by(lambda s: replace(s, unknown={}))),
    Wrong(
        "an unreadable venue is an empty one",
        "unreadable",
        "expected ReadError.*found a state of 0 accounts",
        empty_when_unreadable,
    ),
    Wrong(
        "a zero for one refused fact of the venue",
        "unreadable",
        "(underlying 2|parameters) with another (margin, |mm_ratio, 0|mm, ).*a zero is a number",
        lambda real: lambda rpc: real(ZeroFact(rpc)),
    ),
    Wrong("equality case", "equality", "equal to MM, to be healthy, found endangered", liquidatable_when_equal),
    Wrong(
        "IM by a rule that the engine does not know",
        "engine",
        r"IM of about .* as exact\(\) says.*put what the rule needs into these fields",
        of_each(without_debt),
        GUEST,
    ),
    *WRONG_ACTING,
)
