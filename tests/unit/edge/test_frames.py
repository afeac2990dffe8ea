import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.frames import FRAME_BYTES_MAX, FrameReader, encode_frame
from messages.errors import MalformedMessage

FRAMES = st.lists(
    st.dictionaries(st.text(max_size=5), st.one_of(st.binary(max_size=20), st.integers(0, 99)))
)


@given(FRAMES, st.lists(st.integers(0, 200), max_size=8))
def test_frames_come_back_however_they_are_cut(frames, cuts):
    wire = b"".join(encode_frame(frame) for frame in frames)
    reader, found = FrameReader(), []
    places = sorted(min(cut, len(wire)) for cut in cuts)
    for start, end in zip([0, *places], [*places, len(wire)], strict=True):
        found += reader.take(wire[start:end])
    assert found == frames


def test_what_is_no_frame_is_refused():
    with pytest.raises(MalformedMessage, match="at most 65535"):
        list(FrameReader().take((FRAME_BYTES_MAX + 1).to_bytes(4, "big")))
    with pytest.raises(MalformedMessage, match="a frame holds a map"):
        list(FrameReader().take(b"\0\0\0\1\x01"))
    with pytest.raises(MalformedMessage):
        list(FrameReader().take(b"\0\0\0\1\xff"))
    assert list(FrameReader().take(b"\0\0")) == []
