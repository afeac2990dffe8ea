"""What can be wrong with bytes that came from somebody else. Intake and guard catch these."""

from __future__ import annotations


class MessageError(ValueError):
    """Some bytes are not a message we accept; the text says what was expected."""


class MalformedMessage(MessageError):
    """Not canonical, not of the schema, too long or cut short."""


class UnsupportedVersion(MessageError):
    """A content type or format that this version does not know."""


class UnknownKey(MessageError):
    """The key id names no registered key."""


class BadKey(MessageError):
    """A public key that may not be registered: small order, off the curve, wrong length."""


class BadSignature(MessageError):
    """The signature does not verify under the registered key."""


class BadProof(MessageError):
    """A Merkle proof or a signed note does not prove what it should."""
