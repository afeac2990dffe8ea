"""Calibration entries: how a node corrects what the device of a meter says.

Nothing is settled by it: registers come as the node signs them. It is on the ledger so that anybody
can tell from when on a meter was corrected, by how much, and against what.
"""

from __future__ import annotations

from hub.core.effects import MeterCalibrated
from hub.core.events import Event
from hub.core.outcome import Outcome, ignore
from hub.core.records import Calibrated
from hub.core.state import Change, State
from messages.correction import GAIN_PPM_LEAST, GAIN_PPM_MOST
from messages.entries import Calibration


def take_calibration(_state: State, event: Event, entry: Calibration) -> Outcome:
    """Keep a meter's newest coefficients; without any it is shown as its device says."""
    gains = (entry.power_gain_ppm, entry.voltage_gain_ppm, entry.current_gain_ppm)
    if not all(GAIN_PPM_LEAST <= gain <= GAIN_PPM_MOST for gain in gains):
        return ignore(event, f"meter {entry.meter_id}: a gain below -50 % or above 9900 %")
    is_corrected = any((*gains, entry.power_offset_mw, entry.current_offset_ma))
    record = Calibrated(
        entry.at_ms,
        entry.power_gain_ppm,
        entry.power_offset_mw,
        entry.voltage_gain_ppm,
        entry.current_gain_ppm,
        entry.current_offset_ma,
        event.index,
    )
    effect = MeterCalibrated(
        event.index, entry.meter_id, entry.power_gain_ppm if is_corrected else None
    )
    change = Change("calibration", entry.meter_id, record if is_corrected else None)
    return Outcome((change,), (effect,))
