"""The rule of `hub/joining/acl.py`, for a broker that asks about each topic: amqtt. Pure."""

from hub.joining.acl import reads, writes

LEVELS_MAX = 8


def may_publish(user: str, topic: str, microgrid: str) -> bool:
    """Return whether a user may publish to a topic."""
    if "#" in topic or "+" in topic:
        return False
    return any(covers(pattern, topic) for pattern in writes(user, microgrid))


def may_read(user: str, topic_filter: str, microgrid: str) -> bool:
    """Return whether a user may subscribe to a filter, or receive a topic."""
    return any(covers(pattern, topic_filter) for pattern in reads(user, microgrid))


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
