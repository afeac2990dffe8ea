"""docs/pairing.md names every reason of a refusal, and shows a text that is one."""

from __future__ import annotations

import re

from hub.joining.endpoint import CONNECTIONS_MAX, HANDSHAKE_S, REQUEST_S
from hub.joining.window import TRIES_MAX, Reason
from messages.pairing import FRAME_BYTES_MAX, format_text, parse_text
from tests.support.source import ROOT

TEXT = (ROOT / "docs" / "pairing.md").read_text()


def test_every_reason_is_named():
    listed = re.search(r"^Reasons: (.*)\.$", TEXT, re.MULTILINE)
    assert listed is not None
    assert re.findall(r"`([a-z-]+)`", listed[1]) == [reason.value for reason in Reason]


def test_the_text_that_is_shown_is_one():
    shown = re.search(r"gridtally-edge join (GT1\S+)", TEXT)
    assert shown is not None
    assert format_text(parse_text(shown[1])) == shown[1]
    assert f"{len(shown[1])} characters" in TEXT


def test_the_limits_that_are_told_are_those_of_the_program():
    limits = (CONNECTIONS_MAX, HANDSHAKE_S, REQUEST_S, FRAME_BYTES_MAX, TRIES_MAX)
    assert limits == (8, 5.0, 10.0, 65_535, 5)
    for words in ("eight connections", "five seconds", "ten for a request", "64 kB", "five tries"):
        assert words in TEXT
