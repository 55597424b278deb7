"""Signed reports as files: nothing in a folder that others write to is believed, awaited or stumbled over."""

import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from keeper.abi import keccak256
from keeper.reference.inbox import (
    HALF_ORDER,
    MAX_BYTES,
    MAX_FILES,
    Malformed,
    Signed,
    drop_expired,
    file_name,
    load,
    merged,
    parse,
    read_inbox,
    recovered,
    store,
    to_text,
)
from keeper.reference.relaying import MOST_SIGNATURES, RECOVERIES, Terms, affordable, vouched
from keeper.reference.reports import Observation, Reporters, _domain, domain_of, signature
from keeper.twin.records import Slice

RELAY = Account.from_key("0x" + "01" * 32).address
OTHER = Account.from_key("0x" + "02" * 32).address
THREE = Reporters.named("files")
SEEN = Observation(1, 1_700_000_000, 60_000 * 10**18, 30 * 10**18)
FITTED = Slice(1, 1_700_100_000, 1_700_000_000, 60_300 * 10**18, 60_000 * 10**18, 2, 3, -4, 5, 6)
ORDER = 2 * HALF_ORDER + 1


def signed(said: Observation | Slice = SEEN, by: tuple[int, ...] = (0,), chain_id: int = 10) -> Signed:
    blank = Signed(said, chain_id, RELAY, ())
    return replace(blank, signatures=tuple("0x" + signature(blank.digest, THREE.keys[n]).hex() for n in by))


def malleated(one: str) -> str:
    """Return the other signature of the same key and message, which no relay takes."""
    raw = bytes.fromhex(one[2:])
    return "0x" + (raw[:32] + (ORDER - int.from_bytes(raw[32:64])).to_bytes(32) + bytes([55 - raw[64]])).hex()


@pytest.mark.parametrize("said", [SEEN, FITTED], ids=["report", "slice"])
def test_what_is_written_is_what_is_read(said: Observation | Slice, tmp_path: Path) -> None:
    one = signed(said, (0, 2))
    store(tmp_path / file_name(one, THREE.addresses[0]), one)
    assert read_inbox(tmp_path) == ([one], [])
    assert list(one.by_signer()) == [THREE.addresses[0], THREE.addresses[2]]


def test_a_signer_replaces_his_own_file_only() -> None:
    later = signed(replace(SEEN, timestamp=SEEN.timestamp + 60))
    assert file_name(signed(), OTHER) == file_name(later, OTHER) != file_name(later, RELAY)
    assert len({file_name(signed(said), OTHER) for said in (SEEN, FITTED, replace(SEEN, underlying=2))}) == 3


def test_signatures_of_one_record_come_together_each_once() -> None:
    both = merged([signed(by=(1,)), signed(by=(0, 1))])
    assert list(both.by_signer()) == list(THREE.addresses[:2])
    assert len(both.signatures) == 2


@pytest.mark.parametrize(
    ("other", "names"),
    [
        (signed(replace(SEEN, price=SEEN.price + 1)), "price"),
        (signed(chain_id=11), "chain_id"),
        (replace(signed(), relay=OTHER), "relay"),
        (signed(FITTED), "kind"),
    ],
    ids=["price", "chain", "relay", "kind"],
)
def test_signatures_of_different_records_never_mix(other: Signed, names: str) -> None:
    with pytest.raises(Malformed, match=f"differ in {names}"):
        merged([signed(), other])


def test_a_changed_record_recovers_to_nobody_known() -> None:
    dearer = replace(signed(by=(0, 1, 2)), said=replace(SEEN, price=SEEN.price + 1))
    assert not set(dearer.by_signer()) & set(THREE.addresses)


@pytest.mark.parametrize(
    "broken",
    [malleated(signed().signatures[0]), "0x" + "00" * 65, "0x" + "ff" * 64 + "1b", "0x" + "11" * 64 + "03"],
    ids=["high s", "zeros", "beyond the order", "no such v"],
)
def test_what_a_relay_would_recover_nobody_from_does_not_sink_the_others(broken: str) -> None:
    assert recovered(signed().digest, broken) == ""
    one = signed()
    with_it = replace(one, signatures=(broken, *one.signatures))
    assert list(with_it.by_signer()) == [THREE.addresses[0]]


@pytest.mark.parametrize("change", [{"spot": "0"}, {"forward": "-1"}, {"a": str(2**127)}, {"expiry": str(2**40)}])
def test_a_slice_that_no_contract_holds_is_refused_by_field(change: dict[str, str]) -> None:
    with pytest.raises(Malformed, match=next(iter(change))):
        parse(json.dumps(json.loads(to_text(signed(FITTED))) | change))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "order"}, "kind"),
        ({"kind": []}, "more of them"),
        ({"price": 60_000.5}, "price"),
        ({"price": "6e4"}, "price"),
        ({"price": "١"}, "price"),
        ({"price": "-"}, "price"),
        ({"price": str(2**128)}, "fit their types"),
        ({"price": "9" * 5_000}, "price"),
        ({"underlying": "-1"}, "fit their types"),
        ({"relay": "0x12"}, "relay"),
        ({"relay": 5}, "relay"),
        ({"signatures": "0x"}, "signatures"),
        ({"signatures": None}, "signatures"),
        ({"signatures": ["0x12"]}, "signatures"),
        ({"signatures": [signed().signatures[0]] * 32}, "signatures"),
        ({"note": "extra"}, "keys"),
    ],
)
def test_what_is_wrong_is_said_by_key(change: dict[str, object], says: str) -> None:
    with pytest.raises(Malformed, match=says):
        parse(json.dumps(json.loads(to_text(signed())) | change))


