"""The rules of discovering and reading."""

from collections.abc import Callable, Mapping
from typing import Final

from keeper.accounts import Accounts, Cursor, Glance
from keeper.chain import Block
from keeper.errors import ReadError
from keeper.venues import VENUES
from tests.conformance.contract import Rule, Trial
from tests.conformance.faults import CUT_SHORT, FAULTS, REFUSAL, FaultyRpc
from tests.conformance.kinds import AnyAccount, State, endangered, guessed, name_of, names, read
from tests.conformance.lens import PROBED
from tests.conformance.suspects import differing, explained, numbers

CORNERS: Final = ("negative cash", "no positions", "a random book")
"""How the corners begin that every world has to have."""


class Blank(Cursor):
    """A journal that has seen nothing and is told nothing."""

    def scanned(self) -> tuple[tuple[int, str], ...]:
        return ()

    def accounts(self) -> tuple[str, ...]:
        return ()

    def rewind(self, to_number: int) -> int:
        raise AssertionError(f"nothing was seen, so nothing is taken back to block {to_number}")

    def discovered(self, accounts: Mapping[str, int], upto: Block) -> None:
        raise AssertionError(f"only looked at, told of {len(accounts)} accounts up to block {upto.number}")


def has_the_name_of_its_line(trial: Trial) -> None:
    venue, name = trial.venue, trial.world.name
    trial.require(
        venue.name == name and name in VENUES, f"name {name!r}, its key in VENUES", repr(venue.name), "rename"
    )
    kinds = ("perpetual", "portfolio")
    trial.require(venue.kind in kinds, f"kind, one of {kinds}", repr(venue.kind), "say how its state is margined")


def finds_everybody_and_nobody_else(trial: Trial) -> None:
    world = trial.world
    found = Accounts(world.rpc, trial.venue, Glance(Blank()), world.start_block).at(world.rpc.block())
    missing, extra = sorted(set(world.accounts) - set(found)), sorted(set(found) - set(world.accounts))
    todo = "which event does everybody emit who enters, and which word of it names him?"
    trial.require(not missing, "every account of the world introduced", f"{len(missing)} lost: {missing[:3]}", todo)
    todo = "leave out the protocol's own accounts, and spell addresses checksummed"
    trial.require(not extra, "nobody but accounts introduced", f"{len(extra)} more: {extra[:3]}", todo)


def introduces_each_once(trial: Trial) -> None:
    world = trial.world
    addresses, topics = trial.venue.events()
    logs = world.rpc.logs(addresses, topics, world.start_block, world.rpc.block().number)
    found = trial.venue.introduced([*logs, *logs])
    twice = sorted({account for account in found if found.count(account) > 1})
    trial.require(not twice, "each account once", f"{len(twice)} repeated: {twice[:3]}", "use dict.fromkeys")
    trial.require(trial.venue.introduced([]) == (), "nobody from no logs", trial.venue.introduced([]), "start empty")


def finds_again_what_a_reorg_took_away(trial: Trial) -> None:
    world, rpc = trial.world, trial.world.rpc
    accounts = Accounts(rpc, trial.venue, Glance(Blank()), world.start_block)
    fork = rpc.call("evm_snapshot")
    newcomer = world.introduce()
    before = accounts.at(rpc.block())
    trial.require(newcomer in before, f"the newcomer {newcomer}", "everybody but him", "read the logs up to the block")
    assert rpc.call("evm_revert", fork) is True
    rpc.call("evm_mine")
    world.introduce()
    lost = sorted({newcomer, *world.accounts} - set(accounts.at(rpc.block())))
    todo = "keep no account in the adapter: what was seen is the journal's, which rewinds on a reorg and asks again"
    trial.require(not lost, "the same logs to introduce the same accounts again", f"{len(lost)} lost: {lost[:3]}", todo)


def reads_exactly_the_block(trial: Trial) -> None:
    world, asked = trial.world, sorted(trial.world.accounts)
    world.rpc.call("evm_mine")
    block = world.rpc.block()
    before = read(trial.venue, block, asked)
    found = f"block {before.block.number}, {before.block.hash}"
    todo = "keep the block asked for, header and all"
    trial.require(before.block == block, f"a state of block {block.number}, {block.hash}", found, todo)
    world.rpc.call("evm_mine")
    world.stir()
    moved = world.to_margin(-1)
    world.rpc.call("evm_mine")
    again = read(trial.venue, block, asked)
    todo = "name the block in every eth_call; 'latest' moves between two reads of one tick"
    where = _first_difference(before, again)
    trial.require(before == again, f"block {block.number} to read the same for ever", f"{where} changed later", todo)
    now = read(trial.venue, world.rpc.block(), asked)
    stale = moved in _by_name(before) and _by_name(now).get(moved) == _by_name(before)[moved]
    trial.require(not stale, f"{moved} to have changed by now", "what it was", "keep no account state between blocks")


