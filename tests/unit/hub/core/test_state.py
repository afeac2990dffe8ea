"""Tables, root and snapshot: what is the same is written the same, and nothing else is read."""

from __future__ import annotations

import pytest

from hub.core.errors import SnapshotUnreadable
from hub.core.records import Access, Case, Dispute, Fact, Faulty, Kept, Succession
from hub.core.state import SIZE_KEY, TABLES, Change, State, _read_key, row_key
from messages import cbor
from messages.errors import BadProof
from messages.log.tree import EMPTY_ROOT, leaf_hash, root
from messages.statetree import AbsenceProof, RowProof, check_absent, check_row
from tests.support.village import HOUR, KWH, Village, cut, relay


@pytest.fixture
def village() -> Village:
    """A village with a row in every table that can have one at rest."""
    village = Village(parameters={"deficit": "supplier"}, dispatch_parameters={"shed_permille": 5})
    village.meter("ann-pv", "ann", "generation")
    village.meter("bob-load", "bob", "consumption")
    village.node("pi", (relay("heater", "bob"),))
    for slot in range(2):
        village.read("ann-pv", slot, exported=slot * KWH)
        village.read("bob-load", slot, imported=slot * KWH)
    village.epoch("ann-pv", 1, last_export_uwh=5, first_export_uwh=None)
    village.decide(0, cut("heater", "bob", None))
    village.ack("heater", 5, energised=True)
    village.calibrate("ann-pv", 12_000)
    village.close(0)
    village.read("ann-pv", 3, exported=5, epoch=1)
    village.replica("ann")
    village.close(1, "timeout")
    village.state.apply([Change("memory", ("lab", "a"), (1, {"b": b"c", "d": None}))])
    village.state.apply([Change("call", b"\1" * 16, 5 * HOUR)])
    village.state.apply([Change("record", bytes(32), Kept("ann", "bill", b"d", "file:x", "ann"))])
    village.state.apply([Change("committed", b"d" * 32, bytes(32))])
    village.state.apply([Change("access", b"\1" * 16, Access(bytes(32), "bob", "grant", b"", 7))])
    case = Case("ann", "reg", "a dispute", 7, 9 * HOUR, HOUR)
    village.state.apply([Change("case", "case-1", case)])
    village.state.apply([Change("succession", 7, Succession("old", "new", 3))])
    dispute = Dispute("ann", "bob", 0, 1, 5, 9 * HOUR, "dismiss")
    village.state.apply([Change("dispute", 7, dispute), Change("disputed", (bytes(32), 1), (7, 9))])
    village.state.apply([Change("fact", ("meteo", "co2", 0), Fact(300, "g_per_kwh", HOUR, 3))])
    village.state.apply([Change("fed", ("meteo", "co2"), 1)])
    village.state.apply([Change("payout", "ann", 5)])
    fault = Faulty("welded", "it draws on", 5, 1, 7)
    village.state.apply([Change("fault", ("pi", "heater"), fault)])
    village.state.apply([Change("grant", ("ann", "bill", "bob"), 9 * HOUR)])
    return village


def test_every_table_has_a_row_here(village: Village) -> None:
    used = {key.split(b"/")[0].decode() for key, _ in village.state.rows()}
    assert used - {"size"} == set(TABLES)


def test_a_snapshot_reads_back_as_the_same_state(village: Village) -> None:
    raw = village.state.dumps()
    again = State.loads(raw)
    assert again == village.state
    assert again.root() == village.state.root()
    assert again.dumps() == raw
    assert State.loads(State().dumps()) == State()


def test_a_read_snapshot_goes_on_like_the_state_it_was(village: Village) -> None:
    again = State.loads(village.state.dumps())
    start = len(village.entries)
    village.read("bob-load", 2, imported=9 * KWH)
    village.ack("heater", 2 * HOUR + 7, energised=False)
    village.close(2)
    assert village.replay(start, again) == village.state


def test_the_root_is_the_rfc_6962_root_over_the_rows_in_order(village: Village) -> None:
    rows = village.state.rows()
    assert [key for key, _ in rows] == sorted(key for key, _ in rows)
    leaves = [leaf_hash(cbor.encode([key, value])) for key, value in rows]
    assert village.state.root() == root(leaves)
    assert dict(rows)[SIZE_KEY] == len(rows)


def test_every_record_can_be_proven(village: Village) -> None:
    state = village.state
    for key, value in state.rows():
        if key != SIZE_KEY:
            proof = state.prove(*_read_key(key))
            assert isinstance(proof, RowProof)
            assert check_row(proof, state.root()) == (key, cbor.decode(cbor.encode(value)))


def test_a_balance_can_be_proven(village: Village) -> None:
    proof = village.state.prove("account", "bob")
    assert isinstance(proof, RowProof)
    shown = check_row(proof, village.state.root())
    assert shown == (b"account/bob", village.state.accounts["bob"])


def test_that_nobody_has_an_account_can_be_proven(village: Village) -> None:
    for name in ("aaa", "bobby", "zoe"):
        proof = village.state.prove("account", name)
        assert isinstance(proof, AbsenceProof)
        check_absent(row_key("account", name), proof, village.state.root())
        with pytest.raises(BadProof):
            check_absent(row_key("account", "bob"), proof, village.state.root())


def test_the_kept_leaves_follow_every_change(village: Village) -> None:
    state = village.state
    first = state.root()
    twin = state.copy()
    change = Change("account", "zoe", 5)
    state.apply([change])
    assert state.root() != first
    assert twin.root() == first
    state.apply([Change("account", "zoe", None)])
    assert state.root() == first == State.loads(state.dumps()).root()


def test_an_empty_state() -> None:
    assert State().rows() == [(SIZE_KEY, 1)]
    assert State().root() == root([leaf_hash(cbor.encode([SIZE_KEY, 1]))]) != EMPTY_ROOT


def test_keys_are_readable() -> None:
    assert row_key("net", (3_600_000, "ann")) == b"net/0000000003600000/ann"
    assert row_key("key", b"\xab" * 8) == b"key/abababababababab"
    assert row_key("progress", ()) == b"progress"


def _rows(village: Village) -> list[list[object]]:
    return [[key, value] for key, value in village.state.rows()]


def test_a_snapshot_with_anything_else_in_it_is_refused(village: Village) -> None:
    good = _rows(village)
    bad = [
        good[1:],
        [*good, [b"weather/today", 1]],
        [*good, [b"account/a/b", 1]],
        [*good, [b"meter/x", [1, 2]]],
        [*good, [b"call/nothex", 1]],
        [*good, [b"\xff", 1]],
        [*good, 5],
        [good[1], good[0], *good[2:]],
        {},
        5,
    ]
    for rows in bad:
        with pytest.raises(SnapshotUnreadable):
            State.loads(cbor.encode(rows))
    raw = village.state.dumps()
    with pytest.raises(SnapshotUnreadable):
        State.loads(raw[:-1])
    with pytest.raises(SnapshotUnreadable):
        State.loads(raw + b"\0")


def test_every_flipped_bit_of_a_snapshot_shows(village: Village) -> None:
    raw, wanted = village.state.dumps(), village.state.root()
    for place in range(0, len(raw), 7):
        broken = bytearray(raw)
        broken[place] ^= 1 << (place % 8)
        try:
            assert State.loads(bytes(broken)).root() != wanted
        except SnapshotUnreadable:
            continue


def test_states_are_compared_not_hashed() -> None:
    assert State() == State()
    assert State() != 5
    with pytest.raises(TypeError):
        hash(State())
