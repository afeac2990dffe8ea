"""The labels of VE.Direct text: what each value is, and in which unit.

Source: Victron VE.Direct protocol papers; recordings of an MPPT 75|15 and a BMV-702 and -712.
One public driver takes H19 for kWh: it is in 0.01 kWh, as all energies here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Final

from hardware.vedirect.quantity import (
    ERRORS,
    HUNDREDTH,
    MILLI,
    STATES,
    TENTH,
    TRACKERS,
    Quantity,
    Shown,
    Value,
)
from hardware.vedirect.stream import Block

UNKNOWN: Final = "---"
"""How a device writes a value that it does not know."""

_NUMBER = re.compile(r"[+-]?[0-9]+")
_SWITCH: Mapping[str, bool] = MappingProxyType({"ON": True, "OFF": False})

LABELS: Mapping[str, Quantity] = MappingProxyType(
    {
        "PID": Quantity("product_id"),
        "FW": Quantity("firmware"),
        "FWE": Quantity("firmware_extended"),
        "SER#": Quantity("serial"),
        "BMV": Quantity("model"),
        "V": Quantity("battery_voltage", "V", MILLI),
        "V2": Quantity("channel_2_voltage", "V", MILLI),
        "V3": Quantity("channel_3_voltage", "V", MILLI),
        "VS": Quantity("auxiliary_voltage", "V", MILLI),
        "VM": Quantity("midpoint_voltage", "V", MILLI),
        "DM": Quantity("midpoint_deviation", "%", TENTH),
        "VPV": Quantity("pv_voltage", "V", MILLI),
        "PPV": Quantity("pv_power", "W"),
        "I": Quantity("battery_current", "A", MILLI),
        "I2": Quantity("channel_2_current", "A", MILLI),
        "I3": Quantity("channel_3_current", "A", MILLI),
        "IL": Quantity("load_current", "A", MILLI),
        "LOAD": Quantity("load_on"),
        "T": Quantity("battery_temperature", "degC"),
        "P": Quantity("battery_power", "W"),
        "CE": Quantity("consumed", "Ah", MILLI),
        "SOC": Quantity("charge", "%", TENTH),
        "TTG": Quantity("time_to_go", "min"),
        "Alarm": Quantity("alarm_on"),
        "Relay": Quantity("relay_on"),
        "AR": Quantity("alarm_reason"),
        "OR": Quantity("off_reason"),
        "H1": Quantity("deepest_discharge", "Ah", MILLI),
        "H2": Quantity("last_discharge", "Ah", MILLI),
        "H3": Quantity("average_discharge", "Ah", MILLI),
        "H4": Quantity("charge_cycles"),
        "H5": Quantity("full_discharges"),
        "H6": Quantity("drawn_total", "Ah", MILLI),
        "H7": Quantity("battery_voltage_min", "V", MILLI),
        "H8": Quantity("battery_voltage_max", "V", MILLI),
        "H9": Quantity("since_full_charge", "s"),
        "H10": Quantity("synchronisations"),
        "H11": Quantity("low_voltage_alarms"),
        "H12": Quantity("high_voltage_alarms"),
        "H13": Quantity("auxiliary_low_voltage_alarms"),
        "H14": Quantity("auxiliary_high_voltage_alarms"),
        "H15": Quantity("auxiliary_voltage_min", "V", MILLI),
        "H16": Quantity("auxiliary_voltage_max", "V", MILLI),
        "H17": Quantity("discharged_total", "kWh", HUNDREDTH),
        "H18": Quantity("charged_total", "kWh", HUNDREDTH),
        "H19": Quantity("yield_total", "kWh", HUNDREDTH),
        "H20": Quantity("yield_today", "kWh", HUNDREDTH),
        "H21": Quantity("pv_power_max_today", "W"),
        "H22": Quantity("yield_yesterday", "kWh", HUNDREDTH),
        "H23": Quantity("pv_power_max_yesterday", "W"),
        "HSDS": Quantity("day_sequence"),
        "ERR": Quantity("error", names=ERRORS),
        "CS": Quantity("charge_state", names=STATES),
        "MPPT": Quantity("tracker_state", names=TRACKERS),
        "MODE": Quantity("device_mode"),
        "MON": Quantity("monitor_mode"),
        "AC_OUT_V": Quantity("ac_out_voltage", "V", HUNDREDTH),
        "AC_OUT_I": Quantity("ac_out_current", "A", TENTH),
        "AC_OUT_S": Quantity("ac_out_apparent_power", "VA"),
        "WARN": Quantity("warning_reason"),
        "DC_IN_V": Quantity("dc_in_voltage", "V", HUNDREDTH),
        "DC_IN_I": Quantity("dc_in_current", "A", TENTH),
        "DC_IN_P": Quantity("dc_in_power", "W"),
    }
)
"""Label -> what its value is."""

_TEXTS = frozenset({"PID", "FW", "FWE", "SER#", "BMV"})
_INFINITE = {"TTG": "-1"}


def value_of(label: str, text: str) -> Value:
    """Return what a field says, in the unit of its label; None is unknown or, for TTG, infinite."""
    if text in {UNKNOWN, _INFINITE.get(label)}:
        return None
    if label in _TEXTS or label not in LABELS:
        return _version(text) if label == "FW" else text
    if text in _SWITCH:
        return _SWITCH[text]
    if text.lower().startswith("0x"):
        return _hex_number(text)
    if not _NUMBER.fullmatch(text):
        return text
    quantity = LABELS[label]
    return int(text) * quantity.scale + quantity.offset


def number(fields: Mapping[str, str], label: str) -> Fraction | None:
    """Return the number under a label, in its unit; None if it is missing, unknown or none."""
    value = value_of(label, fields.get(label, UNKNOWN))
    return value if isinstance(value, Fraction) else None


def describe_block(block: Block) -> dict[str, Shown]:
    """Return the fields of a block by name and unit, as "battery_voltage_v"; None is unknown.

    Labels that are not in `LABELS` keep their name and text.
    """
    shown: dict[str, Shown] = {}
    for label, text in block.fields:
        quantity = LABELS.get(label, Quantity(label))
        shown[quantity.key] = quantity.natural(value_of(label, text))
    return shown


def _hex_number(text: str) -> Value:
    try:
        return Fraction(int(text, 16))
    except ValueError:
        return text


def _version(text: str) -> str:
    """Return "1.59" for 159 and "3.08" for 0308; what is no number stays as it is."""
    return f"{int(text) // 100}.{text[-2:]}" if len(text) > 2 and text.isdecimal() else text