TEXT = st.text("0123456789-xab{}[]", max_size=12)
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)
NUMBERS = st.integers(-(2**130), 2**130).map(str)
RECORDS = st.sampled_from([SEEN, FITTED])


@given(RECORDS, st.data())
def test_any_file_is_read_or_refused_by_name(said: Observation | Slice, data: st.DataObject) -> None:
    names = st.sampled_from(["kind", "chain_id", "relay", "signatures", *asdict(said)])
    change = data.draw(st.dictionaries(names, NUMBERS | ANY, max_size=3))
    text = json.dumps(json.loads(to_text(signed(said))) | change)
    try:
        again = parse(text)
    except Malformed:
        return
    assert parse(to_text(again)) == again


@given(TEXT)
def test_any_text_is_refused_by_name(text: str) -> None:
    with pytest.raises(Malformed):
        parse(text)


def test_nesting_without_end_is_refused() -> None:
    with pytest.raises(Malformed, match="JSON"):
        parse("[" * MAX_BYTES)


def test_nothing_in_the_folder_stops_the_reader(tmp_path: Path) -> None:
    good = tmp_path / "good.json"
    store(good, signed())
    os.mkfifo(tmp_path / "fifo.json")  # nobody ever writes to it
    (tmp_path / "link.json").symlink_to(good)
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "long.json").write_text(" " * (MAX_BYTES + 1))
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe")
    (tmp_path / ".half.json").write_text("{")
    (tmp_path / "note.txt").write_text("{")
    handles = [path.name for path in Path("/proc/self/fd").iterdir()]
    found, holds = read_inbox(tmp_path)
    assert [path.name for path in Path("/proc/self/fd").iterdir()] == handles
    assert found == [signed()]
    assert sorted(hold.reason.split(":")[0] for hold in holds) == [
        "bytes.json", "fifo.json", "folder.json", "link.json", "long.json"
    ]  # fmt: skip


def test_a_flood_is_cut_off_and_said(tmp_path: Path) -> None:
    for number in range(MAX_FILES + 3):
        (tmp_path / f"{number:04}.json").write_text("{}")
    found, holds = read_inbox(tmp_path)
    assert not found
    assert len(holds) == MAX_FILES + 1
    assert f"found {MAX_FILES + 3}" in holds[-1].reason


def test_of_too_many_the_last_written_are_read(tmp_path: Path) -> None:
    """What is left of expiries gone by does not crowd out what its signers keep writing."""
    for second, name in enumerate(["9-new.json", *(f"{n:04}-old.json" for n in range(MAX_FILES))]):
        (tmp_path / name).write_text("{}")
        os.utime(tmp_path / name, (2_000_000_000 - second,) * 2)
    _, holds = read_inbox(tmp_path)
    assert holds[0].reason.startswith("9-new.json")
    assert not any(f"{MAX_FILES - 1:04}-old" in hold.reason for hold in holds)


def test_a_signer_s_slices_of_expiries_gone_by_are_removed(tmp_path: Path) -> None:
    mine, other = THREE.addresses[:2]
    names = [f"slice-0-{expiry}-{who}.json" for who in (mine, other) for expiry in (99, 100, 101)]
    names += [f"report-0-{mine}.json", f"slice-0-x-{mine}.json", f"slice-{mine}.json"]
    for name in names:
        (tmp_path / name).touch()
    drop_expired(tmp_path, mine, 100)
    gone = set(names) - {path.name for path in tmp_path.iterdir()}
    assert gone == {f"slice-0-99-{mine}.json", f"slice-0-100-{mine}.json"}


def test_a_name_that_no_text_can_hold_is_said_in_plain_letters(tmp_path: Path) -> None:
    """Bytes that are no UTF-8, a line's end and a terminal's command: the journal stores what is said."""
    os.close(os.open(os.fsencode(tmp_path) + b"/\xff\n\x1b[31m" + b"x" * 200 + b".json", os.O_CREAT))
    _, (hold,) = read_inbox(tmp_path)
    assert hold.reason.startswith("\\udcff\\n\\x1b[31mxxx")
    assert (hold.reason.isprintable(), len(hold.reason) < 200) == (True, True)


def test_a_folder_beyond_all_measure_is_not_even_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keeper.reference.inbox.MAX_LISTED", 300)
    for number in range(400):
        (tmp_path / f"{number:04}.json").touch()
    _, holds = read_inbox(tmp_path)
    assert len(holds) == MAX_FILES + 1
    assert "found 301 or more" in holds[-1].reason


