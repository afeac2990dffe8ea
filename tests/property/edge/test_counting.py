"""Registers over years of random life: wraps, resets, torn reads, swapped devices, outages.

The truth is what flowed. A register may only ever rise within an epoch, the sum over epochs may
never exceed the truth by more than the plausibility slack allows, and what it misses is what flowed
between a reset and the sample that believed it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.observing import observe
from edge.register import Meter, Register
from hardware.ports import Counting, Sample

RATED_MW = 5_000_000
STEP_UWH = 10_000_000
METER = Meter("bench", "m1", True, False, RATED_MW, 5_000)
MINUTE_MS = 60_000
LIVES = st.lists(
    st.tuples(
        st.sampled_from(["run", "run", "run", "run", "reset", "torn", "swap", "outage", "silent"]),
        st.integers(0, RATED_MW),
    ),
    min_size=1,
    max_size=120,
)


@dataclass
class Device:
    """A counter in steps that begins anew at its end."""

    steps_at_end: int
    remainder_uwh: int = 0
    steps: int = 0

    def flow(self, uwh: int) -> None:
        whole, self.remainder_uwh = divmod(self.remainder_uwh + uwh, STEP_UWH)
        self.steps = (self.steps + whole) % self.steps_at_end

    @property
    def total_uwh(self) -> int:
        return self.steps * STEP_UWH


@dataclass
class Life:
    device: Device
    register: Register = field(default_factory=Register)
    at_ms: int = 0
    flowed_uwh: int = 0
    counted_uwh: int = 0
    resets: int = 0

    def pass_time(self, minutes: int, power_mw: int) -> None:
        self.at_ms += minutes * MINUTE_MS
        uwh = power_mw * minutes * MINUTE_MS // 3600
        self.flowed_uwh += uwh
        self.device.flow(uwh)

    def sample(self, power_mw: int, total_uwh: int | None = None) -> None:
        counting = Counting(self.device.steps_at_end * STEP_UWH, None, STEP_UWH)
        total = self.device.total_uwh if total_uwh is None else total_uwh
        before = self.register
        seen = observe(
            METER,
            before,
            Sample(power_mw, total, None, 230_000, 1, 50_000, counting=counting),
            self.at_ms,
        )
        self.register = seen.register
        if seen.reset is not None:
            self.resets += 1
            assert seen.register.epoch == before.epoch + 1
            return
        assert seen.register.epoch == before.epoch
        rise = (seen.register.import_uwh or 0) - (before.import_uwh or 0)
        assert rise >= 0, "a register fell within an epoch"
        if before.import_uwh is not None:
            self.counted_uwh += rise


def live(life: Life, what: str, power_mw: int) -> None:
    """Let one thing happen."""
    life.pass_time({"outage": 600, "silent": 5}.get(what, 1), power_mw)
    if what == "silent":
        return
    if what == "torn":
        life.sample(power_mw, life.device.total_uwh ^ 65_536 * STEP_UWH)
    life.sample(power_mw)
    if what in ("reset", "swap"):
        before = life.device.steps
        life.device.steps = 0 if what == "reset" else (before + 40_000) % life.device.steps_at_end
        life.sample(power_mw)
        life.sample(power_mw)


@settings(max_examples=200, deadline=None)
@given(LIVES, st.integers(90_000, 2**32))
def test_a_register_counts_what_flowed_and_nothing_else(story, steps_at_end):
    life = Life(Device(steps_at_end, steps=steps_at_end - 3))
    life.sample(0)
    for what, power_mw in story:
        live(life, what, power_mw)
    slack_uwh = (STEP_UWH + 1_000_000) * (2 + life.resets)
    assert life.counted_uwh <= life.flowed_uwh + slack_uwh


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, RATED_MW), min_size=1, max_size=200), st.integers(1, 200))
def test_a_wrap_loses_nothing_and_begins_no_epoch(powers, steps_to_end):
    life = Life(Device(100_000, steps=100_000 - steps_to_end))
    life.sample(0)
    for power_mw in powers:
        life.pass_time(1, power_mw)
        life.sample(power_mw)
    assert life.resets == 0
    assert abs(life.counted_uwh - life.flowed_uwh) < STEP_UWH


@settings(max_examples=200, deadline=None)
@given(LIVES)
def test_without_a_fault_every_step_is_counted(story):
    life = Life(Device(2**32))
    life.sample(0)
    for _, power_mw in story:
        life.pass_time(1, power_mw)
        life.sample(power_mw)
    assert life.counted_uwh == life.device.total_uwh
    assert "jump" not in life.register.doubts
