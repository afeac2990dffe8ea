"""Sealed readings: settled like open ones, and nobody reads them off the ledger."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hub.closing import Closer, CloseRule
from hub.commands.inspecting import audit_ledger, export_csv, export_tiles, verify_ledger
from hub.ledger.engine import writing
from hub.ledger.schema import entry as entry_table
from hub.link.arrivals import Arrival
from hub.spine import Spine
from hub.starting import Opened
from messages import cose, sealed
from messages.log.tree import leaf_hash
from messages.reading import Reading, encode_reading, sign_sealed_reading
from messages.receipt import Refusal
from tests.support.hub_bench import METERS, MICROGRID, NODE, SLOT_MS, START_MS, Bench

NOW_MS = 1_000_000
MARK_UWH = 123_456_789


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, readings="sealed")


@pytest.fixture
def opened(bench: Bench) -> Iterator[Opened]:
    made = bench.open()
    yield made
    made.close()


@pytest.fixture
def spine(bench: Bench, opened: Opened) -> Spine:
    made = bench.spine(opened)
    bench.enrol(made)
    return made


def reading(bench: Bench, meter: str, at_ms: int, uwh: int) -> Reading:
    sequence = bench.next(bench.meters[meter], "register")
    totals = (0, uwh) if METERS[meter] == "generation" else (uwh, 0)
    return Reading(MICROGRID, meter, sequence, at_ms, *totals)


def seal(bench: Bench, meter: str, at_ms: int, uwh: int) -> Arrival:
    said = reading(bench, meter, at_ms, uwh)
    salt = hashlib.sha256(encode_reading(said)).digest()
    return Arrival(NODE, "register", sign_sealed_reading(bench.meters[meter], said, salt))


def settle(bench: Bench, opened: Opened, spine: Spine) -> None:
    """Take two edges of one slot, and close it."""
    for at_ms, uwh in ((START_MS, 0), (START_MS + SLOT_MS, MARK_UWH)):
        batch = [seal(bench, meter, at_ms, uwh) for meter in METERS]
        assert len(spine.take_in(batch, NOW_MS, at_ms)) == len(METERS)
    closer = Closer(spine, opened.pen, CloseRule(SLOT_MS, 30_000, 0))
    closer.close(START_MS, "complete", START_MS + SLOT_MS)
    spine.sign_checkpoint()


def test_a_slot_is_settled_on_what_nobody_can_read_off_the_ledger(
    bench: Bench, opened: Opened, spine: Spine, tmp_path: Path
) -> None:
    settle(bench, opened, spine)
    assert spine.recorder.state.cursors["pv"].export_uwh == MARK_UWH
    readings = [each for each in opened.recorder.store.entries() if each.kind == "reading"]
    assert len(readings) == 2 * len(METERS)
    for entry in readings:
        assert cose.parse(entry.raw).sealed
        assert len(entry.raw) < 150
        assert entry.preimage is not None
        assert leaf_hash(entry.raw) == entry.leaf_hash
    assert verify_ledger(bench.config, lambda done, total: None).findings == ()
    audited = audit_ledger(bench.config, lambda done, total: None, workers=0)
    assert audited.is_right, audited.difference
    assert audited.slots == 1


def test_exports_leave_out_what_was_sealed_unless_asked(
    bench: Bench, opened: Opened, spine: Spine, tmp_path: Path
) -> None:
    settle(bench, opened, spine)
    export_tiles(bench.config, tmp_path / "tiles", lambda done, total: None)
    preimages = [each.preimage for each in opened.recorder.store.entries() if each.preimage]
    files = [path.read_bytes() for path in (tmp_path / "tiles").rglob("*") if path.is_file()]
    assert preimages
    assert not any(preimage in content for preimage in preimages for content in files)
    for unsealed, rows in ((False, 0), (True, 2 * len(METERS))):
        export_csv(bench.config, tmp_path / "csv", unsealed=unsealed)
        with (tmp_path / "csv" / "readings.csv").open(newline="") as file:
            assert len(list(csv.DictReader(file))) == rows


def test_an_audit_says_which_preimage_is_gone(bench: Bench, opened: Opened, spine: Spine) -> None:
    settle(bench, opened, spine)
    store = opened.recorder.store
    index = next(each.index for each in store.entries() if each.kind == "reading")
    with writing(store.engine) as connection:
        for (name,) in connection.exec_driver_sql(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'entry'"
        ).all():
            connection.exec_driver_sql(f"DROP TRIGGER {name}")
        table = entry_table.c
        connection.execute(entry_table.update().where(table.index == index).values(preimage=None))
    audited = audit_ledger(bench.config, lambda done, total: None, workers=0)
    assert audited.difference.startswith(f"entry {index}: a sealed reading without its preimage")


def test_an_open_reading_is_never_put_on_a_sealed_ledger(
    bench: Bench, opened: Opened, spine: Spine
) -> None:
    bench.link.sent.clear()
    size = opened.recorder.store.size
    spine.take_in([bench.reading("pv", START_MS, MARK_UWH)], NOW_MS, START_MS)
    kinds = [each.kind for each in opened.recorder.store.entries(size)]
    assert kinds == ["gap"]
    (refusal,) = bench.take_sent(opened, Refusal)
    assert refusal.reason.startswith("not-sealed: ")
    assert 'readings = "sealed"' in refusal.reason


@pytest.mark.parametrize("wrong", ["preimage", "none", "torn", "telemetry"])
def test_a_sealed_reading_needs_its_own_preimage(
    bench: Bench, opened: Opened, spine: Spine, wrong: str
) -> None:
    size = opened.recorder.store.size
    one = seal(bench, "pv", START_MS, 1)
    message, preimage = sealed.split(one.raw)
    assert preimage is not None
    wires = {
        "preimage": sealed.join(message, preimage[:-1] + bytes((preimage[-1] ^ 1,))),
        "none": message,
        "torn": one.raw[:-1],
        "telemetry": one.raw,
    }
    channel = "telemetry" if wrong == "telemetry" else "register"
    spine.take_in([replace(one, raw=wires[wrong], channel=channel)], NOW_MS, START_MS)
    assert opened.recorder.store.size == size
    spine.take_in([one], NOW_MS, START_MS)
    assert opened.recorder.store.size == size + 1


def test_the_same_reading_sealed_twice_is_evidence(
    bench: Bench, opened: Opened, spine: Spine
) -> None:
    said = reading(bench, "pv", START_MS, 1)
    one, other = (sign_sealed_reading(bench.meters["pv"], said, bytes((n,)) * 32) for n in (1, 2))
    spine.take_in([Arrival(NODE, "register", one)], NOW_MS, START_MS)
    spine.take_in([Arrival(NODE, "register", one)], NOW_MS, START_MS)
    assert opened.recorder.store.strangers.evidence() == []
    spine.take_in([Arrival(NODE, "register", other)], NOW_MS, START_MS)
    assert len(opened.recorder.store.strangers.evidence()) == 1


def test_an_open_microgrid_takes_both(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "open")
    opened = bench.open()
    try:
        spine = bench.spine(opened)
        bench.enrol(spine)
        batch = [seal(bench, "pv", START_MS, 7), bench.reading("load", START_MS, 9)]
        assert len(spine.take_in(batch, NOW_MS, START_MS)) == 2
    finally:
        opened.close()


def test_a_message_and_its_preimage_travel_as_one() -> None:
    assert sealed.split(sealed.join(b"message", b"preimage")) == (b"message", b"preimage")
    assert sealed.split(b"\xd2\x84") == (b"\xd2\x84", None)
