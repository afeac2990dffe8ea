"""VE.Direct HEX: frames, registers and their values."""

from __future__ import annotations

from fractions import Fraction

import pytest

from hardware import errors
from hardware.vedirect import frames, registers
from hardware.vedirect.frames import Frame
from tests.support.vectors import vectors

VECTORS = vectors("vedirect_hex")


def framed(rows):
    return [pytest.param(row, id=row["frame"]) for row in rows]


@pytest.mark.parametrize("row", framed(VECTORS["frames"]))
def test_a_known_frame_says_what_it_is_known_to_say(row):
    frame = frames.read(row["frame"])
    shown = registers.describe_frame(frame)
    assert {key: shown[key] for key in row["expect"]} == row["expect"]


@pytest.mark.parametrize("row", framed(VECTORS["frames"]))
def test_a_known_frame_is_written_as_it_was(row):
    frame = frames.read(row["frame"])
    assert str(frame) == row["frame"]
    assert frames.write(frame) == row["frame"].encode() + b"\n"


@pytest.mark.parametrize("row", framed(VECTORS["negative"]))
def test_a_frame_with_a_wrong_check_byte_is_refused_by_name(row):
    with pytest.raises(getattr(errors, row["error"]), match=row["says"]):
        frames.read(row["frame"])


@pytest.mark.parametrize("row", framed(VECTORS["frames"]))
def test_a_frame_with_any_digit_changed_or_lost_is_refused(row):
    digits = row["frame"][1:]
    for at in range(len(digits)):
        for other in "0123456789ABCDEFG":
            if other != digits[at]:
                with pytest.raises(errors.BadChecksum):
                    frames.read_digits((digits[:at] + other + digits[at + 1 :]).encode())
        with pytest.raises(errors.BadChecksum):
            frames.read_digits((digits[:at] + digits[at + 1 :]).encode())


@pytest.mark.parametrize("text", ["", ":", ":1", ":15", ":1540", ":15 4 ", ":XYZ"])
def test_what_is_no_frame_is_refused(text):
    if text == ":15 4 ":
        assert frames.read(text) == Frame(frames.PING)
        return
    with pytest.raises(errors.BadChecksum):
        frames.read(text)


def test_a_frame_may_be_typed_with_spaces_and_in_small_letters():
    assert frames.read("7 db ed 00 9e 16 d2\n") == frames.read(":7DBED009E16D2")


def test_small_letters_on_a_line_are_no_frame():
    with pytest.raises(errors.BadChecksum, match="upper-case"):
        frames.read_digits(b"7dbed009e16d2")


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (frames.get(0x2015), ":715200019"),
        (frames.put(0x2015, b"\x64\0"), ":81520006400B4"),
        (frames.put(0x2015, b"\0\0"), ":8152000000018"),
        (frames.put(0x0200, b"\x01"), ":8000200014A"),
        (frames.put(0x0200, b"\x04"), ":80002000447"),
        (frames.get(0x0200), ":70002004C"),
        (frames.put(0xEDAB, b"\x04"), ":8ABED0004B1"),
    ],
)
def test_commands_are_the_ready_made_ones(frame, text):
    assert str(frame) == text


@pytest.mark.parametrize(
    ("register", "raw", "value"),
    [
        (0xEDDB, "9E16", Fraction(5790, 100)),
        (0xEDDB, "FF7F", None),
        (0xEDDB, "FFFF", Fraction(-1, 100)),
        (0xEDDB, "0080", Fraction(-32768, 100)),
        (0xEDD7, "A000", 16),
        (0xEDD7, "FFFF", None),
        (0xEDD7, "FF7F", None),
        (0xEDBC, "FFFFFFFF", None),
        (0xEDBC, "FFFF0000", Fraction(65535, 100)),
        (0x0202, "02", 2),
        (0x0202, "02000000", 2),
        (0x0202, "FF", None),
        (0x0205, "01", 1),
        (0x0207, "01000000", 1),
        (0x0201, "FF", None),
        (0x2015, "", None),
        (0x200A, "FFFFFF7F", None),
        (0x200A, "18FCFFFF", -1),
        (0xEDAB, "F5", 5),
        (0xEDEC, "7B74", Fraction(2504, 100)),
        (0xEDEC, "FFFF", None),
        (0x2003, "38FF", -2),
    ],
)
def test_a_value_is_taken_in_the_width_that_came(register, raw, value):
    assert registers.value_of(register, bytes.fromhex(raw)) == value


def test_a_record_of_another_length_is_told_as_bytes():
    assert registers.describe_day(bytes(33)) == {"value_hex": "00" * 33}


def test_a_day_without_a_yield_has_none():
    shown = registers.describe_day(b"\0" + b"\xff" * 8 + bytes(25))
    assert (shown["yield_kwh"], shown["consumed_kwh"], shown["error_1"]) == (None, None, "none")


@pytest.mark.parametrize(
    ("flags", "says"),
    [(0, ""), (1, "unknown id"), (2, "not supported"), (4, "parameter error"), (9, "flags 09")],
)
def test_flags_have_words(flags, says):
    assert registers.refusal_of(flags) == says


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (":055", {"command": "enter_boot"}),
        (":253", {"command": "command_2"}),
        (":1000351", {"command": "done", "value_hex": "0003"}),
        (":7004E", {"command": "get", "value_hex": "00"}),
    ],
)
def test_other_frames_have_a_name_too(text, shown):
    assert registers.describe_frame(frames.read(text)) == shown
