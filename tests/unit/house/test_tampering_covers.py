"""The test of tampering spoils every table of the ledger, and an entry of every kind."""

from __future__ import annotations

from hub.ledger.schema import metadata
from messages.entries import KINDS
from tests.unit.hub.ledger import test_tampering as tampering

READING = "reading"
"""A SenML message, which `KINDS` does not list."""


def test_every_table_is_spoiled() -> None:
    assert {*tampering.TABLES, *tampering.DIARY} == set(metadata.tables)


def test_an_entry_of_every_kind_is_spoiled() -> None:
    kinds = {kind.KIND for kind in KINDS.values()} | {READING}
    assert set(tampering.ENTRY_KINDS) == kinds
