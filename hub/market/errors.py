"""What can go wrong inside a market contract. The fold turns each into a failed result."""

from __future__ import annotations


class MarketError(Exception):
    """A contract refused or failed; its text goes on record and to the caller, word for word."""


class BudgetExceeded(MarketError):
    """The contract used more steps than it was given."""


class BadParameter(MarketError):
    """A policy gives the contract a parameter it does not know or cannot take."""


class CallRefused(MarketError):
    """A member's call is not possible now; the text says why."""


class UnknownContract(MarketError):
    """A policy names a contract that is in no catalog."""


class ImpossibleClearing(MarketError):
    """A clearing creates energy or money, or trades more than a member has or needs."""
