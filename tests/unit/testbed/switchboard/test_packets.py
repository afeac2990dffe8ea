"""MQTT packets are cut where they end, however the bytes come."""

from __future__ import annotations

from io import BytesIO

import pytest

from testbed.switchboard.packets import Packets, Publish, connect, parse_publish, puback, publish

PACKETS = [
    publish("gridtally/bench/dep1/up/live", b"x" * size) for size in (0, 1, 90, 97, 98, 20_000)
]
PUBACK = bytes.fromhex("40020102")
QOS_1 = bytes.fromhex("320a0003612f6201026e6f77")  # a/b, packet 258, "now"


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1_000, 100_000])
def test_packets_come_out_whole_whatever_the_chunks(step: int) -> None:
    packets = [*PACKETS, PUBACK, QOS_1]
    stream, found, cut = BytesIO(b"".join(packets)), [], Packets()
    while chunk := stream.read(step):
        found += cut.feed(chunk)
    assert found == packets


def test_an_unfinished_packet_waits() -> None:
    cut = Packets()
    assert [*cut.feed(QOS_1[:-1])] == []
    assert [*cut.feed(QOS_1[-1:])] == [QOS_1]


def test_what_is_published_is_read_back() -> None:
    assert parse_publish(publish("a/b", b"\0\xff")) == Publish("a/b", b"\0\xff")
    assert parse_publish(QOS_1) == Publish("a/b", b"now", 258)
    assert Publish("a/b", b"").leaf == "b"
    assert parse_publish(PUBACK) is None


def test_an_acknowledgement_names_its_packet() -> None:
    assert puback(258) == PUBACK


def test_a_connect_is_what_a_client_would_send() -> None:
    parts = (
        "10 1b",  # CONNECT, 27 bytes follow
        "00 04 4d 51 54 54",  # "MQTT"
        "04",  # version 3.1.1
        "c2",  # user name, password, clean session
        "00 14",  # 20 s
        "00 03 68 75 62",  # client id "hub"
        "00 03 68 75 62",  # user name "hub"
        "00 05 67 75 65 73 73",  # password "guess"
    )
    assert connect("hub", "guess") == bytes.fromhex(" ".join(parts))
