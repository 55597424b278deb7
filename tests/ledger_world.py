"""What tests of the transaction ledger share: a journal with intents, signed-looking bytes, blocks and databases."""

from dataclasses import fields
from pathlib import Path

from sqlalchemy import select

from keeper.abi import transaction_hash
from keeper.chain import Block
from keeper.journal import Journal, TickRecord
from keeper.journal.lifecycle import Change
from keeper.journal.slot_records import Mined, Moment, NewOffer, NewSlot, NewSlotAttempt
from keeper.journal.slot_rows import read_offers
from keeper.journal.slot_schema import offers, steps
from keeper.plans import Liquidate

KEY = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045"  # checksummed, as published in EIP-55's spelling
OTHER = "0x" + "11" * 20
TARGET = "0x" + "22" * 20
GAS, FEE = 100_000, 10**9
NO_CAP = 2**256


def opened(url):
    return Journal.open(url, chain_id=10, venue="curie")


def file_url(folder):
    return f"sqlite:///{Path(folder) / 'keeper.db'}"


def moment(number=1, wall_ms=0):
    return Moment(number, f"0x{number:064x}", wall_ms)


def account(number):
    return f"0x{number:040x}"


def intend(journal, number, accounts):
    """Write a tick with one intent per account and return those that are new."""
    head = Block(number, f"0x{number:064x}", f"0x{number - 1:064x}", 12 * number, 1)
    plans = [Liquidate("curie", account(name), "0xm", 1.0, 2.0, number + 3) for name in accounts]
    return journal.intend(TickRecord(head, 0, {}, (), (), ()), plans)


def call(*intents, sender=KEY, deadline=99):
    return NewSlot(
        sender, "call", TARGET, b"\x01\x02\x03\x04" + bytes(i % 256 for i in intents), GAS, intents, deadline
    )


def signed(slot, kind="original", tag=0, max_fee=FEE, gas=GAS):
    raw = b"\x02" + f"{slot.sender} {slot.nonce} {slot.id} {kind} {tag}".encode()
    return NewSlotAttempt(slot.id, kind, transaction_hash(raw), raw, gas, max_fee, 1)


def reserved(journal, accounts=(1,), number=1, least=0):
    """Return a slot for each account, on intents of the tick `number`."""
    intents = intend(journal, number, accounts)
    return journal.reserve([call(intent.id) for intent in intents], least, moment(number))


def offered(journal, number=1, accounts=(1,)):
    """Return a slot whose original was offered to one endpoint, with that attempt."""
    (slot,) = reserved(journal, accounts, number)
    (attempt,) = journal.stored([signed(slot)], moment(number), exposure_cap=NO_CAP)
    journal.offering([NewOffer(attempt.id, "first")], moment(number))
    return journal.slot(slot.id), attempt


def mine(journal, slot, tx_hash, number=5, fork="b"):
    """Note a sibling of the slot as mined at block `number` of a fork."""
    journal.mined([Mined(slot.id, tx_hash, number, f"0x{fork}{number:063d}")], moment(number))


def statuses(journal):
    """Return how each intent of account 1 stands."""
    return {d.intent.id: d.intent.status for d in journal.decisions(account(1), 99) if d.intent}


def offers_of(journal, attempt_id):
    """Return whom an attempt was handed to, oldest first."""
    with journal._database.reading() as connection:
        return read_offers(connection, offers.c.attempt_id == attempt_id)


def history_of(journal, slot_id):
    """Return every change of a slot, oldest first."""
    told = select(*(steps.c[field.name] for field in fields(Change))).where(steps.c.slot_id == slot_id)
    with journal._database.reading() as connection:
        return tuple(Change(*row) for row in connection.execute(told.order_by(steps.c.id)))


def trails_of(journal, intent):
    """Return every nonce an intent was given, oldest first."""
    return next(d.trails for d in journal.decisions(intent.plan.subject) if d.intent and d.intent.id == intent.id)


def dump(journal):
    """Return every row of every table of the ledger, by plain SQL: what a refused operation must leave alone."""
    tables = ("intents", "slots", "slot_intents", "slot_attempts", "offers", "steps", "outcomes")
    with journal._database.reading() as connection:
        return {t: connection.exec_driver_sql(f"SELECT * FROM {t} ORDER BY 1, 2").all() for t in tables}
