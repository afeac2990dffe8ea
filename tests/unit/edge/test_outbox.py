import sqlite3
from dataclasses import replace

import pytest

from edge.agent import Point
from edge.calibration.coefficients import Calibrated, Coefficients
from edge.errors import OutboxCorrupt, OutboxError, OutboxFull, OutboxLocked
from edge.outbox import Outbox
from edge.outbox_records import Batch, Draft, Head, Row
from edge.outbox_schema import open_for_reading
from edge.receipts import Proven
from edge.register import Register
from messages.correction import Correction
from messages.log.checkpoint import Checkpoint
from messages.log.tree import leaf_hash
from messages.sealed import join

A, B = b"a" * 8, b"b" * 8


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def outbox(folder):
    made = Outbox(folder, 100)
    yield made
    made.close()


def drafts(kid, stream, count, text=""):
    return tuple(
        Draft(kid, stream, lambda n: f"{kid!r} {stream} {n} {text}".encode()) for _ in range(count)
    )


def proven(places, *, stored=None, final=None, note="note"):
    return Proven(Checkpoint("o", 9, b"r" * 32), note, stored or {}, final or {}, frozenset(places))


def held(outbox):
    return [(row.kid, row.stream, row.sequence) for row in outbox.rows_after(0, 1000)]


def test_sequences_are_taken_and_rows_written_together(outbox):
    rows = outbox.commit(
        Batch((*drafts(A, "register", 2), *drafts(A, "telemetry", 1), *drafts(B, "register", 1)))
    )
    assert rows == outbox.rows_after(0, 10)
    assert rows[1] == Row(2, A, "register", 2, f"{A!r} register 2 ".encode())
    assert [row.sequence for row in rows] == [1, 2, 1, 1]
    assert outbox.head(A, "register") == Head(3, 0, 0)
    assert outbox.rows == 4
    assert outbox.rows_after(2, 1) == [rows[2]]
    assert outbox.rows_by_id([4, 2, 99]) == [rows[1], rows[3]]
    assert outbox.rows_by_id([]) == []
    assert outbox.leaf_of(A, "register", 2) == leaf_hash(rows[1].raw)
    assert outbox.leaf_of(A, "register", 3) is None


def test_a_sealed_message_is_proven_by_what_was_signed(outbox):
    wire = join(b"signed", b"preimage")
    (row,) = outbox.commit(Batch((Draft(A, "register", lambda sequence: wire),)))
    assert row.raw == wire
    assert outbox.leaf_of(A, "register", 1) == leaf_hash(b"signed")


def test_everything_is_there_again_after_a_restart(folder):
    first = Outbox(folder, 100)
    assert first.begin_boot() == 1
    register = Register(5, 6, 7, 8, 1, 9000, -3, 9000, ("gap", "clock"))
    point = Point(9000, (1, None, 3, None, 5, None))
    rows = first.commit(
        Batch(drafts(A, "register", 2), {"pv": register}, (("pv", point), ("load", point)))
    )
    first.settle(proven({(A, "register", 1)}, stored={(A, "register"): 1}, note="n1"))
    first.close()
    again = Outbox(folder, 100)
    assert again.begin_boot() == 2
    assert again.registers() == {"pv": register}
    assert again.points() == {"pv": [point], "load": [point]}
    assert again.rows_after(0, 10) == rows[1:]
    assert again.head(A, "register") == Head(3, 1, 0)
    assert again.checkpoint == "n1"
    assert (again.rows, again.dead_letters) == (2, 0)
    assert again.commit(Batch(drafts(A, "register", 1)))[0].sequence == 3
    again.close()


def test_points_leave_with_their_pack(outbox):
    points = [Point(at_ms, (at_ms, None, None, None, None, None)) for at_ms in (1, 2, 3)]
    outbox.commit(Batch(points=tuple(("pv", point) for point in points)))
    outbox.commit(Batch(points=(("load", points[0]), ("pv", points[0])), packed=(("pv", 2),)))
    assert outbox.points() == {"load": points[:1], "pv": points[2:]}


