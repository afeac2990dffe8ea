"""Block headers: ordinary entries that cover a close and carry the state root into the log."""

from __future__ import annotations

from hub.core.draft import Draft
from hub.core.effects import HeaderFollows
from hub.core.events import Event
from hub.core.outcome import Outcome, ignore
from hub.core.records import Due
from hub.core.state import State
from messages.entries import BlockHeader


def next_header(state: State) -> tuple[int, Due] | None:
    """Return the oldest close that wants its header: (end index, what it covers)."""
    return min(state.dues.items()) if state.dues else None


def take_header(state: State, event: Event, header: BlockHeader) -> Outcome:
    """Accept the header of the oldest close that has none; the first valid one counts.

    The state root and the log root in it are an audit's to check: a fold cannot look back.
    """
    fault = _fault(state, header)
    if fault:
        return ignore(event, fault)
    draft = Draft(state)
    draft.put("due", header.end_index, None)
    draft.put(
        "progress",
        (),
        state.progress._replace(
            header_height=header.height,
            header_id=event.leaf_hash,
            header_end_index=header.end_index,
        ),
    )
    follows = HeaderFollows(
        event.index, header.height, header.end_index, header.state_root, header.results_root
    )
    return Outcome(draft.changes(), (follows,))


def _fault(state: State, header: BlockHeader) -> str:
    progress, due = state.progress, next_header(state)
    if due is None:
        return "no close wants a header"
    if header.height != progress.header_height + 1 or header.previous != progress.header_id:
        return f"header {header.height} does not follow header {progress.header_height}"
    if (header.first_index, header.end_index) != (due[1].first_index, due[0]):
        return f"the header covers entries up to {header.end_index}, the close is at {due[0] - 1}"
    if header.results_root != due[1].results_root:
        return "the header has another results root"
    return ""
