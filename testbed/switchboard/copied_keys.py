"""What a second agent signs that has a copy of a node's keys: one key on two devices.

Its outbox is empty, so it begins with sequence 1 again, while the true one is far beyond that.
"""

from __future__ import annotations

import secrets
from typing import Final

from edge.config import load_config
from keys.stores import open_signer
from messages.cose import SALT_BYTES
from messages.reading import Reading, sign_reading, sign_sealed_reading
from testbed.installation import Installation

SIGNED: Final = 3
NOT_OURS_UWH: Final = 1_000_000


def readings_of_a_copy(installation: Installation, node: str) -> tuple[bytes, ...]:
    """Return the first readings that a copy of a node's first meter signs."""
    config = load_config(installation.edge_toml(node))
    layout, meter = installation.layout, config.meter[0]
    signer = open_signer(config.key_places[meter.meter_id])
    is_sealed = layout.scenario.readings == "sealed"
    signed = []
    for sequence in range(1, SIGNED + 1):
        at_ms = layout.start_ms + (sequence - 1) * layout.slot_ms
        total_uwh = NOT_OURS_UWH * sequence
        reading = Reading(config.microgrid, meter.meter_id, sequence, at_ms, total_uwh, total_uwh)
        if is_sealed:
            signed.append(sign_sealed_reading(signer, reading, secrets.token_bytes(SALT_BYTES)))
        else:
            signed.append(sign_reading(signer, reading))
    return tuple(signed)
