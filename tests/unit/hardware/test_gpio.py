"""Pins of a real board are named by their library, and its absence is told in words."""

from __future__ import annotations

import sys

import pytest

from hardware.buses.gpio import OutputPin, lgpio_factory
from hardware.errors import BusUnavailable
from hardware.mock.wires.pins import BenchFactory


def test_a_machine_without_lgpio_is_told_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "lgpio", None)
    monkeypatch.delitem(sys.modules, "gpiozero.pins.lgpio", raising=False)
    with pytest.raises(BusUnavailable, match="apt install python3-lgpio"):
        lgpio_factory()


@pytest.mark.parametrize("initial_high", [True, False])
def test_the_first_level_stands_before_the_pin_drives(initial_high):
    board = BenchFactory()
    pin = OutputPin(board, 4, initial_high)
    assert pin.is_high is initial_high
    assert board.history(4) == [initial_high]


def test_a_pin_that_no_board_has_is_refused():
    with pytest.raises(BusUnavailable, match="GPIO99"):
        OutputPin(BenchFactory(), 99, initial_high=False)
