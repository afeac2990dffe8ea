import logging
from dataclasses import replace

import pytest

from edge.agent import Point
from edge.drain import Drain
from edge.errors import OutboxFull
from edge.journal import Journal
from edge.outbox import Outbox
from edge.outbox_records import Batch, Draft
from edge.posting import Posting, Reply
from edge.receipts import log_trust
from edge.register import Register
from tests.support.edge_hub import FakeHub
from tests.support.signers import ed25519

A, B = b"a" * 8, b"b" * 8


class Bench:
    """A node's outbox between drafts and a fake hub."""

    def __init__(self, folder, rows_max=1000, journal=None):
        self.hub = FakeHub()
        self.outbox = Outbox(folder, rows_max)
        self.is_connected = True
        self.sent = []
        self.posting = Posting(
            self.outbox, log_trust(self.hub.trust), "dep1", self.publish, journal
        )

    def publish(self, leaf, raw):
        if self.is_connected:
            self.sent.append((leaf, raw))
        return self.is_connected

    def store(self, *drafts):
        return self.posting.store(Batch(drafts))

    def deliver(self):
        """Let the hub take in everything that is not stored yet."""
        for row in list(self.outbox.all_rows()):
            self.hub.store(row.kid, row.stream, row.sequence, row.raw)

    def answer(self, message):
        return self.posting.take(self.hub.sign(message))


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path / "state")
    yield made
    made.outbox.close()


def draft(kid, stream):
    return Draft(kid, stream, lambda n: f"{kid!r} {stream} {n}".encode())


def test_rows_go_out_oldest_first_on_their_topics(bench):
    bench.store(draft(A, "register"), draft(A, "telemetry"), draft(B, "event"))
    bench.posting.send(0)
    assert [leaf for leaf, _ in bench.sent] == ["register", "telemetry", "ack"]
    bench.posting.send(4999)
    assert len(bench.sent) == 3
    bench.posting.send(5000)
    assert bench.sent[3:] == bench.sent[:3], "no receipt came: once more"
    bench.posting.send(10_000)
    assert len(bench.sent) == 6
    bench.posting.send(15_000)
    assert len(bench.sent) == 9


def test_a_broker_that_goes_away_gets_everything_again(bench):
    bench.store(draft(A, "register"), draft(A, "register"))
    bench.is_connected = False
    bench.posting.send(0)
    assert bench.sent == []
    bench.is_connected = True
    bench.posting.send(1)
    assert len(bench.sent) == 2
    bench.posting.send_again()
    bench.posting.send(2)
    assert len(bench.sent) == 4


def test_only_so_many_rows_are_under_way(bench):
    bench.store(*[draft(A, "register") for _ in range(30)])
    drain = Drain(bench.outbox, window_rows=10)
    assert [row.sequence for row in drain.due(0)] == list(range(1, 11))
    assert drain.due(1) == []
    for row in list(bench.outbox.all_rows())[:4]:
        bench.hub.store(row.kid, row.stream, row.sequence, row.raw)
    bench.answer(bench.hub.receipt())
    assert [row.sequence for row in drain.due(2)] == list(range(11, 15))
    assert [row.sequence for row in drain.due(5001)] == list(range(5, 11))


def test_a_receipt_deletes_what_it_proves_and_moves_the_heads(bench):
    bench.store(draft(A, "register"), draft(A, "telemetry"), draft(B, "event"))
    bench.deliver()
    assert bench.answer(bench.hub.receipt()) == Reply()
    assert [row.stream for row in bench.outbox.all_rows()] == ["telemetry"]
    bench.hub.seal()
    bench.answer(bench.hub.receipt({(A, "register"): 2, (B, "event"): 2}))
    assert list(bench.outbox.all_rows()) == []
    (pack, register, event) = sorted(
        bench.posting.stream_heads(), key=lambda head: head.stream, reverse=True
    )
    assert (event.kid, event.final_up_to, event.next_sequence) == (B, 1, 2)
    assert (register.stored_up_to, register.first_held) == (1, 2)
    assert pack.final_up_to == 1
    assert bench.posting.checkpoint == bench.hub.checkpoint()


