"""What can be wrong with a private key where it lies."""

from __future__ import annotations


class KeyFault(Exception):
    """Base of all errors about private keys."""


class BadPlace(KeyFault):
    """The text that should say where a key lies cannot be read."""


class KeyUnreadable(KeyFault):
    """The key cannot be used, or others can read it; the text says what to do."""


class KeyMissing(KeyUnreadable):
    """The store is there and holds no such key."""


class KeyExists(KeyFault):
    """A key is already there; it is never overwritten."""


class AlgorithmRefused(KeyFault):
    """The store makes or holds no key of this algorithm."""


class NotMadeHere(KeyFault):
    """No program makes keys in this store; the text says who does, and how."""


class PinRefused(KeyFault):
    """The store refused the PIN. It is not tried again: tokens lock after a few wrong ones."""


class StoreUnavailable(KeyFault):
    """Token, TPM or their library is not there now; the same may work in a moment."""
