"""Caught Modbus frames: three framings told apart, and every damage named."""

from __future__ import annotations

import pytest

from edge.commissioning.errors import BadFrame
from edge.commissioning.frames import PDU, RTU, TCP, parse_hex, parse_reply, parse_request
from hardware.buses.modbus_frames import crc

ASKED = "01 04 00 00 00 02 71 CB"
ANSWERED = "01 04 04 43 66 33 34 1B 38"


def request(text):
    return parse_request(parse_hex(text, "request"))


def reply(text, to=ASKED):
    return parse_reply(parse_hex(text, "reply"), None if to is None else request(to))


def rtu(text):
    raw = bytes.fromhex(text)
    return (raw + crc(raw)).hex(" ")


@pytest.mark.parametrize(
    "text", ["01 04 00", "010400", "01,04:00", "0x01 0x04 0x00", " 01\t0400\n"]
)
def test_hex_may_be_written_in_many_ways(text):
    assert parse_hex(text, "request") == b"\x01\x04\x00"


@pytest.mark.parametrize(
    ("text", "why"), [("01 0", "3 hex digits"), ("", "0 hex"), ("01 0g", "'g'")]
)
def test_what_is_no_hex_is_named(text, why):
    with pytest.raises(BadFrame, match=f"^request: .*{why}"):
        parse_hex(text, "request")


@pytest.mark.parametrize(
    ("text", "framing", "unit", "function"),
    [
        (ASKED, RTU, 1, 4),
        ("00 07 00 00 00 06 11 03 9C 40 00 02", TCP, 0x11, 3),
        ("00 00 00 00 00 06 01 03 9C 40 00 02", TCP, 1, 3),
        ("03 9C 40 00 02", PDU, None, 3),
        ("42", PDU, None, 0x42),
        ("01 42 80 11", RTU, 1, 0x42),
        ("01 2B 0E 01 00 70 77", RTU, 1, 0x2B),
        ("FF 0F 00 00 00 08 01 FF 30 1D", RTU, 255, 15),
        ("10 00 14 00 02 04 42 70 00 00", PDU, None, 16),
        (rtu("01 41 37 21"), RTU, 1, 0x41),
    ],
)
def test_framings_are_told_apart(text, framing, unit, function):
    message = request(text)
    assert (message.framing, message.unit, message.function) == (framing, unit, function)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("01 03 00 00 00 14 C4 0B", "request: CRC is C4 0B, want 45 C5"),
        ("01 10 00 14 00 02 04 42 70 00 00 67 D5", "request: CRC is 67 D5, want E6 F3"),
        ("01 04 00 00 00 02 71", "request: length: 7 bytes, want 8: its end is missing"),
        ("01 04 00 00 00 02 71 CB 00", "length: 6 bytes from the function code on, want 5"),
        ("01 04 00 00 00 02 71 CB 01", "request: length: 9 bytes, want 8"),
        ("01", "request: length: 1 bytes, want 4: its end is missing"),
        ("00 07 00 00 00 06 11 03 9C 40 00", "request: length: the header says 6 bytes, 5 follow"),
        (rtu("01 04 00 00 00 02 00"), "length: 6 bytes from the function code on, want 5"),
        ("00 07 00 00 00 05 11 03 9C 40 00", "length: 4 bytes from the function code on, want 5"),
    ],
)
def test_a_damaged_request_is_named(text, why):
    with pytest.raises(BadFrame) as error:
        request(text)
    assert why in str(error.value)


def test_stray_zeros_before_a_whole_frame_are_dropped():
    assert reply("00 01 04 04 43 66 B3 33 3B 3A").stray == 1
    assert reply("00 00 " + ANSWERED).stray == 2
    assert reply(ANSWERED).stray == 0


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "00 01 04 04 43 66 B3 33 3B",
            "reply: length: 8 bytes after 1 stray zero byte, want 9: its end is missing",
        ),
        ("01 04 04 43 66 33 34 1B 39", "reply: CRC is 1B 39, want 1B 38"),
        ("01 04 04 43 66 33 34 1B", "reply: length: 8 bytes, want 9: its end is missing"),
        (rtu("02 04 04 43 66 33 34"), "reply: is from id 2, want 1"),
        (rtu("01 03 04 43 66 33 34"), "reply: has function 0x03, want 0x04"),
        (rtu("01 04 02 43 66"), "reply: length: holds 2 bytes, want 4 for the 2 registers"),
        (rtu("01 04 04 43 66"), "reply: length: 4 bytes from the function code on, want 6"),
        ("04 04 43 66 33 34", "reply: is framed as bare PDU, want RTU"),
        ("00 01 00 00 00 07 01 04 04 43 66 33 34", "reply: is framed as Modbus TCP, want RTU"),
    ],
)
def test_a_reply_that_does_not_answer_is_named(text, why):
    with pytest.raises(BadFrame) as error:
        reply(text)
    assert why in str(error.value)


def test_every_changed_bit_of_a_reply_is_refused():
    raw = bytes.fromhex(ANSWERED)
    for bit in range(8 * len(raw)):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BadFrame):
            reply(changed.hex())


def test_every_shortened_reply_is_refused():
    raw = bytes.fromhex(ANSWERED)
    for end in range(1, len(raw)):
        with pytest.raises(BadFrame):
            reply(raw[:end].hex())


def test_over_tcp_the_number_must_be_that_of_the_request():
    asked = "00 07 00 00 00 06 01 04 00 00 00 02"
    assert reply("00 07 00 00 00 07 01 04 04 43 66 33 34", asked).body[0] == 4
    with pytest.raises(BadFrame, match="has transaction 8, want 7"):
        reply("00 08 00 00 00 07 01 04 04 43 66 33 34", asked)
    with pytest.raises(BadFrame, match="the header says 7 bytes, 6 follow"):
        reply("00 07 00 00 00 07 01 04 04 43 66 33", asked)


def test_a_bare_pdu_has_nothing_but_its_length():
    assert reply("03 04 53 75 6E 53", "03 9C 40 00 02").body == b"\x04SunS"
    with pytest.raises(BadFrame, match="length: 5 bytes, want 6 for a bare PDU"):
        reply("03 04 53 75 6E", "03 9C 40 00 02")


def test_an_exception_answers_the_function_it_refuses():
    assert reply("01 90 01 8D C0", "01 10 00 14 00 02 04 42 70 00 00 E6 F3").function == 0x90
    with pytest.raises(BadFrame, match="has function 0x90, want 0x04"):
        reply("01 90 01 8D C0")


def test_a_write_must_be_repeated():
    asked = "01 05 00 02 FF 00 2D FA"
    assert reply(asked, asked).body == bytes.fromhex("0002FF00")
    with pytest.raises(BadFrame, match=r"repeats 00 03 FF 00, want the 00 02 FF 00"):
        reply(rtu("01 05 00 03 FF 00"), asked)


def test_a_reply_without_its_request_is_checked_by_itself():
    assert reply(ANSWERED, None).framing == RTU
    assert reply("03 04 53 75 6E 53", None).framing == PDU
    with pytest.raises(BadFrame, match="reply: CRC"):
        reply("01 04 04 43 66 33 34 1B 39", None)
