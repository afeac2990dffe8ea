"""Cases as people read them."""

from __future__ import annotations

from collections.abc import Iterator

from hub.core.state import State
from hub.joining.members import membership


def case_lines(state: State, asker: str) -> Iterator[str]:
    """Yield the cases that somebody may know of; "" asks for nobody in particular."""
    next_ms = state.progress.next_slot_ms or 0
    for name, row in sorted(state.cases.items()):
        if row.told_index is None and row.by != asker:
            continue
        standing = "open" if row.is_open(next_ms) else "over"
        if row.told_index is None:
            standing += f", {row.owner} is not told before slot {row.embargo_slot_ms}"
        used = ", ".join(map(str, row.accesses)) or "none"
        yield (
            f"case {name} ({standing}): {row.by} on {row.owner}, until slot {row.until_slot_ms}: "
            f"{row.reason}; opened by entry {row.opened_index}, used by entries: {used}"
        )


def identity_lines(state: State, owner: str) -> Iterator[str]:
    """Yield what registry and ledger say of a member: name, meters, records."""
    yield f"member {owner}"
    for meter in membership(state).meters:
        if meter.member == owner:
            said = ", ".join(word for word in (meter.purpose, meter.fuel, meter.location) if word)
            yield f"meter {meter.address}: {said}"
    for record_id, row in sorted(state.records.items(), key=lambda each: each[1][:2]):
        if row.owner == owner and row.erased_index is None:
            yield f"record {record_id.hex()}: {row.purpose}"
