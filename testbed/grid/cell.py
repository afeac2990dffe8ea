"""A battery's cell: what its terminals move, its content follows, and the difference is lost."""

from dataclasses import dataclass, field

from testbed.grid.parts import Storage

TICKS_PER_UWH = 7_200_000
STARTS_WITH_PART = 20


@dataclass(slots=True)
class Cell:
    """The content of a battery and what it lost so far. [ticks]"""

    storage: Storage
    level_ticks: int = field(init=False)
    lost_ticks: int = 0

    def __post_init__(self) -> None:
        """Begin at the level that is described."""
        self.level_ticks = self.storage.level_uwh * TICKS_PER_UWH

    @property
    def may_start(self) -> bool:
        """Whether it may start a dark bus, and holds enough to keep it up for a while."""
        storage = self.storage
        least_uwh = storage.level_min_uwh + storage.capacity_uwh // STARTS_WITH_PART
        return storage.black_start and self.level_ticks > least_uwh * TICKS_PER_UWH

    def discharge_uw(self, step_ms: int) -> int:
        """Return what the terminals can give for a whole step, whatever happens in it. [uW]"""
        spare_ticks = self.level_ticks - self.storage.level_min_uwh * TICKS_PER_UWH
        given_ticks = max(spare_ticks, 0) * self.storage.efficiency_permille // 1000
        return min(self.storage.power_max_uw, given_ticks // (2 * step_ms))

    def charge_uw(self, step_ms: int) -> int:
        """Return what the terminals can take for a whole step, whatever happens in it. [uW]"""
        room_ticks = self.storage.capacity_uwh * TICKS_PER_UWH - self.level_ticks
        return min(self.storage.power_max_uw, room_ticks // (2 * step_ms))

    def move(self, given_ticks: int, taken_ticks: int) -> None:
        """Take from the content what the terminals gave and add what they took, less the losses."""
        permille = self.storage.efficiency_permille
        out_ticks = -(-given_ticks * 1000 // permille)
        in_ticks = taken_ticks * permille // 1000
        self.level_ticks += in_ticks - out_ticks
        self.lost_ticks += (out_ticks - given_ticks) + (taken_ticks - in_ticks)
