"""A key whose token is pulled: what it signs waits in order, and nothing else waits with it."""

import logging
import sqlite3

import pytest

from edge.agent import Point
from edge.errors import KeyAway, OutboxFull
from edge.outbox import Outbox
from edge.outbox_records import Batch, Draft
from edge.posting import AWAY, Posting
from edge.receipts import log_trust
from edge.register import Register
from keys.errors import PinRefused, StoreUnavailable
from tests.support.edge_hub import FakeHub

A, B = b"a" * 8, b"b" * 8
GONE = "pkcs11:token=site;object=pv: no such token is plugged in"


class Token:
    """What signs for one key while it is plugged in."""

    def __init__(self):
        self.fault = None
        self.asked = 0

    def draft(self, n, stream="register", meter_id=""):
        def sign(sequence):
            self.asked += 1
            if self.fault is not None:
                raise self.fault
            return f"{stream} {n} as {sequence}".encode()

        return Draft(A, stream, sign, meter_id)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def token():
    return Token()


@pytest.fixture
def outbox(folder):
    made = Outbox(folder, 1000)
    yield made
    made.close()


@pytest.fixture
def posting(outbox):
    return Posting(outbox, log_trust(FakeHub().trust), "dep1", lambda *_: True)


def other(n):
    return Draft(B, "register", lambda sequence: f"other {n} as {sequence}".encode())


def raws(outbox):
    return [row.raw.decode() for row in outbox.all_rows()]


def fact(folder):
    connection = sqlite3.connect(folder / "outbox.db")
    found = connection.execute("SELECT value FROM fact WHERE name = ?", (AWAY,)).fetchone()
    connection.close()
    return found[0] if found else None


def test_what_other_keys_sign_goes_on_and_all_is_signed_in_order_later(
    posting, outbox, folder, token, caplog
):
    assert posting.store(Batch((token.draft(1), other(1))))
    token.fault = StoreUnavailable(GONE)
    for n in (2, 3):
        assert not posting.store(Batch((token.draft(n), other(n))))
    assert raws(outbox) == ["register 1 as 1", "other 1 as 1", "other 2 as 2", "other 3 as 3"]
    assert posting.is_away(A)
    assert posting.is_storing
    assert (posting.trouble, fact(folder)) == (GONE, GONE)
    asked = token.asked
    posting.store(Batch((other(4),)))
    assert token.asked == asked, "a token is not asked with each sample"
    caplog.clear()
    with caplog.at_level(logging.INFO, "edge.posting"):
        posting.look_for_keys()
        assert caplog.messages == [], "it was said once"
        token.fault = None
        posting.look_for_keys()
    assert "is back, and signed what waited" in caplog.text
    assert raws(outbox)[-2:] == ["register 2 as 2", "register 3 as 3"]
    assert (posting.trouble, fact(folder), posting.is_away(A)) == ("", None, False)
    assert posting.store(Batch((token.draft(4),)))
    assert raws(outbox)[-1] == "register 4 as 4"


def test_what_was_counted_is_on_disk_before_the_key_is_back(posting, outbox, folder, token):
    token.fault = StoreUnavailable(GONE)
    point = Point(7, (1, 2, 3, 4, 5, 6))
    registers = {"pv": Register(import_uwh=11, export_uwh=12, at_ms=7)}
    posting.store(Batch((token.draft(1),), registers, (("pv", point),)))
    pack = token.draft(1, "telemetry", "pv")
    posting.store(Batch((pack,), registers, packed=(("pv", 7),)))
    outbox.close()
    again = Outbox(folder, 1000)
    assert again.registers() == registers
    assert again.points() == {"pv": [point]}, "they wait for a pack that is signed"
    again.close()


def test_points_leave_with_their_pack_and_those_of_others_at_once(posting, outbox, token):
    points = tuple((name, Point(7, (1, 2, 3, 4, 5, 6))) for name in ("pv", "load"))
    posting.store(Batch(points=points))
    token.fault = StoreUnavailable(GONE)
    packs = (token.draft(1, "telemetry", "pv"), Draft(B, "telemetry", lambda n: b"x", "load"))
    posting.store(Batch(packs, packed=(("pv", 7), ("load", 7))))
    assert set(outbox.points()) == {"pv"}
    token.fault = None
    posting.look_for_keys()
    assert outbox.points() == {}


def test_a_key_that_a_live_sample_missed_is_known_to_be_away(posting, outbox, folder, token):
    posting.miss(A, GONE)
    posting.store(Batch((token.draft(1),)))
    assert (token.asked, raws(outbox), fact(folder)) == (0, [], GONE)
    posting.look_for_keys()
    assert raws(outbox) == ["register 1 as 1"]


def test_a_pin_that_is_refused_ends_the_agent(posting, token):
    token.fault = StoreUnavailable(GONE)
    posting.store(Batch((token.draft(1),)))
    token.fault = PinRefused("not tried again")
    with pytest.raises(PinRefused):
        posting.look_for_keys()


def test_a_disk_that_fails_meanwhile_loses_nothing(posting, outbox, token, monkeypatch):
    token.fault = StoreUnavailable(GONE)
    posting.store(Batch((token.draft(1), other(1))))
    real = outbox.commit

    def full(batch):
        raise OutboxFull("the disk is full")

    monkeypatch.setattr(outbox, "commit", full)
    assert not posting.store(Batch((token.draft(2), other(2))))
    assert not posting.is_storing
    monkeypatch.setattr(outbox, "commit", real)
    token.fault = None
    posting.look_for_keys()
    assert raws(outbox) == ["other 1 as 1", "register 1 as 1", "register 2 as 2", "other 2 as 2"]
    assert posting.is_storing


def test_a_word_of_a_start_before_is_taken_back(outbox, folder):
    outbox.note(AWAY, GONE)
    Posting(outbox, log_trust(FakeHub().trust), "dep1", lambda *_: True)
    assert fact(folder) is None


def test_nothing_is_half_stored_when_a_key_is_away(outbox, token):
    token.fault = StoreUnavailable(GONE)
    with pytest.raises(KeyAway) as caught:
        outbox.commit(Batch((other(1), token.draft(1))))
    assert caught.value.kid == A
    assert (raws(outbox), outbox.heads()) == ([], {})
