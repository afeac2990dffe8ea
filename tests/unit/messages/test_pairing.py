"""The pairing text, what its pin and its MAC cover, and frames."""

from dataclasses import replace

import pytest
import segno

from messages.errors import MalformedMessage
from messages.pairing import (
    KeyProof,
    PairingText,
    Request,
    format_text,
    frame,
    frame_length,
    joint_fingerprint,
    mac_of,
    parse_text,
    pin_of,
)
from tests.support.signers import ed25519, p256

TEXT = PairingText("192.168.1.20", 8890, "dep1", bytes(range(16)), bytes(range(16, 32)))
WRITTEN = "GT1/192.168.1.20/8890/DEP1/AAAQEAYEAUDAOCAJBIFQYDIOB4IBCEQTCQKRMFYYDENBWHA5DYPYKQVP"


def test_a_text_reads_as_it_was_written():
    assert format_text(TEXT) == WRITTEN
    assert parse_text(WRITTEN) == TEXT


@pytest.mark.parametrize("host", ["hub.local", "fd00::17", "a" * 60 + ".example"])
def test_hosts_of_every_kind(host):
    text = replace(TEXT, host=host)
    assert parse_text(format_text(text)) == text


def test_small_letters_blanks_and_line_ends_are_passed_over():
    assert parse_text(f"  {WRITTEN[:40].lower()}\n  {WRITTEN[40:]} \n") == TEXT
    assert parse_text(WRITTEN.replace("O", "0").replace("I", "1").replace("/D0", "/DO")) == TEXT


def test_it_fits_a_terminal_of_80_by_24_as_a_qr_code():
    longest = format_text(replace(TEXT, host="255.255.255.255", port=65535, node="a" * 8))
    width, height = segno.make(longest, error="m").symbol_size()
    assert (width <= 80, height / 2 <= 23) == (True, True)


@pytest.mark.parametrize("at", range(len(WRITTEN)))
def test_every_wrong_character_is_noticed(at):
    other = "X" if WRITTEN[at] not in "xX" else "Y"
    with pytest.raises(MalformedMessage):
        parse_text(WRITTEN[:at] + other + WRITTEN[at + 1 :])
    with pytest.raises(MalformedMessage):
        parse_text(WRITTEN[:at] + WRITTEN[at + 1 :])


@pytest.mark.parametrize(
    "text",
    ["", "hello", "GT2/a/1/b/C", "GT1/a/1/b", WRITTEN * 5, "GT1/a/1/b/" + "A" * 56, "GT1////"],
)
def test_what_is_no_pairing_text(text):
    with pytest.raises(MalformedMessage):
        parse_text(text)


@pytest.mark.parametrize(
    "change", [{"port": 0}, {"port": 65536}, {"host": "a_b"}, {"node": "a.b"}, {"node": "a" * 33}]
)
def test_a_text_that_names_nothing_reachable(change):
    with pytest.raises(MalformedMessage, match="names no host, port and node"):
        parse_text(format_text(replace(TEXT, **change)))


def test_the_pin_covers_tls_key_trust_and_authority():
    pins = {pin_of(b"k", "t", b"a"), pin_of(b"x", "t", b"a"), pin_of(b"k", "x", b"a")}
    pins |= {pin_of(b"k", "t", b"x"), pin_of(b"kt", "", b"a")}
    assert len(pins) == 5
    assert {len(pin) for pin in pins} == {16}


def test_the_mac_covers_the_connection_and_what_is_asked_for():
    request = Request("dep1", "{}", (), b"csr", b"")
    others = [
        mac_of(b"t" * 16, b"p", b"c", request),
        mac_of(b"u" * 16, b"p", b"c", request),
        mac_of(b"t" * 16, b"q", b"c", request),
        mac_of(b"t" * 16, b"p", b"d", request),
        mac_of(b"t" * 16, b"p", b"c", replace(request, node="dep2")),
        mac_of(b"t" * 16, b"p", b"c", replace(request, enrolment="[]")),
        mac_of(b"t" * 16, b"p", b"c", replace(request, csr=b"other")),
    ]
    assert len({*others}) == len(others)
    signed = replace(request, proofs=(KeyProof("node", "dep1", b"x"),), mac=b"m")
    assert mac_of(b"t" * 16, b"p", b"c", signed) == others[0], "proofs stand for themselves"


def test_one_fingerprint_for_all_keys_whatever_their_order():
    keys = [ed25519("a").public, p256("b").public, ed25519("c").public]
    assert joint_fingerprint(keys) == joint_fingerprint(keys[::-1])
    assert joint_fingerprint(keys[:2]) != joint_fingerprint(keys)
    assert [len(part) for part in joint_fingerprint(keys).split("-")] == [4, 4, 4, 4]


def test_frames_are_bounded():
    assert frame(b"abc") == b"\0\0\0\3abc"
    assert frame_length(b"\0\0\0\3") == 3
    assert frame_length(b"\0\0\xff\xff") == 65_535
    for head in (b"\0\0\0\0", b"\0\1\0\0", b"\xff\xff\xff\xff"):
        with pytest.raises(MalformedMessage):
            frame_length(head)
