"""What can be wrong with a dispatch policy's orders."""

from __future__ import annotations


class BalancingError(Exception):
    """A dispatch policy cannot be used as asked."""


class BadParameter(BalancingError):
    """A policy entry gives a parameter that the policy does not know or cannot take."""


class UnknownPolicy(BalancingError):
    """A policy entry names a dispatch policy that is in no catalog."""
