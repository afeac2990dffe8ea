"""What a member's sealed readings say, for an access that the ledger served."""

from __future__ import annotations

from bisect import bisect_left

from hub.core.records import Access
from hub.core.state import State
from hub.ledger.preimages import Preimages
from messages import cose
from messages.reading import decode_reading
from messages.records import Opened


def readings_of(
    preimages: Preimages, state: State, access: Access, final_size: int
) -> list[Opened]:
    """Return the readings that an access is for, in the order of the log, as far as they are kept.

    They are of the time in which the meter was its member's, until he was asked. A key's readings
    follow one another in time, so a long history is not read through.
    """
    found: list[Opened] = []
    since, until = state.meters[access.meter].member_index, min(access.entry_index, final_size)
    for kid, key in state.keys.items():
        if (key.holder, key.name) != ("meter", access.meter):
            continue
        places = [index for index in preimages.places(kid, until) if index >= since]
        first = bisect_left(places, access.from_ms, key=lambda at: _at_ms(preimages.sealed(at)))
        for index in places[first:]:
            sealed = preimages.sealed(index)
            if _at_ms(sealed) >= access.until_ms:
                break
            found.append(sealed)
    return sorted(found, key=lambda each: each.index)


def _at_ms(sealed: Opened) -> int:
    return decode_reading(cose.open_sealed(cose.parse(sealed.entry), sealed.preimage)).at_ms
