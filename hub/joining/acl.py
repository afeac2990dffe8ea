"""Who may send and read which topic on a broker: pure, the rule of every installation.

A node writes below its own `up/` and reads below its own `down/`; the hub does the reverse for
all; the web page reads both and writes nothing. Everything else is refused, `$SYS` and shared
subscriptions included. Content is checked all the same: the broker is trusted with nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

HUB: Final = "hub"
WEB: Final = "web"
OURS: Final = (HUB, WEB)
"""Names at the broker that no node can have."""


def mosquitto_acl(microgrid: str, ended: Iterable[str] = ()) -> str:
    """Return the rule as Mosquitto's ACL file.

    A node needs no line of its own (%u is its name), so that one that joins can speak at once. Who
    has `ended`, and names that no node can have, are denied what the pattern would let them do.
    """
    lines = []
    for user in OURS:
        lines.append(f"user {user}")
        lines += [f"topic write {pattern}" for pattern in writes(user, microgrid)]
        lines += [f"topic read {pattern}" for pattern in reads(user, microgrid)]
        lines += [f"topic deny gridtally/{microgrid}/{user}/#", ""]
    for user in sorted({*ended} - {*OURS}):
        lines += [f"user {user}", f"topic deny gridtally/{microgrid}/{user}/#", ""]
    lines += [f"pattern write {pattern}" for pattern in writes("%u", microgrid)]
    lines += [f"pattern read {pattern}" for pattern in reads("%u", microgrid)]
    return "\n".join([*lines, ""])


def writes(user: str, microgrid: str) -> tuple[str, ...]:
    """Return the topics that a user may publish to, as filters."""
    if user == HUB:
        return (f"gridtally/{microgrid}/+/down/#",)
    if user == WEB:
        return ()
    return (f"gridtally/{microgrid}/{user}/up/#",)


def reads(user: str, microgrid: str) -> tuple[str, ...]:
    """Return the topics that a user may subscribe to, as filters."""
    if user == HUB:
        return (f"gridtally/{microgrid}/+/up/#",)
    if user == WEB:
        return (f"gridtally/{microgrid}/+/up/#", f"gridtally/{microgrid}/+/down/#")
    return (f"gridtally/{microgrid}/{user}/down/#",)
