"""Modbus frames: a reply is found by what fits, and what does not fit is named."""

from __future__ import annotations

import pytest

from hardware.buses.modbus_frames import (
    IDENTIFY,
    Request,
    RtuFraming,
    TcpFraming,
    crc,
    is_exception,
    shown,
)
from hardware.errors import BadChecksum, UnexpectedReply

READ = Request(1, 4, bytes.fromhex("0000 0002"), 5, b"\x04", "read")
REPLY = bytes.fromhex("01 04 04 43 66 33 34 1b 38")
PDU = REPLY[1:-2]
COIL = Request(1, 5, bytes.fromhex("0000 ff00"), 4, bytes.fromhex("0000 ff00"), "write coil")
COIL_FRAME = bytes.fromhex("01 05 00 00 ff 00 8c 3a")
OBJECTS = Request(1, IDENTIFY, b"\x0e\x01\x00", None, b"\x0e\x01", "identify")


def framed(head: str) -> bytes:
    frame = bytes.fromhex(head)
    return frame + crc(frame)


def test_frames_are_those_of_captures():
    assert RtuFraming().frame(READ) == bytes.fromhex("01 04 00 00 00 02 71 cb")
    assert RtuFraming().frame(COIL) == COIL_FRAME


@pytest.mark.parametrize(
    "before",
    [
        "",
        "00",
        "00 00 00",
        "01",
        "01 04",
        "01 04 04 43",
        "ff 01 04 04 00 00 00 00 12 34",
        "01 04 00 00 00 02 71 cb",
        "02 04 04 43 66 33 34 1e 38",
        "01 04 02 43 66 09 da",
    ],
    ids=[
        "nothing",
        "a stray zero",
        "zeros",
        "the id",
        "the beginning",
        "half of an earlier reply",
        "a damaged reply",
        "an echo",
        "the reply of another device",
        "a shorter reply",
    ],
)
def test_a_reply_is_found_behind(before):
    assert RtuFraming().find(READ, bytes.fromhex(before) + REPLY) == PDU
    assert RtuFraming().find(READ, bytes.fromhex(before) + REPLY + b"\0\xff") == PDU


def test_a_reply_is_found_when_its_last_byte_has_come_and_not_before():
    for size in range(len(REPLY)):
        assert RtuFraming().find(READ, REPLY[:size]) is None
    assert RtuFraming().find(READ, REPLY) == PDU


def test_every_flipped_bit_is_refused():
    for bit in range(8 * len(REPLY)):
        flipped = int.from_bytes(REPLY, "big") ^ 1 << bit
        assert RtuFraming().find(READ, flipped.to_bytes(len(REPLY), "big")) is None


def test_an_exception_is_a_reply():
    pdu = RtuFraming().find(READ, framed("01 84 02"))
    assert pdu == b"\x84\x02"
    assert is_exception(pdu)
    assert not is_exception(PDU)


def test_the_echo_of_a_write_is_no_reply_once_an_echo_was_seen():
    framing = RtuFraming()
    assert framing.find(COIL, COIL_FRAME) == COIL_FRAME[1:-2], "nothing tells them apart yet"
    assert framing.find(READ, framing.frame(READ) + REPLY) == PDU
    assert framing.echoes
    assert framing.find(COIL, COIL_FRAME) is None
    assert "only the request came back" in str(framing.failure(COIL, COIL_FRAME))
    assert framing.find(COIL, COIL_FRAME + COIL_FRAME) == COIL_FRAME[1:-2]
    assert framing.find(READ, REPLY) == PDU
    assert not framing.echoes


@pytest.mark.parametrize(
    ("heard", "kind", "says"),
    [
        (framed("02 04 04 43 66 33 34"), UnexpectedReply, "a reply of device 2, want one of 1"),
        (framed("01 03 04 43 66 33 34"), UnexpectedReply, "a reply to function 3, want one to 4"),
        (framed("01 83 02"), UnexpectedReply, "a reply to function 3, want one to 4"),
        (framed("01 04 02 43 66"), UnexpectedReply, "a reply of 3 bytes, want 5: 04 02 43 66"),
        (b"\0" + framed("02 84 02"), UnexpectedReply, "a reply of device 2, want one of 1"),
        (REPLY[:4], BadChecksum, "4 bytes but no valid reply: 01 04 04 43"),
        (b"\xff" * 40, BadChecksum, "40 bytes but no valid reply: ff .* and 16 more"),
    ],
    ids=["id", "function", "exception", "length", "id behind a zero", "half", "noise"],
)
def test_what_is_no_reply_is_named(heard, kind, says):
    framing = RtuFraming()
    assert framing.find(READ, heard) is None
    failure = framing.failure(READ, heard)
    assert type(failure) is kind
    with pytest.raises(kind, match=says):
        raise failure


