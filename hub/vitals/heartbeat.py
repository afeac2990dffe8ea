"""What the service manager is told: that a program is up, turns, and ends (systemd's sd_notify)."""

from __future__ import annotations

import os
from collections.abc import Callable

import sdnotify

READY = "READY=1"
ALIVE = "WATCHDOG=1"
STOPPING = "STOPPING=1"


def service_manager() -> Callable[[str], None]:
    """Return what tells the service manager a word; nothing where there is none."""
    if "NOTIFY_SOCKET" not in os.environ:
        return lambda word: None
    notify: Callable[[str], None] = sdnotify.SystemdNotifier().notify
    return notify
