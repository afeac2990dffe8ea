"""A node whose relay really switches the load that one of its simulated meters measures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from hardware.mock.wires.pins import Contact
from tests.support.edge_node import Node, Pins, node

LOAD_UA = 2_000_000
CONSUMPTION = 'purpose = "consumption"'
APPLIANCE = 'purpose = "appliance"\nparent = "m0"'


@dataclass
class SwitchedNode:
    """A node with the meters m0 (the house) and m1 (the load of its relay `heater`)."""

    node: Node
    contact: Contact

    def follow(self, high: bool) -> None:
        """Let the contact and the load follow pin 17."""
        self.contact.follow(high)
        self.set_load()

    def set_load(self) -> None:
        """Let the meters see what the contact lets through."""
        current_ua = LOAD_UA if self.contact.is_fed else 0
        self.node.lines["m1"].current_ua = current_ua
        self.node.lines["m0"].current_ua = 500_000 + current_ua


@contextmanager
def switched_node(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, wired: str = "fed"
) -> Iterator[SwitchedNode]:
    """Yield a node whose relay is configured as fed when released, and wired as said."""
    contact = Contact(active_high=True, deenergised=wired)
    made: list[SwitchedNode] = []
    move = Pins.move

    def follow(pins: Pins, name: str, pin: int, high: bool) -> bool:
        made[0].follow(high)
        return move(pins, name, pin, high)

    monkeypatch.setattr(Pins, "move", follow)
    with node(folder, meters=2) as plain:
        text = plain.config_file.read_text()
        head, _, tail = text.rpartition(CONSUMPTION)
        text = (head + APPLIANCE + tail).replace("[[relay]]", '[[relay]]\nload = "m1"')
        plain.config_file.write_text(text)
        made.append(SwitchedNode(plain, contact))
        made[0].set_load()
        yield made[0]
