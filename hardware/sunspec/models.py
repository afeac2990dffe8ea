"""SunSpec models as data: the points of each model, one after the other from offset 2.

Float models (10 higher) have the same points as singles, without scale factors.

Source: SunSpec device information models 1, 101-103, 111-113, 120, 123, 124, 160, 201-204,
211-214.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from hardware.sunspec.points import HEADER_WORDS, Layout, Point

_STATES: Final = (
    "",
    "off",
    "sleeping",
    "starting",
    "mppt",
    "throttled",
    "shutting_down",
    "fault",
    "standby",
)

Row = tuple[str, str, str, str]
"""Type, unit, scale factor, then "SunSpecName=name" of one point or of several alike."""


def _points(rows: Iterable[Row], first: int = HEADER_WORDS) -> tuple[Point, ...]:
    """Return rows as points, one after the other."""
    points: list[Point] = []
    for type_, unit, factor, names in rows:
        for each in names.split():
            point, _, name = each.partition("=")
            offset = points[-1].end if points else first
            words = _NAMES.get(point, ())
            points.append(Point(point, name or point.lower(), unit, type_, offset, factor, words))
    return tuple(points)


_NAMES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "St": _STATES,
        "DCSt": (*_STATES, "test"),
        "Conn": ("disconnected", "connected"),
        "WMaxLim_Ena": ("disabled", "enabled"),
        "OutPFSet_Ena": ("disabled", "enabled"),
        "VArPct_Ena": ("disabled", "enabled"),
        "DERTyp": ("", "", "", "", "pv"),
    }
)
"""Point -> words for its numbers."""


def _factor(name: str) -> Row:
    return ("factor", "", "", f"{name}={name.lower()}")


def _phases(point: str, name: str, between: str = "ph") -> str:
    """Return names of a total and its three phases."""
    phases = (f"{point}{between}{'ABC'[n]}={name}_l{n + 1}" for n in range(3))
    return " ".join((f"{point}={name}", *phases))


def _counters(prefix: str, names: Mapping[str, str]) -> str:
    """Return names of counters, each with its three phases."""
    return " ".join(_phases(prefix + point, name, "Ph") for point, name in names.items())


_COMMON: Final[tuple[Row, ...]] = (
    ("text16", "", "", "Mn=maker Md=device"),
    ("text8", "", "", "Opt=options Vr=version"),
    ("text16", "", "", "SN=serial"),
    ("u16", "", "", "DA=address"),
)

_LINES: Final = "PPVphAB=voltage_l1_l2 PPVphBC=voltage_l2_l3 PPVphCA=voltage_l3_l1"
_NEUTRALS: Final = "PhVphA=voltage_l1 PhVphB=voltage_l2 PhVphC=voltage_l3"

_INVERTER: Final[tuple[Row, ...]] = (
    ("u16", "A", "A_SF", _phases("A", "current")),
    _factor("A_SF"),
    ("u16", "V", "V_SF", f"{_LINES} {_NEUTRALS}"),
    _factor("V_SF"),
    ("s16", "W", "W_SF", "W=power"),
    _factor("W_SF"),
    ("u16", "Hz", "Hz_SF", "Hz=frequency"),
    _factor("Hz_SF"),
    ("s16", "VA", "VA_SF", "VA=apparent_power"),
    _factor("VA_SF"),
    ("s16", "var", "VAr_SF", "VAr=reactive_power"),
    _factor("VAr_SF"),
    ("s16", "%", "PF_SF", "PF=power_factor"),
    _factor("PF_SF"),
    ("acc32", "Wh", "WH_SF", "WH=energy"),
    _factor("WH_SF"),
    ("u16", "A", "DCA_SF", "DCA=dc_current"),
    _factor("DCA_SF"),
    ("u16", "V", "DCV_SF", "DCV=dc_voltage"),
    _factor("DCV_SF"),
    ("s16", "W", "DCW_SF", "DCW=dc_power"),
    _factor("DCW_SF"),
    (
        "s16",
        "degC",
        "Tmp_SF",
        "TmpCab=temperature_cabinet TmpSnk=temperature_sink "
        "TmpTrns=temperature_transformer TmpOt=temperature_other",
    ),
    _factor("Tmp_SF"),
    ("enum16", "", "", "St=state StVnd=vendor_state"),
    (
        "bits32",
        "",
        "",
        "Evt1=events Evt2=events_2 EvtVnd1=vendor_events_1 EvtVnd2=vendor_events_2 "
        "EvtVnd3=vendor_events_3 EvtVnd4=vendor_events_4",
    ),
)

_METER: Final[tuple[Row, ...]] = (
    ("s16", "A", "A_SF", _phases("A", "current")),
    _factor("A_SF"),
    ("s16", "V", "V_SF", f"PhV=voltage {_NEUTRALS} PPV=line_voltage {_LINES}"),
    _factor("V_SF"),
    ("s16", "Hz", "Hz_SF", "Hz=frequency"),
    _factor("Hz_SF"),
    ("s16", "W", "W_SF", _phases("W", "power")),
    _factor("W_SF"),
    ("s16", "VA", "VA_SF", _phases("VA", "apparent_power")),
    _factor("VA_SF"),
    ("s16", "var", "VAR_SF", _phases("VAR", "reactive_power")),
    _factor("VAR_SF"),
    ("s16", "%", "PF_SF", _phases("PF", "power_factor")),
    _factor("PF_SF"),
    (
        "acc32",
        "Wh",
        "TotWh_SF",
        _counters("TotWh", {"Exp": "energy_export", "Imp": "energy_import"}),
    ),
    _factor("TotWh_SF"),
    (
        "acc32",
        "VAh",
        "TotVAh_SF",
        _counters("TotVAh", {"Exp": "apparent_export", "Imp": "apparent_import"}),
    ),
    _factor("TotVAh_SF"),
    (
        "acc32",
        "varh",
        "TotVArh_SF",
        _counters(
            "TotVArh",
            {
                "ImpQ1": "reactive_import_q1",
                "ImpQ2": "reactive_import_q2",
                "ExpQ3": "reactive_export_q3",
                "ExpQ4": "reactive_export_q4",
            },
        ),
    ),
    _factor("TotVArh_SF"),
    ("bits32", "", "", "Evt=events"),
)

_NAMEPLATE: Final[tuple[Row, ...]] = (
    ("enum16", "", "", "DERTyp=kind"),
    ("u16", "W", "WRtg_SF", "WRtg=rated_power"),
    _factor("WRtg_SF"),
    ("u16", "VA", "VARtg_SF", "VARtg=rated_apparent_power"),
    _factor("VARtg_SF"),
    (
        "s16",
        "var",
        "VArRtg_SF",
        " ".join(f"VArRtgQ{each}=rated_reactive_power_q{each}" for each in range(1, 5)),
    ),
    _factor("VArRtg_SF"),
    ("u16", "A", "ARtg_SF", "ARtg=rated_current"),
    _factor("ARtg_SF"),
    (
        "s16",
        "",
        "PFRtg_SF",
        " ".join(f"PFRtgQ{each}=least_power_factor_q{each}" for each in range(1, 5)),
    ),
    _factor("PFRtg_SF"),
    ("u16", "Wh", "WHRtg_SF", "WHRtg=storage_energy"),
    _factor("WHRtg_SF"),
    ("u16", "Ah", "AhrRtg_SF", "AhrRtg=storage_charge"),
    _factor("AhrRtg_SF"),
    ("u16", "W", "MaxChaRte_SF", "MaxChaRte=most_charging_power"),
    _factor("MaxChaRte_SF"),
    ("u16", "W", "MaxDisChaRte_SF", "MaxDisChaRte=most_discharging_power"),
    _factor("MaxDisChaRte_SF"),
    ("pad", "", "", "Pad"),
)

_CONTROLS: Final[tuple[Row, ...]] = (
    ("u16", "s", "", "Conn_WinTms=connection_window Conn_RvrtTms=connection_revert"),
    ("enum16", "", "", "Conn=connection"),
    ("u16", "%", "WMaxLimPct_SF", "WMaxLimPct=limit"),
    (
        "u16",
        "s",
        "",
        "WMaxLimPct_WinTms=limit_window WMaxLimPct_RvrtTms=limit_revert "
        "WMaxLimPct_RmpTms=limit_ramp",
    ),
    ("enum16", "", "", "WMaxLim_Ena=limit_switch"),
    ("s16", "", "OutPFSet_SF", "OutPFSet=power_factor"),
    (
        "u16",
        "s",
        "",
        "OutPFSet_WinTms=power_factor_window OutPFSet_RvrtTms=power_factor_revert "
        "OutPFSet_RmpTms=power_factor_ramp",
    ),
    ("enum16", "", "", "OutPFSet_Ena=power_factor_switch"),
    (
        "s16",
        "%",
        "VArPct_SF",
        "VArWMaxPct=reactive_of_power VArMaxPct=reactive_of_rating "
        "VArAvalPct=reactive_of_available",
    ),
    (
        "u16",
        "s",
        "",
        "VArPct_WinTms=reactive_window VArPct_RvrtTms=reactive_revert VArPct_RmpTms=reactive_ramp",
    ),
    ("enum16", "", "", "VArPct_Mod=reactive_mode VArPct_Ena=reactive_switch"),
    _factor("WMaxLimPct_SF"),
    _factor("OutPFSet_SF"),
    _factor("VArPct_SF"),
)

_STORAGE: Final[tuple[Row, ...]] = (
    ("u16", "W", "WChaMax_SF", "WChaMax=most_charging_power"),
    ("u16", "%", "WChaDisChaGra_SF", "WChaGra=charging_ramp WDisChaGra=discharging_ramp"),
    ("bits16", "", "", "StorCtl_Mod=mode"),
    ("u16", "VA", "VAChaMax_SF", "VAChaMax=most_charging_apparent_power"),
    ("u16", "%", "MinRsvPct_SF", "MinRsvPct=reserve"),
    ("u16", "%", "ChaState_SF", "ChaState=charge"),
    ("u16", "Ah", "StorAval_SF", "StorAval=available_charge"),
    ("u16", "V", "InBatV_SF", "InBatV=battery_voltage"),
    ("enum16", "", "", "ChaSt=charge_status"),
    ("s16", "%", "InOutWRte_SF", "OutWRte=discharging_rate InWRte=charging_rate"),
    (
        "u16",
        "s",
        "",
        "InOutWRte_WinTms=rate_window InOutWRte_RvrtTms=rate_revert InOutWRte_RmpTms=rate_ramp",
    ),
    ("enum16", "", "", "ChaGriSet=charging_source"),
    _factor("WChaMax_SF"),
    _factor("WChaDisChaGra_SF"),
    _factor("VAChaMax_SF"),
    _factor("MinRsvPct_SF"),
    _factor("ChaState_SF"),
    _factor("StorAval_SF"),
    _factor("InBatV_SF"),
    _factor("InOutWRte_SF"),
)

_TRACKERS: Final[tuple[Row, ...]] = (
    _factor("DCA_SF"),
    _factor("DCV_SF"),
    _factor("DCW_SF"),
    _factor("DCWH_SF"),
    ("bits32", "", "", "Evt=events"),
    ("u16", "", "", "N=trackers"),
    ("u16", "", "", "TmsPer=timestamp_period"),
)

_TRACKER: Final[tuple[Row, ...]] = (
    ("u16", "", "", "ID=id"),
    ("text8", "", "", "IDStr=name"),
    ("u16", "A", "DCA_SF", "DCA=current"),
    ("u16", "V", "DCV_SF", "DCV=voltage"),
    ("u16", "W", "DCW_SF", "DCW=power"),
    ("acc32", "Wh", "DCWH_SF", "DCWH=energy"),
    ("u32", "s", "", "Tms=timestamp"),
    ("s16", "degC", "", "Tmp=temperature"),
    ("enum16", "", "", "DCSt=state"),
    ("bits32", "", "", "DCEvt=events"),
)


def _as_floats(rows: Iterable[Row], units: Mapping[str, str] | None = None) -> tuple[Row, ...]:
    """Return the float model's rows: scaled values become singles, scale factors fall away.

    Args:
        rows: the integer model's.
        units: unit -> the other one that the float model has.
    """
    others = units or {}
    return tuple(
        ("f32", others.get(unit, unit), "", names) if factor else (type_, unit, factor, names)
        for type_, unit, factor, names in rows
        if type_ != "factor"
    )


def _layouts() -> Iterator[tuple[int, Layout]]:
    yield 1, Layout("common", _points(_COMMON))
    for number, wiring in enumerate(("single phase", "split phase", "three phase"), 1):
        yield 100 + number, Layout(f"inverter, {wiring}", _points(_INVERTER))
        yield 110 + number, Layout(f"inverter, {wiring}, float", _points(_as_floats(_INVERTER)))
    for number, wiring in enumerate(("single phase", "split phase", "wye", "delta"), 1):
        yield 200 + number, Layout(f"meter, {wiring}", _points(_METER))
        singles = _points(_as_floats(_METER, {"%": ""}))
        yield 210 + number, Layout(f"meter, {wiring}, float", singles)
    yield 120, Layout("nameplate", _points(_NAMEPLATE))
    yield 123, Layout("immediate controls", _points(_CONTROLS))
    yield 124, Layout("storage controls", _points(_STORAGE))
    trackers = _points(_TRACKERS)
    repeated = _points(_TRACKER, trackers[-1].end)
    yield 160, Layout("multiple trackers", trackers, repeated)


LAYOUTS: Final[Mapping[int, Layout]] = MappingProxyType(dict(_layouts()))
"""Model ID -> its points."""

INVERTERS: Final = (101, 102, 103, 111, 112, 113)
METERS: Final = (201, 202, 203, 204, 211, 212, 213, 214)
FLOAT_TWINS: Final[Mapping[int, int]] = MappingProxyType(
    {model: model - 10 for model in (111, 112, 113, 211, 212, 213, 214)}
)
"""Float model -> the integer model of the same thing."""

NAMEPLATE, CONTROLS, STORAGE, TRACKERS = 120, 123, 124, 160
COMMON: Final = 1
END: Final = 0xFFFF
MARKER: Final = (0x5375, 0x6E53)
