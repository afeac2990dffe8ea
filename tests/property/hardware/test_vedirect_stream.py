"""Whatever happens to a VE.Direct line, no block comes out of it that was not said."""

from __future__ import annotations

from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.vedirect import frames
from hardware.vedirect.frames import Frame
from hardware.vedirect.stream import Block, Damage, Stream
from tests.support.vectors import vectors

RECORDED = [bytes.fromhex(row["block"]) for row in vectors("vedirect")["blocks"]]
NEIGHBOUR = RECORDED[0]

labels = st.text("ABCHIVP#_0123456789", min_size=1, max_size=8).filter(lambda it: it != "Checksum")
values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters=":"))
blocks = st.dictionaries(labels, values.map(lambda it: it[:32]), min_size=1, max_size=8)
hex_frames = st.builds(Frame, st.integers(0, 15), st.binary(max_size=40))


def written(fields: dict[str, str]) -> bytes:
    raw = "".join(f"\r\n{label}\t{value}" for label, value in fields.items()).encode()
    raw += b"\r\nChecksum\t"
    return raw + bytes([-sum(raw) % 256])


def ending_with(byte: int) -> bytes:
    """Return a block whose checksum byte is this one."""
    letters = [chr(each) for each in range(0x3B, 0x7F)]
    for filler in (a + b + c for a in letters for b in letters for c in ("", "~")):
        raw = written({"V": "12530", "X": filler})
        if raw[-1] == byte:
            return raw
    raise AssertionError(byte)


def read(raw: bytes) -> tuple[list[Block], list[Frame], list[Damage]]:
    found = Stream(joined=False).feed(raw)
    return (
        [each for each in found if isinstance(each, Block)],
        [each for each in found if isinstance(each, Frame)],
        [each for each in found if isinstance(each, Damage)],
    )


@given(st.lists(blocks, min_size=1, max_size=4), st.data())
def test_hex_frames_anywhere_leave_the_same_blocks(said, data):
    raw = b"".join(written(fields) for fields in said)
    places = st.lists(st.tuples(st.integers(0, len(raw)), hex_frames), max_size=5)
    inserted = sorted(data.draw(places), key=lambda each: -each[0])
    mixed = reduce(
        lambda text, each: text[: each[0]] + frames.write(each[1]) + text[each[0] :], inserted, raw
    )
    told, heard, damaged = read(mixed)
    assert [dict(block.fields) for block in told] == said
    assert sorted(map(str, heard)) == sorted(str(each) for _, each in inserted)
    assert damaged == []


@pytest.mark.parametrize("checksum", range(256))
def test_a_hex_frame_at_any_byte_leaves_the_same_blocks_whatever_their_checksum(checksum):
    raw = ending_with(checksum) * 2
    alone = read(raw)[0]
    for at in range(len(raw) + 1):
        for count in (1, 2):
            told, heard, damaged = read(raw[:at] + b":A0002000148\n" * count + raw[at:])
            assert (told, len(heard), damaged) == (alone, count, []), at


@pytest.mark.parametrize("place", [0, 2, 3])
def test_no_changed_byte_makes_a_wrong_block(place):
    raw = RECORDED[place]
    said = {read(raw)[0][0], read(NEIGHBOUR)[0][0]}
    for at in range(len(raw)):
        for other in {raw[at] ^ 1 << bit for bit in range(8)} | set(b"\r\n\t:0 ") - {raw[at]}:
            mixed = raw[:at] + bytes([other]) + raw[at + 1 :]
            told, _, _ = read(NEIGHBOUR + mixed + NEIGHBOUR + NEIGHBOUR)
            assert set(told) <= said, (at, other)
            assert len(told) in (2, 3), (at, other)  # it costs the block behind it at most


@given(blocks, st.data())
def test_no_changed_byte_of_a_block_with_a_frame_inside_makes_a_wrong_one(fields, data):
    raw = written(fields)
    at = data.draw(st.integers(0, len(raw)))
    raw = raw[:at] + frames.write(data.draw(hex_frames)) + raw[at:]
    place = data.draw(st.integers(0, len(raw) - 1))
    flipped = raw[place] ^ 1 << data.draw(st.integers(0, 7))
    told, _, _ = read(raw[:place] + bytes([flipped]) + raw[place + 1 :])
    assert [dict(block.fields) for block in told] in ([], [fields])


@pytest.mark.parametrize("raw", [*RECORDED, *map(ending_with, b"\0\r\n\t:A")], ids=len)
def test_no_lost_byte_makes_a_wrong_block(raw):
    said = {read(raw)[0][0], read(NEIGHBOUR)[0][0]}
    for at in range(len(raw)):
        told, _, _ = read(NEIGHBOUR + raw[:at] + raw[at + 1 :] + NEIGHBOUR + NEIGHBOUR)
        assert set(told) <= said, at
        assert len(told) >= 2, at


@pytest.mark.parametrize("raw", [*RECORDED, *map(ending_with, b"\0\r\n\t:A")], ids=len)
def test_no_end_and_no_beginning_in_the_middle_makes_a_wrong_block(raw):
    said = read(raw)[0][0]
    for at in range(1, len(raw)):
        assert read(raw[:at])[0] == []
        for block in read(raw[at:] + raw)[0]:
            assert set(block.fields) <= set(said.fields), at


@given(st.binary(max_size=400))
def test_noise_is_no_block_and_the_next_one_but_one_is_read(noise):
    told, _, _ = read(noise + b"\n" + NEIGHBOUR * 3)
    assert told[-1] == read(NEIGHBOUR)[0][0]


@given(
    st.lists(st.one_of(blocks.map(written), hex_frames.map(frames.write)), max_size=6), st.data()
)
def test_how_bytes_are_cut_into_reads_does_not_matter(said, data):
    raw = b"".join(said)
    whole = Stream(joined=False).feed(raw)
    stream, found, at = Stream(joined=False), [], 0
    while at < len(raw):
        size = data.draw(st.integers(1, 60))
        found += stream.feed(raw[at : at + size])
        at += size
    assert found == whole
