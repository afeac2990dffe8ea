"""Simulated SunSpec devices: a marker, a list of models, and what an inverter or a meter measures.

Registers outside the list are refused with exception 2, a read of more than the limit with
exception 3, any function but 3, 6 and 16 with exception 1. The list begins at 40000, 0 or 50000.

Source: SunSpec device information model 1.x; the list of a SolarEdge inverter with a meter.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hardware.mock.faults import SENSOR_FAULTS, Distortion, FaultSwitches
from hardware.mock.points import SolarPlant, ThreePhaseFeeder
from hardware.mock.sunspec.blocks import (
    Block,
    Body,
    Common,
    Generator,
    Inverter,
    Meter,
    Nameplate,
    Trackers,
)
from hardware.mock.sunspec.controls import ImmediateControls
from hardware.mock.sunspec.storage import StorageControls
from hardware.mock.wires.modbus_pdu import (
    DEVICE_FAULTS,
    ILLEGAL_ADDRESS,
    ILLEGAL_FUNCTION,
    ILLEGAL_VALUE,
    Refusal,
    RefusingDevice,
)

MARKER = (0x5375, 0x6E53)
END = 0xFFFF
_HEADER_WORDS = 2
_BASE, _WORDS_MAX, _RATED_MW = 40_000, 125, 3_000_000


class SunSpecDevice(RefusingDevice):
    """Some models behind one id.

    Attributes:
        blocks: the models in order; a firmware update may change them while it runs.
    """

    def __init__(
        self, blocks: Sequence[Block] = (), *, base: int = _BASE, words_max: int = _WORDS_MAX
    ) -> None:
        """List these models.

        Args:
            blocks: the models in order.
            base: address of the marker: 40000, 0 or 50000.
            words_max: the most registers it answers at once.
        """
        super().__init__()
        self.faults = FaultSwitches(
            *SENSOR_FAULTS, *DEVICE_FAULTS, "rescaled", "not_available", "lone_end"
        )
        self.blocks = list(blocks)
        self._base = base
        self._words_max = words_max
        self._replies = 0

    def read_words(self, function: int, address: int, count: int) -> Sequence[int]:
        """Return holding registers."""
        if function != 3:
            raise Refusal(ILLEGAL_FUNCTION)
        if count > self._words_max:
            raise Refusal(ILLEGAL_VALUE)
        if "wrong_model" in self.faults:
            return [0] * count
        words = self._words()
        start = address - self._base
        if start < 0 or start + count > len(words):
            raise Refusal(ILLEGAL_ADDRESS)
        self._replies += 1
        return words[start : start + count]

    def write_word(self, address: int, word: int) -> None:
        """Take one register."""
        self.write_words(address, [word])

    def write_words(self, address: int, words: Sequence[int]) -> None:
        """Take registers of one model."""
        place = self._base + len(MARKER)
        for block in self.blocks:
            end = place + _HEADER_WORDS + len(self._body(block))
            if place <= address and address + len(words) <= end:
                block.write(address - place, words)
                return
            place = end
        raise Refusal(ILLEGAL_ADDRESS)

    def _words(self) -> list[int]:
        words = list(MARKER)
        for block in self.blocks:
            body = self._body(block)
            words += (block.model, len(body), *body)
        words.append(END)
        return words if "lone_end" in self.faults else [*words, 0]

    def _body(self, block: Block) -> list[int]:
        shift = self._replies % 2 if "rescaled" in self.faults else 0
        body = Body(shift=shift, is_absent="not_available" in self.faults)
        block.fill(body)
        return body.words


@dataclass(frozen=True, slots=True, kw_only=True)
class InverterMake:
    """How a maker built an inverter.

    Attributes:
        phases: 1 to 3.
        floats: the float models instead of those with scale factors.
        has_pad: whether model 1 has the last of its 66 registers.
        rated_mw: its rating, of which a limit is a part. [mW]
        takes_blocks: whether one request may write several controls.
        has_revert: whether it knows a revert time for its limit.
        base: address of the marker.
        words_max: the most registers it answers at once.
    """

    phases: int = 1
    floats: bool = False
    has_pad: bool = True
    rated_mw: int = _RATED_MW
    takes_blocks: bool = True
    has_revert: bool = True
    base: int = _BASE
    words_max: int = _WORDS_MAX


class SunSpecInverter(SunSpecDevice):
    """An inverter: models 1, 101 to 103 (or 111 to 113), 120, 123 and 160."""

    def __init__(
        self,
        plant: SolarPlant,
        make: InverterMake = InverterMake(),
        *,
        serial: str = "10000001",
        seed: int = 0,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Feed the sun of this plant into the grid.

        Args:
            plant: panels; battery and load are another device's.
            make: how it is built.
            serial: its serial number.
            seed: of noise, and of the moment in which a command begins.
            clock_s: a clock that never goes back. [s]
        """
        super().__init__(base=make.base, words_max=make.words_max)
        self.controls = ImmediateControls(
            clock_s=clock_s,
            seed=seed,
            takes_blocks=make.takes_blocks,
            has_revert=make.has_revert,
        )
        self._generator = Generator(
            plant, make.phases, make.rated_mw, self.controls, Distortion(self.faults, seed)
        )
        self.blocks = [
            Common("Simulated", "Inverter", serial, has_pad=make.has_pad),
            Inverter(self._generator, make.floats),
            Nameplate(self._generator),
            self.controls,
            Trackers(self._generator),
        ]

    @property
    def limit_mw(self) -> int | None:
        """What it lets through now; None: everything. [mW]"""
        return self._generator.limit_mw


