"""What a person at the hub sees while a node is paired."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import segno

from hub.commands.words import enrolment_lines
from hub.joining.window import Joining


def show_code(text: str) -> None:
    """Show a text as a QR code on standard error, if a person looks at it."""
    if sys.stderr.isatty():
        segno.make(text, error="m").terminal(out=sys.stderr, compact=True)


def joining_lines(joining: Joining, peer: str) -> Iterator[str]:
    """Yield what a node wants to be, and the one fingerprint to compare."""
    yield f"a node at {peer} has the token:"
    yield from enrolment_lines(joining.enrolment)
    yield ""
    yield f"{joining.fingerprint}  all of its keys: compare this one"