def returns_everybody_once_in_the_order_asked(trial: Trial) -> None:
    asked = sorted(trial.world.accounts)
    state = read(trial.venue, trial.world.rpc.block(), asked)
    found = [*names(state)]
    spelled = [n for n in found if n not in asked and n.lower() in {a.lower() for a in asked}]
    todo = "return names as asked: effect keys are made of them, and another spelling is acted on twice"
    trial.require(not spelled, "the spelling asked for", f"another spelling of {spelled[:2]}", todo)
    twice = sorted({n for n in found if found.count(n) > 1})
    trial.require(not twice, "each account once", f"{twice[:3]} twice", "one account, one row")
    both = sorted(set(found) & set(state.unknown))
    trial.require(not both, "accounts either known or unknown", f"{both[:3]} both", "drop what was not read wholly")
    lost = sorted(set(asked) - set(found) - set(state.unknown))
    trial.require(not lost, "everybody asked for", f"{lost[:3]} neither known nor unknown", "put failures in `unknown`")
    extra = sorted({*found, *state.unknown} - set(asked))
    trial.require(not extra, "nobody who was not asked for", extra[:3], "read the accounts given, discover elsewhere")
    trial.require(not state.unknown, "nobody unknown in a world without faults", dict(state.unknown), "read what fails")
    todo = "keep the order asked: replay compares states"
    trial.require(found == asked, "accounts in the order asked, sorted", f"another order, {found[:3]} first", todo)


def agrees_with_the_protocol_to_the_last_integer(trial: Trial) -> None:
    world = trial.world
    _require_agreement(trial, "as it started")
    world.stir()
    _require_agreement(trial, "after prices moved")


def agrees_in_every_corner(trial: Trial) -> None:
    """The same over books that are rare in a small world: the protocol's own views say what they come to."""
    seen = []
    for corner in trial.world.corners():
        _require_agreement(trial, corner)
        seen.append(corner)
    todo = "let the world's corners() write it into an account's storage, or trade until it is there"
    for needed in CORNERS:
        there = any(corner.startswith(needed) for corner in seen)
        trial.require(there, f"a world with the corner {needed!r}", f"{seen or 'none'}", todo)


def _require_agreement(trial: Trial, when: str) -> None:
    world, asked = trial.world, sorted(trial.world.accounts)
    block = world.rpc.block()
    state = read(trial.venue, block, asked)
    lost = sorted(set(asked) - set(names(state)))
    todo = f"read it, {when} or not: {dict(list(state.unknown.items())[:1])}"
    trial.require(not lost, f"every account known, {when}", f"{lost[:3]} unknown or dropped", todo)
    truths = world.asked(block, asked)
    for account in state.accounts:
        expected, found = truths[name_of(account)], numbers(trial.venue, state, account)
        if found == expected:
            continue
        todo = explained(trial.venue, state, account, expected, found)
        theirs, ours = differing(expected, found)
        trial.broken(f"{name_of(account)}, {when}, with {theirs} as the protocol says", ours, todo)


def an_account_that_was_not_read_is_unknown_and_alone(trial: Trial) -> None:
    world, asked = trial.world, sorted(trial.world.accounts)
    rpc = FaultyRpc(world.rpc)
    venue, block, victim = trial.make(rpc), world.rpc.block(), asked[1]
    before = _by_name(read(venue, block, asked))
    rpc.watch(world.word(victim), only=-1)
    read(venue, block, asked)
    calls = len(rpc.chosen)
    trial.require(calls > 0, f"calls about {victim}", "none", "has the world's `word` the form that calldata has?")
    for fault in FAULTS:
        for only in (None, *range(calls)):
            rpc.watch(world.word(victim), only, FAULTS[fault])
            state = read(venue, block, asked)
            what = f"{fault} to {'every call' if only is None else f'call {only + 1} of {calls}'} about {victim}"
            _require_unknown(trial, state, victim, what)
            others = {name: account for name, account in before.items() if name != victim}
            hurt = sorted(name for name, account in others.items() if _by_name(state).get(name) != account)
            todo = "one bad account must not hide another: read it again alone where one call reads many"
            trial.require(not hurt, f"everybody else as before after {what}", f"{hurt[:3]} changed", todo)