class HybridGenerator(Generator):
    """The electrical side of an inverter with a battery behind it; below 0 it draws."""

    battery: StorageControls

    @property
    def power_mw(self) -> int:
        """What it feeds in: what its limit lets through, less what the battery takes. [mW]"""
        return super().power_mw - self.battery.power_mw


class SunSpecHybrid(SunSpecDevice):
    """A hybrid inverter: models 1, 101, 120, 123 and 124, a battery beside the panels."""

    def __init__(
        self,
        plant: SolarPlant,
        *,
        rated_mw: int = _RATED_MW,
        has_revert: bool = True,
        seed: int = 0,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Feed in the sun of this plant and what the battery gives.

        Args:
            plant: panels.
            rated_mw: of inverter and battery. [mW]
            has_revert: whether its battery's commands have a revert time.
            seed: of noise.
            clock_s: a clock that never goes back. [s]
        """
        super().__init__()
        self.battery = StorageControls(clock_s, rated_mw, has_revert=has_revert)
        controls = ImmediateControls(clock_s=clock_s, seed=seed)
        generator = HybridGenerator(plant, 1, rated_mw, controls, Distortion(self.faults, seed))
        generator.battery = self.battery
        self._generator = generator
        self.blocks = [
            Common("Simulated", "Hybrid", "40000001"),
            Inverter(generator),
            Nameplate(generator),
            controls,
            self.battery,
        ]

    @property
    def limit_mw(self) -> int | None:
        """What it lets through of its panels now; None: everything. [mW]"""
        return self._generator.limit_mw


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterMake:
    """How a maker built a meter.

    Attributes:
        wiring: 1 single phase, 2 split phase, 3 wye, 4 delta.
        floats: the float models instead of those with scale factors.
        sign: -1 for a maker who reports import as negative power.
        rated_mw: what its scale factor is made for. [mW]
        base: address of the marker.
        words_max: the most registers it answers at once.
    """

    wiring: int = 3
    floats: bool = False
    sign: int = 1
    rated_mw: int = _RATED_MW
    base: int = _BASE
    words_max: int = _WORDS_MAX


class SunSpecMeter(SunSpecDevice):
    """A meter: models 1 and 201 to 204 (or 211 to 214)."""

    def __init__(
        self,
        feeder: ThreePhaseFeeder,
        make: MeterMake = MeterMake(),
        *,
        serial: str = "20000001",
        seed: int = 0,
    ) -> None:
        """Measure this feeder.

        Args:
            feeder: what it measures; positive power = import.
            make: how it is built.
            serial: its serial number.
            seed: of noise.
        """
        super().__init__(base=make.base, words_max=make.words_max)
        distortion = Distortion(self.faults, seed)
        self.blocks = [
            Common("Simulated", "Meter", serial),
            Meter(feeder, distortion, make.wiring, make.floats, make.sign, make.rated_mw),
        ]


class SolarEdgeSite(SunSpecDevice):
    """An inverter and a meter behind one id, as SolarEdge lists them: two of model 1.

    Model 1 has 65 registers, so the inverter is at 40069, the meter's model 1 at 40121 and the
    meter at 40188.
    """

    def __init__(
        self,
        plant: SolarPlant,
        feeder: ThreePhaseFeeder,
        *,
        seed: int = 0,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Feed in the sun of this plant and measure this feeder; the meter calls export positive.

        Its inverter cannot be limited: it lists no model 123.
        """
        super().__init__()
        generator = Generator(
            plant,
            phases=1,
            rated_mw=_RATED_MW,
            controls=ImmediateControls(clock_s=clock_s, seed=seed),
            distortion=Distortion(self.faults, seed),
        )
        self.blocks = [
            Common("SolarEdge", "SE3000H", "7E000001", version="0004.0018", has_pad=False),
            Inverter(generator),
            Common("SolarEdge", "SE-MTR-3Y", "30000001", "Export", "25", has_pad=False),
            Meter(feeder, Distortion(self.faults, seed), sign=-1),
        ]
