"""From the hub to its nodes: each message signed once, addressed, and handed to the link."""

from __future__ import annotations

from typing import Protocol

from hub.pen import Pen
from messages import topics
from messages.lease import Lease
from messages.receipt import Receipt, Refusal
from messages.status import Beacon, Request
from messages.tariff import Tariff


class Link(Protocol):
    """Whatever takes bytes to a topic."""

    @property
    def is_open(self) -> bool:
        """Whether somebody is there to take them."""

    def publish(self, topic: str, raw: bytes, *, qos: int = 1) -> bool:
        """Hand over one message; False if nobody is there to take it."""


class Post:
    """Knows the topics. What nobody takes is not kept: edges ask again, leases are renewed."""

    def __init__(self, link: Link, pen: Pen, microgrid: str) -> None:
        self._link = link
        self._pen = pen
        self._microgrid = microgrid

    @property
    def is_open(self) -> bool:
        """Whether a message would be taken now."""
        return self._link.is_open

    def receipt(self, receipt: Receipt) -> bool:
        """Send a node its receipt."""
        return self._send(receipt.node, "receipt", self._pen.message(receipt))

    def refusal(self, refusal: Refusal) -> bool:
        """Tell a node why a message can never be taken."""
        return self._send(refusal.node, "receipt", self._pen.message(refusal))

    def lease(self, lease: Lease) -> bool:
        """Send a node a command for one relay."""
        return self._send(lease.node, "lease", self._pen.message(lease))

    def beacon(self, beacon: bytes, nodes: tuple[str, ...]) -> None:
        """Send every node the newest beacon; an old one is worth nothing, so at most once."""
        raw = self._pen.message(Beacon(beacon))
        for node in nodes:
            self._send(node, "beacon", raw, qos=0)

    def request(self, request: Request, nodes: tuple[str, ...]) -> None:
        """Send every node the balance request of paper 000."""
        raw = self._pen.message(request)
        for node in nodes:
            self._send(node, "request", raw)

    def tariff(self, tariff: Tariff, node: str) -> None:
        """Tell a node the prices of the coming slots."""
        self._send(node, "tariff", self._pen.message(tariff))

    def _send(self, node: str, leaf: str, raw: bytes, *, qos: int = 1) -> bool:
        return self._link.publish(topics.down(self._microgrid, node, leaf), raw, qos=qos)
