"""What every relay of the catalog must do: absolute states, read back, released in the end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hardware import catalog
from hardware.errors import HardwareError, SwitchFailed
from hardware.mock.wires.pins import BenchFactory
from hardware.ports import Manners, Relay, Setpoint
from tests.support.relay_bench import CASES, REQUIRED, RelayBench, open_relay_bench
from tests.support.vectors import vectors

VECTORS = Path(__file__).parents[2] / "vectors"
LEVELS = {
    (row["active_high"], row["energised"]): row["high"] for row in vectors("gpio_relay")["levels"]
}
ON_PINS = [model for model, entry in catalog.RELAYS.items() if not entry.bus_kinds]
ON_BUSES = [model for model, entry in catalog.RELAYS.items() if entry.bus_kinds]


@pytest.fixture(params=[(model, on) for model in CASES for on in CASES[model]], ids="-".join)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RelayBench]:
    with open_relay_bench(*request.param, tmp_path) as bench:
        yield bench


class UntouchedBus:
    """A bus on which every use is a failure, but to say what a device asks of the line."""

    def heed(self, device: int, manners: Manners) -> None:
        """Nothing goes out."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"touched the bus: {name}")


def test_each_model_has_a_bench_on_each_of_its_buses():
    assert set(CASES) == set(catalog.RELAYS)
    for model in ON_BUSES:
        assert set(CASES[model]) >= {"direct", *catalog.RELAYS[model].bus_kinds}


@pytest.mark.parametrize("model", catalog.RELAYS)
def test_each_model_has_vectors_with_their_source(model):
    found = json.loads((VECTORS / f"{model}.json").read_text())
    assert found["model"] == model
    assert found["source"]


@pytest.mark.parametrize("model", ON_BUSES)
def test_making_a_relay_on_a_bus_touches_no_wire(model):
    assert isinstance(catalog.RELAYS[model].build, type)
    catalog.make_relay(model, UntouchedBus(), REQUIRED[model])


def test_a_relay_on_a_pin_and_a_limit_with_its_own_timer_alone_are_failsafe():
    found = [model for model, entry in catalog.RELAYS.items() if entry.is_failsafe]
    assert found == ["gpio_relay", "sunspec_limit", "sunspec_storage"]


def test_what_can_be_told_how_much_is_a_set_point():
    for model in ON_BUSES:
        relay = catalog.make_relay(model, UntouchedBus(), REQUIRED[model])
        assert isinstance(relay, Setpoint) is bool(catalog.RELAYS[model].setpoint)


def test_a_part_of_a_device_is_one_of_a_meter_model():
    parts = [entry.part_of for entry in catalog.RELAYS.values() if entry.part_of]
    assert parts
    assert set(parts) <= set(catalog.METERS)


def test_it_follows_and_says_where_it_is(bench):
    relay = bench.make()
    for energised in (False, True, True, False, True):
        relay.switch(energised)
        assert relay.is_energised is energised
        assert bench.stands() is energised
    assert isinstance(relay, Relay)


def test_it_is_left_released(bench):
    relay = bench.make()
    relay.switch(True)
    relay.close()
    assert bench.stands() is False


def test_what_a_killed_program_left_energised_is_released_by_the_next_one(bench):
    bench.make().switch(True)
    bench.kill()
    relay = bench.make()
    relay.switch(False)
    assert relay.is_energised is False
    assert bench.stands() is False


def test_what_does_not_follow_is_reported(bench):
    relay = bench.make()
    relay.switch(False)
    bench.stick()
    with pytest.raises(SwitchFailed, match=bench.where):
        relay.switch(True)


# on pins


@pytest.mark.parametrize("active_high", [True, False], ids=["active_high", "active_low"])
def test_a_pin_is_made_released_and_never_stood_otherwise(active_high):
    board = BenchFactory()
    relay = catalog.make_relay("gpio_relay", board, {"pin": 17, "active_high": active_high})
    rest, pulled = LEVELS[active_high, False], LEVELS[active_high, True]
    assert board.history(17) == [rest]
    for energised in (True, True, False, True):
        relay.switch(energised)
    assert board.history(17) == [rest, pulled, pulled, rest, pulled]
    relay.close()
    assert board.history(17)[-1] is rest
    assert board.pin(17).function == "input"


@pytest.mark.parametrize("model", ON_PINS)
def test_two_relays_cannot_share_a_pin(model):
    board = BenchFactory()
    first = catalog.make_relay(model, board, REQUIRED[model])
    with pytest.raises(HardwareError, match=r"GPIO(17|27)"):
        catalog.make_relay(model, board, REQUIRED[model])
    assert first.is_energised is False


# options


@pytest.mark.parametrize(
    ("model", "given", "keys"),
    [
        ("gpio_relay", {"pin": 17}, ["active_high"]),
        ("gpio_relay", {"pin": 28, "active_high": True}, ["pin"]),
        ("gpio_relay", {"pin": 17, "active_high": 1}, ["active_high"]),
        ("gpio_relay", {"pin": "17", "active_high": True, "colour": 1}, ["pin", "colour"]),
        ("latching_relay", {"set_pin": 4}, ["reset_pin", "active_high"]),
        ("latching_relay", {"set_pin": 4, "reset_pin": 4, "active_high": True}, ["reset_pin"]),
        (
            "latching_relay",
            {"set_pin": 4, "reset_pin": 5, "active_high": True, "pulse_ms": 5},
            ["pulse_ms"],
        ),
        ("waveshare_relay", {"address": 0}, ["address", "channel"]),
        ("waveshare_relay", {"channel": 33}, ["channel"]),
        ("lc_relay", {"channel": 1, "dialect": "toggle"}, ["dialect"]),
    ],
)
def test_bad_options_are_named(model, given, keys):
    kind = (catalog.RELAYS[model].bus_kinds or ("",))[0]
    assert [finding.key for finding in catalog.check_relay(model, kind, given)] == keys


@pytest.mark.parametrize(
    ("model", "kind", "rule"),
    [
        ("gpio_relay", "modbus_rtu", "gpio_relay wants pins of this node and no bus"),
        ("waveshare_relay", "", "waveshare_relay wants a bus of kind modbus_rtu or modbus_tcp"),
        ("lc_relay", "i2c", "lc_relay wants a bus of kind modbus_rtu or modbus_tcp"),
    ],
)
def test_a_relay_in_the_wrong_place_is_refused(model, kind, rule):
    (finding,) = catalog.check_relay(model, kind, REQUIRED[model])
    assert finding.key == "bus"
    assert rule in finding.rule


def test_an_unknown_model_is_refused():
    with pytest.raises(HardwareError, match="unknown relay model"):
        catalog.make_relay("lever", None, {})
    assert [finding.key for finding in catalog.check_relay("lever", "", {})] == ["model"]
