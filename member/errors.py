"""What a check can end with: one exit code for each thing that can be wrong."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final


class Code(IntEnum):
    """The exit codes of `gridtally-verify`."""

    VALID = 0
    CRASHED = 1
    USAGE = 2
    SIGNATURE = 10
    PROOF = 11
    POLICY = 12
    ARITHMETIC = 13
    STALE = 14
    EVIDENCE = 15
    FOREIGN = 16
    MALFORMED = 65
    UNREADABLE = 66


MEANINGS: Final[Mapping[Code, str]] = {
    Code.VALID: "nothing is wrong",
    Code.CRASHED: "the program failed; nothing is said about the file",
    Code.USAGE: "the command line is wrong",
    Code.SIGNATURE: "a signature does not verify, or nobody who is known signed",
    Code.PROOF: "a Merkle proof does not lead to the root, or a tree has another root",
    Code.POLICY: "the quorum of the policy is not met: the head is not final",
    Code.ARITHMETIC: "the numbers do not follow from what is proven",
    Code.STALE: "the newest cosignature is older than asked for",
    Code.EVIDENCE: "the evidence does not hold: nobody is convicted by it",
    Code.FOREIGN: "it is of another log or network than the one that is trusted",
    Code.MALFORMED: "the file is not of its format",
    Code.UNREADABLE: "a file cannot be read",
}


class Refused(Exception):
    """Something does not hold; `code` says what kind of thing, the text which."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code


class HubRefused(Exception):
    """The hub said no; the text is its reason."""


class HubAway(Exception):
    """No hub there, or none that answers in time."""
