"""Every error the hub raises on purpose.

Another party's fault is a value (`intake.Refused`); ours is one of these.
"""

from __future__ import annotations


class HubError(Exception):
    """The hub cannot go on with what it was doing; the text says what to do."""


class StorageFull(HubError):
    """The disk is full: nothing was stored, readings stay on their edges. Free some space."""


class LedgerError(HubError):
    """The ledger file cannot be used as asked."""


class LedgerLocked(LedgerError):
    """Another process is the writer; its id is in the text."""


class SchemaMismatch(LedgerError):
    """The file was written by a newer version, or is no ledger."""


class NoSuchEntry(LedgerError):
    """An index, entry id or proof was asked for that the ledger does not hold."""


class LedgerCorrupt(LedgerError):
    """The file contradicts itself: nothing may be signed until a person has looked."""


class LedgerBehind(LedgerError):
    """A checkpoint was handed out that this ledger does not continue: old copy or fork."""


class ExportRefused(HubError):
    """Files cannot be written where they were asked for; the text says why."""


class ListenRefused(HubError):
    """A server may not, or cannot, listen where it was asked to; the text says what to do."""


class BackupRefused(HubError):
    """A ledger was not copied or put back; the text says why."""


class RetiringRefused(HubError):
    """A log key cannot be retired so; the text says why, and what to do."""


class QuorumRefused(HubError):
    """The ledger does not take another quorum; the text says why."""


class WitnessRefused(HubError):
    """A witness may not cosign with what its folder holds; the text says what to do."""


class ConfigError(HubError):
    """A configuration file is wrong. `findings` are all of them, each with file and line."""

    def __init__(self, findings: tuple[str, ...]) -> None:
        super().__init__("\n".join(findings))
        self.findings = findings


class KeysUnavailable(ConfigError):
    """Tokens or TPMs that hold keys do not answer now; nothing else was found wrong."""


class FeedRefused(HubError):
    """Facts from outside cannot be told so; the text says why."""


class RecordRefused(HubError):
    """A request for a record was not served; the text says why."""


class RecordUnavailable(HubError):
    """No store has a record, or takes one; the text says which."""


class OrderRefused(HubError):
    """A call to the market was not served; the text says why."""


class FoundingRefused(HubError):
    """A microgrid cannot be founded here; nothing was written."""


class BadEnrolment(HubError):
    """An enrolment file is wrong. `findings` are all of them, each naming its place."""

    def __init__(self, findings: tuple[str, ...]) -> None:
        super().__init__("\n".join(findings))
        self.findings = findings


class NoAnswer(HubError):
    """A running hub did not take what was handed to it in time; it is kept for it."""


class BoardAway(HubError):
    """The switchboard of a simulation does not answer."""
