"""Stored energy is released by its purchase: call, contract's word, lease, load output on the wire.

The storage is a battery behind an EPEver charge controller; its load output is the relay.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from hardware.mock.chargers.epever import EpeverController
from hardware.mock.points import Plant
from hub.closing import Closer, CloseRule
from hub.core.events import read_event
from messages.entries import Call, Decision, KeyEntry, RelayEntry, sign_entry
from tests.support.hardware_bench import modbus
from tests.support.hub_bench import SLOT_MS, START_MS
from tests.support.leased import Clock, Part, Way, leased
from tests.support.signers import ed25519

KWH = 10**9
OUTPUT = RelayEntry("output", "cut", "", "store", 100_000, critical=False, failsafe=False)
HELD = "nothing that was bought waits to be released"


class Yard:
    """Ann has panels, Bob buys, and the storage's meter counts what goes in and out."""

    def __init__(self, way: Way, controller: EpeverController) -> None:
        self.way, self.controller = way, controller
        self.totals = {"pv": (0, 0), "load": (0, 0), "heater": (0, 0)}
        self.edge_ms = START_MS
        self._register()

    def close(self, **kwh: int) -> None:
        """Let a slot pass: net energy by meter, above 0 is given. [kWh]"""
        for meter, given in kwh.items():
            taken, gave = self.totals[meter]
            self.totals[meter] = (taken + max(-given, 0) * KWH, gave + max(given, 0) * KWH)
        start_ms, self.edge_ms = self.edge_ms, self.edge_ms + SLOT_MS
        self._register()
        board = self.way.board
        Closer(board.spine, board.opened.pen, CloseRule(SLOT_MS, 30_000, 0)).close(
            start_ms, "complete", self.edge_ms
        )

    def call(self, member: str, method: str, **arguments: int | str) -> bytes:
        """Make a call as a member; return its id."""
        call_id = f"{member} {method}".encode().ljust(16, b".")
        call = Call(call_id, self.edge_ms + SLOT_MS, "storage_escrow", method, dict(arguments))
        bench, opened = self.way.board.bench, self.way.board.opened
        raw = sign_entry(ed25519(member), call, opened.trust.network_id)
        assert bench.desk(self.way.board.spine).append(raw) == ""
        return call_id

    @property
    def valve(self) -> object:
        """What the contract says of the storage's relays."""
        state = self.way.board.spine.recorder.state
        return state.memory.get(("storage_escrow", "supply.store"))

    def _register(self) -> None:
        board = self.way.board
        arrivals = [
            board.bench.reading(meter, self.edge_ms, 0, import_uwh=taken, export_uwh=given)
            for meter, (taken, given) in self.totals.items()
        ]
        board.spine.take_in(arrivals, self.way.clock.now_ms, self.edge_ms)


@pytest.fixture(params=["direct", "modbus_rtu"])
def yard(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Yard]:
    clock = Clock()
    controller = EpeverController(Plant(pv_power_mw=50_000, battery_mv=13_000))
    controller.write_bit(2, False)
    with ExitStack() as stack:
        bus = modbus(request.param, controller, tmp_path, stack)
        folder = tmp_path / "hub"
        folder.mkdir()

        def powers() -> dict[str, int]:
            return {"pv": -1_000, "load": 1_000, "heater": 0}

        owners = {
            "pv": {"member": "ann"},
            "load": {"member": "bob", "purpose": "net"},
            "heater": {"member": "store", "purpose": "storage", "parent": ""},
        }
        way = stack.enter_context(
            leased(
                folder,
                Part(bus, "epever_load", OUTPUT),
                powers,
                clock,
                owners=owners,
                dispatch="none",
                dispatch_parameters={},
                contract="storage_escrow",
                parameters={"storage": "store"},
            )
        )
        entries = [
            KeyEntry("enrol", "member", name, ed25519(name).public.cose_key, roles=("member",))
            for name in ("ann", "bob")
        ]
        assert not any(way.board.bench.enrol(way.board.spine, entries))
        yield Yard(way, controller)


def newest_decision(way: Way) -> Decision:
    entry = next(iter(way.board.spine.recorder.store.newest("decision")))
    body = read_event(entry.index, entry.raw).body
    assert isinstance(body, Decision)
    return body


def test_a_purchase_opens_the_load_output_until_it_is_delivered(yard: Yard) -> None:
    way, controller = yard.way, yard.controller
    way.run(3)
    assert controller.load_is_on  # no slot has closed: the market has not said anything
    yard.close(pv=6, load=3, heater=-6)
    assert yard.valve == "held"
    way.run(3)
    assert not controller.load_is_on
    assert HELD in newest_decision(way).reason

    sale = yard.call("ann", "sell", price_utok_per_kwh=80_000, energy_uwh=KWH)
    way.run(2)
    assert not controller.load_is_on  # it is on offer, and nobody has paid for it
    yard.call("bob", "buy", sale=sale.hex(), energy_uwh=KWH)
    assert yard.valve is None
    way.run(3)
    assert controller.load_is_on
    assert [output.cut for output in newest_decision(way).outputs] == [False]
    assert way.acks()[-1] == ("applied", True, None)

    yard.close(load=-1, heater=1)
    assert yard.valve == "held"
    way.run(3)
    assert not controller.load_is_on
    assert way.acks()[-1] == ("applied", False, None)


def test_when_the_hub_falls_silent_the_output_is_cut(yard: Yard) -> None:
    way, controller = yard.way, yard.controller
    yard.close(pv=6, load=3, heater=-6)
    sale = yard.call("ann", "sell", price_utok_per_kwh=80_000, energy_uwh=KWH)
    yard.call("bob", "buy", sale=sale.hex(), energy_uwh=KWH)
    way.run(3)
    assert controller.load_is_on
    way.carries = False
    way.run(7)
    assert not controller.load_is_on
    assert way.acks()[-1][0] == "expired"