def test_a_batch_that_fails_takes_nothing(outbox):
    outbox.commit(Batch(drafts(A, "register", 1), {"pv": Register(1, 1)}))

    def fail(sequence):
        raise RuntimeError("no key")

    batch = Batch((*drafts(A, "register", 1), Draft(B, "register", fail)), {"pv": Register(2, 2)})
    with pytest.raises(RuntimeError):
        outbox.commit(batch)
    assert held(outbox) == [(A, "register", 1)]
    assert outbox.head(A, "register") == Head(2, 0, 0)
    assert outbox.head(B, "register") == Head()
    assert outbox.registers() == {"pv": Register(1, 1)}
    assert outbox.rows == 1


def test_stored_stops_resending_and_deletes_nothing(outbox):
    outbox.commit(Batch((*drafts(A, "register", 3), *drafts(A, "telemetry", 2))))
    settled = outbox.settle(proven(set(), stored={(A, "register"): 2, (B, "register"): 9}))
    assert (settled.deleted, settled.ahead) == (0, ())
    assert held(outbox) == [(A, "register", 3), (A, "telemetry", 1), (A, "telemetry", 2)]
    assert outbox.rows == 5
    assert outbox.first_held(A, "register") == 3
    assert outbox.leaf_of(A, "register", 1) is not None
    outbox.settle(proven(set(), stored={(A, "register"): 1}))
    assert outbox.head(A, "register") == Head(4, 2, 0)


def test_final_without_proof_deletes_nothing(outbox):
    outbox.commit(Batch(drafts(A, "register", 3)))
    claim = proven(set(), stored={(A, "register"): 3}, final={(A, "register"): 3})
    assert outbox.settle(claim).deleted == 0
    assert outbox.head(A, "register") == Head(4, 3, 0)
    assert outbox.rows == 3


def test_what_is_proven_is_deleted_up_to_what_is_final(outbox):
    outbox.commit(Batch((*drafts(A, "register", 5), *drafts(B, "register", 1))))
    places = {(A, "register", n) for n in (1, 2, 4, 5)} | {(B, "register", 1)}
    settled = outbox.settle(proven(places, stored={(A, "register"): 5}, final={(A, "register"): 4}))
    assert settled.deleted == 2
    assert outbox.head(A, "register") == Head(6, 5, 2)
    assert outbox.leaf_of(A, "register", 3) is not None
    assert outbox.leaf_of(B, "register", 1) is not None
    places.add((A, "register", 3))
    outbox.settle(proven(places, final={(A, "register"): 4}))
    assert outbox.head(A, "register") == Head(6, 5, 4)
    assert outbox.rows == 2
    assert outbox.leaf_of(A, "register", 1) is not None, "a receipt on its way may prove it again"
    assert outbox.settle(proven(places, final={(A, "register"): 4})).deleted == 0


def test_what_is_held_no_more_is_passed_over(outbox):
    outbox.commit(Batch(drafts(A, "register", 3)))
    assert outbox.bury(A, "register", 2, "too late", 77)
    places = {(A, "register", 1), (A, "register", 3)}
    assert outbox.settle(proven(places, final={(A, "register"): 3})).deleted == 2
    assert outbox.head(A, "register").final_up_to == 3
    assert outbox.settle(proven(set(), final={(A, "register"): 99})).deleted == 0
    assert outbox.head(A, "register").final_up_to == 3


def test_numbers_that_the_hub_has_are_not_used_again(outbox):
    outbox.commit(Batch(drafts(A, "register", 2)))
    settled = outbox.settle(proven(set(), stored={(A, "register"): 9}))
    assert settled.ahead == ((A, "register"),)
    assert outbox.commit(Batch(drafts(A, "register", 1)))[0].sequence == 10


def test_dead_letters_are_kept_with_their_reason(outbox, folder):
    outbox.commit(Batch(drafts(A, "register", 2)))
    assert outbox.bury(A, "register", 1, "wrong meter", None)
    assert not outbox.bury(A, "register", 1, "wrong meter", None)
    assert not outbox.bury(A, "register", 9, "wrong meter", 5)
    assert (outbox.rows, outbox.dead_letters) == (1, 1)
    reader = open_for_reading(folder / "outbox.db")
    assert reader.execute("SELECT * FROM dead_letter").fetchall() == [
        (A, "register", 1, "wrong meter", None, f"{A!r} register 1 ".encode())
    ]
    reader.close()


