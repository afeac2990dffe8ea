"""Simulated members who trade: each has a key of his own, and orders that stand.

Used where the demo's market keeps an order book. They are signed and handed in as a person's.
"""

import secrets
from dataclasses import dataclass
from pathlib import Path

from hub.inbox import Inbox
from hub.market.catalog import installed
from hub.starting import read_trust
from keys.file import generate, load
from messages.entries import Call, KeyEntry, sign_entry
from messages.orders import Argument
from testbed.installation import Installation
from testbed.layout import Layout

SLOTS_VALID = 8
STEP_UTOK = 1_000  # between one member's limit and the next one's, per kWh


def has_book(layout: Layout) -> bool:
    """Whether the market of a scenario keeps an order book."""
    policy = layout.scenario.policy
    make = installed().get(policy.contract)
    return make is not None and getattr(make(), "order_rules", None) is not None


def member_keys(installation: Installation) -> list[KeyEntry]:
    """Make a key for each member; return the entries that enrol them."""
    found = []
    for member in installation.layout.members:
        signer = generate(key_path(installation, member))
        found.append(KeyEntry("enrol", "member", member, signer.public.cose_key))
    return found


def key_path(installation: Installation, member: str) -> Path:
    """Return where a simulated member's key lies."""
    return installation.folder / "keys" / f"member-{member}.pem"


@dataclass(slots=True)
class Traders:
    """Hands in each member's standing bid and ask, once the first slot has closed.

    Limits lie between what the grid pays and what it takes, so that neighbours do better.
    """

    installation: Installation
    is_done: bool = False

    def look(self, at_ms: int) -> None:
        """Do what is due at an instant. [ms UTC]"""
        layout = self.installation.layout
        if self.is_done or at_ms < layout.start_ms + layout.slot_ms:
            return
        self.is_done = True
        network_id = read_trust(self.installation.folder / "trust.toml").network_id
        inbox = Inbox(self.installation.folder)
        for number, member in enumerate(layout.members):
            signer = load(key_path(self.installation, member))
            for side, price in zip(("bid", "ask"), limits(layout, number), strict=True):
                arguments: dict[str, Argument] = {"side": side, "price_utok_per_kwh": price}
                until_ms = at_ms + SLOTS_VALID * layout.slot_ms
                contract = layout.scenario.policy.contract
                call = Call(secrets.token_bytes(16), until_ms, contract, "order", arguments)
                inbox.put(sign_entry(signer, call, network_id))


def limits(layout: Layout, number: int) -> tuple[int, int]:
    """Return a member's bid and ask. [utok per kWh]"""
    policy = layout.scenario.policy
    low = max(row.utok_per_kwh for row in policy.feed_in)
    high = min(row.utok_per_kwh for row in policy.price)
    step = min(STEP_UTOK * number, max(high - low, 0) // 2)
    return high - step, low + step
