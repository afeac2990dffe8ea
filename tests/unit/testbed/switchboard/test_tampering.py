"""What somebody on the line does to messages, packet by packet."""

from __future__ import annotations

import pytest

from hub.intake import MESSAGE_BYTES_MAX
from messages import topics
from testbed.switchboard.packets import parse_publish, puback, publish
from testbed.switchboard.tampering import FLOOD, RUBBISH, Sent, Tampering

REGISTER = topics.up("bench", "dep1", "register")
LEASE = topics.down("bench", "dep1", "lease")
PING = bytes.fromhex("c000")
STOLEN = (b"first of the copy", b"second of the copy")


@pytest.fixture
def tampering() -> Tampering:
    return Tampering("bench", "dep1", lambda: STOLEN)


def reading(number: int) -> bytes:
    """A register message as an agent publishes it, with QoS 1."""
    topic = REGISTER.encode()
    body = len(topic).to_bytes(2, "big") + topic + number.to_bytes(2, "big") + b"reading%d" % number
    return bytes((0x32, len(body))) + body


def copy(number: int) -> bytes:
    return publish(REGISTER, b"reading%d" % number)


def test_nothing_is_changed_and_nothing_added_while_nothing_is_on(tampering: Tampering) -> None:
    for packet in (PING, reading(1), publish(REGISTER, b"")):
        assert tampering.upward(packet) == Sent([packet], [])
        assert tampering.downward(packet) == Sent([], [packet])
    assert tampering.each_second() == Sent([], [])


def test_a_duplicate_follows_each_message_and_nothing_else(tampering: Tampering) -> None:
    tampering.on.add("duplicate")
    assert tampering.upward(reading(1)) == Sent([reading(1), copy(1)], [])
    assert tampering.upward(PING) == Sent([PING], [])


def test_a_flood_is_fifty_times_more(tampering: Tampering) -> None:
    tampering.on.add("flood")
    assert tampering.upward(reading(1)) == Sent([reading(1), *[copy(1)] * FLOOD], [])


def test_two_messages_change_places_and_a_lonely_one_goes_on_by_itself(
    tampering: Tampering,
) -> None:
    tampering.on.add("reorder")
    assert tampering.upward(reading(1)) == Sent([], [])
    assert tampering.upward(reading(2)) == Sent([reading(2), reading(1)], [])
    assert tampering.upward(reading(3)) == Sent([], [])
    assert tampering.each_second() == Sent([reading(3)], [])


def test_what_is_held_goes_on_when_the_fault_ends(tampering: Tampering) -> None:
    tampering.on.add("reorder")
    tampering.upward(reading(1))
    tampering.on.clear()
    assert tampering.upward(reading(2)) == Sent([reading(2)], [])
    assert tampering.each_second() == Sent([reading(1)], [])


def test_every_second_message_is_acknowledged_and_lost(tampering: Tampering) -> None:
    tampering.on.add("lossy")
    assert tampering.upward(reading(1)) == Sent([reading(1)], [])
    assert tampering.upward(reading(2)) == Sent([], [puback(2)])
    assert tampering.upward(copy(3)) == Sent([copy(3)], [])  # nobody waits for its word
    assert tampering.upward(reading(4)) == Sent([reading(4)], [])


def test_an_old_reading_comes_again_and_a_live_sample_never(tampering: Tampering) -> None:
    tampering.on.add("replay")
    assert tampering.each_second() == Sent([], [])
    tampering.upward(publish(topics.up("bench", "dep1", "live"), b"live"))
    assert tampering.each_second() == Sent([], [])
    tampering.upward(reading(1))
    assert tampering.each_second() == Sent([copy(1)], [])


def test_a_forgery_differs_in_one_bit_of_the_signature(tampering: Tampering) -> None:
    tampering.on.add("forged")
    tampering.upward(reading(1))
    (packet,) = tampering.each_second().to_broker
    found = parse_publish(packet)
    assert found is not None
    assert found.payload[:-1] == b"reading"
    assert found.payload[-1] ^ b"1"[0] == 1


def test_rubbish_comes_in_every_kind_and_one_is_too_large(tampering: Tampering) -> None:
    tampering.on.add("malformed")
    found = [parse_publish(packet) for _ in RUBBISH for packet in tampering.each_second().to_broker]
    assert {each.payload for each in found if each is not None} == set(RUBBISH)
    assert {each.topic for each in found if each is not None} == {REGISTER}
    assert max(map(len, RUBBISH)) > MESSAGE_BYTES_MAX


def test_a_copy_of_the_keys_signs_in_the_node_s_name(tampering: Tampering) -> None:
    tampering.on.add("clone")
    found = [parse_publish(tampering.each_second().to_broker[0]) for _ in range(3)]
    assert [each.payload for each in found if each is not None] == [STOLEN[1], STOLEN[0], STOLEN[1]]


def test_leases_come_again_but_never_the_newest(tampering: Tampering) -> None:
    tampering.on.add("old_leases")
    for number in (1, 2, 3):
        tampering.downward(publish(LEASE, b"lease%d" % number))
    tampering.downward(publish(topics.down("bench", "dep1", "beacon"), b"beacon"))
    assert tampering.each_second() == Sent(
        [], [publish(LEASE, b"lease1"), publish(LEASE, b"lease2")]
    )


def test_faults_add_up(tampering: Tampering) -> None:
    tampering.on |= {"forged", "clone", "replay"}
    tampering.upward(reading(1))
    assert len(tampering.each_second().to_broker) == 3
