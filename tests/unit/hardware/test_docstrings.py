"""The examples in docstrings are true."""

from __future__ import annotations

import doctest

import pytest

from hardware import words
from hardware.buses import modbus_frames
from hardware.chargers import epever_limits
from hardware.meters import ina219
from hardware.mock.vedirect import device as vedirect_device
from hardware.mock.wires import modbus_rtu
from hardware.sunspec import describe as sunspec_describe
from hardware.vedirect import frames


@pytest.mark.parametrize(
    ("module", "examples"),
    [
        (words, 4),
        (ina219, 1),
        (sunspec_describe, 3),
        (modbus_frames, 1),
        (epever_limits, 1),
        (modbus_rtu, 1),
        (frames, 2),
        (vedirect_device, 1),
    ],
    ids=str,
)
def test_examples(module, examples):
    results = doctest.testmod(module)
    assert (results.attempted, results.failed) == (examples, 0)
