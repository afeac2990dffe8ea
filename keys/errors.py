"""What can be wrong with a private key where it lies."""

from __future__ import annotations


class KeyFault(Exception):
    """Base of all errors about private keys."""


class KeyUnreadable(KeyFault):
    """The key cannot be read, or others can read it; the text says what to do."""


class KeyExists(KeyFault):
    """A key is already there; it is never overwritten."""