def test_a_receipt_without_a_checkpoint_stops_resending_and_keeps_the_one_held(bench):
    bench.store(draft(A, "register"))
    bench.deliver()
    bench.answer(bench.hub.receipt())
    held = bench.posting.checkpoint
    bench.store(draft(A, "register"))
    bench.deliver()
    bench.answer(replace(bench.hub.receipt(), checkpoint=""))
    assert bench.outbox.head(A, "register").stored_up_to == 2
    assert bench.outbox.rows == 1
    assert bench.posting.checkpoint == bench.outbox.checkpoint == held
    bench.posting.send(0)
    assert bench.sent == []


def test_a_receipt_that_proves_a_deleted_row_again_still_counts(bench):
    bench.store(draft(A, "register"))
    bench.deliver()
    bench.answer(bench.hub.receipt())
    bench.store(draft(A, "register"))
    bench.deliver()
    assert bench.answer(bench.hub.receipt()) == Reply()
    assert list(bench.outbox.all_rows()) == []


def test_a_receipt_over_rows_that_are_gone_asks_for_another(tmp_path, bench):
    bench.store(draft(A, "register"))
    bench.deliver()
    bench.answer(bench.hub.receipt())
    bench.store(draft(A, "register"))
    bench.deliver()
    bench.outbox.close()
    again = Bench(tmp_path / "state")
    again.hub = bench.hub
    assert again.answer(bench.hub.receipt()) == Reply(hello=True)
    assert again.outbox.rows == 1
    final = again.outbox.head(A, "register").final_up_to
    assert again.answer(bench.hub.receipt({(A, "register"): final + 1})) == Reply()
    assert again.outbox.rows == 0
    again.outbox.close()


def test_a_refusal_makes_a_dead_letter(bench, caplog):
    bench.store(draft(A, "register"), draft(A, "register"))
    bench.answer(bench.hub.refusal(A, "register", 1, "its meter is not enrolled"))
    assert bench.outbox.dead_letters == 1
    assert "will never take register 1 of key 6161616161616161: its meter" in caplog.text
    caplog.clear()
    bench.answer(bench.hub.refusal(A, "register", 1, "its meter is not enrolled"))
    assert caplog.text == ""


def test_what_is_not_the_hubs_or_not_for_us_changes_nothing(bench, caplog):
    bench.store(draft(A, "register"))
    bench.deliver()
    receipt = bench.hub.receipt()
    refusal = bench.hub.refusal(A, "register", 1, "no")
    raw = bench.hub.sign(receipt)
    bench.hub.node = "dep2"
    bench.answer(bench.hub.receipt())
    bench.answer(bench.hub.refusal(A, "register", 1, "no"))
    bench.hub.hub = ed25519("stranger")
    bench.answer(receipt)
    bench.answer(refusal)
    bench.answer(bench.hub.lease(b"n" * 16))
    bench.posting.take(raw[:-1])
    bench.posting.take(b"")
    assert bench.outbox.rows == 1
    assert bench.outbox.dead_letters == 0
    assert bench.outbox.head(A, "register").stored_up_to == 0
    assert len(caplog.records) == 7
    bench.posting.take(raw)
    assert bench.outbox.rows == 0


def test_a_hub_that_is_behind_raises_an_alarm_that_stays(bench, tmp_path, caplog):
    bench.store(draft(A, "register"), draft(A, "register"))
    bench.deliver()
    bench.answer(bench.hub.receipt())
    bench.store(draft(A, "register"))
    old = FakeHub()
    old.store(A, "register", 1, b"b'aaaaaaaa' register 1")
    bench.answer(old.receipt())
    assert bench.posting.alarm.startswith("the hub shows a ledger of 1 entries, it had 2")
    assert "ALARM" in caplog.text
    caplog.clear()
    bench.answer(old.receipt())
    assert caplog.text == "", "it is said once"
    bench.deliver()
    bench.answer(bench.hub.receipt())
    assert bench.outbox.rows == 1, "nothing is deleted any more"
    bench.outbox.close()
    again = Bench(tmp_path / "state")
    assert again.posting.alarm
    again.outbox.forget_checkpoint()
    again.outbox.close()
    calm = Bench(tmp_path / "state")
    assert calm.posting.alarm == ""
    calm.hub = bench.hub
    calm.answer(bench.hub.receipt({(A, "register"): 3}))
    assert calm.outbox.rows == 0
    calm.outbox.close()


