"""Options are checked without coercion, and every finding is told."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass

import pytest

from hardware import catalog, options
from hardware.errors import BadOptions, UnknownModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Lamp:
    watts: int = options.number(1, 60, "its power")
    socket: str = options.choice(("E14", "E27"), "its socket", default="E27")
    dimmable: bool = options.flag("whether it dims", default=False)
    place: str = options.text("where it hangs", default="hall")


def test_defaults_fill_what_is_not_given():
    assert options.parse(Lamp, {"watts": 7}) == Lamp(watts=7, socket="E27", dimmable=False)


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("watts", "7", "want its power, a whole number from 1 to 60"),
        ("watts", 7.0, "want its power, a whole number from 1 to 60"),
        ("watts", True, "want its power, a whole number from 1 to 60"),
        ("watts", 0, "want its power, a whole number from 1 to 60"),
        ("watts", 61, "want its power, a whole number from 1 to 60"),
        ("socket", "GU10", "want its socket, one of 'E14', 'E27'"),
        ("dimmable", 1, "want whether it dims, true or false"),
        ("place", "", "want where it hangs, a text that is not empty"),
        ("colour", "red", "unknown option, want one of watts, socket, dimmable, place"),
    ],
)
def test_a_finding_names_key_value_and_rule(key, value, rule):
    (finding,) = options.check(Lamp, {"watts": 7, key: value})
    assert (finding.key, finding.value, finding.rule) == (key, value, rule)
    assert str(finding) == f"{key} = {value!r}: {rule}"


def test_all_findings_are_raised_together():
    with pytest.raises(BadOptions) as raised:
        options.parse(Lamp, {"socket": 3, "colour": "red"})
    assert [finding.key for finding in raised.value.findings] == ["socket", "colour", "watts"]
    assert "watts: is missing, want its power" in str(raised.value)


@pytest.mark.parametrize(
    ("kind", "given", "keys"),
    [
        ("i2c", {"device": "/dev/i2c-1"}, []),
        ("i2c", {}, ["device"]),
        ("modbus_tcp", {"host": "10.0.0.7"}, []),
        ("modbus_tcp", {"host": "10.0.0.7", "port": 70_000}, ["port"]),
        ("modbus_rtu", {"device": "/dev/ttyUSB0", "baud": 9_600}, []),
        ("modbus_rtu", {"device": "/dev/ttyUSB0", "baud": 9_600, "pause_ms": 5_001}, ["pause_ms"]),
        ("modbus_rtu_tcp", {"host": "10.0.0.7", "port": 8_899, "baud": 2_400}, []),
        ("modbus_rtu_tcp", {"host": "10.0.0.7"}, ["port"]),
        (
            "modbus_rtu",
            {"device": "/dev/ttyUSB0", "baud": 9_601, "parity": "X"},
            ["baud", "parity"],
        ),
        ("pigeon", {}, ["kind"]),
    ],
)
def test_bus_options(kind, given, keys):
    assert [finding.key for finding in catalog.check_bus(kind, given)] == keys


def test_what_is_not_in_the_catalog_is_refused_with_what_is():
    wanted = r"want one of .*\bina219\b"
    with pytest.raises(UnknownModel, match=wanted):
        catalog.make_meter("sdm999", None, {})
    with pytest.raises(UnknownModel, match="unknown bus kind, want one of i2c"):
        catalog.open_bus("pigeon", {})
    (finding,) = catalog.check_meter("sdm999", "modbus_tcp", {})
    assert (finding.key, finding.value) == ("model", "sdm999")
    assert re.search(wanted, finding.rule)


def test_a_shunt_that_cannot_carry_the_current_is_a_finding():
    given = {"shunt_mohm": 100, "current_max_ma": 3_201}
    (finding,) = catalog.check_meter("ina219", "i2c", given)
    assert finding.key == "current_max_ma"
    assert "drops 320 mV on a shunt of 100 mohm" in finding.rule
    with pytest.raises(BadOptions, match="current_max_ma"):
        catalog.make_meter("ina219", None, given)


def test_a_range_too_small_for_the_calibration_register_is_a_finding():
    (finding,) = catalog.check_meter("ina219", "i2c", {"shunt_mohm": 2, "current_max_ma": 3})
    assert finding.key == "current_max_ma"
    assert "exceed 16 bits" in finding.rule


def test_naming_models_loads_no_library_of_a_bus():
    """A Pi Zero without a Modbus bus must not pay for pyserial."""
    ask = (
        "import sys, hardware.catalog; "
        "print(sorted({'gpiozero', 'smbus2', 'serial'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
