"""VE.Direct text: blocks out of bytes, and what their fields say."""

from __future__ import annotations

import pytest

from hardware.vedirect.frames import Frame
from hardware.vedirect.labels import describe_block, number
from hardware.vedirect.report import Report
from hardware.vedirect.stream import FIELDS_MAX, Block, Damage, Stream
from tests.support.vectors import vectors

VECTORS = vectors("vedirect")
FRAME = b":A0002000148\n"
BLOCKS = {row["name"]: bytes.fromhex(row["block"]) for row in VECTORS["blocks"]}
FIRST = BLOCKS["BlueSolar MPPT"]


def named(rows):
    return [pytest.param(row, id=row["name"]) for row in rows]


def block_of(fields: str) -> bytes:
    """Return a block with its checksum, from "V=12530 I=640"."""
    pairs = (each.split("=") for each in fields.split())
    raw = "".join(f"\r\n{label}\t{value}" for label, value in pairs).encode()
    raw += b"\r\nChecksum\t"
    return raw + bytes([-sum(raw) % 256])


def read(raw: bytes, *, joined: bool = False):
    return Stream(joined=joined).feed(raw)


def blocks_in(raw: bytes, *, joined: bool = False) -> list[Block]:
    return [found for found in read(raw, joined=joined) if isinstance(found, Block)]


def damages_in(raw: bytes, *, joined: bool = False) -> list[str]:
    return [found.what for found in read(raw, joined=joined) if isinstance(found, Damage)]


def with_checksum(byte: int) -> bytes:
    """Return a block whose checksum byte is this one."""
    for filler in range(0x21, 0x7F):
        for second in range(0x21, 0x7F):
            if ord(":") in (filler, second):
                continue
            raw = b"\r\nV\t12530\r\nX\t" + bytes([filler, second]) + b"\r\nChecksum\t"
            if -sum(raw) % 256 == byte:
                return raw + bytes([byte])
    raise AssertionError(f"no block ends with {byte:02X}")


@pytest.mark.parametrize("row", named(VECTORS["blocks"]))
def test_a_recorded_block_is_taken_and_says_what_it_is_known_to_say(row):
    raw = bytes.fromhex(row["block"])
    assert raw[-1:].hex().upper() == row["checksum"]
    (block,) = read(raw)
    shown = describe_block(block)
    assert {key: shown[key] for key in row["expect"]} == row["expect"]
    assert {key: type(shown[key]) for key in row["expect"]} == {
        key: type(value) for key, value in row["expect"].items()
    }


@pytest.mark.parametrize("row", named(VECTORS["negative"]))
def test_a_block_with_a_wrong_sum_is_refused_by_name(row):
    (damage,) = read(bytes.fromhex(row["block"]))
    assert isinstance(damage, Damage)
    assert not damage.in_frame
    assert row["says"] in damage.what


def test_a_hex_frame_in_the_middle_of_a_block_is_delivered_and_does_not_count():
    row = VECTORS["interleaved"]
    raw = BLOCKS[row["block"]]
    frame = row["frame"].encode() + b"\n"
    found = read(raw[: row["after_bytes"]] + frame + raw[row["after_bytes"] :])
    assert [type(each) for each in found] == [Frame, Block]
    assert (found[0].register, found[0].value) == (row["register"], bytes([row["value"]]))
    assert found[1:] == read(raw)


@pytest.mark.parametrize("byte", [0x00, 0x09, 0x0A, 0x0D, 0x3A, 0x41, 0x80, 0xFF])
def test_any_byte_may_be_the_checksum(byte):
    raw = with_checksum(byte)
    assert len(blocks_in(raw + FIRST + raw)) == 3
    assert damages_in(raw + FIRST + raw) == []
    assert len(blocks_in(raw + FRAME + raw)) == 2


def test_a_frame_between_the_tab_and_a_checksum_that_is_a_colon_is_told_from_it():
    raw = with_checksum(0x3A)
    found = read(raw[:-1] + FRAME + raw[-1:] + FIRST)
    assert [type(each) for each in found] == [Block, Frame, Block]


@pytest.mark.parametrize("start", range(1, len(FIRST)))
def test_joined_in_the_middle_of_a_block_nothing_is_told_before_the_first_good_one(start):
    found = read(FIRST[start:] + FIRST + FIRST, joined=True)
    assert set(map(type, found)) == {Block}
    whole = read(FIRST)[0]
    assert found[-1] == whole
    for block in found[:-1]:
        assert set(block.fields) <= set(whole.fields)


