"""A device whose scaling registers say the impossible is not the one that was configured."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hardware.errors import WrongDevice
from hardware.modelfile import shipped_model
from hardware.options import parse
from hardware.register_device import RegisterDevice, register_options


class Zeros:
    """A device that answers every register with 0, as many do where they have none."""

    def heed(self, device, manners):
        """Nothing waits here."""

    def identify(self, device):
        return {0: "Morningstar Corp.", 1: "TS-MPPT-60"}

    def read_words(self, device, function, address, count):
        return (0,) * count


def test_a_full_scale_of_nothing_is_another_device():
    model = replace(shipped_model("tristar_mppt"), identify=None)
    given = parse(register_options(model), {"address": 1})
    with pytest.raises(WrongDevice, match=r"full_scale_. = 0, want 1 to 2000"):
        RegisterDevice(Zeros(), model, given).sample()
