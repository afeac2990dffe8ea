"""The sequencer admits the next of each stream, once, whatever comes in whatever order."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from hub.intake import Reason, Refused, Verified
from hub.sequencer import (
    WINDOW,
    WINDOWS_MAX,
    Admitted,
    Duplicate,
    Early,
    Equivocation,
    GapNeeded,
    Sequencer,
    as_entry,
    as_pack,
    has_same_content,
)
from messages import cose
from messages.log.tree import leaf_hash
from messages.reading import Reading, sign_reading
from tests.support.signers import ed25519, p256

METER = ed25519("m1")
KID = METER.public.kid


class Shelf:
    """What a store would have: (kid, stream, sequence) -> bytes."""

    def __init__(self) -> None:
        self.rows: dict[tuple[bytes, str, int], bytes] = {}
        self.asked = 0

    def head(self, kid: bytes, stream: str) -> int:
        self.asked += 1
        return max((n for k, s, n in self.rows if (k, s) == (kid, stream)), default=0)

    def stored(self, kid: bytes, stream: str, sequence: int) -> bytes | None:
        return self.rows.get((kid, stream, sequence))

    def put(self, messages: tuple[Verified, ...]) -> None:
        for message in messages:
            self.rows[message.kid, message.stream, message.sequence] = message.raw


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def sequencer(shelf: Shelf) -> Sequencer:
    return Sequencer(shelf.head, shelf.stored)


def message(sequence: int, total: int = 1, kid: bytes = KID, stream: str = "register") -> Verified:
    body = Reading("bench", "m1", sequence, 0, total, None)
    raw = sign_reading(METER, body)
    return Verified(raw, leaf_hash(raw), kid, "m1", "n1", "reading", stream, sequence, 1, 0, body)


def refused(sequence: int) -> Refused:
    return Refused(Reason.OFF_SLOT_EDGE, "no edge", "n1", KID, "register", sequence, 1)


def test_the_next_is_admitted(sequencer: Sequencer) -> None:
    first, second = message(1), message(2)
    assert sequencer.admit(first) == Admitted((first,))
    assert sequencer.admit(second) == Admitted((second,))
    assert sequencer.expected((KID, "register")) == 3


def test_streams_and_keys_count_by_themselves(sequencer: Sequencer) -> None:
    for one in (message(1), message(1, stream="event"), message(1, kid=b"other key")):
        assert sequencer.admit(one) == Admitted((one,))


def test_it_goes_on_from_what_is_stored(sequencer: Sequencer, shelf: Shelf) -> None:
    shelf.put(tuple(message(number) for number in range(1, 6)))
    assert isinstance(sequencer.admit(message(5)), Duplicate)
    assert isinstance(sequencer.admit(message(6)), Admitted)
    assert isinstance(sequencer.admit(message(7)), Admitted)
    assert shelf.asked == 1


def test_a_key_begins_where_its_entry_says(sequencer: Sequencer) -> None:
    first = replace(message(40), first_sequence=40)
    assert isinstance(sequencer.admit(replace(message(39), first_sequence=40)), Duplicate)
    assert sequencer.admit(first) == Admitted((first,))


@pytest.mark.parametrize("is_committed", [True, False])
def test_the_same_again_is_a_duplicate(
    sequencer: Sequencer, shelf: Shelf, is_committed: bool
) -> None:
    """Also within one batch, before anything is stored."""
    first = message(1)
    sequencer.admit(first)
    if is_committed:
        shelf.put((first,))
        sequencer.committed()
    assert sequencer.admit(first) == Duplicate(first)


@pytest.mark.parametrize("is_committed", [True, False])
def test_another_content_for_a_place_is_evidence(
    sequencer: Sequencer, shelf: Shelf, is_committed: bool
) -> None:
    first, second = message(1), message(1, total=2)
    sequencer.admit(first)
    if is_committed:
        shelf.put((first,))
        sequencer.committed()
    assert sequencer.admit(second) == Equivocation(second, first.raw)
    assert isinstance(sequencer.admit(message(2)), Admitted)


def test_another_signature_of_one_content_is_no_evidence(
    sequencer: Sequencer, shelf: Shelf
) -> None:
    chip = p256("m2")
    one, other = (sign_reading(chip, Reading("b", "m2", 1, 0, 1, None)) for _ in range(2))
    assert one != other  # ES256 signs with fresh randomness
    assert has_same_content(one, other)
    shelf.rows[KID, "register", 1] = one
    again = replace(message(1), raw=other)
    assert sequencer.admit(again) == Duplicate(again)
    assert not has_same_content(one, b"not a message")


def test_early_ones_wait_for_what_is_missing(sequencer: Sequencer) -> None:
    first, second, third, fifth = (message(number) for number in (1, 2, 3, 5))
    assert sequencer.admit(third) == Early(third, 1, is_held=True)
    assert sequencer.admit(second) == Early(second, 1, is_held=True)
    assert sequencer.admit(fifth) == Early(fifth, 1, is_held=True)
    assert sequencer.admit(third) == Early(third, 1, is_held=True)
    assert sequencer.admit(first) == Admitted((first, second, third))
    assert sequencer.admit(message(4)) == Admitted((message(4), fifth))


def test_two_contents_for_a_waiting_place_are_evidence(sequencer: Sequencer) -> None:
    held, other = message(3), message(3, total=9)
    sequencer.admit(held)
    assert sequencer.admit(other) == Equivocation(other, held.raw)


def test_the_window_is_small(sequencer: Sequencer) -> None:
    inside, outside = message(1 + WINDOW), message(2 + WINDOW)
    assert sequencer.admit(inside) == Early(inside, 1, is_held=True)
    assert sequencer.admit(outside) == Early(outside, 1, is_held=False)


def test_all_windows_together_are_bounded(sequencer: Sequencer) -> None:
    one = message(2)
    for number in range(WINDOWS_MAX):
        verdict = sequencer.admit(replace(one, kid=b"%08d" % number))
        assert isinstance(verdict, Early)
        assert verdict.is_held
    late = sequencer.admit(replace(one, kid=b"one more"))
    assert late == Early(replace(one, kid=b"one more"), 1, is_held=False)
    first = replace(message(1), kid=b"%08d" % 7)
    assert len(sequencer.admit(first).messages) == 2  # type: ignore[union-attr]
    assert sequencer.admit(replace(one, kid=b"one more")).is_held  # type: ignore[union-attr]


def test_what_can_never_be_admitted_asks_for_a_gap_in_its_turn(sequencer: Sequencer) -> None:
    first, third = message(1), message(3)
    assert sequencer.admit(refused(2)) == Early(refused(2), 1, is_held=False)
    sequencer.admit(first)
    sequencer.admit(third)
    assert sequencer.admit(refused(2)) == GapNeeded(refused(2))
    assert sequencer.admit(refused(2)) == GapNeeded(refused(2))  # until the gap is appended
    assert sequencer.skip((KID, "register"), 2) == (third,)
    assert sequencer.admit(refused(2)) == Duplicate(refused(2))
    assert isinstance(sequencer.admit(message(2)), Duplicate)
    assert sequencer.skip((KID, "register"), 3) == ()
    assert isinstance(sequencer.admit(message(4)), Admitted)


def test_a_gap_over_what_waits_drops_it(sequencer: Sequencer) -> None:
    sequencer.admit(message(3))
    assert sequencer.skip((KID, "register"), 4) == ()
    assert sequencer.expected((KID, "register")) == 5
    assert sequencer.admit(message(5)) == Admitted((message(5),))


def test_what_was_not_stored_is_admitted_again(sequencer: Sequencer, shelf: Shelf) -> None:
    shelf.put((message(1),))
    second = message(2)
    assert isinstance(sequencer.admit(second), Admitted)
    sequencer.admit(message(4))
    sequencer.forget()  # the append failed
    assert sequencer.admit(second) == Admitted((second,))
    assert sequencer.admit(message(3)) == Admitted((message(3),))


def test_live_samples_only_go_forward(sequencer: Sequencer) -> None:
    assert sequencer.newest_live(KID) == 0
    assert [sequencer.is_fresh(message(number)) for number in (3, 3, 2, 4)] == [
        True,
        False,
        False,
        True,
    ]
    assert sequencer.newest_live(KID) == 4


def test_any_order_with_repeats_gives_one_order(shelf: Shelf) -> None:
    """Whatever the network does, the log is that of an undisturbed run."""
    chooser = random.Random(20261121)
    for _ in range(30):
        sequencer = Sequencer(shelf.head, shelf.stored)
        shelf.rows.clear()
        admitted: list[int] = []
        outbox = list(range(1, 31))
        while outbox:
            near = outbox[: WINDOW // 2]
            for number in chooser.choices(near, k=5):
                verdict = sequencer.admit(message(number))
                if isinstance(verdict, Admitted):
                    shelf.put(verdict.messages)
                    admitted += [found.sequence for found in verdict.messages]
            if chooser.random() < 0.1:
                sequencer.forget()  # a restart: what waited is sent again
            sequencer.committed()
            outbox = [number for number in outbox if number not in admitted]
        assert admitted == list(range(1, 31))


def test_what_was_admitted_as_the_store_takes_it() -> None:
    one = message(3)
    entry = as_entry(one)
    assert (entry.raw, entry.kid, entry.stream, entry.sequence) == (one.raw, KID, "register", 3)
    call = as_entry(replace(one, kind="call", stream="call", sequence=0))
    assert (call.kind, call.stream, call.sequence) == ("call", "", None)
    pack = as_pack(replace(one, at_ms=99))
    assert (pack.raw, pack.kid, pack.sequence, pack.at_ms) == (one.raw, KID, 3, 99)
    assert cose.parse(pack.raw).kid == KID
