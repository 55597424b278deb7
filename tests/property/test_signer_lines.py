"""No byte sequence at the signer's socket is answered with a signature outside the policy."""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from keeper.signer import wire
from keeper.signer.answers import answer
from keeper.signer.leases import Session
from keeper.signer.records import SignRequest
from tests.signed_from_outside import GOOD, inside, spoilt
from tests.signer_desk import ADDRESS, GWEI, HOUSE, SECRET, STRANGER, Desk, call, transfer

MEMORY = Path("/dev/shm")
"""For stores that are made anew for each example: a lost page is not tested here."""
TOKEN = 1
"""Of the first lease of a new store."""


@pytest.fixture(scope="module")
def store() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as folder:
        yield Path(folder)


def opened(store: Path) -> tuple[Desk, Session]:
    """Return a new signer, nothing signed yet, and the connection that holds its lease."""
    for old in store.iterdir():
        old.unlink()
    desk = Desk(store)
    session, token = desk.session()
    assert token == TOKEN
    return desk, session


@pytest.fixture(scope="module")
def quiet() -> Iterator[tuple[Desk, Session]]:
    """A signer that no line is to change, so one does for all."""
    with tempfile.TemporaryDirectory() as folder:
        desk, session = opened(Path(folder))
        yield desk, session
        desk.stop()


def told(desk: Desk, session: Session, line: bytes) -> dict[str, Any]:
    """Return the answer to a line, which is one JSON object with `id` and `ok` and holds no key, whatever was asked."""
    said = answer(desk.service, session, line)
    assert said.endswith(b"\n") and said.count(b"\n") == 1
    found = json.loads(said)
    assert isinstance(found, dict) and isinstance(found["ok"], bool)
    assert found["id"] is None or isinstance(found["id"], int)
    assert SECRET.encode() not in said.lower() and str(int(SECRET, 16)).encode() not in said
    return found


def signing(*requests: SignRequest, token: int = TOKEN) -> dict[str, Any]:
    items = [wire.item(request) for request in requests]
    return {"id": 7, "op": "sign", "address": ADDRESS, "token": token, "items": items}


# --- valid frames, and what may become of them -----------------------------------------------------------

AMOUNTS = st.one_of(st.integers(-1, 2**64), st.sampled_from([0, 21_000, 10**6, 10**6 + 1, 2 * GWEI, 200 * GWEI]))
TARGETS = st.sampled_from([HOUSE, HOUSE.lower(), ADDRESS, ADDRESS.lower(), STRANGER, "0x", "0x" + "c1" * 21])
VALUES = st.one_of(
    AMOUNTS,
    TARGETS,
    st.one_of(GOOD, spoilt()).map(lambda data: "0x" + data.hex()),
    st.sampled_from(
        ["call", "cancel", "filler", "sign", "hello", "signed", "final", "kill", "resume", None, True, [], {}]
    ),
    st.text(max_size=8),
    st.floats(),
)
FRAMES: tuple[dict[str, Any], ...] = (
    signing(call(0)),
    signing(call(0), call(1), transfer(1, "cancel")),
    signing(transfer(0, "filler", "filler")),
    {"id": 1, "op": "signed", "address": ADDRESS, "from_nonce": 0},
    {"id": 2, "op": "final", "address": ADDRESS, "token": TOKEN, "nonce": 0},
    {"id": 3, "op": "renew", "address": ADDRESS, "token": TOKEN},
    {"id": 4, "op": "status"},
)


@st.composite
def changed(draw: st.DrawFn) -> bytes:
    """Draw a frame with fields replaced, added or left out, and then a few of its bytes spoilt, or not."""
    frame: dict[str, Any] = json.loads(json.dumps(draw(st.sampled_from(FRAMES))))
    for _ in range(draw(st.integers(0, 3))):
        inner = [frame, *frame.get("items", [])] if isinstance(frame.get("items"), list) else [frame]
        where = draw(st.sampled_from([one for one in inner if isinstance(one, dict)]))
        name = draw(st.sampled_from([*where, "value", "extra"]))
        if draw(st.booleans()):
            where[name] = draw(VALUES)
        else:
            where.pop(name, None)
    line = bytearray(json.dumps(frame).encode())
    for _ in range(draw(st.sampled_from([0, 0, 1, 2, 5]))):
        at = draw(st.integers(0, len(line) - 1)) if line else 0
        match draw(st.sampled_from(["change", "cut", "insert", "repeat"])):
            case "change" if line:
                line[at] = draw(st.integers(0, 255))
            case "cut":
                del line[at : at + draw(st.integers(1, 40))]
            case "repeat":
                line[at:at] = line[at : at + draw(st.integers(1, 200))]
            case _:
                line[at:at] = draw(st.binary(min_size=1, max_size=16))
    return bytes(line)


LINES = st.one_of(
    st.binary(), st.text().map(str.encode), st.recursive(VALUES, st.lists).map(json.dumps).map(str.encode)
)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(line=LINES)
@example(line=b'{"id": 18446744073709551616, "op": "status"}')
@example(line=b'{"id": -1, "op": "status"}')
@example(line=b'{"op": "status", "id": 1, "id": 2}')
@example(line=b"\xed\xa0\x80")
@example(line=b"[" * 100_000)
def test_bytes_of_any_kind_are_answered_and_nothing_is_signed(quiet: tuple[Desk, Session], line: bytes) -> None:
    told(*quiet, line)
    assert quiet[0].signed() == []


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(lines=st.lists(changed(), min_size=1, max_size=4))
def test_whatever_frames_become_what_is_signed_stays_inside(store: Path, lines: list[bytes]) -> None:
    desk, session = opened(store)
    try:
        for line in lines:
            told(desk, session, line)
        signed = desk.signed()
        assert all(inside(one.raw) for one in signed)
        payloads = {(one.nonce, one.payload) for one in signed if one.kind == "call"}
        assert len(payloads) == len({nonce for nonce, _ in payloads})
    finally:
        desk.stop()


@pytest.mark.parametrize(("frame", "signed"), [(FRAMES[0], 1), (FRAMES[1], 3), (FRAMES[2], 1)])
def test_frames_as_they_are_get_signed(store: Path, frame: dict[str, Any], signed: int) -> None:
    """Otherwise the tests above would say nothing."""
    desk, session = opened(store)
    found = told(desk, session, json.dumps(frame).encode())
    assert [one["ok"] for one in found["items"]] == [True] * signed == [inside(one.raw) for one in desk.signed()]
    desk.stop()


def test_another_connection_signs_nothing_with_the_token_it_heard(store: Path) -> None:
    desk, _ = opened(store)
    found = told(desk, Session(), json.dumps(FRAMES[0]).encode())
    assert [one["rule"] for one in found["items"]] == ["fencing"]
    desk.stop()
