import os
import shutil
from collections import namedtuple

import pytest

from edge.ballast import Ballast

Usage = namedtuple("Usage", "total used free")


def test_it_takes_real_blocks_and_gives_them_back(tmp_path):
    ballast = Ballast(tmp_path / "ballast", 65_536)
    assert ballast.keep()
    assert (tmp_path / "ballast").stat().st_blocks * 512 >= 65_536
    assert ballast.keep()
    assert ballast.free()
    assert not ballast.free()
    assert not (tmp_path / "ballast").exists()


def test_none_is_none(tmp_path):
    assert not Ballast(tmp_path / "ballast", 0).keep()


def test_a_torn_one_is_made_again(tmp_path):
    (tmp_path / "ballast").write_bytes(b"torn")
    assert Ballast(tmp_path / "ballast", 4096).keep()
    assert (tmp_path / "ballast").stat().st_size == 4096


@pytest.mark.parametrize("free", [0, 1 << 20, (1 << 20) + 1, 1 << 30])
def test_it_is_only_made_where_there_is_room_to_spare(tmp_path, monkeypatch, free):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1 << 40, 0, free))
    ballast = Ballast(tmp_path / "ballast", 1 << 19)
    assert ballast.is_needed() == (free < 1 << 20)
    assert ballast.keep() == (free >= 1 << 20)


def test_a_disk_that_cannot_be_written_has_no_ballast(tmp_path, monkeypatch):
    def full(handle, offset, size):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    assert not Ballast(tmp_path / "ballast", 4096).keep()
    assert not (tmp_path / "ballast").exists()
    assert not Ballast(tmp_path / "nowhere" / "ballast", 4096).keep()
