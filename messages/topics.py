"""Every topic string of the microgrid, built and parsed here and nowhere else.

gridtally/<microgrid>/<node>/up/<register|telemetry|live|ack|hello|status|call>
gridtally/<microgrid>/<node>/down/<receipt|lease|beacon|request|tariff>
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from messages.errors import MalformedMessage

ROOT = "gridtally"
UP = ("register", "telemetry", "live", "ack", "hello", "status", "call")
DOWN = ("receipt", "lease", "beacon", "request", "tariff")
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


@dataclass(frozen=True, slots=True)
class Topic:
    """One parsed topic; `leaf` is the last word, `up` says edge to hub."""

    microgrid: str
    node: str
    up: bool
    leaf: str


def check_name(name: object, what: str = "name") -> str:
    """Return `name` if it may stand in a topic.

    Raises:
        MalformedMessage: anything but 1 to 32 of a-z, 0-9 and -, or a leading -.
    """
    if not isinstance(name, str) or NAME.fullmatch(name) is None:
        raise MalformedMessage(f"{what} {name!r}: 1 to 32 of a-z, 0-9 and -, not starting with -")
    return name


def up(microgrid: str, node: str, leaf: str) -> str:
    """Return the topic on which `node` publishes `leaf`."""
    return _build(microgrid, node, "up", leaf, UP)


def down(microgrid: str, node: str, leaf: str) -> str:
    """Return the topic on which the hub publishes `leaf` to `node`."""
    return _build(microgrid, node, "down", leaf, DOWN)


def all_up(microgrid: str) -> str:
    """Return the hub's subscription: everything that any node publishes."""
    return f"{ROOT}/{check_name(microgrid, 'microgrid')}/+/up/+"


def all_down(microgrid: str, node: str) -> str:
    """Return a node's subscription: everything that the hub publishes to it."""
    return f"{ROOT}/{check_name(microgrid, 'microgrid')}/{check_name(node, 'node')}/down/+"


def every_down(microgrid: str) -> str:
    """Return the web process's subscription: everything that the hub publishes."""
    return f"{ROOT}/{check_name(microgrid, 'microgrid')}/+/down/+"


def _build(microgrid: str, node: str, way: str, leaf: str, leaves: tuple[str, ...]) -> str:
    if leaf not in leaves:
        raise AssertionError(f"{leaf!r} is no {way} topic")
    return f"{ROOT}/{check_name(microgrid, 'microgrid')}/{check_name(node, 'node')}/{way}/{leaf}"


def parse(topic: str) -> Topic:
    """Return the parts of a topic.

    Raises:
        MalformedMessage: it is none of ours.
    """
    parts = topic.split("/")
    if len(parts) != 5 or parts[0] != ROOT or parts[3] not in ("up", "down"):
        raise MalformedMessage(f"topic {topic!r} is none of ours")
    _, microgrid, node, way, leaf = parts
    if leaf not in (UP if way == "up" else DOWN):
        raise MalformedMessage(f"topic {topic!r}: {leaf!r} is unknown")
    return Topic(check_name(microgrid, "microgrid"), check_name(node, "node"), way == "up", leaf)
