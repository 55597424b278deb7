"""Adapters that read rightly and act wrongly, each with the rule that must tell and words of its message."""

from dataclasses import replace
from typing import Final

from tests.conformance.acting import NOBODY
from tests.conformance.mistakes import CURIE, GUEST, REFERENCE, Wrong, call_by, instead
from tests.conformance.mistakes_acting import (
    all_by_the_first,
    all_or_nothing,
    another_selector,
    batched_ignoring,
    by_any_emitter,
    by_status,
    confirmed_by_field,
    confirmed_for_anybody,
    counting,
    done_to_anybody,
    each_line,
    executing_without,
    first_two_swapped,
    from_the_start,
    ignoring,
    in_basis_points,
    in_spite_of_a_revert,
    misread,
    posing_as_executor,
    steering_at_latest,
    taking_any_plan,
    with_relays,
    without_limits,
)

WRONG_ACTING: Final = (
    *(
        Wrong(
            f"{what} misread",
            "terms",
            f"with {name} .*, as the protocol says, found.*the rules, the fund",
            by,
            REFERENCE,
        )
        for what, name, by in (
            ("the insurance fund", "max_price", misread(fund=lambda _: 10**40)),
            ("what the fund may add", "max_price", misread(bonus=lambda b: replace(b, most=b.most * 10**12))),
            ("what the fund has added", "max_price", misread(bonus=lambda b: replace(b, spent=0))),
            ("when the fund added it", "max_price", misread(bonus=lambda b: replace(b, at=0))),
            ("the discount's cap", "max_fraction", misread(auctions=lambda a: replace(a, discount_cap=9_999))),
            ("the discount's growth", "max_fraction", misread(auctions=lambda a: replace(a, growth=1))),
            ("the buffer", "max_fraction", misread(auctions=lambda a: replace(a, buffer=0))),
        )
    ),
    *(
        Wrong(what, "terms", "publish_arrays of .*decided on what was read, to succeed", misread(lines=by), REFERENCE)
        for what, by in (
            ("another report's arrays", each_line(report_id=bytes([1]) * 32)),
            ("arrays of another version of the parameters", each_line(version=99)),
            ("an epoch that is half done taken for none", each_line(draft=None, draft_to=0)),
        )
    ),
    Wrong(
        "an executor that is never asked",
        "executor",
        "where there is no executor, to be refused",
        instead(through=lambda real, _: real),
        REFERENCE,
    ),
    Wrong(
        "takes beside the executor",
        "executor",
        "as a call of the executor 0x.*the taker's delegate",
        instead(through=posing_as_executor),
        REFERENCE,
    ),
    *(
        Wrong(
            f"an executor's take without its {limit}",
            "executor",
            f"refused to the executor with another {limit}",
            instead(through=executing_without(limit)),
            REFERENCE,
        )
        for limit in ("max_price", "deadline")
    ),
    Wrong(
        "gas guessed where it was simulated",
        "together",
        "start_auction in one transaction with at least .* gas",
        instead(sendings=without_limits),
        REFERENCE,
    ),
    Wrong(
        "a batch above the gas given",
        "together",
        "transactions of at most .* gas given, found one with",
        instead(sendings=lambda real, plans, gas, limits: real.sendings(plans, 2 * gas, limits)),
        REFERENCE,
    ),
    Wrong(
        "one transaction that carries out the first plan only",
        "together",
        "to be carried out beside one that fails, found that it was not",
        instead(sendings=all_by_the_first),
    ),
    Wrong(
        "a batch that fails as one",
        "together",
        "to be carried out beside one that fails, found that it was not",
        instead(sendings=all_or_nothing),
        REFERENCE,
    ),
    *(
        Wrong(
            f"a batch whose starts ignore their {limit}",
            "together",
            "start_auction of .* not carried out: it could not succeed.*limits bind there too",
            instead(sendings=batched_ignoring(limit)),
            REFERENCE,
        )
        for limit in ("deadline", "sequence")
    ),
    Wrong("a call that differs each time", "repeatable", "no clock, no counter", counting()),
    Wrong(
        "relays that are nobody's",
        "target",
        "relay_reports may call, two of the venue's contracts, found .'0x0000",
        with_relays(lambda _: (f"0x{1:040x}", f"0x{2:040x}")),
        REFERENCE,
    ),
    Wrong(
        "the surface relay in the price relay's place",
        "target",
        r"relays\[0\] for relay_reports of reports.*return the price relay and the surface relay",
        with_relays(lambda relays: relays[::-1]),
        REFERENCE,
    ),
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
    Wrong(
        "arguments in the wrong order", "succeed", "arguments in order", call_by(first_two_swapped), CURIE | REFERENCE
    ),
    *(
        Wrong(
            f"a call without the plan's {limit}",
            "limits",
            f"refused with another {limit}, found that it succeeds; put {limit} of the plan into the call",
            instead(encode=ignoring(limit)),
            REFERENCE,
        )
        for limit in ("max_price", "max_fraction", "deadline", "sequence", "taker_sequence")
    ),
    Wrong(
        "a parameter read in basis points",
        "parameter",
        "expected .* read as .*parts per million",
        instead(parameter=in_basis_points),
        CURIE | GUEST,
    ),
    Wrong(
        "a steward's number of the newest block",
        "parameter",
        "before it was written, found .*at the block asked for",
        steering_at_latest,
        REFERENCE,
    ),
    Wrong(
        "a write of one underlying confirmed by another's",
        "confirm",
        "write_parameters of .* same plan about another subject",
        instead(confirm=confirmed_by_field),
        REFERENCE,
    ),
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
    Wrong("never done", "done", "noticed as done, found left to us alone", instead(done=lambda *_: False)),
    Wrong("confirmed for anybody", "confirm", "same plan about another subject", confirmed_for_anybody),
    Wrong("done to anybody", "done", "of another subject not done", done_to_anybody),
    Wrong("done for ever", "done", "not done after it was", instead(done=from_the_start)),
)
