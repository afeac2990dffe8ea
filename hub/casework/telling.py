"""Tells owners what the regulator did, once an embargo has ended: an entry of the hub's a case."""

from __future__ import annotations

from hub.core.investigating import due_notices
from hub.pen import Pen
from hub.spine import Spine


def tell_owners(spine: Spine, pen: Pen) -> int:
    """Append the notices that are due; return how many.

    Raises:
        StorageFull, LedgerBehind: they stay due.
    """
    notices = list(due_notices(spine.recorder.state))
    if notices:
        spine.record([pen.entry(notice) for notice in notices])
    return len(notices)
