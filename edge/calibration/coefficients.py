"""How the agent corrects what one meter's device says. Pure: integers only.

Applied to a sample in the meter's own sign, right after a meter that is built in backwards is
flipped and before anything is integrated: so what is shown, sent and integrated is corrected, and
totals that a device counts itself are not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from hardware.ports import Sample
from messages.correction import NO_CORRECTION, Correction


@dataclass(frozen=True, slots=True)
class Coefficients:
    """The corrections of one meter. [mW, mV, mA]"""

    power: Correction = NO_CORRECTION
    voltage: Correction = NO_CORRECTION
    current: Correction = NO_CORRECTION

    def of(self, sample: Sample) -> Sample:
        """Return the corrected sample; its totals and its frequency are as they were."""
        if self == AS_THE_DEVICE_SAYS:
            return sample
        return replace(
            sample,
            power_mw=_corrected(self.power, sample.power_mw),
            voltage_mv=_corrected(self.voltage, sample.voltage_mv),
            current_ma=_corrected(self.current, sample.current_ma),
        )


AS_THE_DEVICE_SAYS: Final = Coefficients()


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What holds for one meter's samples after an instant. [ms UTC]"""

    coefficients: Coefficients
    at_ms: int


def _corrected(correction: Correction, raw: int | None) -> int | None:
    return None if raw is None else correction.of(raw)
