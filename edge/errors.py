"""Every error the edge raises on purpose; each text says what to do."""

from __future__ import annotations

import os


class EdgeError(Exception):
    """The edge cannot go on with what it was doing; `exit_code` is of sysexits.h."""

    exit_code = os.EX_UNAVAILABLE


class ConfigError(EdgeError):
    """A configuration file is wrong. `findings` are all of them, each with file and line."""

    exit_code = os.EX_CONFIG

    def __init__(self, findings: tuple[str, ...]) -> None:
        super().__init__("\n".join(findings))
        self.findings = findings


class KeysUnavailable(ConfigError):
    """Tokens or TPMs that hold keys do not answer now; nothing else was found wrong."""

    exit_code = os.EX_UNAVAILABLE


class OutboxError(EdgeError):
    """The outbox could not be read or written; nothing was stored."""


class OutboxFull(OutboxError):
    """The disk is full, also after the ballast was freed: nothing was stored."""


class OutboxLocked(OutboxError):
    """Another process owns this state folder; its id is in the text."""

    exit_code = os.EX_TEMPFAIL


class OutboxCorrupt(OutboxError):
    """The outbox file contradicts itself, or was written by a newer version."""


class KeyAway(EdgeError):
    """The token or TPM that holds a key is not there now: nothing was stored, nothing signed."""

    def __init__(self, kid: bytes, text: str) -> None:
        super().__init__(text)
        self.kid = kid


class ReceiptRefused(EdgeError):
    """A receipt or refusal that proves nothing: nothing may be deleted on it."""


class HubBehind(ReceiptRefused):
    """The hub shows a ledger that does not continue the one this node holds a checkpoint of.

    `note` is the checkpoint it shows, signed by its log: with the one held it is the evidence.
    """

    def __init__(self, text: str, note: str) -> None:
        super().__init__(text)
        self.note = note


class NoGuard(EdgeError):
    """Who holds relays, the guard or the agent, does not answer on its socket."""


class Unavailable(EdgeError):
    """Something outside is not there or not ours: a file, a folder, a socket."""
