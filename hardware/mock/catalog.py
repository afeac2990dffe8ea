"""Every simulated device by the catalog name of the model that it is a twin of: plain tables.

A new simulator is one file and one line here. What it measures is one of `hardware.mock.points`;
`point` says which.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from hardware.mock.chargers.epever import TRACER_AN, EpeverController
from hardware.mock.chargers.renogy import RenogyController
from hardware.mock.chargers.tristar import TristarController
from hardware.mock.chips.ina219 import Ina219Chip
from hardware.mock.chips.ina226 import Ina226Chip
from hardware.mock.chips.ina3221 import Ina3221Chip
from hardware.mock.meters.abb import AbbB21, AbbB23
from hardware.mock.meters.chint import Ddsu666, Dtsu666, Dtsu666H
from hardware.mock.meters.eastron import (
    Sdm72Meter,
    Sdm72V2Meter,
    Sdm120Meter,
    Sdm230Meter,
    Sdm630Meter,
)
from hardware.mock.meters.gavazzi import Em111, Em112
from hardware.mock.meters.gavazzi_em24 import Em24E1, Em24Rs485
from hardware.mock.meters.orno import OrnoWe504, OrnoWe514
from hardware.mock.meters.pzem import Pzem016Meter, Pzem017Meter
from hardware.mock.relays.board import LcBoard, R4d8Board, WaveshareBoard
from hardware.mock.sunspec.device import SunSpecHybrid, SunSpecInverter, SunSpecMeter
from hardware.mock.vedirect.bmv import VictronBmv
from hardware.mock.vedirect.mppt import VictronMppt


@dataclass(frozen=True, slots=True)
class Simulator:
    """One line of the table.

    Attributes:
        title: what it is, for a list.
        build: makes the device on its point.
        point: what it measures: "feeder", "three_phase", "direct", "plant", "line", "lines", or
            "relays" for what switches and measures nothing.
        wires: "tcp" and "rtu" (Modbus), "vedirect", or "i2c", which is no server.
        address: its Modbus id or I2C address from the factory.
        baud: line speed from the factory.
        serial_form: parity and stop bits from the factory.
    """

    title: str
    build: Callable[[Any], Any]
    point: str
    wires: tuple[str, ...]
    address: int = 1
    baud: int = 9_600
    serial_form: str = "8N1"


MODBUS: Final = ("tcp", "rtu")
VEDIRECT: Final = ("vedirect",)
SIMULATORS: Final[Mapping[str, Simulator]] = MappingProxyType(
    {
        "ina219": Simulator("TI INA219", Ina219Chip, "line", ("i2c",), 0x40),
        "ina226": Simulator("TI INA226", Ina226Chip, "line", ("i2c",), 0x40),
        "ina3221": Simulator("TI INA3221", Ina3221Chip, "lines", ("i2c",), 0x40),
        "sdm120": Simulator("Eastron SDM120", Sdm120Meter, "feeder", MODBUS, baud=2_400),
        "sdm230": Simulator("Eastron SDM230", Sdm230Meter, "feeder", MODBUS, baud=2_400),
        "sdm630": Simulator("Eastron SDM630", Sdm630Meter, "three_phase", MODBUS),
        "sdm72": Simulator("Eastron SDM72D-M", Sdm72Meter, "three_phase", MODBUS),
        "sdm72_v2": Simulator("Eastron SDM72D-M V2", Sdm72V2Meter, "three_phase", MODBUS),
        "pzem016": Simulator("Peacefair PZEM-004T v3, -016", Pzem016Meter, "feeder", MODBUS),
        "pzem017": Simulator(
            "Peacefair PZEM-003, -017", Pzem017Meter, "direct", MODBUS, serial_form="8N2"
        ),
        "abb_b21": Simulator("ABB B21", AbbB21, "feeder", MODBUS, serial_form="8E1"),
        "abb_b23": Simulator("ABB B23", AbbB23, "three_phase", MODBUS, serial_form="8E1"),
        "em24": Simulator("Carlo Gavazzi EM24, RS-485", Em24Rs485, "three_phase", MODBUS),
        "em24_e1": Simulator("Carlo Gavazzi EM24 E1, Ethernet", Em24E1, "three_phase", ("tcp",)),
        "em111": Simulator("Carlo Gavazzi EM111", Em111, "feeder", MODBUS),
        "em112": Simulator("Carlo Gavazzi EM112, ET112", Em112, "feeder", MODBUS),
        "dtsu666": Simulator("Chint DTSU666", Dtsu666, "three_phase", MODBUS),
        "dtsu666_h": Simulator("Huawei DTSU666-H", Dtsu666H, "three_phase", MODBUS, 11),
        "ddsu666": Simulator("Chint DDSU666", Ddsu666, "feeder", MODBUS),
        "orno_we504": Simulator("Orno OR-WE-504", OrnoWe504, "feeder", MODBUS, serial_form="8E1"),
        "orno_we514": Simulator(
            "Orno OR-WE-514, -515", OrnoWe514, "feeder", MODBUS, serial_form="8E1"
        ),
        "sunspec": Simulator("SunSpec inverter", SunSpecInverter, "plant", MODBUS),
        "sunspec_storage": Simulator(
            "SunSpec hybrid inverter, which has a battery", SunSpecHybrid, "plant", MODBUS
        ),
        "sunspec_meter": Simulator("SunSpec meter", SunSpecMeter, "three_phase", MODBUS),
        "epever_tracer": Simulator(
            "EPEver Tracer-BN", EpeverController, "plant", MODBUS, baud=115_200
        ),
        "epever_tracer_an": Simulator(
            "EPEver Tracer-AN, which has a coil for charging",
            partial(EpeverController, variant=TRACER_AN),
            "plant",
            MODBUS,
            baud=115_200,
        ),
        "tristar_mppt": Simulator(
            "Morningstar TriStar MPPT", TristarController, "plant", MODBUS, serial_form="8N2"
        ),
        "vedirect": Simulator("Victron MPPT, text", VictronMppt, "plant", VEDIRECT, 0, 19_200),
        "vedirect_hex": Simulator("Victron MPPT, HEX", VictronMppt, "plant", VEDIRECT, 0, 19_200),
        "vedirect_bmv": Simulator("Victron BMV", VictronBmv, "plant", VEDIRECT, 0, 19_200),
        "renogy_rover": Simulator("Renogy Rover", RenogyController, "plant", MODBUS),
        "renogy_rover_elite": Simulator(
            "Renogy Rover Elite", partial(RenogyController, is_elite=True), "plant", MODBUS
        ),
        "waveshare_relay": Simulator("Waveshare Modbus relay", WaveshareBoard, "relays", MODBUS),
        "lc_relay": Simulator("LC relay board", LcBoard, "relays", MODBUS, 255),
        "lc_relay_r4d8": Simulator("R4D8 relay board", R4d8Board, "relays", MODBUS),
    }
)
"""Catalog name -> its twin."""
