"""The registers behind VE.Direct HEX: what each value is, in which unit, and how it is decoded.

Values are little-endian, and a device sends the width it likes (0x0202 and 0x0205 come as one or
four bytes), so that the width is taken from the frame. All ones, or for a signed value the
greatest one, says "not available". A register that is not listed is told as bytes: devices send
more than anybody has written down.

Source: Victron BlueSolar HEX protocol; register lists of public drivers. On VE.Direct paper and
devices disagree about some: see the comments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Final

from hardware.vedirect import frames
from hardware.vedirect.frames import Frame
from hardware.vedirect.quantity import (
    ERRORS,
    HUNDREDTH,
    MILLI,
    STATES,
    TENTH,
    TRACKERS,
    Quantity,
    Shown,
)

PRODUCT_ID, SERIAL, MODEL_NAME = 0x0100, 0x010A, 0x010B
DEVICE_MODE, STATE, REMOTE_CONTROL = 0x0200, 0x0201, 0x0202
NETWORK_MODE, CHARGE_LIMIT = 0x200E, 0x2015
LOAD_STATE, LOAD_CONTROL, LOAD_CURRENT = 0xEDA8, 0xEDAB, 0xEDAD
PV_VOLTAGE, PV_POWER, PV_CURRENT = 0xEDBB, 0xEDBC, 0xEDBD
CHARGER_VOLTAGE, CHARGER_CURRENT = 0xEDD5, 0xEDD7
USER_YIELD, BATTERY_TEMPERATURE = 0xEDDC, 0xEDEC
DAYS: Final = range(0x1050, 0x106F)
"""History of day 0 (today) to 30."""

_KELVIN = Fraction(-27315, 100)
_MODES: Mapping[int, str] = MappingProxyType({0: "off", 1: "on", 4: "off"})
_LOAD: Mapping[int, str] = MappingProxyType(
    {0: "off", 1: "automatic", 4: "always off", 5: "always on"}
)
_SWITCHED: Mapping[int, str] = MappingProxyType({0: "off", 1: "on"})

REGISTERS: Mapping[int, Quantity] = MappingProxyType(
    {
        DEVICE_MODE: Quantity("device_mode", names=_MODES),
        STATE: Quantity("charge_state", names=STATES),
        REMOTE_CONTROL: Quantity("remote_control_used"),
        0x0205: Quantity("off_reason"),
        0x0207: Quantity("off_reason"),
        0x034E: Quantity("relay", names=_SWITCHED),
        0x034F: Quantity("relay_mode"),
        0x0FFE: Quantity("time_to_go", "min"),
        0x0FFF: Quantity("charge", "%", HUNDREDTH),
        0x1000: Quantity("battery_capacity", "Ah"),
        0x2001: Quantity("network_voltage_set_point", "V", HUNDREDTH),
        0x2002: Quantity("network_battery_voltage", "V", HUNDREDTH),
        0x2003: Quantity("network_battery_temperature", "degC", HUNDREDTH),
        0x200A: Quantity("network_battery_current", "A", MILLI),
        0x200D: Quantity("network_info"),
        NETWORK_MODE: Quantity("network_mode"),
        CHARGE_LIMIT: Quantity("charge_current_limit", "A", TENTH),
        0x2027: Quantity("network_pv_power", "W", HUNDREDTH),
        0xED23: Quantity("link_timeout", "s"),
        0xED8D: Quantity("battery_voltage", "V", HUNDREDTH),
        0xED8E: Quantity("battery_power", "W"),
        0xED8F: Quantity("battery_current", "A", TENTH),
        0xED98: Quantity("rx_pin_function"),
        LOAD_STATE: Quantity("load", names=_SWITCHED),
        0xEDA9: Quantity("load_voltage", "V", HUNDREDTH),
        LOAD_CONTROL: Quantity("load_control", names=_LOAD),
        LOAD_CURRENT: Quantity("load_current", "A", TENTH),
        0xEDB3: Quantity("tracker_state", names=TRACKERS),
        0xEDB8: Quantity("pv_voltage_max", "V", HUNDREDTH),
        PV_VOLTAGE: Quantity("pv_voltage", "V", HUNDREDTH),
        PV_POWER: Quantity("pv_power", "W", HUNDREDTH),
        PV_CURRENT: Quantity("pv_current", "A", TENTH),
        0xEDD0: Quantity("pv_power_max_yesterday", "W"),
        0xEDD1: Quantity("yield_yesterday", "kWh", HUNDREDTH),
        0xEDD2: Quantity("pv_power_max_today", "W"),
        0xEDD3: Quantity("yield_today", "kWh", HUNDREDTH),
        CHARGER_VOLTAGE: Quantity("charger_voltage", "V", HUNDREDTH),
        CHARGER_CURRENT: Quantity("charger_current", "A", TENTH),
        0xEDDA: Quantity("error", names=ERRORS),
        0xEDDB: Quantity("internal_temperature", "degC", HUNDREDTH),
        USER_YIELD: Quantity("yield_total", "kWh", HUNDREDTH),
        0xEDDD: Quantity("yield_system", "kWh", HUNDREDTH),
        0xEDDF: Quantity("charge_current_max", "A", TENTH),
        BATTERY_TEMPERATURE: Quantity("battery_temperature", "degC", HUNDREDTH, offset=_KELVIN),
        0xEDF0: Quantity("battery_current_max", "A", TENTH),
        0xEDF1: Quantity("battery_type"),
        0xEDF6: Quantity("float_voltage", "V", HUNDREDTH),
        0xEDF7: Quantity("absorption_voltage", "V", HUNDREDTH),
    }
)
"""Numbers by register. 0xEDF0 stands in an EEPROM: it is read here and never written."""

_SIGNED = frozenset({0x2003, 0x200A, 0xED8D, 0xED8E, 0xED8F, 0xEDDB})
_EITHER = frozenset({CHARGER_CURRENT})
"""Unsigned in one document, signed in another: "not available" is taken in both forms."""

_NIBBLE = frozenset({LOAD_CONTROL})
"""Only the low four bits count."""


def value_of(register: int, raw: bytes) -> Fraction | None:
    """Return the number in a register's value, in its unit; None is not available.

    The register must be one of `REGISTERS`, the value any width.
    """
    bits = 8 * len(raw)
    unsigned = int.from_bytes(raw, "little")
    greatest = (1 << bits) - 1
    is_signed = register in _SIGNED
    if not raw or unsigned == (greatest >> 1 if is_signed else greatest):
        return None
    if register in _EITHER and unsigned == greatest >> 1:
        return None
    if register in _NIBBLE:
        unsigned &= 0x0F
    if is_signed and unsigned > greatest >> 1:
        unsigned -= 1 << bits
    quantity = REGISTERS[register]
    return unsigned * quantity.scale + quantity.offset


def text_of(raw: bytes) -> str:
    """Return the text in a value, which ends at its first zero byte."""
    return raw.partition(b"\0")[0].decode("latin-1")


def product_of(raw: bytes) -> str:
    """Return a product id as text has it: the second and third byte, low first."""
    return f"0x{int.from_bytes(raw[1:3], 'little'):04X}"


@dataclass(frozen=True, slots=True)
class _Part:
    """One field of a day's record."""

    quantity: Quantity
    bytes: int


