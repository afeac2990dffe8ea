"""How a meter is addressed, and how members appear to each other. Pure.

Source: paper 000, "proposed framework": the address of a prosumer is that of its smart meter, of
its microgrid and of the grid administrator.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass

from messages import cbor
from messages.errors import MalformedMessage
from messages.topics import NAME

_FINGERPRINT = re.compile(r"[0-9a-f]{4}(?:-[0-9a-f]{4}){3}")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a meter is found: `administrator` is the fingerprint of the key that founded it all."""

    meter_id: str
    microgrid: str
    administrator: str

    def __str__(self) -> str:
        """Return `<meter id>@<microgrid>.<fingerprint>`."""
        return f"{self.meter_id}@{self.microgrid}.{self.administrator}"


def parse_address(text: str) -> Address:
    """Return the address that a text holds.

    >>> parse_address("dep1-pv@bench.0f3a-91cc-2e07-b4d8").microgrid
    'bench'

    Raises:
        MalformedMessage: it has another form.
    """
    meter_id, _, rest = text.partition("@")
    microgrid, _, administrator = rest.partition(".")
    if not (
        NAME.fullmatch(meter_id)
        and NAME.fullmatch(microgrid)
        and _FINGERPRINT.fullmatch(administrator)
    ):
        raise MalformedMessage(f"{text!r} is no address: want meter@microgrid.xxxx-xxxx-xxxx-xxxx")
    return Address(meter_id, microgrid, administrator)


def pseudonym(
    network_id: bytes, member: str, first_key: bytes = b"", round_ms: int | None = None
) -> str:
    """Return the name under which a member appears to others, as m-7kq2-hx5p.

    The first 5 bytes, in base32, of SHA-256 over deterministic CBOR of
    ["gridtally/pseudonym/v1", network id, COSE_Key of the member's first key, or of its first
    meter's]. A member with neither is named by its name instead. With `round_ms`, the start of a
    slot, it is the last item of the list, and the pseudonym of that slot alone. It hides a name
    from who sees the page, not from who has the ledger.
    """
    own: bytes | str = first_key or member
    parts = ["gridtally/pseudonym/v1", network_id, own, *([] if round_ms is None else [round_ms])]
    digest = hashlib.sha256(cbor.encode(parts)).digest()
    text = base64.b32encode(digest[:5]).decode().lower()
    return f"m-{text[:4]}-{text[4:]}"
