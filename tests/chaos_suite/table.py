"""Every scenario there is."""

from tests.chaos_suite.scenario import Scenario, both
from tests.chaos_suite.scenarios import (
    batches,
    crashes,
    deceit,
    envelopes,
    fees,
    hostile_token,
    journals,
    key,
    kills,
    leases,
    lost_answers,
    market_moves,
    money,
    nodes,
    nonces,
    outages,
    relays,
    reorgs,
    rivals,
    siblings,
    signers,
)

NOT_IMPORTED = "signed for the dead keeper taken over"
OTHER_SIBLING = "expected each nonce labelled by the sibling that was mined"

SCENARIOS: tuple[Scenario, ...] = (
    Scenario("T1", "the base fee rises twentyfold", *both(fees.spike), fails="liquidated in 6 blocks"),
    Scenario(
        "T2", "the node drops what is underpriced", *both(fees.drops), geth_pool=False, fails="sent again in 2 blocks"
    ),
    Scenario("T3", "the head of line is swallowed", *both(nonces.stuck_head), fails="found it stuck"),
    Scenario("T4", "nonces are refused in mid-burst", *both(nonces.gap), fails="expected the gap filled"),
    Scenario("T5", "a reorg removes liquidations", *both(reorgs.removed), fails="pending again"),
    Scenario("T6", "a reorg moves liquidations", *both(reorgs.moved), fails="expected the ledger's block"),
    Scenario("T7", "killed at fault points", *both(crashes.at_fault_points), fails=NOT_IMPORTED),
    Scenario("T8", "killed with fifty in flight", *both(crashes.in_flight), fails="mined one block after the restart"),
    Scenario("T9", "two keepers, one key", *both(leases.two_keepers), fails="expected a free lease"),
    Scenario("T10", "a competitor is faster", *both(rivals.outbid), fails="expected its job closed as failed"),
    Scenario("T15", "twenty short outages", *both(outages.flapping), fails="expected one handler"),
    Scenario(
        "T21",
        "a take reverts though its simulation passed",
        *both(rivals.state_moved),
        world="reference",
        fails="failures told apart",
    ),
    Scenario(
        "T22",
        "accounts that always revert",
        *both(hostile_token.always_reverts),
        fails="reverts until they are left alone",
    ),
    Scenario("T23", "gas bombs and large answers", *both(hostile_token.bombs), fails="expected no gas limit above"),
    Scenario(
        "T24",
        "one bad among fifty in a batch",
        *both(batches.one_bad),
        world="reference",
        fails="started beside the refused",
    ),
    Scenario(
        "T26", "the ether runs out", *both(money.out_of_ether), fails="expected an alarm before the ether is gone"
    ),
    Scenario("T29", "insolvent accounts", *both(money.insolvent), fails="expected nothing sent that earns nothing"),
    Scenario(
        "T29-budget",
        "gas gets dearer than the day's loss budget",
        *both(money.loss_budget),
        fails="expected at most the budget of",
    ),
    Scenario(
        "T30", "a malicious node", *both(deceit.malicious), fails="expected only what is in blocks believed mined"
    ),
    Scenario(
        "T31",
        "the journal cannot be written",
        *both(journals.unwritable),
        fails="expected nothing sent that is not written down",
    ),
    Scenario(
        "F1", "answer lost, bytes taken", *both(lost_answers.lost_answer), fails="given up for an answer that was lost"
    ),
    Scenario("F2", "killed in the middle of a replacement", *both(crashes.while_bumping), fails=NOT_IMPORTED),
    Scenario(
        "F3", "call mined beside its cancel, and the reverse", *both(siblings.call_beside_cancel), fails=OTHER_SIBLING
    ),
    Scenario("F4", "receipts that lag", *both(lost_answers.lagging_receipt), fails="mined by two of three"),
    Scenario(
        "F5", "unknown right after accept", *both(lost_answers.unknown_after_accept), fails="waited for as before"
    ),
    Scenario(
        "F8", "clocks jump, a keeper oversleeps", *both(leases.overslept), fails="expected nothing from the sleeper"
    ),
    Scenario("F10", "poison intent at the head", *both(nodes.poison), fails="expected no bytes for the poison"),
    Scenario(
        "F11",
        "reorg that swaps attempts, status and block",
        *both(siblings.swapped_by_reorg),
        fails="expected the ledger to follow a reorg at one height",
    ),
    Scenario(
        "F12",
        "reverted, then succeeded after a reorg",
        *both(siblings.reverted_then_succeeded),
        fails="expected no revert counted that its block took with it",
    ),
    Scenario(
        "F15", "nonce taken in the pool, account delegated", *both(key.used_elsewhere), fails="expected one in flight"
    ),
    Scenario(
        "F15-stranger",
        "nonce taken on the chain and given back by a deep reorg",
        *both(key.taken_and_given_back),
        fails="mined or final, found None lost",
    ),
    Scenario(
        "F17",
        "one-sided fee moves, cap, node fee cap",
        *both(market_moves.one_sided_moves),
        fails="expected both fees up by an eighth",
    ),
    Scenario(
        "F18",
        "eviction, queued cost, type conflict",
        *both(nodes.holes_in_the_pool),
        fails="expected what the pool would not hold offered again",
    ),
    Scenario(
        "F19", "future nonces queued or refused", *both(nodes.future_nonces), fails="within two blocks of the burst"
    ),
    Scenario(
        "F20",
        "base fee ×20 in 12 s, balance too small",
        *both(market_moves.dear_and_poor),
        fails="expected what waited for money offered again",
    ),
    Scenario("F22", "acknowledged and never propagated", *both(deceit.acknowledged), fails="mined in three blocks"),
    Scenario(
        "F23",
        "facts that contradict each other",
        *both(deceit.contradicted_facts),
        fails="expected nothing given up for a lie",
    ),
    Scenario("F24", "answers in the wrong envelope", *both(envelopes.wrong_envelopes), fails="mined in 2 blocks"),
    Scenario(
        "F25", "all endpoints paused by one transaction", *both(envelopes.paused_by_one), fails="mined in 5 blocks"
    ),
    Scenario("F26", "relays that do not keep their word", *both(relays.unreliable), fails=OTHER_SIBLING),
    Scenario("F28", "a signer that forgets", *both(signers.forgetful), fails="expected no nonce error"),
    Scenario("kills", "killed at points drawn by hypothesis", *both(kills.random_points), fails=NOT_IMPORTED),
)

WANTED = (
    *(f"T{n}" for n in (*range(1, 11), 15, *range(21, 25), 26, 29, 30, 31)),
    *(f"F{n}" for n in (*range(1, 6), 8, 10, 11, 12, 15, *range(17, 21), *range(22, 27), 28)),
    "F15-stranger",
    "T29-budget",
    "kills",
)
"""T… of failure_scenarios 2c and F… of the sending notes that the suite covers, and kills at random points."""
