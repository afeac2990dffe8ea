"""Carlo Gavazzi EM24, with a serial port or with Ethernet ("E1"): two maps of one meter.

Only application H shows power that flows back as negative, and counts it. The front selector in
its locked position refuses every write. Phases that the measuring system does not have read zero.

Source: Carlo Gavazzi EM24-DIN (version 3) and EM24_E1 communication protocols.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from hardware.mock.meters.gavazzi import GavazziMeter, Rows
from hardware.mock.meters.seen_mains import SeenMains, see_three
from hardware.mock.meters.word_image import letters, whole
from hardware.mock.points import ThreePhaseFeeder

APPLICATION_H: Final = 7
"""The application that shows power flowing back as negative, and counts it."""
LOCKED: Final = 3
"""Position of the front selector in which nothing can be written."""

_SQRT3_MILLI = 1_732
_PHASES_OF_SYSTEM = (3, 3, 2, 1, 3)
"""Phases that are measured, by the measuring system: 3P+N, 3P balanced, 2P, 1P, 3P."""


class Em24Meter(GavazziMeter):
    """What both EM24 share: three phases, application, front selector, phase configuration."""

    _application_at: int
    _system_at: int
    _resets: Mapping[int, tuple[str, ...]] = {}

    def __init__(
        self,
        feeder: ThreePhaseFeeder,
        *,
        model: int,
        identity: Rows,
        application: int,
        switch_position: int,
        seed: int,
    ) -> None:
        settings: dict[int, tuple[int, Sequence[int]]] = {
            self._application_at: (application, range(8)),
            self._system_at: (0, range(5)),
            **{address: (0, range(0x1_0000)) for address in self._resets},
        }
        super().__init__(
            model=model, identity=identity, settings=settings, words_max=125, seed=seed
        )
        self.feeder = feeder
        self.switch_position = switch_position
        self._reset_at = {"total": (0, 0), "partial": (0, 0)}

    @property
    def _is_locked(self) -> bool:
        return self.switch_position == LOCKED

    def _wrote(self, address: int, word: int) -> None:
        """A reset command is done with 1 and forgotten."""
        if address not in self._resets:
            return
        self._settings[address] = 0
        if word == 1:
            mains = self._seen()
            now = (mains.import_uwh, mains.export_uwh)
            self._reset_at |= dict.fromkeys(self._resets[address], now)

    def _seen(self) -> SeenMains:
        """Return the phases that its measuring system has."""
        mains = see_three(self.feeder, self._distortion)
        count = _PHASES_OF_SYSTEM[self._settings[self._system_at]]
        if count == 3:
            return mains
        phases = mains.phases[:count]
        return SeenMains(
            phases,
            sum(phase.import_uwh for phase in phases),
            sum(phase.export_uwh for phase in phases),
        )

    def _shown(self, power_mw: int) -> int:
        """Return a power in tenths of a watt: without direction unless the application is H."""
        is_signed = self._settings[self._application_at] == APPLICATION_H
        return (power_mw if is_signed else abs(power_mw)) // 100

    def _counters(self, mains: SeenMains) -> dict[str, int]:
        """Return import and export since the last reset, and import since the partial one."""
        imported, exported = self._reset_at["total"]
        counts_export = self._settings[self._application_at] == APPLICATION_H
        return {
            "import": mains.import_uwh - imported,
            "partial": mains.import_uwh - self._reset_at["partial"][0],
            "export": mains.export_uwh - exported if counts_export else 0,
        }

    def _instant(self, mains: SeenMains) -> Rows:
        """Return 0x0000 to 0x002D, where both versions agree."""
        rows: Rows = dict.fromkeys(range(0, 0x2E, 2), self._wide(0))
        for place, phase in enumerate(mains.phases):
            at = 2 * place
            rows[0x00 + at] = self._wide(phase.voltage_mv // 100)
            rows[0x06 + at] = self._wide(phase.voltage_mv * _SQRT3_MILLI // 100_000)
            rows[0x0C + at] = self._wide(phase.current_ma)
            rows[0x12 + at] = self._wide(self._shown(phase.power_mw))
            rows[0x18 + at] = self._wide(abs(phase.power_mw) // 100)
        voltage_mv = sum(phase.voltage_mv for phase in mains.phases) // len(mains.phases)
        rows[0x24] = self._wide(voltage_mv // 100)
        rows[0x26] = self._wide(voltage_mv * _SQRT3_MILLI // 100_000)
        rows[0x28] = self._wide(self._shown(mains.power_mw))
        rows[0x2A] = self._wide(abs(mains.power_mw) // 100)
        return rows

    def _power_factors(self, mains: SeenMains, phases_at: int, total_at: int) -> Rows:
        rows: Rows = dict.fromkeys(range(phases_at, phases_at + 3), whole(0))
        for place, phase in enumerate(mains.phases):
            rows[phases_at + place] = whole(phase.power_factor_milli)
        return {**rows, total_at: whole(mains.power_factor_milli)}

    def _phase_energy(self, mains: SeenMains, phases_at: int) -> Rows:
        imports = [phase.import_uwh for phase in mains.phases] + [0, 0]
        return {phases_at + 2 * place: self._energy(imports[place]) for place in range(3)}


class Em24Rs485(Em24Meter):
    """The EM24 with a serial port."""

    _application_at, _system_at = 0x1101, 0x1102
    _resets: Mapping[int, tuple[str, ...]] = {
        0x3000: ("total", "partial"),
        0x3001: ("total",),
        0x3002: ("partial",),
    }

    def __init__(
        self,
        feeder: ThreePhaseFeeder,
        *,
        serial: str = "BP1230045000A",
        application: int = APPLICATION_H,
        switch_position: int = 1,
        seed: int = 0,
    ) -> None:
        """Measure this feeder.

        Args:
            feeder: what it measures; positive power = import.
            serial: its serial number, at most 13 letters.
            application: 0 to 7 for A to H.
            switch_position: of the front selector; `LOCKED` refuses every write.
            seed: of the noise fault.
        """
        super().__init__(
            feeder,
            model=71,
            identity={0x0302: (0, 2), 0x1300: letters(serial, 7)},
            application=application,
            switch_position=switch_position,
            seed=seed,
        )

    def _measured(self) -> Rows:
        mains = self._seen()
        counters = self._counters(mains)
        zeros = dict.fromkeys(range(0x2E, 0x60, 2), self._wide(0))
        return {
            **self._instant(mains),
            **zeros,
            0x2E: self._wide(self._shown(mains.power_mw)),
            0x30: self._wide(abs(mains.power_mw) // 100),
            **self._power_factors(mains, 0x32, 0x35),
            0x36: whole(0),
            0x37: self._frequency(mains.frequency_mhz),
            0x3E: self._energy(counters["import"]),
            0x42: self._energy(counters["partial"]),
            **self._phase_energy(mains, 0x46),
            0x4C: self._energy(counters["import"]),
            0x5C: self._energy(counters["export"]),
            0x0304: whole(self.switch_position),
        }


class Em24E1(Em24Meter):
    """The EM24 with an Ethernet port, which has the map of the newer EM340."""

    _application_at, _system_at = 0xA000, 0x1002

    def __init__(
        self,
        feeder: ThreePhaseFeeder,
        *,
        serial: str = "KZ0320021001B",
        application: int = APPLICATION_H,
        switch_position: int = 1,
        seed: int = 0,
    ) -> None:
        """Measure this feeder.

        Args:
            feeder: what it measures; positive power = import.
            serial: its serial number, at most 13 letters.
            application: 0 to 7 for A to H.
            switch_position: of the front selector; `LOCKED` refuses every write.
            seed: of the noise fault.
        """
        super().__init__(
            feeder,
            model=1648,
            identity={0x0302: (0x1000,), 0x0304: (0x1803,), 0x5000: letters(serial, 7)},
            application=application,
            switch_position=switch_position,
            seed=seed,
        )

    def _measured(self) -> Rows:
        mains = self._seen()
        counters = self._counters(mains)
        zeros = dict.fromkeys(range(0x34, 0x52, 2), self._wide(0))
        return {
            **self._instant(mains),
            **self._power_factors(mains, 0x2E, 0x31),
            0x32: whole(0),
            0x33: self._frequency(mains.frequency_mhz),
            **zeros,
            0x34: self._energy(counters["import"]),
            0x38: self._wide(self._shown(mains.power_mw)),
            0x3C: self._energy(counters["partial"]),
            **self._phase_energy(mains, 0x40),
            0x46: self._energy(counters["import"]),
            0x4E: self._energy(counters["export"]),
            0xA100: whole(self.switch_position),
        }