_DAY: tuple[_Part, ...] = (
    _Part(Quantity("reserved"), 1),
    _Part(Quantity("yield", "kWh", HUNDREDTH), 4),
    _Part(Quantity("consumed", "kWh", HUNDREDTH), 4),
    _Part(Quantity("battery_voltage_max", "V", HUNDREDTH), 2),
    _Part(Quantity("battery_voltage_min", "V", HUNDREDTH), 2),
    _Part(Quantity("error_database"), 1),
    _Part(Quantity("error_1", names=ERRORS), 1),
    _Part(Quantity("error_2", names=ERRORS), 1),
    _Part(Quantity("error_3", names=ERRORS), 1),
    _Part(Quantity("error_4", names=ERRORS), 1),
    _Part(Quantity("bulk", "min"), 2),
    _Part(Quantity("absorption", "min"), 2),
    _Part(Quantity("float", "min"), 2),
    _Part(Quantity("pv_power_max", "W"), 4),
    _Part(Quantity("battery_current_max", "A", TENTH), 2),
    _Part(Quantity("pv_voltage_max", "V", HUNDREDTH), 2),
    _Part(Quantity("day_sequence"), 2),
)
DAY_BYTES: Final = sum(part.bytes for part in _DAY)


def describe_day(raw: bytes) -> dict[str, Shown]:
    """Return the record of a day by name and unit; of another length than 34: as bytes."""
    if len(raw) != DAY_BYTES:
        return {"value_hex": raw.hex().upper()}
    shown: dict[str, Shown] = {}
    at = 0
    for part in _DAY:
        quantity, unsigned = part.quantity, int.from_bytes(raw[at : at + part.bytes], "little")
        at += part.bytes
        is_known = unsigned != (1 << 8 * part.bytes) - 1
        shown[quantity.key] = quantity.natural(unsigned * quantity.scale) if is_known else None
    del shown["reserved"]
    return shown


