r"""How a replica asks for what opens sealed readings, and what it is given.

A request is signed by the key with which the replica signs headers, for one bundle of 256 entries
and one moment; the answer holds what there is, and each preimage is checked by its entry.

    request   COSE_Sign1, "application/x.gridtally.opening+cbor", {"at_ms": int, "bundle": int}
    answer    deterministic CBOR [[index: int, preimage: bstr], ...], ascending
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from messages import cbor
from messages.errors import MalformedMessage

FRESH_MS: Final = 300_000
ANSWER_BYTES_MAX: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Opening:
    """Asks for the preimages of the readings in one entry bundle. `at_ms`: when it was signed."""

    KIND: ClassVar[str] = "opening"
    at_ms: int
    bundle: int


def format_preimages(found: Sequence[tuple[int, bytes]]) -> bytes:
    """Return the answer."""
    return cbor.encode([[index, preimage] for index, preimage in found])


def parse_preimages(raw: bytes) -> dict[int, bytes]:
    """Return {index: preimage}.

    Raises:
        MalformedMessage: another form.
    """
    rows = cbor.decode(raw, limit=ANSWER_BYTES_MAX)
    if not isinstance(rows, list):
        raise MalformedMessage("preimages are a list")
    found: dict[int, bytes] = {}
    for row in rows:
        if not isinstance(row, list) or [type(part) for part in row] != [int, bytes]:
            raise MalformedMessage("a preimage comes as an index and bytes")
        found[row[0]] = row[1]
    return found
