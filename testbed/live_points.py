"""What a simulated device measures when it runs alone: constant power, and energy that it makes.

Energy is integrated exactly in micro-watt-hours over the clock's milliseconds; a change of power
ends one stretch and begins the next.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

MW_MS_PER_UWH = 3_600
MAINS_MV, MAINS_MHZ = 230_000, 50_000
BATTERY_MV, PANEL_MV = 12_800, 36_000


@dataclass(slots=True)
class Stretch:
    """Energy of a power that may change now and then. [mW, ms, mW ms]"""

    clock_ms: Callable[[], int]
    power_mw: int = 0
    _since_ms: int = field(init=False)
    _into: int = 0
    _out: int = 0

    def __post_init__(self) -> None:
        """Begin now."""
        self._since_ms = self.clock_ms()

    def change(self, power_mw: int) -> None:
        """Let another power flow from now on."""
        now_ms = self.clock_ms()
        flowed = self.power_mw * (now_ms - self._since_ms)
        self._into += max(flowed, 0)
        self._out += max(-flowed, 0)
        self._since_ms, self.power_mw = now_ms, power_mw

    @property
    def energy_uwh(self) -> tuple[int, int]:
        """Energy (in, out) since the beginning. [uWh]"""
        self.change(self.power_mw)
        return self._into // MW_MS_PER_UWH, self._out // MW_MS_PER_UWH


@dataclass(slots=True)
class LiveFeeder:
    """A house with panels behind one meter: load less PV is what the meter sees."""

    clock_ms: Callable[[], int]
    voltage_mv: int = MAINS_MV
    frequency_mhz: int = MAINS_MHZ
    start_import_uwh: int = 0
    start_export_uwh: int = 0
    _load_mw: int = 0
    _pv_mw: int = 0
    _net: Stretch = field(init=False)

    def __post_init__(self) -> None:
        """Begin with nothing flowing."""
        self._net = Stretch(self.clock_ms)

    def set_load(self, power_mw: int) -> None:
        """Let the load take this much from now on."""
        self._load_mw = power_mw
        self._net.change(self._load_mw - self._pv_mw)

    def set_pv(self, power_mw: int) -> None:
        """Let the panels make this much from now on."""
        self._pv_mw = power_mw
        self._net.change(self._load_mw - self._pv_mw)

    @property
    def power_mw(self) -> int:
        """Active power, positive = import. [mW]"""
        return self._net.power_mw

    @property
    def energy_import_uwh(self) -> int:
        """Imported energy. [uWh]"""
        return self.start_import_uwh + self._net.energy_uwh[0]

    @property
    def energy_export_uwh(self) -> int:
        """Exported energy. [uWh]"""
        return self.start_export_uwh + self._net.energy_uwh[1]


@dataclass(slots=True)
class LivePlant:
    """Panels, a battery that never fills, and a load; what the device cuts off is not generated."""

    clock_ms: Callable[[], int]
    limit_mw: Callable[[], int | None] = lambda: None
    pv_voltage_mv: int = PANEL_MV
    battery_mv: int = BATTERY_MV
    charge_percent: int = 60
    start_generated_uwh: int = 0
    _made: Stretch = field(init=False)
    _used: Stretch = field(init=False)
    _offered_mw: int = 0
    _is_following: bool = False

    def __post_init__(self) -> None:
        """Begin in the dark."""
        self._made, self._used = Stretch(self.clock_ms), Stretch(self.clock_ms)

    def set_load(self, power_mw: int) -> None:
        """Let the load output take this much from now on."""
        self._used.change(power_mw)

    def set_pv(self, power_mw: int) -> None:
        """Let the sun offer this much from now on."""
        self._offered_mw = power_mw
        self._follow()

    @property
    def pv_power_mw(self) -> int:
        """What the sun offers; the device takes no more than it lets through. [mW]"""
        return self._offered_mw

    @property
    def generated_uwh(self) -> int:
        """Energy that was let through. [uWh]"""
        self._follow()
        return self.start_generated_uwh + self._made.energy_uwh[0]

    @property
    def battery_ma(self) -> int:
        """What the panels leave over for the battery. [mA]"""
        self._follow()
        return (self._made.power_mw - self._used.power_mw) * 1000 // self.battery_mv

    @property
    def load_power_mw(self) -> int:
        """Power of the load output. [mW]"""
        return self._used.power_mw

    @property
    def consumed_uwh(self) -> int:
        """Energy of the load output. [uWh]"""
        return self._used.energy_uwh[0]

    def _follow(self) -> None:
        """Make what is let through; the device may look at this plant to say how much."""
        if self._is_following:
            return
        self._is_following = True
        limit_mw = self.limit_mw()
        self._is_following = False
        self._made.change(self._offered_mw if limit_mw is None else min(self._offered_mw, limit_mw))
