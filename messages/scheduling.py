"""A day planned ahead: what a member has, what he will do, and what an aggregator makes of all.

Each is the one argument of a member's signed call (`content`), as `pack` writes it: the
deterministic CBOR map of the dataclass. `hub.market.contracts.day_ahead` says what is right.

    devices   Devices    a member's limits, until he calls anew
    plan      Plan       what a member will do in each slot of one day
    propose   Proposal   the aggregator: prices, and what the grid gives and takes

What ADMM exchanges before that is no message of the ledger: `hub.scheduling`.
Series have one whole number a slot, from the first slot of the day on. [uWh, utok per kWh]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeVar

from messages import schema

CONTRACT: Final = "day_ahead"
CONTENT: Final = "content"
TASKS_MAX: Final = 16
SLOTS_MAX: Final = 288
"""Slots of a day planned ahead: five minutes each."""


@dataclass(frozen=True, slots=True)
class Battery:
    """What it holds, how fast it moves at its terminals, what a way keeps, what a kWh wears off.

    Wear counts for what goes in and for what comes out. [uWh, mW, %, utok per kWh]
    """

    capacity_uwh: int
    power_mw: int
    efficiency_percent: int
    wear_utok_per_kwh: int

    def most_uwh(self, slot_ms: int) -> int:
        """Return the most that goes in, or out, in a slot."""
        return self.power_mw * slot_ms // 3600

    def level_after(self, level_uwh: int, charged_uwh: int, discharged_uwh: int) -> int:
        """Return what it holds after a slot: both losses rounded to its disadvantage.

        >>> Battery(10, 10, 95, 0).level_after(5, 3, 0), Battery(10, 10, 95, 0).level_after(5, 0, 3)
        (7, 1)
        """
        percent = self.efficiency_percent
        return level_uwh + charged_uwh * percent // 100 - -(-discharged_uwh * 100 // percent)


@dataclass(frozen=True, slots=True)
class Task:
    """A load that runs once a day, slot after slot, whenever it suits: a relay lets it.

    It begins in one of the slots `earliest` to `latest`, counted from 0; `energy_uwh` is what it
    takes in each slot from there on. `relay` as "node/relay".
    """

    relay: str
    earliest: int
    latest: int
    energy_uwh: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Devices:
    """What a member lets be scheduled, in his signature."""

    battery: Battery | None = None
    tasks: tuple[Task, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What a member will do on the day that begins at `day_ms`.

    `base_uwh`: what he expects to draw without his devices; below 0 he feeds in. Up to `spare_uwh`
    of that he can do without feeding in, `curtailed_uwh` he will. The battery begins at `level_uwh`
    and ends at `end_uwh` or above. `starts`: the slot in which each of his tasks begins.
    `values`: what a kWh in the battery is worth to him after each slot: they prove, to whoever adds
    up, how far from his best this plan can be.
    """

    day_ms: int
    base_uwh: tuple[int, ...]
    spare_uwh: tuple[int, ...]
    curtailed_uwh: tuple[int, ...]
    charged_uwh: tuple[int, ...]
    discharged_uwh: tuple[int, ...]
    level_uwh: int
    end_uwh: int
    starts: tuple[int, ...]
    values_utok_per_kwh: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Proposal:
    """What an aggregator proposes for a day, for the plans of `members`, in order of their names.

    `tariff` and `feed_in` are the prices of the grid that it was made for. `cost_utok` is what grid
    and wear cost all of them, rounded up; `rounds` is how often ADMM went back and forth.
    """

    day_ms: int
    members: tuple[str, ...]
    prices_utok_per_kwh: tuple[int, ...]
    tariff_utok_per_kwh: tuple[int, ...]
    feed_in_utok_per_kwh: tuple[int, ...]
    import_uwh: tuple[int, ...]
    export_uwh: tuple[int, ...]
    cost_utok: int
    rounds: int


Message = TypeVar("Message", Devices, Plan, Proposal)


def pack(message: Devices | Plan | Proposal) -> dict[str, bytes]:
    """Return the arguments of the call that says it."""
    return {CONTENT: schema.encode_record(message)}


def unpack(kind: type[Message], content: Any) -> Message:
    """Return what a call says.

    Raises:
        MalformedMessage: a field is missing, unknown or of another type; by name.
    """
    return schema.decode_record(kind, content)
