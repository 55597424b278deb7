"""The signer's store when the disk is full, locked, of another schema, or would not be durable."""

from pathlib import Path

import pytest
from sqlalchemy import create_engine

from keeper.errors import SignerStoreError
from keeper.signer.database import Database
from keeper.signer.records import Refusal
from tests.signer_desk import ADDRESS, Desk, call


def test_a_full_disk_refuses_all_and_nothing_leaves_until_there_is_room(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    held = desk.session()
    desk.ask(held, call(0))
    assert desk.database is not None
    with desk.database.transaction() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    requests = [call(i) for i in range(1, 120)]
    answers = desk.service.sign(held[0], ADDRESS, held[1], requests)
    assert {answer.rule if isinstance(answer, Refusal) else "signed" for answer in answers} == {"store"}
    assert "free disk space" in str(answers[0])
    with desk.database.transaction() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=100000")
    assert [one.nonce for one in desk.signed()] == [0]
    assert all(answer.startswith("0x") for answer in desk.ask(held, *requests[:3]))
    desk.stop()


def test_a_locked_store_refuses_and_a_stop_still_counts(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    held = desk.session()
    with create_engine(f"sqlite:///{tmp_path / 'signer.db'}").connect() as other:
        other.exec_driver_sql("BEGIN IMMEDIATE")
        assert desk.ask(held, call(0)) == ["store"]
        desk.service.core.switch.ask("killed")
        desk.service.orders.stop("signal")  # cannot be stored now
        other.exec_driver_sql("ROLLBACK")
        other.invalidate()
    assert desk.ask(held, call(0)) == ["killed"]
    assert desk.signed() == []
    desk.stop()


def test_who_hangs_up_while_the_store_is_locked_may_come_back_as_soon_as_it_is_not(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    session, token = desk.session()
    with create_engine(f"sqlite:///{tmp_path / 'signer.db'}").connect() as other:
        other.exec_driver_sql("BEGIN IMMEDIATE")
        desk.service.leases.closed(session)  # cannot be stored now
        other.exec_driver_sql("ROLLBACK")
        other.invalidate()
    held = desk.session(holder="keeper two")
    assert held[1] == token + 1
    assert desk.ask((session, token), call(0)) == ["fencing"]
    assert desk.ask(held, call(0))[0].startswith("0x")
    desk.stop()


def test_a_store_that_would_not_be_durable_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keeper.signer.database._FULL", 3)  # as if SQLite had answered another level
    with pytest.raises(SignerStoreError, match="expected journal_mode wal and synchronous 3, found wal and 2"):
        Database(tmp_path / "signer.db")


def test_a_store_of_another_schema_is_refused(tmp_path: Path) -> None:
    database = Database(tmp_path / "signer.db")
    with database.transaction() as connection:
        connection.exec_driver_sql("PRAGMA user_version=9")
    database.close()
    with pytest.raises(SignerStoreError, match="expected schema 1, found 9"):
        Database(tmp_path / "signer.db")
