"""Amounts as a statement for people has them: exact, as integers are."""

from __future__ import annotations

from typing import Final

from messages.disputes import SPLIT
from messages.statement import DisputeRow
from messages.timetext import format_time

UTOK_PER_TOKEN: Final = 1_000_000
KWH_UWH: Final = 1_000_000_000


def tokens_text(amount_utok: int) -> str:
    """Return an amount in tokens, to the last micro-token.

    >>> tokens_text(-1_234_560)
    '-1.234560'
    """
    return _decimal(amount_utok, UTOK_PER_TOKEN, 6)


def kwh_text(energy_uwh: int) -> str:
    """Return an energy in kWh, to the last micro-watt-hour.

    >>> kwh_text(1_500_000_000)
    '1.500000000'
    """
    return _decimal(energy_uwh, KWH_UWH, 9)


def dispute_text(row: DisputeRow, claimant: str) -> str:
    """Say what a step of a dispute did, and what about; the claimant as he is called on paper."""
    about = f"line {row.line} of {format_time(row.slot_ms)}, {tokens_text(row.amount_utok)} tokens"
    part = f", {tokens_text(row.to_claimant_utok)} to {claimant}" if row.event == SPLIT else ""
    return f"dispute {row.dispute} of {claimant} over {about}: {row.event}{part}"


def _decimal(value: int, one: int, digits: int) -> str:
    whole, rest = divmod(abs(value), one)
    return f"{'-' if value < 0 else ''}{whole}.{rest:0{digits}d}"