_PLAIN: Mapping[tuple[int, bool], str] = MappingProxyType(
    {
        (0x0, False): "enter_boot",
        (frames.PING, False): "ping",
        (frames.VERSION, False): "get_version",
        (frames.PRODUCT, False): "get_product_id",
        (frames.RESTART, False): "restart",
        (frames.GET, True): "get",
        (frames.SET, True): "set",
        (frames.ASYNC, True): "async",
        (frames.DONE, True): "done",
        (frames.UNKNOWN, True): "unknown_command",
        (frames.ERROR, True): "frame_error",
        (frames.PONG, True): "ping_reply",
    }
)
"""(Command digit, whether it has a body) -> what the frame is: one digit means two things."""

_REFUSALS: Mapping[int, str] = MappingProxyType(
    {
        frames.UNKNOWN_ID: "unknown id",
        frames.NOT_SUPPORTED: "not supported",
        frames.PARAMETER_ERROR: "parameter error",
    }
)


def refusal_of(flags: int) -> str:
    """Return what the flags of a reply refuse, or an empty text."""
    return _REFUSALS.get(flags, f"flags {flags:02X}") if flags else ""


def describe_frame(frame: Frame) -> dict[str, Shown]:
    """Return what a frame is and says, values by name and unit; None is not available.

    A register that nobody has described is told by its number and its value's bytes.
    """
    what = _PLAIN.get((frame.command, bool(frame.body)), f"command_{frame.command:X}")
    shown: dict[str, Shown] = {"command": what}
    if frame.register is None:
        return shown | _describe_body(frame)
    shown["register"] = f"0x{frame.register:04X}"
    if frame.flags:
        shown["error"] = refusal_of(frame.flags)
    if frame.value:
        shown |= _describe_value(frame.register, frame.value)
    elif frame.register in REGISTERS:
        shown["quantity"] = REGISTERS[frame.register].key
    return shown


def _describe_body(frame: Frame) -> dict[str, Shown]:
    """Return what a frame without a register says; a version has its kind in the two high bits."""
    if not frame.body:
        return {}
    shown: dict[str, Shown] = {"value_hex": frame.body.hex().upper()}
    if frame.command == frames.PONG and len(frame.body) == 2:
        shown["firmware"] = f"{frame.body[1] & 0x3F:x}.{frame.body[0]:02x}"
    return shown


def _describe_value(register: int, raw: bytes) -> dict[str, Shown]:
    if register in REGISTERS:
        quantity = REGISTERS[register]
        return {quantity.key: quantity.natural(value_of(register, raw))}
    if register in DAYS:
        return {"days_ago": register - DAYS.start, **describe_day(raw)}
    described = _OTHERS.get(register)
    if described is None:
        return {"value_hex": raw.hex().upper()}
    name, read = described
    return {name: read(raw)}


_OTHERS: Mapping[int, tuple[str, Callable[[bytes], str]]] = MappingProxyType(
    {
        PRODUCT_ID: ("product_id", product_of),
        SERIAL: ("serial", text_of),
        MODEL_NAME: ("model", text_of),
    }
)
