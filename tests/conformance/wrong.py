"""Adapters that are right but for one thing, each with the rule that must tell and words that its message must have."""

from dataclasses import dataclass, replace
from typing import Final

from tests.conformance.acting import NOBODY
from tests.conformance.kinds import name_of, renamed, scaled, turned
from tests.conformance.mistakes import (
    Renamed,
    Wrap,
    ZeroWords,
    another_selector,
    at_latest,
    by_any_emitter,
    by_status,
    call_by,
    confirmed_for_anybody,
    counting,
    done_to_anybody,
    empty_when_unreadable,
    first_two_swapped,
    forgetting_the_first,
    from_memory,
    from_the_start,
    in_spite_of_a_revert,
    instead,
    liquidatable_when_equal,
    of_each,
    remembering,
    repeating,
    state_by,
    taking_any_plan,
    with_the_emitter,
    zero_on_failure,
)


@dataclass(frozen=True, slots=True)
class Wrong:
    what: str
    rule: str  # the first that it breaks
    says: str  # a regular expression for its message
    wrap: Wrap


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
    Wrong("equality case", "equality", "equal to MM to be healthy, found endangered", liquidatable_when_equal),
    Wrong("a call that differs each time", "repeatable", "no clock, no counter", counting()),
    Wrong("wrong target", "target", "venue's contracts, found 0x0000", call_by(lambda c: replace(c, to=NOBODY))),
    Wrong("wrong selector", "function", "found selector 0x", call_by(another_selector)),
    Wrong(
        "no name of the function",
        "function",
        "allow-list is written in names",
        call_by(lambda c: replace(c, function="")),
    ),
    Wrong(
        "too little gas", "gas", "gas limit of 21000|gas stated.*out of gas", call_by(lambda c: replace(c, gas=25_000))
    ),
    Wrong("arguments in the wrong order", "succeed", "arguments in order", call_by(first_two_swapped)),
    Wrong("a foreign plan taken", "foreign", "raise ForeignPlan", instead(encode=taking_any_plan)),
    Wrong("a plan left out", "sendings", "left out", instead(sendings=lambda real, *a: real.sendings(*a)[1:])),
    Wrong(
        "a plan sent twice",
        "sendings",
        "sent twice",
        instead(sendings=lambda real, *a: (*real.sendings(*a), real.sendings(*a)[-1])),
    ),
    Wrong(
        "the last plan first",
        "sendings",
        "in the order of their first plan",
        instead(sendings=lambda real, *a: real.sendings(*a)[::-1]),
    ),
    Wrong(
        "confirmed from status alone",
        "confirm",
        "by a receipt without events.*status 1 proves nothing",
        instead(confirm=by_status),
    ),
    Wrong("confirmed by anybody's event", "confirm", "by events of another contract", instead(confirm=by_any_emitter)),
    Wrong("confirmed though reverted", "confirm", "by a reverted receipt", instead(confirm=in_spite_of_a_revert)),
    Wrong("done from the start", "done", "not done before it was", instead(done=lambda *_: True)),
    Wrong("never done", "done", "to be done: True, found False", instead(done=lambda *_: False)),
    Wrong("confirmed for anybody", "confirm", "same plan about another subject", confirmed_for_anybody),
    Wrong("done to anybody", "done", "of another subject not done", done_to_anybody),
    Wrong("done for ever", "done", "not done after it was", instead(done=from_the_start)),
)