def test_a_full_outbox_drops_oldest_telemetry_and_never_registers(outbox):
    outbox.commit(Batch((*drafts(A, "register", 60), *drafts(A, "telemetry", 38))))
    outbox.commit(Batch(drafts(B, "telemetry", 2)))
    assert outbox.rows == 100
    outbox.commit(Batch(drafts(A, "register", 3)))
    assert outbox.rows == 100
    assert outbox.dropped == 3
    assert outbox.first_held(A, "telemetry") == 4
    assert outbox.head(A, "telemetry") == Head(39, 0, 3)
    outbox.commit(Batch(drafts(A, "register", 60)))
    assert outbox.rows == 123, "registers go on beyond the limit"
    assert outbox.first_held(A, "telemetry") == 39
    assert outbox.first_held(B, "telemetry") == 3
    assert outbox.head(B, "telemetry") == Head(3, 0, 2)
    assert [place for place in held(outbox) if place[1] == "telemetry"] == []


def test_a_full_outbox_drops_what_it_just_stored_last_of_all(outbox):
    outbox.commit(Batch(drafts(A, "register", 100)))
    outbox.commit(Batch(drafts(A, "telemetry", 1)))
    assert outbox.rows == 100
    assert outbox.head(A, "telemetry") == Head(2, 0, 1)


def test_one_writer_a_folder(outbox, folder):
    with pytest.raises(OutboxLocked, match=r"in use by process [0-9]+; stop it first"):
        Outbox(folder, 100)
    outbox.close()
    Outbox(folder, 100).close()


def test_the_alarm_and_the_checkpoint_are_durable(folder):
    outbox = Outbox(folder, 100)
    assert (outbox.alarm, outbox.checkpoint) == ("", "")
    outbox.settle(proven(set(), note="n"))
    outbox.raise_alarm("behind", "the note")
    outbox.close()
    outbox = Outbox(folder, 100)
    assert (outbox.alarm, outbox.checkpoint) == ("behind", "n")
    outbox.forget_checkpoint()
    assert (outbox.alarm, outbox.checkpoint) == ("", "")
    outbox.close()


def limit_pages(outbox, extra):
    """Make the disk full: SQLite says the same when its file may not grow."""
    connection = outbox._opened()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + extra}")


def test_a_full_disk_stores_nothing_and_takes_no_sequence(outbox):
    outbox.commit(Batch(drafts(A, "register", 1)))
    limit_pages(outbox, 0)
    with pytest.raises(OutboxFull, match="the disk is full"):
        outbox.commit(Batch(drafts(A, "telemetry", 1, "x" * 100_000)))
    assert held(outbox) == [(A, "register", 1)]
    assert outbox.commit(Batch(drafts(A, "telemetry", 1)))[0].sequence == 1


def test_a_card_that_turned_read_only_is_named_and_costs_no_sequence(outbox):
    """What the kernel does to a card after errors, SQLite can be told to act out."""
    outbox.commit(Batch(drafts(A, "register", 1)))
    outbox._opened().execute("PRAGMA query_only = ON")
    with pytest.raises(OutboxError, match="readonly") as raised:
        outbox.commit(Batch(drafts(A, "register", 1)))
    assert not isinstance(raised.value, OutboxFull)
    assert held(outbox) == [(A, "register", 1)]
    assert outbox.commit(Batch(drafts(A, "register", 1)))[0].sequence == 2


def test_the_ballast_is_given_back_once_and_kept_again(folder, caplog):
    outbox = Outbox(folder, 100, ballast_bytes=65_536)
    assert (folder / "ballast").stat().st_size == 65_536
    limit_pages(outbox, 0)
    big = Batch(drafts(A, "telemetry", 1, "x" * 100_000))
    assert outbox.commit(big)[0].sequence == 1
    assert not (folder / "ballast").exists()
    assert "64 kB of ballast given back" in caplog.text
    limit_pages(outbox, 0)
    with pytest.raises(OutboxFull):
        outbox.commit(big)
    assert outbox.keep_ballast()
    assert (folder / "ballast").exists()
    outbox.close()


