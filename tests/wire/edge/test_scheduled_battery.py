"""A day planned by ADMM, accepted on the ledger, done by a battery on the wire, slot by slot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from hardware import catalog
from hardware.mock.points import Plant
from hardware.mock.sunspec.device import SunSpecHybrid
from hub.closing import Closer, CloseRule
from hub.scheduling.homes import Home
from hub.scheduling.rounds import Day, Schedule, schedule
from messages.entries import Call, KeyEntry, RelayEntry, sign_entry
from messages.scheduling import Battery, Devices, Plan, Proposal, pack
from tests.support.hardware_bench import modbus
from tests.support.hub_bench import METERS, SLOT_MS, START_MS
from tests.support.leased import Clock, Part, Way, leased
from tests.support.signers import ed25519

RATED_MW, DAY_SLOTS = 3_000_000, 4
WH = 10**6
STORE = RelayEntry("store", "fed", "pv", "alice", RATED_MW, critical=False, setpoint="battery")
HOME = Home(
    "alice",
    Devices(Battery(100 * WH, RATED_MW, 100, 100)),
    (-30 * WH, 0, 20 * WH, 10 * WH),  # sun first, then what she draws
    (0, 0, 0, 0),
)


@pytest.fixture
def way(tmp_path: Path) -> Iterator[tuple[Way, SunSpecHybrid]]:
    clock = Clock()
    hybrid = SunSpecHybrid(Plant(), rated_mw=RATED_MW, clock_s=clock.now_s)
    with ExitStack() as stack:
        bus = modbus("modbus_rtu", hybrid, tmp_path, stack)
        meter = catalog.make_meter("sunspec", bus, {"address": 1})

        def powers() -> dict[str, int]:
            return {"pv": meter.sample().power_mw or 0, "load": 0, "heater": 0}

        folder = tmp_path / "hub"
        folder.mkdir()
        way = leased(
            folder,
            Part(bus, "sunspec_storage", STORE),
            powers,
            clock,
            owners={"pv": {"purpose": "storage"}},
            dispatch="none",
            dispatch_parameters={},
            contract="day_ahead",
            parameters={"day_slots": DAY_SLOTS},
        )
        yield stack.enter_context(way), hybrid


def planned(day_ms: int) -> Schedule:
    tariff, feed_in = (220_000,) * DAY_SLOTS, (80_000,) * DAY_SLOTS
    return schedule([HOME], Day(day_ms, SLOT_MS, tariff, feed_in))


def hand_in(way: Way, member: str, message: Devices | Plan | Proposal) -> None:
    method = {Devices: "devices", Plan: "plan", Proposal: "propose"}[type(message)]
    call = Call(method.encode().ljust(16, b"."), START_MS + 10**7, "day_ahead", method, {})
    call = Call(call.call_id, call.not_after_slot_ms, "day_ahead", method, dict(pack(message)))
    board = way.board
    raw = sign_entry(ed25519(member), call, board.opened.trust.network_id)
    assert board.bench.desk(board.spine).append(raw) == ""


def begin(way: Way) -> None:
    """Enrol who signs, and let a first slot close, so that the fold knows the time."""
    board = way.board
    entries = [
        KeyEntry("enrol", "member", name, ed25519(name).public.cose_key, roles=roles)
        for name, roles in (("alice", ("member",)), ("aggregator", ("member", "service")))
    ]
    assert not any(board.bench.enrol(board.spine, entries))
    for edge_ms in (START_MS, START_MS + SLOT_MS):
        arrivals = [board.bench.reading(meter, edge_ms, 0) for meter in METERS]
        board.spine.take_in(arrivals, way.clock.now_ms, edge_ms)
    closer = Closer(board.spine, board.opened.pen, CloseRule(SLOT_MS, 30_000, 0))
    closer.close(START_MS, "complete", START_MS + SLOT_MS)


def test_an_accepted_day_is_done_slot_by_slot(way: tuple[Way, SunSpecHybrid]) -> None:
    site, hybrid = way
    begin(site)
    day_length_ms = DAY_SLOTS * SLOT_MS
    day_ms = (START_MS + site.clock.now_ms + 10_000) // day_length_ms * day_length_ms
    day_ms += day_length_ms
    found = planned(day_ms)
    hand_in(site, "alice", HOME.devices)
    hand_in(site, "alice", found.plans["alice"])
    site.run(3)
    assert not hybrid.battery.is_told  # a plan that nobody has accepted moves nothing
    hand_in(site, "aggregator", found.proposal)
    site.run(3)
    assert not hybrid.battery.is_told  # the day has not begun

    plan = found.plans["alice"]
    done = []
    for slot in range(DAY_SLOTS):
        site.clock.now_ms = day_ms - START_MS + slot * SLOT_MS
        site.run(4)
        done.append(hybrid.battery.power_mw)
    wanted = [
        (into - out) * 3_600 // SLOT_MS
        for into, out in zip(plan.charged_uwh, plan.discharged_uwh, strict=True)
    ]
    assert [round(power_mw, -3) for power_mw in done] == [round(each, -3) for each in wanted]
    assert done == pytest.approx([1_800_000, 0, -1_200_000, -600_000], abs=1_000)
    site.clock.now_ms = day_ms - START_MS + day_length_ms
    site.run(4)
    assert not hybrid.battery.is_told  # the day is over