def test_damage_after_the_first_good_block_is_told():
    assert len(damages_in(FIRST + FIRST[:-1] + b"?", joined=True)) == 1


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"\r\nTOO-LONG-\t1", "byte 2D"),
        (b"\r\nV\t" + b"1" * 33, "byte 31"),
        (b"\r\n\t1", "without a label"),
        (b"\r\nV\t1\r\nV\t2", "'V' once more"),
        (b"\r\nV\t1\x80", "byte 80"),
        (b"\r\nV\t1\n", "byte 0A"),
        (b"\r\r\nV\t1", "byte 0D"),
        (b"V\t1", "between two blocks"),
        (b"\r\nV\t1:A00020001", "broken HEX frame"),
    ],
)
def test_a_block_with_a_byte_out_of_its_place_is_refused_even_if_its_sum_is_right(raw, why):
    raw += b"\r\nChecksum\t"
    raw += bytes([-sum(raw) % 256])
    assert blocks_in(raw) == []
    assert any(why in what for what in damages_in(raw)), damages_in(raw)
    assert len(blocks_in(raw + FIRST)) == 1


def test_a_block_may_have_so_many_fields_and_no_more():
    most = block_of(" ".join(f"L{place}=1" for place in range(FIELDS_MAX)))
    more = block_of(" ".join(f"L{place}=1" for place in range(FIELDS_MAX + 1)))
    assert len(blocks_in(most)) == 1
    assert blocks_in(more) == []
    assert len(damages_in(more)) == 1


def test_a_block_without_fields_is_none():
    assert damages_in(block_of("")) == ["text block: it has no fields"]


def test_an_endless_line_is_not_kept():
    stream = Stream(joined=False)
    assert stream.feed(b":" + b"A" * 100_000 + b"1" * 100_000) != []
    assert all(len(each) < 1_000 for each in (stream._text, stream._fields))


def test_bytes_may_come_one_by_one():
    stream = Stream(joined=False)
    found = [each for byte in FIRST + FRAME + FIRST for each in stream.feed([byte])]
    assert found == read(FIRST + FRAME + FIRST)


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (FIRST, []),
        (FIRST + FIRST[:70], ["inside a text block"]),
        (FIRST + b":A000", ["inside a HEX frame"]),
        (FIRST + b"\r\nV\t1:A0", ["inside a HEX frame", "inside a text block"]),
    ],
)
def test_an_end_in_the_middle_is_told_when_asked(raw, what):
    stream = Stream(joined=False)
    stream.feed(raw)
    told = [each.what for each in stream.finish()]
    assert [part in each for part, each in zip(what, told, strict=True)] == [True] * len(what)


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ("V=---", {"battery_voltage_v": None}),
        ("TTG=-1", {"time_to_go_min": None}),
        ("TTG=0", {"time_to_go_min": 0}),
        ("OR=0x00000041", {"off_reason": 65}),
        ("OR=0xZZ", {"off_reason": "0xZZ"}),
        ("LOAD=OFF", {"load_on": False}),
        ("FW=0308", {"firmware": "3.08"}),
        ("FW=C119", {"firmware": "C119"}),
        ("FWE=0142FF", {"firmware_extended": "0142FF"}),
        ("PID=0xA053", {"product_id": "0xA053"}),
        ("CS=252", {"charge_state": "external control"}),
        ("CS=77", {"charge_state": 77}),
        ("I=-10", {"battery_current_a": -0.01}),
        ("SOC=1000", {"charge_percent": 100}),
        ("T=-5", {"battery_temperature_degc": -5}),
        ("V=12.5", {"battery_voltage_v": "12.5"}),
        ("NEW=7", {"NEW": "7"}),
    ],
)
def test_values_are_named_with_their_unit(fields, shown):
    (block,) = read(block_of(fields))
    assert describe_block(block) == shown


def test_every_label_has_a_name_of_its_own():
    from hardware.vedirect.labels import LABELS

    keys = [quantity.key for quantity in LABELS.values()]
    assert len(set(keys)) == len(keys)
    assert all(len(label) <= 8 for label in LABELS)


def test_what_is_no_number_is_none():
    fields = {"V": "12530", "I": "---", "LOAD": "ON", "P": "many"}
    assert [number(fields, label) for label in ("I", "LOAD", "P", "VPV")] == [None] * 4
    assert number(fields, "V") * 1000 == 12_530


def test_blocks_of_one_second_are_put_together():
    report = Report()
    report.add(read(block_of("V=1 I=2"))[0], 10.0)
    assert not report.is_whole
    report.add(read(block_of("H17=3"))[0], 10.5)
    assert report.fields == {"V": "1", "I": "2", "H17": "3"}
    assert not report.is_whole
    report.add(read(block_of("V=4 I=5"))[0], 11.0)
    assert report.fields == {"V": "4", "I": "5", "H17": "3"}
    assert report.is_whole
    assert report.age_s(12.5) == 1.5


def test_a_field_that_is_no_longer_told_is_gone_after_two_seconds():
    report = Report()
    report.add(read(block_of("V=1 H17=3"))[0], 10.0)
    report.add(read(block_of("V=2"))[0], 12.0)
    assert report.fields == {"V": "2", "H17": "3"}
    report.add(read(block_of("V=2"))[0], 12.1)
    assert report.fields == {"V": "2"}


def test_a_lost_line_leaves_nothing():
    report = Report()
    report.add(read(FIRST)[0], 10.0)
    report.clear()
    assert (report.fields, report.age_s(10.0), report.is_whole) == ({}, None, False)