def test_a_folder_that_is_not_there_is_a_hold(tmp_path: Path) -> None:
    found, (hold,) = read_inbox(tmp_path / "none")
    assert not found
    assert "inbox not read" in hold.reason


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(Malformed, match=r"gone\.json"):
        load(tmp_path / "gone.json")


# --- who vouches -----------------------------------------------------------------------------------------

NOW = SEEN.timestamp + 100


def terms(quorum: int = 2, jump: int = 3, to_land: int = 60) -> dict[str, Terms]:
    known = frozenset(THREE.addresses)
    return {kind: Terms(RELAY, "keeper/PriceRelay", known, quorum, jump, 600, to_land) for kind in ("report", "slice")}


def test_files_of_several_signers_make_a_quorum_between_them() -> None:
    enough, holds = vouched([signed(by=(2,)), signed(by=(0,))], terms(), NOW)
    assert [list(one.by_signer()) for one in enough] == [[THREE.addresses[0], THREE.addresses[2]]]
    assert not holds


def test_a_stranger_counts_for_nothing_and_spoils_nothing() -> None:
    stranger = Reporters.named("stranger").keys[0]
    extra = "0x" + signature(signed().digest, stranger).hex()
    (one,), _ = vouched([replace(signed(by=(0, 1)), signatures=(extra, *signed(by=(0, 1)).signatures))], terms(), NOW)
    assert list(one.by_signer()) == list(THREE.addresses[:2])
    assert vouched([replace(signed(), signatures=(extra, *signed().signatures))], terms(), NOW)[0] == []


@pytest.mark.parametrize(
    ("quorum", "now", "says"),
    [
        (3, NOW, "signatures of 3"),
        (0, NOW, "no signers yet"),
        (2, SEEN.timestamp + 541, "age of at most 540 s, so that it lands within 600 s, found 541"),
        (2, SEEN.timestamp - 1, "no time later"),
    ],
)
def test_what_is_not_relayed_has_its_reason(quorum: int, now: int, says: str) -> None:
    enough, (hold,) = vouched([signed(by=(0, 1))], terms(quorum), now)
    assert not enough
    assert says in hold.reason
    assert "1@1700000000" in hold.reason


@pytest.mark.parametrize("now", [SEEN.timestamp, SEEN.timestamp + 540])
def test_the_edges_of_time_are_inside(now: int) -> None:
    assert vouched([signed(by=(0, 1))], terms(), now)[0]


def test_where_nothing_can_land_in_time_that_is_said() -> None:
    assert vouched([signed(by=(0, 1))], terms(to_land=600), SEEN.timestamp)[0]
    enough, (hold,) = vouched([signed(by=(0, 1))], terms(to_land=601), SEEN.timestamp)
    assert not enough
    assert "expected to land within 600 s" in hold.reason
    assert "it may take 601 s" in hold.reason


def test_no_more_signatures_are_sent_than_a_jump_needs() -> None:
    (one,), _ = vouched([signed(by=(0, 1, 2))], terms(1, 2), NOW)
    assert len(one.signatures) == 2


def test_the_domain_tells_relays_and_chains_apart() -> None:
    said: tuple[Observation | Slice, ...] = (SEEN, FITTED)
    found = {domain_of(s, relay, chain) for s in said for relay in (RELAY, OTHER) for chain in (1, 10)}
    assert len(found) == 8


# --- what a tick has time for ----------------------------------------------------------------------------


def garbage(second: int, count: int = 31) -> Signed:
    """Return a record under signatures that recover to strangers, or to nobody."""
    blank = signed(replace(SEEN, timestamp=second), by=())
    rs = (keccak256(f"{second} {n}".encode()).hex() for n in range(count))
    return replace(blank, signatures=tuple(f"0x{r}{'11' * 32}1b" for r in rs))


def test_a_flood_of_signatures_costs_a_tick_no_more_than_its_share() -> None:
    """Files of few signatures go first, so that a signer's own is not behind a stranger's thirty-one."""
    recovered.cache_clear()
    flood = [garbage(SEEN.timestamp + n) for n in range(20)]
    due, (hold,) = affordable([*flood, signed()])
    assert due[0] == signed()
    assert recovered.cache_info().misses < RECOVERIES + 31
    assert f"{21 - len(due)} files wait" in hold.reason
    for _ in range(20):  # what stays is known in the end, and costs nothing any more
        due, late = affordable([*flood, signed()])
    assert (len(due), late) == (21, [])


def test_no_more_are_asked_about_than_a_node_answers() -> None:
    recovered.cache_clear()
    many = [garbage(SEEN.timestamp + n) for n in range(MOST_SIGNATURES // 31 + 3)]
    for _ in range(40):
        due, (hold,) = affordable(many)
    assert sum(len(one.signatures) for one in due) <= MOST_SIGNATURES
    assert "3 files wait" in hold.reason


def test_chains_and_relays_that_files_name_are_not_kept() -> None:
    for chain_id in range(1_000):
        domain_of(SEEN, RELAY, chain_id)
    assert _domain.cache_info().currsize < 100