def test_numbers_the_hub_has_and_we_never_gave_are_told(bench, caplog):
    bench.store(draft(A, "register"))
    for n in range(1, 4):
        bench.hub.store(A, "register", n, b"of before %d" % n)
    assert bench.answer(bench.hub.receipt({(A, "register"): 4})) == Reply(ahead=((A, "register"),))
    assert "an old copy of the outbox was restored" in caplog.text
    bench.store(draft(A, "register"))
    assert bench.outbox.head(A, "register").next_sequence == 5


def test_while_the_disk_fails_everything_waits_and_nothing_is_lost(bench, monkeypatch, caplog):
    commit, seen = bench.outbox.commit, []

    def fail(batch):
        seen.append(batch)
        raise OutboxFull("outbox.db: the disk is full")

    monkeypatch.setattr(bench.outbox, "commit", fail)
    points = [Point(at_ms, (at_ms,) * 6) for at_ms in (1, 2, 3)]
    caplog.set_level(logging.WARNING)
    assert not bench.posting.store(
        Batch((draft(A, "register"),), {"pv": Register(1, 1)}, (("pv", points[0]),))
    )
    assert not bench.posting.store(
        Batch((draft(A, "telemetry"),), {"pv": Register(2, 2)}, (("pv", points[1]),), (("pv", 1),))
    )
    assert not bench.posting.is_storing
    assert len(caplog.records) == 1, "it is said once"
    monkeypatch.setattr(bench.outbox, "commit", commit)
    assert bench.posting.store(
        Batch((draft(A, "register"),), {"load": Register(3, 3)}, (("pv", points[2]),))
    )
    assert bench.posting.is_storing
    assert "works again; 0 messages were lost" in caplog.text
    assert [(row.stream, row.sequence) for row in bench.outbox.all_rows()] == [
        ("register", 1),
        ("telemetry", 1),
        ("register", 2),
    ]
    assert bench.outbox.registers() == {"pv": Register(2, 2), "load": Register(3, 3)}
    assert bench.outbox.points() == {"pv": points[1:]}
    assert [len(batch.drafts) for batch in seen] == [1, 2]


def test_what_waits_in_memory_is_bounded_and_loses_oldest_telemetry_first(bench, monkeypatch):
    monkeypatch.setattr("edge.posting.WAITING_DRAFTS_MAX", 3)
    commit = bench.outbox.commit

    def fail(batch):
        raise OutboxFull("full")

    monkeypatch.setattr(bench.outbox, "commit", fail)
    for stream in ("register", "telemetry", "telemetry", "register", "register", "register"):
        bench.posting.store(Batch((draft(A, stream),)))
    monkeypatch.setattr(bench.outbox, "commit", commit)
    bench.posting.store(Batch())
    assert [row.stream for row in bench.outbox.all_rows()] == ["register"] * 3


def test_the_journal_lists_every_row_once_whatever_crashed(tmp_path):
    path = tmp_path / "journal.txt"
    outbox = Outbox(tmp_path / "state", 1000)
    rows = outbox.commit(Batch((draft(A, "register"), draft(A, "register"), draft(B, "event"))))
    journal = Journal(path)
    journal.note(rows[:1])
    journal.close()
    whole = path.read_bytes()
    path.write_bytes(whole + b"6161616161616161 register 2 00")  # a torn line
    journal = Journal(path)
    bench = Posting(outbox, log_trust(FakeHub().trust), "dep1", lambda leaf, raw: True, journal)
    bench.store(Batch((draft(A, "register"),)))
    journal.close()
    lines = [line.split() for line in path.read_text().splitlines()]
    assert [(kid, stream, int(n)) for kid, stream, n, _ in lines] == [
        (A.hex(), "register", 1),
        (A.hex(), "register", 2),
        (B.hex(), "event", 1),
        (A.hex(), "register", 3),
    ]
    assert all(len(digest) == 64 for *_, digest in lines)
    outbox.close()