def test_a_write_that_repeats_another_request_is_named():
    other = framed("01 05 00 01 ff 00")
    framing = RtuFraming()
    assert framing.find(COIL, other) is None
    assert "a reply that repeats another request: 05 00 01" in str(framing.failure(COIL, other))


def test_only_a_damaged_reply_is_given_up_early():
    """Behind noise, an echo or another's frame the reply may still come."""
    framing = RtuFraming()
    damaged = REPLY[:-1] + b"\0"
    for heard, is_spoilt in [
        (damaged, True),
        (b"\0" + damaged, True),
        (framing.frame(READ) + damaged, True),
        (damaged[:-1], False),
        (b"\xff" * 20, False),
        (framing.frame(READ), False),
        (framed("02 04 04 43 66 33 34"), False),
        (framed("01 04 08 43 66 33 34 00 00 00 00"), False),
    ]:
        assert framing.is_spoilt(READ, heard) is is_spoilt, shown(heard)


def test_a_list_of_objects_is_as_long_as_it_says():
    reply = framed("01 2b 0e 01 01 00 00 02 00 03 41 42 43 01 01 44")
    for size in range(len(reply)):
        assert RtuFraming().find(OBJECTS, reply[:size]) is None
    assert RtuFraming().find(OBJECTS, reply) == reply[1:-2]
    named = RtuFraming().failure(READ, reply)
    assert "a reply to function 43, want one to 4" in str(named)


class TestTcp:
    def test_each_request_has_a_number_of_its_own(self):
        framing = TcpFraming()
        frames = [framing.frame(READ) for _ in range(3)]
        assert [frame[:2].hex() for frame in frames] == ["0001", "0002", "0003"]
        assert frames[0][2:].hex(" ") == "00 00 00 06 01 04 00 00 00 02"

    def test_numbers_begin_again_at_their_end_and_are_never_zero(self):
        framing = TcpFraming(0xFFFF)
        assert framing.frame(READ)[:2] == b"\0\x01"

    def test_the_reply_to_an_earlier_request_is_passed_over(self):
        framing = TcpFraming()
        framing.frame(READ)
        framing.frame(READ)
        late, now = (bytes([0, n, 0, 0, 0, 7, 1]) + PDU for n in (1, 2))
        assert framing.find(READ, late) is None
        assert "a reply to request 1, want 2" in str(framing.failure(READ, late))
        for size in range(len(now)):
            assert framing.find(READ, late + now[:size]) is None
        assert framing.find(READ, late + now) == PDU

    @pytest.mark.parametrize(
        ("heard", "says"),
        [
            ("0001 0001 0007 01 04 04 43663334", "no Modbus TCP frame: 00 01 00 01"),
            ("0001 0000 0001 01 04", "no Modbus TCP frame"),
            ("0001 0000 00FF 01 04", "no Modbus TCP frame"),
            ("0001 0000 0007 02 04 04 43663334", "a reply of device 2, want one of 1"),
            ("0001 0000 0007 01 03 04 43663334", "a reply to function 3, want one to 4"),
            ("0001 0000 0005 01 04 02 4366", "a reply of 3 bytes, want 5"),
        ],
        ids=["protocol", "too short", "too long", "id", "function", "length"],
    )
    def test_what_answers_something_else_is_refused_at_once(self, heard, says):
        framing = TcpFraming()
        framing.frame(READ)
        with pytest.raises(UnexpectedReply, match=says):
            framing.find(READ, bytes.fromhex(heard))

    def test_half_a_frame_is_no_reply(self):
        framing = TcpFraming()
        assert not framing.is_spoilt(READ, b"\0" * 300)
        failure = framing.failure(READ, b"\0\x01\0\0")
        assert type(failure) is BadChecksum
        assert str(failure) == "4 bytes but no valid reply: 00 01 00 00"
