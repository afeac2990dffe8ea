"""Who may send and read which topic on the testbed's broker: pure, the rule of every installation.

A node writes below its own `up/` and reads below its own `down/`; the hub does the reverse for
all; the web page reads both and writes nothing. Everything else is refused, `$SYS` and shared
subscriptions included.
"""

HUB = "hub"
WEB = "web"
LEVELS_MAX = 8


def may_publish(user: str, topic: str, microgrid: str) -> bool:
    """Return whether a user may publish to a topic."""
    if "#" in topic or "+" in topic:
        return False
    return any(covers(pattern, topic) for pattern in _writes(user, microgrid))


def may_read(user: str, topic_filter: str, microgrid: str) -> bool:
    """Return whether a user may subscribe to a filter, or receive a topic."""
    return any(covers(pattern, topic_filter) for pattern in _reads(user, microgrid))


def covers(pattern: str, topic_filter: str) -> bool:
    """Return whether every topic that the filter matches is matched by the pattern, too."""
    wanted = topic_filter.split("/")
    if len(wanted) > LEVELS_MAX:
        return False
    for index, level in enumerate(pattern.split("/")):
        if level == "#":
            return len(wanted) > index
        if index >= len(wanted) or wanted[index] == "#":
            return False
        if level == "+":
            continue
        if wanted[index] != level:
            return False
    return len(wanted) == len(pattern.split("/"))


def mosquitto_acl(nodes: tuple[str, ...], microgrid: str) -> str:
    """Return the same rule as Mosquitto's ACL file, user by user."""
    lines = []
    for user in (HUB, WEB, *nodes):
        lines.append(f"user {user}")
        lines += [f"topic write {pattern}" for pattern in _writes(user, microgrid)]
        lines += [f"topic read {pattern}" for pattern in _reads(user, microgrid)]
        lines.append("")
    return "\n".join(lines)


def _writes(user: str, microgrid: str) -> tuple[str, ...]:
    if user == HUB:
        return (f"gridtally/{microgrid}/+/down/#",)
    if user == WEB:
        return ()
    return (f"gridtally/{microgrid}/{user}/up/#",)


def _reads(user: str, microgrid: str) -> tuple[str, ...]:
    if user == HUB:
        return (f"gridtally/{microgrid}/+/up/#",)
    if user == WEB:
        return (f"gridtally/{microgrid}/+/up/#", f"gridtally/{microgrid}/+/down/#")
    return (f"gridtally/{microgrid}/{user}/down/#",)