def _require_unknown(trial: Trial, state: State, victim: str, what: str) -> None:
    shown = "known, with numbers" if victim in names(state) else "neither known nor unknown"
    todo = "put it in `unknown` with the reason; a zero for a failure looks infinitely healthy"
    trial.require(victim in state.unknown and victim not in names(state), f"unknown after {what}", shown, todo)
    trial.require(
        bool(state.unknown[victim]), f"a reason after {what}", "an empty one", "say which read failed and how"
    )


def a_venue_that_cannot_be_read_is_an_error(trial: Trial) -> None:
    rpc = FaultyRpc(trial.world.rpc)
    venue, block = trial.make(rpc), trial.world.rpc.block()
    rpc.watch(b"")
    state = _read_or_refused(trial, lambda: read(venue, block, sorted(trial.world.accounts)), "a refusal to every call")
    if state is not None:
        todo = "raise ReadError when markets or parameters are not read: the tick is then discarded"
        trial.broken("ReadError when every call is refused", f"a state of {len(state.accounts)} accounts", todo)
    _require_no_guess(trial, rpc, block)


def _require_no_guess(trial: Trial, rpc: FaultyRpc, block: Block) -> None:
    """One call after the other that is about no account: the last of each function of each contract, since many are
    asked of every token or underlying alike. Also those of the adapter's construction."""
    world, asked = trial.world, sorted(trial.world.accounts)
    words = [world.word(account) for account in asked]
    rpc.watch(b"", only=-1, without=words)
    before = read(trial.make(rpc), block, asked)
    last = {(to, data[:4]): (row, data) for row, (to, data) in enumerate(rpc.chosen) if to not in PROBED}
    for (to, _), (row, data) in last.items():
        for fault in (REFUSAL, CUT_SHORT):
            what = f"{fault} to the call of {to} with 0x{data[:36].hex()} alone"
            rpc.watch(b"", row, FAULTS[fault], without=words)
            state = _read_or_refused(trial, lambda: read(trial.make(rpc), block, asked), what)
            found = guessed(trial.venue, before, state) if state is not None else ""
            todo = "raise ReadError, or leave out what was not read and give the reason: a zero is a number like others"
            trial.require(not found, f"a ReadError, or nothing else than before, after {what}", found, todo)


def _read_or_refused(trial: Trial, reading: Callable[[], State], when: str) -> State | None:
    """Return the state, or None where it is a ReadError as it should be."""
    try:
        return reading()
    except ReadError:
        return None
    except Exception as error:  # noqa: BLE001 - whatever else it is, it is the wrong one
        trial.broken(f"ReadError after {when}", repr(error), "raise ReadError, chained, naming the block")


def judges_the_border_as_the_protocol_does(trial: Trial) -> None:
    world = trial.world
    for steps in (-1, 0, 1):
        account = world.to_margin(steps)
        world.rpc.call("evm_mine")
        block = world.rpc.block()
        truth = world.liquidatable(account)
        state = read(trial.venue, block, [account])
        found = endangered(trial.venue, state, state.accounts[0])
        todo = "equity equal to MM is healthy in the keeper; a protocol that says otherwise is converted in its adapter"
        says = {True: "endangered", False: "healthy"}
        where = {-1: "one unit below MM", 0: "equal to MM", 1: "one unit above MM"}[steps]
        trial.require(found == truth, f"{account}, equity {where}, to be {says[truth]}", says[found], todo)


def _by_name(state: State) -> dict[str, AnyAccount]:
    return {name_of(account): account for account in state.accounts}


def _first_difference(before: State, after: State) -> str:
    old, new = _by_name(before), _by_name(after)
    changed = next((name for name in old if old[name] != new.get(name)), None)
    if changed:
        return f"account {changed}"
    fields = (f for f in before.__slots__ if getattr(before, f) != getattr(after, f))
    return next(fields, "nothing")


READING: Final[dict[str, Rule]] = {
    "name": has_the_name_of_its_line,
    "discover": finds_everybody_and_nobody_else,
    "introduce once": introduces_each_once,
    "reorg": finds_again_what_a_reorg_took_away,
    "block": reads_exactly_the_block,
    "complete": returns_everybody_once_in_the_order_asked,
    "agree": agrees_with_the_protocol_to_the_last_integer,
    "corners": agrees_in_every_corner,
    "unknown": an_account_that_was_not_read_is_unknown_and_alone,
    "unreadable": a_venue_that_cannot_be_read_is_an_error,
    "equality": judges_the_border_as_the_protocol_does,
}
