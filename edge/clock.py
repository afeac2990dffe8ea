"""This machine's clocks: UTC for what is signed, boottime for leases; and whether UTC is right."""

from __future__ import annotations

import ctypes
import time
from pathlib import Path
from typing import Final

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_TIMEX_BYTES: Final = 256  # struct timex has 208 bytes on 64-bit Linux, 128 on 32-bit
_TIME_ERROR: Final = 5
_NS_PER_MS: Final = 1_000_000


def utc_ms() -> int:
    """Return the wall clock. [ms UTC]"""
    return time.time_ns() // _NS_PER_MS


def boottime_ms() -> int:
    """Return the time since boot, suspended time included. [ms]"""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // _NS_PER_MS


def boot_id() -> bytes:
    """Return the kernel's random name of this boot, 16 bytes."""
    return bytes.fromhex(_BOOT_ID.read_text(encoding="ascii").strip().replace("-", ""))


def is_synchronised() -> bool:
    """Whether the kernel says that something (NTP, PTP, GPS) disciplines the wall clock.

    adjtimex(2) with no modes only reads; it returns TIME_ERROR while the clock is not synchronised.
    """
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)
    state = ctypes.CDLL(None, use_errno=True).adjtimex(timex)
    return 0 <= int(state) < _TIME_ERROR
