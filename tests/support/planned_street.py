"""A street that plans four hours ahead: ann has sun and a battery, bob a washer, cid nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hub.market.contract import (
    CallRequest,
    CallResult,
    Clearing,
    Position,
    SlotBook,
    StepBudget,
    Tariff,
    Value,
)
from hub.market.contracts.day_ahead import DayAhead
from hub.scheduling.homes import Home
from hub.scheduling.rounds import Day, Schedule, schedule
from messages.scheduling import Battery, Devices, Plan, Proposal, Task, pack

HOUR_MS = 3_600_000
KWH = 1_000_000_000
DAY_MS = 4 * HOUR_MS
DEAR, CHEAP, FEED_IN = 400_000, 200_000, 50_000
DAY = Day(DAY_MS, HOUR_MS, (CHEAP, DEAR, DEAR, DEAR), (FEED_IN,) * 4)
HOMES = (
    Home(
        "ann",
        Devices(Battery(4 * KWH, 2_000_000, 95, 100)),
        (0, -3 * KWH, -3 * KWH, KWH),
        (0, 3 * KWH, 3 * KWH, 0),
        2 * KWH,
        2 * KWH,
    ),
    Home("bob", Devices(None, (Task("bob/washer", 1, 2, (KWH, KWH)),)), (KWH,) * 4, (0,) * 4),
    Home("cid", Devices(), (KWH,) * 4, (0,) * 4),
)
RULES: Mapping[str, Value] = {"day_slots": 4, "imbalance_utok_per_kwh": 30_000}


@dataclass
class Street:
    """The contract with what it remembers."""

    parameters: dict[str, Any] = field(default_factory=lambda: dict(RULES))
    memory: dict[str, Value] = field(default_factory=dict)
    planned: Schedule = field(default_factory=lambda: schedule(HOMES, DAY))

    def call(
        self,
        who: str,
        message: Devices | Plan | Proposal,
        slot_ms: int = 2 * HOUR_MS,
        **changes: Any,
    ) -> CallResult:
        method = {Devices: "devices", Plan: "plan", Proposal: "propose"}[type(message)]
        request = CallRequest(
            who,
            bytes(16),
            changes.pop("method", method),
            changes.pop("arguments", pack(message)),
            slot_ms,
            self.memory,
            HOUR_MS,
            roles=("service",) if who == "aggregator" else (),
            parameters=self.parameters,
        )
        result = DayAhead().call(request, changes.pop("budget", StepBudget()))
        assert not changes
        self.remember(result.memory)
        return result

    def remember(self, rows: Mapping[str, Value]) -> None:
        for key, value in rows.items():
            if value is None:
                self.memory.pop(key, None)
            else:
                self.memory[key] = value

    def plan_all(self) -> None:
        for home in HOMES:
            self.call(home.member, home.devices)
            self.call(home.member, self.planned.plans[home.member])

    def accepted(self) -> Street:
        self.plan_all()
        self.call("aggregator", self.planned.proposal)
        return self

    def net_uwh(self, member: str, slot: int) -> int:
        """What a member is to draw in a slot."""
        row: Any = self.memory[f"net.{DAY_MS}.{member}"]
        drawn: int = row[slot]
        return drawn

    def book(self, slot: int, beside: Mapping[str, int] | None = None) -> SlotBook:
        """What the meters show in a slot of the day: what was planned, and what is beside it."""
        beside = beside or {}
        names = sorted({*(home.member for home in HOMES), *beside})
        positions = []
        for name in names:
            drawn = beside.get(name, 0)
            if f"net.{DAY_MS}.{name}" in self.memory:
                drawn += self.net_uwh(name, slot)
            positions.append(
                Position(name, f"{name}-m", f"{name}-m", max(-drawn, 0), max(drawn, 0))
            )
        tariff = Tariff(DAY.tariff_utok_per_kwh[slot], FEED_IN)
        return SlotBook(
            DAY_MS + slot * HOUR_MS, HOUR_MS, tuple(positions), tariff, self.parameters, self.memory
        )

    def clear(self, book: SlotBook) -> Clearing:
        return DayAhead().clear(book, StepBudget())
