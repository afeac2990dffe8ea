"""No room on the disk: said once, nothing taken, and on again by itself."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hub.errors import StorageFull
from hub.ledger.store import Store
from hub.vitals.room import LOOK_EVERY_MS, Room


class Ballast:
    def __init__(self) -> None:
        self.low = False
        self.kept = True

    def is_low(self) -> bool:
        return self.low

    def keep(self) -> bool:
        self.kept = not self.low
        return self.kept


class Disk:
    """A store as far as its disk goes."""

    def __init__(self) -> None:
        self.ballast: Any = Ballast()
        self.freed = 0
        store = SimpleNamespace(ballast=self.ballast, make_room=self.make_room)
        self.room = Room(cast(Store, store))

    def make_room(self) -> None:
        self.freed += 1
        self.ballast.kept = False


@pytest.fixture
def disk() -> Disk:
    return Disk()


def test_a_low_disk_is_noticed_once_a_second(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    assert disk.room.look(LOOK_EVERY_MS)
    disk.ballast.low = True
    assert disk.room.look(2 * LOOK_EVERY_MS - 1)
    for second in range(2, 6):
        assert not disk.room.look(second * LOOK_EVERY_MS)
    assert len([r for r in caplog.records if r.levelno == logging.ERROR]) == 1
    assert "free some space" in disk.room.complaint


def test_it_goes_on_when_there_is_room_and_the_ballast_is_back(disk: Disk) -> None:
    disk.room.note_full(StorageFull("full"), 0)
    assert (disk.freed, disk.room.complaint) == (1, "full")
    disk.ballast.low = True
    assert not disk.room.look(LOOK_EVERY_MS)
    disk.ballast.low = False
    assert disk.room.look(2 * LOOK_EVERY_MS)
    assert disk.ballast.kept
    assert disk.room.complaint == ""


def test_a_database_server_tells_by_its_next_write(disk: Disk) -> None:
    store = SimpleNamespace(ballast=None, make_room=lambda: None)
    room = Room(cast(Store, store))
    room.note_full(StorageFull("the server is full"), 0)
    assert not room.look(LOOK_EVERY_MS - 1)
    assert room.look(LOOK_EVERY_MS)