def test_an_outbox_of_the_first_version_goes_on_with_its_registers(folder):
    Outbox(folder, 100).close()
    connection = sqlite3.connect(folder / "outbox.db")
    connection.executescript(
        "DROP TABLE calibration;"
        "ALTER TABLE register DROP COLUMN import_wrapped_uwh;"
        "ALTER TABLE register DROP COLUMN export_wrapped_uwh;"
        "INSERT INTO register VALUES ('pv', 5, 6, 1, 2, 3, 4, 7, 8, 'fell gap');"
        "PRAGMA user_version = 1;"
    )
    connection.close()
    outbox = Outbox(folder, 100)
    assert outbox.registers() == {"pv": Register(5, 6, 1, 2, 3, 4, 7, 8, ("fell", "gap"))}
    outbox.close()


CALIBRATED = Calibrated(
    Coefficients(Correction(12_000, -3), Correction(-500), Correction(40, 2)), 77
)


def test_a_calibration_and_its_entry_are_stored_together(outbox, folder):
    (draft,) = drafts(A, "event", 1)
    assert outbox.calibrate("pv", CALIBRATED, draft) == Row(1, A, "event", 1, draft.sign(1))
    assert outbox.calibrations() == {"pv": CALIBRATED}
    later = replace(CALIBRATED, at_ms=78)
    outbox.calibrate("pv", later, draft)
    outbox.close()
    again = Outbox(folder, 100)
    assert again.calibrations() == {"pv": later}
    assert (again.head(A, "event"), again.rows) == (Head(3, 0, 0), 2)
    again.close()


def test_a_calibration_that_cannot_be_signed_is_not_kept(outbox):
    def fail(sequence):
        raise ValueError(sequence)

    with pytest.raises(ValueError, match="1"):
        outbox.calibrate("pv", CALIBRATED, Draft(A, "event", fail))
    assert outbox.calibrations() == {}
    assert (outbox.heads(), outbox.rows) == ({}, 0)


def test_an_outbox_of_the_second_version_takes_calibrations(folder):
    Outbox(folder, 100).close()
    connection = sqlite3.connect(folder / "outbox.db")
    connection.executescript("DROP TABLE calibration; PRAGMA user_version = 2;")
    connection.close()
    outbox = Outbox(folder, 100)
    assert outbox.calibrations() == {}
    outbox.calibrate("pv", CALIBRATED, *drafts(A, "event", 1))
    assert outbox.calibrations() == {"pv": CALIBRATED}
    outbox.close()


def test_a_file_that_is_no_outbox_or_a_newer_one(folder):
    Outbox(folder, 100).close()
    connection = sqlite3.connect(folder / "outbox.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(OutboxCorrupt, match="format 99, this program knows 3"):
        Outbox(folder, 100)
    (folder / "outbox.db").write_bytes(b"nothing of the kind " * 100)
    with pytest.raises(OutboxCorrupt, match="is not a database"):
        Outbox(folder, 100)


def test_a_state_folder_without_an_outbox_cannot_be_read(tmp_path):
    with pytest.raises(OutboxError, match="unable to open"):
        open_for_reading(tmp_path / "outbox.db")


def test_after_a_failure_only_what_is_on_disk_is_believed(outbox, folder):
    outbox.commit(Batch(drafts(A, "register", 1)))
    stranger = sqlite3.connect(folder / "outbox.db")
    stranger.execute("ALTER TABLE point RENAME TO elsewhere")
    stranger.commit()
    with pytest.raises(OutboxError, match="no such table"):
        outbox.commit(Batch(drafts(A, "register", 1), points=(("pv", Point(1, (None,) * 6)),)))
    stranger.execute("ALTER TABLE elsewhere RENAME TO point")
    stranger.execute("UPDATE stream SET next_sequence = 7")
    stranger.commit()
    stranger.close()
    assert outbox.commit(Batch(drafts(A, "register", 1)))[0].sequence == 7


def test_head_is_plain_data():
    assert replace(Head(), stored_up_to=3) == Head(1, 3, 0)
